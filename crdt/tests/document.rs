//! Documents: deltas against states, canonical bytes, events, and bytes from strangers.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::{Rng, pull, random_ops};
use quickcheck::quickcheck;
use std::collections::BTreeMap;
use watersmeet_crdt::document::{Change, DecodeError, EditError, Kind, Map, Slot, limits};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, Value, VersionVector};

fn now() -> Time {
    Time::from_millis(1_700_000_000_000)
}

fn replicas(n: u64) -> Vec<Document> {
    (1..=n).map(|id| Document::new(ReplicaId::new(id))).collect()
}

/// Every leaf that can be read, as text.
fn leaves(document: &Document) -> BTreeMap<(Vec<String>, Kind), String> {
    fn walk(map: &Map, above: &[String], into: &mut BTreeMap<(Vec<String>, Kind), String>) {
        for (key, slot) in map.iter() {
            let path = [above, std::slice::from_ref(&key.name)].concat();
            let shown = match slot {
                Slot::Map(map) => {
                    assert!(map.iter().len() > 0, "a state holds an empty map at {path:?}");
                    walk(map, &path, into);
                    continue;
                }
                Slot::Register(register) => {
                    format!("{:?} {:?}", register.get(), register.conflicts().collect::<Vec<_>>())
                }
                Slot::Counter(counter) => counter.value().to_string(),
                Slot::Set(set) => format!("{:?}", set.iter().collect::<Vec<_>>()),
                Slot::Empty => panic!("a state holds an empty slot at {path:?}"),
            };
            into.insert((path, key.kind), shown);
        }
    }
    let mut into = BTreeMap::new();
    walk(document.root(), &[], &mut into);
    into
}

/// Edits and pulls at random among three replicas; checks each pull against the specification, a join of states.
fn check_history(seed: u64, cut: bool) -> bool {
    let mut rng = Rng(seed);
    let mut all = replicas(3);
    for _ in 0..40 {
        let who = rng.below(3);
        if rng.chance(60) {
            check_edit(&mut all[who], &mut rng);
        } else {
            let from = all[rng.below(3)].clone();
            check_pull(&mut all[who], &from);
        }
        if cut && rng.chance(20) {
            let stable = all[rng.below(3)].version().clone();
            all[who].cut_log(&stable);
        }
    }
    for _ in 0..2 {
        for (to, from) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
            let from = all[from].clone();
            check_pull(&mut all[to], &from);
        }
    }
    let states: Vec<Vec<u8>> = all.iter().map(Document::encode_state).collect();
    states[0] == states[1] && states[1] == states[2] && all[0].hash() == all[2].hash()
}

fn check_edit(document: &mut Document, rng: &mut Rng) {
    let before = document.clone();
    let changes = document.commit(now(), random_ops(rng)).unwrap();
    check_changes(&before, document, &changes);
    // Delta = mutation: what was replaced by the edit is what the delta does to the replica before it.
    let mut twin = before.clone();
    twin.apply(document.since(before.version())).unwrap();
    assert_eq!(twin.root(), document.root(), "the delta does not do what the edit did");
}

fn check_pull(to: &mut Document, from: &Document) {
    let delta = from.since(to.version());
    assert_eq!(
        Delta::decode(&delta.encode()).as_ref(),
        Ok(&delta),
        "a delta does not come back from its bytes"
    );
    let mut by_state = to.clone();
    by_state.apply(from.state()).expect("a state always merges");
    let before = to.clone();
    let changes = to.apply(delta.clone()).unwrap();
    assert_eq!(to.root(), by_state.root(), "applying a delta is not joining the state");
    assert_eq!(to.version(), by_state.version());
    check_changes(&before, to, &changes);
    let once = to.state();
    assert_eq!(to.apply(delta), Ok(Vec::new()), "a delta that comes twice changes something");
    assert_eq!(to.state(), once);
}

/// Events name every leaf that reads differently, and nothing that is untouched.
fn check_changes(before: &Document, after: &Document, changes: &[Change]) {
    let (before, after) = (leaves(before), leaves(after));
    for leaf in before.keys().chain(after.keys()) {
        if before.get(leaf) != after.get(leaf) {
            assert!(
                changes.iter().any(|change| (&change.path, change.kind) == (&leaf.0, leaf.1)),
                "no event for {leaf:?}"
            );
        }
    }
}

