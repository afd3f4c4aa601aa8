//! Positions: dense, unique, ordered as a list is; runs of several people never interleave.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use quickcheck::quickcheck;
use std::collections::BTreeSet;
use watersmeet_crdt::position::{POSITION_BYTES_MAX, Position};
use watersmeet_crdt::{Dot, ReplicaId};

/// Random numbers from a seed.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// One who types: gives each insertion its own event.
struct Typist {
    replica: ReplicaId,
    seq: u64,
    /// Whether it continues its runs.
    bunches: bool,
}

impl Typist {
    fn new(replica: u64, bunches: bool) -> Self {
        // Spread ids, so that they are as long as random ones.
        Typist { replica: ReplicaId::new(replica * 0x1234_5678_9ABC), seq: 0, bunches }
    }

    fn dot(&mut self) -> Dot {
        self.seq += 1;
        Dot { replica: self.replica, seq: self.seq }
    }

    fn insert(&mut self, list: &mut Vec<Position>, index: usize) -> Position {
        let left = index.checked_sub(1).map(|left| list[left].as_bytes());
        let right = list.get(index).map(Position::as_bytes);
        let dot = self.dot();
        let made =
            if self.bunches { Position::at(left, right, dot) } else { Position::between(left, right, dot) };
        assert!(left.is_none_or(|left| left < made.as_bytes()), "{made:?} is not after {left:?}");
        assert!(right.is_none_or(|right| made.as_bytes() < right), "{made:?} is not before {right:?}");
        assert_eq!(Position::from_bytes(made.as_bytes()).as_ref(), Some(&made));
        list.insert(index, made.clone());
        made
    }
}

/// A list that several have edited in turn, and they.
fn edited(rng: &mut Rng, edits: usize) -> (Vec<Position>, Vec<Typist>) {
    let mut typists: Vec<Typist> = (1..=3).map(|replica| Typist::new(replica, replica < 3)).collect();
    let (mut list, mut at) = (Vec::new(), 0);
    for _ in 0..rng.below(edits) {
        // Often beside the last insertion, for runs and turns; sometimes elsewhere.
        at = if rng.below(4) == 0 { rng.below(list.len() + 1) } else { (at + rng.below(2)).min(list.len()) };
        if rng.below(5) == 0 && at < list.len() {
            list.remove(at);
        } else {
            typists[rng.below(3)].insert(&mut list, at);
        }
    }
    (list, typists)
}

/// How each of several types a run at one place, without hearing of the others.
fn typed(
    typist: &mut Typist,
    mut list: Vec<Position>,
    at: usize,
    length: usize,
    way: usize,
) -> Vec<Position> {
    (0..length)
        .map(|n| match way {
            0 => typist.insert(&mut list, at + n),
            1 => typist.insert(&mut list, at),
            // From the middle outward.
            _ => typist.insert(&mut list, at + if n % 2 == 0 { 0 } else { n }),
        })
        .collect()
}

quickcheck! {
    fn a_history_of_insertions_is_a_vec(seed: u64) -> bool {
        // `edited` keeps the list as a vector and checks each insertion against its neighbours.
        let (list, _) = edited(&mut Rng(seed), 200);
        list.is_sorted_by(|a, b| a < b)
    }

    fn no_event_makes_a_position_of_another(seed: u64) -> bool {
        let mut rng = Rng(seed);
        let mut typists: Vec<Typist> = (1..=3).map(|replica| Typist::new(replica, true)).collect();
        let (mut list, mut made, mut count) = (Vec::new(), BTreeSet::new(), 0);
        for _ in 0..200 {
            let at = rng.below(list.len() + 1);
            if rng.below(3) == 0 && at < list.len() {
                list.remove(at);
            } else {
                made.insert(typists[rng.below(3)].insert(&mut list, at));
                count += 1;
            }
        }
        made.len() == count
    }

    fn runs_typed_at_once_do_not_interleave(seed: u64) -> bool {
        let mut rng = Rng(seed);
        let (list, mut typists) = edited(&mut rng, 12);
        let at = rng.below(list.len() + 1);
        let mut all: Vec<(Position, usize)> = Vec::new();
        for (who, typist) in typists.iter_mut().enumerate() {
            let (length, way) = (1 + rng.below(6), rng.below(3));
            let run = typed(typist, list.clone(), at, length, way);
            all.extend(run.into_iter().map(|position| (position, who)));
        }
        all.sort();
        let mut order: Vec<usize> = all.iter().map(|(_, who)| *who).collect();
        order.dedup();
        assert_eq!(order.len(), 3, "{all:?} in {list:?}");
        true
    }

    fn a_run_stays_between_its_neighbours(seed: u64) -> bool {
        let mut rng = Rng(seed);
        let (list, mut typists) = edited(&mut rng, 40);
        let at = rng.below(list.len() + 1);
        let (left, right) = (at.checked_sub(1).map(|left| &list[left]), list.get(at));
        let first = Position::between(left.map(Position::as_bytes), right.map(Position::as_bytes), typists[0].dot());
        let forward = std::iter::successors(Some(first.clone()), |last| Some(last.next())).take(300);
        let backward = std::iter::successors(Some(first.prev()), |last| Some(last.prev())).take(300);
        let mut run: Vec<Position> = backward.collect();
        run.reverse();
        run.extend(forward);
        run.is_sorted_by(|a, b| a < b)
            && left.is_none_or(|left| *left < run[0])
            && right.is_none_or(|right| run[599] < *right)
            && run.iter().all(|made| Position::from_bytes(made.as_bytes()).as_ref() == Some(made))
    }

    fn any_bytes_can_be_neighbours(left: Vec<u8>, more: Vec<u8>, below: bool, replica: u64, seq: u64) -> bool {
        let mut right = if below { left.clone() } else { Vec::new() };
        right.extend(more);
        let (left, right) = if left <= right { (left, right) } else { (right, left) };
        let dot = Dot { replica: ReplicaId::new(replica), seq };
        let room = left < right && !right.strip_prefix(&left[..]).is_some_and(|rest| rest.iter().all(|b| *b == 0));
        [Position::between, Position::at].into_iter().all(|make| {
            let made = make(Some(&left), Some(&right), dot);
            let (next, prev) = (made.next(), made.prev());
            let run = [&left[..], prev.as_bytes(), made.as_bytes(), next.as_bytes(), &right[..]];
            !room || run.is_sorted_by(|a, b| a < b)
        })
    }

    fn bytes_from_elsewhere_are_positions_or_refused(bytes: Vec<u8>) -> bool {
        Position::from_bytes(&bytes).is_none_or(|position| {
            position.as_bytes() == bytes && position.prev() < position && position < position.next()
        })
    }

    fn a_position_with_a_byte_changed_is_another_or_refused(seed: u64, at: usize, to: u8) -> bool {
        let (list, _) = edited(&mut Rng(seed), 60);
        list.iter().all(|position| {
            let mut bytes = position.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = to;
            Position::from_bytes(&bytes).is_none_or(|read| {
                read.as_bytes() == bytes && read.prev() < read && read < read.next()
            })
        })
    }
}

