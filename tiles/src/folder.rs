//! A folder of archives that is watched: what changes there is served without a restart.
//!
//! One idea: a look compares what the files are now (length, time, number) with what they were when they were opened,
//! and a set changes only when its new files are whole: what cannot be opened is told and looked at again, and what was
//! served goes on. A file that is being copied is left alone until two looks find it the same. Not here: when to look.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::build::cells_path;
use crate::faults::Faults;
use crate::hot::{Hot, hot_path};
use crate::set::TileSet;
use crate::sets::{Sets, SetsError, archives_in, check_name};
use crate::warm::warm_path;

/// A folder of tile sets that is looked at again and again: what has changed in it is served without a restart. Clones are the
/// same folder.
#[derive(Clone)]
pub struct Folder(Arc<Shared>);

struct Shared {
    path: PathBuf,
    sets: Sets,
    /// Held while files are read.
    looked: Mutex<BTreeMap<String, Look>>,
    /// Why what lies there is not served, by set. Held for no longer than it takes to read it.
    faults: Faults,
}

/// A set's files as they were found.
struct Look {
    archive: PathBuf,
    /// When they were opened; whether that worked or not.
    opened: Marks,
    /// At the look before.
    seen: Marks,
}

/// What tells a file from another one under its name: of the archive, and of what lies beside it.
type Marks = [Option<Mark>; FILES];

/// Its length, when it was changed, and its number in the file system.
type Mark = (u64, Option<SystemTime>, u64);

/// The archive, its cells, and its warm tiles.
const FILES: usize = 3;

fn marks(archive: &Path) -> Marks {
    [archive.to_owned(), cells_path(archive), warm_path(archive)].map(|path| {
        let of = fs::metadata(path).ok()?;
        Some((of.len(), of.modified().ok(), number(&of)))
    })
}

#[cfg(unix)]
fn number(of: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(of)
}

#[cfg(not(unix))]
fn number(_: &fs::Metadata) -> u64 {
    0
}

impl Folder {
    /// Opens all archives in a folder, each named like its file without the ending; of each set, so many old versions
    /// will be kept. An archive that cannot be served is one of the [`faults`](Self::faults), and the others are served.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(path: &Path, old_kept: usize) -> Result<Self, SetsError> {
        let found = archives_in(path)?;
        let (path, sets) = (path.to_owned(), Sets::keeping(old_kept));
        let (looked, faults) = (Mutex::default(), Faults::default());
        let folder = Self(Arc::new(Shared { path, sets, looked, faults }));
        let mut looked = BTreeMap::new();
        for (name, archive) in found {
            match archive {
                Ok(archive) => {
                    let now = marks(&archive);
                    folder.renew(&name, &archive);
                    looked.insert(name, Look { archive, opened: now, seen: now });
                }
                Err(error) => folder.tell(&name, &error),
            }
        }
        *folder.looked() = looked;
        Ok(folder)
    }

    /// The sets that lie there.
    #[must_use]
    pub fn sets(&self) -> &Sets {
        &self.0.sets
    }

    /// Serves what has changed since the last look, and says so in the log. Reads files: not to be called from an async
    /// task.
    pub fn look(&self) {
        let mut looked = self.looked();
        let found = match archives_in(&self.0.path) {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(folder = %self.0.path.display(), %error, "the tiles' folder cannot be looked at");
                return;
            }
        };
        looked.retain(|name, look| self.is_still_there(name, look, found.contains_key(name)));
        self.0.faults.retain(|name| looked.contains_key(name) || found.contains_key(name));
        for (name, archive) in found {
            let archive = match archive {
                Ok(archive) => archive,
                Err(error) => {
                    // The one that is left is opened anew, which takes the fault away.
                    if let Some(look) = looked.get_mut(&name) {
                        look.opened = [None; FILES];
                    }
                    self.tell(&name, &error);
                    continue;
                }
            };
            let now = marks(&archive);
            let look = looked.entry(name.clone()).or_insert_with(|| Look {
                archive: archive.clone(),
                opened: [None; FILES],
                seen: [None; FILES],
            });
            let (settled, changed) = (look.seen == now, look.opened != now || look.archive != archive);
            look.seen = now;
            if changed && settled {
                (look.opened, look.archive) = (now, archive);
                self.renew(&name, &look.archive);
            }
        }
    }

    /// A set whose archive is not there at two looks is not served any more.
    fn is_still_there(&self, name: &str, look: &mut Look, is_found: bool) -> bool {
        if is_found || look.seen[0].is_some() {
            // Between the removal of one file and the arrival of the next.
            if !is_found {
                look.seen = [None; FILES];
            }
            return true;
        }
        if !self.0.sets.is_claimed(name) {
            self.0.sets.remove(name);
        }
        tracing::info!(set = name, "the archive is gone; the set is not served any more");
        false
    }

    fn renew(&self, name: &str, archive: &Path) {
        let is_free = || match self.0.sets.is_claimed(name) {
            true => Err(SetsError::Twice(name.to_owned())),
            false => Ok(()),
        };
        match check_name(name).and_then(|()| is_free()).and_then(|()| open_as(&self.0.sets, name, archive)) {
            Ok(version) => {
                tracing::info!(set = name, version, "a new version of the set is served");
                self.0.faults.forget(name);
            }
            Err(error) => self.tell(name, &error),
        }
    }

    fn tell(&self, name: &str, error: &SetsError) {
        self.0.faults.tell(name, error, "the set's files cannot be served; what was served goes on");
    }

    fn looked(&self) -> MutexGuard<'_, BTreeMap<String, Look>> {
        self.0.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What lies there and cannot be served, and why.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.0.faults.list()
    }

    /// Writes down which tiles are hot, beside each archive, for `watersmeet tiles warm`.
    pub fn save_hot(&self) {
        let looked = self.looked();
        let archives: Vec<_> =
            looked.iter().map(|(name, look)| (name.clone(), look.archive.clone())).collect();
        drop(looked);
        for (name, archive) in archives {
            let Some(hot) = self.0.sets.hot(&name) else { continue };
            let path = hot_path(&archive);
            if let Err(error) = hot.save(&path) {
                tracing::warn!(file = %path.display(), %error, "which tiles are hot cannot be written down");
            }
        }
    }
}

/// Opens an archive as the current version of a set; its version.
fn open_as(sets: &Sets, name: &str, archive: &Path) -> Result<String, SetsError> {
    let set = TileSet::open(archive)?;
    let version = set.version().to_owned();
    sets.put(name, set, || {
        let path = hot_path(archive);
        Hot::load(&path).unwrap_or_else(|error| {
            tracing::warn!(file = %path.display(), %error, "which tiles were hot cannot be read");
            Hot::default()
        })
    });
    Ok(version)
}
