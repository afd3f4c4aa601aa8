//! Where documents are kept: a log of deltas for each, and now and then a snapshot in place of the log's older part.
//!
//! The one idea: **the log is the only write.** What is in it can be acknowledged and shown to others, and a document
//! is whatever its log replays to. The trait is small so that a distributed log can stand behind it: a document is a
//! subject, a delta a message, and a snapshot a message that replaces those before it. Deltas commute, so no leader
//! is needed.
//!
//! What is not here: what a delta means. A store keeps bytes.

mod error;
mod sqlite;

pub use error::{Flaw, StoreError};
pub use sqlite::{Report, Sqlite, backup, check, restore};

use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;
use watersmeet_crdt::ReplicaId;

/// A delta to be kept.
#[derive(Clone, Debug)]
pub struct Record {
    /// The name of the document that it belongs to.
    pub document: Arc<str>,
    /// What [`watersmeet_crdt::Delta::encode`] wrote.
    pub delta: Bytes,
    /// Whose the replicas are that are heard of here for the first time.
    pub claims: Vec<Claim>,
}

/// That a replica id belongs to somebody: to the subject that used it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The id.
    pub replica: ReplicaId,
    /// Whose it is.
    pub subject: Arc<str>,
}

/// What is kept of a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// The latest snapshot, and the number of the last delta that it contains.
    pub snapshot: Option<(u64, Vec<u8>)>,
    /// The deltas after it with their numbers, in the order in which they were appended.
    pub deltas: Vec<(u64, Vec<u8>)>,
}

/// A delta that is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its number.
    pub number: u64,
    /// Its bytes.
    pub delta: Bytes,
}

/// Keeps documents. All methods may block; they are called where blocking is allowed.
pub trait Store: Send + Sync + 'static {
    /// What is kept of `document`: everything that an [`append`](Self::append) which returned `Ok` before this call
    /// put there, and nothing that a crash could still take away. Nothing is kept of a document that was never
    /// appended to, and asking leaves no trace of it.
    ///
    /// # Errors
    /// If it cannot be read completely, or is not what was written. Part of a document is never returned.
    fn load(&self, document: &str) -> Result<Saved, StoreError>;

    /// Appends `records`. It returns `Ok` only when all of them, and their claims, will survive a crash of the
    /// process and of the machine. The numbers, one for each record, ascend within a document and are never given
    /// twice. A claim of a replica that is somebody's already changes nothing.
    ///
    /// # Errors
    /// If they may not survive. Each may then be there, with its claims, or not; the caller must
    /// [`load`](Self::load) to know.
    fn append(&self, records: &[Record]) -> Result<Vec<u64>, StoreError>;

    /// What is appended to `document` after the delta `after`, in the order of the log, as soon as it is durable: for a
    /// log that several servers write to. What this server appends may be among it. It ends when the store cannot keep
    /// it up, or whoever follows takes it too slowly; then the caller must [`load`](Self::load) and follow again.
    ///
    /// **It ends at once if a compaction has overtaken the follower**: if a delta after `after` has become part of a
    /// snapshot, which may happen between a load and this. To begin with what is left would leave a gap that nobody
    /// notices until the next append, which may never come.
    ///
    /// A store of one server has nothing to tell.
    ///
    /// # Errors
    /// If it cannot be followed.
    fn follow(&self, _document: &str, _after: u64) -> Result<Option<mpsc::Receiver<Appended>>, StoreError> {
        Ok(None)
    }

    /// Replaces all deltas of `document` up to the number `upto` by `state`, which contains them. At every moment, a
    /// crash included, either the deltas or the state is there. Later deltas stay, and so does a later snapshot.
    ///
    /// # Errors
    /// If it could not be done. The document is then what it was.
    fn compact(&self, document: &str, upto: u64, state: &[u8]) -> Result<(), StoreError>;

    /// Whose `replica` is: the subject of the first claim that was appended.
    ///
    /// # Errors
    /// If it cannot be read.
    fn owner(&self, replica: ReplicaId) -> Result<Option<String>, StoreError>;

    /// Up to `limit` names of documents in the order of their bytes, beginning after `after`.
    ///
    /// # Errors
    /// If they cannot be read.
    fn names(&self, after: &str, limit: usize) -> Result<Vec<String>, StoreError>;

    /// Writes something that does no harm as durably as [`append`](Self::append) does.
    ///
    /// # Errors
    /// If an append would fail, as far as can be told.
    fn check(&self) -> Result<(), StoreError>;

    /// Does what is to be done now and then, so that the store stays small and starts fast. It is called when what was
    /// appended has been answered, and waits for nothing that was.
    ///
    /// # Errors
    /// If that failed. What was appended is safe nonetheless; but the store counts as failing until a
    /// [`check`](Self::check) succeeds.
    fn tidy(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Leaves everything tidy; nothing more will be written. What was appended is safe without it.
    ///
    /// # Errors
    /// If it could not be tidied.
    fn close(&self) -> Result<(), StoreError>;
}
