//! How a set is opened: which files belong to it, whether they belong together, and what names their bytes.
//!
//! One idea: a set is a few files beside each other, wherever they lie, so all it takes to open one is something that gives
//! a reader for each. Every file is opened once: what names it is what is served. Not here: when to open it again.

#[cfg(feature = "mbtiles")]
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

use crate::archive::{Archive, ArchiveError};
use crate::build::cells_path;
use crate::cells;
use crate::content::Content;
use crate::dynamic::Dynamic;
#[cfg(feature = "mbtiles")]
use crate::mbtiles::{MbTiles, MbTilesError};
use crate::metadata::{OURS, Ours, version};
use crate::options::OptionsError;
#[cfg(feature = "object-store")]
use crate::reader::Absent;
use crate::reader::{ByteReader, FileReader};
use crate::set::{Facts, Stored, TileSet};
use crate::warm::open_warm;

/// Why a set cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is not an archive, or a broken one.
    #[error("{}: {error}", path.display())]
    Archive {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: ArchiveError,
    },
    /// A file is not an `MBTiles` file, or a broken one.
    #[cfg(feature = "mbtiles")]
    #[error("{}: {error}", path.display())]
    MbTiles {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: MbTilesError,
    },
    /// The archive holds something else than tiles that browsers show.
    #[error("{}: the archive holds neither vector tiles nor PNG, JPEG, WebP or AVIF images", .0.display())]
    NoTiles(PathBuf),
    /// The archive was built to be continued by cells, and there are none.
    #[error("{}: the set's cells are missing; keep both files together, or build the set again", .0.display())]
    CellsMissing(PathBuf),
    /// Archive and cells come from different builds.
    #[error("{}: these cells belong to another build of the archive; build the set again", .0.display())]
    CellsOfAnother(PathBuf),
    /// Another version of this program built the cells, and lays them out differently.
    #[error(
        "{}: these cells are of revision {revision}, and only revision {} is read; build the set again",
        path.display(),
        cells::REVISION
    )]
    CellsOfAnotherRevision {
        /// Which file.
        path: PathBuf,
        /// What it says.
        revision: u8,
    },
    /// Our part of the metadata is broken.
    #[error("{}: the archive's metadata is broken: {error}", path.display())]
    Metadata {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The options in the metadata contradict each other.
    #[error("{}: {error}", path.display())]
    Options {
        /// Which file.
        path: PathBuf,
        /// What is wrong with them.
        error: OptionsError,
    },
}

impl OpenError {
    /// What has to be fetched first; `None` when something else is wrong.
    #[cfg(feature = "object-store")]
    pub(crate) fn absent(&self) -> Option<Absent> {
        match self {
            Self::Io { error, .. } => Absent::of(error),
            Self::Archive { error, .. } => error.absent(),
            _ => None,
        }
    }
}

impl TileSet {
    /// Opens an archive and, if it was built to be continued, the cells beside it. Archives of others are fine, too:
    /// they go as deep as they go. With the feature `mbtiles`, a file `NAME.mbtiles` is opened as one.
    ///
    /// # Errors
    /// When a file is missing or broken, or the two do not belong together.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        #[cfg(feature = "mbtiles")]
        if path.extension().is_some_and(|ending| ending == "mbtiles") {
            return Self::open_mbtiles(path);
        }
        let set = Self::open_by(path, &|path| Ok(Arc::new(FileReader::open(path)?)))?;
        Ok(set.with_warm(path))
    }

    /// Opens an archive and its cells by readers, wherever they lie.
    pub(crate) fn open_by(
        path: &Path,
        open: &dyn Fn(&Path) -> io::Result<Arc<dyn ByteReader>>,
    ) -> Result<Self, OpenError> {
        let archive = open_archive(path, open)?;
        let header = archive.header();
        let content = Content::of_kind(header.kind).ok_or_else(|| OpenError::NoTiles(path.to_owned()))?;
        let metadata =
            archive.metadata().map_err(|error| OpenError::Archive { path: path.to_owned(), error })?;
        let ours = ours(path, &metadata)?;
        let version = match &ours {
            Some(ours) => version(&ours.content, &archive),
            None => fingerprint(path, archive.reader())?,
        };
        let mut facts = Facts {
            content,
            min_zoom: header.min_zoom,
            max_zoom: header.max_zoom,
            bounds: header.bounds,
            center: header.center,
            center_zoom: header.center_zoom,
            metadata,
        };
        let dynamic = match ours {
            Some(ours) if ours.render.max_zoom > ours.archive_zoom => Some(open_cells(path, ours, open)?),
            _ => None,
        };
        if let Some(dynamic) = &dynamic {
            facts.max_zoom = dynamic.max_zoom();
        }
        Self::new(Stored::Archive(Box::new(archive)), dynamic, facts, version)
            .map_err(|absent| OpenError::Io { path: path.to_owned(), error: absent.into() })
    }

    #[cfg(feature = "mbtiles")]
    fn open_mbtiles(path: &Path) -> Result<Self, OpenError> {
        let failed = |error: io::Error| OpenError::Io { path: path.to_owned(), error };
        // SQLite opens it by its name, so the file that has the name must be this one before and after.
        let file = fs::File::open(path).map_err(failed)?;
        let (mbtiles, said) =
            MbTiles::open(path).map_err(|error| OpenError::MbTiles { path: path.to_owned(), error })?;
        if !is_named(&file, path).map_err(failed)? {
            return Err(failed(io::Error::other("it was replaced while it was opened")));
        }
        let facts = Facts {
            content: said.content,
            min_zoom: said.zooms[0],
            max_zoom: said.zooms[1],
            bounds: said.bounds,
            center: said.center,
            center_zoom: said.center_zoom,
            metadata: said.metadata,
        };
        let version = fingerprint(path, &FileReader::of(file).map_err(failed)?)?;
        let set = Self::new(Stored::MbTiles(mbtiles), None, facts, version);
        Ok(set.map_err(|absent| failed(absent.into()))?.with_warm(path))
    }

    fn with_warm(mut self, path: &Path) -> Self {
        self.warm = open_warm(path, self.version());
        self
    }
}