quickcheck! {
    fn a_pull_is_a_join_of_states(seed: u64) -> bool {
        check_history(seed, false)
    }

    fn a_log_that_is_cut_anywhere_changes_nothing(seed: u64) -> bool {
        check_history(seed, true)
    }

    fn a_restored_document_goes_on_where_it_stopped(seed: u64) -> bool {
        let mut rng = Rng(seed);
        let mut document = Document::new(ReplicaId::new(1));
        for _ in 0..10 {
            document.commit(now(), random_ops(&mut rng)).unwrap();
        }
        let mut restored = Document::new(ReplicaId::new(1));
        restored.apply(Delta::decode(&document.state().encode()).unwrap()).unwrap();
        let ops = random_ops(&mut rng);
        document.commit(now().plus(1), ops.clone()).unwrap();
        restored.commit(now().plus(1), ops).unwrap();
        document.encode_state() == restored.state().encode()
    }

    fn strangers_bytes_neither_panic_nor_change_a_document_that_refuses_them(seed: u64, noise: Vec<(u16, u8)>) -> bool {
        let mut rng = Rng(seed);
        let mut all = replicas(2);
        for document in &mut all {
            for _ in 0..5 {
                document.commit(now(), random_ops(&mut rng)).unwrap();
            }
        }
        let mut bytes = all[0].state().encode();
        for (at, byte) in noise {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - rng.below(4).min(bytes.len() - 1));
        let before = all[1].state();
        match Delta::decode(&bytes).map(|delta| all[1].apply(delta)) {
            // What was taken in is a document like any other: it can be read, told, and edited.
            Ok(Ok(_)) => {
                leaves(&all[1]);
                all[1].commit(now(), random_ops(&mut rng)).unwrap();
                let told = all[1].state().encode();
                Delta::decode(&told).map(|delta| delta.encode()) == Ok(told)
            }
            Ok(Err(_)) | Err(_) => all[1].state() == before,
        }
    }

    fn random_bytes_are_refused_or_decode_to_what_encodes_alike(bytes: Vec<u8>) -> bool {
        Delta::decode(&bytes).map_or(true, |delta| Delta::decode(&delta.encode()) == Ok(delta))
    }
}

#[test]
fn a_register_written_a_thousand_times_costs_one_value() {
    let mut all = replicas(2);
    let (anna, ben) = all.split_at_mut(1);
    for n in 0..1_000 {
        anna[0].edit(now(), |tx| tx.set(&["name"], i64::from(n))).unwrap();
    }
    let delta = anna[0].since(ben[0].version()).encode();
    assert!(delta.len() < 40, "{} bytes", delta.len());
    pull(&mut ben[0], &anna[0]);
    assert_eq!(ben[0].register(&["name"]), Some(&Value::from(999)));
}

/// Anna edits offline. The server, restarted, knows no log and sends her its whole state. She answers with her edits,
/// not with the whole state again.
#[test]
fn who_is_sent_a_state_still_tells_its_own_edits_apart() {
    let mut all = replicas(2);
    let (anna, ben) = all.split_at_mut(1);
    let (anna, ben) = (&mut anna[0], &mut ben[0]);
    ben.edit(now(), |tx| (0..1_000).for_each(|n| tx.insert(&["set"], n))).unwrap();
    anna.edit(now(), |tx| tx.insert(&["set"], -1)).unwrap();
    anna.apply(ben.state()).unwrap();
    let answer = anna.since(ben.version());
    assert!(answer.encode().len() < 40, "{} bytes", answer.encode().len());
    ben.apply(answer).unwrap();
    assert_eq!(anna.hash(), ben.hash());
    assert!(
        anna.since(&VersionVector::from_iter([(ReplicaId::new(1), 1)])).from().is_empty(),
        "who lacks the state gets it"
    );
}

/// Items that were removed are remembered by the log alone, which forgets the oldest beyond its limit.
#[test]
fn the_log_is_bounded_in_bytes() {
    let mut document = Document::new(ReplicaId::new(1));
    let mut at_first = None;
    for n in 0..2 * limits::LOG_BYTES_MAX / (1 << 20) {
        let item = vec![u8::try_from(n).unwrap(); 1 << 20];
        document.edit(now(), |tx| tx.insert(&["set"], item.clone())).unwrap();
        at_first.get_or_insert(document.version().clone());
        document.edit(now(), |tx| tx.remove(&["set"], item)).unwrap();
    }
    assert!(
        document.since(&at_first.unwrap()).from().is_empty(),
        "the oldest is forgotten: the state is sent"
    );
    assert!(document.encode_state().len() < 20, "and the state has nothing of it");
}

