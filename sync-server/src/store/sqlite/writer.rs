//! The connection that writes, and what is known about its last failure.
//!
//! **A sync that failed is never repeated as if it could succeed.** After a failed fsync the system may have dropped
//! what was to be written and call the next fsync a success; so nothing may come to rest on what was written before
//! the failure and not known to be on the disk. SQLite keeps to that in the log: a transaction whose sync failed is
//! rolled back, and the next one writes its own bytes over the same place and syncs those. But of what it has moved from
//! the log into the database it writes nothing again, synced or not. So before anything is written after a failure, of a
//! commit or of a move, and before anything is read after opening, everything that the log has is moved anew
//! ([`settle`](super::settle)), and for that all connections are closed and opened again.
//!
//! The log is moved when it has grown, by [`Writer::tidy`] and not by SQLite's own `wal_autocheckpoint`, which keeps
//! silent about failures.

use super::rows::{self, Fault, Head, sum_of_head};
use super::schema::{self, parts_of, put_claim, put_delta, put_part};
use super::settle::{PATIENCE, settle, write_ahead};
use super::{log_in, room, wal};
use crate::store::{Flaw, Record};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Documents whose entries are remembered. Beyond it all are forgotten, and looked up again.
const HEADS_MAX: usize = 16_384;
/// Bytes that a check finds room for.
const CHECK_BYTES: i64 = 64 << 10;

/// Pages in the write-ahead log, about, before they are moved into the database: 32 MiB. The more, the more often a
/// page that is written again and again is moved only once; the less, the sooner a start after a crash is through.
const LOG_PAGES: u32 = 8_192;
/// Pages for which there is [room] at a time in the log's file: 4 MiB.
const ROOM_PAGES: u32 = 1_024;
/// Bytes that the log keeps of its file when it begins anew.
const LOG_BYTES_KEPT: u32 = 64 << 20;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Writer {
    file: PathBuf,
    connection: Connection,
    /// Closed with the other when the log is moved anew.
    reader: Arc<Mutex<Connection>>,
    /// The number of the next delta.
    next: i64,
    heads: HashMap<Arc<str>, Head>,
    /// Whether something failed since the disk was last known to have everything.
    suspect: bool,
    /// Whether the connections could not be opened again.
    closed: bool,
    /// How often something was appended.
    pub(super) appends: u64,
    pages_max: u32,
    /// [`LOG_PAGES`], but in tests.
    pub(super) log_pages: u32,
    /// Pages for which there is room in the log's file, or was none to be had.
    room: u32,
    /// [`ROOM_PAGES`], but in tests.
    pub(super) room_pages: u32,
}

