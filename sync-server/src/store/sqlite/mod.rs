//! The embedded store: one SQLite database in write-ahead-log mode, synced at every commit.
//!
//! ```text
//!   documents  id │ name │ last │ snapshot │ sum        a document exists once something was written to it
//!   deltas     number │ document │ previous │ sum │ bytes        the log; a number is never given twice
//!   snapshots  document │ upto │ part │ parts │ sum │ bytes        the state after delta `upto`, in parts
//!   claims     replica │ subject │ sum        whose a replica id is
//! ```
//!
//! Every row has a checksum of what is in it and of its place; how rows hang together is in `rows`, what holds when
//! the disk fails in `writer`.

mod backup;
mod check;
mod room;
mod rows;
mod schema;
mod settle;
mod turns;
mod wal;
mod writer;

pub use backup::{backup, restore};
pub use check::{Report, check};

use super::{Record, Saved, Store, StoreError};
use rows::Fault;
use rusqlite::{Connection, OpenFlags};
use schema::parts_of;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use turns::Turns;
use watersmeet_crdt::ReplicaId;
use writer::Writer;

/// Rows that one transaction removes, or one look at a document's chain passes.
const SWEEP_ROWS: usize = 256;

/// Documents in one database file. See [`Store`] for what it promises.
#[derive(Debug)]
pub struct Sqlite {
    file: PathBuf,
    turns: Turns,
    /// Reads while the writer waits for the disk.
    reader: Arc<Mutex<Connection>>,
    /// One compaction at a time.
    compacting: Mutex<()>,
    /// Held, and so locked, as long as the store lives.
    _lock: File,
}

impl Sqlite {
    /// Opens the store in `folder`, creating both if need be. What an earlier release wrote is brought into this one's
    /// form.
    ///
    /// # Errors
    /// If the folder cannot be used, another process has it, a later release wrote it, or the database is damaged.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        let open_error = |source| StoreError::Open { folder: folder.to_owned(), source };
        let file = file_in(folder);
        mend_log(folder)?;
        check_log(folder)?;
        let connect = || {
            settle::settle(&file, settle::PATIENCE_AT_START)?;
            writer::open_to_write(&file)
        };
        let mut connection = connect().map_err(open_error)?;
        if schema::prepare(&mut connection, folder)? {
            // So that the tables are never in the log alone.
            drop(connection);
            connection = connect().map_err(open_error)?;
        }
        let reader = Arc::new(Mutex::new(writer::open_to_read(&file).map_err(open_error)?));
        let writer = Writer::new(file.clone(), connection, reader.clone()).map_err(|fault| match fault {
            Fault::Sql(source) => open_error(source),
            Fault::Flaw(flaw) => StoreError::Damaged { file: file.clone(), flaw },
        })?;
        Ok(Sqlite { file, turns: Turns::new(writer), reader, compacting: Mutex::new(()), _lock: lock })
    }

    /// Refuses to let the database grow beyond `bytes`, as a full disk would. It does not shrink if it is larger.
    ///
    /// # Errors
    /// If SQLite refuses.
    pub fn limit_bytes(&self, bytes: u64) -> Result<(), StoreError> {
        Ok(self.turns.writer().limit_bytes(bytes)?)
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_error(&self, fault: Fault) -> StoreError {
        match fault {
            Fault::Sql(source) => StoreError::Write(source),
            Fault::Flaw(flaw) => StoreError::Damaged { file: self.file.clone(), flaw },
        }
    }

    fn lookup_error(&self, what: &'static str, fault: Fault) -> StoreError {
        match fault {
            Fault::Sql(source) => StoreError::Lookup { what, source },
            Fault::Flaw(flaw) => StoreError::Damaged { file: self.file.clone(), flaw },
        }
    }

    /// One step of a compaction. Others get to write between two.
    fn step<T>(&self, work: impl FnOnce(&mut Writer) -> Result<T, Fault>) -> Result<T, StoreError> {
        self.turns.step(work).map_err(|fault| self.write_error(fault))
    }

    /// The numbers of a document's deltas, from `upto` backwards. Nobody else has to wait for all of them.
    fn numbers_back(&self, document: i64, upto: i64) -> Result<Vec<i64>, StoreError> {
        let (mut numbers, mut from) = (Vec::new(), Some(upto));
        while let Some(number) = from {
            let (more, before) = rows::numbers_back(&self.reader(), document, number, SWEEP_ROWS)
                .map_err(|fault| self.lookup_error("the log of a document", fault))?;
            numbers.extend(more);
            from = before;
        }
        Ok(numbers)
    }
}

/// The database in a data folder.
fn file_in(folder: &Path) -> PathBuf {
    folder.join("documents.sqlite")
}

/// Its write-ahead log.
fn log_in(folder: &Path) -> PathBuf {
    folder.join("documents.sqlite-wal")
}

/// Puts the header of a write-ahead log back that is not whole. The folder must be locked.
fn mend_log(folder: &Path) -> Result<(), StoreError> {
    let mended = wal::mend(&log_in(folder));
    if mended.map_err(|source| StoreError::Folder { folder: folder.to_owned(), source })? {
        let why = "a crash interrupted the writing of it, or the disk has altered it";
        tracing::warn!(
            ?folder,
            why,
            "the header of the write-ahead log was put back from what follows it; nothing is lost"
        );
    }
    Ok(())
}

