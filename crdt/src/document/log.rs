//! The log: which removals came with which events, so that `since(version)` costs what is missing, not what is there.
//!
//! What was *added* since a version needs no log: the table finds it by dot. What was *removed* is in no table any
//! more, so the log keeps it: the dots, and nothing else. What a group brought and took away again is not even told
//! by dot: whoever lacks a part of a group is sent all of its span, and what is seen but not stored has been removed.

use super::Few;
use super::limits::LOG_BYTES_MAX;
use crate::{Dot, Lattice, ReplicaId, VersionVector};
use std::collections::{BTreeMap, VecDeque};

/// Consecutive events of one replica that came together: after `start`, up to `end`.
#[derive(Clone, Copy, Debug)]
struct Span {
    replica: ReplicaId,
    start: u64,
    end: u64,
}

/// Consecutive events of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) first: Dot,
    pub(crate) last: u64,
}

impl Run {
    pub(crate) fn of(dot: Dot) -> Self {
        Run { first: dot, last: dot.seq }
    }
}

/// Dots that are gone. What a group removed is kept whole, whether it was still here or not: somebody else may hear of
/// this group before they hear of the one that removed it here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removed {
    pub(crate) run: Run,
    /// The event of the same replica that took the place of a lone dot in its entry; 0 if there is none. As long as that
    /// one is alive, it says by itself that this one is not: an entry holds at most one event of a replica.
    pub(crate) by: u64,
}

/// Events that came together: so many spans, and so many dots that they removed.
#[derive(Clone, Copy, Debug)]
struct Group {
    spans: u32,
    removed: u32,
}

/// Remembers the youngest groups; what is older is below its base.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// Of whoever lacks one of these events it is not known what else they lack.
    base: VersionVector,
    groups: VecDeque<Group>,
    spans: VecDeque<Span>,
    removed: VecDeque<Removed>,
}

/// What somebody lacks.
#[derive(Debug, Default)]
pub(crate) struct Lacking {
    /// Of each replica that something is lacking of: after which event, and up to which.
    pub(crate) spans: Few<(ReplicaId, u64, u64)>,
    /// Which of the dots that they know have been removed, ascending.
    pub(crate) removed: Few<Run>,
    /// What else they have that this builds on.
    pub(crate) builds_on: Few<(ReplicaId, u64)>,
}

impl Log {
    /// Records that the version was extended from `before` to `gained`, and what was removed by that.
    pub(crate) fn record(&mut self, gained: &VersionVector, before: &VersionVector, removed: &[Removed]) {
        for (replica, end, start) in gained.beside(before) {
            self.spans.push_back(Span { replica, start, end });
        }
        self.group(gained.len(), removed);
    }

    /// As [`record`](Self::record), for events of one replica after `start` up to `end`.
    pub(crate) fn record_own(&mut self, replica: ReplicaId, start: u64, end: u64, removed: &[Removed]) {
        self.spans.push_back(Span { replica, start, end });
        self.group(1, removed);
    }

    fn group(&mut self, spans: usize, removed: &[Removed]) {
        self.removed.extend(removed);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.groups.push_back(Group { spans: count(spans), removed: count(removed.len()) });
        while self.bytes() > LOG_BYTES_MAX && !self.groups.is_empty() {
            self.forget_oldest();
        }
    }

    /// What it takes in memory.
    fn bytes(&self) -> usize {
        self.groups.len() * size_of::<Group>()
            + self.spans.len() * size_of::<Span>()
            + self.removed.len() * size_of::<Removed>()
    }

