//! Two servers over one log, with clients on both: no leader, no word between the servers but the log itself.
//!
//! This is what a distributed log has to be, in a hundred lines: see `docs/decisions/0005-…`. It does what is awkward
//! about one: numbers are shared by all documents, appends come to the followers late and not always, snapshots are
//! written by whoever comes first.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Running, patiently, start, until};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use watersmeet_client::{Client, DocumentHandle};
use watersmeet_crdt::{Document, ReplicaId, Time, Value};
use watersmeet_sync::Limits;
use watersmeet_sync::store::{Appended, Record, Saved, Store, StoreError};

/// Appends that may wait for one follower. Few, so that it often falls behind.
const FOLLOWER_QUEUE: usize = 4;

/// What is kept of one document.
#[derive(Default)]
struct Subject {
    snapshot: Option<(u64, Vec<u8>)>,
    deltas: BTreeMap<u64, bytes::Bytes>,
    followers: Vec<mpsc::Sender<Appended>>,
}

#[derive(Default)]
struct Log {
    last: u64,
    subjects: BTreeMap<String, Subject>,
    owners: BTreeMap<ReplicaId, String>,
}

/// One log, for as many servers as like.
#[derive(Clone, Default)]
struct SharedLog {
    log: Arc<Mutex<Log>>,
    compactions: Arc<AtomicUsize>,
    dropped_followers: Arc<AtomicUsize>,
    /// Followers that a compaction was ahead of.
    overtaken: Arc<AtomicUsize>,
    /// What happens between a load and the following of a document, once.
    between: Arc<Mutex<Option<Between>>>,
}

type Between = Box<dyn FnOnce(&SharedLog) + Send>;

impl Store for SharedLog {
    fn load(&self, document: &str) -> Result<Saved, StoreError> {
        let log = self.log.lock().unwrap();
        let Some(subject) = log.subjects.get(document) else { return Ok(Saved::default()) };
        let upto = subject.snapshot.as_ref().map_or(0, |(upto, _)| *upto);
        let after = subject.deltas.range(upto + 1..).map(|(number, delta)| (*number, delta.to_vec()));
        Ok(Saved { snapshot: subject.snapshot.clone(), deltas: after.collect() })
    }

    fn append(&self, records: &[Record]) -> Result<Vec<u64>, StoreError> {
        let append = |record: &Record| {
            let mut log = self.log.lock().unwrap();
            log.last += 1;
            let number = log.last;
            for claim in &record.claims {
                log.owners.entry(claim.replica).or_insert(claim.subject.to_string());
            }
            let subject = log.subjects.entry(record.document.to_string()).or_default();
            subject.deltas.insert(number, record.delta.clone());
            // Who is too slow is followed no more, and finds out.
            subject.followers.retain(|follower| {
                let kept = follower.try_send(Appended { number, delta: record.delta.clone() }).is_ok();
                self.dropped_followers.fetch_add(usize::from(!kept), Ordering::SeqCst);
                kept
            });
            number
        };
        Ok(records.iter().map(append).collect())
    }

    fn follow(&self, document: &str, after: u64) -> Result<Option<mpsc::Receiver<Appended>>, StoreError> {
        let between = self.between.lock().unwrap().take();
        between.into_iter().for_each(|between| between(self));
        let mut log = self.log.lock().unwrap();
        let subject = log.subjects.entry(document.to_owned()).or_default();
        let (follower, following) = mpsc::channel(FOLLOWER_QUEUE);
        if subject.snapshot.as_ref().is_some_and(|(upto, _)| *upto > after) {
            // What lies between is told by the snapshot alone; who has not loaded that finds out.
            self.overtaken.fetch_add(1, Ordering::SeqCst);
            return Ok(Some(following));
        }
        let missed = subject.deltas.range(after + 1..);
        let told = missed
            .map(|(number, delta)| Appended { number: *number, delta: delta.clone() })
            .try_for_each(|appended| follower.try_send(appended));
        if told.is_ok() {
            subject.followers.push(follower);
        }
        Ok(Some(following))
    }

