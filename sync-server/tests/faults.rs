//! A store that fails: nothing is acknowledged or shown that is not written, and all goes on when it works again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Faulty, Folder, Shared, patiently, replay, run, start, until};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use watersmeet_client::Client;
use watersmeet_crdt::{Delta, Document, ReplicaId, Time};
use watersmeet_sync::access::Access;
use watersmeet_sync::store::{Record, Store};
use watersmeet_sync::{Config, Limits, Server};
use watersmeet_tests::http;

fn count(document: &Document) -> i64 {
    document.counter(&["count"])
}

async fn a_failing_append_is_survived(writes_nonetheless: bool) {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, writes_nonetheless);
    let server = start(Shared(store.clone()), Limits::default()).await;
    let (_a, anna) = server.open("map").await;
    let (_b, ben) = server.open("map").await;
    anna.edit(|tx| tx.increment(&["count"], 1)).unwrap();
    patiently("durable", anna.durable()).await.unwrap();
    until("ben sees it", || ben.read(count) == 1).await;

    store.fails.store(true, Ordering::SeqCst);
    anna.edit(|tx| tx.increment(&["count"], 1)).unwrap();
    until("the append has failed", || store.failures.load(Ordering::SeqCst) == 1).await;
    if !writes_nonetheless {
        assert_eq!(anna.status().not_on_server, 1, "acknowledged without being written");
        assert_eq!(ben.read(count), 1, "shown without being written");
    }

    store.fails.store(false, Ordering::SeqCst);
    patiently("durable after all", anna.durable()).await.unwrap();
    until("ben sees it", || ben.read(count) == 2).await;
    assert_eq!(anna.read(count), 2, "counted twice");
    drop((anna, ben));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_written_is_not_acknowledged_and_is_offered_again() {
    a_failing_append_is_survived(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_although_it_failed_counts_once() {
    a_failing_append_is_survived(true).await;
}

/// While one commit is under way, what comes from many rooms gathers, and is one transaction.
#[tokio::test(flavor = "multi_thread")]
async fn commits_are_grouped_over_all_rooms() {
    const ROOMS: usize = 40;
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let server = start(Shared(store.clone()), Limits::default()).await;
    let client = Client::connect(&server.url).await.unwrap();
    let documents: Vec<_> = (0..ROOMS).map(|n| client.open(&format!("map {n}"))).collect();
    for document in &documents {
        patiently("synced", document.synced()).await.unwrap();
    }
    store.hold(true);
    for _ in 0..10 {
        for document in &documents {
            document.edit(|tx| tx.increment(&["count"], 1)).unwrap();
        }
    }
    store.hold(false);
    for document in &documents {
        patiently("durable", document.durable()).await.unwrap();
    }
    let appends = store.appends.load(Ordering::SeqCst);
    println!("{} edits in {appends} transactions", ROOMS * 10);
    assert!(appends <= ROOMS, "{appends} transactions for {} edits", ROOMS * 10);
    server.stop().await;
}

/// A document that cannot be read is unavailable; the others, on the same connection too, are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_document_is_named_and_harms_no_other() {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let mut good = Document::new(ReplicaId::new(1));
    good.edit(watersmeet_crdt::Time::from_millis(1), |tx| tx.increment(&["count"], 7)).unwrap();
    let delta = good.state().encode();
    let record = |delta| Record { document: "damaged".into(), delta, claims: Vec::new() };
    let records = [record(delta), record(vec![0xff; 9].into())];
    store.inner.append(&records).unwrap();

    let server = start(Shared(store.clone()), Limits::default()).await;
    let (client, damaged) = server.open("damaged").await;
    let mut events = damaged.events();
    let other = client.open("other");
    other.edit(|tx| tx.increment(&["count"], 1)).unwrap();
    patiently("durable", other.durable()).await.unwrap();
    patiently("a refusal", async {
        while !matches!(events.recv().await.unwrap(), watersmeet_client::Event::Refused { .. }) {}
    })
    .await;
    assert_eq!(damaged.read(count), 0, "part of a document was shown");
    server.stop().await;
}

/// Snapshots take the log's place without anybody noticing, and idle documents leave memory and come back.
#[tokio::test(flavor = "multi_thread")]
async fn compaction_and_idle_rooms_lose_nothing() {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let limits = Limits { tail_deltas: 5, room_idle: Duration::from_millis(20), ..Limits::default() };
    let server = start(Shared(store.clone()), limits).await;
    for round in 1..=20 {
        let (_client, document) = server.open("map").await;
        for n in 0..7_i64 {
            document.edit(|tx| tx.set(&["keys", &n.to_string()], n)).unwrap();
            document.edit(|tx| tx.increment(&["count"], 1)).unwrap();
            patiently("durable", document.durable()).await.unwrap();
        }
        patiently("synced", document.synced()).await.unwrap();
        assert_eq!(document.read(count), round * 7);
        drop(document);
        tokio::time::sleep(Duration::from_millis(round.unsigned_abs() * 3)).await;
    }
    server.stop().await;
    let saved = store.inner.load("map").unwrap();
    assert!(saved.snapshot.is_some() && saved.deltas.len() < 50, "{} deltas", saved.deltas.len());
    let mut document = Document::new(ReplicaId::new(2));
    let bytes = saved.snapshot.iter().chain(&saved.deltas).map(|(_, bytes)| bytes);
    bytes.for_each(|bytes| assert!(document.apply(Delta::decode(bytes).unwrap()).is_ok()));
    assert_eq!(count(&document), 140);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_whether_edits_can_be_stored_and_why_not() {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let limits = Limits { health_kept: Duration::ZERO, ..Limits::default() };
    let server = start(Shared(store.clone()), limits).await;
    let well = server.health().await;
    assert!(well.starts_with("HTTP/1.1 200 ") && well.ends_with(r#"{"status":"ok"}"#), "{well}");
    store.fails.store(true, Ordering::SeqCst);
    let ill = server.health().await;
    assert!(server.get("/metrics").await.contains("\nwatersmeet_store_failing 1"));
    assert!(ill.starts_with("HTTP/1.1 503 "), "{ill}");
    assert!(ill.contains(r#""status":"unavailable""#) && ill.contains("disk is full"), "{ill}");
    store.fails.store(false, Ordering::SeqCst);
    assert!(server.health().await.starts_with("HTTP/1.1 200 "));
    assert!(server.get("/metrics").await.contains("\nwatersmeet_store_failing 0"));
    server.stop().await;
}

/// Anybody may ask, so the disk is asked once for many.
#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_for_health_cost_one_write() {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let limits = Limits { health_kept: Duration::from_secs(3_600), ..Limits::default() };
    let server = Arc::new(start(Shared(store.clone()), limits).await);
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.health().await })
        })
        .collect();
    for answer in asking {
        assert!(answer.await.unwrap().starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(store.checks.load(Ordering::SeqCst), 1);
    Arc::into_inner(server).unwrap().stop().await;
}

/// The error of a full disk, from where it really comes: SQLite is given no page more.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_not_grow_refuses_edits_until_it_may() {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let limits = Limits { mend: Duration::from_millis(20), ..Limits::default() };
    let server = start(Shared(store.clone()), limits).await;
    let (client, document) = server.open("map").await;
    document.edit(|tx| tx.set(&["small"], 1)).unwrap();
    patiently("durable", document.durable()).await.unwrap();
    store.inner.limit_bytes(1).unwrap();
    document.edit(|tx| tx.set(&["large"], "x".repeat(1 << 20).as_str())).unwrap();
    let mut events = document.events();
    document.edit(|tx| tx.set(&["more"], 2)).unwrap();
    patiently("a refusal", async {
        while !matches!(events.recv().await.unwrap(), watersmeet_client::Event::Refused { .. }) {}
    })
    .await;
    assert!(document.status().not_on_server > 0);
    assert_eq!(replay(&store.inner, "map").keys(&[]), ["small"]);
    let health = server.health().await;
    assert!(health.starts_with("HTTP/1.1 503 ") && health.contains("full"), "{health}");
    store.inner.limit_bytes(1 << 30).unwrap();
    patiently("durable", document.durable()).await.unwrap();
    assert_eq!(replay(&store.inner, "map").keys(&[]), ["large", "more", "small"]);
    drop(client);
    server.stop().await;
}

/// What was appended when the log could not be moved is safe and acknowledged; what comes after that waits until the store
/// works again, as in any other outage.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_moved_is_an_outage_that_loses_nothing() {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let hour = Duration::from_secs(3_600);
    let limits = Limits { mend: hour, mend_max: hour, health_kept: Duration::ZERO, ..Limits::default() };
    let server = start(Shared(store.clone()), limits).await;
    let (_client, document) = server.open("map").await;
    store.tidy_fails.store(true, Ordering::SeqCst);
    document.edit(|tx| tx.increment(&["count"], 1)).unwrap();
    patiently("durable", document.durable()).await.unwrap();
    patiently("it is told", async {
        while !server.get("/metrics").await.contains("\nwatersmeet_store_failing 1") {}
    })
    .await;
    let mut events = document.events();
    document.edit(|tx| tx.increment(&["count"], 1)).unwrap();
    patiently("a refusal", async {
        while !matches!(events.recv().await.unwrap(), watersmeet_client::Event::Refused { .. }) {}
    })
    .await;
    assert_eq!(document.status().not_on_server, 1);
    // Which looks whether it works.
    assert!(server.health().await.starts_with("HTTP/1.1 200 "));
    patiently("durable after all", document.durable()).await.unwrap();
    assert_eq!(count(&replay(&store.inner, "map")), 2);
    server.stop().await;
}

/// A disk that hangs holds up the end no longer than the operator allows; what was written before is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_does_not_keep_the_server_from_ending() {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let limits = Limits { drain: Duration::from_millis(400), ..Limits::default() };
    let server = start(Shared(store.clone()), limits).await;
    let (_client, document) = server.open("map").await;
    document.edit(|tx| tx.increment(&["count"], 1)).unwrap();
    patiently("durable", document.durable()).await.unwrap();
    store.hold(true);
    document.edit(|tx| tx.increment(&["count"], 1)).unwrap();
    until("the append hangs", || store.waiting.load(Ordering::SeqCst) > 1).await;
    server.stop().await;
    assert_eq!(document.status().not_on_server, 1, "acknowledged without being written");
    assert_eq!(replay(&store.inner, "map").counter(&["count"]), 1);
    store.hold(false);
}

