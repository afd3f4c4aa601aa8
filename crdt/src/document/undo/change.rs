//! What is done to a cell to undo, or to redo: noted as an edit is made, and composed where edits are grouped.

use super::names::Names;
use crate::document::change::{is_in, sum};
use crate::document::edit::Hand;
use crate::document::kind::{Kind, Payload};
use crate::document::table::{Events, Id, Name, ROOT, Table, Written};
use crate::{Dot, ReplicaId, Value};
use std::sync::Arc;

/// What holds events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    /// The keys from the root down; cells of one set or list share them.
    pub(super) path: Arc<[String]>,
    pub(super) kind: Kind,
    /// Which item of a set, or the position of which element of a list.
    pub(super) item: Option<Value>,
}

impl Cell {
    pub(super) fn find(&self, table: &Table) -> Option<Id> {
        let (name, above) = self.path.split_last()?;
        let map = above.iter().try_fold(ROOT, |map, name| table.find(map, Kind::Map, Name::Text(name)))?;
        let at = table.find(map, self.kind, Name::Text(name))?;
        self.item.as_ref().map_or(Some(at), |item| table.find(at, self.kind, item))
    }

    pub(super) fn make(&self, hand: &mut Hand<'_>) -> Option<Id> {
        let (name, above) = self.path.split_last()?;
        let at = hand.make(above.iter().map(String::as_str), self.kind, name);
        Some(self.item.as_ref().map_or(at, |item| hand.table.find_or_make(at, self.kind, item)))
    }
}

/// What is done to a cell to undo, or to redo.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Of anything but a counter.
    Written {
        /// What has to stand there.
        stands: Stands,
        /// What is to stand there then: an event, by its name, and what it says.
        back: Option<(Dot, Value)>,
    },
    /// Of a counter.
    Counted {
        /// How much is to be counted.
        by: i64,
        /// What each other replica had counted, and is to be counted unless a count of that replica is there.
        lost: Vec<(ReplicaId, i64)>,
        /// Whether a count of this replica has to be there.
        stands: bool,
        /// Whether one is to be there then, even if it is 0.
        back: bool,
    },
}

/// What is expected to stand in a cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stands {
    /// An event of one's own, by its name; perhaps with others beside it.
    Own(Dot),
    /// Just these, of others; mostly none.
    Others(Vec<Dot>),
}

impl Change {
    /// The change back from what an edit has made of a cell.
    pub(super) fn back(
        kind: Kind,
        before: &[Written],
        after: Events<'_>,
        own: ReplicaId,
        names: &Names,
    ) -> Option<Change> {
        if kind == Kind::Counter {
            return Change::count_back(before, after, own);
        }
        let stands = match after.dots().next() {
            Some(dot) if before.iter().any(|event| event.dot == dot) => return None,
            Some(dot) => Stands::Own(names.name(dot)),
            None => Stands::Others(Vec::new()),
        };
        // Where others wrote too, what stands there again is not one's own, and is not undone any further.
        let of_another = before.iter().map(|event| event.dot).find(|dot| dot.replica != own);
        let named = of_another.or(before.first().map(|event| event.dot));
        let back = named.map(|dot| (names.name(dot), read(kind, Events::Written(before))));
        Some(Change::Written { stands, back }).filter(|change| !change.is_idle())
    }

    fn count_back(before: &[Written], after: Events<'_>, own: ReplicaId) -> Option<Change> {
        let (had, has) = (count_of(own, before), count_of(own, after.written()));
        let is_lost = |event: &&Written| event.dot.replica != own && after.dots().all(|dot| dot != event.dot);
        let lost = before.iter().filter(is_lost);
        let lost: Vec<_> = lost.map(|event| (event.dot.replica, event.value.int().unwrap_or(0))).collect();
        let by = had.unwrap_or(0).saturating_sub(has.unwrap_or(0));
        let back = had.is_some() || !lost.is_empty();
        Some(Change::Counted { by, lost, stands: has.is_some(), back }).filter(|change| !change.is_idle())
    }

    /// Whether it changes nothing.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Change::Written { stands, back } => *stands == Stands::Others(Vec::new()) && back.is_none(),
            Change::Counted { by, lost, stands, back } => *by == 0 && lost.is_empty() && stands == back,
        }
    }

    /// Whether a later change of the cell goes back to where this one starts: nobody else wrote in between.
    pub(super) fn goes_on_to(&self, later: &Change) -> bool {
        match (self, later) {
            (Change::Written { stands: Stands::Own(own), .. }, Change::Written { back, .. }) => {
                back.as_ref().is_some_and(|(name, _)| name == own)
            }
            (Change::Written { stands: Stands::Others(others), .. }, Change::Written { back, .. }) => {
                others.is_empty() && back.is_none()
            }
            (Change::Counted { stands, .. }, Change::Counted { back, .. }) => stands == back,
            _ => false,
        }
    }

    /// Goes back from where the later change starts to where this one leads.
    pub(super) fn extend(&mut self, later: Change) {
        match (self, later) {
            (Change::Written { stands, .. }, Change::Written { stands: later, .. }) => *stands = later,
            (
                Change::Counted { by, lost, stands, .. },
                Change::Counted { by: more, lost: and_lost, stands: later, .. },
            ) => {
                *by = by.saturating_add(more);
                lost.extend(and_lost);
                *stands = later;
            }
            _ => {}
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = Dot> {
        let (stands, back) = match self {
            Change::Written { stands, back } => {
                let own = if let Stands::Own(own) = stands { Some(*own) } else { None };
                (own, back.as_ref().map(|(name, _)| *name))
            }
            Change::Counted { .. } => (None, None),
        };
        stands.into_iter().chain(back)
    }

    /// The bytes that it takes beside itself.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Change::Written { stands, back } => {
                let others = if let Stands::Others(others) = stands { others.len() } else { 0 };
                others * size_of::<Dot>() + back.as_ref().map_or(0, |(_, value)| value.bytes())
            }
            Change::Counted { lost, .. } => lost.len() * size_of::<(ReplicaId, i64)>(),
        }
    }
}

/// What the events of a cell say together.
fn read(kind: Kind, events: Events<'_>) -> Value {
    match kind.payload() {
        Payload::Written => events.winner().map(|event| event.value.clone()).unwrap_or_default(),
        Payload::Mark => Value::Bool(is_in(events)),
        Payload::Subtotal => Value::Int(sum(events)),
        Payload::Nothing => Value::Null,
    }
}

pub(super) fn count_of(replica: ReplicaId, events: &[Written]) -> Option<i64> {
    events.iter().find(|event| event.dot.replica == replica).and_then(|event| event.value.int())
}
