//! The document against its specification: whatever replicas do, and whatever they tell each other in whatever way,
//! each reads exactly as the set of the events that it has says.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::spec::{Leaves, Spec, leaves};
use common::{Rng, random_op_on};
use quickcheck::quickcheck;
use std::collections::BTreeMap;
use watersmeet_crdt::document::{Change, Kind, What};
use watersmeet_crdt::{Delta, Document, Lattice, ReplicaId, Time, Value};

/// Replicas with the events of all of them, and what a user interface makes of each one's change events.
struct World {
    rng: Rng,
    time: u64,
    spec: Spec,
    replicas: Vec<Document>,
    /// None for a replica that nobody watches: there a list changes many elements at once.
    screens: Vec<Option<Screen>>,
    /// Deltas that were told once; they may come again, to anybody.
    told: Vec<Delta>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let n = 2 + rng.next() % 3;
        let mut replicas: Vec<Document> =
            (1..=n).map(|id| Document::new(ReplicaId::new(id * 1_000_003))).collect();
        let screens: Vec<Option<Screen>> =
            replicas.iter().map(|_| rng.chance(70).then(Screen::default)).collect();
        let watched = replicas.iter_mut().zip(&screens).filter(|(_, screen)| screen.is_some());
        watched.for_each(|(replica, _)| replica.watch());
        World { rng, time: 1_000, spec: Spec::default(), replicas, screens, told: Vec::new() }
    }

    fn step(&mut self) {
        let (who, other) = (self.rng.below(self.replicas.len()), self.rng.below(self.replicas.len()));
        match self.rng.below(100) {
            0..50 => self.edit(who),
            50..85 => self.pull(who, other),
            85..92 => self.hear_again(who),
            92..95 => self.restore(who),
            _ => {
                let stable = self.replicas[other].version().clone();
                self.replicas[who].cut_log(&stable);
            }
        }
        self.check(who);
    }

    fn edit(&mut self, who: usize) {
        self.time += 1;
        let now = Time::from_millis(self.time);
        let mut one_by_one = self.replicas[who].clone();
        let mut ops = Vec::new();
        for _ in 0..1 + self.rng.below(4) {
            let op = random_op_on(&one_by_one, &mut self.rng);
            self.spec.commit(one_by_one.replica(), one_by_one.version(), self.time, op.clone());
            one_by_one.commit(now, vec![op.clone()]).unwrap();
            ops.push(op);
        }
        let document = &mut self.replicas[who];
        let before = document.version().clone();
        document.commit(now, ops).unwrap();
        assert_eq!(
            document.version(),
            one_by_one.version(),
            "a commit makes other events than its operations"
        );
        let delta = document.since(&before);
        self.told.push(Delta::decode(&delta.encode()).unwrap());
    }

    fn pull(&mut self, who: usize, other: usize) {
        let delta = self.replicas[other].since(self.replicas[who].version());
        let decoded = Delta::decode(&delta.encode()).unwrap();
        assert_eq!(
            (decoded.from(), decoded.to(), decoded.latest()),
            (delta.from(), delta.to(), delta.latest())
        );
        let mut by_state = self.replicas[who].clone();
        by_state.apply(self.replicas[other].state()).expect("a state always merges");
        self.replicas[who].apply(&decoded).expect("a delta since one's own version has no gap");
        assert_eq!(
            self.replicas[who].encode_state(),
            by_state.encode_state(),
            "a delta is not the join of states"
        );
        assert_eq!(
            self.replicas[who].apply(&decoded),
            Ok(false),
            "a delta that comes twice brings something"
        );
        assert!(self.replicas[who].version().covers(self.replicas[other].version()));
        self.told.push(decoded);
    }

    /// An old delta comes to whoever: it is refused for a gap, or says nothing wrong.
    fn hear_again(&mut self, who: usize) {
        if self.told.is_empty() {
            return;
        }
        let delta = self.told[self.rng.below(self.told.len())].clone();
        let before = self.replicas[who].encode_state();
        if self.replicas[who].apply(&delta).is_err() {
            assert_eq!(self.replicas[who].encode_state(), before, "what was refused changed something");
            assert!(!self.replicas[who].version().covers(delta.from()));
        } else {
            assert!(self.replicas[who].version().covers(delta.to()));
        }
    }

    /// A replica is closed and opened again from its state.
    fn restore(&mut self, who: usize) {
        let mut again = Document::new(self.replicas[who].replica());
        again.apply(Delta::decode(&self.replicas[who].encode_state()).unwrap()).unwrap();
        assert_eq!(again.encode_state(), self.replicas[who].encode_state());
        if let Some(screen) = &mut self.screens[who] {
            screen.follow(self.replicas[who].take_changes());
            again.watch();
        }
        self.replicas[who] = again;
    }

    fn check(&mut self, who: usize) {
        let expected = self.spec.leaves(self.replicas[who].version());
        let read = leaves(&self.replicas[who]);
        assert_eq!(read, expected, "a replica does not read as its events say");
        if let Some(screen) = &mut self.screens[who] {
            screen.follow(self.replicas[who].take_changes());
            screen.check(&self.replicas[who]);
        }
    }
}

