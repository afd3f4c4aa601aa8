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
use super::columns::Contents;
use super::delta::{DecodeError, Delta};
use super::kind::Kind;
use super::log::{Removed, Run};
use super::table::{Id, Name, ROOT, Table, Written};
use super::walk::Visitor;
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
        lists: Few::new(),
        changes,
    };
    // The bytes were checked when they were decoded, or made here.
    let walked = delta.walk(&mut merge);
    debug_assert!(walked.is_ok(), "{walked:?}");
    merge.table.by_dot.settle();
    for run in delta.removed() {
        merge.remove(*run);
    }
    if let Some(mut still_there) = merge.still_there.take() {
        still_there.sort_unstable();
        for (replica, to, from) in delta.to().beside(delta.from()) {
            if known(replica, to) > from {
                let first = Dot { replica, seq: from + 1 };
                gaps(Run { first, last: known(replica, to) }, &still_there).for_each(|run| merge.remove(run));
            }
        }
    }
    merge.lists.sort_unstable();
    merge.lists.dedup();
    for list in std::mem::take(&mut merge.lists) {
        merge.table.sweep(list);
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
    /// Lists of which elements may have been emptied, to be swept at the end.
    lists: Few<Id>,
    changes: Option<&'a mut Recorder>,
}

impl Visitor for Merge<'_> {
    fn enter(&mut self, kind: Kind, name: Name<'_>) -> Result<(), DecodeError> {
        let id = self.table.find_or_make(self.parent(), kind, name);
        self.within.push(id);
        // Whoever watches is told where each element comes to stand, one by one.
        if kind == Kind::List && self.changes.is_none() {
            self.table.fill(id);
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.table.filled();
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
            self.removed.push(Removed { run: Run::of(older), by: dot.seq });
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

    /// Takes out what is here of a run of events.
    fn remove(&mut self, run: Run) {
        self.removed.push(Removed { run, by: 0 });
        let alive: Few<(u64, Id)> = self.table.alive(run.first, run.last).collect();
        for (seq, id) in alive {
            self.take_out(id, Dot { replica: run.first.replica, seq });
        }
    }

    /// Takes an event out of an entry, and the entry out of the table if that was its last.
    fn take_out(&mut self, id: Id, dot: Dot) {
        let Some(changes) = &mut self.changes else {
            self.table.take(id, dot);
            let parent = self.table.entry(id).parent;
            return match self.table.entry(parent).kind {
                Kind::List => self.lists.push(parent),
                _ => self.table.prune(id),
            };
        };
        changes.before(self.table, id);
        self.table.take(id, dot);
        changes.after(self.table, id);
        self.table.prune(id);
    }
}

/// What of a run stands between some dots, which are in order.
fn gaps(run: Run, dots: &[Dot]) -> impl Iterator<Item = Run> {
    let Run { first, last } = run;
    let within = &dots[dots.partition_point(|dot| *dot < first)..];
    let within = &within[..within.partition_point(|dot| *dot <= Dot { seq: last, ..first })];
    let starts = std::iter::once(first.seq).chain(within.iter().map(|dot| dot.seq + 1));
    let ends = within.iter().map(|dot| dot.seq - 1).chain([last]);
    let gaps = starts.zip(ends).filter(|(start, end)| start <= end);
    gaps.map(move |(seq, last)| Run { first: Dot { seq, ..first }, last })
}
