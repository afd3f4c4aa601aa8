//! Whether all that is in a database is as it was written, and makes documents.
//!
//! It reads everything in one transaction, so it may run beside a server.

use super::rows::{self, Fault, sum_of_claim};
use super::schema::{SCHEMA, read_list};
use super::{check_log, file_in, lock, open_for_reading};
use crate::replay::replay;
use crate::store::{Flaw, Saved, StoreError};
use rusqlite::Connection;
use std::path::Path;

/// Flaws of the file's structure that are listed; where there are more, no list helps.
const STRUCTURE_FLAWS: u32 = 100;

/// What is in a store, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many documents there are.
    pub documents: u64,
    /// How many of them have a snapshot.
    pub snapshots: u64,
    /// Deltas that are in no snapshot.
    pub deltas: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Replicas that belong to somebody.
    pub claims: u64,
    /// What is damaged.
    pub flaws: Vec<Flaw>,
}

/// Reads everything in the store in `folder`, whether or not a server runs on it.
///
/// # Errors
/// If there is no store, or it cannot be read at all. Damage that can be told of is in the report.
pub fn check(folder: &Path) -> Result<Report, StoreError> {
    let mut report = check_file(&file_in(folder))?;
    // While a server writes to it, its log is looked at when it starts the next time.
    if let Ok(_lock) = lock(folder) {
        match check_log(folder) {
            Err(StoreError::Damaged { flaw, .. }) => report.flaws.push(flaw),
            checked => checked?,
        }
    }
    Ok(report)
}

/// As [`check`], of one database file, such as a backup.
pub(super) fn check_file(file: &Path) -> Result<Report, StoreError> {
    let mut connection = open_for_reading(file)?;
    let mut report = Report::default();
    let read = |connection: &mut Connection, report: &mut Report| {
        let transaction = connection.transaction()?;
        structure(&transaction, report)?;
        documents(&transaction, report)?;
        claims(&transaction, report)
    };
    match read(&mut connection, &mut report) {
        Ok(()) => {}
        Err(Fault::Flaw(flaw)) => report.flaws.push(flaw),
        Err(Fault::Sql(error)) => report.flaws.push(Flaw::Structure(error.to_string())),
    }
    Ok(report)
}

/// Refuses files of other schemas.
pub(super) fn expect_schema(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let folder = file.parent().unwrap_or(file).to_owned();
    let found: rusqlite::Result<u32> = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    match found {
        Ok(SCHEMA) => Ok(()),
        Ok(found) if found > SCHEMA => Err(StoreError::Schema { folder, found, known: SCHEMA }),
        Ok(found) => Err(StoreError::Earlier { file: file.to_owned(), found, known: SCHEMA }),
        Err(source) => Err(StoreError::Open { folder, source }),
    }
}

/// What SQLite makes of the file.
fn structure(connection: &Connection, report: &mut Report) -> Result<(), Fault> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({STRUCTURE_FLAWS})"))?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let said: String = row.get(0)?;
        if said != "ok" {
            report.flaws.push(Flaw::Structure(said));
        }
    }
    Ok(())
}

fn documents(connection: &Connection, report: &mut Report) -> Result<(), Fault> {
    match read_list(connection) {
        // Those whose entries are altered are come by again below.
        Ok(_) => {}
        Err(Fault::Flaw(flaw)) => report.flaws.push(flaw),
        Err(error) => return Err(error),
    }
    let mut statement = connection.prepare("SELECT name FROM documents NOT INDEXED")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        report.documents += 1;
        let name =
            String::from_utf8_lossy(row.get_ref(0)?.as_bytes().map_err(rusqlite::Error::from)?).into_owned();
        match rows::load(connection, &name) {
            Ok(saved) => document(&name, saved, report),
            Err(Fault::Flaw(flaw)) => report.flaws.push(flaw),
            Err(Fault::Sql(error)) => {
                report.flaws.push(Flaw::Structure(format!("the document {name:?}: {error}")));
            }
        }
    }
    Ok(())
}

/// Counts a document, and replays it.
fn document(name: &str, saved: Saved, report: &mut Report) {
    report.snapshots += u64::from(saved.snapshot.is_some());
    report.deltas += saved.deltas.len() as u64;
    let pieces = saved.snapshot.iter().chain(&saved.deltas);
    report.bytes += pieces.map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
    if saved == Saved::default() {
        // In the list, but not to be found by its name.
        report.flaws.push(Flaw::Entry { document: name.to_owned() });
    } else if let Err(error) = replay(name, saved) {
        report.flaws.push(Flaw::Replay(error.to_string()));
    }
}

fn claims(connection: &Connection, report: &mut Report) -> Result<(), Fault> {
    let mut statement = connection.prepare("SELECT replica, subject, sum FROM claims")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        report.claims += 1;
        let (replica, sum): (i64, i64) = (row.get(0)?, row.get(2)?);
        let subject = row.get_ref(1)?.as_str().unwrap_or_default();
        if sum != sum_of_claim(replica, subject) {
            report.flaws.push(Flaw::Claim { replica: replica.cast_unsigned() });
        }
    }
    Ok(())
}
