//! Random edits, undone and redone.

use crate::common::spec::{Leaves, leaves};
use crate::common::{Rng, pull, random_op_on, random_ops};
use crate::{Author, NOW, meet, two};
use quickcheck::quickcheck;
use watersmeet_crdt::document::Op;
use watersmeet_crdt::{Delta, Document, ReplicaId};

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
