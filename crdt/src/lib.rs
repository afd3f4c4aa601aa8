//! Data that many people change at once, apart or together, and that always meets again.
//!
//! Everything here is a [`Lattice`]: a value that only ever grows, by [`merge`](Lattice::merge). Three laws make
//! the order, the number and the grouping of merges irrelevant, and so make the network irrelevant:
//!
//! ```text
//!   commutative    a ∨ b = b ∨ a              it does not matter who hears first
//!   associative    (a ∨ b) ∨ c = a ∨ (b ∨ c)  it does not matter who passes it on
//!   idempotent     a ∨ a = a                  it does not matter how often it is said
//!   bottom         a ∨ ⊥ = a                  who knows nothing changes nothing
//!   truthful       merge(a, b) is true  ⇔  a ∨ b ≠ a
//! ```
//!
//! # One idea
//! How can a thing that only grows forget? Name every event by a [`Dot`], and keep beside the data the set of dots
//! that have been *seen*. Then **an event that is seen but not stored has been removed**, and no tombstone is
//! needed. Three stores of dots and their joins ([`store`]) make every causal type: registers, counters, sets,
//! maps, and trees of them. A [`Document`] is such a tree with text keys.
//!
//! # Two replicas that meet
//! ```
//! use watersmeet_crdt::{Document, ReplicaId, Time, Value};
//!
//! let now = Time::from_millis(1_700_000_000_000);
//! let mut anna = Document::new(ReplicaId::new(1));
//! anna.edit(now, |tx| { tx.set(&["mill", "name"], "Old mill"); })?;
//! let mut ben = Document::new(ReplicaId::new(2));
//! ben.apply(anna.since(ben.version()))?;
//!
//! // Apart: each edits the same place.
//! anna.edit(now, |tx| { tx.set(&["mill", "name"], "Water mill"); })?;
//! ben.edit(now, |tx| { tx.increment(&["mill", "votes"], 1); tx.insert(&["mill", "tags"], "ruin"); })?;
//!
//! // They meet: each asks for what it lacks, in any order.
//! anna.apply(ben.since(anna.version()))?;
//! ben.apply(anna.since(ben.version()))?;
//! assert_eq!(anna.hash(), ben.hash());
//! assert_eq!(ben.register(&["mill", "name"]), Some(&Value::from("Water mill")));
//! assert_eq!(anna.counter(&["mill", "votes"]), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map of the crate
//! | module | holds |
//! |---|---|
//! | [`plain`] | lattices that need no dots: grow-only counters and sets, last-writer-wins |
//! | [`dot`], [`store`] | events, versions, causal contexts; the three dot stores, [`Causal`](store::Causal) |
//! | [`position`] | places in a list that never change, so that a list is a map |
//! | [`causal`] | flags, register, counter, list, sets and maps of any of them, add-wins and remove-wins |
//! | [`document`] | the tree of those, its log, deltas, change events |
//! | [`typed`] | the shape of a document as a struct, read and edited with compile-time types |
//! | [`session`], [`client`] | the conversation between two peers, and a client's half of it, without I/O |
//! | `compress` | with the feature of that name: general compression of states at rest |
//! | [`laws`] | a checker of the laws above, for our types and yours |
//!
//! What is deliberately not here: clocks, random numbers, sockets and files. They are arguments.

pub mod causal;
pub mod client;
pub mod clock;
#[cfg(feature = "unpack")]
pub mod compress;
pub mod document;
pub mod dot;
pub mod laws;
pub mod plain;
pub mod position;
pub mod session;
pub mod store;
pub mod typed;
pub mod value;
mod wire;

pub use clock::{Stamp, Time};
pub use document::{Change, Delta, Document};
pub use dot::{CausalContext, Dot, REPLICAS_MAX, ReplicaId, VersionVector};
pub use position::Position;
pub use store::DotStore;
pub use value::Value;
#[cfg(feature = "derive")]
pub use watersmeet_crdt_derive::{DotStore, Lattice};

/// A join semilattice: a value that grows by being merged with others of its type.
///
/// [`Default`] is the bottom. The laws at the top of this crate are the whole contract; [`laws::check_lattice`]
/// checks them.
///
/// ```
/// use watersmeet_crdt::{Lattice, plain::GSet};
/// let mut seen = GSet::from_iter(["otter"]);
/// assert!(seen.merge(GSet::from_iter(["heron"])));   // it grew
/// assert!(!seen.merge(GSet::from_iter(["heron"])));  // nothing new
/// ```
///
/// # Of structs
/// With the feature `derive`, a struct of lattices is one, field by field:
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use watersmeet_crdt::{Lattice, ReplicaId, plain::{GCounter, GSet, Max}};
///
/// #[derive(Clone, Debug, Default, PartialEq, Lattice)]
/// struct Sightings {
///     species: GSet<&'static str>,
///     otters: GCounter,
///     last: Max<u64>,
/// }
/// let mut anna = Sightings { last: Max::of(7), ..Sightings::default() };
/// let mut ben = anna.clone();
/// anna.species.insert("otter");
/// ben.otters.increment(ReplicaId::new(2), 3);
/// assert!(anna.merge(ben));
/// assert_eq!((anna.otters.value(), anna.last.get()), (3, Some(&7)));
/// ```
///
/// An enum is not: two replicas could be in different variants.
///
#[cfg_attr(feature = "derive", doc = "```compile_fail")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use watersmeet_crdt::{Lattice, plain::Max};
/// #[derive(Clone, Default, PartialEq, Lattice)]
/// enum Seen { #[default] Nothing, Something(Max<u64>) }
/// ```
pub trait Lattice: Clone + Default + PartialEq {
    /// Joins `other` into `self`; true exactly when `self` grew.
    fn merge(&mut self, other: Self) -> bool;

    /// Whether `self` already holds everything that `other` holds: `other ≤ self`.
    fn covers(&self, other: &Self) -> bool {
        !self.clone().merge(other.clone())
    }
}
