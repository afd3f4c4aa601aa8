//! The sets that a server serves, each with its current version and the last ones before it.
//!
//! One idea: a set is replaced by putting another one in its place; requests that are under way keep the one they
//! have. A file that was opened stays readable when a new one takes its name, so an old version needs no copy. Not
//! here: watching files for changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

use thiserror::Error;

use crate::set::{OpenError, TileSet};

/// How many versions of a set are kept beside the current one.
pub const OLD_VERSIONS_KEPT: usize = 2;

/// How long the name of a set may be, in bytes.
pub const NAME_BYTES_MAX: usize = 100;

/// Why a set cannot be added.
#[derive(Debug, Error)]
pub enum SetsError {
    /// The archive or its cells cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The name does not fit a URL as it stands.
    #[error("{0:?} cannot be a set's name: use up to {NAME_BYTES_MAX} letters, digits, '-', '_' and '.'")]
    Name(String),
    /// The folder cannot be read.
    #[error("the folder cannot be read: {0}")]
    Folder(#[from] io::Error),
}

/// A set's versions, the current one first.
#[derive(Clone)]
struct Versions(Vec<Arc<TileSet>>);

/// The sets by name. Clones share the same sets.
#[derive(Clone, Default)]
pub struct Sets(Arc<RwLock<BTreeMap<String, Versions>>>);

/// What a version of a set turns out to be.
pub(crate) enum Found {
    /// This version is kept.
    Kept(Arc<TileSet>),
    /// This one is not, but the set has this current one.
    Gone(Arc<TileSet>),
    /// There is no such set.
    NoSet,
}

impl Sets {
    /// No sets yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All archives in a folder, each named like its file without the ending.
    ///
    /// # Errors
    /// When the folder or one of the archives cannot be opened.
    pub fn open_dir(folder: &Path) -> Result<Self, SetsError> {
        let sets = Self::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "pmtiles") {
                sets.add(&path.file_stem().unwrap_or_default().to_string_lossy(), &path)?;
            }
        }
        Ok(sets)
    }

    /// Opens an archive and serves it under a name from now on, in place of what had the name.
    ///
    /// # Errors
    /// When the archive cannot be opened, or the name is not fit for a URL.
    pub fn add(&self, name: &str, path: &Path) -> Result<(), SetsError> {
        check_name(name)?;
        self.put(name, TileSet::open(path)?);
        Ok(())
    }

    /// Makes an open set the current version of its name. The version before it is kept for a while, so that pages that
    /// are open find the tiles they know.
    fn put(&self, name: &str, set: TileSet) {
        let mut sets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let versions = &mut sets.entry(name.to_owned()).or_insert_with(|| Versions(Vec::new())).0;
        versions.retain(|old| old.version() != set.version());
        versions.insert(0, Arc::new(set));
        versions.truncate(1 + OLD_VERSIONS_KEPT);
    }

    /// Stops serving a set; whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()
    }

    /// The current version of a set.
    #[must_use]
    pub fn current(&self, name: &str) -> Option<Arc<TileSet>> {
        let sets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        sets.get(name).and_then(|versions| versions.0.first().cloned())
    }

    /// The names of all sets, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(crate) fn find(&self, name: &str, version: &str) -> Found {
        let sets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(Versions(versions)) = sets.get(name) else { return Found::NoSet };
        match (versions.iter().find(|set| set.version() == version), versions.first()) {
            (Some(kept), _) => Found::Kept(Arc::clone(kept)),
            (None, Some(current)) => Found::Gone(Arc::clone(current)),
            (None, None) => Found::NoSet,
        }
    }
}

fn check_name(name: &str) -> Result<(), SetsError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_name = !name.is_empty() && !name.starts_with('.') && name.bytes().all(fits);
    if is_name && name.len() <= NAME_BYTES_MAX { Ok(()) } else { Err(SetsError::Name(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_to_fit_a_url() {
        for name in ["base", "base-map_2.1"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "..", "a/b", "a b", "ä", &"x".repeat(101)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