#[test]
fn the_greatest_ids_and_numbers_are_coded_too() {
    let seqs = [0, 1, 127, 128, 1 << 14, 1 << 21, 1 << 42, 1 << 49, (1 << 56) - 1, 1 << 56, u64::MAX];
    for replica in [0, 1, ReplicaId::MAX] {
        for seq in seqs {
            let dot = Dot { replica: ReplicaId::new(replica), seq };
            let made = Position::between(None, None, dot);
            assert_eq!(Position::from_bytes(made.as_bytes()), Some(made.clone()));
            // The same replica again, with a seq that is lower: no honest one, and yet coded.
            for lower in seqs {
                let bunch = Dot { replica: ReplicaId::new(replica), seq: lower };
                let below = Position::between(Some(made.as_bytes()), None, bunch);
                assert!(made < below);
                assert_eq!(Position::from_bytes(below.as_bytes()), Some(below));
            }
            let follows = Position::at(Some(made.as_bytes()), None, Dot { seq: u64::MAX, ..dot });
            assert!(made < follows);
            assert_eq!(Position::from_bytes(follows.as_bytes()), Some(follows));
        }
    }
}

/// Nobody can make a document whose places are too long to be inserted at: what does not fit goes elsewhere.
#[test]
fn what_is_too_long_goes_elsewhere() {
    let mut typist = Typist::new(1, false);
    let mut list = vec![Position::between(None, None, typist.dot())];
    let (mut left, mut right) = (0, None);
    for n in 0..2_000 {
        let made = Position::between(
            Some(list[left].as_bytes()),
            right.map(|right: usize| list[right].as_bytes()),
            typist.dot(),
        );
        assert!(made.as_bytes().len() <= POSITION_BYTES_MAX);
        assert_eq!(Position::from_bytes(made.as_bytes()).as_ref(), Some(&made));
        list.push(made);
        if n % 2 == 0 { left = n + 1 } else { right = Some(n + 1) }
    }
    let made: BTreeSet<&Position> = list.iter().collect();
    assert_eq!(made.len(), list.len());
}

/// How long places become, in bytes, where people type as they do. A table of it: `--nocapture`.
#[test]
fn places_stay_short() {
    let longest = |list: &[Position]| list.iter().map(|made| made.as_bytes().len()).max().unwrap();
    let mean = |list: &[Position]| list.iter().map(|made| made.as_bytes().len()).sum::<usize>() / list.len();
    let grown = |name: &str, edits: usize, typists: u64, at: &mut dyn FnMut(usize, usize) -> usize| {
        let mut typists: Vec<Typist> = (1..=typists).map(|replica| Typist::new(replica, true)).collect();
        let mut list = Vec::new();
        for n in 0..edits {
            let who = n % typists.len();
            let index = at(n, list.len());
            typists[who].insert(&mut list, index);
        }
        println!("{name}: {edits} insertions, mean {} bytes, longest {}", mean(&list), longest(&list));
        longest(&list)
    };
    assert!(grown("a run forward", 10_000, 1, &mut |_, end| end) <= 11);
    assert!(grown("a run backward", 10_000, 1, &mut |_, _| 0) <= 11);
    assert!(grown("two take turns at the end", 10_000, 2, &mut |_, end| end) <= 80);
    assert!(grown("three take turns at the end", 10_000, 3, &mut |_, end| end) <= 80);
    assert!(grown("two take turns at the start", 10_000, 2, &mut |_, _| 0) <= 80);
    let mut rng = Rng(7);
    assert!(grown("anywhere, one", 10_000, 1, &mut |_, end| rng.below(end + 1)) <= 100);
    assert!(grown("anywhere, three", 10_000, 3, &mut |_, end| rng.below(end + 1)) <= 150);
    let mut place = 0;
    let mut typing = |n: usize, end: usize| {
        place = if n.is_multiple_of(30) { rng.below(end + 1) } else { place + 1 };
        place
    };
    assert!(grown("runs of 30 anywhere", 10_000, 1, &mut typing) <= 80);
    // The worst: always between the last two, which halves the room each time.
    assert!(grown("always in the middle", 500, 1, &mut |_, end| end / 2) <= POSITION_BYTES_MAX);
}