/// A connection that writes.
pub(super) fn open_to_write(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    write_ahead(&connection)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // Closing it moves nothing: it may be closed because that failed.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // What the log grew to beside a long reader is given back when it begins anew.
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    // Notice a page that makes no sense before following where it points.
    connection.pragma_update(None, "cell_size_check", true)?;
    // Rooms come and go by name, each with a handful of statements.
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// A connection that reads.
pub(super) fn open_to_read(file: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

impl Writer {
    /// Takes over a connection to a database whose tables are there and that is settled, and the one that reads it.
    pub(super) fn new(
        file: PathBuf,
        connection: Connection,
        reader: Arc<Mutex<Connection>>,
    ) -> Result<Self, Fault> {
        let list = schema::read_list(&connection)?;
        for document in &list.altered {
            tracing::error!(document, "the document's entry in the store is damaged; it cannot be opened");
        }
        let (heads, pages_max) = (HashMap::new(), u32::MAX - 1);
        let (next, appends, log_pages) = (list.last + 1, 0, LOG_PAGES);
        let (room, room_pages) = (0, ROOM_PAGES);
        Ok(Writer {
            file,
            connection,
            reader,
            next,
            heads,
            suspect: false,
            closed: false,
            appends,
            pages_max,
            log_pages,
            room,
            room_pages,
        })
    }

    /// For tests.
    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Refuses to let the database grow beyond `bytes`.
    pub(super) fn limit_bytes(&mut self, bytes: u64) -> rusqlite::Result<()> {
        let page: u32 = self.connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = bytes / u64::from(page.max(1));
        self.pages_max = u32::try_from(pages).unwrap_or(u32::MAX - 1).clamp(1, u32::MAX - 1);
        self.limit()
    }

    fn limit(&self) -> rusqlite::Result<()> {
        let limit = format!("PRAGMA max_page_count = {}", self.pages_max);
        self.connection.query_row(&limit, (), |_| Ok(()))
    }

    /// Moves everything from the log into the one file, on the disk, whatever has failed before.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        self.suspect = true;
        if !self.closed {
            // On a disk that takes nothing what is closed could not be opened again, not even to be read.
            self.attempt(|transaction, _| try_out(transaction))?;
        }
        let reader = self.reader.clone();
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        self.heads.clear();
        self.room = 0;
        self.closed = true;
        // In place of the two, through which nothing can be read or written while they are closed.
        (self.connection, *reader) = (Connection::open_in_memory()?, Connection::open_in_memory()?);
        let settled = settle(&self.file, PATIENCE);
        // Even if it failed: what can be read is read.
        *reader = open_to_read(&self.file)?;
        self.connection = open_to_write(&self.file)?;
        self.limit()?;
        self.closed = false;
        settled?;
        self.suspect = false;
        Ok(())
    }

    /// Moves the log into the database if it has grown. Appends rely on nothing of it: what is appended is in the log.
    pub(super) fn tidy(&mut self) -> Result<(), Fault> {
        if self.suspect {
            return self.settle();
        }
        let [log, moved] = self.checkpoint("NOOP")?;
        self.make_room(log);
        if log.saturating_sub(moved) < self.log_pages {
            return Ok(());
        }
        // As far as readers allow, without waiting for one.
        let moved = self.checkpoint("PASSIVE");
        self.suspect |= moved.is_err();
        moved.map(drop)
    }

    /// Makes room for a log that has so many pages and is about to reach the end of its file.
    fn make_room(&mut self, log: u32) {
        if log + self.room_pages / 4 < self.room {
            return;
        }
        self.room = log + self.room_pages;
        let made = self.connection.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0));
        let made = made.map_err(std::io::Error::other).and_then(|page| {
            let folder = self.file.parent().unwrap_or(&self.file);
            room::make(&log_in(folder), wal::bytes_of(self.room, page))
        });
        if let Err(error) = made {
            // A commit that finds none makes it, or fails and says so.
            tracing::debug!(%error, "no room could be made in the log");
        }
    }

    /// Pages in the log, and how many of them have been moved.
    fn checkpoint(&self, mode: &str) -> Result<[u32; 2], Fault> {
        let mut statement = self.connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
        // -1 if there is no log.
        let pages = |row: &rusqlite::Row<'_>, column| {
            row.get(column).map(|pages: i64| u32::try_from(pages).unwrap_or(0))
        };
        Ok(statement.query_row((), |row| Ok([pages(row, 1)?, pages(row, 2)?]))?)
    }

    /// Does something in one transaction that is on the disk when this returns; if it fails, nothing of it was done.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut Heads<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.suspect {
            self.settle()?;
        }
        let result = self.attempt(work);
        if result.is_err() {
            self.suspect = true;
            self.heads.clear();
        }
        result
    }

    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut Heads<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction, &mut Heads { known: &mut self.heads, next: &mut self.next })?;
        transaction.commit()?;
        Ok(done)
    }

    /// Appends records; their numbers.
    pub(super) fn append(&mut self, records: &[Record]) -> Result<Vec<u64>, Fault> {
        self.write(|transaction, heads| {
            let append = |record| heads.append(transaction, record);
            records.iter().map(append).collect()
        })
    }

    /// Writes as much as an append might, and takes it back.
    pub(super) fn check(&mut self) -> Result<(), Fault> {
        self.write(|transaction, _| try_out(transaction))
    }
}

/// Writes as much as an append might, and takes it back.
fn try_out(transaction: &Transaction<'_>) -> Result<(), Fault> {
    transaction.execute("UPDATE checks SET count = count + 1, room = zeroblob(?1)", [CHECK_BYTES])?;
    transaction.execute("UPDATE checks SET room = NULL", ())?;
    Ok(())
}

