//! Whether all that is in a database is as it was written, and makes documents.
//!
//! It may run beside a server, which appends meanwhile, and when it starts or has failed needs the database for itself
//! ([`settle`](super::settle)). So it comes in short visits: each opens the database, reads some documents, every one
//! in a transaction of its own, and leaves it. What a document or an index must look like holds at every moment, so
//! nothing is lost by not looking at all of it at once.

use super::rows::{self, Fault, sum_of_claim};
use super::schema::SCHEMA;
use super::{check_log, file_in, lock_if_free, open_for_reading};
use crate::replay::replay;
use crate::store::{Flaw, Saved, StoreError};
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a visit takes, about, and how long the database is left alone between two.
const VISIT: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(10);
/// Rows that are read in one visit, where they are small.
const VISIT_ROWS: u32 = 10_000;
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

/// Reads everything in the store in `folder`, whether or not a server runs on it. If one does, pages of the file that
/// are not in use are not looked at: that cannot be done in short visits.
///
/// # Errors
/// If there is no store, or it cannot be read at all. Damage that can be told of is in the report.
pub fn check(folder: &Path) -> Result<Report, StoreError> {
    // Not held meanwhile, so that a server can be started.
    let is_alone = lock_if_free(folder).is_some();
    let structure = if is_alone { structure } else { structure_of_tables };
    let mut report = check_in_visits(&file_in(folder), structure, &mut || std::thread::sleep(PAUSE))?;
    // While a server writes to it, its log is looked at when it starts the next time.
    if let Some(_lock) = lock_if_free(folder) {
        match check_log(folder) {
            Err(StoreError::Damaged { flaw, .. }) => report.flaws.push(flaw),
            checked => checked?,
        }
    }
    Ok(report)
}

/// As [`check`], of one database file that nobody writes to, such as a backup.
pub(super) fn check_file(file: &Path) -> Result<Report, StoreError> {
    check_in_visits(file, structure, &mut || {})
}

/// Looks at one part of a store from a place on; where to go on, if there is more.
type Part = fn(&Connection, Place, &mut Report) -> Result<Option<Place>, Fault>;

/// Does `between` between two visits.
pub(super) fn check_in_visits(
    file: &Path,
    structure: Part,
    between: &mut dyn FnMut(),
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let parts: [Part; 4] = [structure, index, documents, claims];
    for part in parts {
        let mut after = Some(Place::BEGIN);
        while let Some(place) = after {
            let connection = open_for_reading(file)?;
            after = match part(&connection, place, &mut report) {
                Ok(next) => next,
                Err(fault) => {
                    report.flaws.push(match fault {
                        Fault::Flaw(flaw) => flaw,
                        Fault::Sql(error) => Flaw::Structure(error.to_string()),
                    });
                    None
                }
            };
            drop(connection);
            between();
        }
    }
    Ok(report)
}

/// Where a part of the check goes on: after this row, or this name.
pub(super) struct Place {
    row: Option<i64>,
    name: String,
}

impl Place {
    const BEGIN: Place = Place { row: None, name: String::new() };

    fn after(row: i64) -> Self {
        Place { row: Some(row), ..Self::BEGIN }
    }
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

/// What SQLite makes of the file, at once.
pub(super) fn structure(
    connection: &Connection,
    _: Place,
    report: &mut Report,
) -> Result<Option<Place>, Fault> {
    told(connection, &format!("PRAGMA integrity_check({STRUCTURE_FLAWS})"), report)?;
    Ok(None)
}

/// The same of each table with its indexes, but not of pages that are in none.
pub(super) fn structure_of_tables(
    connection: &Connection,
    after: Place,
    report: &mut Report,
) -> Result<Option<Place>, Fault> {
    let number = after.row.unwrap_or(0);
    let table = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name LIMIT 1 OFFSET ?1";
    let table: Option<String> = connection.query_row(table, [number], |row| row.get(0)).optional()?;
    let Some(table) = table else { return Ok(None) };
    told(connection, &format!("PRAGMA integrity_check('{table}')"), report)?;
    Ok(Some(Place::after(number + 1)))
}

fn told(connection: &Connection, pragma: &str, report: &mut Report) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(pragma)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let said: String = row.get(0)?;
        if said != "ok" {
            report.flaws.push(Flaw::Structure(said));
        }
    }
    Ok(())
}

