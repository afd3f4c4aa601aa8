//! Ten thousand documents touched once: a bounded number stays in memory, and each comes back when it is asked for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Faulty, Folder, Running, Shared, patiently, start, until};
use std::sync::Arc;
use std::time::Duration;
use watersmeet_client::Client;
use watersmeet_crdt::Value;
use watersmeet_sync::Limits;

const DOCUMENTS: usize = 10_000;
const CLIENTS: usize = 20;
/// Documents that nobody has open and that stay in memory.
const WARM: usize = 100;

/// How many rooms there are in a state.
async fn rooms(server: &Running, state: &str) -> usize {
    let metrics = server.get("/metrics").await;
    let line = metrics.lines().find(|line| line.contains("rooms{") && line.contains(state));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Opens documents one after the other, writes to each, and leaves it.
async fn touch(url: String, numbers: impl Iterator<Item = usize>) {
    let client = Client::connect(&url).await.unwrap();
    for number in numbers {
        let document = client.open(&format!("document {number}"));
        document.edit(|tx| tx.set(&["number"], i64::try_from(number).unwrap())).unwrap();
        patiently("durable", document.durable()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_documents_leave_a_bounded_number_in_memory() {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    // None would leave for its age, and there is hardly more room than is needed for those that are open.
    let limits = Limits {
        room_idle: Duration::from_secs(3_600),
        warm_documents: WARM,
        rooms: WARM + CLIENTS,
        ..Limits::default()
    };
    let server = Arc::new(start(Shared(store.clone()), limits).await);
    let touching: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(touch(server.url.clone(), (client..DOCUMENTS).step_by(CLIENTS))))
        .collect();
    let mut most = 0;
    while !touching.iter().all(|task| task.is_finished()) {
        most = most.max(rooms(&server, "idle").await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for task in touching {
        task.await.unwrap();
    }
    // A room that was told to end may be counted until it has.
    println!("{DOCUMENTS} documents, at most {most} warm ones seen at once");
    assert!(most <= WARM + CLIENTS, "{most} warm documents");
    let mut left = usize::MAX;
    patiently("all are left", async {
        while left > WARM || rooms(&server, "open").await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            left = rooms(&server, "idle").await;
        }
    })
    .await;
    assert!(left > WARM / 2, "{left}: documents stay for who comes back");

    let client = Client::connect(&server.url).await.unwrap();
    for number in (0..DOCUMENTS).step_by(97) {
        let document = client.open(&format!("document {number}"));
        patiently("synced", document.synced()).await.unwrap();
        let value = document.read(|document| document.register(&["number"]).cloned());
        assert_eq!(value, Some(Value::Int(i64::try_from(number).unwrap())));
    }
    Arc::into_inner(server).unwrap().stop().await;
}

/// Documents count by their size too: large ones leave earlier.
#[tokio::test(flavor = "multi_thread")]
async fn a_few_large_documents_are_as_many_small_ones() {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let limits = Limits { room_idle: Duration::from_secs(3_600), warm_bytes: 1 << 20, ..Limits::default() };
    let server = start(Shared(store.clone()), limits).await;
    let client = Client::connect(&server.url).await.unwrap();
    for number in 0..20 {
        let document = client.open(&format!("document {number}"));
        document.edit(|tx| tx.set(&["text"], "x".repeat(300 << 10).as_str())).unwrap();
        patiently("durable", document.durable()).await.unwrap();
    }
    let mut left = (usize::MAX, usize::MAX);
    patiently("all are left", async {
        while left.0 > 0 || left.1 > 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            left = (rooms(&server, "open").await, rooms(&server, "idle").await);
        }
    })
    .await;
    assert_eq!(left.1, 3, "three of 300 KiB fit into a mebibyte");
    let first = client.open("document 0");
    patiently("synced", first.synced()).await.unwrap();
    until("it comes back", || first.read(|document| document.register(&["text"]).is_some())).await;
    server.stop().await;
}
