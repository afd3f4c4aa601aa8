//! A server in this process, over a store that fails when it is told to.

#![allow(dead_code, reason = "every test uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use watersmeet_client::{Client, DocumentHandle};
use watersmeet_crdt::{Delta, Document, ReplicaId};
use watersmeet_sync::store::{Record, Saved, Sqlite, Store, StoreError};
use watersmeet_sync::{Limits, Server, router, serve};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What only a hang exceeds.
pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    patiently(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn fresh() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("watersmeet-sync-test-{}-{number}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A store with a switch.
pub(crate) struct Faulty {
    pub(crate) inner: Sqlite,
    pub(crate) fails: AtomicBool,
    /// Whether moving the log into the database fails, the next time.
    pub(crate) tidy_fails: AtomicBool,
    pub(crate) failures: AtomicUsize,
    /// Whether a failing append writes nonetheless, as a disk may that answers too late.
    writes_nonetheless: bool,
    pub(crate) appends: AtomicUsize,
    pub(crate) checks: AtomicUsize,
    /// Appends that were begun.
    pub(crate) waiting: AtomicUsize,
    held: Mutex<bool>,
    released: Condvar,
}

impl Faulty {
    pub(crate) fn open(folder: &Folder, writes_nonetheless: bool) -> Arc<Self> {
        Arc::new(Faulty {
            inner: Sqlite::open(&folder.0).unwrap(),
            fails: AtomicBool::new(false),
            tidy_fails: AtomicBool::new(false),
            failures: AtomicUsize::new(0),
            writes_nonetheless,
            appends: AtomicUsize::new(0),
            checks: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            held: Mutex::new(false),
            released: Condvar::new(),
        })
    }

    pub(crate) fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.released.notify_all();
    }

    /// What a disk says that is full.
    pub(crate) fn fault() -> StoreError {
        StoreError::Write(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
            Some("database or disk is full".to_owned()),
        ))
    }
}

/// The tests keep hold of the switch.
pub(crate) struct Shared(pub(crate) Arc<Faulty>);

impl Store for Shared {
    fn load(&self, document: &str) -> Result<Saved, StoreError> {
        self.0.inner.load(document)
    }

    fn append(&self, records: &[Record]) -> Result<Vec<u64>, StoreError> {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        drop(self.0.released.wait_while(self.0.held.lock().unwrap(), |held| *held).unwrap());
        if self.0.fails.load(Ordering::SeqCst) {
            if self.0.writes_nonetheless {
                self.0.inner.append(records)?;
            }
            self.0.failures.fetch_add(1, Ordering::SeqCst);
            return Err(Faulty::fault());
        }
        self.0.appends.fetch_add(1, Ordering::SeqCst);
        self.0.inner.append(records)
    }

    fn tidy(&self) -> Result<(), StoreError> {
        if self.0.tidy_fails.swap(false, Ordering::SeqCst) {
            Err(Faulty::fault())
        } else {
            self.0.inner.tidy()
        }
    }

    fn compact(&self, document: &str, upto: u64, state: &[u8]) -> Result<(), StoreError> {
        self.0.inner.compact(document, upto, state)
    }

    fn owner(&self, replica: ReplicaId) -> Result<Option<String>, StoreError> {
        self.0.inner.owner(replica)
    }

    fn names(&self, after: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        self.0.inner.names(after, limit)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.0.checks.fetch_add(1, Ordering::SeqCst);
        if self.0.fails.load(Ordering::SeqCst) { Err(Faulty::fault()) } else { self.0.inner.check() }
    }

    fn close(&self) -> Result<(), StoreError> {
        self.0.inner.close()
    }
}

/// A server in this process.
pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

pub(crate) async fn start(store: impl Store, limits: Limits) -> Running {
    run(Server::with_store(store, limits).unwrap()).await
}

/// Serves on a free port.
pub(crate) async fn run(server: Server) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/sync", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let serving = tokio::spawn(async move {
        serve(listener, router(server.clone()), &server, stopped).await.unwrap();
    });
    Running { url, stop, serving }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        patiently("the server stops", self.serving).await.unwrap();
    }

    /// What it answers to `GET /health`: head and body.
    pub(crate) async fn health(&self) -> String {
        self.get("/health").await
    }

    /// What it answers to `GET`: head and body.
    pub(crate) async fn get(&self, path: &'static str) -> String {
        let address = self.url.trim_start_matches("ws://").trim_end_matches("/sync").to_owned();
        let asking = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(&address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        patiently("an answer", asking).await.unwrap()
    }

    pub(crate) async fn open(&self, name: &str) -> (Client, DocumentHandle) {
        let client = Client::connect(&self.url).await.unwrap();
        let document = client.open(name);
        (client, document)
    }
}

/// What the store has of a document.
pub(crate) fn replay(store: &impl Store, name: &str) -> Document {
    let saved = store.load(name).unwrap();
    let mut document = Document::new(ReplicaId::new(1));
    for (_, bytes) in saved.snapshot.iter().chain(&saved.deltas) {
        document.apply(Delta::decode(bytes).unwrap()).unwrap();
    }
    document
}
