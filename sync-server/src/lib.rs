//! The durable sync server: documents that many edit at once, over WebSockets, and that are on disk before anybody is
//! told so.
//!
//! Its one idea is an order of things: **commit, then acknowledge, then show.** Whatever a peer was told, a crash in
//! the next instant takes nothing of it back.
//!
//! | file | what happens there |
//! |---|---|
//! | `http`, `origin`, `hosts`, `health` | the routes; whose web pages may sync; whether edits can be stored |
//! | `metrics`, `trace` | what is counted, for operators; an edit's way from socket to disk, as spans |
//! | `accept`, `paced` | sockets, and HTTP on them, within bounds |
//! | [`access`] | who may do what: signed tokens |
//! | `rights`, `subjects`, `owners` | what one connection may do; the limits of one subject; whose each replica is |
//! | `presence` | how often one connection shows itself |
//! | `pump`, `socket`, `alarm` | the life of a frame: WebSocket, session, room, and back |
//! | `mailbox` | what waits for one connection, merged and bounded |
//! | `room`, `rooms` | one task owns one document; which documents are open |
//! | `committer`, [`store`] | group commit; the log of deltas, in SQLite |
//! | `compactor` | snapshots in place of long logs, in the background |
//! | `replay` | from the log back to a document |
//!
//! What is not here: the protocol's rules (they are [`watersmeet_crdt::session`]), maps and tiles.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use watersmeet_sync::{Config, Server, access::Access, router, serve};
//!
//! let server = Server::open(Config::new("data", Access::open()))?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let stop = async { let _ = tokio::signal::ctrl_c().await; };
//! serve(listener, router(server.clone()), &server, stop).await?;
//! # Ok(())
//! # }
//! ```

mod accept;
pub mod access;
mod alarm;
mod committer;
mod compactor;
mod config;
mod health;
mod hosts;
mod http;
mod hub;
mod limits;
mod mailbox;
mod metrics;
mod moving;
mod origin;
mod outgoing;
mod owners;
mod paced;
mod presence;
mod pump;
mod replay;
mod rights;
mod room;
mod rooms;
mod socket;
pub mod store;
mod subjects;
mod trace;
mod wire;

pub use config::Config;
pub use hosts::Hosts;
pub use http::router;
pub use limits::{Limits, OutOfRange, Rate};
pub use origin::{NoOrigin, Origin, Origins};

use access::{Access, OtherMode};
use axum::Router;
use hub::Hub;
use std::sync::Arc;
use store::{Sqlite, Store, StoreError};
use tokio::net::TcpListener;

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A limit that cannot be.
    #[error(transparent)]
    Limit(#[from] OutOfRange),
    /// The committer's thread could not be started.
    #[error("the thread that writes could not be started: {0}")]
    Thread(std::io::Error),
    /// Where peers are to be sent is no URL of a server.
    #[error("drain_to: {0:?} is no URL of a server's socket, such as wss://other.example/sync")]
    DrainTo(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// What a program does besides, as far as its operator is told of it with the rest.
pub trait Companion: Send + Sync + 'static {
    /// Appends what it counts to what `/metrics` says: OpenMetrics' text without its last line.
    ///
    /// # Errors
    /// When the text cannot be appended.
    fn write_metrics(&self, out: &mut String) -> std::fmt::Result;

    /// What `/ready` says besides: each a sentence on what an operator should see to, though work goes on.
    fn notices(&self) -> Vec<String>;
}

/// A running server. Cheap to clone; [`router`] serves it.
#[derive(Clone)]
pub struct Server {
    hub: Arc<Hub>,
}

impl Server {
    /// Opens the embedded store in the configured folder, and starts.
    ///
    /// # Errors
    /// If the folder cannot be used, or another server uses it.
    pub fn open(config: Config) -> Result<Self, ServerError> {
        let store = Sqlite::open(&config.data)?;
        store.limit_bytes(config.limits.store_bytes)?;
        Ok(Server { hub: Hub::start(config, Arc::new(store))? })
    }

    /// Starts on any store, open to all programs and to the server's own web pages.
    ///
    /// # Errors
    /// If the system gives no thread or no random number.
    pub fn with_store(store: impl Store, limits: Limits) -> Result<Self, ServerError> {
        let config = Config { limits, ..Config::new("", Access::open()) };
        Ok(Server { hub: Hub::start(config, Arc::new(store))? })
    }

    /// Believes other keys from now on. Connections with tokens of keys that are no longer among them end.
    ///
    /// # Errors
    /// If it would make a server open that is not, or the other way round.
    pub fn trust(&self, access: Access) -> Result<(), OtherMode> {
        self.hub.trust(access)
    }

    /// Tells of this, too, from now on; only the first one counts.
    pub fn accompany(&self, companion: Arc<dyn Companion>) {
        let _ = self.hub.companion.set(companion);
    }

    /// From now on `/ready` says that the server is about to stop, so that a balancer sends nobody more. Work goes on,
    /// and whoever comes is let in.
    pub fn announce_stop(&self) {
        self.hub.announce_stop();
    }

    /// Stops: peers are told to come back later, what waits is committed, the store is left tidy.
    pub async fn shutdown(&self) {
        self.hub.shutdown().await;
    }
}

/// Serves `app`, which holds the [`router`] of `server`, until `stop` is done; then stops gracefully.
///
/// # Errors
/// None today: a listener that cannot accept for a while, as when no file may be opened, is waited for.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    server: &Server,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (stopping, stopped) = (server.hub.stop.clone(), server.hub.stop.clone());
    let stopping = async move {
        stop.await;
        stopping.cancel();
    };
    let drain = server.hub.limits.drain;
    let http = async {
        tokio::select! {
            () = accept::serve(listener, app, server.hub.clone()) => {}
            // A download that does not end holds up nobody for longer than that.
            () = async { stopped.cancelled().await; tokio::time::sleep(drain).await } => {}
        }
    };
    // Side by side, so that what a download takes is not taken from those who sync.
    let goodbye = async {
        server.hub.stop.cancelled().await;
        server.shutdown().await
    };
    tokio::join!(stopping, goodbye, http);
    Ok(())
}
