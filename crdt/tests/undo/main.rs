//! Undo and redo: one author alone goes back and forth through all that was read; among several, what others have
//! written stays.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

#[path = "../common/mod.rs"]
mod common;
mod history;
mod kinds;
mod random;

use common::pull;
use watersmeet_crdt::document::{History, Op, Transaction};
use watersmeet_crdt::{Document, ReplicaId, Time, Value};

const NOW: Time = Time::from_millis(1_700_000_000_000);

/// Somebody who edits.
struct Author {
    document: Document,
    history: History,
}

impl Author {
    fn new(id: u64) -> Self {
        Author { document: Document::new(ReplicaId::new(id)), history: History::default() }
    }

    fn edit(&mut self, build: impl FnOnce(&mut Transaction)) {
        assert!(self.history.edit(&mut self.document, NOW, build).unwrap(), "the edit did nothing");
    }

    fn commit(&mut self, ops: Vec<Op>) -> bool {
        self.history.commit(&mut self.document, NOW, ops).unwrap()
    }

    fn undo(&mut self) -> bool {
        self.history.undo(&mut self.document, NOW).unwrap()
    }

    fn redo(&mut self) -> bool {
        self.history.redo(&mut self.document, NOW).unwrap()
    }
}

fn meet(anna: &mut Author, ben: &mut Author) {
    pull(&mut anna.document, &ben.document);
    pull(&mut ben.document, &anna.document);
    assert_eq!(anna.document.hash(), ben.document.hash());
}

fn two() -> (Author, Author) {
    (Author::new(1), Author::new(2))
}

fn ints(values: &[i32]) -> Vec<Value> {
    values.iter().map(|value| Value::from(*value)).collect()
}

fn list(author: &Author) -> Vec<Value> {
    author.document.list(&["l"]).into_iter().cloned().collect()
}