    fn compact(&self, document: &str, upto: u64, state: &[u8]) -> Result<(), StoreError> {
        let mut log = self.log.lock().unwrap();
        let subject = log.subjects.entry(document.to_owned()).or_default();
        if subject.snapshot.as_ref().is_none_or(|(latest, _)| *latest < upto) {
            subject.snapshot = Some((upto, state.to_vec()));
            subject.deltas = subject.deltas.split_off(&(upto + 1));
            self.compactions.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    fn owner(&self, replica: ReplicaId) -> Result<Option<String>, StoreError> {
        Ok(self.log.lock().unwrap().owners.get(&replica).cloned())
    }

    fn names(&self, after: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let log = self.log.lock().unwrap();
        Ok(log.subjects.keys().filter(|name| *name.as_str() > *after).take(limit).cloned().collect())
    }

    fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

const DOCUMENTS: usize = 2;
const CLIENTS_EACH: usize = 4;
const EDITS: i64 = 400;

/// A client and its open document.
async fn clients(server: &Running) -> Vec<(Client, DocumentHandle)> {
    let mut clients = Vec::new();
    for n in 0..CLIENTS_EACH {
        clients.push(server.open(&format!("map {}", n % DOCUMENTS)).await);
    }
    clients
}

async fn write(document: DocumentHandle, own: String) {
    for n in 0..EDITS {
        document
            .edit(|tx| {
                tx.set(&["own", &own, &(n % 20).to_string()], n);
                tx.increment(&["count"], 1);
                tx.insert(&["items"], n % 30);
                tx.remove(&["items"], (n + 7) % 30);
            })
            .unwrap();
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    patiently("durable", document.durable()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_over_one_log_converge() {
    let log = SharedLog::default();
    let limits = || Limits { tail_deltas: 20, tail_bytes: 2_000, ..Limits::default() };
    let (here, there) = (start(log.clone(), limits()).await, start(log.clone(), limits()).await);
    let mut all = clients(&here).await;
    all.extend(clients(&there).await);
    let writing: Vec<_> = all
        .iter()
        .map(|(client, document)| tokio::spawn(write(document.clone(), client.replica().get().to_string())))
        .collect();
    // A third comes while they write, and goes, and what it was told stays.
    let third = start(log.clone(), limits()).await;
    let (_guest, passing) = third.open("map 0").await;
    passing.edit(|tx| tx.set(&["passing"], "by")).unwrap();
    patiently("durable", passing.durable()).await.unwrap();
    third.stop().await;
    for task in writing {
        task.await.unwrap();
    }
    let per_document = i64::try_from(2 * CLIENTS_EACH / DOCUMENTS).unwrap() * EDITS;
    for (_, document) in &all {
        until("everybody's edits come", || document.read(|d| d.counter(&["count"])) == per_document).await;
        patiently("synced", document.synced()).await.unwrap();
    }
    for name in 0..DOCUMENTS {
        let name = format!("map {name}");
        let of_name = all.iter().filter(|(_, document)| document.name() == name);
        let hashes: Vec<_> = of_name.map(|(_, document)| document.read(Document::hash)).collect();
        let stored = common::replay(&log, &name).hash();
        assert!(hashes.iter().all(|hash| *hash == stored), "{name}: {hashes:x?}, stored {stored:x}");
    }
    let (_, first) = &all[0];
    until("the guest's edit", || first.read(|d| d.register(&["passing"]) == Some(&Value::from("by")))).await;
    let (compactions, dropped) =
        (log.compactions.load(Ordering::SeqCst), log.dropped_followers.load(Ordering::SeqCst));
    println!(
        "{} appends, {compactions} compactions, {dropped} times not kept up",
        log.log.lock().unwrap().last
    );
    assert!(compactions > 2, "the log is compacted under both");
    assert!(dropped > 0, "nobody ever fell behind");
    here.stop().await;
    there.stop().await;
}

/// An edit that one server acknowledged is shown at another without anybody asking for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_commits_the_others_show() {
    let log = SharedLog::default();
    let (here, there) = (start(log.clone(), Limits::default()).await, start(log, Limits::default()).await);
    let (_a, anna) = here.open("map").await;
    let (_b, ben) = there.open("map").await;
    for document in [&anna, &ben] {
        patiently("synced", document.synced()).await.unwrap();
    }
    anna.edit(|tx| tx.set(&["hello"], "ben")).unwrap();
    until("ben sees it", || ben.read(|d| d.register(&["hello"]) == Some(&Value::from("ben")))).await;
    ben.edit(|tx| tx.set(&["hello"], "anna")).unwrap();
    until("anna sees it", || anna.read(|d| d.register(&["hello"]) == Some(&Value::from("anna")))).await;
    here.stop().await;
    there.stop().await;
}

/// Between a server's load and its following another appends, and the log is compacted: nothing is appended after that,
/// so nothing would ever tell the first that it lacks something.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_a_compaction_overtook_loads_again() {
    let log = SharedLog::default();
    let mut document = Document::new(ReplicaId::new(1));
    document.edit(Time::from_millis(1), |tx| tx.set(&["hello"], "there")).unwrap();
    let state = document.encode_state();
    let between: Between = Box::new(move |log| {
        let record = Record { document: "map".into(), delta: state.clone(), claims: Vec::new() };
        let upto = log.append(&[record]).unwrap()[0];
        log.compact("map", upto, &state).unwrap();
    });
    *log.between.lock().unwrap() = Some(between);
    let server = start(log.clone(), Limits::default()).await;
    let (_client, reader) = server.open("map").await;
    until("what was compacted comes", || reader.read(|d| d.register(&["hello"]).is_some())).await;
    assert_eq!(log.overtaken.load(Ordering::SeqCst), 1);
    server.stop().await;
}
