//! Moving the whole write-ahead log into the database, so that the disk is known to have everything.
//!
//! **Whoever does it has the database alone, and begins with the log's first frame.** SQLite remembers how much of the
//! log has been moved in memory that all who have the database open share, and goes on from there. But while a reader
//! keeps the log from being moved as a whole, what is moved is written and not synced; should the system fail to bring it
//! to the disk, the next sync says so once, and the one after it does not. Then what was remembered is a lie, and the
//! pages would be gone when the log begins anew. A connection that has the database for itself keeps no such memory, but
//! reads the log's file.

use rusqlite::Connection;
use rusqlite::ffi::{self, ErrorCode};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a start waits for others to leave the database alone, such as a check or a backup.
pub(super) const PATIENCE_AT_START: Duration = Duration::from_secs(30);
/// How long a server does that has it open. It tries again anyway, and meanwhile nobody can read.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is tried. A check leaves the database alone for longer than that now and then.
const PAUSE: Duration = Duration::from_millis(4);

/// Makes sure that the disk has everything that is in the database `file` and its log, which becomes empty. Nobody else
/// may have it open; for that it waits for a while.
pub(super) fn settle(file: &Path, patience: Duration) -> rusqlite::Result<()> {
    let start = Instant::now();
    let mut told = false;
    loop {
        match settle_alone(file) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                if start.elapsed() >= patience {
                    return Err(busy());
                }
                if !told && start.elapsed() >= PATIENCE {
                    told = true;
                    tracing::warn!(
                        ?file,
                        ?patience,
                        "somebody else has the database open; waiting for them to end"
                    );
                }
                std::thread::sleep(PAUSE);
            }
            settled => return settled,
        }
    }
}

fn busy() -> rusqlite::Error {
    let message = "somebody else has the database open, such as `watersmeet store check`, `watersmeet store backup` or \
                   a shell of SQLite; wait until they have ended, or end them";
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), Some(message.to_owned()))
}

fn settle_alone(file: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::ZERO)?;
    // Before the log is opened: so what is known of it is not shared, and read from its file.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    write_ahead(&connection)?;
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
    if busy {
        return Err(self::busy());
    }
    connection.close().map_err(|(_, error)| error)
}

/// Has a connection write ahead, and sync whatever it commits or moves.
pub(super) fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        let message =
            format!("the file system has no write-ahead log for SQLite, only the journal mode {mode:?}");
        let error = ffi::Error::new(ffi::SQLITE_CANTOPEN);
        return Err(rusqlite::Error::SqliteFailure(error, Some(message)));
    }
    // Sync the log at every commit: what is acknowledged survives the loss of power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On systems where a sync alone leaves it in the disk's own cache.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)
}