/// The limit `store_bytes`: peers cannot fill the disk.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_grows_no_larger_than_it_may() {
    let folder = Folder::fresh();
    let limits = Limits { store_bytes: 4 << 20, ..Limits::default() };
    let config = Config { limits, ..Config::new(&folder.0, Access::open()) };
    let server = run(Server::open(config).unwrap()).await;
    let (_client, document) = server.open("map").await;
    let mut events = document.events();
    for n in 0..8 {
        document.edit(|tx| tx.set(&["large", &n.to_string()], "x".repeat(1 << 20).as_str())).unwrap();
    }
    patiently("a refusal", async {
        while !matches!(events.recv().await.unwrap(), watersmeet_client::Event::Refused { .. }) {}
    })
    .await;
    assert!(document.status().not_on_server > 0);
    let size = std::fs::metadata(folder.0.join("documents.sqlite")).unwrap().len();
    assert!(size <= 4 << 20, "{size} bytes");
    server.stop().await;
}

/// Who comes by HTTP is told by status what clients are told by frame, and what was refused counts once when it comes again.
#[tokio::test(flavor = "multi_thread")]
async fn programs_hear_that_edits_cannot_be_stored_and_read_on() {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let limits = Limits { health_kept: Duration::ZERO, mend: Duration::from_millis(10), ..Limits::default() };
    let server = start(Shared(store.clone()), limits).await;
    let address = server.url.trim_end_matches("/sync");
    let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let ask = async |method: &'static str, path: &'static str, body: Vec<u8>| {
        let asking = tokio::task::spawn_blocking(move || http::send(port, method, path, &[], &body));
        patiently("an answer", asking).await.unwrap()
    };
    let mut document = Document::new(ReplicaId::new(1));
    let mut add = || {
        let before = document.version().clone();
        document.edit(Time::from_millis(1), |tx| tx.increment(&["count"], 1)).unwrap();
        document.since(&before).encode().to_vec()
    };
    let (first, second) = (add(), add());
    assert_eq!(ask("POST", "/docs/map/deltas", first).await.status, 200);
    assert_eq!(ask("GET", "/ready", Vec::new()).await.status, 200);

    store.fails.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let refused = ask("POST", "/docs/map/deltas", second.clone()).await;
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(refused.body.contains(r#""code":"unavailable""#), "{refused:?}");
    }
    assert_eq!(ask("GET", "/ready", Vec::new()).await.status, 503);
    let read = ask("GET", "/docs/map", Vec::new()).await;
    assert!(read.status == 200 && read.body.contains(r#"{"counter":1}"#), "{read:?}");

    store.fails.store(false, Ordering::SeqCst);
    patiently("it is taken", async {
        while ask("POST", "/docs/map/deltas", second.clone()).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let read = ask("GET", "/docs/map", Vec::new()).await;
    assert!(read.body.contains(r#"{"counter":2}"#), "{read:?}");
    server.stop().await;
}
