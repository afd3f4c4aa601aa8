//! The sets that a server serves, each with its current version and the last ones before it.
//!
//! One idea: a set is replaced by putting another one in its place; requests that are under way keep the one they
//! have. A file that was opened stays readable when a new one takes its name, so an old version needs no copy. Not
//! here: watching files for changes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use thiserror::Error;

use crate::hot::Hot;
use crate::open::OpenError;
use crate::set::{TileSet, version_number};

/// How many versions of a set are kept beside the current one unless told otherwise.
pub const OLD_VERSIONS_KEPT: usize = 2;

/// How long the name of a set may be, in bytes.
pub const NAME_BYTES_MAX: usize = 100;

/// Paths below `/tiles/` that are no sets.
const RESERVED: [&str; 2] = ["fonts", "assets"];

/// Why a set cannot be added.
#[derive(Debug, Error)]
pub enum SetsError {
    /// The archive or its cells cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The name does not fit a URL as it stands.
    #[error("{0:?} cannot be a set's name: use up to {NAME_BYTES_MAX} letters, digits, '-', '_' and '.'")]
    Name(String),
    /// The name is that of something else.
    #[error("{0:?} cannot be a set's name: /tiles/{0}/ is something else; rename the file")]
    Reserved(String),
    /// Two archives have the same name, but for the ending or where they lie.
    #[error("there are two archives of the name {0:?}; rename one of them")]
    Twice(String),
    /// The folder cannot be read.
    #[error("the folder cannot be read: {0}")]
    Folder(#[from] io::Error),
}

/// The sets by name. Clones share the same sets.
#[derive(Clone)]
pub struct Sets(Arc<Shared>);

struct Shared {
    sets: RwLock<BTreeMap<Arc<str>, Versions>>,
    /// Names of sets that lie elsewhere than in the folder, whatever is put into it.
    claimed: RwLock<BTreeSet<String>>,
    old_kept: usize,
}

/// A set's versions, the current one first.
struct Versions(Vec<Arc<Served>>);

/// A version of a set as it is served.
pub(crate) struct Served {
    pub(crate) name: Arc<str>,
    pub(crate) set: Arc<TileSet>,
    /// Counts go on from version to version: what is hot is a place, not its bytes.
    pub(crate) hot: Arc<Hot>,
}

/// What a version of a set turns out to be.
pub(crate) enum Found {
    /// This version is kept.
    Kept(Arc<Served>),
    /// This one is not, but the set has this current one.
    Gone(Arc<TileSet>),
    /// What was given is not the name of any version.
    NoVersion,
    /// There is no such set.
    NoSet,
}

impl Default for Sets {
    fn default() -> Self {
        Self::new()
    }
}

impl Sets {
    /// No sets yet.
    #[must_use]
    pub fn new() -> Self {
        Self::keeping(OLD_VERSIONS_KEPT)
    }

    /// No sets yet; of each, so many versions will be kept beside the current one.
    #[must_use]
    pub fn keeping(old_kept: usize) -> Self {
        Self(Arc::new(Shared { sets: RwLock::default(), claimed: RwLock::default(), old_kept }))
    }

    /// All archives in a folder, each named like its file without the ending.
    ///
    /// # Errors
    /// When the folder or one of the archives cannot be opened.
    pub fn open_dir(folder: &Path) -> Result<Self, SetsError> {
        let sets = Self::new();
        for (name, path) in archives_in(folder)? {
            sets.add(&name, &path?)?;
        }
        Ok(sets)
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Arc<str>, Versions>> {
        self.0.sets.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Arc<str>, Versions>> {
        self.0.sets.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens an archive and serves it under a name from now on, in place of what had the name.
    ///
    /// # Errors
    /// When the archive cannot be opened, or the name is not fit for a URL.
    pub fn add(&self, name: &str, path: &Path) -> Result<(), SetsError> {
        check_name(name)?;
        self.put(name, TileSet::open(path)?, Hot::default);
        Ok(())
    }

    /// Makes an open set the current version of its name. The version before it is kept for a while, so that pages that
    /// are open find the tiles they know. `counts` are those to begin with when the name is not known yet.
    pub(crate) fn put(&self, name: &str, set: TileSet, counts: impl FnOnce() -> Hot) {
        let mut sets = self.write();
        let name: Arc<str> = name.into();
        let versions = &mut sets.entry(Arc::clone(&name)).or_insert_with(|| Versions(Vec::new())).0;
        let hot = versions.first().map_or_else(|| Arc::new(counts()), |current| Arc::clone(&current.hot));
        versions.retain(|old| old.set.version() != set.version());
        versions.insert(0, Arc::new(Served { name, set: Arc::new(set), hot }));
        versions.truncate(1 + self.0.old_kept);
    }

    /// Keeps a name for a set that does not lie in the folder; whether it was free.
    #[cfg(feature = "object-store")]
    pub(crate) fn claim(&self, name: &str) -> bool {
        self.current(name).is_none()
            && self.0.claimed.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned())
    }

    pub(crate) fn is_claimed(&self, name: &str) -> bool {
        self.0.claimed.read().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// Stops serving a set; whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        self.write().remove(name).is_some()
    }

    /// The current version of a set.
    #[must_use]
    pub fn current(&self, name: &str) -> Option<Arc<TileSet>> {
        Some(Arc::clone(&self.served(name)?.set))
    }

    /// How often a set's tiles were asked for.
    #[must_use]
    pub fn hot(&self, name: &str) -> Option<Arc<Hot>> {
        Some(Arc::clone(&self.served(name)?.hot))
    }

    fn served(&self, name: &str) -> Option<Arc<Served>> {
        self.read().get(name).and_then(|versions| versions.0.first().cloned())
    }

    /// The names of all sets, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.read().keys().map(ToString::to_string).collect()
    }

    pub(crate) fn find(&self, name: &str, version: &str) -> Found {
        let sets = self.read();
        let Some(Versions(versions)) = sets.get(name) else { return Found::NoSet };
        let Some(version) = version_number(version) else { return Found::NoVersion };
        match (versions.iter().find(|kept| kept.set.version_number() == version), versions.first()) {
            (Some(kept), _) => Found::Kept(Arc::clone(kept)),
            (None, Some(current)) => Found::Gone(Arc::clone(&current.set)),
            (None, None) => Found::NoSet,
        }
    }
}

/// Every archive in a folder by its set's name; an error for each name that two of them have.
pub(crate) fn archives_in(folder: &Path) -> io::Result<BTreeMap<String, Result<PathBuf, SetsError>>> {
    let mut archives: BTreeMap<_, Result<PathBuf, SetsError>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_archive = path
            .extension()
            .is_some_and(|ending| ending == "pmtiles" || (cfg!(feature = "mbtiles") && ending == "mbtiles"));
        if is_archive {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let twice = || SetsError::Twice(name.clone());
            let archive = if archives.contains_key(&name) { Err(twice()) } else { Ok(path) };
            archives.insert(name, archive);
        }
    }
    Ok(archives)
}

pub(crate) fn check_name(name: &str) -> Result<(), SetsError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.starts_with('.') || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
        return Err(SetsError::Name(name.to_owned()));
    }
    if RESERVED.contains(&name) {
        return Err(SetsError::Reserved(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_to_fit_a_url() {
        for name in ["base", "base-map_2.1"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "..", "a/b", "a b", "ä", "fonts", &"x".repeat(101)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
