//! The log: which slots each event touched, so that `since(version)` costs what is missing, not what is there.
//!
//! The one idea: the log keeps *where* events happened, not what they did. What the asker lacks is then what those
//! slots hold *now*: a register written a thousand times costs one value, and a group of deltas can neither forget a
//! removal nor a subtree that was cleared and filled again.

use super::limits::LOG_BYTES_MAX;
use super::tree::{Place, Touched};
use crate::{Lattice, ReplicaId, VersionVector};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Events that came together, and what they touched.
#[derive(Clone, Debug)]
struct Entry {
    /// How far they extended the version.
    gained: VersionVector,
    touched: Box<[Place]>,
}

/// Remembers the youngest events; what is older is below its base.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// Whoever lacks events that this version has can only be told the whole state.
    base: VersionVector,
    entries: VecDeque<Entry>,
    /// The number of the first entry, counting from the beginning of time.
    first: usize,
    /// Per replica: the last of its events in an entry, and that entry's number, ascending.
    of_replica: BTreeMap<ReplicaId, VecDeque<(u64, usize)>>,
    bytes: usize,
}

impl Log {
    /// Records that the version was extended to `gained` by events that touched `touched`.
    pub(crate) fn record(&mut self, gained: VersionVector, touched: &Touched) {
        let touched = touched.places();
        let number = self.first + self.entries.len();
        for (replica, seq) in gained.iter() {
            self.of_replica.entry(replica).or_default().push_back((seq, number));
        }
        self.bytes += bytes_of(&touched);
        self.entries.push_back(Entry { gained, touched });
        while self.bytes > LOG_BYTES_MAX && !self.entries.is_empty() {
            self.forget_oldest();
        }
    }

    /// Forgets what `stable` covers, because everybody has it.
    pub(crate) fn cut(&mut self, stable: &VersionVector) {
        while self.entries.front().is_some_and(|entry| stable.covers(&entry.gained)) {
            self.forget_oldest();
        }
    }

    /// Notes events of which it is not known what they touched. Those that are known stay: a client that is sent a
    /// whole state can still tell its own edits apart from it.
    pub(crate) fn skip(&mut self, gained: VersionVector) {
        self.base.merge(gained);
    }

    /// What the events touched that are in the document's `version` and not in `has`; none if the log was cut above
    /// one of them.
    pub(crate) fn touched_since(&self, has: &VersionVector, version: &VersionVector) -> Option<Touched> {
        if !has.covers(&self.base) {
            return None;
        }
        let mut touched = Touched::none();
        for number in self.entries_beyond(has, version) {
            self.entries[number - self.first].touched.iter().for_each(|place| touched.touch(place));
        }
        Some(touched)
    }

    fn entries_beyond(&self, has: &VersionVector, version: &VersionVector) -> BTreeSet<usize> {
        let mut numbers = BTreeSet::new();
        for (replica, _) in version.beyond(has).iter() {
            let Some(events) = self.of_replica.get(&replica) else { continue };
            let from = events.partition_point(|(last, _)| *last <= has.seq(replica));
            numbers.extend(events.range(from..).map(|(_, number)| *number));
        }
        numbers
    }

    fn forget_oldest(&mut self) {
        let Some(Entry { gained, touched }) = self.entries.pop_front() else { return };
        self.bytes -= bytes_of(&touched);
        for (replica, _) in gained.iter() {
            let Some(events) = self.of_replica.get_mut(&replica) else { continue };
            events.pop_front_if(|(_, number)| *number == self.first);
            if events.is_empty() {
                self.of_replica.remove(&replica);
            }
        }
        self.first += 1;
        self.base.merge(gained);
    }
}

/// What an entry takes in memory, about.
fn bytes_of(touched: &[Place]) -> usize {
    const ENTRY: usize = 128;
    ENTRY + touched.iter().map(Place::bytes).sum::<usize>()
}
