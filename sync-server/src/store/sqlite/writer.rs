//! The connection that writes, and what is known about its last failure.
//!
//! **A sync that failed is never repeated as if it could succeed.** After a failed fsync the system may have dropped
//! what was to be written and call the next fsync a success; so nothing may come to rest on what was written before
//! the failure and not known to be on the disk. SQLite keeps to that: a transaction whose sync failed is rolled back,
//! the next one writes its own bytes over the same place of the write-ahead log and syncs those, and a checkpoint
//! whose sync failed is done again from the log, page by page. And before anything is written after a failure, or read
//! after opening, the whole log is moved into the database and both are synced: what was found in the log, and
//! perhaps only in the system's memory, is thereby written anew.

use super::rows::{self, Fault, Head, sum_of_head};
use super::schema::{self, parts_of, put_claim, put_delta, put_part};
use crate::store::{Flaw, Record};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::collections::HashMap;
use std::sync::Arc;

/// Documents whose entries are remembered. Beyond it all are forgotten, and looked up again.
const HEADS_MAX: usize = 16_384;
/// Rows that one transaction removes.
const SWEEP_ROWS: usize = 256;
/// Bytes that a check finds room for.
const CHECK_BYTES: i64 = 64 << 10;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    /// The number of the next delta.
    next: i64,
    heads: HashMap<Arc<str>, Head>,
    /// Whether something failed since the disk was last known to have everything.
    suspect: bool,
}

impl Writer {
    /// Takes over a connection to a database whose tables are there.
    pub(super) fn new(connection: Connection) -> Result<Self, Fault> {
        settle(&connection)?;
        let list = schema::read_list(&connection)?;
        for document in &list.altered {
            tracing::error!(document, "the document's entry in the store is damaged; it cannot be opened");
        }
        Ok(Writer { connection, next: list.last + 1, heads: HashMap::new(), suspect: false })
    }

    /// For settings and tests.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Does something in one transaction that is on the disk when this returns; if it fails, nothing of it was done.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &mut Heads<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.suspect {
            settle(&self.connection)?;
            self.suspect = false;
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
        self.write(|transaction, _| {
            transaction.execute("UPDATE checks SET count = count + 1, room = zeroblob(?1)", [CHECK_BYTES])?;
            transaction.execute("UPDATE checks SET room = NULL", ())?;
            Ok(())
        })
    }

    /// Moves everything into the one file, on the disk.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        Ok(settle(&self.connection)?)
    }
}

/// Compaction, in steps that are each a small transaction, so that appends get in between.
impl Writer {
    /// A document's entry.
    pub(super) fn head(&mut self, document: &str) -> Result<Option<Head>, Fault> {
        rows::head(&self.connection, document)
    }

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

    /// Removes the document's deltas up to `upto`, the oldest first: so what is left, if it fails on the way, can
    /// still be found from the newest backwards.
    pub(super) fn old_deltas(&self, document: i64, upto: i64) -> Result<Vec<i64>, Fault> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT previous FROM deltas WHERE number = ?1 AND document = ?2")?;
        let (mut numbers, mut number) = (Vec::new(), upto);
        while let Some(row) = statement.query([number, document])?.next()? {
            numbers.push(number);
            let previous = row.get(0)?;
            if previous >= number {
                break;
            }
            number = previous;
        }
        numbers.reverse();
        Ok(numbers)
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

/// How many deltas [`Writer::sweep_deltas`] is given at once.
pub(super) const fn sweep_rows() -> usize {
    SWEEP_ROWS
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

/// Moves the write-ahead log into the database, and syncs both.
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
    match busy {
        false => Ok(()),
        true => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some("somebody reads the database for long, such as a backup; try again".to_owned()),
        )),
    }
}
