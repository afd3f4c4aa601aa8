//! The tables, how an earlier release's become these, and whether the list of documents is whole.

use super::rows::{Fault, Head, sum_of_claim, sum_of_delta, sum_of_head, sum_of_part};
use crate::store::{Flaw, StoreError};
use rusqlite::{Connection, Transaction, params};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The number of the schema that is written.
pub(super) const SCHEMA: u32 = 2;
/// Bytes of a snapshot in one row, and so in one transaction: an append that waits for it waits no longer than that
/// takes.
pub(super) const PART_BYTES: usize = 1 << 20;

const TABLES: &str = "
    CREATE TABLE documents (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        last INTEGER NOT NULL,
        snapshot INTEGER NOT NULL,
        sum INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX documents_by_name ON documents (name);
    CREATE TABLE deltas (
        number INTEGER PRIMARY KEY,
        document INTEGER NOT NULL,
        previous INTEGER NOT NULL,
        sum INTEGER NOT NULL,
        bytes BLOB NOT NULL
    );
    CREATE TABLE snapshots (
        document INTEGER NOT NULL,
        upto INTEGER NOT NULL,
        part INTEGER NOT NULL,
        parts INTEGER NOT NULL,
        sum INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (document, upto, part)
    ) WITHOUT ROWID;
    CREATE TABLE claims (replica INTEGER PRIMARY KEY, subject TEXT NOT NULL, sum INTEGER NOT NULL);
    CREATE TABLE checks (id INTEGER PRIMARY KEY, count INTEGER NOT NULL, room BLOB);
    INSERT INTO checks VALUES (0, 0, NULL);
";

/// Makes the tables, or makes them of an earlier release's, in one transaction; false if they are there.
pub(super) fn prepare(connection: &mut Connection, folder: &Path) -> Result<bool, StoreError> {
    let open_error = |source| StoreError::Open { folder: folder.to_owned(), source };
    let found: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(open_error)?;
    let make: fn(&Transaction<'_>) -> rusqlite::Result<()> = match found {
        SCHEMA => return Ok(false),
        0 => |transaction| transaction.execute_batch(TABLES),
        1 => migrate_from_1,
        found => return Err(StoreError::Schema { folder: folder.to_owned(), found, known: SCHEMA }),
    };
    let in_transaction = |connection: &mut Connection| {
        let transaction = connection.transaction()?;
        make(&transaction)?;
        transaction.pragma_update(None, "user_version", SCHEMA)?;
        transaction.commit()
    };
    in_transaction(connection).map(|()| true).map_err(open_error)
}

/// Schema 1 had no checksums, no claims, whole snapshots, and found deltas by an index in place of a chain.
fn migrate_from_1(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE documents RENAME TO documents_1;
         ALTER TABLE deltas RENAME TO deltas_1;
         ALTER TABLE snapshots RENAME TO snapshots_1;
         DROP TABLE checks;",
    )?;
    transaction.execute_batch(TABLES)?;
    let mut documents = transaction.prepare("SELECT id, name FROM documents_1")?;
    let mut rows = documents.query(())?;
    while let Some(row) = rows.next()? {
        migrate_document(transaction, row.get(0)?, &row.get::<_, String>(1)?)?;
    }
    drop(rows);
    drop(documents);
    transaction.execute_batch("DROP TABLE snapshots_1; DROP TABLE deltas_1; DROP TABLE documents_1;")
}

fn migrate_document(transaction: &Transaction<'_>, id: i64, name: &str) -> rusqlite::Result<()> {
    let mut head = Head { id, last: 0, snapshot: 0 };
    let mut snapshots =
        transaction.prepare_cached("SELECT upto, bytes FROM snapshots_1 WHERE document = ?1")?;
    let mut rows = snapshots.query([id])?;
    while let Some(row) = rows.next()? {
        (head.snapshot, head.last) = (row.get(0)?, row.get(0)?);
        put_snapshot(transaction, id, head.snapshot, row.get_ref(1)?.as_blob()?)?;
    }
    let mut deltas = transaction.prepare_cached(
        "SELECT number, bytes FROM deltas_1 WHERE document = ?1 AND number > ?2 ORDER BY number",
    )?;
    let mut rows = deltas.query([id, head.snapshot])?;
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        put_delta(transaction, number, head, row.get_ref(1)?.as_blob()?)?;
        head.last = number;
    }
    transaction.prepare_cached("INSERT INTO documents VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
        id,
        name,
        head.last,
        head.snapshot,
        sum_of_head(name, head)
    ])?;
    Ok(())
}

