//! Sets that lie in object stores: opened by their URLs, and opened again when another version lies there.
//!
//! One idea: a look compares the objects' versions (their ETags) with those that were opened, and a set changes only when
//! archive and cells belong together: what cannot be opened is told and tried again, and what was served goes on, from what
//! of it is in memory. Not here: when to look; how an object is read (see `object.rs`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use tokio::task::JoinSet;

use crate::faults::Faults;
use crate::hot::Hot;
use crate::object::Location;
use crate::open::OpenError;
use crate::set::TileSet;
use crate::sets::{Sets, SetsError, check_name};

/// What follows from a fault, for the log.
const OUT_OF_REACH: &str = "the set cannot be read from its store; what is in memory is served";

/// Why a set in a store cannot be served.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// The URL names no archive in a store.
    #[error("{url:?} names no archive in a store: {error}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        error: std::io::Error,
    },
    /// The name is not fit for a URL, or is that of another set.
    #[error(transparent)]
    Name(#[from] SetsError),
}

/// Sets that lie in object stores and are looked at again and again: another version is served without a restart. Clones
/// are the same sets.
#[derive(Clone)]
pub struct RemoteSets(Arc<Shared>);

struct Shared {
    sets: Sets,
    places: BTreeMap<String, Location>,
    /// Why what lies there is not served, by set.
    faults: Faults,
}

impl RemoteSets {
    /// Sets by their URLs (see [`TileSet::open_url`]), each with a name or else named like its object without the ending.
    /// Nothing is asked for until the first [`look`](Self::look).
    ///
    /// # Errors
    /// When a URL names no archive in a store, or a name is not fit or taken already.
    pub fn new<'a>(
        sets: &Sets,
        urls: impl IntoIterator<Item = (Option<&'a str>, &'a str)>,
    ) -> Result<Self, RemoteError> {
        let mut places = BTreeMap::new();
        for (name, url) in urls {
            let place = Location::of(url).map_err(|error| RemoteError::Url { url: url.to_owned(), error })?;
            let stem = Path::new(url).file_stem().unwrap_or_default().to_string_lossy();
            let name = name.unwrap_or(&stem);
            check_name(name)?;
            if !sets.claim(name) {
                return Err(SetsError::Twice(name.to_owned()).into());
            }
            places.insert(name.to_owned(), place);
        }
        Ok(Self(Arc::new(Shared { sets: sets.clone(), places, faults: Faults::default() })))
    }

    /// Serves what is there in another version than at the last look, and says so in the log. All stores are looked at at
    /// once; one that does not answer is one of the [`faults`](Self::faults).
    pub async fn look(&self) {
        let mut looks = JoinSet::new();
        for name in self.0.places.keys() {
            let (remote, name) = (self.clone(), name.clone());
            looks.spawn(async move {
                if let Err(error) = remote.look_at(&name).await {
                    remote.0.faults.tell(&name, &error, OUT_OF_REACH);
                } else {
                    remote.0.faults.forget(&name);
                }
            });
        }
        while looks.join_next().await.is_some() {}
    }

    async fn look_at(&self, name: &str) -> Result<(), OpenError> {
        let Some(place) = self.0.places.get(name) else { return Ok(()) };
        let failed = |error| OpenError::Io { path: place.name(), error };
        if let Some(current) = self.0.sets.current(name) {
            let cells = place.cells();
            let (archive, cells) = tokio::join!(place.etag(), cells.etag());
            // A store may say of what is not there that it must not be seen.
            let cells = cells.or_else(|error| if is_denied(&error) { Ok(None) } else { Err(error) });
            let [opened_archive, opened_cells] = current.etags();
            let same_cells = opened_cells.is_none() || cells.map_err(failed)? == opened_cells;
            if archive.map_err(failed)? == opened_archive && same_cells {
                return Ok(());
            }
        }
        let set = TileSet::open_objects(place).await?;
        let version = set.version().to_owned();
        self.0.sets.put(name, set, Hot::default);
        tracing::info!(set = name, version, "a new version of the set is served");
        Ok(())
    }

    /// What cannot be read from its store, and why.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.0.faults.list()
    }
}

fn is_denied(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}
