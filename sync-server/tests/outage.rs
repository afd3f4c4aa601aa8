//! A store that is full or fails for a while, under load: nothing is acknowledged that is not written, reading goes on,
//! the log tells of it once, and when the store works again everything arrives, without a restart or a reconnection.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Faulty, Folder, Shared, patiently, replay, start, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use watersmeet_client::DocumentHandle;
use watersmeet_crdt::{Document, Value};
use watersmeet_sync::Limits;

/// Counts what the committer tells an operator.
struct Told;

static ERRORS: AtomicUsize = AtomicUsize::new(0);
static MENDED: AtomicUsize = AtomicUsize::new(0);

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        match *event.metadata().level() {
            Level::ERROR => ERRORS.fetch_add(1, Ordering::SeqCst),
            Level::INFO if event.metadata().target().ends_with("committer") => {
                MENDED.fetch_add(1, Ordering::SeqCst)
            }
            _ => 0,
        };
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Edits until it is told to stop, and counts what it did.
async fn write(document: DocumentHandle, key: String, stop: Arc<AtomicBool>) -> i64 {
    let mut written = 0;
    while !stop.load(Ordering::SeqCst) {
        document.edit(|tx| tx.set(&["by", &key, &written.to_string()], written)).unwrap();
        written += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    written
}

/// Whether a document has the first `count` edits of a writer.
fn has(document: &Document, key: &str, count: i64) -> bool {
    (0..count).all(|n| document.register(&["by", key, &n.to_string()]) == Some(&Value::Int(n)))
}

const WRITERS: usize = 6;
const DOCUMENTS: usize = 3;
const OUTAGES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_now_and_then_loses_nothing_and_is_told_of_once() {
    tracing::subscriber::set_global_default(Told).unwrap();
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let limits =
        Limits { mend: Duration::from_millis(20), mend_max: Duration::from_millis(40), ..Limits::default() };
    let server = start(Shared(store.clone()), limits).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for n in 0..WRITERS {
        let (client, document) = server.open(&format!("map {}", n % DOCUMENTS)).await;
        patiently("synced", document.synced()).await.unwrap();
        let key = client.replica().get().to_string();
        let writing = tokio::spawn(write(document.clone(), key.clone(), stop.clone()));
        writers.push((client, document, key, writing));
    }
    for outage in 1..=OUTAGES {
        store.fails.store(true, Ordering::SeqCst);
        until("an append fails", || store.failures.load(Ordering::SeqCst) >= outage).await;
        let checks = store.checks.load(Ordering::SeqCst);
        until("it is looked whether it works", || store.checks.load(Ordering::SeqCst) >= checks + 2).await;
        // Told on the disk: the store says so itself, whatever the server thinks.
        for (client, document, key, _) in &writers {
            let promised = document.on_server().seq(client.replica());
            let saved = replay(&store.inner, document.name());
            assert!(has(&saved, key, i64::try_from(promised).unwrap()), "acknowledged and not on the disk");
        }
        // Who comes now reads what there is.
        let (_reader, document) = server.open("map 0").await;
        let (.., key, _) = &writers[0];
        until("the document is served", || document.read(|document| has(document, key, 1))).await;
        store.fails.store(false, Ordering::SeqCst);
        for (_, document, ..) in &writers {
            patiently("durable", document.durable()).await.unwrap();
            assert!(document.status().live, "the connection was given up");
        }
    }
    stop.store(true, Ordering::SeqCst);
    let mut total = 0;
    let mut done = Vec::new();
    for (client, document, key, writing) in writers {
        let written = writing.await.unwrap();
        patiently("durable", document.durable()).await.unwrap();
        total += written;
        done.push((client, document, key, written));
    }
    // Only once nobody writes any more does a document stay what it was found to be.
    for (_client, document, key, written) in &done {
        let saved = replay(&store.inner, document.name());
        assert!(has(&saved, key, *written), "{written} edits");
        until("all have what is on the disk", || document.read(Document::hash) == saved.hash()).await;
    }
    let (errors, mended) = (ERRORS.load(Ordering::SeqCst), MENDED.load(Ordering::SeqCst));
    println!("{total} edits, {OUTAGES} outages, told {errors} times and {mended} times");
    assert_eq!((errors, mended), (OUTAGES, OUTAGES));
    server.stop().await;
}