/// Whether an open file is the one that has the name.
#[cfg(all(feature = "mbtiles", unix))]
fn is_named(file: &fs::File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (open, named) = (file.metadata()?, fs::metadata(path)?);
    Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
}

/// A file that is open cannot be replaced.
#[cfg(all(feature = "mbtiles", not(unix)))]
fn is_named(_: &fs::File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

fn open_archive(
    path: &Path,
    open: &dyn Fn(&Path) -> io::Result<Arc<dyn ByteReader>>,
) -> Result<Archive<Arc<dyn ByteReader>>, OpenError> {
    let reader = open(path).map_err(|error| OpenError::Io { path: path.to_owned(), error })?;
    Archive::open(reader).map_err(|error| OpenError::Archive { path: path.to_owned(), error })
}

fn open_cells(
    path: &Path,
    ours: Ours,
    open: &dyn Fn(&Path) -> io::Result<Arc<dyn ByteReader>>,
) -> Result<Dynamic<Arc<dyn ByteReader>>, OpenError> {
    let beside = cells_path(path);
    let archive = match open_archive(&beside, open) {
        Err(OpenError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::CellsMissing(beside));
        }
        opened => opened?,
    };
    let metadata = archive.metadata().map_err(|error| OpenError::Archive { path: beside.clone(), error })?;
    if self::ours(&beside, &metadata)?.is_none_or(|theirs| theirs != ours) {
        return Err(OpenError::CellsOfAnother(beside));
    }
    if ours.cells != cells::REVISION {
        return Err(OpenError::CellsOfAnotherRevision { path: beside, revision: ours.cells });
    }
    Ok(Dynamic::new(archive, ours.archive_zoom, ours.render))
}

/// What we wrote into the metadata; `None` in archives of others.
fn ours(path: &Path, metadata: &Value) -> Result<Option<Ours>, OpenError> {
    let Some(ours) = metadata.get(OURS) else { return Ok(None) };
    let ours: Ours = serde_json::from_value(ours.clone())
        .map_err(|error| OpenError::Metadata { path: path.to_owned(), error })?;
    ours.render.check().map_err(|error| OpenError::Options { path: path.to_owned(), error })?;
    Ok(Some(ours))
}

/// Files up to this size are read whole to name them.
const READ_WHOLE_MAX: u64 = 64 << 20;

/// Of larger ones, their ends and so many pieces in between are read.
const PIECES: u64 = 256;

/// In bytes.
const PIECE: usize = 16 << 10;

/// What names an archive that does not name its content itself: its length and its bytes. Of a large file, which takes
/// minutes to read, only some are, always the same ones: a header, which has the length of every part, the directory
/// behind it, and pieces all over the file. Another build of a map differs in those; a file that is changed in place, in
/// a few bytes and with its length kept, may not, and is not to be served under the same name. What has a name for its
/// bytes where it lies is named by that, and by its beginning.
fn fingerprint(path: &Path, reader: &dyn ByteReader) -> Result<String, OpenError> {
    let named = || -> io::Result<u64> {
        let length = reader.length()?;
        let mut hasher = Xxh3::new();
        hasher.update(&length.to_le_bytes());
        let step = match reader.etag() {
            Some(etag) => {
                hasher.update(etag.as_bytes());
                length
            }
            None if length <= READ_WHOLE_MAX => PIECE as u64,
            None => length / PIECES,
        };
        let mut position = 0;
        while position < length {
            let piece = usize::try_from(length - position).unwrap_or(PIECE).min(PIECE);
            hasher.update(&reader.read_at(position, piece)?);
            position += step;
        }
        if length > READ_WHOLE_MAX && reader.etag().is_none() {
            hasher.update(&reader.read_at(length - PIECE as u64, PIECE)?);
        }
        Ok(hasher.digest())
    };
    match named() {
        Ok(hash) => Ok(format!("{hash:016x}")),
        Err(error) => Err(OpenError::Io { path: path.to_owned(), error }),
    }
}
