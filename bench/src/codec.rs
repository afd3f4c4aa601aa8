//! `watersmeet-bench codec`: the codec of documents against postcard's derived one, on one document.
//!
//! The figures are in `docs/decisions/0001-own-codec-for-deltas.md`. Ratios within one run are what counts.

use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::time::{Duration, Instant};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time};

/// The same tree as plain data, as a derived codec would have it.
#[derive(Serialize, Deserialize, PartialEq)]
enum Plain {
    Register(Vec<(u64, u64, u64, String)>),
    Set(Vec<(String, Vec<(u64, u64)>)>),
    Map(Vec<(String, Plain)>),
}

const REPLICA: u64 = 0x9e37_79b9_7f4a_7c15;
/// When the first place is written; the next follow a millisecond apart.
const TIME: u64 = 1_700_000_000_000;
const RUNS: usize = 5;
const PLACES: usize = 20_000;

/// A place: its id, its name and its two tags.
type Place = (String, String, [String; 2]);

pub(crate) fn run() {
    let places = places();
    let document = document(&places);
    let plain = plain(&places);
    let theirs = postcard::to_allocvec(&plain).unwrap_or_default();
    let bytes = document.encode_state();
    println!("{PLACES} places with a name and two tags; median of {RUNS} runs");
    println!("{:<12}{:>12}{:>12}{:>12}", "", "bytes", "encode ms", "decode ms");
    row("watersmeet", bytes.len(), &mut || drop(black_box(document.encode_state())), &mut || {
        drop(black_box(Delta::decode(&bytes)));
    });
    row("postcard", theirs.len(), &mut || drop(black_box(postcard::to_allocvec(&plain))), &mut || {
        drop(black_box(postcard::from_bytes::<Plain>(&theirs)));
    });
}

/// In the order of their ids.
fn places() -> Vec<Place> {
    let mut places: Vec<Place> = (0..PLACES)
        .map(|n| {
            let id = format!("{:016x}", (n as u64).wrapping_mul(REPLICA));
            (id, format!("Place {n}"), [format!("tag {}", n % 50), "water".to_owned()])
        })
        .collect();
    places.sort();
    places
}

fn document(places: &[Place]) -> Document {
    let mut document = Document::new(ReplicaId::new(REPLICA));
    for (time, (id, name, tags)) in (TIME..).zip(places) {
        let edited = document.edit(Time::from_millis(time), |tx| {
            tx.set(&["places", id, "name"], name.clone());
            tags.iter().for_each(|tag| tx.insert(&["places", id, "tags"], tag.clone()));
        });
        assert!(edited.is_ok(), "within limits");
    }
    document
}

fn plain(places: &[Place]) -> Plain {
    let of_place = |(n, (id, name, tags)): (u64, &Place)| {
        let dot = |field| (REPLICA, 3 * n + field);
        let name = Plain::Register(vec![(REPLICA, 3 * n + 1, TIME + n, name.clone())]);
        let tags = (2..).zip(tags).map(|(field, tag)| (tag.clone(), vec![dot(field)])).collect();
        let fields = vec![("name".to_owned(), name), ("tags".to_owned(), Plain::Set(tags))];
        (id.clone(), Plain::Map(fields))
    };
    let places = (0..).zip(places).map(of_place).collect();
    Plain::Map(vec![("places".to_owned(), Plain::Map(places))])
}

fn row(name: &str, bytes: usize, encode: &mut dyn FnMut(), decode: &mut dyn FnMut()) {
    println!("{name:<12}{bytes:>12}{:>12.1}{:>12.1}", median_ms(encode), median_ms(decode));
}

fn median_ms(work: &mut dyn FnMut()) -> f64 {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2].as_secs_f64() * 1e3
}