/// Compaction, in steps that are each a small transaction, so that appends get in between.
impl Writer {
    /// Writes a part of a snapshot that does not count yet.
    pub(super) fn put_part(&mut self, place: (i64, i64), state: &[u8], part: usize) -> Result<(), Fault> {
        let parts = parts_of(state);
        self.write(|transaction, _| {
            let bytes = parts.get(part).copied().unwrap_or_default();
            Ok(put_part(transaction, place, part as i64, parts.len() as i64, bytes)?)
        })
    }

    /// From now on the snapshot after `upto` counts, and the deltas in it do not.
    pub(super) fn switch(&mut self, document: &str, upto: i64) -> Result<(), Fault> {
        self.write(|transaction, heads| {
            let head = heads.of(transaction, document)?;
            let head = head.ok_or_else(|| Flaw::Entry { document: document.to_owned() })?;
            heads.put(transaction, document, Head { snapshot: upto, ..head })
        })
    }

    /// Removes a part of a snapshot that does not count; false if there was none.
    pub(super) fn sweep_part(&mut self, document: i64, counts: i64) -> Result<bool, Fault> {
        self.write(|transaction, _| {
            let removed = transaction
                .prepare_cached(
                    "DELETE FROM snapshots WHERE (document, upto, part) IN
                     (SELECT document, upto, part FROM snapshots WHERE document = ?1 AND upto <> ?2 LIMIT 1)",
                )?
                .execute([document, counts])?;
            Ok(removed > 0)
        })
    }

    /// Removes some deltas.
    pub(super) fn sweep_deltas(&mut self, numbers: &[i64]) -> Result<(), Fault> {
        self.write(|transaction, _| {
            let mut statement = transaction.prepare_cached("DELETE FROM deltas WHERE number = ?1")?;
            numbers.iter().try_for_each(|number| statement.execute([number]).map(drop))?;
            Ok(())
        })
    }
}

/// The entries of documents, remembered while nothing fails.
struct Heads<'a> {
    known: &'a mut HashMap<Arc<str>, Head>,
    next: &'a mut i64,
}

impl Heads<'_> {
    fn of(&mut self, transaction: &Transaction<'_>, document: &str) -> Result<Option<Head>, Fault> {
        match self.known.get(document) {
            Some(head) => Ok(Some(*head)),
            None => rows::head(transaction, document),
        }
    }

    fn append(&mut self, transaction: &Transaction<'_>, record: &Record) -> Result<u64, Fault> {
        let head = match self.of(transaction, &record.document)? {
            Some(head) => head,
            None => insert(transaction, &record.document)?,
        };
        let number = *self.next;
        *self.next += 1;
        put_delta(transaction, number, head, &record.delta)?;
        for claim in &record.claims {
            put_claim(transaction, claim.replica.get().cast_signed(), &claim.subject)?;
        }
        let head = Head { last: number, ..head };
        self.put(transaction, &record.document, head)?;
        if self.known.len() >= HEADS_MAX {
            self.known.clear();
        }
        self.known.insert(record.document.clone(), head);
        Ok(number.cast_unsigned())
    }

    fn put(&mut self, transaction: &Transaction<'_>, document: &str, head: Head) -> Result<(), Fault> {
        let updated = transaction
            .prepare_cached("UPDATE documents SET last = ?2, snapshot = ?3, sum = ?4 WHERE id = ?1")?
            .execute(params![head.id, head.last, head.snapshot, sum_of_head(document, head)])?;
        if updated != 1 {
            return Err(Flaw::Entry { document: document.to_owned() }.into());
        }
        if let Some(known) = self.known.get_mut(document) {
            *known = head;
        }
        Ok(())
    }
}

fn insert(transaction: &Transaction<'_>, document: &str) -> Result<Head, Fault> {
    let head = Head { id: 0, last: 0, snapshot: 0 };
    let id = transaction
        .prepare_cached("INSERT INTO documents (name, last, snapshot, sum) VALUES (?1, 0, 0, ?2)")?
        .insert(params![document, sum_of_head(document, head)])?;
    Ok(Head { id, ..head })
}
