//! What undoing means for each kind, alone and beside others.

use crate::common::spec::leaves;
use crate::{Author, NOW, ints, list, meet, two};
use watersmeet_crdt::Value;

#[test]
fn a_register_goes_back_as_long_as_nobody_wrote_over_it() {
    let (mut anna, mut ben) = two();
    anna.edit(|tx| tx.set(&["a"], 1));
    anna.edit(|tx| tx.set(&["a"], 2));
    meet(&mut anna, &mut ben);
    assert!(anna.undo());
    assert_eq!(anna.document.register(&["a"]), Some(&Value::from(1)));
    assert!(anna.redo());
    meet(&mut anna, &mut ben);
    ben.edit(|tx| tx.set(&["a"], 3));
    meet(&mut anna, &mut ben);
    let version = anna.document.version().clone();
    assert!(!anna.undo(), "there is nothing left to undo, in neither edit");
    assert_eq!(*anna.document.version(), version, "an undo that does nothing makes no event");
    assert_eq!(ben.document.register(&["a"]), Some(&Value::from(3)));
}

#[test]
fn of_concurrent_writes_only_mine_is_withdrawn() {
    let (mut anna, mut ben) = two();
    anna.edit(|tx| tx.set(&["a"], 1));
    meet(&mut anna, &mut ben);
    anna.edit(|tx| tx.set(&["a"], 2));
    ben.edit(|tx| tx.set(&["a"], 3));
    meet(&mut anna, &mut ben);
    assert_eq!(anna.document.conflicts(&["a"]).len(), 1);
    assert!(anna.undo());
    meet(&mut anna, &mut ben);
    assert_eq!(anna.document.register(&["a"]), Some(&Value::from(3)));
    assert!(anna.document.conflicts(&["a"]).is_empty());
    assert!(anna.redo());
    meet(&mut anna, &mut ben);
    assert_eq!(anna.document.conflicts(&["a"]).len(), 1);
    // And Ben takes his back.
    assert!(ben.undo());
    assert_eq!(ben.document.register(&["a"]), Some(&Value::from(2)));
}

#[test]
fn a_conflict_that_was_written_over_is_not_undone_any_further() {
    let (mut anna, mut ben) = two();
    ben.edit(|tx| tx.set(&["a"], 1));
    anna.edit(|tx| tx.set(&["a"], 2));
    meet(&mut anna, &mut ben);
    let winner = anna.document.register(&["a"]).unwrap().clone();
    anna.edit(|tx| tx.set(&["a"], 3));
    assert!(anna.undo());
    assert_eq!(anna.document.register(&["a"]), Some(&winner));
    assert!(!anna.undo(), "Ben's value would be gone with Anna's");
    assert_eq!(anna.document.register(&["a"]), Some(&winner));
}

#[test]
fn a_count_is_counted_back_whatever_others_count() {
    let (mut anna, mut ben) = two();
    anna.edit(|tx| tx.increment(&["n"], 5));
    meet(&mut anna, &mut ben);
    ben.edit(|tx| tx.increment(&["n"], 2));
    anna.edit(|tx| tx.increment(&["n"], -1));
    meet(&mut anna, &mut ben);
    assert_eq!(anna.document.counter(&["n"]), 6);
    assert!(anna.undo());
    assert_eq!(anna.document.counter(&["n"]), 7);
    assert!(anna.undo());
    assert_eq!(anna.document.counter(&["n"]), 2);
    assert!(anna.redo());
    meet(&mut anna, &mut ben);
    assert_eq!(ben.document.counter(&["n"]), 7);
    // What others have removed is not counted back.
    ben.edit(|tx| tx.delete(&["n"]));
    meet(&mut anna, &mut ben);
    assert!(!anna.undo());
    assert_eq!(anna.document.counter(&["n"]), 0);
}

#[test]
fn a_count_that_was_made_past_the_history_does_not_stop_it() {
    let mut anna = Author::new(1);
    anna.edit(|tx| tx.increment(&["n"], 5));
    anna.document.edit(NOW, |tx| tx.increment(&["n"], 1)).unwrap();
    assert!(anna.undo());
    assert_eq!(anna.document.counter(&["n"]), 1);
}

