//! Six traps that a prototype of this design fell into. Each test tells the story, shows on a small model that the
//! trap is real, and shows that the document does not fall into it.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::pull;
use watersmeet_crdt::causal::{OrMap, OrSet, Register};
use watersmeet_crdt::store::Causal;
use watersmeet_crdt::{CausalContext, Document, Dot, Lattice, ReplicaId, Stamp, Time, Value};

fn dot(replica: u64, seq: u64) -> Dot {
    Dot { replica: ReplicaId::new(replica), seq }
}

fn documents<const N: usize>() -> [Document; N] {
    std::array::from_fn(|n| Document::new(ReplicaId::new(n as u64 + 1)))
}

const NOW: Time = Time::from_millis(1);

/// Anna wrote over Dora's value; Ben deleted Anna's. Ben's delta names Anna's dot, so whoever hears Ben knows *of*
/// Anna's event. It does not know that Dora's value is gone. If it takes its version from its context, it claims
/// Anna's delta and never asks for it.
#[test]
fn trap_1_the_version_is_not_the_causal_context() {
    let mut carl = Causal::<Register<u8>>::default();
    carl.apply(carl.store.set(dot(4, 1), Stamp::default(), 1));
    let mut ben = carl.clone();
    ben.apply(ben.store.set(dot(1, 1), Stamp::default(), 2));
    carl.apply(ben.store.clear(dot(2, 1)));
    assert!(carl.seen.vector().contains(dot(1, 1)), "the context claims Anna's event");
    assert_eq!(carl.store.get(), Some(&1), "and Dora's value is still there");

    let [mut anna, mut ben, mut carl, mut dora] = documents();
    dora.edit(NOW, |tx| tx.set(&["x"], 1)).unwrap();
    pull(&mut anna, &dora);
    pull(&mut carl, &dora);
    anna.edit(NOW, |tx| tx.set(&["x"], 2)).unwrap();
    pull(&mut ben, &anna);
    let before = ben.version().clone();
    ben.edit(NOW, |tx| tx.delete(&["x"])).unwrap();
    assert!(carl.apply(ben.since(&before)).is_err(), "Ben's delta alone would claim Anna's");
    assert!(!carl.version().contains(dot(1, 1)));
    pull(&mut carl, &ben);
    assert_eq!((carl.hash(), carl.register(&["x"])), (ben.hash(), None));
}

/// If a removal took no dot, two replicas could have equal versions and differ by it, and never find out.
#[test]
fn trap_2_every_mutation_takes_a_dot_removals_too() {
    let mut anna = Causal::<OrSet<u8>>::default();
    anna.apply(anna.store.insert(dot(1, 1), 7));
    let mut ben = anna.clone();
    ben.apply(Causal { store: OrSet::default(), seen: CausalContext::from_iter([dot(1, 1)]) });
    assert_eq!(anna.seen, ben.seen, "equal contexts");
    assert_ne!(anna.store, ben.store, "and different sets");

    let [mut anna, mut ben] = documents();
    anna.edit(NOW, |tx| {
        tx.insert(&["tags"], 7);
        tx.set(&["place", "name"], "mill");
    })
    .unwrap();
    pull(&mut ben, &anna);
    for removal in 0..2 {
        anna.edit(NOW, |tx| if removal == 0 { tx.remove(&["tags"], 7) } else { tx.delete(&["place"]) })
            .unwrap();
        assert!(!ben.version().covers(anna.version()), "the version tells that Ben lacks a removal");
        pull(&mut ben, &anna);
        assert_eq!(anna.hash(), ben.hash());
    }
    assert!(ben.is_empty());
}

/// A delta applied by the fast path changes only what it names. One that leaves out a key it emptied is right by
/// `join`, which visits everything, and wrong by `apply`.
#[test]
fn trap_3_a_delta_names_every_key_that_its_context_touches() {
    let mut set = Causal::<OrSet<u8>>::default();
    for n in 1..=2 {
        set.apply(set.store.insert(dot(1, u64::from(n)), n));
    }
    let adding = set.store.insert(dot(1, 3), 3);
    // Removes item 1 as well, but names only item 3.
    let mut seen = adding.seen.clone();
    seen.insert(dot(1, 1));
    let careless = Causal { store: adding.store, seen };
    let (mut joined, mut applied) = (set.clone(), set.clone());
    joined.merge(careless.clone());
    applied.apply(careless);
    assert!(!joined.store.contains(&1) && applied.store.contains(&1), "join removes it, apply does not");

    let removal = set.store.remove(dot(1, 3), 1);
    let (mut joined, mut applied) = (set.clone(), set.clone());
    joined.merge(removal.clone());
    applied.apply(removal);
    assert_eq!(joined, applied);
    assert!(!applied.store.contains(&1));
}

