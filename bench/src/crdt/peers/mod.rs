//! One file a library; each says at its top how it expresses the shapes.

#[cfg(feature = "peers")]
pub(super) mod automerge;
#[cfg(feature = "peers")]
pub(super) mod crdts;
pub(super) mod floor;
#[cfg(feature = "peers")]
pub(super) mod loro;
pub(super) mod watersmeet;
#[cfg(feature = "peers")]
pub(super) mod yrs;