#[test]
fn since_costs_what_is_missing() {
    let mut all = replicas(2);
    let (anna, ben) = all.split_at_mut(1);
    anna[0].edit(now(), |tx| (0..10_000).for_each(|n| tx.insert(&["set"], n))).unwrap();
    pull(&mut ben[0], &anna[0]);
    anna[0].edit(now(), |tx| (0..5_000).for_each(|n| tx.remove(&["set"], n))).unwrap();
    pull(&mut ben[0], &anna[0]);
    anna[0].edit(now(), |tx| tx.insert(&["set"], 10_001)).unwrap();
    // The removals do not travel again.
    let delta = anna[0].since(ben[0].version()).encode();
    assert!(delta.len() < 40, "{} bytes", delta.len());
    pull(&mut ben[0], &anna[0]);
    assert_eq!(anna[0].hash(), ben[0].hash());
}

#[test]
fn kinds_created_at_once_under_one_key_are_all_kept() {
    let mut all = replicas(3);
    all[0].edit(now(), |tx| tx.set(&["x"], "text")).unwrap();
    all[1].edit(now(), |tx| tx.insert(&["x"], "item")).unwrap();
    all[2].edit(now(), |tx| tx.set(&["x", "y"], 1)).unwrap();
    let (first, others) = all.split_at_mut(1);
    others.iter().for_each(|other| pull(&mut first[0], other));
    assert_eq!(first[0].register(&["x"]), Some(&Value::from("text")));
    assert_eq!(first[0].items(&["x"]), [&Value::from("item")]);
    assert_eq!(first[0].register(&["x", "y"]), Some(&Value::from(1)));
    assert_eq!(first[0].keys(&[]), ["x"]);
    first[0].edit(now(), |tx| tx.delete(&["x"])).unwrap();
    assert!(first[0].keys(&[]).is_empty());
}

#[test]
fn concurrent_writes_are_all_kept_until_the_next_one() {
    let mut all = replicas(2);
    let (anna, ben) = all.split_at_mut(1);
    anna[0].edit(now(), |tx| tx.set(&["name"], "mill")).unwrap();
    ben[0].edit(now().plus(1), |tx| tx.set(&["name"], "water mill")).unwrap();
    pull(&mut anna[0], &ben[0]);
    assert_eq!(anna[0].register(&["name"]), Some(&Value::from("water mill")));
    assert_eq!(anna[0].conflicts(&["name"]), [&Value::from("mill")]);
    anna[0].edit(now(), |tx| tx.set(&["name"], "old mill")).unwrap();
    assert!(anna[0].conflicts(&["name"]).is_empty());
    // A clock that is set back does not lose to what it has seen.
    assert_eq!(anna[0].register(&["name"]), Some(&Value::from("old mill")));
}

#[test]
fn an_edit_beyond_a_limit_is_refused_as_a_whole() {
    let mut document = Document::new(ReplicaId::new(1));
    let deep: Vec<&str> = vec!["k"; limits::PATH_KEYS_MAX + 1];
    let refused = |document: &mut Document, edit: &dyn Fn(&mut watersmeet_crdt::document::Transaction)| {
        let result = document.edit(now(), |tx| {
            tx.set(&["fine"], 1);
            edit(tx);
        });
        assert!(document.version().is_empty(), "part of a refused edit was applied");
        result.expect_err("beyond a limit")
    };
    assert_eq!(refused(&mut document, &|tx| tx.set(&[], 1)), EditError::EmptyPath);
    assert!(matches!(refused(&mut document, &|tx| tx.set(&deep, 1)), EditError::PathTooDeep { .. }));
    let long = "k".repeat(limits::KEY_BYTES_MAX + 1);
    assert!(matches!(refused(&mut document, &|tx| tx.delete(&[&long])), EditError::KeyTooLong { .. }));
    let large = "v".repeat(limits::VALUE_BYTES_MAX + 1);
    assert!(matches!(
        refused(&mut document, &|tx| tx.set(&["x"], large.clone())),
        EditError::ValueTooLarge { .. }
    ));
    let nested = (0..=limits::VALUE_DEPTH_MAX).fold(Value::Null, |inner, _| Value::from(vec![inner]));
    assert!(matches!(
        refused(&mut document, &|tx| tx.insert(&["x"], nested.clone())),
        EditError::ValueTooDeep { .. }
    ));
}

