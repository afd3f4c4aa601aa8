//! Documents: deltas against states, canonical bytes, events, and bytes from strangers.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::spec::leaves;
use common::{Rng, pull, random_ops};
use quickcheck::quickcheck;
use watersmeet_crdt::document::{DecodeError, EditError, limits};
use watersmeet_crdt::{Delta, Document, Dot, ReplicaId, Time, Value, VersionVector};

fn now() -> Time {
    Time::from_millis(1_700_000_000_000)
}

fn replicas(n: u64) -> Vec<Document> {
    (1..=n).map(|id| Document::new(ReplicaId::new(id))).collect()
}

quickcheck! {
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
        let mut bytes = all[0].state().encode().to_vec();
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
    let mut carl = Document::new(ReplicaId::new(3));
    carl.apply(anna.since(&VersionVector::from_iter([(ReplicaId::new(1), 0)]))).unwrap();
    assert_eq!(carl.hash(), anna.hash(), "who lacks the state gets it");
}

/// Removals are remembered by the log alone, which forgets the oldest beyond its limit. Who lacks those is told more.
#[test]
fn the_log_is_bounded_in_bytes() {
    let mut document = Document::new(ReplicaId::new(1));
    document.edit(now(), |tx| tx.insert(&["kept"], 1)).unwrap();
    let mut ben = document.clone();
    let at_first = document.version().clone();
    for _ in 0..limits::LOG_BYTES_MAX / 64 {
        document.edit(now(), |tx| tx.insert(&["set"], 7)).unwrap();
        document.edit(now(), |tx| tx.remove(&["set"], 7)).unwrap();
    }
    let told = document.since(&at_first);
    assert!(told.from().is_empty(), "the oldest is forgotten: what is kept is told again");
    ben.apply(told).unwrap();
    assert_eq!(ben.hash(), document.hash());
    assert!(document.encode_state().len() < 30, "and the state has nothing of what was removed");
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

/// Dora's two edits came to the server as one group, of which Carl has a part; he also has Anna's, which replaced the
/// first of them. What he is told again does not hold that first edit, because of Anna's. To Ben, who has not heard of
/// Anna, it would say that Dora's value is gone.
#[test]
fn what_is_told_again_is_refused_by_who_lacks_what_it_builds_on() {
    let mut all = replicas(5);
    let [dora, anna, server, carl, ben] = &mut all[..] else { panic!("five replicas") };
    dora.edit(now(), |tx| tx.set(&["x"], 1)).unwrap();
    for other in [&mut *anna, &mut *carl, &mut *ben] {
        pull(other, dora);
    }
    dora.edit(now(), |tx| tx.set(&["y"], 1)).unwrap();
    anna.edit(now(), |tx| tx.set(&["x"], 2)).unwrap();
    pull(server, dora);
    pull(server, anna);
    pull(carl, anna);
    let told = server.since(carl.version());
    assert!(ben.apply(&told).is_err(), "Ben has not heard of Anna's edit");
    assert_eq!(ben.register(&["x"]), Some(&Value::from(1)));
    carl.apply(told).unwrap();
    assert_eq!(carl.hash(), server.hash());
    pull(ben, carl);
    assert_eq!(ben.hash(), server.hash());
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
    let mut deep = vec![3, 0, 0];
    (0..10_000).for_each(|_| deep.extend([0x13, 1, b'k']));
    assert!(matches!(Delta::decode(&deep), Err(DecodeError::Limit { what: "keys in a path", .. })));
}

/// Replica 5 with its events up to 4, nothing removed; then what is given.
fn with_header(rest: &[u8]) -> Vec<u8> {
    [&[0x13, 5 << 3, 0, 4], rest].concat()
}

/// What is out of order, empty, or not covered by the version it comes with is refused.
#[test]
fn the_decoder_refuses_what_no_replica_tells() {
    let refused = |rest: &[u8]| {
        let decoded = Delta::decode(&with_header(rest));
        assert!(matches!(decoded, Err(DecodeError::Invalid { .. })), "{rest:?}: {decoded:?}");
    };
    let counter = |name: u8| [1, name];
    let counters = |names: [u8; 2]| [&[0x31][..], &[1, names[0]], &[0, names[1]], &[2, 0, 0, 4, 4]].concat();
    assert!(Delta::decode(&with_header(&[0x11, 1, b'n', 0, 4])).is_ok());
    assert!(Delta::decode(&with_header(&counters(*b"mn"))).is_ok());
    refused(&counters(*b"nm")); // keys out of order
    refused(&counters(*b"nn")); // one key twice
    refused(&[&[0x31, 1, b'm', 0, b'n'][..], &[2, 0, 1, 4, 4]].concat()); // one event in two places
    let cut_short = |rest: &[u8]| {
        let decoded = Delta::decode(&with_header(rest));
        assert!(matches!(decoded, Err(DecodeError::Truncated { .. })), "{rest:?}: {decoded:?}");
    };
    cut_short(&[0x13, 1, b'n']); // a map without a key
    cut_short(&[0x12, 1, b'n']); // a set without an item
    cut_short(&[0x01, 1, b'n']); // no last child
    cut_short(&[]); // no child, and no word of that
    refused(&[0x1b, 1, b'n', 0x11, 1, b'n', 0, 4]); // a map that has several events
    refused(&[0x11, 1, b'n', 1, 4]); // an event number 0
    refused(&[0x11, 1, b'n', 8, 4]); // an event that the version does not have
    refused(&[0x19, 1, b'n', 0, 1, 0, 4, 4]); // two events of one replica in one cell
    refused(&[[0x16].as_slice(), &counter(0xff), &[0]].concat()); // a key that is not text
    let removed = |rest: &[u8]| Delta::decode(&[&[0x23, 1, 5 << 3, 3, 1][..], rest].concat());
    assert_eq!(removed(&[1, 0, 2]).map(|delta| delta.encode().len()), Ok(8));
    assert!(removed(&[1, 0, 3]).is_err(), "a removed event beyond what the receiver has");
    assert!(removed(&[1, 2, 0]).is_err(), "a removed event of no replica that is named");
}

/// The first byte says what is absent.
#[test]
fn the_decoder_refuses_flags_that_cannot_be() {
    // Flags that contradict each other, or that nobody knows.
    assert!(matches!(Delta::decode(&[0x63, 0, 0]), Err(DecodeError::Invalid { what: "flags", .. })));
    assert!(matches!(Delta::decode(&[0x83, 0, 0]), Err(DecodeError::Format { found: 0x83 })));
    assert_eq!(Delta::decode(&[0x33, 5 << 3, 0, 4, 0x11]), Err(DecodeError::Trailing { left: 1 }));
    // Each event as expected: no column of dots; but no more events than there were.
    assert!(Delta::decode(&[0x53, 5 << 3, 0, 1, 0x11, 1, b'n', 4]).is_ok());
    let beyond = [&[0x53, 5 << 3, 0, 1, 0x31][..], &[1, b'm', 0, b'n', 4, 4]].concat();
    assert!(matches!(Delta::decode(&beyond), Err(DecodeError::Invalid { what: "dot", .. })));
}

#[test]
fn a_version_of_too_many_replicas_is_refused() {
    let mut bytes = vec![0x23, 0x91, 0x4e]; // 10,001 replicas
    (0..10_001).for_each(|_| bytes.extend([1 << 3, 0, 1]));
    bytes.push(0);
    assert!(matches!(Delta::decode(&bytes), Err(DecodeError::Limit { what: "replicas", .. })));
}

#[test]
fn an_id_whose_events_are_spent_makes_no_more() {
    let mut victim = Document::new(ReplicaId::new(5));
    let spent = limits::EVENTS_MAX;
    let forged = [0x13, 5 << 3, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 8, 0x11, 1, b'n', 0, 4];
    let forged = Delta::decode(&forged).expect("within the limits");
    assert_eq!(forged.to().seq(ReplicaId::new(5)), spent);
    victim.apply(forged).unwrap();
    assert_eq!(victim.edit(now(), |tx| tx.set(&["x"], 1)), Err(EditError::ReplicaSpent));
    assert!(Delta::decode(&victim.encode_state()).is_ok(), "and what there is can still be told");
}

/// A short name may stand for a long one only so far: few bytes cannot unfold into many.
#[test]
fn names_share_no_more_than_a_little() {
    let mut document = Document::new(ReplicaId::new(1));
    let long = "x".repeat(10_000);
    document.edit(now(), |tx| (0..100).for_each(|n| tx.insert(&["set"], format!("{long}{n:02}")))).unwrap();
    assert!(document.encode_state().len() > 100 * 9_900);
    assert_eq!(Delta::decode(&document.encode_state()), Ok(document.state()));
}

#[test]
fn an_index_beyond_the_end_of_a_list_is_refused() {
    let mut document = Document::new(ReplicaId::new(1));
    document.edit(now(), |tx| tx.splice(&["ring"], 0, 0, [1, 2, 3])).unwrap();
    let version = document.version().clone();
    let mut refused = |edit: &dyn Fn(&mut watersmeet_crdt::document::Transaction)| {
        let error = document.edit(now(), |tx| edit(tx)).expect_err("beyond the end");
        assert_eq!(*document.version(), version);
        error
    };
    let beyond = |index, len| EditError::BeyondTheEnd { path: "ring".to_owned(), index, len };
    assert_eq!(refused(&|tx| tx.replace(&["ring"], 3, 0)), beyond(4, 3));
    assert_eq!(refused(&|tx| tx.splice(&["ring"], 2, 2, [0])), beyond(4, 3));
    // Indexes count on what the transaction has done before.
    assert_eq!(
        refused(&|tx| {
            tx.splice(&["ring"], 0, 2, [0; 0]);
            tx.replace(&["ring"], 1, 0);
        }),
        beyond(2, 1)
    );
    assert_eq!(
        refused(&|tx| {
            tx.delete(&["ring"]);
            tx.replace(&["ring"], 0, 0);
        }),
        beyond(1, 0)
    );
    document
        .edit(now(), |tx| {
            tx.delete(&["ring"]);
            tx.splice(&["ring"], 0, 0, [7, 8]);
            tx.replace(&["ring"], 1, 9);
        })
        .unwrap();
    assert_eq!(document.list(&["ring"]), [&Value::from(7), &Value::from(9)]);
}

/// Two people move different vertices of one ring, a third inserts one and a fourth removes one: all of it stands.
#[test]
fn vertices_of_one_ring_merge_one_by_one() {
    let mut all = replicas(4);
    all[0].edit(now(), |tx| tx.splice(&["ring"], 0, 0, [10, 20, 30, 40])).unwrap();
    let first = all[0].clone();
    all[1..].iter_mut().for_each(|other| pull(other, &first));
    all[0].edit(now(), |tx| tx.replace(&["ring"], 0, 11)).unwrap();
    all[1].edit(now(), |tx| tx.replace(&["ring"], 1, 21)).unwrap();
    all[2].edit(now(), |tx| tx.splice(&["ring"], 2, 0, [25])).unwrap();
    all[3].edit(now(), |tx| tx.splice(&["ring"], 3, 1, [0; 0])).unwrap();
    let (first, others) = all.split_at_mut(1);
    others.iter().for_each(|other| pull(&mut first[0], other));
    assert_eq!(first[0].list(&["ring"]), [11, 21, 25, 30].map(Value::from).iter().collect::<Vec<_>>());
}

#[test]
fn flags_and_remove_wins_sets_keep_their_word() {
    let mut all = replicas(2);
    let (anna, ben) = all.split_at_mut(1);
    let (anna, ben) = (&mut anna[0], &mut ben[0]);
    assert!(!anna.is_raised(&["flag"]) && anna.is_guarded(&["guard"]));
    anna.edit(now(), |tx| {
        tx.flag(&["flag"], true);
        tx.guard(&["guard"], false);
        tx.include(&["banned"], "anna");
    })
    .unwrap();
    pull(ben, anna);
    anna.edit(now(), |tx| {
        tx.flag(&["flag"], false);
        tx.guard(&["guard"], true);
        tx.include(&["banned"], "anna");
    })
    .unwrap();
    ben.edit(now(), |tx| {
        tx.flag(&["flag"], true);
        tx.guard(&["guard"], false);
        tx.exclude(&["banned"], "anna");
    })
    .unwrap();
    pull(anna, ben);
    assert!(anna.is_raised(&["flag"]), "raising wins");
    assert!(!anna.is_guarded(&["guard"]), "lowering wins");
    assert!(anna.rw_items(&["banned"]).is_empty(), "removal wins");
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
    let before = anna.version().clone();
    anna.restamp(now().plus(5), &known);
    assert_eq!(anna.version().events_beyond(&before), 2, "the two registers are written again");
    let delta = anna.since(&known);
    assert!(delta.latest().time() <= now().plus(5), "nothing of the wrong clock is told");
    ben.apply(delta).unwrap();
    assert_eq!(ben.hash(), anna.hash());
    assert_eq!((ben.register(&["kept"]), ben.counter(&["votes"])), (Some(&Value::from(2)), 1));
    // Ben's next write is later than Anna's, as it should be.
    ben.edit(now().plus(6), |tx| tx.set(&["kept"], 4)).unwrap();
    pull(anna, ben);
    assert_eq!(anna.register(&["kept"]), Some(&Value::from(4)));
    let before = anna.version().clone();
    anna.restamp(now().plus(7), &known);
    assert_eq!(*anna.version(), before, "nothing is wrong any more");
}

/// Golden bytes: the format does not change unnoticed. They are explained in `docs/wire.md`.
#[test]
fn the_format_holds_still() {
    let mut document = Document::new(ReplicaId::new(5));
    let then = Time::from_millis(1_577_836_800_007);
    document
        .edit(then, |tx| {
            tx.set(&["mill", "name"], "Old");
            tx.increment(&["mill", "votes"], 2);
            tx.insert(&["mill", "tags"], "water");
            tx.insert(&["mill", "tags"], "wheel");
            tx.splice(&["mill", "ring"], 0, 0, [10, 20]);
        })
        .unwrap();
    #[rustfmt::skip]
    let state = [
        0x13,                                       // format 3; one replica and nothing removed
        5 << 3, 0, 6,                               // id 5, after event 0, 6 events
        0x13, 4, b'm', b'i', b'l', b'l',            // root: the last run, of 1 map: "mill"
        0, 4, b'n', b'a', b'm', b'e',               //   a run of 1 register: "name"
        7, 0, b'r', b'i', b'n', b'g',               //   a run of 1 list, which shares 0 bytes with "name": "ring"
        0x30, 9, 224, 0, 0, 0, 0, 0, 5, 5, 129,     //     the last run, of 2 elements: a position of 9 bytes,
        16, 131,                                    //     and one as long that shares 8 of them
        2, 0, b't', b'a', b'g', b's',               //   a run of 1 set: "tags"
        0x34, 5, b'w', b'a', b't', b'e', b'r',      //     the last run, of 2 texts: "water",
        2, b'h', b'e', b'e', b'l',                  //     and what is as long and shares 1 byte: "wheel"
        0x11, 1, 5, b'v', b'o', b't', b'e', b's',   //   the last run, of 1 counter, of another length: "votes"
        10, 0, 6, 0, 7, 0, 5,                       // dots: a block of 6, each by how far it is from the one after
                                                    // the last: events 1, 5, 6, 3, 4, 2
        2, 28,                                      // stamps: a run of 3, 7 ms after the epoch, no counter
        4, 131, 74, 84,                             // tags: a block of 3: a text of 3 bytes, 10, 20
        b'O', b'l', b'd', 4,                        // values: the text; the counter's 2
    ];
    assert_eq!(document.state().encode(), state[..]);
    let at_first = document.version().clone();
    document
        .edit(then, |tx| {
            tx.remove(&["mill", "tags"], "water");
            tx.set(&["mill", "name"], "New");
        })
        .unwrap();
    #[rustfmt::skip]
    let told = [
        3,                                          // format 3
        1, 5 << 3, 6, 2,                            // one replica: id 5, after event 6, 2 events
        1, 0, 2,                                    // removed: 1 run, of the first replica, of 1 event: 3
        0x13, 4, b'm', b'i', b'l', b'l',            // root: the last run, of 1 map: "mill"
        0x10, 4, b'n', b'a', b'm', b'e',            //   the last run, of 1 register: "name", whose old value is gone
        2,                                          // dots: one after the next event: 8
        29, 1,                                      // stamps: 7 ms after the epoch, and a counter: 1
        131,                                        // tags: a text of 3 bytes
        b'N', b'e', b'w',                           // values: the text
    ];
    assert_eq!(document.since(&at_first).encode(), told[..]);
    assert_eq!(document.hash(), 0xbf43_12bb_8cfe_0ba6_8dc1_f70d_644d_a207);
}

/// Golden bytes of the smallest deltas.
#[test]
fn the_format_of_little_holds_still() {
    let mut document = Document::new(ReplicaId::new(5));
    document.edit(Time::from_millis(1_577_836_800_007), |tx| tx.set(&["mill", "name"], "New")).unwrap();
    let before = document.version().clone();
    document.edit(Time::from_millis(1_577_836_800_009), |tx| tx.set(&["mill", "name"], "x")).unwrap();
    #[rustfmt::skip]
    let told = [
        0x53,                                       // format 3; one replica, nothing removed, events as expected
        5 << 3, 1, 1,                               // id 5, after event 1, 1 event
        0x13, 4, b'm', b'i', b'l', b'l',            // root: the last run, of 1 map: "mill"
        0x10, 4, b'n', b'a', b'm', b'e',            //   the last run, of 1 register: "name"
        36,                                         // stamps: 9 ms after the epoch, no counter
        129, b'x',                                  // tags: a text of 1 byte; values: the text
    ];
    assert_eq!(document.since(&before).encode(), told[..]);
    assert_eq!(document.since(document.version()).encode(), [0x23, 0, 0][..], "nothing, of nobody");
}

/// A device was copied together with its replica id, and both go on.
#[test]
fn an_event_that_says_two_things_is_noticed() {
    let write = |write: &dyn Fn(&mut watersmeet_crdt::document::Transaction)| {
        let mut document = Document::new(ReplicaId::new(7));
        document.edit(now(), |tx| tx.set(&["before"], 1)).unwrap();
        document.edit(now(), write).unwrap();
        document
    };
    let held = write(&|tx| tx.set(&["m", "name"], "mill"));
    let dot = Some(Dot { replica: ReplicaId::new(7), seq: 2 });
    assert_eq!(held.contradicts(&held.state()), None, "what is said again is no contradiction");
    for other in [
        write(&|tx| tx.set(&["m", "name"], "tower")),
        write(&|tx| tx.set(&["m", "title"], "mill")),
        write(&|tx| tx.set(&["n", "name"], "mill")),
        write(&|tx| tx.insert(&["m", "name"], "mill")),
        write(&|tx| tx.increment(&["m", "name"], 1)),
    ] {
        assert_eq!(held.contradicts(&other.state()), dot);
        assert_eq!(other.contradicts(&held.state()), dot);
    }
    let later = {
        let mut later = held.clone();
        later.edit(now(), |tx| tx.set(&["m", "name"], "ruin")).unwrap();
        later
    };
    assert_eq!(held.contradicts(&later.state()), None, "what was overwritten is not a contradiction");
    assert_eq!(later.contradicts(&held.state()), None);
    assert_eq!(Document::new(ReplicaId::new(8)).contradicts(&held.state()), None);
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
    assert!(ben[0].version().is_empty() && ben[0].is_empty());
    assert!(anna[0].since(anna[0].version()).is_empty());
}