/// An empty set under a key is not the same bytes as no key. If it were stored, equal contents would differ, and a
/// merge would say that something grew when nothing did.
#[test]
fn trap_4_bottom_means_absent_and_is_never_stored() {
    let [mut anna, mut ben] = documents();
    anna.edit(NOW, |tx| {
        tx.insert(&["a", "b", "tags"], 1);
        tx.set(&["a", "b", "name"], 1);
        tx.increment(&["a", "votes"], 1);
    })
    .unwrap();
    anna.edit(NOW, |tx| {
        tx.remove(&["a", "b", "tags"], 1);
        tx.delete(&["a", "b", "name"]);
        tx.delete(&["a", "votes"]);
        tx.remove(&["never", "there"], 1);
    })
    .unwrap();
    assert!(anna.is_empty(), "maps that were emptied from below are gone");
    pull(&mut ben, &anna);
    assert!(ben.is_empty());
    assert_eq!(ben.apply(anna.state()), Ok(false), "nothing grew");
}

/// When the log has been cut below what a peer needs, the state is sent. The peer's version must then cover the
/// sender's, or it would ask for ever.
#[test]
fn trap_5_a_full_state_always_merges_and_brings_its_version() {
    let [mut anna, mut ben] = documents();
    anna.edit(NOW, |tx| tx.insert(&["tags"], 1)).unwrap();
    pull(&mut ben, &anna);
    let ben_has = ben.version().clone();
    anna.edit(NOW, |tx| tx.remove(&["tags"], 1)).unwrap();
    anna.edit(NOW, |tx| tx.insert(&["tags"], 2)).unwrap();
    let all = anna.version().clone();
    anna.cut_log(&all);
    ben.edit(NOW, |tx| tx.insert(&["tags"], 3)).unwrap();
    let told = anna.since(&ben_has);
    assert!(told.from().is_empty(), "below the cut only the state will do");
    ben.apply(told).unwrap();
    assert!(ben.version().covers(anna.version()));
    assert_eq!(ben.items(&["tags"]), [&Value::from(2), &Value::from(3)], "joined, not replaced");
    assert!(anna.since(ben.version()).is_empty(), "and nothing is asked again");
    pull(&mut anna, &ben);
    assert_eq!(anna.hash(), ben.hash());
}

/// Ben cleared a place and filled it again. The plain join of the two deltas no longer says that it was cleared:
/// applied by the fast path, it leaves standing what the clearing removed.
#[test]
fn trap_6_a_group_is_not_the_plain_join_of_its_deltas() {
    let mut map = Causal::<OrMap<&str, OrSet<u8>>>::default();
    map.apply(map.store.update("mill", |tags| tags.insert(dot(1, 1), 1)));
    let mut ben = map.clone();
    let cleared = ben.store.remove(dot(2, 1), "mill");
    ben.apply(cleared.clone());
    let refilled = ben.store.update("mill", |tags| tags.insert(dot(2, 2), 2));
    ben.apply(refilled.clone());
    let mut group = cleared;
    group.merge(refilled);
    map.apply(group);
    assert_ne!(map.store, ben.store, "the plain join leaves item 1 standing");

    let [mut anna, mut ben] = documents();
    anna.edit(NOW, |tx| {
        tx.insert(&["mill", "tags"], 1);
        tx.set(&["mill", "name"], "Old mill");
    })
    .unwrap();
    pull(&mut ben, &anna);
    ben.edit(NOW, |tx| tx.delete(&["mill"])).unwrap();
    ben.edit(NOW, |tx| tx.insert(&["mill", "tags"], 2)).unwrap();
    anna.edit(NOW, |tx| tx.insert(&["mill", "tags"], 3)).unwrap();
    pull(&mut anna, &ben);
    assert_eq!(anna.items(&["mill", "tags"]), [&Value::from(2), &Value::from(3)]);
    assert_eq!(anna.register(&["mill", "name"]), None);
    pull(&mut ben, &anna);
    assert_eq!(anna.hash(), ben.hash());
}
