//! Where a build keeps its files until they are finished: a folder beside the output.
//!
//! One idea: the folder has a name of its own and a lock that ends with its process, so that what a killed build left
//! behind is known for what it is, and the next build of the same output takes it away.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::BuildError;

const LOCK: &str = "lock";

/// A folder for the files of one build. It goes when the build ends.
#[derive(Debug)]
pub(super) struct Workplace {
    folder: PathBuf,
    _lock: File,
}

impl Workplace {
    /// The folder for what is going to be `out`: its name with `.building` behind.
    pub(super) fn new(out: &Path) -> Result<Self, BuildError> {
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(".building");
        let folder = out.with_file_name(name);
        let failed = |error| BuildError::Write { path: folder.clone(), error };
        fs::create_dir_all(&folder).map_err(failed)?;
        let lock = File::create(folder.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BuildError::Busy(folder)),
            // Where there are no locks, nobody else is noticed.
            Err(TryLockError::Error(_)) => {}
        }
        clear(&folder).map_err(failed)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where a file of this name is while it is being written.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Waits until all of a finished file is on disk.
    pub(super) fn sync(&self, name: &str) -> Result<(), BuildError> {
        let path = self.path(name);
        let synced = File::open(&path).and_then(|file| file.sync_all());
        synced.map_err(|error| BuildError::Write { path, error })
    }

    /// Gives a finished file, which is [on disk](Self::sync), its final name.
    pub(super) fn publish(&self, name: &str, to: &Path) -> Result<(), BuildError> {
        fs::rename(self.path(name), to).map_err(|error| BuildError::Write { path: to.to_owned(), error })
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next build.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes what a build left behind that was killed.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != LOCK {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