    /// Forgets what `stable` covers, because everybody has it.
    pub(crate) fn cut(&mut self, stable: &VersionVector) {
        while let Some(group) = self.groups.front() {
            let mut spans = self.spans.iter().take(group.spans as usize);
            if !spans.all(|span| span.end <= stable.seq(span.replica)) {
                break;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(group) = self.groups.pop_front() else { return };
        for span in self.spans.drain(..group.spans as usize) {
            self.base.advance(span.replica, span.end);
        }
        self.removed.drain(..group.removed as usize);
    }

    /// What a replica at version `has` lacks of one at `version`, of which `alive` knows the live dots.
    ///
    /// Whoever lacks a part of a group is told all of it, as if they lacked it all; and then also what came after it.
    pub(crate) fn lacking(
        &self,
        has: &VersionVector,
        version: &VersionVector,
        alive: impl Fn(Dot) -> bool,
    ) -> Lacking {
        let mut lowered = Lowered { has, starts: BTreeMap::new() };
        if !has.covers(&self.base) {
            lowered.starts.extend(self.base.iter().map(|(replica, _)| (replica, 0)));
        }
        let mut removed: Few<Removed> = Few::new();
        let (first, mut spans_at, mut removed_at) = self.first_lacking(has, version);
        for group in self.groups.range(first..) {
            let (spans_from, removed_from) = (spans_at, removed_at);
            spans_at += group.spans as usize;
            removed_at += group.removed as usize;
            let spans = || self.spans.range(spans_from..spans_at);
            if spans().any(|span| span.end > lowered.seq(span.replica)) {
                removed.extend(self.removed.range(removed_from..removed_at).copied());
                spans().for_each(|span| lowered.lower(span));
            }
        }
        let told = version.beside(has).map(|(replica, seq, has)| (replica, lowered.of(replica, has), seq));
        let spans: Few<(ReplicaId, u64, u64)> = told.filter(|(_, start, end)| start < end).collect();
        let told_by_another =
            |Removed { run, by }: Removed| by > 0 && alive(Dot { replica: run.first.replica, seq: by });
        let removed = removed.into_iter().filter(|removed| !told_by_another(*removed));
        let known =
            |Removed { run, .. }: Removed| Run { last: run.last.min(lowered.seq(run.first.replica)), ..run };
        let removed = removed.map(known).filter(|run| run.first.seq <= run.last).collect();
        let removed = joined(removed);
        // Of what is told again, anything that they have may have removed something: it is not among it now.
        let builds_on = match lowered.starts.is_empty() {
            true => Few::new(),
            false => version.iter().map(|(replica, seq)| (replica, seq.min(lowered.seq(replica)))).collect(),
        };
        Lacking { spans, removed, builds_on }
    }

    /// The first group of which something is lacking, and where its spans and its removals begin: found from the
    /// youngest back, until all that is lacking has been met.
    fn first_lacking(&self, has: &VersionVector, version: &VersionVector) -> (usize, usize, usize) {
        if !has.covers(&self.base) {
            return (0, 0, 0);
        }
        let mut unmet = version.events_beyond(has);
        let (mut spans_at, mut removed_at) = (self.spans.len(), self.removed.len());
        for (at, group) in self.groups.iter().enumerate().rev() {
            if unmet == 0 {
                return (at + 1, spans_at, removed_at);
            }
            let end = spans_at;
            spans_at -= group.spans as usize;
            removed_at -= group.removed as usize;
            let lacked = |span: &Span| span.end.saturating_sub(span.start.max(has.seq(span.replica)));
            unmet = unmet.saturating_sub(self.spans.range(spans_at..end).map(lacked).sum());
        }
        (0, spans_at, removed_at)
    }
}

/// Runs in order, those that touch as one.
fn joined(mut runs: Few<Run>) -> Few<Run> {
    runs.sort_unstable();
    runs.dedup_by(|next, run| {
        let touch = next.first.replica == run.first.replica && next.first.seq <= run.last.saturating_add(1);
        if touch {
            run.last = run.last.max(next.last);
        }
        touch
    });
    runs
}

/// A version, with some replicas taken back to where groups of theirs start.
struct Lowered<'a> {
    has: &'a VersionVector,
    starts: BTreeMap<ReplicaId, u64>,
}

impl Lowered<'_> {
    fn seq(&self, replica: ReplicaId) -> u64 {
        self.of(replica, self.has.seq(replica))
    }

    fn of(&self, replica: ReplicaId, has: u64) -> u64 {
        self.starts.get(&replica).map_or(has, |start| has.min(*start))
    }

    fn lower(&mut self, span: &Span) {
        if span.start < self.seq(span.replica) {
            self.starts.insert(span.replica, span.start);
        }
    }
}
