//! Applying a delta: what it adds is put in by key, what it removes is taken out by dot.
//!
//! ```text
//!   for each event in it   seen and gone here   passed over: this side removed it
//!                          new                  put into its entry
//!   for each dot of ours   named as removed, or within the delta's span and not in it
//!                                               taken out: the other side removed it
//! ```
//!
//! That is the join of two causal states, restricted to what the delta speaks of: an event that is seen but not
//! stored has been removed.

use super::Few;
use super::change::Recorder;
use super::delta::{Contents, DecodeError, Delta, Visitor};
use super::kind::Kind;
use super::log::Removed;
use super::table::{Id, Name, ROOT, Table, Written};
use crate::{Dot, ReplicaId, VersionVector};

/// Merges a delta into the table of a document at `version`, which covers what the delta builds on. Answers with
/// what it removed.
pub(crate) fn merge(
    table: &mut Table,
    version: &VersionVector,
    delta: &Delta,
    changes: Option<&mut Recorder>,
) -> Few<Removed> {
    if version.is_empty() {
        // Each addition takes at least a byte of the delta, or it would not have been decoded.
        table.reserve(usize::try_from(delta.additions()).unwrap_or(0));
    }
    let replicas = delta.to().beside(version).map(|(replica, _, ours)| (replica, ours)).collect();
    let known = |replica, to: u64| version.seq(replica).min(to);
    let overlaps = delta.to().beside(delta.from()).any(|(replica, to, from)| known(replica, to) > from);
    let mut merge = Merge {
        table,
        contents: delta.contents(),
        replicas,
        within: Few::from_slice(&[ROOT]),
        still_there: overlaps.then(Vec::new),
        removed: Few::new(),
        changes,
    };
    // The bytes were checked when they were decoded, or made here.
    let walked = delta.walk(&mut merge);
    debug_assert!(walked.is_ok(), "{walked:?}");
    merge.table.by_dot.settle();
    for run in delta.removed() {
        merge.remove(run.first, run.last, None);
    }
    if let Some(mut still_there) = merge.still_there.take() {
        still_there.sort_unstable();
        for (replica, to, from) in delta.to().beside(delta.from()) {
            if known(replica, to) > from {
                merge.remove(Dot { replica, seq: from + 1 }, known(replica, to), Some(&still_there));
            }
        }
    }
    merge.removed
}

struct Merge<'a> {
    table: &'a mut Table,
    contents: Contents<'a>,
    /// The replicas that the delta speaks of, and how many of their events have been applied here.
    replicas: Few<(ReplicaId, u64)>,
    /// The containers from the root down to where the walk is.
    within: Few<Id>,
    /// The events of the delta that were known here before; kept only if there can be some.
    still_there: Option<Vec<Dot>>,
    removed: Few<Removed>,
    changes: Option<&'a mut Recorder>,
}

impl Visitor for Merge<'_> {
    fn enter(&mut self, kind: Kind, name: Name<'_>) -> Result<(), DecodeError> {
        let id = self.table.find_or_make(self.parent(), kind, name);
        self.within.push(id);
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(id) = self.within.pop() {
            // Made for nothing, if all that it was made for is gone here.
            self.table.prune_one(id);
        }
    }

    fn cell(&mut self, kind: Kind, name: Name<'_>, events: u64) -> Result<(), DecodeError> {
        let mut id = None;
        for _ in 0..events {
            let (replica, seq, stamp, value) = self.contents.next(kind.payload())?;
            let Some((replica, known)) = self.replicas.get(replica).copied() else { continue };
            let written = Written { dot: Dot { replica, seq }, stamp, value };
            if seq > known {
                let id = *id.get_or_insert_with(|| self.table.find_or_make(parent(&self.within), kind, name));
                self.put(id, written);
            } else {
                self.meet_again(kind, name, written);
            }
        }
        Ok(())
    }
}

fn parent(within: &[Id]) -> Id {
    within.last().copied().unwrap_or(ROOT)
}

impl Merge<'_> {
    fn parent(&self) -> Id {
        parent(&self.within)
    }

    fn put(&mut self, id: Id, written: Written) {
        let dot = written.dot;
        if let Some(changes) = &mut self.changes {
            changes.before(self.table, id);
        }
        if let Some(older) = self.table.put(id, written) {
            self.removed.push(Removed { dot: older, by: dot.seq });
        }
        if let Some(changes) = &mut self.changes {
            changes.after(self.table, id);
        }
    }

    /// An event that is known here: alive, or removed. A faulty replica may have given its dot twice; then the
    /// greater of what it said stays, here and everywhere.
    fn meet_again(&mut self, kind: Kind, name: Name<'_>, written: Written) {
        if let Some(still_there) = &mut self.still_there {
            still_there.push(written.dot);
        }
        let Some(id) = self.table.find(self.parent(), kind, name) else { return };
        let greater = |ours: &Written| (ours.stamp, &ours.value) < (written.stamp, &written.value);
        if self.table.event_mut(id, written.dot).is_some_and(|ours| greater(ours)) {
            if let Some(changes) = &mut self.changes {
                changes.before(self.table, id);
            }
            if let Some(ours) = self.table.event_mut(id, written.dot) {
                *ours = written;
            }
            if let Some(changes) = &mut self.changes {
                changes.after(self.table, id);
            }
        }
    }

    /// Takes out a replica's events from `first` on up to `last`, except those.
    fn remove(&mut self, first: Dot, last: u64, except: Option<&[Dot]>) {
        let alive: Vec<(u64, Id)> = self.table.alive(first, last).collect();
        for (seq, id) in alive {
            let dot = Dot { replica: first.replica, seq };
            if except.is_some_and(|except| except.binary_search(&dot).is_ok()) {
                continue;
            }
            take_out(self.table, id, dot, self.changes.as_deref_mut());
            self.removed.push(Removed { dot, by: 0 });
        }
    }
}

/// Takes an event out of an entry, and the entry out of the table if that was its last.
fn take_out(table: &mut Table, id: Id, dot: Dot, mut changes: Option<&mut Recorder>) {
    if let Some(changes) = &mut changes {
        changes.before(table, id);
    }
    table.take(id, dot);
    if let Some(changes) = &mut changes {
        changes.after(table, id);
    }
    table.prune(id);
}
