//! Where documents are kept: a log of deltas for each, and now and then a snapshot in place of the log's older part.
//!
//! The one idea: **the log is the only write.** What is in it can be acknowledged and shown to others, and a document
//! is whatever its log replays to. The trait is small so that a distributed log can stand behind it: a document is a
//! subject, a delta a message, and a snapshot a message that replaces those before it. Deltas commute, so no leader
//! is needed.
//!
//! What is not here: what a delta means. A store keeps bytes.

mod sqlite;

pub use sqlite::Sqlite;

use bytes::Bytes;
use std::path::PathBuf;
use std::sync::Arc;
use watersmeet_crdt::document::DecodeError;

/// A delta to be kept.
#[derive(Clone, Debug)]
pub struct Record {
    /// The name of the document that it belongs to.
    pub document: Arc<str>,
    /// What [`watersmeet_crdt::Delta::encode`] wrote.
    pub delta: Bytes,
}

/// What is kept of a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// The latest snapshot, and the number of the last delta that it contains.
    pub snapshot: Option<(u64, Vec<u8>)>,
    /// The deltas after it with their numbers, in the order in which they were appended.
    pub deltas: Vec<(u64, Vec<u8>)>,
}

/// Keeps documents. All methods may block; they are called where blocking is allowed.
pub trait Store: Send + Sync + 'static {
    /// What is kept of `document`: everything that an [`append`](Self::append) which returned `Ok` before this call
    /// put there. Nothing is kept of a document that was never appended to, and asking leaves no trace of it.
    ///
    /// # Errors
    /// If it cannot be read completely. Part of a document is never returned.
    fn load(&self, document: &str) -> Result<Saved, StoreError>;

    /// Appends all of `records`, or none. It returns `Ok` only when they will survive a crash of the process and
    /// of the machine. The numbers, one for each record, ascend within a document and are never given twice.
    ///
    /// # Errors
    /// If they may not survive. They may then be there or not; the caller must [`load`](Self::load) to know.
    fn append(&self, records: &[Record]) -> Result<Vec<u64>, StoreError>;

    /// Replaces all deltas of `document` up to the number `upto` by `state`, which contains them. At every moment, a
    /// crash included, either the deltas or the state is there. Later deltas stay.
    ///
    /// # Errors
    /// If it could not be done. The deltas are then still there.
    fn compact(&self, document: &str, upto: u64, state: &[u8]) -> Result<(), StoreError>;

    /// Writes something that does no harm as durably as [`append`](Self::append) does.
    ///
    /// # Errors
    /// If an append would fail, as far as can be told.
    fn check(&self) -> Result<(), StoreError>;

    /// Leaves everything tidy; nothing more will be written. What was appended is safe without it.
    ///
    /// # Errors
    /// If it could not be tidied.
    fn close(&self) -> Result<(), StoreError>;
}

/// Why documents could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data folder cannot be created or used.
    #[error("the data folder {folder} cannot be used: {source}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another server has the folder.
    #[error(
        "the data folder {folder} is in use by another watersmeet server; stop it, or choose another folder with --data"
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A later release wrote the folder.
    #[error(
        "the data folder {folder} was written by a later release (schema {found}; this one knows {known})"
    )]
    Schema {
        /// The folder.
        folder: PathBuf,
        /// The schema's number there.
        found: u32,
        /// The latest number known here.
        known: u32,
    },
    /// The database could not be opened.
    #[error("the database in {folder} cannot be opened: {source}")]
    Open {
        /// The folder.
        folder: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Reading failed.
    #[error("reading the document {document:?} failed: {source}")]
    Read {
        /// The document.
        document: String,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Writing failed.
    #[error("writing failed: {0}")]
    Write(#[from] rusqlite::Error),
    /// A delta or snapshot that cannot be decoded.
    #[error("delta {number} of the document {document:?} is damaged: {source}")]
    Damaged {
        /// The document.
        document: String,
        /// The delta's number, or that of the last delta in the snapshot.
        number: u64,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A delta whose predecessors are missing.
    #[error(
        "delta {number} of the document {document:?} does not follow: {missing} events before it are missing"
    )]
    Missing {
        /// The document.
        document: String,
        /// The delta's number.
        number: u64,
        /// How many events are missing, at least.
        missing: u64,
    },
    /// The thread that writes has ended.
    #[error("the store is closed")]
    Closed,
}