/// Whether the list of documents has whatever its index has, in order. The other way round every document is looked up
/// by its name anyway.
fn index(connection: &Connection, after: Place, _: &mut Report) -> Result<Option<Place>, Fault> {
    let mut index = connection.prepare(
        "SELECT id, name FROM documents INDEXED BY documents_by_name WHERE name > ?1 ORDER BY name LIMIT ?2",
    )?;
    let mut table = connection.prepare("SELECT name FROM documents NOT INDEXED WHERE id = ?1")?;
    let mut rows = index.query((&after.name, VISIT_ROWS))?;
    let mut latest = None;
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        let listed: Option<String> = table.query_row([row.get::<_, i64>(0)?], |row| row.get(0)).optional()?;
        if listed.as_ref() != Some(&name) || latest.as_ref().is_some_and(|latest| *latest >= name) {
            return Err(Flaw::List.into());
        }
        latest = Some(name);
    }
    Ok(latest.map(|name| Place { name, ..Place::BEGIN }))
}

/// Reads documents for as long as a visit takes.
fn documents(connection: &Connection, after: Place, report: &mut Report) -> Result<Option<Place>, Fault> {
    let start = Instant::now();
    let mut listed =
        connection.prepare("SELECT id, name FROM documents NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT 1")?;
    let mut place = after.row.unwrap_or(i64::MIN);
    while start.elapsed() < VISIT {
        let next = listed.query_row([place], |row| {
            Ok((row.get(0)?, String::from_utf8_lossy(row.get_ref(1)?.as_bytes()?).into_owned()))
        });
        let Some((id, name)): Option<(i64, String)> = next.optional()? else { return Ok(None) };
        advances(id, Some(place))?;
        place = id;
        report.documents += 1;
        let loaded = connection.unchecked_transaction().map_err(Fault::from);
        match loaded.and_then(|transaction| rows::load(&transaction, &name)) {
            Ok(saved) => document(&name, saved, report),
            Err(Fault::Flaw(flaw)) => report.flaws.push(flaw),
            Err(Fault::Sql(error)) => {
                report.flaws.push(Flaw::Structure(format!("the document {name:?}: {error}")));
            }
        }
    }
    Ok(Some(Place::after(place)))
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

fn claims(connection: &Connection, after: Place, report: &mut Report) -> Result<Option<Place>, Fault> {
    let mut statement = connection
        .prepare("SELECT replica, subject, sum FROM claims WHERE replica > ?1 ORDER BY replica LIMIT ?2")?;
    let mut rows = statement.query((after.row.unwrap_or(i64::MIN), VISIT_ROWS))?;
    let mut latest = None;
    while let Some(row) = rows.next()? {
        report.claims += 1;
        let (replica, sum): (i64, i64) = (row.get(0)?, row.get(2)?);
        let subject = row.get_ref(1)?.as_str().unwrap_or_default();
        if sum != sum_of_claim(replica, subject) {
            report.flaws.push(Flaw::Claim { replica: replica.cast_unsigned() });
        }
        advances(replica, latest.or(after.row))?;
        latest = Some(replica);
    }
    Ok(latest.map(Place::after))
}

/// In a damaged file a row may be found where it is not, and a check would never end.
fn advances(row: i64, latest: Option<i64>) -> Result<(), Fault> {
    match latest {
        Some(latest) if row <= latest => {
            Err(Flaw::Structure(format!("row {row} of a table follows row {latest}")).into())
        }
        _ => Ok(()),
    }
}