#[test]
fn the_decoder_names_what_is_wrong() {
    let mut document = Document::new(ReplicaId::new(1));
    document.edit(now(), |tx| tx.set(&["name"], "mill")).unwrap();
    let bytes = document.state().encode();
    assert_eq!(Delta::decode(&[9]), Err(DecodeError::Format { found: 9 }));
    assert!(matches!(Delta::decode(&bytes[..bytes.len() - 1]), Err(DecodeError::Truncated { .. })));
    assert_eq!(Delta::decode(&[&bytes[..], &[0]].concat()), Err(DecodeError::Trailing { left: 1 }));
    assert!(matches!(Delta::decode(&[]), Err(DecodeError::Truncated { .. })));
    // A map within a map within a map: recursion ends at the limit, not at the end of the stack.
    let mut deep = vec![1, 0, 0];
    (0..10_000).for_each(|_| deep.extend([2, 1, b'k', 3]));
    assert!(matches!(Delta::decode(&deep), Err(DecodeError::Limit { what: "keys in a path", .. })));
}

/// One meaning has one form: what could be said otherwise is refused, so that a hash names a state.
#[test]
fn the_decoder_refuses_what_has_another_form() {
    let refused =
        |bytes: &[u8]| assert!(matches!(Delta::decode(bytes), Err(DecodeError::Invalid { .. })), "{bytes:?}");
    let header = [1, 1, 5, 4, 0, 0];
    let whole = |rest: &[u8]| [&header[..], rest].concat();
    assert!(Delta::decode(&whole(&[3, 1, b'n', 1, 1, 0, 2, 4])).is_ok());
    refused(&whole(&[3, 1, b'n', 1, 0])); // a counter without a dot
    refused(&whole(&[3, 1, b'n', 0, 0])); // a register without a dot
    refused(&whole(&[3, 1, b'n', 2, 0])); // a set without an item
    refused(&whole(&[3, 1, b'n', 3, 0])); // a map without a key
    refused(&whole(&[3, 1, b'n', 0x81])); // emptied, in what is whole
    refused(&whole(&[3, 1, b'n', 2, 2, 0, 0])); // an item without a dot, in what is whole
    refused(&whole(&[3, 1, b'n', 2, 3, 0, 1, 0, 1])); // whole, in what is whole
    refused(&whole(&[0])); // events that touched nothing
    refused(&whole(&[5, 1, b'n', 1, 1, 0, 2, 4, 1, b'm', 1, 1, 0, 2, 4])); // keys out of order
    refused(&[1, 1, 5, 4, 0, 9, 3, 1, b'n', 1, 1, 0, 2, 4]); // a latest stamp that no write has
    refused(&whole(&[3, 1, b'n', 1, 1, 0, 5, 4])); // a dot that the version does not have
    refused(&whole(&[3, 1, b'n', 1, 1, 0, 0, 4])); // an event number 0
}

#[test]
fn a_version_of_too_many_replicas_is_refused() {
    let mut bytes = vec![1, 0x91, 0x4e]; // 10,001 replicas
    (0..10_001).for_each(|_| bytes.extend([1, 1, 0]));
    bytes.extend([0, 1]);
    assert!(matches!(Delta::decode(&bytes), Err(DecodeError::Limit { what: "replicas", .. })));
}

#[test]
fn an_id_whose_events_are_spent_makes_no_more() {
    let mut victim = Document::new(ReplicaId::new(5));
    let spent = limits::EVENTS_MAX;
    let mut forged = vec![1, 1, 5];
    forged.extend([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 8, 0, 0, 3, 1, b'n', 1, 1, 0, 1, 4]);
    let forged = Delta::decode(&forged).expect("within the limits");
    assert_eq!(forged.to().seq(ReplicaId::new(5)), spent);
    victim.apply(forged).unwrap();
    assert_eq!(victim.edit(now(), |tx| tx.set(&["x"], 1)), Err(EditError::ReplicaSpent));
    assert!(Delta::decode(&victim.encode_state()).is_ok(), "and what there is can still be told");
}

