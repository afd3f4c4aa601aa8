//! The native sync client: documents that are edited at once, here, and synced whenever there is a connection.
//!
//! Its one idea: nothing that a program does to a document waits for the network. Edits and reads are ordinary calls;
//! one task in the background owns the socket, connects, connects again, and resumes from what both ends have. What
//! *may* be waited for is knowledge: [`DocumentHandle::durable`], [`DocumentHandle::synced`].
//!
//! What is not here: the rules, which are [`watersmeet_crdt::client`]'s, and a store. A document lives as long as its
//! handle; a client that must survive a crash without a connection needs the core and a store of its own.
//!
//! ```no_run
//! # async fn example() -> Result<(), watersmeet_client::Error> {
//! let client = watersmeet_client::Client::connect("ws://localhost:8080/sync").await?;
//! let map = client.open("my map");
//! map.edit(|tx| tx.set(&["places", "mill", "name"], "Old mill"))?;
//! map.durable().await?; // on the server's disk
//! # Ok(())
//! # }
//! ```

mod builder;
mod dial;
mod document;
mod error;
mod shared;
mod task;

pub use builder::Builder;
pub use document::{DocumentHandle, Event};
pub use error::Error;
pub use watersmeet_crdt::client::{Refusal, Status};

use builder::Tokens;
use shared::{Shared, State, Watched};
use std::sync::{Arc, MutexGuard};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFuture};
use watersmeet_crdt::ReplicaId;

/// A connection to a sync server that mends itself. Cheap to clone; when the last clone and the last
/// [`DocumentHandle`] are dropped, it ends.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    replica: ReplicaId,
    /// Cancelled when the task has ended.
    stopped: CancellationToken,
    _stop: Arc<DropGuard>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("replica", &self.replica).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the server at `url`, such as `ws://localhost:8080/sync`, and keeps connected: later failures are
    /// mended by trying again, less and less often.
    ///
    /// # Errors
    /// If the first attempt fails: the URL is wrong, nobody answers, what answers is no sync server, or it does not let
    /// us in.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder(url).connect().await
    }

    /// As [`connect`](Self::connect), but without waiting: documents can be edited at once, and the first failure is
    /// mended as the later ones are. Must be called in a Tokio runtime.
    ///
    /// # Errors
    /// If the URL is wrong.
    pub fn start(url: &str) -> Result<Self, Error> {
        Self::builder(url).start()
    }

    /// Sets up a client that shows a token to the server at `url`.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    fn spawn(
        url: &str,
        tokens: Tokens,
        redirects: bool,
    ) -> Result<(Self, oneshot::Receiver<Result<(), Error>>), Error> {
        dial::check(url)?;
        let replica = ReplicaId::new(getrandom::u64()?);
        let shared = Shared::new(replica);
        shared.lock().core.follow_redirects(redirects.then_some(url));
        let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
        let (tell_first, first) = oneshot::channel();
        let run = task::run(url.to_owned(), tokens, shared.clone(), tell_first, stop.clone());
        let ended = stopped.clone().drop_guard();
        tokio::spawn(async move {
            run.await;
            drop(ended);
        });
        Ok((Client { shared, replica, stopped, _stop: Arc::new(stop.drop_guard()) }, first))
    }

    /// Who edits here: a number drawn at random for each client.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// Opens a document. It is empty until the server has been heard ([`DocumentHandle::synced`]) and can be edited
    /// at once. To open it again gives another handle to the same.
    pub fn open(&self, name: &str) -> DocumentHandle {
        let mut state = self.lock();
        if !state.watched.contains_key(name) {
            state.core.open(name);
        }
        let watched: &mut Watched = state.watched.entry(name.to_owned()).or_default();
        watched.handles += 1;
        let (events, progress) = (watched.events.clone(), watched.progress.subscribe());
        drop(state);
        self.wake();
        DocumentHandle::new(self.clone(), name, events, progress)
    }

    /// Connects at once instead of waiting, if there is no connection: whoever knows that the network has come back
    /// need not wait for the next attempt.
    pub fn hurry(&self) {
        self.lock().core.hurry(shared::now());
        self.wake();
    }

    /// Why there is no connection now, if there is none and a reason is known.
    pub fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    /// Takes back a handle; the last one closes the document.
    fn release(&self, name: &str) {
        let mut state = self.lock();
        let Some(watched) = state.watched.get_mut(name) else { return };
        watched.handles -= 1;
        if watched.handles == 0 {
            state.close(name);
        }
        drop(state);
        self.wake();
    }

    fn wake(&self) {
        self.shared.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    fn stopped(&self) -> WaitForCancellationFuture<'_> {
        self.stopped.cancelled()
    }
}

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
