//! **Whenever the server is killed, everything that it acknowledged is on the disk, and in the end all agree.**
//!
//! Clients write to several documents, in all the ways a document can be written to, while the server is killed at
//! random moments and started again on what is left. After each kill a copy of the data folder is looked at, which the
//! writers cannot mend by sending again what they still have; the folder itself is left to the next server as the
//! killed one left it.
//!
//! `WATERSMEET_CRASHES` says how many kills, `SEED` which.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use watersmeet_client::{Client, DocumentHandle};
use watersmeet_crdt::{Delta, Document, ReplicaId};
use watersmeet_sync::store::{Sqlite, Store, check};
use watersmeet_tests::{Dice, Server, patiently, until};

const KILLS: u64 = 20;
const WRITERS: usize = 6;
const DOCUMENTS: usize = 3;
/// Keys that each writer writes to again and again, so that documents stay small and their logs do not.
const KEYS: u64 = 40;
/// Edits that a writer leaves unacknowledged before it waits.
const IN_FLIGHT_MAX: u64 = 200;
/// So that the server is often killed while a snapshot takes the place of a log.
const SNAPSHOTS_OFTEN: [&str; 4] = ["--set", "limits.tail_deltas=20", "--set", "limits.tail_bytes=2KiB"];
/// A server lives for at most so many milliseconds after it is ready.
const LIFE_MILLIS: u64 = 200;

struct Writer {
    client: Client,
    document: DocumentHandle,
    written: AtomicU64,
}

impl Writer {
    fn start(url: &str, number: usize) -> Arc<Self> {
        let client = Client::start(url).unwrap();
        let document = client.open(&format!("document {}", number % DOCUMENTS));
        Arc::new(Writer { client, document, written: AtomicU64::new(0) })
    }

    /// Edits until it is told to stop.
    async fn write(self: Arc<Self>, mut dice: Dice, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::SeqCst) {
            self.edit(&mut dice);
            self.written.fetch_add(1, Ordering::Relaxed);
            match self.document.status().not_on_server {
                IN_FLIGHT_MAX.. => tokio::time::sleep(Duration::from_millis(1)).await,
                _ if dice.below(8) == 0 => tokio::time::sleep(Duration::from_micros(300)).await,
                _ => tokio::task::yield_now().await,
            }
        }
    }

    fn edit(&self, dice: &mut Dice) {
        let own = self.client.replica().get().to_string();
        let key = dice.below(KEYS).to_string();
        let number = i64::try_from(dice.below(1_000)).unwrap();
        let choice = dice.below(6);
        let edited = self.document.edit(|tx| match choice {
            0 => tx.set(&["own", &own, &key], number),
            1 => tx.set(&["shared", &key], format!("{own} wrote {number}").as_str()),
            2 => tx.increment(&["count"], number),
            3 => tx.insert(&["items"], number % 50),
            4 => tx.remove(&["items"], number % 50),
            _ => tx.delete(&["own", &own, &key]),
        });
        edited.unwrap();
    }

    /// How many of its events it was told to be safe.
    fn acknowledged(&self) -> u64 {
        self.document.on_server().seq(self.client.replica())
    }
}

/// A copy of a data folder, removed when it is dropped.
struct Copy(PathBuf);

impl Copy {
    fn of(folder: &Path) -> Self {
        let copy = folder.with_extension("copy");
        std::fs::create_dir_all(&copy).unwrap();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        Copy(copy)
    }

    /// What the store makes of each document.
    fn documents(&self) -> BTreeMap<String, Document> {
        assert_eq!(check(&self.0).unwrap().flaws, []);
        let store = Sqlite::open(&self.0).unwrap();
        let replay = |name: String| {
            let saved = store.load(&name).unwrap();
            let mut document = Document::new(ReplicaId::new(0));
            for (number, bytes) in saved.snapshot.iter().chain(&saved.deltas) {
                let delta = Delta::decode(bytes).unwrap();
                document.apply(delta).unwrap_or_else(|gap| panic!("delta {number} of {name:?}: {gap}"));
            }
            (name, document)
        };
        store.names("", DOCUMENTS).unwrap().into_iter().map(replay).collect()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Fails if the disk lacks an event that a writer was told to be safe.
fn audit(data: &Path, writers: &[Arc<Writer>], kill: u64) -> u64 {
    // First what was promised, then what is there: an acknowledgement may still be on its way to its writer.
    let promised: Vec<u64> = writers.iter().map(|writer| writer.acknowledged()).collect();
    let documents = Copy::of(data).documents();
    for (writer, promised) in writers.iter().zip(&promised) {
        let replica = writer.client.replica();
        let found =
            documents.get(writer.document.name()).map_or(0, |document| document.version().seq(replica));
        assert!(
            found >= *promised,
            "after kill {kill}: {found} of {promised} acknowledged events of {replica:?}"
        );
    }
    promised.iter().sum()
}

/// All who have a document open, one who comes anew, and the disk agree.
async fn all_agree(server: &Server, writers: &[Arc<Writer>]) {
    let newcomer = Client::connect(&server.url()).await.unwrap();
    let mut hashes: BTreeMap<String, u128> = BTreeMap::new();
    for writer in writers {
        patiently("durable", writer.document.durable()).await.unwrap();
    }
    for writer in writers {
        let name = writer.document.name();
        let fresh = newcomer.open(name);
        patiently("synced", fresh.synced()).await.unwrap();
        // What another wrote last may still be on its way to either.
        let hash = || writer.document.read(Document::hash);
        until(&format!("{name} is served as it is"), || fresh.read(Document::hash) == hash()).await;
        hashes.insert(name.to_owned(), hash());
    }
    for writer in writers {
        let name = writer.document.name();
        assert_eq!(writer.document.read(Document::hash), hashes[name], "{name} differs");
    }
    for (name, document) in Copy::of(server.data()).documents() {
        assert_eq!(document.hash(), hashes[&name], "{name} is stored otherwise");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_edit_survives_however_often_the_server_is_killed() {
    let kills = std::env::var("WATERSMEET_CRASHES").ok().map_or(KILLS, |kills| kills.parse().unwrap());
    let mut dice = Dice::new();
    let mut server = Server::start_with(SNAPSHOTS_OFTEN);
    let writers: Vec<_> = (0..WRITERS).map(|n| Writer::start(&server.url(), n)).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let start = |writer: &Arc<Writer>| {
        let dice = Dice::from_seed(dice.below(u64::MAX));
        tokio::spawn(writer.clone().write(dice, stop.clone()))
    };
    let tasks: Vec<_> = writers.iter().map(start).collect();
    let mut safe = 0;
    for kill in 1..=kills {
        until("everybody is connected", || {
            writers.iter().all(|writer| {
                writer.client.hurry();
                writer.document.status().live
            })
        })
        .await;
        tokio::time::sleep(Duration::from_millis(dice.below(LIFE_MILLIS))).await;
        server.kill_9();
        safe = audit(server.data(), &writers, kill);
        server.restart();
    }
    stop.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    writers.iter().for_each(|writer| writer.client.hurry());
    all_agree(&server, &writers).await;
    let written: u64 = writers.iter().map(|writer| writer.written.load(Ordering::Relaxed)).sum();
    println!("{kills} kills, {written} edits, {safe} events safe at the last kill");
    assert!(safe > 0 || kills == 0, "nothing was ever acknowledged");
}
