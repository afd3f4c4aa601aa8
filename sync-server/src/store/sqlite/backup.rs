//! Copies of a store: taken while a server writes to it, checked before they count, and put back.
//!
//! A copy that is not whole never has the name of one: it is written under another, synced, checked, and renamed.

use super::check::{Report, check_file};
use super::{check_log, file_in, lock, lock_if_free, open_for_reading, sync_entry};
use crate::store::StoreError;
use rusqlite::Connection;
use rusqlite::backup::Backup;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Writes all that the store in `folder` has at this moment into the one file `out`, whether or not a server runs on it;
/// an earlier file of that name is replaced once the new one is checked. What it found.
///
/// # Errors
/// If there is no store, the copy cannot be written, or there is damage in it; then there is no new `out`.
pub fn backup(folder: &Path, out: &Path) -> Result<Report, StoreError> {
    backup_checked_by(sound, folder, out)
}

/// A [`backup`] that is checked so, when the store has been left alone.
pub(super) fn backup_checked_by(
    check: impl FnOnce(&Path) -> Result<Report, StoreError>,
    folder: &Path,
    out: &Path,
) -> Result<Report, StoreError> {
    let file = file_in(folder);
    if out.canonicalize().is_ok_and(|out| file.canonicalize().is_ok_and(|file| file == out)) {
        return Err(copy_error(out, std::io::Error::other("that is the store itself; choose another file")));
    }
    // If nobody writes to it. Whoever does has looked at the log when it started.
    if let Some(_lock) = lock_if_free(folder) {
        check_log(folder)?;
    }
    let partial = partial_of(out);
    remove(&partial)?;
    settle(write(&file, &partial).and_then(|()| check(&partial)), &partial, out)
}

/// Makes a store of the backup `from` in `folder`, which must be empty or not exist. What it found.
///
/// # Errors
/// If the backup is damaged, the folder has something in it, or a server runs on it; then nothing is changed.
pub fn restore(from: &Path, folder: &Path) -> Result<Report, StoreError> {
    sound(from)?;
    let mut log = from.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        let why = "it has a write-ahead log beside it, so it is a store and no backup; make one with `watersmeet store backup`";
        return Err(copy_error(from, std::io::Error::other(why)));
    }
    let _lock = lock(folder)?;
    let folder_error = |source| StoreError::Folder { folder: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(folder_error)? {
        if entry.map_err(folder_error)?.file_name() != "lock" {
            return Err(StoreError::NotEmpty { folder: folder.to_owned() });
        }
    }
    let (file, partial) = (file_in(folder), partial_of(&file_in(folder)));
    let copied = std::fs::copy(from, &partial).map_err(|source| copy_error(&partial, source));
    settle(copied.and_then(|_| sound(&partial)), &partial, &file)
}

/// Copies a database, which is left alone as soon as that is done: the copy is checked while others use it.
fn write(file: &Path, partial: &Path) -> Result<(), StoreError> {
    let source = open_for_reading(file)?;
    copy(&source, partial).map_err(StoreError::Write)
}

/// Copies in one step, and so in one transaction of the source: what is written meanwhile is not in it.
fn copy(source: &Connection, partial: &Path) -> rusqlite::Result<()> {
    let mut copy = Connection::open(partial)?;
    Backup::new(source, &mut copy)?.run_to_completion(i32::MAX, Duration::ZERO, None)?;
    // One file, that can be read where nothing can be written.
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    copy.close().map_err(|(_, error)| error)
}

/// What is in a file, if nothing in it is damaged.
pub(super) fn sound(file: &Path) -> Result<Report, StoreError> {
    let report = check_file(file)?;
    match report.flaws.first() {
        None => Ok(report),
        Some(flaw) => Err(StoreError::Damaged { file: file.to_owned(), flaw: flaw.clone() }),
    }
}

/// Gives a copy that is whole its name, durably, and removes one that is not.
fn settle(written: Result<Report, StoreError>, partial: &Path, name: &Path) -> Result<Report, StoreError> {
    let report = match written {
        Ok(report) => report,
        Err(error) => {
            // It says nothing that the error does not, and has no name that anybody looks for.
            let _ = std::fs::remove_file(partial);
            return Err(error);
        }
    };
    let rename = || {
        File::open(partial)?.sync_all()?;
        std::fs::rename(partial, name)?;
        sync_entry(name)
    };
    rename().map_err(|source| copy_error(name, source))?;
    Ok(report)
}

fn partial_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn remove(partial: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(partial) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(copy_error(partial, source)),
        _ => Ok(()),
    }
}

fn copy_error(file: &Path, source: std::io::Error) -> StoreError {
    StoreError::Copy { file: file.to_owned(), source }
}
