//! **What was acknowledged survives SIGKILL, at once, always.**
//!
//! Clients write 10,000 edits while the server is killed in their midst, several times. After each kill the data is
//! looked at through a server on another port, where the writers cannot find it and so cannot mend a loss by sending
//! again what they still have.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use watersmeet_client::{Client, DocumentHandle};
use watersmeet_crdt::{Document, ReplicaId, Time, Value};
use watersmeet_tests::{Dice, Server, http, patiently, until};

const EDITS: usize = 10_000;
const WRITERS: usize = 8;
const DOCUMENTS: usize = 3;
const KILLS: usize = 5;
/// Edits that a writer leaves unacknowledged before it waits.
const IN_FLIGHT_MAX: u64 = 64;

struct Writer {
    client: Client,
    document: DocumentHandle,
}

impl Writer {
    fn start(url: &str, number: usize) -> Self {
        let client = Client::start(url).unwrap();
        let document = client.open(&format!("document {}", number % DOCUMENTS));
        Writer { client, document }
    }

    fn key(&self) -> String {
        self.client.replica().get().to_string()
    }

    /// How many of its edits it was told to be safe.
    fn acknowledged(&self) -> u64 {
        self.document.on_server().seq(self.client.replica())
    }

    async fn write(&self, mut dice: Dice, written: &AtomicUsize) {
        for n in 0..EDITS / WRITERS {
            let n = i64::try_from(n).unwrap();
            self.document.edit(|tx| tx.set(&["writers", &self.key(), &n.to_string()], n)).unwrap();
            written.fetch_add(1, Ordering::Relaxed);
            if self.document.status().not_on_server > IN_FLIGHT_MAX {
                patiently("durable", self.document.durable()).await.unwrap();
            } else if dice.below(4) == 0 {
                tokio::task::yield_now().await;
            }
        }
        patiently("durable", self.document.durable()).await.unwrap();
    }
}

/// Fails if the server at `url` lacks an edit that a writer was told to be safe.
async fn audit(url: &str, promised: &[(String, String, u64)]) {
    let client = Client::connect(url).await.unwrap();
    for (document, writer, count) in promised {
        let document = client.open(document);
        patiently("the auditor is synced", document.synced()).await.unwrap();
        document.read(|document| {
            for n in 0..i64::try_from(*count).unwrap() {
                let found = document.register(&["writers", writer, &n.to_string()]);
                assert_eq!(
                    found,
                    Some(&Value::Int(n)),
                    "edit {n} of {count} acknowledged ones of writer {writer}"
                );
            }
        });
    }
}

fn promises(writers: &[Arc<Writer>]) -> Vec<(String, String, u64)> {
    writers.iter().map(|w| (w.document.name().to_owned(), w.key(), w.acknowledged())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_edit_survives_kill_9() {
    let mut dice = Dice::new();
    let mut server = Server::start();
    let writers: Vec<_> = (0..WRITERS).map(|n| Arc::new(Writer::start(&server.url(), n))).collect();
    let written = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = writers
        .iter()
        .map(|writer| {
            let (writer, written, dice) =
                (writer.clone(), written.clone(), Dice::from_seed(dice.below(u64::MAX)));
            tokio::spawn(async move { writer.write(dice, &written).await })
        })
        .collect();

    let mut unacknowledged_at_kills = Vec::new();
    for kill in 1..=KILLS {
        let goal = EDITS * kill / (KILLS + 1) + usize::try_from(dice.below(300)).unwrap();
        until("the writers get on", || written.load(Ordering::Relaxed) >= goal).await;
        let promised = promises(&writers);
        server.kill_9();
        let safe: u64 = promised.iter().map(|(_, _, count)| count).sum();
        unacknowledged_at_kills.push(u64::try_from(written.load(Ordering::Relaxed)).unwrap() - safe);
        let elsewhere = server.restart_elsewhere();
        audit(&elsewhere, &promised).await;
        server.kill_9();
        server.restart();
    }
    for task in tasks {
        task.await.unwrap();
    }
    println!("edits in flight when the server was killed: {unacknowledged_at_kills:?}");

    let promised = promises(&writers);
    assert_eq!(promised.iter().map(|(_, _, count)| count).sum::<u64>(), EDITS as u64);
    audit(&server.url(), &promised).await;
    all_agree(&writers).await;
}

/// All who have a document open end with the same state.
async fn all_agree(writers: &[Arc<Writer>]) {
    let mut hashes: BTreeMap<&str, Vec<u128>> = BTreeMap::new();
    for writer in writers {
        patiently("synced", writer.document.synced()).await.unwrap();
        hashes
            .entry(writer.document.name())
            .or_default()
            .push(writer.document.read(|document| document.hash()));
    }
    for (name, hashes) in hashes {
        assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{name} differs: {hashes:x?}");
    }
}

/// 200 by HTTP is the same promise.
#[test]
fn what_was_answered_by_http_is_on_the_disk() {
    const EDITS: i64 = 100;
    let mut server = Server::start();
    let mut document = Document::new(ReplicaId::new(7));
    for round in 1..=3 {
        for _ in 0..EDITS {
            let before = document.version().clone();
            document.edit(Time::from_millis(1), |tx| tx.increment(&["count"], 1)).unwrap();
            let delta = document.since(&before).encode();
            let answer = http::send(server.port(), "POST", "/docs/map/deltas", &[], &delta);
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        server.kill_9();
        server.restart();
        let count = format!(r#"{{"counter":{}}}"#, round * EDITS);
        let read = http::get(server.port(), "/docs/map", &[]);
        assert!(read.body.contains(&count), "{count} is not in {read:?}");
    }
}
