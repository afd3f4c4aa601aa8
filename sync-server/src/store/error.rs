//! What can be wrong with a store, each with its place.

use std::path::PathBuf;
use watersmeet_crdt::document::DecodeError;

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
    /// An earlier release wrote the file.
    #[error(
        "{file} was written by an earlier release (schema {found}); start the server on it once to bring it to schema {known}"
    )]
    Earlier {
        /// The file.
        file: PathBuf,
        /// The schema's number there.
        found: u32,
        /// The number known here.
        known: u32,
    },
    /// There is no store.
    #[error("there is no store: {file} does not exist")]
    NoStore {
        /// The file that would be its.
        file: PathBuf,
    },
    /// A folder that is to become a store has something in it.
    #[error("the folder {folder} is not empty; restore into a new one")]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// A copy could not be written.
    #[error("{file} cannot be written: {source}")]
    Copy {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
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
    /// Reading something that belongs to no document failed.
    #[error("reading {what} failed: {source}")]
    Lookup {
        /// What was to be read.
        what: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Writing failed.
    #[error("writing failed: {0}{step}", step = step(.0))]
    Write(#[from] rusqlite::Error),
    /// What is there is not what was written.
    #[error("{file} is damaged: {flaw}; run `watersmeet store check`, and restore a backup")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        flaw: Flaw,
    },
    /// A delta or snapshot that is as it was written, but cannot be decoded.
    #[error("delta {number} of the document {document:?} cannot be read: {source}")]
    Undecodable {
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

/// What SQLite was doing when it failed, of which its message says nothing.
fn step(error: &rusqlite::Error) -> String {
    use rusqlite::ffi;
    let Some(code) = error.sqlite_error().map(|error| error.extended_code) else { return String::new() };
    let step = match code {
        ffi::SQLITE_IOERR_WRITE => "writing to a file",
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => "syncing",
        ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ => "reading from a file",
        ffi::SQLITE_IOERR_TRUNCATE => "truncating a file",
        _ => return format!(" (SQLite's code {code})"),
    };
    format!(" while {step} (SQLite's code {code})")
}

/// What in a file is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The list of documents as a whole: an entry may be missing.
    #[error("the list of documents and its index do not agree")]
    List,
    /// A document's entry in the list.
    #[error("the entry of the document {document:?} is missing or altered")]
    Entry {
        /// The document's name, as far as it can be read.
        document: String,
    },
    /// A delta.
    #[error("delta {number} of the document {document:?} is missing or altered")]
    Delta {
        /// The document's name.
        document: String,
        /// The delta's number.
        number: u64,
    },
    /// A snapshot.
    #[error("the snapshot of the document {document:?} after delta {upto} is incomplete or altered")]
    Snapshot {
        /// The document's name.
        document: String,
        /// The number of the last delta in it.
        upto: u64,
    },
    /// A claim.
    #[error("the owner of replica {replica} is altered")]
    Claim {
        /// The replica's id.
        replica: u64,
    },
    /// The beginning of the write-ahead log, which what follows it can replace.
    #[error(
        "the header of the write-ahead log is altered; a server that is started on it puts it back, and nothing is lost"
    )]
    LogHeader,
    /// The write-ahead log, where it had been synced.
    #[error("the write-ahead log is altered at byte {at}, and {commits} commits after that cannot be read")]
    Log {
        /// The first byte of what cannot be read.
        at: u64,
        /// How many commits there are.
        commits: u64,
    },
    /// The file's structure.
    #[error("{0}")]
    Structure(String),
    /// All rows of a document are as they were written, but do not make a document.
    #[error("{0}")]
    Replay(String),
}