/// Refuses a write-ahead log of which SQLite would silently drop what was acknowledged. The folder must be locked: of a
/// log that is being written to nothing can be said.
fn check_log(folder: &Path) -> Result<(), StoreError> {
    let file = log_in(folder);
    match wal::check(&file) {
        Ok(None) => Ok(()),
        Ok(Some(flaw)) => Err(StoreError::Damaged { file, flaw }),
        Err(source) => Err(StoreError::Folder { folder: folder.to_owned(), source }),
    }
}

/// A database that is there, without a claim to be its only user.
fn open_for_reading(file: &Path) -> Result<Connection, StoreError> {
    if !file.is_file() {
        return Err(StoreError::NoStore { file: file.to_owned() });
    }
    let folder = file.parent().unwrap_or(file).to_owned();
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|source| StoreError::Open { folder, source })?;
    check::expect_schema(&connection, file)?;
    Ok(connection)
}

/// How long somebody who wants a folder for good waits for a check or a backup, which have it while they look at the log.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Takes the folder, which is created if need be, for this process alone.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let folder_error = |source| StoreError::Folder { folder: folder.to_owned(), source };
    create_folder(folder).map_err(folder_error)?;
    let file = File::create(lock_in(folder)).map_err(folder_error)?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(folder_error(source)),
        }
    }
}

/// Takes the folder of a store that is there, if nobody else has it. Who only looks leaves nothing where there is none.
fn lock_if_free(folder: &Path) -> Option<File> {
    let file = file_in(folder).is_file().then(|| File::create(lock_in(folder)).ok())??;
    file.try_lock().is_ok().then_some(file)
}

/// The file whose lock says that somebody has the folder.
fn lock_in(folder: &Path) -> PathBuf {
    folder.join("lock")
}

/// Creates a folder and those above it, durably: or a crash could take it away, and what was acknowledged with it.
/// SQLite does the same for its files.
fn create_folder(folder: &Path) -> std::io::Result<()> {
    let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::create_dir_all(folder)?;
    missing.into_iter().filter(|folder| !folder.as_os_str().is_empty()).try_for_each(sync_entry)
}

/// Makes sure that the name of a file or folder is on the disk, which it is when the folder that it is in is.
#[cfg(unix)]
fn sync_entry(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Elsewhere folders cannot be synced.
#[cfg(not(unix))]
fn sync_entry(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

impl Store for Sqlite {
    fn load(&self, document: &str) -> Result<Saved, StoreError> {
        let in_transaction = |reader: &mut Connection| {
            // One transaction, so that a compaction in between cannot take deltas away after the old snapshot was read.
            let transaction = reader.transaction()?;
            rows::load(&transaction, document)
        };
        in_transaction(&mut self.reader()).map_err(|fault| match fault {
            Fault::Sql(source) => StoreError::Read { document: document.to_owned(), source },
            Fault::Flaw(flaw) => StoreError::Damaged { file: self.file.clone(), flaw },
        })
    }

    fn append(&self, records: &[Record]) -> Result<Vec<u64>, StoreError> {
        self.turns.append(|writer| writer.append(records)).map_err(|fault| self.write_error(fault))
    }

    fn compact(&self, document: &str, upto: u64, state: &[u8]) -> Result<(), StoreError> {
        let _one_at_a_time = self.compacting.lock().unwrap_or_else(PoisonError::into_inner);
        let upto = i64::try_from(upto).unwrap_or(i64::MAX);
        let head = rows::head(&self.reader(), document);
        let head = head.map_err(|fault| self.lookup_error("the entry of a document", fault))?;
        let Some(head) = head else { return Ok(()) };
        if !(head.snapshot + 1..=head.last).contains(&upto) {
            return Ok(());
        }
        // What an attempt left behind that failed on its way.
        while self.step(|writer| writer.sweep_part(head.id, head.snapshot))? {}
        for part in 0..parts_of(state).len() {
            self.step(|writer| writer.put_part((head.id, upto), state, part))?;
        }
        self.step(|writer| writer.switch(document, upto))?;
        while self.step(|writer| writer.sweep_part(head.id, upto))? {}
        // The oldest first: so what is left, if it fails on the way, can still be found from the newest backwards.
        let old = self.numbers_back(head.id, upto)?;
        old.rchunks(SWEEP_ROWS).try_for_each(|numbers| self.step(|writer| writer.sweep_deltas(numbers)))
    }

    fn owner(&self, replica: ReplicaId) -> Result<Option<String>, StoreError> {
        rows::owner(&self.reader(), replica.get().cast_signed())
            .map_err(|fault| self.lookup_error("the owner of a replica", fault))
    }

    fn names(&self, after: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        rows::names(&self.reader(), after, limit)
            .map_err(|error| self.lookup_error("the list of documents", error.into()))
    }

    fn check(&self) -> Result<(), StoreError> {
        self.turns.writer().check().map_err(|fault| self.write_error(fault))
    }

    fn tidy(&self) -> Result<(), StoreError> {
        self.turns.writer().tidy().map_err(|fault| self.write_error(fault))
    }

    fn close(&self) -> Result<(), StoreError> {
        // So that a copy of the one file is a copy of the whole.
        self.turns.writer().settle().map_err(|fault| self.write_error(fault))
    }
}

#[cfg(test)]
mod tests;
