//! `watersmeet-bench codec`: the codec of documents against postcard's derived one, on one document.
//!
//! The figures are in `docs/decisions/0001-own-codec-for-deltas.md`. Ratios within one run are what counts.

use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::time::{Duration, Instant};
use watersmeet_crdt::document::{Map, Slot};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time};

/// The same tree as plain data, as a derived codec would have it.
#[derive(Serialize, Deserialize, PartialEq)]
enum Plain {
    Register(Vec<(u64, u64, u64, String)>),
    Set(Vec<(String, Vec<(u64, u64)>)>),
    Map(Vec<(String, Plain)>),
}

const RUNS: usize = 5;
const PLACES: usize = 20_000;

pub(crate) fn run() {
    let document = places();
    let plain = plain_map(document.root());
    let ours = document.state();
    let theirs = postcard::to_allocvec(&plain).unwrap_or_default();
    let bytes = ours.encode();
    println!("{PLACES} places with a name and two tags; median of {RUNS} runs");
    println!("{:<12}{:>12}{:>12}{:>12}", "", "bytes", "encode ms", "decode ms");
    row("watersmeet", bytes.len(), &mut || drop(black_box(ours.encode())), &mut || {
        drop(black_box(Delta::decode(&bytes)));
    });
    row("postcard", theirs.len(), &mut || drop(black_box(postcard::to_allocvec(&plain))), &mut || {
        drop(black_box(postcard::from_bytes::<Plain>(&theirs)));
    });
}

fn places() -> Document {
    let mut document = Document::new(ReplicaId::new(0x9e37_79b9_7f4a_7c15));
    for n in 0..PLACES {
        let id = format!("{:016x}", (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let edited = document.edit(Time::from_millis(1_700_000_000_000 + n as u64), |tx| {
            tx.set(&["places", &id, "name"], format!("Place {n}"));
            tx.insert(&["places", &id, "tags"], "water");
            tx.insert(&["places", &id, "tags"], format!("tag {}", n % 50));
        });
        assert!(edited.is_ok(), "within limits");
    }
    document
}

fn plain_map(map: &Map) -> Plain {
    let entry = |slot: &Slot| match slot {
        Slot::Map(map) => plain_map(map),
        Slot::Register(register) => {
            let written = register.dots().map(|(dot, stamp, value)| {
                (
                    dot.replica.get(),
                    dot.seq,
                    stamp.time().millis(),
                    value.text().unwrap_or_default().to_owned(),
                )
            });
            Plain::Register(written.collect())
        }
        Slot::Set(set) => {
            let items = set.dots().map(|(item, dots)| {
                let dots = dots.iter().map(|dot| (dot.replica.get(), dot.seq)).collect();
                (item.text().unwrap_or_default().to_owned(), dots)
            });
            Plain::Set(items.collect())
        }
        Slot::Counter(_) | Slot::Empty => Plain::Map(Vec::new()),
    };
    Plain::Map(map.iter().map(|(key, slot)| (key.name.clone(), entry(slot))).collect())
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