fn put_snapshot(transaction: &Transaction<'_>, id: i64, upto: i64, state: &[u8]) -> rusqlite::Result<()> {
    let parts = parts_of(state);
    let all = parts.len() as i64;
    (0..).zip(&parts).try_for_each(|(part, bytes)| put_part(transaction, (id, upto), part, all, bytes))
}

/// A state in pieces, of which there is at least one.
pub(super) fn parts_of(state: &[u8]) -> Vec<&[u8]> {
    if state.is_empty() { vec![state] } else { state.chunks(PART_BYTES).collect() }
}

/// Puts one part of a snapshot there.
pub(super) fn put_part(
    transaction: &Transaction<'_>,
    (document, upto): (i64, i64),
    part: i64,
    parts: i64,
    bytes: &[u8],
) -> rusqlite::Result<()> {
    let sum = sum_of_part(document, upto, part, parts, bytes);
    transaction
        .prepare_cached("INSERT INTO snapshots VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![document, upto, part, parts, sum, bytes])?;
    Ok(())
}

/// Puts a delta behind the last one of a document.
pub(super) fn put_delta(
    transaction: &Transaction<'_>,
    number: i64,
    head: Head,
    bytes: &[u8],
) -> rusqlite::Result<()> {
    let sum = sum_of_delta(number, head.id, head.last, bytes);
    transaction
        .prepare_cached("INSERT INTO deltas VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![number, head.id, head.last, sum, bytes])?;
    Ok(())
}

/// Puts a claim there, unless there is one.
pub(super) fn put_claim(transaction: &Transaction<'_>, replica: i64, subject: &str) -> rusqlite::Result<()> {
    transaction.prepare_cached("INSERT OR IGNORE INTO claims VALUES (?1, ?2, ?3)")?.execute(params![
        replica,
        subject,
        sum_of_claim(replica, subject)
    ])?;
    Ok(())
}

/// What reading the whole list of documents found.
#[derive(Debug, Default)]
pub(super) struct List {
    /// How many documents there are.
    pub(super) documents: u64,
    /// The largest number of a delta so far.
    pub(super) last: i64,
    /// Documents whose entries are altered. They cannot be loaded; the others can.
    pub(super) altered: Vec<String>,
}

/// Reads the list of documents and its index from end to end. A document that the index has lost would look like one
/// that nobody ever wrote to, and be served as empty; so nothing is served from a list that is not whole.
pub(super) fn read_list(connection: &Connection) -> Result<List, Fault> {
    let (mut list, mut listed) = (List::default(), 0_u64);
    let mut table = connection.prepare("SELECT id, name, last, snapshot, sum FROM documents NOT INDEXED")?;
    let mut rows = table.query(())?;
    while let Some(row) = rows.next()? {
        let head = Head { id: row.get(0)?, last: row.get(2)?, snapshot: row.get(3)? };
        let name = row.get_ref(1)?.as_bytes().map_err(rusqlite::Error::from)?;
        listed = listed.wrapping_add(xxh3_64_with_seed(name, head.id.cast_unsigned()));
        list.documents += 1;
        match std::str::from_utf8(name) {
            Ok(name) if sum_of_head(name, head) == row.get::<_, i64>(4)? => {
                list.last = list.last.max(head.last)
            }
            _ => list.altered.push(String::from_utf8_lossy(name).into_owned()),
        }
    }
    if listed != read_index(connection)? {
        return Err(Flaw::List.into());
    }
    let newest = connection.query_row("SELECT coalesce(max(number), 0) FROM deltas", (), |row| row.get(0))?;
    list.last = list.last.max(newest);
    Ok(list)
}

/// The sum of what the index says, which does not depend on the order; an error if it is out of order.
fn read_index(connection: &Connection) -> Result<u64, Fault> {
    let mut index =
        connection.prepare("SELECT id, name FROM documents INDEXED BY documents_by_name ORDER BY name")?;
    let mut rows = index.query(())?;
    let (mut indexed, mut latest) = (0_u64, Vec::new());
    while let Some(row) = rows.next()? {
        let name = row.get_ref(1)?.as_bytes().map_err(rusqlite::Error::from)?;
        if *name <= latest[..] && !latest.is_empty() {
            return Err(Flaw::List.into());
        }
        indexed = indexed.wrapping_add(xxh3_64_with_seed(name, row.get::<_, i64>(0)?.cast_unsigned()));
        latest.clear();
        latest.extend_from_slice(name);
    }
    Ok(indexed)
}
