//! From what a store kept back to a document, and how long that takes.

use crate::Limits;
use crate::store::{Saved, StoreError};
use watersmeet_crdt::{Delta, Document, ReplicaId};

/// A document as its log tells it.
pub(crate) struct Replayed {
    pub(crate) document: Document,
    pub(crate) tail: Tail,
}

/// The part of a log that follows its last snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    last: u64,
    deltas: usize,
    bytes: usize,
    snapshot_bytes: usize,
    /// No snapshot is made of fewer bytes, since one could not be made.
    put_off_bytes: usize,
}

impl Tail {
    /// Notes that a delta was appended.
    pub(crate) fn add(&mut self, number: u64, bytes: usize) {
        self.last = number;
        self.deltas += 1;
        self.bytes += bytes;
    }

    /// Bytes that the state has at most: it is not larger than what it was read from.
    pub(crate) fn state_bytes_at_most(&self) -> usize {
        self.snapshot_bytes.saturating_add(self.bytes)
    }

    /// Whether it is time for a snapshot. A document is not written again for less than its own size in deltas, so
    /// that snapshots at most double what is written.
    pub(crate) fn is_long(&self, limits: &Limits) -> bool {
        let long = self.deltas >= limits.tail_deltas || self.bytes >= limits.tail_bytes;
        long && self.bytes >= self.snapshot_bytes.max(self.put_off_bytes)
    }

    /// Notes that what `then` says is no longer in the tail but in a snapshot of so many bytes.
    pub(crate) fn compacted(&mut self, then: &Tail, snapshot_bytes: usize) {
        self.deltas = self.deltas.saturating_sub(then.deltas);
        self.bytes = self.bytes.saturating_sub(then.bytes);
        (self.snapshot_bytes, self.put_off_bytes) = (snapshot_bytes, 0);
    }

    /// Notes that no snapshot could be made: it is tried again when the tail is twice as long.
    pub(crate) fn put_off(&mut self) {
        self.put_off_bytes = self.bytes.saturating_mul(2);
    }

    /// The number of the last delta.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }
}

/// Replays what was kept. The server never edits, so its replica has no name of its own.
///
/// # Errors
/// If a delta cannot be decoded or does not follow; none is ever skipped.
pub(crate) fn replay(name: &str, saved: Saved) -> Result<Replayed, StoreError> {
    let mut document = Document::new(ReplicaId::default());
    let mut tail = Tail::default();
    if let Some((upto, bytes)) = saved.snapshot {
        apply(&mut document, name, upto, &bytes)?;
        tail = Tail { last: upto, snapshot_bytes: bytes.len(), ..Tail::default() };
    }
    for (number, bytes) in saved.deltas {
        apply(&mut document, name, number, &bytes)?;
        tail.add(number, bytes.len());
    }
    Ok(Replayed { document, tail })
}

fn apply(document: &mut Document, name: &str, number: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let damaged = |source| StoreError::Undecodable { document: name.to_owned(), number, source };
    let delta = Delta::decode(bytes).map_err(damaged)?;
    match document.apply(delta) {
        Ok(_) => Ok(()),
        Err(gap) => Err(StoreError::Missing { document: name.to_owned(), number, missing: gap.missing }),
    }
}
