//! Rows and their checksums, and reading a document from them.
//!
//! ```text
//!   documents: name │ last ─────────┐     │ snapshot ─────────┐
//!                                   ▼                         ▼
//!   deltas:                 number 9 ─▶ previous 7 ─▶ 4 ─▶ upto 3     snapshots: upto 3 │ parts 0, 1, …
//! ```
//!
//! The one idea: **a document's rows are a chain.** Its entry names the last delta, each delta the one before it, and
//! the first after a snapshot names the last one in that. So a row that is missing is noticed as surely as one that is
//! altered, and appending to a thousand documents touches the end of one table, not a thousand places in an index.

use crate::store::{Flaw, Saved};
use rusqlite::{Connection, OptionalExtension};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A document's entry in the list, but for its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) id: i64,
    /// The number of the last delta.
    pub(super) last: i64,
    /// The number of the last delta in the snapshot; 0 without one.
    pub(super) snapshot: i64,
}

/// Why rows could not be read or written.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Flaw(Flaw),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Fault::Flaw(Flaw::Structure(error.to_string()))
            }
            _ => Fault::Sql(error),
        }
    }
}

impl From<Flaw> for Fault {
    fn from(flaw: Flaw) -> Self {
        Fault::Flaw(flaw)
    }
}

/// The checksum of bytes in their place: bytes that turn up in another place do not match.
fn sum(place: &[i64], bytes: &[u8]) -> i64 {
    let mut buffer = [0; 32];
    for (into, number) in buffer.chunks_exact_mut(8).zip(place) {
        into.copy_from_slice(&number.to_le_bytes());
    }
    xxh3_64_with_seed(bytes, xxh3_64(&buffer)).cast_signed()
}

pub(super) fn sum_of_head(name: &str, head: Head) -> i64 {
    sum(&[head.last, head.snapshot], name.as_bytes())
}

pub(super) fn sum_of_delta(number: i64, document: i64, previous: i64, bytes: &[u8]) -> i64 {
    sum(&[number, document, previous], bytes)
}

pub(super) fn sum_of_part(document: i64, upto: i64, part: i64, parts: i64, bytes: &[u8]) -> i64 {
    sum(&[document, upto, part, parts], bytes)
}

pub(super) fn sum_of_claim(replica: i64, subject: &str) -> i64 {
    sum(&[replica], subject.as_bytes())
}

/// A document's entry, if there is such a document.
pub(super) fn head(connection: &Connection, name: &str) -> Result<Option<Head>, Fault> {
    let found = connection
        .prepare_cached("SELECT id, last, snapshot, sum FROM documents WHERE name = ?1")?
        .query_row([name], |row| {
            let head = Head { id: row.get(0)?, last: row.get(1)?, snapshot: row.get(2)? };
            Ok((head, row.get::<_, i64>(3)?))
        })
        .optional()?;
    match found {
        Some((head, sum)) if sum == sum_of_head(name, head) => Ok(Some(head)),
        Some(_) => Err(Flaw::Entry { document: name.to_owned() }.into()),
        None => Ok(None),
    }
}

/// What is kept of a document.
pub(super) fn load(connection: &Connection, name: &str) -> Result<Saved, Fault> {
    let Some(head) = head(connection, name)? else { return Ok(Saved::default()) };
    let snapshot = match head.snapshot {
        0 => None,
        upto => Some((upto.cast_unsigned(), snapshot(connection, name, head)?)),
    };
    Ok(Saved { snapshot, deltas: tail(connection, name, head)? })
}

fn snapshot(connection: &Connection, name: &str, head: Head) -> Result<Vec<u8>, Fault> {
    let upto = head.snapshot;
    let flaw = || Flaw::Snapshot { document: name.to_owned(), upto: upto.cast_unsigned() };
    let mut statement = connection.prepare_cached(
        "SELECT part, parts, sum, bytes FROM snapshots WHERE document = ?1 AND upto = ?2 ORDER BY part",
    )?;
    let mut rows = statement.query([head.id, upto])?;
    let (mut state, mut read, mut parts) = (Vec::new(), 0_i64, 1_i64);
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        parts = row.get(1)?;
        if row.get::<_, i64>(0)? != read
            || row.get::<_, i64>(2)? != sum_of_part(head.id, upto, read, parts, bytes)
        {
            return Err(flaw().into());
        }
        state.extend_from_slice(bytes);
        read += 1;
    }
    if read == parts { Ok(state) } else { Err(flaw().into()) }
}

/// The deltas after the snapshot, found from the last one backwards.
fn tail(connection: &Connection, name: &str, head: Head) -> Result<Vec<(u64, Vec<u8>)>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT document, previous, sum, bytes FROM deltas WHERE number = ?1")?;
    let (mut deltas, mut number) = (Vec::new(), head.last);
    while number > head.snapshot {
        let flaw = || Flaw::Delta { document: name.to_owned(), number: number.cast_unsigned() };
        let found = statement
            .query_row([number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let (document, previous, sum, bytes): (i64, i64, i64, Vec<u8>) = found.ok_or_else(flaw)?;
        let sound = document == head.id
            && (head.snapshot..number).contains(&previous)
            && sum == sum_of_delta(number, document, previous, &bytes);
        if !sound {
            return Err(flaw().into());
        }
        deltas.push((number.cast_unsigned(), bytes));
        number = previous;
    }
    deltas.reverse();
    Ok(deltas)
}

/// Up to `limit` numbers of a document's deltas, from `number` backwards, and where to go on.
pub(super) fn numbers_back(
    connection: &Connection,
    document: i64,
    number: i64,
    limit: usize,
) -> Result<(Vec<i64>, Option<i64>), Fault> {
    let mut statement =
        connection.prepare_cached("SELECT previous FROM deltas WHERE number = ?1 AND document = ?2")?;
    let (mut numbers, mut from) = (Vec::new(), Some(number));
    while numbers.len() < limit
        && let Some(number) = from
    {
        let previous: Option<i64> = statement.query_row([number, document], |row| row.get(0)).optional()?;
        numbers.extend(previous.map(|_| number));
        from = previous.filter(|previous| *previous < number);
    }
    Ok((numbers, from))
}

/// Whose a replica is, if it is somebody's.
pub(super) fn owner(connection: &Connection, replica: i64) -> Result<Option<String>, Fault> {
    let found = connection
        .prepare_cached("SELECT subject, sum FROM claims WHERE replica = ?1")?
        .query_row([replica], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    match found {
        Some((subject, sum)) if sum == sum_of_claim(replica, &subject) => Ok(Some(subject)),
        Some(_) => Err(Flaw::Claim { replica: replica.cast_unsigned() }.into()),
        None => Ok(None),
    }
}

/// Names of documents after `after`, in order.
pub(super) fn names(connection: &Connection, after: &str, limit: usize) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT name FROM documents WHERE name > ?1 ORDER BY name LIMIT ?2")?
        .query_map((after, i64::try_from(limit).unwrap_or(i64::MAX)), |row| row.get(0))?
        .collect()
}
