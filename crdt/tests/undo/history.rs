//! What a history keeps, in which steps, and how long.

use crate::common::spec::leaves;
use crate::{Author, NOW, ints, meet, two};
use watersmeet_crdt::document::limits::{HISTORY_BYTES_MAX, HISTORY_STEPS_MAX, VALUE_BYTES_MAX};
use watersmeet_crdt::document::{EditError, History};
use watersmeet_crdt::{Delta, Document, ReplicaId, Value};

#[test]
fn an_undone_edit_travels_like_any_other_and_tells_of_its_changes() {
    let mut anna = Author::new(1);
    anna.document.watch();
    let before = anna.document.version().clone();
    anna.edit(|tx| tx.set(&["a"], 1));
    let between = anna.document.version().clone();
    let first = anna.document.since(&before);
    assert!(anna.undo());
    let second = anna.document.since(&between);
    let mut far = Document::new(ReplicaId::new(2));
    far.apply(first).unwrap();
    assert!(far.apply(second).unwrap());
    assert_eq!(far.hash(), anna.document.hash());
    assert!(anna.document.take_changes().is_empty(), "written and taken back");
    assert!(anna.redo());
    assert_eq!(anna.document.take_changes().len(), 1);
}

#[test]
fn a_new_edit_ends_what_can_be_redone() {
    let mut anna = Author::new(1);
    anna.edit(|tx| tx.set(&["a"], 1));
    assert!(anna.undo() && anna.history.can_redo());
    let refused = anna.history.edit(&mut anna.document, NOW, |tx| tx.set(&[], 1));
    assert_eq!(refused, Err(EditError::EmptyPath));
    assert!(anna.history.can_redo(), "a refused edit is none");
    anna.edit(|tx| tx.set(&["b"], 1));
    assert!(!anna.history.can_redo() && !anna.redo());
}

#[test]
fn edits_are_grouped_by_time_until_another_writes_between_them() {
    let (mut anna, mut ben) = two();
    anna.history = History::merging_within(100);
    let type_at = |anna: &mut Author, millis, value: i32| {
        anna.history.edit(&mut anna.document, NOW.plus(millis), |tx| tx.set(&["a"], value)).unwrap()
    };
    type_at(&mut anna, 0, 1);
    type_at(&mut anna, 90, 2);
    type_at(&mut anna, 300, 3);
    meet(&mut anna, &mut ben);
    ben.document.edit(NOW.plus(310), |tx| tx.set(&["a"], 4)).unwrap();
    meet(&mut anna, &mut ben);
    type_at(&mut anna, 320, 5);
    type_at(&mut anna, 330, 6);
    anna.history.seal();
    type_at(&mut anna, 331, 7);
    let mut read = Vec::new();
    while anna.undo() {
        read.extend(anna.document.register(&["a"]).cloned());
    }
    assert_eq!(read, ints(&[6, 4]), "Ben's stands");
    assert_eq!(anna.document.register(&["a"]), Some(&Value::from(4)));
}

#[test]
fn grouped_edits_go_back_to_before_the_first() {
    let mut anna = Author::new(1);
    anna.edit(|tx| {
        tx.set(&["a"], 0);
        tx.increment(&["n"], 1);
        tx.splice(&["l"], 0, 0, [1, 2]);
    });
    let before = leaves(&anna.document);
    anna.history = History::merging_within(100);
    for value in 1..20 {
        anna.edit(|tx| {
            tx.set(&["a"], value);
            tx.increment(&["n"], 1);
            tx.splice(&["l"], 0, 1, [value]);
        });
    }
    anna.edit(|tx| tx.delete(&["n"]));
    let after = leaves(&anna.document);
    assert!(anna.undo() && !anna.history.can_undo());
    assert_eq!(leaves(&anna.document), before);
    assert!(anna.redo());
    assert_eq!(leaves(&anna.document), after);
}

#[test]
fn a_history_keeps_its_limits() {
    let mut anna = Author::new(1);
    for value in 0..2_000 {
        anna.edit(|tx| tx.set(&["a"], value));
    }
    let mut undone = 0;
    while anna.undo() {
        undone += 1;
    }
    assert_eq!(undone, HISTORY_STEPS_MAX);
    assert_eq!(anna.document.register(&["a"]), Some(&Value::from(999)));

    let mut anna = Author::new(1);
    for value in 0..8 {
        anna.edit(|tx| tx.set(&["a"], vec![value; VALUE_BYTES_MAX]));
    }
    let mut undone = 0;
    while anna.undo() {
        undone += 1;
    }
    assert_eq!(undone, HISTORY_BYTES_MAX / VALUE_BYTES_MAX - 1, "each takes a little more than its value");
    assert!(anna.redo());
}

#[test]
fn a_document_that_was_closed_and_opened_can_still_be_undone() {
    let mut anna = Author::new(1);
    anna.edit(|tx| {
        tx.set(&["a"], 1);
        tx.splice(&["l"], 0, 0, [1]);
    });
    let state = anna.document.encode_state();
    anna.document = Document::new(ReplicaId::new(1));
    anna.document.apply(Delta::decode(&state).unwrap()).unwrap();
    assert!(anna.undo() && anna.document.is_empty());
}