#[test]
fn what_a_fast_clock_wrote_can_be_written_again() {
    let mut all = replicas(2);
    let (anna, ben) = all.split_at_mut(1);
    let (anna, ben) = (&mut anna[0], &mut ben[0]);
    anna.edit(now(), |tx| tx.set(&["kept"], 1)).unwrap();
    pull(ben, anna);
    let known = anna.version().clone();
    let year = now().plus(365 * 24 * 3_600_000);
    anna.edit(year, |tx| {
        tx.set(&["kept"], 2);
        tx.set(&["deep", "down"], 3);
        tx.increment(&["votes"], 1);
    })
    .unwrap();
    assert!(anna.since(&known).latest().time() >= year);
    let changes = anna.restamp(now().plus(5), &known);
    assert_eq!(changes.len(), 2);
    let delta = anna.since(&known);
    assert!(delta.latest().time() <= now().plus(5), "nothing of the wrong clock is told");
    ben.apply(delta).unwrap();
    assert_eq!(ben.hash(), anna.hash());
    assert_eq!((ben.register(&["kept"]), ben.counter(&["votes"])), (Some(&Value::from(2)), 1));
    // Ben's next write is later than Anna's, as it should be.
    ben.edit(now().plus(6), |tx| tx.set(&["kept"], 4)).unwrap();
    pull(anna, ben);
    assert_eq!(anna.register(&["kept"]), Some(&Value::from(4)));
    assert!(anna.restamp(now().plus(7), &known).is_empty());
}

/// Golden bytes: the format does not change unnoticed. They are explained in `docs/wire.md`.
#[test]
fn the_format_holds_still() {
    let mut document = Document::new(ReplicaId::new(5));
    document
        .edit(Time::from_millis(1), |tx| {
            tx.set(&["mill", "name"], "Old");
            tx.increment(&["mill", "votes"], 2);
            tx.insert(&["mill", "tags"], "water");
        })
        .unwrap();
    let at_first = document.version().clone();
    document.edit(Time::from_millis(1), |tx| tx.remove(&["mill", "tags"], "water")).unwrap();
    #[rustfmt::skip]
    let state = [
        1,                                  // format
        1, 5, 4, 0,                         // one replica: id 5, has 4 events, of which 0 are presupposed
        0x80, 0x80, 4,                      // latest stamp of a write: 1 ms, count 0
        3,                                  // root: 1 name, whole
        4, b'm', b'i', b'l', b'l', 3, 4,    // "mill", a map of 2 names
        4, b'n', b'a', b'm', b'e', 0,       // "name", a register
        1, 0, 1, 0, 4, 3, b'O', b'l', b'd', // 1 dot: replica 0, event 1, written 0 before the latest: text "Old"
        5, b'v', b'o', b't', b'e', b's', 1, // "votes", a counter
        1, 0, 2, 4,                         // 1 dot: replica 0, event 2: 2
    ];
    assert_eq!(document.state().encode(), state);
    #[rustfmt::skip]
    let removal = [
        1, 1, 5, 4, 3,                      // replica 5 has 4 events, of which 3 are presupposed
        0,                                  // no write, no stamp
        2,                                  // root: 1 name, not whole
        4, b'm', b'i', b'l', b'l', 3, 2,    // "mill", a map of which 1 name is told
        4, b't', b'a', b'g', b's', 0x82,    // "tags", a set that was emptied
    ];
    let delta = document.since(&at_first).encode();
    assert_eq!(delta, removal);
    assert_eq!(document.hash(), 0x9b0b_bb39_b618_6b44_6400_c399_5118_d36e);
}

#[test]
fn a_delta_with_a_gap_before_it_is_refused() {
    let mut all = replicas(2);
    let (anna, ben) = all.split_at_mut(1);
    anna[0].edit(now(), |tx| tx.set(&["a"], 1)).unwrap();
    let first = anna[0].version().clone();
    anna[0].edit(now(), |tx| tx.set(&["b"], 1)).unwrap();
    let gap = ben[0].apply(anna[0].since(&first)).expect_err("the first edit is missing");
    assert_eq!(gap.missing, 1);
    assert!(ben[0].version().is_empty() && ben[0].root().iter().len() == 0);
    assert!(anna[0].since(anna[0].version()).is_empty());
}