#[test]
fn a_deleted_counter_gets_back_what_everybody_had_counted() {
    let (mut anna, mut ben) = two();
    anna.edit(|tx| tx.increment(&["n"], 5));
    ben.edit(|tx| tx.increment(&["n"], 3));
    meet(&mut anna, &mut ben);
    anna.edit(|tx| tx.delete(&["n"]));
    assert!(anna.undo());
    assert_eq!(anna.document.counter(&["n"]), 8);
    assert!(anna.redo());
    assert_eq!(anna.document.counter(&["n"]), 0);
    // Ben has counted on in the meantime: his count survives the deletion, with what he had before.
    ben.edit(|tx| tx.increment(&["n"], 1));
    meet(&mut anna, &mut ben);
    assert_eq!(anna.document.counter(&["n"]), 4);
}

#[test]
fn a_count_that_survived_a_deletion_is_not_given_back_twice() {
    let (mut anna, mut ben) = two();
    anna.edit(|tx| tx.increment(&["n"], 5));
    ben.edit(|tx| tx.increment(&["n"], 3));
    meet(&mut anna, &mut ben);
    anna.edit(|tx| tx.delete(&["n"]));
    ben.edit(|tx| tx.increment(&["n"], 1));
    meet(&mut anna, &mut ben);
    assert!(anna.undo());
    meet(&mut anna, &mut ben);
    assert_eq!(ben.document.counter(&["n"]), 9);
}

#[test]
fn an_item_is_removed_unless_another_added_it_too() {
    let (mut anna, mut ben) = two();
    anna.edit(|tx| {
        tx.insert(&["s"], "both");
        tx.insert(&["s"], "mine");
        tx.insert(&["s"], "later");
    });
    ben.edit(|tx| tx.insert(&["s"], "both"));
    meet(&mut anna, &mut ben);
    ben.edit(|tx| tx.insert(&["s"], "later"));
    meet(&mut anna, &mut ben);
    assert!(anna.undo());
    meet(&mut anna, &mut ben);
    assert_eq!(ben.document.items(&["s"]), [&Value::from("both"), &Value::from("later")]);
    assert!(anna.redo());
    assert_eq!(anna.document.items(&["s"]).len(), 3);
}

#[test]
fn a_removed_item_is_added_again() {
    let (mut anna, mut ben) = two();
    ben.edit(|tx| {
        tx.insert(&["s"], 1);
        tx.include(&["r"], 1);
    });
    meet(&mut anna, &mut ben);
    anna.edit(|tx| {
        tx.remove(&["s"], 1);
        tx.exclude(&["r"], 1);
    });
    meet(&mut anna, &mut ben);
    assert!(ben.document.items(&["s"]).is_empty() && ben.document.rw_items(&["r"]).is_empty());
    assert!(anna.undo());
    meet(&mut anna, &mut ben);
    assert_eq!((ben.document.items(&["s"]).len(), ben.document.rw_items(&["r"]).len()), (1, 1));
    assert!(!ben.undo(), "Anna has written it since");
}

#[test]
fn in_a_remove_wins_set_a_removal_of_another_stands() {
    let (mut anna, mut ben) = two();
    anna.edit(|tx| tx.include(&["r"], 1));
    meet(&mut anna, &mut ben);
    anna.edit(|tx| tx.exclude(&["r"], 1));
    ben.edit(|tx| tx.exclude(&["r"], 1));
    meet(&mut anna, &mut ben);
    assert!(anna.undo());
    assert!(anna.document.rw_items(&["r"]).is_empty());
    meet(&mut anna, &mut ben);
    assert!(ben.undo());
    // Ben is the last to take his removal back: it reads as it did before that.
    assert_eq!(ben.document.rw_items(&["r"]).len(), 1);
}

#[test]
fn flags_and_guards_go_back() {
    let (mut anna, mut ben) = two();
    anna.edit(|tx| {
        tx.flag(&["f"], true);
        tx.guard(&["g"], false);
    });
    assert!(anna.undo());
    assert!(!anna.document.is_raised(&["f"]) && anna.document.is_guarded(&["g"]));
    assert!(anna.redo());
    ben.edit(|tx| {
        tx.flag(&["f"], true);
        tx.guard(&["g"], false);
    });
    meet(&mut anna, &mut ben);
    assert!(anna.undo());
    assert!(anna.document.is_raised(&["f"]) && !anna.document.is_guarded(&["g"]), "Ben did so too");
    anna.edit(|tx| {
        tx.flag(&["f"], false);
        tx.guard(&["g"], true);
    });
    assert!(anna.undo());
    assert!(anna.document.is_raised(&["f"]) && !anna.document.is_guarded(&["g"]));
}

