//! Undo and redo: one author alone goes back and forth through all that was read; among several, what others have
//! written stays.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::spec::{Leaves, leaves};
use common::{Rng, pull, random_op_on, random_ops};
use quickcheck::quickcheck;
use watersmeet_crdt::document::limits::{HISTORY_BYTES_MAX, HISTORY_STEPS_MAX, VALUE_BYTES_MAX};
use watersmeet_crdt::document::{EditError, History, Op, Transaction};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, Value};

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

/// One author, and all that was read so far.
struct Alone {
    rng: Rng,
    author: Author,
    read: Vec<Leaves>,
    at: usize,
}

impl Alone {
    /// Somebody starts with a document of others' making.
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let mut other = Document::new(ReplicaId::new(7));
        for _ in 0..rng.below(15) {
            other.commit(NOW, vec![random_op_on(&other, &mut rng)]).unwrap();
        }
        let mut author = Author::new(1);
        pull(&mut author.document, &other);
        let read = vec![leaves(&author.document)];
        Alone { rng, author, read, at: 0 }
    }

    fn step(&mut self) {
        match self.rng.below(10) {
            0..5 => self.edit(),
            5..8 => self.undo(),
            _ => self.redo(),
        }
        assert_eq!(self.author.history.can_undo(), self.at > 0);
        assert_eq!(self.author.history.can_redo(), self.at + 1 < self.read.len());
    }

    fn edit(&mut self) {
        let mut ops = vec![random_op_on(&self.author.document, &mut self.rng)];
        if self.rng.chance(40) {
            ops = random_ops(&mut self.rng);
            ops.extend(random_ops(&mut self.rng));
            // What cancels out is not a step; this never does.
            ops.push(Op::Increment(vec!["edits".to_owned()], 1));
        }
        if self.author.commit(ops) {
            self.at += 1;
            self.read.truncate(self.at);
            self.read.push(leaves(&self.author.document));
        }
    }

    fn undo(&mut self) {
        assert_eq!(self.author.undo(), self.at > 0);
        self.at = self.at.saturating_sub(1);
        self.check();
    }

    fn redo(&mut self) {
        let more = self.at + 1 < self.read.len();
        assert_eq!(self.author.redo(), more);
        self.at += usize::from(more);
        self.check();
    }

    fn check(&self) {
        assert_eq!(leaves(&self.author.document), self.read[self.at]);
    }
}

/// Conflicts aside, which one author cannot have brought about alone.
fn play_alone(seed: u64, steps: usize) {
    let mut alone = Alone::new(seed);
    (0..steps).for_each(|_| alone.step());
    while alone.author.history.can_undo() {
        alone.undo();
    }
    assert_eq!(leaves(&alone.author.document), alone.read[0], "all undone is not how it began");
    while alone.author.history.can_redo() {
        alone.redo();
    }
    assert_eq!(Some(&leaves(&alone.author.document)), alone.read.last(), "all redone is not how it ended");
    let again = Delta::decode(&alone.author.document.encode_state()).unwrap();
    let mut other = Document::new(ReplicaId::new(9));
    other.apply(again).unwrap();
    assert_eq!(other.hash(), alone.author.document.hash());
}

/// Several authors on the same few paths, each undoing and redoing: they converge, by deltas as by states.
fn play_together(seed: u64, steps: usize) {
    let mut rng = Rng(seed);
    let mut authors: Vec<Author> = (1..=3).map(Author::new).collect();
    for _ in 0..steps {
        let who = rng.below(3);
        match rng.below(12) {
            0..5 => drop({
                let ops = vec![random_op_on(&authors[who].document, &mut rng)];
                authors[who].commit(ops)
            }),
            5..7 => drop(authors[who].undo()),
            7 => drop(authors[who].redo()),
            _ => {
                let delta = authors[rng.below(3)].document.since(authors[who].document.version());
                authors[who].document.apply(Delta::decode(&delta.encode()).unwrap()).unwrap();
            }
        }
    }
    for author in &mut authors {
        while author.undo() {}
        assert!(!author.history.can_undo());
    }
    let mut by_state = Document::new(ReplicaId::new(9));
    for author in &authors {
        by_state.apply(author.document.state()).unwrap();
    }
    for _ in 0..2 {
        for (to, from) in [(0, 1), (1, 2), (2, 0), (0, 1), (1, 2)] {
            let delta = authors[from].document.since(authors[to].document.version());
            authors[to].document.apply(delta).unwrap();
        }
    }
    for author in &authors {
        assert_eq!(author.document.hash(), by_state.hash());
    }
}

quickcheck! {
    fn one_author_goes_back_and_forth(seed: u64) -> bool {
        play_alone(seed, 60);
        true
    }

    fn several_authors_converge(seed: u64) -> bool {
        play_together(seed, 80);
        true
    }

    /// Where only one writes, everything goes back; where only the other writes, everything stays.
    fn what_one_has_not_touched_stays(seed: u64) -> bool {
        let mut rng = Rng(seed);
        let (mut anna, mut ben) = two();
        for _ in 0..40 {
            let (author, own) = if rng.chance(50) { (&mut anna, "anna") } else { (&mut ben, "ben") };
            // Indexes are for another path: only what needs none.
            let mut op = random_ops(&mut rng).remove(0);
            let (Op::Set(path, _) | Op::Increment(path, _) | Op::Insert(path, _) | Op::Remove(path, _)
                | Op::Include(path, _) | Op::Exclude(path, _) | Op::Flag(path, _) | Op::Guard(path, _)
                | Op::Splice(path, ..) | Op::Replace(path, ..) | Op::Delete(path)) = &mut op;
            path.insert(0, own.to_owned());
            author.commit(vec![op]);
            if rng.chance(30) {
                meet(&mut anna, &mut ben);
            }
        }
        meet(&mut anna, &mut ben);
        let before = leaves(&anna.document);
        while anna.undo() {}
        let of_ben = |leaves: Leaves| leaves.into_iter().filter(|((path, _), _)| path[0] == "ben").collect::<Leaves>();
        let undone = leaves(&anna.document);
        assert_eq!(undone, of_ben(before.clone()));
        meet(&mut anna, &mut ben);
        while anna.redo() {}
        assert_eq!(leaves(&anna.document), before);
        meet(&mut anna, &mut ben);
        true
    }
}

#[test]
fn authors_from_seeds() {
    for seed in 1..=400 {
        let played = std::panic::catch_unwind(|| {
            play_alone(seed, 80);
            play_together(seed, 120);
        });
        assert!(played.is_ok(), "seed {seed} went wrong");
    }
}

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
