//! What can go wrong, told apart by what one would do about it.

use std::time::Duration;
use watersmeet_crdt::document::EditError;
use watersmeet_crdt::session::Code;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none, or not one of a sync server. Correct it.
    #[error("{url:?} is not the URL of a sync server, such as ws://localhost:8080/sync: {why}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers there. Is the server running?
    #[error("no server answers at {url}: {source}")]
    Unreachable {
        /// Where.
        url: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Nobody answers there in time.
    #[error("the server at {url} did not answer within {after:?}")]
    TimedOut {
        /// Where.
        url: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// What answers there is no sync server, or one that speaks another protocol.
    #[error("what answers at {url} is not a sync server of this protocol: {why}")]
    NotASyncServer {
        /// Where.
        url: String,
        /// What it said.
        why: String,
    },
    /// There is no token to show to the server.
    #[error("there is no token for the server: {0}")]
    NoToken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server does not let us in.
    #[error("the server at {url} does not let us in: {message}")]
    Denied {
        /// Where.
        url: String,
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        message: String,
    },
    /// The server refused something of a document.
    #[error("the server refused the document {document:?}: {message}")]
    Refused {
        /// Which.
        document: String,
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        message: String,
    },
    /// An edit is beyond a limit. Nothing of it was applied.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The client's task has ended, because its runtime went down.
    #[error("the client has stopped")]
    Stopped,
    /// The system gives no random numbers, so nobody can be told apart.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}