/// A user interface: it never reads the document, and follows its changes.
#[derive(Default)]
struct Screen {
    registers: BTreeMap<Vec<String>, (Value, usize)>,
    counters: BTreeMap<Vec<String>, i64>,
    sets: BTreeMap<(Vec<String>, Kind), Vec<Value>>,
    flags: BTreeMap<(Vec<String>, Kind), bool>,
    lists: BTreeMap<Vec<String>, Vec<Value>>,
}

impl Screen {
    fn follow(&mut self, changes: Vec<Change>) {
        for Change { path, kind, what } in changes {
            match what {
                What::Written { value: Some(value), conflicts } => {
                    self.registers.insert(path, (value, conflicts));
                }
                What::Written { value: None, .. } => drop(self.registers.remove(&path)),
                What::Counted { value, by } => {
                    let counter = self.counters.entry(path).or_default();
                    *counter += by;
                    assert_eq!(*counter, value, "a counter's change does not add up");
                }
                What::Added(item) => {
                    let set = self.sets.entry((path, kind)).or_default();
                    assert!(!set.contains(&item), "an item came that was there");
                    set.push(item);
                    set.sort();
                }
                What::Removed(item) => {
                    let set = self.sets.entry((path, kind)).or_default();
                    assert!(set.contains(&item), "an item went that was not there");
                    set.retain(|other| *other != item);
                }
                What::Raised(up) => drop(self.flags.insert((path, kind), up)),
                What::Inserted { index, value } => self.lists.entry(path).or_default().insert(index, value),
                What::Replaced { index, value } => self.lists.entry(path).or_default()[index] = value,
                What::Taken { index } => drop(self.lists.entry(path).or_default().remove(index)),
            }
        }
    }

    fn check(&self, document: &Document) {
        fn keys(path: &[String]) -> Vec<&str> {
            path.iter().map(String::as_str).collect()
        }
        for ((path, kind), _) in leaves(document) {
            let known = match kind {
                Kind::Register => self.registers.contains_key(&path),
                Kind::Counter => self.counters.contains_key(&path) || document.counter(&keys(&path)) == 0,
                Kind::Set => self.sets.contains_key(&(path, kind)),
                Kind::RwSet => {
                    self.sets.contains_key(&(path.clone(), kind))
                        || document.rw_items(&keys(&path)).is_empty()
                }
                Kind::Flag | Kind::Guard => self.flags.contains_key(&(path, kind)),
                Kind::List => self.lists.contains_key(&path),
                Kind::Map => true,
            };
            assert!(known, "something came that was not told of: {kind:?}");
        }
        for (path, (value, conflicts)) in &self.registers {
            assert_eq!(document.register(&keys(path)), Some(value));
            assert_eq!(document.conflicts(&keys(path)).len(), *conflicts);
        }
        for (path, counter) in &self.counters {
            assert_eq!(document.counter(&keys(path)), *counter);
        }
        for ((path, kind), set) in &self.sets {
            let items =
                if *kind == Kind::Set { document.items(&keys(path)) } else { document.rw_items(&keys(path)) };
            assert_eq!(items, set.iter().collect::<Vec<_>>());
        }
        for ((path, kind), up) in &self.flags {
            let is = if *kind == Kind::Flag {
                document.is_raised(&keys(path))
            } else {
                document.is_guarded(&keys(path))
            };
            assert_eq!(is, *up);
        }
        for (path, list) in &self.lists {
            assert_eq!(document.list(&keys(path)), list.iter().collect::<Vec<_>>());
        }
    }
}

fn play(seed: u64, steps: usize) {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step();
    }
    for round in 0..2 {
        for who in 0..world.replicas.len() {
            for other in 0..world.replicas.len() {
                world.pull(who, other);
                world.check(who);
            }
        }
        let hashes: Vec<u128> = world.replicas.iter().map(Document::hash).collect();
        assert!(round == 0 || hashes.windows(2).all(|two| two[0] == two[1]), "replicas that have met differ");
    }
    let _: &Leaves = &leaves(&world.replicas[0]);
}

quickcheck! {
    fn a_replica_reads_as_its_events_say(seed: u64) -> bool {
        play(seed, 40);
        true
    }
}

/// The same from printed seeds: `SEED=17 WORLDS=1` repeats one.
#[test]
fn worlds_from_seeds() {
    let number =
        |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let first = number("SEED", 1);
    for seed in first..first + number("WORLDS", 300) {
        let played = std::panic::catch_unwind(|| play(seed, 60));
        assert!(played.is_ok(), "the world of SEED={seed} WORLDS=1 went wrong");
    }
}