#[test]
fn an_element_comes_back_at_its_place() {
    let (mut anna, mut ben) = two();
    anna.edit(|tx| tx.splice(&["l"], 0, 0, [1, 2, 3]));
    meet(&mut anna, &mut ben);
    anna.edit(|tx| tx.splice(&["l"], 1, 1, Vec::<Value>::new()));
    ben.edit(|tx| tx.splice(&["l"], 1, 0, [8]));
    ben.edit(|tx| tx.splice(&["l"], 3, 0, [9]));
    meet(&mut anna, &mut ben);
    assert_eq!(list(&anna), ints(&[1, 8, 9, 3]));
    assert!(anna.undo());
    assert_eq!(list(&anna), ints(&[1, 8, 2, 9, 3]));
    meet(&mut anna, &mut ben);
    assert!(anna.redo());
    assert_eq!(list(&anna), ints(&[1, 8, 9, 3]));
    assert!(anna.undo() && anna.undo());
    meet(&mut anna, &mut ben);
    assert_eq!(list(&ben), ints(&[8, 9]), "what Ben has inserted stays");
}

#[test]
fn an_element_that_another_has_written_stays() {
    let (mut anna, mut ben) = two();
    anna.edit(|tx| tx.splice(&["l"], 0, 0, [1, 2]));
    anna.edit(|tx| tx.replace(&["l"], 0, 10));
    meet(&mut anna, &mut ben);
    ben.edit(|tx| tx.replace(&["l"], 1, 20));
    meet(&mut anna, &mut ben);
    assert!(anna.undo());
    assert_eq!(list(&anna), ints(&[1, 20]));
    assert!(anna.undo());
    assert_eq!(list(&anna), ints(&[20]));
    assert!(anna.redo() && anna.redo());
    assert_eq!(list(&anna), ints(&[10, 20]));
}

#[test]
fn an_element_removed_here_and_written_there_is_one_element() {
    let (mut anna, mut ben) = two();
    anna.edit(|tx| tx.splice(&["l"], 0, 0, [1, 2]));
    meet(&mut anna, &mut ben);
    anna.edit(|tx| tx.splice(&["l"], 0, 1, Vec::<Value>::new()));
    assert!(anna.undo());
    ben.edit(|tx| tx.replace(&["l"], 0, 10));
    meet(&mut anna, &mut ben);
    assert_eq!(list(&anna).len(), 2);
}

#[test]
fn a_deleted_subtree_comes_back_whole_around_what_others_wrote() {
    let (mut anna, mut ben) = two();
    ben.edit(|tx| {
        tx.set(&["m", "name"], "mill");
        tx.set(&["m", "height"], 7);
        tx.increment(&["m", "votes"], 2);
        tx.insert(&["m", "tags"], "water");
        tx.include(&["m", "rights"], "anna");
        tx.exclude(&["m", "rights"], "ben");
        tx.flag(&["m", "open"], true);
        tx.guard(&["m", "safe"], false);
        tx.splice(&["m", "deep", "line"], 0, 0, [1, 2, 3]);
    });
    meet(&mut anna, &mut ben);
    let before = leaves(&anna.document);
    anna.edit(|tx| tx.delete(&["m"]));
    assert!(anna.document.is_empty());
    assert!(anna.undo());
    assert_eq!(leaves(&anna.document), before);
    assert!(anna.redo());
    assert!(anna.document.is_empty());
    meet(&mut anna, &mut ben);
    ben.edit(|tx| {
        tx.set(&["m", "name"], "ruin");
        tx.insert(&["m", "tags"], "stone");
    });
    meet(&mut anna, &mut ben);
    assert!(anna.undo());
    meet(&mut anna, &mut ben);
    assert_eq!(ben.document.register(&["m", "name"]), Some(&Value::from("ruin")));
    assert_eq!(ben.document.register(&["m", "height"]), Some(&Value::from(7)));
    assert_eq!(ben.document.items(&["m", "tags"]).len(), 2);
    assert_eq!(ben.document.list(&["m", "deep", "line"]).len(), 3);
}
