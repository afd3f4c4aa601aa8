//! What the document tests share: a repeatable source of chance, and random edits that collide.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

pub(crate) mod spec;
pub(crate) mod worlds;

use watersmeet_crdt::document::Op;
use watersmeet_crdt::{Document, Time, Value};

/// A small random number generator (splitmix64); a seed repeats everything.
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap()
    }

    /// True `percent` times in a hundred.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// An edit on one of few paths, of every kind, so that replicas collide.
pub(crate) fn random_op(rng: &mut Rng) -> Op {
    let depth = 1 + rng.below(3);
    let path: Vec<String> = (0..depth).map(|_| rng.pick(&["a", "b", "c"]).to_owned()).collect();
    let value = random_value(rng);
    match rng.below(20) {
        0..=4 => Op::Set(path, value),
        5..=6 => Op::Increment(path, i64::try_from(rng.below(7)).unwrap() - 3),
        7..=9 => Op::Insert(path, value),
        10..=11 => Op::Remove(path, value),
        12 => Op::Include(path, value),
        13 => Op::Exclude(path, value),
        14 => Op::Flag(path, rng.chance(60)),
        15 => Op::Guard(path, rng.chance(40)),
        16..=17 => {
            // Now and then so many that they are put into their places at once.
            let many = if rng.chance(5) { 40 } else { 3 };
            Op::Splice(path, 0, 0, (0..1 + rng.below(many)).map(|_| random_value(rng)).collect())
        }
        _ => Op::Delete(path),
    }
}

/// A random operation whose indexes fit the document: elements are also inserted in the middle, replaced and removed.
pub(crate) fn random_op_on(document: &Document, rng: &mut Rng) -> Op {
    let op = random_op(rng);
    let Op::Splice(path, _, _, insert) = op else { return op };
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let len = document.list(&names).len();
    let index = rng.below(len + 1);
    match rng.below(4) {
        0 if index < len => Op::Replace(path, index, random_value(rng)),
        1 => Op::Splice(path, index, rng.below(len - index + 1), Vec::new()),
        2 => Op::Splice(path, index, rng.below(len - index + 1), insert),
        _ => Op::Splice(path, index, 0, insert),
    }
}

/// Commits a few random operations, each of which sees those before it.
pub(crate) fn random_edit(document: &mut Document, now: Time, rng: &mut Rng) {
    for _ in 0..1 + rng.below(3) {
        let op = random_op_on(document, rng);
        document.commit(now, vec![op]).expect("within limits");
    }
}

fn random_value(rng: &mut Rng) -> Value {
    match rng.below(5) {
        0 => Value::Null,
        1 => Value::from(i64::try_from(rng.below(3)).unwrap()),
        2 => Value::from(rng.pick(&["x", "y"])),
        3 => Value::from(vec![Value::from(0.5), Value::from(true)]),
        _ => Value::from(vec![1u8, 2]),
    }
}

pub(crate) fn random_ops(rng: &mut Rng) -> Vec<Op> {
    (0..1 + rng.below(3)).map(|_| random_op(rng)).collect()
}

/// Brings `to` what it lacks of `from`.
pub(crate) fn pull(to: &mut Document, from: &Document) {
    to.apply(from.since(to.version())).expect("a delta since one's own version has no gap");
}
