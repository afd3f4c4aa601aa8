//! The document against plain collections: alone, it is what a map of values is; two apart, what their papers say.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::{Rng, pull, random_op_on};
use quickcheck::quickcheck;
use std::collections::{BTreeMap, BTreeSet};
use watersmeet_crdt::document::Op;
use watersmeet_crdt::{Document, ReplicaId, Time, Value};

/// The same operations on plain collections.
#[derive(Default)]
struct Model {
    registers: BTreeMap<Vec<String>, Value>,
    counters: BTreeMap<Vec<String>, i64>,
    sets: BTreeMap<Vec<String>, BTreeSet<Value>>,
    rw_sets: BTreeMap<Vec<String>, BTreeSet<Value>>,
    flags: BTreeSet<Vec<String>>,
    lowered_guards: BTreeSet<Vec<String>>,
    lists: BTreeMap<Vec<String>, Vec<Value>>,
}

impl Model {
    fn apply(&mut self, op: &Op) {
        match op.clone() {
            Op::Set(path, value) => drop(self.registers.insert(path, value)),
            Op::Increment(path, by) => *self.counters.entry(path).or_default() += by,
            Op::Insert(path, item) => drop(self.sets.entry(path).or_default().insert(item)),
            Op::Remove(path, item) => drop(self.sets.entry(path).or_default().remove(&item)),
            Op::Include(path, item) => drop(self.rw_sets.entry(path).or_default().insert(item)),
            Op::Exclude(path, item) => drop(self.rw_sets.entry(path).or_default().remove(&item)),
            Op::Flag(path, true) => drop(self.flags.insert(path)),
            Op::Flag(path, false) => drop(self.flags.remove(&path)),
            Op::Guard(path, false) => drop(self.lowered_guards.insert(path)),
            Op::Guard(path, true) => drop(self.lowered_guards.remove(&path)),
            Op::Splice(path, index, remove, insert) => {
                self.lists.entry(path).or_default().splice(index..index + remove, insert);
            }
            Op::Replace(path, index, value) => self.lists.entry(path).or_default()[index] = value,
            Op::Delete(path) => {
                self.rw_sets.retain(|at, _| !at.starts_with(&path));
                self.flags.retain(|at| !at.starts_with(&path));
                self.lowered_guards.retain(|at| !at.starts_with(&path));
                self.lists.retain(|at, _| !at.starts_with(&path));
                self.registers.retain(|at, _| !at.starts_with(&path));
                self.counters.retain(|at, _| !at.starts_with(&path));
                self.sets.retain(|at, _| !at.starts_with(&path));
            }
        }
    }

    fn agrees_with(&self, document: &Document, path: &[String]) -> bool {
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        let items: Vec<&Value> = self.sets.get(path).into_iter().flatten().collect();
        document.register(&keys) == self.registers.get(path)
            && document.conflicts(&keys).is_empty()
            && document.counter(&keys) == self.counters.get(path).copied().unwrap_or(0)
            && document.items(&keys) == items
            && document.rw_items(&keys) == self.rw_sets.get(path).into_iter().flatten().collect::<Vec<_>>()
            && document.is_raised(&keys) == self.flags.contains(path)
            && document.is_guarded(&keys) != self.lowered_guards.contains(path)
            && document.list(&keys) == self.lists.get(path).into_iter().flatten().collect::<Vec<_>>()
    }
}

/// All paths of the random operations.
fn paths() -> Vec<Vec<String>> {
    let mut paths = vec![Vec::new()];
    for from in 0.. {
        let Some(path): Option<Vec<String>> = paths.get(from).cloned() else { break };
        if path.len() < 3 {
            paths.extend(["a", "b", "c"].map(|key| [&path[..], &[key.to_owned()]].concat()));
        }
    }
    paths.split_off(1)
}

quickcheck! {
    fn alone_a_document_is_a_map_of_values(seed: u64) -> bool {
        let mut rng = Rng(seed);
        let mut document = Document::new(ReplicaId::new(1));
        let mut model = Model::default();
        (0..60).all(|_| {
            let op = random_op_on(&document, &mut rng);
            model.apply(&op);
            document.commit(Time::default(), vec![op]).unwrap();
            paths().iter().all(|path| model.agrees_with(&document, path))
        })
    }

    /// Two replicas edit one base apart, and meet. Sets: an item is there if it was and nobody removed it, or if
    /// either added it. Counters: both sums. Registers: a lone write wins, two are both kept.
    fn apart_two_replicas_do_what_the_papers_say(base: Vec<u8>, left: Vec<(u8, u8)>, right: Vec<(u8, u8)>) -> bool {
        let mut anna = Document::new(ReplicaId::new(1));
        let mut ben = Document::new(ReplicaId::new(2));
        anna.edit(Time::default(), |tx| base.iter().for_each(|item| tx.insert(&["s"], i64::from(item % 8)))).unwrap();
        pull(&mut ben, &anna);
        let base: BTreeSet<i64> = base.iter().map(|item| i64::from(item % 8)).collect();
        let (left, right) = (edit_apart(&mut anna, &left), edit_apart(&mut ben, &right));
        pull(&mut anna, &ben);
        pull(&mut ben, &anna);
        let expected: BTreeSet<Value> = (0..8)
            .filter(|item| {
                let kept = base.contains(item) && !left.touched.contains(item) && !right.touched.contains(item);
                kept || left.added.contains(item) || right.added.contains(item)
            })
            .map(Value::from)
            .collect();
        let writes: BTreeSet<i64> = left.write.into_iter().chain(right.write).collect();
        let written = anna.register(&["r"]).into_iter().chain(anna.conflicts(&["r"]));
        anna.hash() == ben.hash()
            && anna.items(&["s"]) == expected.iter().collect::<Vec<_>>()
            && anna.counter(&["c"]) == left.count + right.count
            && written.filter_map(Value::int).collect::<BTreeSet<_>>() == writes
    }
}

/// What one side's edits amount to.
#[derive(Default)]
struct Side {
    /// Items whose last edit here was an addition.
    added: BTreeSet<i64>,
    /// Items that were edited here at all: what was there before has been replaced or removed.
    touched: BTreeSet<i64>,
    count: i64,
    write: Option<i64>,
}

fn edit_apart(document: &mut Document, edits: &[(u8, u8)]) -> Side {
    let mut side = Side::default();
    for (kind, n) in edits {
        let (item, by) = (i64::from(n % 8), i64::from(*n));
        match kind % 4 {
            0 => {
                document.edit(Time::default(), |tx| tx.insert(&["s"], item)).unwrap();
                side.added.insert(item);
                side.touched.insert(item);
            }
            1 => {
                document.edit(Time::default(), |tx| tx.remove(&["s"], item)).unwrap();
                side.added.remove(&item);
                side.touched.insert(item);
            }
            2 => {
                document.edit(Time::default(), |tx| tx.increment(&["c"], by)).unwrap();
                side.count += by;
            }
            _ => {
                document.edit(Time::default(), |tx| tx.set(&["r"], by)).unwrap();
                side.write = Some(by);
            }
        }
    }
    side
}
