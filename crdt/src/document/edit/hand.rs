//! The hand that writes: one operation after the other, straight into the table.

use super::{Action, Splice};
use crate::document::Few;
use crate::document::change::Recorder;
use crate::document::kind::{Kind, Payload};
use crate::document::log::{Removed, Run};
use crate::document::table::{Id, Name, ROOT, Table, Written};
use crate::document::undo::Trail;
use crate::position::Position;
use crate::{Dot, ReplicaId, Stamp, Value};

/// The hand that writes: one replica's edit of a table. **Every mutation takes a dot, removals too**, so that a
/// version vector alone tells who lacks what.
pub(crate) struct Hand<'a> {
    replica: ReplicaId,
    /// The last event before this edit, and the last so far.
    before: u64,
    seq: u64,
    stamp: Stamp,
    pub(in crate::document) table: &'a mut Table,
    changes: Option<&'a mut Recorder>,
    removed: Few<Removed>,
    /// How the cells read that it writes to, if somebody may want to undo that.
    pub(in crate::document) trail: Option<Trail>,
}

impl<'a> Hand<'a> {
    pub(crate) fn new(
        replica: ReplicaId,
        before: u64,
        stamp: Stamp,
        table: &'a mut Table,
        changes: Option<&'a mut Recorder>,
    ) -> Self {
        Hand { replica, before, seq: before, stamp, table, changes, removed: Few::new(), trail: None }
    }

    /// The last event, and what was removed.
    pub(crate) fn done(self) -> (u64, Few<Removed>) {
        (self.seq, self.removed)
    }

    pub(in crate::document) fn replica(&self) -> ReplicaId {
        self.replica
    }

    pub(in crate::document) fn dot(&mut self) -> Dot {
        self.seq += 1;
        Dot { replica: self.replica, seq: self.seq }
    }

