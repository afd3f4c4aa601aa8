//! The embedded store: one SQLite database in write-ahead-log mode, synced at every commit.
//!
//! ```text
//!   documents  id │ name                 a document exists once something was written to it
//!   deltas     number │ document │ bytes    the log; a number is never given twice, not even after a compaction
//!   snapshots  document │ upto │ bytes      the state after delta `upto`
//! ```

use super::{Record, Saved, Store, StoreError};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of the schema that is written.
const SCHEMA: u32 = 1;

const TABLES: &str = "
    CREATE TABLE documents (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE deltas (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        document INTEGER NOT NULL REFERENCES documents (id),
        bytes BLOB NOT NULL
    );
    CREATE INDEX deltas_by_document ON deltas (document, number);
    CREATE TABLE snapshots (
        document INTEGER PRIMARY KEY REFERENCES documents (id),
        upto INTEGER NOT NULL,
        bytes BLOB NOT NULL
    );
    CREATE TABLE checks (id INTEGER PRIMARY KEY CHECK (id = 0), count INTEGER NOT NULL);
    INSERT INTO checks VALUES (0, 0);
";

/// Documents in one database file. See [`Store`] for what it promises.
#[derive(Debug)]
pub struct Sqlite {
    /// Used by the committer alone.
    writer: Mutex<Connection>,
    /// Reads while the writer waits for the disk.
    reader: Mutex<Connection>,
    /// Held, and so locked, as long as the store lives.
    _lock: File,
}

impl Sqlite {
    /// Opens the store in `folder`, creating both if need be.
    ///
    /// # Errors
    /// If the folder cannot be used, another process has it, a later release wrote it, or the database is damaged.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        let open_error = |source| StoreError::Open { folder: folder.to_owned(), source };
        let path = folder.join("documents.sqlite");
        let mut writer = Connection::open(&path).map_err(open_error)?;
        configure(&writer).map_err(open_error)?;
        migrate(&mut writer, folder)?;
        let reader =
            Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(open_error)?;
        Ok(Sqlite { writer: Mutex::new(writer), reader: Mutex::new(reader), _lock: lock })
    }

    /// Of no harm after a panic: a transaction that was not committed is rolled back when it is dropped.
    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let folder_error = |source| StoreError::Folder { folder: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(folder_error)?;
    let file = File::create(folder.join("lock")).map_err(folder_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { folder: PathBuf::from(folder) }),
        Err(TryLockError::Error(source)) => Err(folder_error(source)),
    }
}

fn configure(writer: &Connection) -> rusqlite::Result<()> {
    writer.pragma_update(None, "journal_mode", "WAL")?;
    // Sync the log at every commit: what is acknowledged survives the loss of power.
    writer.pragma_update(None, "synchronous", "FULL")?;
    writer.pragma_update(None, "foreign_keys", true)?;
    // Rooms come and go by name, each with a handful of statements.
    writer.set_prepared_statement_cache_capacity(16);
    Ok(())
}

fn migrate(writer: &mut Connection, folder: &Path) -> Result<(), StoreError> {
    let open_error = |source| StoreError::Open { folder: folder.to_owned(), source };
    let found: u32 = writer.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(open_error)?;
    match found {
        SCHEMA => Ok(()),
        0 => create(writer).map_err(open_error),
        found => Err(StoreError::Schema { folder: folder.to_owned(), found, known: SCHEMA }),
    }
}

fn create(writer: &mut Connection) -> rusqlite::Result<()> {
    let transaction = writer.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()
}

impl Store for Sqlite {
    fn load(&self, document: &str) -> Result<Saved, StoreError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        // One transaction, so that a compaction in between cannot take the deltas away after the old snapshot was read.
        let transaction = reader.transaction().map_err(|source| read_error(document, source))?;
        load(&transaction, document).map_err(|source| read_error(document, source))
    }

    fn append(&self, records: &[Record]) -> Result<Vec<u64>, StoreError> {
        let mut writer = self.writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let numbers =
            records.iter().map(|record| append(&transaction, record)).collect::<rusqlite::Result<_>>()?;
        transaction.commit()?;
        Ok(numbers)
    }

    fn compact(&self, document: &str, upto: u64, state: &[u8]) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let id = id_of(&transaction, document)?;
        let upto = number_to_sql(upto);
        transaction.execute("REPLACE INTO snapshots VALUES (?1, ?2, ?3)", params![id, upto, state])?;
        transaction.execute("DELETE FROM deltas WHERE document = ?1 AND number <= ?2", params![id, upto])?;
        Ok(transaction.commit()?)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.writer().execute("UPDATE checks SET count = count + 1", ())?;
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        // So that a copy of the one file is a copy of the whole.
        self.writer().query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
        Ok(())
    }
}

