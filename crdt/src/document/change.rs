//! Change events: what a user interface needs to follow a document without reading it again.
//!
//! They are told alike for local edits and for what others sent. An entry that is changed several times before
//! somebody asks is told of once, by what it was before and what it is now; only a list tells every step, in order,
//! because each step's index counts on the steps before it.

use super::kind::Kind;
use super::table::{Events, Id, ROOT, Table};
use crate::{Dot, Value};
use std::collections::BTreeMap;

/// Something in a document that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The keys from the root down to the register, counter, set, flag or list.
    pub path: Vec<String>,
    /// What stands, or stood, there.
    pub kind: Kind,
    /// What happened to it.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A register reads otherwise, or has other conflicts.
    Written {
        /// What it reads now; none if it is gone.
        value: Option<Value>,
        /// How many concurrent values there are besides.
        conflicts: usize,
    },
    /// A counter reads otherwise.
    Counted {
        /// What it reads now.
        value: i64,
        /// By how much that is more than before.
        by: i64,
    },
    /// An item came into a set.
    Added(Value),
    /// An item went out of a set.
    Removed(Value),
    /// A flag or a guard was raised, or lowered.
    Raised(bool),
    /// A list has one more element.
    Inserted {
        /// Where it stands now.
        index: usize,
        /// What it reads.
        value: Value,
    },
    /// An element of a list reads otherwise.
    Replaced {
        /// Where it stands.
        index: usize,
        /// What it reads now.
        value: Value,
    },
    /// A list has one element less.
    Taken {
        /// Where it stood.
        index: usize,
    },
}

/// Notes changes as they are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    noted: Vec<Noted>,
    /// Where entries that are still open stand in `noted`.
    open: BTreeMap<Id, usize>,
    /// What the element of a list was before the change that is being made.
    element: Option<Element>,
}

#[derive(Clone, Debug)]
enum Noted {
    Done(Change),
    /// Something that may change further.
    Open(Id, State),
    /// Something that is as it was before.
    Nothing,
}

/// How an entry reads, as far as it takes to tell whether that has changed.
#[derive(Clone, Debug, PartialEq)]
enum State {
    /// The dots of a register's values: what they say does not change.
    Register(Vec<Dot>),
    Counter(i64),
    /// Whether an item is in a set, or a flag is up.
    Up(bool),
}

#[derive(Clone, Debug)]
struct Element {
    index: usize,
    winner: Option<Dot>,
}

impl Recorder {
    /// To be told before a change of an entry.
    pub(crate) fn before(&mut self, table: &Table, id: Id) {
        if table.entry(id).kind == Kind::List {
            let winner = table.events(id).winner().map(|event| event.dot);
            self.element = Some(Element { index: table.index_in_list(id), winner });
        } else if !self.open.contains_key(&id) {
            self.open.insert(id, self.noted.len());
            self.noted.push(Noted::Open(id, State::of(table, id)));
        }
    }

    /// To be told after it, and before an entry that it emptied is removed.
    pub(crate) fn after(&mut self, table: &Table, id: Id) {
        if let Some(before) = self.element.take() {
            let now = table.events(id).winner();
            let index = before.index;
            let what = match (before.winner, now) {
                (None, Some(now)) => What::Inserted { index, value: now.value.clone() },
                (Some(_), None) => What::Taken { index },
                (Some(before), Some(now)) if before != now.dot => {
                    What::Replaced { index, value: now.value.clone() }
                }
                _ => return,
            };
            let change = Change { path: path(table, table.entry(id).parent), kind: Kind::List, what };
            self.noted.push(Noted::Done(change));
        } else if table.is_bottom(id)
            && let Some(at) = self.open.remove(&id)
        {
            self.close(table, at);
        }
    }

    /// The changes since this was last asked.
    pub(crate) fn take(&mut self, table: &Table) -> Vec<Change> {
        for (_, at) in std::mem::take(&mut self.open) {
            self.close(table, at);
        }
        let done = |noted| if let Noted::Done(change) = noted { Some(change) } else { None };
        std::mem::take(&mut self.noted).into_iter().filter_map(done).collect()
    }

    fn close(&mut self, table: &Table, at: usize) {
        if let Noted::Open(id, before) = std::mem::replace(&mut self.noted[at], Noted::Nothing)
            && let Some(change) = change(table, id, &before)
        {
            self.noted[at] = Noted::Done(change);
        }
    }
}

impl State {
    fn of(table: &Table, id: Id) -> Self {
        let events = table.events(id);
        match table.entry(id).kind {
            Kind::Register => State::Register(events.dots().collect()),
            Kind::Counter => State::Counter(sum(events)),
            Kind::RwSet => State::Up(is_in(events)),
            Kind::Guard => State::Up(events.dots().next().is_none()),
            Kind::Set | Kind::Flag | Kind::Map | Kind::List => State::Up(events.dots().next().is_some()),
        }
    }
}

fn change(table: &Table, id: Id, before: &State) -> Option<Change> {
    let now = State::of(table, id);
    if now == *before {
        return None;
    }
    let (entry, events) = (table.entry(id), table.events(id));
    let in_set = matches!(entry.kind, Kind::Set | Kind::RwSet);
    let what = match now {
        State::Register(dots) => What::Written {
            value: events.winner().map(|event| event.value.clone()),
            conflicts: dots.len().saturating_sub(1),
        },
        State::Counter(value) => {
            let before = if let State::Counter(before) = before { *before } else { 0 };
            What::Counted { value, by: value.saturating_sub(before) }
        }
        State::Up(true) if in_set => What::Added(entry.name.clone()),
        State::Up(false) if in_set => What::Removed(entry.name.clone()),
        State::Up(up) => What::Raised(up),
    };
    let of = if in_set { entry.parent } else { id };
    Some(Change { path: path(table, of), kind: entry.kind, what })
}

/// The keys that lead to an entry.
pub(crate) fn path(table: &Table, id: Id) -> Vec<String> {
    let mut path = Vec::new();
    let mut id = id;
    while id != ROOT {
        path.push(table.entry(id).name.text().unwrap_or_default().to_owned());
        id = table.entry(id).parent;
    }
    path.reverse();
    path
}

/// A counter's value, kept within `i64`.
pub(crate) fn sum(events: Events<'_>) -> i64 {
    let sum: i128 = events.written().iter().filter_map(|event| event.value.int()).map(i128::from).sum();
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

/// Whether an item is in a remove-wins set: it was added, and no removal stands against it.
pub(crate) fn is_in(events: Events<'_>) -> bool {
    let marks = events.written();
    !marks.is_empty() && marks.iter().all(|event| event.value == Value::Bool(true))
}
