//! What the embedded store can do on this machine: commits and records a second by batch, beside the disk's own syncs;
//! how long a large document takes to load and to compact, and whom that delays.
//!
//! `cargo run --release -p watersmeet-sync --example store [FOLDER]`

#![allow(clippy::unwrap_used, reason = "a figure that cannot be measured is none")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time};
use watersmeet_sync::store::{Record, Sqlite, Store};

const DOCUMENTS: usize = 50;
const RECORD_BYTES: usize = 64;
const MANY: usize = 100_000;
const ENTRIES: usize = 100_000;
/// How long appends are measured beside something else.
const BESIDE: Duration = Duration::from_secs(3);

fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("watersmeet-store-figures-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    syncs(&folder);
    for batch in [1, 10, 100, 1_000] {
        appends(&folder, batch);
    }
    many_documents(&folder);
    large_document(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The disk's own rate: append a record, sync, one at a time.
fn syncs(folder: &Path) {
    let mut file = std::fs::File::create(folder.join("syncs")).unwrap();
    let start = Instant::now();
    let mut latencies = Vec::new();
    while start.elapsed() < Duration::from_secs(2) {
        let one = Instant::now();
        file.write_all(&[1; RECORD_BYTES]).unwrap();
        file.sync_data().unwrap();
        latencies.push(one.elapsed());
    }
    println!("append and fdatasync            {}", rate(latencies, 1));
}

fn record(document: usize, delta: &bytes::Bytes) -> Record {
    Record { document: format!("document {document}").into(), delta: delta.clone(), claims: Vec::new() }
}

fn appends(folder: &Path, batch: usize) {
    let store = Sqlite::open(&folder.join(format!("batch-{batch}"))).unwrap();
    let delta = bytes::Bytes::from(vec![7; RECORD_BYTES]);
    let start = Instant::now();
    let (mut latencies, mut next) = (Vec::new(), 0);
    while start.elapsed() < Duration::from_secs(2) {
        let records: Vec<_> = (next..next + batch).map(|n| record(n % DOCUMENTS, &delta)).collect();
        next += batch;
        let one = Instant::now();
        store.append(&records).unwrap();
        latencies.push(one.elapsed());
    }
    println!("commits of {batch:>4} records         {}", rate(latencies, batch));
}

fn rate(mut latencies: Vec<Duration>, each: usize) -> String {
    latencies.sort();
    let total: Duration = latencies.iter().sum();
    let per_second = (latencies.len() * each) as f64 / total.as_secs_f64();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    format!("{per_second:>9.0} records/s, p50 {:?}, p99 {:?}", at(50), at(99))
}

/// A store of many documents: how long it takes to open, since the list of documents is read from end to end.
fn many_documents(folder: &Path) {
    let folder = folder.join("many");
    let store = Sqlite::open(&folder).unwrap();
    let delta = bytes::Bytes::from(vec![7; RECORD_BYTES]);
    for part in 0..100 {
        let records: Vec<_> = (0..MANY / 100).map(|n| record(part * (MANY / 100) + n, &delta)).collect();
        store.append(&records).unwrap();
    }
    drop(store);
    time("open a store of 100,000 docs", || drop(Sqlite::open(&folder).unwrap()));
}

/// A document of 100,000 entries: what it takes to load and compact, and what appends of others wait meanwhile.
fn large_document(folder: &Path) {
    let mut document = Document::new(ReplicaId::new(1));
    for part in 0..100 {
        let edit = |tx: &mut watersmeet_crdt::document::Transaction| {
            for n in 0..ENTRIES / 100 {
                tx.set(&["features", &format!("{:016x}", part * ENTRIES / 100 + n)], n as i64);
            }
        };
        document.edit(Time::from_millis(1), edit).unwrap();
    }
    let store = Arc::new(Sqlite::open(&folder.join("large")).unwrap());
    let state = document.encode_state();
    let record = |delta| Record { document: "large".into(), delta, claims: Vec::new() };
    let last = store.append(&[record(state.clone())]).unwrap()[0];
    time("clone of the document in memory", || drop(document.clone()));
    time("encode its state", || drop(document.encode_state()));
    let load = || {
        let saved = store.load("large").unwrap();
        let mut replayed = Document::new(ReplicaId::new(2));
        for (_, bytes) in saved.snapshot.iter().chain(&saved.deltas) {
            replayed.apply(Delta::decode(bytes).unwrap()).unwrap();
        }
        assert_eq!(replayed.len(), document.len());
    };
    time("load and replay it", load);
    println!("bytes of its state              {:>9}", state.len());
    beside("appends beside nothing", &store, || std::thread::sleep(BESIDE));
    let mut last = last;
    beside("appends beside compactions", &store, || {
        let start = Instant::now();
        while start.elapsed() < BESIDE {
            store.compact("large", last, &state).unwrap();
            let delta = Document::new(ReplicaId::new(3)).state().encode();
            last = store.append(&[record(delta)]).unwrap()[0];
        }
    });
    time("one more compaction", || store.compact("large", last, &state).unwrap());
}

/// What appends of others wait while `work` is done.
fn beside(what: &str, store: &Arc<Sqlite>, work: impl FnOnce()) {
    let (stop, others) = (Arc::new(AtomicBool::new(false)), store.clone());
    let stopped = stop.clone();
    let appending = std::thread::spawn(move || {
        let delta = bytes::Bytes::from(vec![7; RECORD_BYTES]);
        let mut latencies = Vec::new();
        while !stopped.load(Ordering::SeqCst) {
            let one = Instant::now();
            others.append(&[record(0, &delta)]).unwrap();
            latencies.push(one.elapsed());
            others.tidy().unwrap();
        }
        latencies
    });
    work();
    stop.store(true, Ordering::SeqCst);
    println!("{what:<31} {}", rate(appending.join().unwrap(), 1));
}

fn time(what: &str, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    println!("{what:<31} {:?}", start.elapsed());
}