fn load(transaction: &Transaction<'_>, document: &str) -> rusqlite::Result<Saved> {
    let id: Option<i64> = transaction
        .prepare_cached("SELECT id FROM documents WHERE name = ?1")?
        .query_row([document], |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(Saved::default()) };
    let snapshot = transaction
        .prepare_cached("SELECT upto, bytes FROM snapshots WHERE document = ?1")?
        .query_row([id], |row| Ok((number_from_sql(row.get(0)?), row.get(1)?)))
        .optional()?;
    let upto = snapshot.as_ref().map_or(0, |(upto, _)| number_to_sql(*upto));
    let deltas = transaction
        .prepare_cached(
            "SELECT number, bytes FROM deltas WHERE document = ?1 AND number > ?2 ORDER BY number",
        )?
        .query_map([id, upto], |row| Ok((number_from_sql(row.get(0)?), row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Saved { snapshot, deltas })
}

fn append(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<u64> {
    let id = id_of(transaction, &record.document)?;
    transaction
        .prepare_cached("INSERT INTO deltas (document, bytes) VALUES (?1, ?2)")?
        .insert(params![id, &record.delta[..]])
        .map(number_from_sql)
}

/// The document's number in the tables, given now if it has none.
fn id_of(transaction: &Transaction<'_>, document: &str) -> rusqlite::Result<i64> {
    let known = transaction
        .prepare_cached("SELECT id FROM documents WHERE name = ?1")?
        .query_row([document], |row| row.get(0))
        .optional()?;
    match known {
        Some(id) => Ok(id),
        None => transaction.prepare_cached("INSERT INTO documents (name) VALUES (?1)")?.insert([document]),
    }
}

/// SQLite's integers are signed, but it gives numbers from 1 upwards.
fn number_from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn number_to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn read_error(document: &str, source: rusqlite::Error) -> StoreError {
    StoreError::Read { document: document.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Folder(PathBuf);

    impl Folder {
        fn fresh() -> Self {
            static NUMBER: AtomicU64 = AtomicU64::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            Folder(std::env::temp_dir().join(format!("watersmeet-sqlite-{}-{number}", std::process::id())))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn record(document: &str, delta: &'static [u8]) -> Record {
        Record { document: document.into(), delta: delta.into() }
    }

    #[test]
    fn what_is_appended_is_there_after_reopening() {
        let folder = Folder::fresh();
        let store = Sqlite::open(&folder.0).unwrap();
        let numbers = store.append(&[record("a", b"1"), record("b", b"2"), record("a", b"3")]).unwrap();
        store.close().unwrap();
        drop(store);
        let store = Sqlite::open(&folder.0).unwrap();
        let deltas = vec![(numbers[0], b"1".to_vec()), (numbers[2], b"3".to_vec())];
        assert_eq!(store.load("a").unwrap(), Saved { snapshot: None, deltas });
        assert_eq!(store.load("nobody's").unwrap(), Saved::default());
    }

    /// Were numbers given again after a compaction took the last deltas away, the next one would count as contained
    /// in the snapshot.
    #[test]
    fn a_number_is_never_given_twice() {
        let folder = Folder::fresh();
        let store = Sqlite::open(&folder.0).unwrap();
        let upto = store.append(&[record("a", b"1"), record("a", b"2")]).unwrap()[1];
        store.compact("a", upto, b"state").unwrap();
        drop(store);
        let store = Sqlite::open(&folder.0).unwrap();
        let next = store.append(&[record("a", b"3")]).unwrap()[0];
        assert!(next > upto);
        let saved = Saved { snapshot: Some((upto, b"state".to_vec())), deltas: vec![(next, b"3".to_vec())] };
        assert_eq!(store.load("a").unwrap(), saved);
    }

    #[test]
    fn a_compaction_keeps_later_deltas_and_other_documents() {
        let folder = Folder::fresh();
        let store = Sqlite::open(&folder.0).unwrap();
        let numbers = store.append(&[record("a", b"1"), record("b", b"2"), record("a", b"3")]).unwrap();
        store.compact("a", numbers[0], b"state").unwrap();
        assert_eq!(store.load("a").unwrap().deltas, [(numbers[2], b"3".to_vec())]);
        assert_eq!(store.load("b").unwrap().deltas, [(numbers[1], b"2".to_vec())]);
    }

    #[test]
    fn a_folder_has_one_server_and_a_later_schema_is_left_alone() {
        let folder = Folder::fresh();
        let store = Sqlite::open(&folder.0).unwrap();
        assert!(matches!(Sqlite::open(&folder.0), Err(StoreError::InUse { .. })));
        store.writer().pragma_update(None, "user_version", SCHEMA + 1).unwrap();
        drop(store);
        assert!(
            matches!(Sqlite::open(&folder.0), Err(StoreError::Schema { found, .. }) if found == SCHEMA + 1)
        );
    }

    #[test]
    fn every_commit_is_synced() {
        let folder = Folder::fresh();
        let store = Sqlite::open(&folder.0).unwrap();
        let writer = store.writer();
        let synchronous: i64 = writer.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        let mode: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!((synchronous, mode.as_str()), (2, "wal"), "2 is FULL");
    }
}
