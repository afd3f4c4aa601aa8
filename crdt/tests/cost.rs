//! "Costs the delta" as a test: what `apply` and `since` allocate, for one edit, does not depend on how much there is.
//! Under an allocator that counts; the tests take turns.

#![allow(unsafe_code, reason = "a counting allocator over the system's, which it calls unchanged")]
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use watersmeet_crdt::document::Transaction;
use watersmeet_crdt::{Delta, Document, ReplicaId, Time};

struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations, and of how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    calls: usize,
    bytes: usize,
}

fn cost<T>(run: impl FnOnce() -> T) -> (T, Cost) {
    let before = (CALLS.load(Relaxed), BYTES.load(Relaxed));
    let out = run();
    (out, Cost { calls: CALLS.load(Relaxed) - before.0, bytes: BYTES.load(Relaxed) - before.1 })
}

/// What one edit costs to tell and to take in: the least of several, since a table that has just grown is a matter of
/// luck.
fn one_edit(
    anna: &mut Document,
    ben: &mut Document,
    edit: impl Fn(&mut Transaction, usize),
) -> (Cost, Cost, usize) {
    let rounds = (0..8).map(|n| {
        anna.edit(Time::from_millis(7), |tx| edit(tx, n)).unwrap();
        let (delta, since) = cost(|| anna.since(ben.version()));
        let bytes = delta.encode();
        let (_, apply) = cost(|| ben.apply(Delta::decode(&bytes).unwrap()).unwrap());
        assert_eq!(anna.version(), ben.version());
        (since, apply, bytes.len())
    });
    rounds.min_by_key(|(since, apply, _)| since.bytes + apply.bytes).unwrap()
}

/// Two replicas with a set of `n` items and a map of `n` registers, after removals and overwrites.
fn pair(n: usize) -> (Document, Document) {
    let mut anna = Document::new(ReplicaId::new(1));
    let now = Time::from_millis(7);
    anna.edit(now, |tx| (0..2 * n).for_each(|n| tx.insert(&["set"], format!("item {n}")))).unwrap();
    anna.edit(now, |tx| (0..n).for_each(|n| tx.remove(&["set"], format!("item {n}")))).unwrap();
    for _ in 0..3 {
        anna.edit(now, |tx| (0..n).for_each(|n| tx.set(&["map", &format!("key {n}")], "a value"))).unwrap();
    }
    let mut ben = Document::new(ReplicaId::new(2));
    ben.apply(anna.state()).unwrap();
    (anna, ben)
}

/// Only one test at a time is counted.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn since_and_apply_cost_the_delta() {
    let _turn = TURN.lock();
    type Edit = fn(&mut Transaction, usize);
    let edits: [(&str, Edit); 4] = [
        ("overwrite", |tx, n| tx.set(&["map", &format!("key {}", 100 + n)], "other")),
        ("add", |tx, n| tx.insert(&["set"], format!("other item {n}"))),
        ("remove", |tx, n| tx.remove(&["set"], format!("item {}", 1_000 + n))),
        ("count", |tx, _| tx.increment(&["votes"], 1)),
    ];
    let (mut small, mut large) = (pair(1_000), pair(50_000));
    for (what, edit) in edits {
        let few = one_edit(&mut small.0, &mut small.1, edit);
        let many = one_edit(&mut large.0, &mut large.1, |tx, n| {
            edit(tx, if what == "remove" { 50_000 + n } else { n })
        });
        assert!(few.0.calls + few.1.calls < 60, "{what}: {few:?}");
        assert!(
            many.0.bytes + many.1.bytes <= few.0.bytes + few.1.bytes + 256,
            "{what}: among 50 times as much {many:?} for {few:?}"
        );
        assert!(many.2 <= few.2 + 8, "{what}: {} bytes on the wire for {}", many.2, few.2);
    }
}

/// What is gone takes no memory: after a hundred times as many edits as entries, no more than before them.
#[test]
fn size_follows_what_is_alive() {
    let _turn = TURN.lock();
    let mut document = Document::new(ReplicaId::new(1));
    let round = |document: &mut Document, rounds: usize| {
        for _ in 0..rounds {
            let edit = |tx: &mut Transaction| {
                for n in 0..1_000 {
                    tx.set(&["map", &format!("key {n}")], "a value");
                    tx.insert(&["set"], format!("item {n}"));
                    tx.remove(&["set"], format!("item {n}"));
                }
            };
            document.edit(Time::from_millis(7), edit).unwrap();
            let all = document.version().clone();
            document.cut_log(&all);
        }
        (cost(|| document.clone()).1.bytes, document.encode_state().len())
    };
    let few = round(&mut document, 2);
    let many = round(&mut document, 100);
    assert!(many.0 <= few.0 + few.0 / 4, "{} bytes in memory became {}", few.0, many.0);
    assert!(many.1 <= few.1 + 2_000, "{} bytes of state became {}", few.1, many.1);
}
