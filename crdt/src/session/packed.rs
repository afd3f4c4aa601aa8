//! Parts of a large delta, packed: by the feature `compress`, and unpacked by the feature `unpack`.

use super::Violation;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whether packed parts can be read here.
pub(super) const UNPACKS: bool = cfg!(feature = "unpack");

/// The packed parts of a large delta, by where they begin: kept for all who are sent the same.
#[derive(Clone, Debug, Default)]
pub struct Packed(Arc<Mutex<BTreeMap<usize, Bytes>>>);

impl Packed {
    /// The part that begins `at`, packed, if that can be done here.
    pub(super) fn part(&self, at: usize, bytes: &[u8]) -> Option<Bytes> {
        if let Some(packed) = self.parts().get(&at) {
            return Some(packed.clone());
        }
        // Whoever comes just now packs it too, and does not wait.
        let packed = pack(bytes)?;
        self.parts().insert(at, packed.clone());
        Some(packed)
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<usize, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "compress")]
fn pack(bytes: &[u8]) -> Option<Bytes> {
    Some(crate::compress::pack_fast(bytes).into())
}

#[cfg(not(feature = "compress"))]
fn pack(_: &[u8]) -> Option<Bytes> {
    None
}

/// Unpacks a part of at most `max` bytes.
#[cfg(feature = "unpack")]
pub(super) fn unpack(packed: &[u8], max: usize) -> Result<Vec<u8>, Violation> {
    use crate::compress::{UnpackError, unpack};
    unpack(packed, max).map_err(|error| match error {
        UnpackError::TooLarge { max } => Violation::TooLarge { bytes: max + 1, limit: max },
        _ => Violation::NotAFrame,
    })
}

/// Nobody was told that this could be done.
#[cfg(not(feature = "unpack"))]
pub(super) fn unpack(_: &[u8], _: usize) -> Result<Vec<u8>, Violation> {
    Err(Violation::OutOfOrder { frame: "Packed", when: "to an end that has not said Unpacks" })
}
