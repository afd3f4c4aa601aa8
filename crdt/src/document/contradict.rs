//! Whether a delta says something else of an event than this replica holds.
//!
//! A dot names one event for ever; all merging rests on that. Bytes from elsewhere may break it, by malice or because a
//! device was copied together with its replica id. What was applied stays; whoever guards a document can refuse the rest.

use super::Few;
use super::columns::Contents;
use super::delta::{DecodeError, Delta};
use super::kind::Kind;
use super::table::{Events, Id, Name, ROOT, Table};
use super::walk::Visitor;
use crate::{Dot, ReplicaId, Stamp, Value, VersionVector};

/// The first event of a delta that is alive in a table at `version`, and is another event there.
pub(crate) fn first(table: &Table, version: &VersionVector, delta: &Delta) -> Option<Dot> {
    let overlaps =
        delta.to().beside(delta.from()).any(|(replica, to, from)| version.seq(replica).min(to) > from);
    if !overlaps {
        return None;
    }
    let replicas = delta.to().beside(version).map(|(replica, _, ours)| (replica, ours)).collect();
    let within = Few::from_slice(&[Some(ROOT)]);
    let mut search = Search { table, contents: delta.contents(), replicas, within, found: None };
    // The bytes were checked when they were decoded, or made here; and a find needs no more of them.
    let _ = delta.walk(&mut search);
    search.found
}

struct Search<'a> {
    table: &'a Table,
    contents: Contents<'a>,
    /// The replicas that the delta speaks of, and how many of their events have been applied here.
    replicas: Few<(ReplicaId, u64)>,
    /// The containers from the root down to where the walk is, as far as they are there.
    within: Few<Option<Id>>,
    found: Option<Dot>,
}

impl Search<'_> {
    fn find(&self, kind: Kind, name: Name<'_>) -> Option<Id> {
        self.within.last().copied().flatten().and_then(|parent| self.table.find(parent, kind, name))
    }

    /// Whether an entry's event `dot` says the same.
    fn is_said(&self, id: Id, dot: Dot, stamp: Stamp, value: &Value) -> bool {
        match self.table.events(id) {
            Events::Dot(_) => true,
            Events::Written(events) => {
                events.iter().any(|event| event.dot == dot && event.stamp == stamp && event.value == *value)
            }
        }
    }
}

impl Visitor for Search<'_> {
    fn enter(&mut self, kind: Kind, name: Name<'_>) -> Result<(), DecodeError> {
        self.within.push(self.find(kind, name));
        Ok(())
    }

    fn leave(&mut self) {
        self.within.pop();
    }

    fn cell(&mut self, kind: Kind, name: Name<'_>, events: u64) -> Result<(), DecodeError> {
        let here = self.find(kind, name);
        for _ in 0..events {
            let (replica, seq, stamp, value) = self.contents.next(kind.payload())?;
            let Some((replica, known)) = self.replicas.get(replica).copied() else { continue };
            let dot = Dot { replica, seq };
            if seq > known || self.found.is_some() {
                continue;
            }
            self.found = match self.table.holder(dot) {
                Some(id) if here != Some(id) || !self.is_said(id, dot, stamp, &value) => Some(dot),
                _ => None,
            };
        }
        Ok(())
    }
}