    pub(super) fn act<'n>(
        &mut self,
        above: impl Iterator<Item = &'n str> + Clone,
        name: &str,
        action: Action,
    ) {
        match action {
            Action::Set(value) => {
                let id = self.make(above, Kind::Register, name);
                self.write(id, value);
            }
            Action::Increment(by) => self.increment(above, name, by),
            Action::Insert(item) => {
                let set = self.make(above, Kind::Set, name);
                let id = self.table.find_or_keep(set, Kind::Set, item);
                self.write(id, Value::Null);
            }
            Action::Remove(item) => {
                if let Some(id) =
                    self.find(above, Kind::Set, name).and_then(|set| self.table.find(set, Kind::Set, &item))
                {
                    self.dot();
                    self.clear(id);
                }
            }
            Action::Include(item) => self.mark(above, name, item, true),
            Action::Exclude(item) => self.mark(above, name, item, false),
            Action::Flag(up) => self.raise(above, Kind::Flag, name, up),
            Action::Guard(up) => self.raise(above, Kind::Guard, name, !up),
            Action::Splice(splice) => self.splice(above, name, *splice),
            Action::Replace(replace) => {
                let (index, value) = *replace;
                let element = self
                    .find(above, Kind::List, name)
                    .and_then(|list| self.table.ordered(list).get(index).copied());
                if let Some(id) = element {
                    self.write(id, value);
                }
            }
            Action::Delete => self.delete(above, name),
        }
    }

    /// The entry at a path, made if it is not there.
    pub(in crate::document) fn make<'n>(
        &mut self,
        above: impl Iterator<Item = &'n str>,
        kind: Kind,
        name: &str,
    ) -> Id {
        let table = &mut self.table;
        let map = above.fold(ROOT, |map, name| table.find_or_make(map, Kind::Map, Name::Text(name)));
        table.find_or_make(map, kind, Name::Text(name))
    }

    /// The entry at a path, if it is there.
    fn find<'n>(&self, above: impl Iterator<Item = &'n str>, kind: Kind, name: &str) -> Option<Id> {
        self.table.find(self.map(above)?, kind, Name::Text(name))
    }

    fn map<'n>(&self, mut above: impl Iterator<Item = &'n str>) -> Option<Id> {
        above.try_fold(ROOT, |map, name| self.table.find(map, Kind::Map, Name::Text(name)))
    }

    /// Writes an event in place of all those that are seen in an entry.
    pub(in crate::document) fn write(&mut self, id: Id, value: Value) -> Dot {
        let dot = self.dot();
        self.note(id, |hand| {
            let written = Written { dot, stamp: hand.stamp_of(id), value };
            let Hand { table, removed, before, .. } = hand;
            table.write(id, written, |older| remember(removed, *before, older, dot));
        });
        dot
    }

    /// Writes an event beside those of others that are seen in an entry, and in place of this replica's own.
    pub(in crate::document) fn write_beside(&mut self, id: Id, value: Value) -> Dot {
        let dot = self.dot();
        self.note(id, |hand| hand.put(id, dot, value));
        dot
    }

    fn stamp_of(&self, id: Id) -> Stamp {
        match self.table.entry(id).kind.payload() {
            Payload::Written => self.stamp,
            Payload::Subtotal | Payload::Mark | Payload::Nothing => Stamp::default(),
        }
    }

    fn put(&mut self, id: Id, dot: Dot, value: Value) {
        let stamp = self.stamp_of(id);
        if let Some(older) = self.table.put(id, Written { dot, stamp, value }) {
            self.remember(older, dot);
        }
    }

    fn remember(&mut self, older: Dot, dot: Dot) {
        remember(&mut self.removed, self.before, older, dot);
    }

    /// Takes every event out of an entry, and the entry out of the table.
    fn clear(&mut self, id: Id) {
        let nothing = Dot { replica: self.replica, seq: 0 };
        self.note(id, |hand| {
            let Hand { table, removed, before, .. } = hand;
            table.take_all(id, |older| remember(removed, *before, older, nothing));
        });
        self.table.prune(id);
    }

    /// Takes one event out of an entry, and the entry out of the table if that was its last.
    pub(in crate::document) fn withdraw(&mut self, id: Id, dot: Dot) {
        let nothing = Dot { replica: self.replica, seq: 0 };
        self.note(id, |hand| {
            if hand.table.take(id, dot) {
                hand.remember(dot, nothing);
            }
        });
        self.table.prune(id);
    }

    /// Makes a change of an entry, and tells whoever watches.
    fn note(&mut self, id: Id, change: impl FnOnce(&mut Self)) {
        if let Some(trail) = &mut self.trail {
            trail.before(self.table, id);
        }
        if let Some(changes) = &mut self.changes {
            changes.before(self.table, id);
        }
        change(self);
        if let Some(changes) = &mut self.changes {
            changes.after(self.table, id);
        }
    }

    /// A replica's subtotal stays within `i64`.
    fn increment<'n>(&mut self, above: impl Iterator<Item = &'n str>, name: &str, by: i64) {
        if by == 0 {
            return;
        }
        let id = self.make(above, Kind::Counter, name);
        let own = self.table.events(id).written().iter().find(|event| event.dot.replica == self.replica);
        let subtotal = own.and_then(|event| event.value.int()).unwrap_or(0).saturating_add(by);
        if own.is_some() && self.table.events(id).written().len() == 1 {
            self.write(id, Value::Int(subtotal));
        } else {
            self.write_beside(id, Value::Int(subtotal));
        }
    }

    /// Leaves an event in a flag, or removes those that are there.
    fn raise<'n>(&mut self, above: impl Iterator<Item = &'n str> + Clone, kind: Kind, name: &str, up: bool) {
        if up {
            let id = self.make(above, kind, name);
            self.write(id, Value::Null);
        } else if let Some(id) = self.find(above, kind, name) {
            self.dot();
            self.clear(id);
        }
    }

    fn mark<'n>(&mut self, above: impl Iterator<Item = &'n str>, name: &str, item: Value, mark: bool) {
        let set = self.make(above, Kind::RwSet, name);
        let id = self.table.find_or_keep(set, Kind::RwSet, item);
        self.write(id, Value::Bool(mark));
    }

    fn splice<'n>(
        &mut self,
        above: impl Iterator<Item = &'n str> + Clone,
        name: &str,
        Splice { index, remove, insert }: Splice,
    ) {
        let there = self.find(above.clone(), Kind::List, name);
        let gone: Vec<Id> = there.map_or_else(Vec::new, |list| {
            self.table.ordered(list).iter().skip(index).take(remove).copied().collect()
        });
        if !insert.is_empty() {
            let list = self.make(above, Kind::List, name);
            for (at, value) in (index..).zip(insert) {
                self.insert_at(list, at, value);
            }
        }
        if !gone.is_empty() {
            self.dot();
        }
        // From the back, what is behind has to move up less.
        gone.into_iter().rev().for_each(|id| self.clear(id));
    }

    /// Inserts an element where no other stands, after the one before `index`.
    fn insert_at(&mut self, list: Id, index: usize, value: Value) {
        let dot = self.dot();
        let position = {
            let ids = self.table.ordered(list);
            let name =
                |at: Option<usize>| match at.and_then(|at| ids.get(at)).map(|id| &self.table.entry(*id).name)
                {
                    Some(Value::Bytes(bytes)) => Some(&**bytes),
                    _ => None,
                };
            Position::at(name(index.checked_sub(1)), name(Some(index)), dot)
        };
        let id = self.table.find_or_make(list, Kind::List, Name::Bytes(position.as_bytes()));
        self.note(id, |hand| hand.put(id, dot, value));
    }

    /// Removes what is known of a name, of whatever kinds.
    fn delete<'n>(&mut self, above: impl Iterator<Item = &'n str>, name: &str) {
        let Some(map) = self.map(above) else { return };
        let found: Vec<Id> =
            Kind::ALL.iter().filter_map(|kind| self.table.find(map, *kind, Name::Text(name))).collect();
        if found.is_empty() {
            return;
        }
        self.dot();
        for id in found {
            self.table.leaves(id).into_iter().for_each(|leaf| self.clear(leaf));
        }
    }

    /// Writes again, as of now, what an event wrote. Concurrent writes stay.
    pub(crate) fn restamp(&mut self, id: Id, written: Dot) {
        let event = self.table.events(id).written().iter().find(|event| event.dot == written);
        let Some(value) = event.map(|event| event.value.clone()) else { return };
        self.write_beside(id, value);
    }
}

/// Notes that a dot was removed, unless the edit itself had made it: who has not seen the edit does not know it.
fn remember(removed: &mut Few<Removed>, before: u64, older: Dot, dot: Dot) {
    let own = older.replica == dot.replica;
    if !own || older.seq <= before {
        removed.push(Removed { run: Run::of(older), by: if own { dot.seq } else { 0 } });
    }
}
