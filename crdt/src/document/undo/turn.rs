//! Undoing, or redoing: the edit that changes cells back, and notes what changes them forth again.

use super::change::{Cell, Change, Stands, count_of};
use super::names::Names;
use crate::document::edit::Hand;
use crate::document::table::{Events, Id};
use crate::{Dot, ReplicaId, Value};

/// The edit that undoes or redoes a step.
pub(super) struct Turn<'t, 'h> {
    hand: &'t mut Hand<'h>,
    names: &'t mut Names,
    own: ReplicaId,
    /// Whether an event has been made that says that something was withdrawn.
    withdrawn: bool,
}

impl<'t, 'h> Turn<'t, 'h> {
    pub(super) fn new(hand: &'t mut Hand<'h>, names: &'t mut Names) -> Self {
        Turn { own: hand.replica(), hand, names, withdrawn: false }
    }
}

impl Turn<'_, '_> {
    /// Changes a cell, and answers with the change back; nothing if others have made it void.
    pub(super) fn cell(&mut self, cell: &Cell, change: Change) -> Option<Change> {
        match change {
            Change::Written { stands: Stands::Own(name), back } => self.take_back(cell, name, back),
            Change::Written { stands: Stands::Others(others), back } => self.bring_back(cell, &others, back?),
            Change::Counted { by, lost, stands, back } => self.count(cell, by, &lost, stands, back),
        }
    }

    /// Puts what was there before in place of an event of one's own.
    fn take_back(&mut self, cell: &Cell, name: Dot, back: Option<(Dot, Value)>) -> Option<Change> {
        let own = self.names.dot(name);
        let id = cell.find(self.hand.table)?;
        let events = self.hand.table.events(id);
        events.dots().find(|dot| *dot == own)?;
        let others: Vec<Dot> = events.dots().filter(|dot| *dot != own).collect();
        let said = events.written().iter().find(|event| event.dot == own);
        let said = said.map(|event| event.value.clone()).unwrap_or_default();
        let stands = match back {
            Some((before, value)) if others.is_empty() => {
                let dot = self.hand.write(id, value);
                self.names.set(before, dot);
                Stands::Own(before)
            }
            _ => {
                self.withdraw(id, own);
                Stands::Others(others)
            }
        };
        Some(Change::Written { stands, back: Some((name, said)) })
    }

    /// Writes what was there, if what stands there has not changed since.
    fn bring_back(&mut self, cell: &Cell, others: &[Dot], back: (Dot, Value)) -> Option<Change> {
        let table = &self.hand.table;
        let stand = cell.find(table).map_or(Events::Written(&[]), |id| table.events(id));
        if !stand.dots().eq(others.iter().copied()) {
            return None;
        }
        let id = cell.make(self.hand)?;
        let (name, value) = back;
        let dot = self.hand.write_beside(id, value);
        self.names.set(name, dot);
        Some(Change::Written { stands: Stands::Own(name), back: None })
    }

    fn count(
        &mut self,
        cell: &Cell,
        by: i64,
        lost: &[(ReplicaId, i64)],
        stands: bool,
        back: bool,
    ) -> Option<Change> {
        let table = &self.hand.table;
        let events = cell.find(table).map_or(&[][..], |id| table.events(id).written());
        let had = count_of(self.own, events);
        if stands && had.is_none() {
            return None;
        }
        let is_gone = |(replica, _): &&(ReplicaId, i64)| count_of(*replica, events).is_none();
        let lost = lost.iter().filter(is_gone).fold(0_i64, |sum, (_, count)| sum.saturating_add(*count));
        let before = had.unwrap_or(0);
        let count = before.saturating_add(by).saturating_add(lost);
        let id = cell.make(self.hand)?;
        let is_there = count != 0 || back;
        match own_event(self.own, self.hand.table.events(id)) {
            _ if is_there => drop(self.hand.write_beside(id, Value::Int(count))),
            Some(own) => self.withdraw(id, own),
            None => self.hand.table.prune(id),
        }
        let by = before.saturating_sub(count);
        Some(Change::Counted { by, lost: Vec::new(), stands: is_there, back: stands })
    }

    fn withdraw(&mut self, id: Id, dot: Dot) {
        if !self.withdrawn {
            self.hand.dot();
            self.withdrawn = true;
        }
        self.hand.withdraw(id, dot);
    }
}

fn own_event(replica: ReplicaId, events: Events<'_>) -> Option<Dot> {
    events.dots().find(|dot| dot.replica == replica)
}
