//! A tile set that can be served: its archive, its cells, and the version that names its bytes.
//!
//! One idea: whoever asks for a tile need not know whether it lies in the archive or is yet to be rendered. Not here:
//! several sets, or several versions of one (see [`Sets`](crate::Sets)).

use std::path::{Path, PathBuf};
use std::{fs, io};

use bytes::Bytes;
use serde_json::Value;
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

use crate::archive::{Archive, ArchiveError, TileKind};
use crate::build::cells_path;
use crate::compress::Encoding;
use crate::coord::TileCoord;
use crate::dynamic::Dynamic;
use crate::error::TileError;
use crate::metadata::{OURS, Ours, version};
use crate::options::OptionsError;
use crate::reader::{ByteReader, FileReader};

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
    /// The archive holds something else than vector tiles.
    #[error("{}: the archive holds no vector tiles", .0.display())]
    NotVector(PathBuf),
    /// The archive was built to be continued by cells, and there are none.
    #[error("{}: the set's cells are missing; keep both files together, or build the set again", .0.display())]
    CellsMissing(PathBuf),
    /// Archive and cells come from different builds.
    #[error("{}: these cells belong to another build of the archive; build the set again", .0.display())]
    CellsOfAnother(PathBuf),
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

/// A tile's bytes and how they are packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// A vector tile, packed.
    pub bytes: Bytes,
    /// How.
    pub encoding: Encoding,
}

/// Tiles by coordinate.
pub trait Tiles: Send + Sync {
    /// A tile; `None` when there is nothing to draw. `stop` is asked from time to time whether to give up. Takes as
    /// long as reading and rendering take: not to be called from an async task.
    ///
    /// # Errors
    /// When the tile cannot be read or rendered, or rendering was stopped.
    fn tile(&self, tile: TileCoord, stop: &dyn Fn() -> bool) -> Result<Option<Tile>, TileError>;
}

impl<R: ByteReader> Tiles for Archive<R> {
    fn tile(&self, tile: TileCoord, _: &dyn Fn() -> bool) -> Result<Option<Tile>, TileError> {
        let packed = Archive::tile(self, tile.number())?;
        Ok(packed.map(|bytes| Tile { bytes, encoding: self.encoding() }))
    }
}

impl<R: ByteReader> Tiles for Dynamic<R> {
    fn tile(&self, tile: TileCoord, stop: &dyn Fn() -> bool) -> Result<Option<Tile>, TileError> {
        let rendered = self.render(tile, stop)?;
        Ok(rendered.map(|rendered| Tile { bytes: rendered.bytes.into(), encoding: Encoding::Identity }))
    }
}

/// A set that can be served.
pub struct TileSet {
    archive: Archive<FileReader>,
    dynamic: Option<Dynamic<FileReader>>,
    metadata: Value,
    version: String,
}

impl Tiles for TileSet {
    fn tile(&self, tile: TileCoord, stop: &dyn Fn() -> bool) -> Result<Option<Tile>, TileError> {
        match &self.dynamic {
            Some(dynamic) if tile.z() > self.archive.header().max_zoom => dynamic.tile(tile, stop),
            _ => Tiles::tile(&self.archive, tile, stop),
        }
    }
}

impl TileSet {
    /// Opens an archive and, if it was built to be continued, the cells beside it. Archives of others are fine, too:
    /// they go as deep as they go.
    ///
    /// # Errors
    /// When a file is missing or broken, or the two do not belong together.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let archive = open_archive(path)?;
        if archive.header().kind != TileKind::Vector {
            return Err(OpenError::NotVector(path.to_owned()));
        }
        let metadata =
            archive.metadata().map_err(|error| OpenError::Archive { path: path.to_owned(), error })?;
        let ours = ours(path, &metadata)?;
        let version = match &ours {
            Some(ours) => version(&ours.content),
            None => hash_of_file(path)?,
        };
        let dynamic = match ours {
            Some(ours) if ours.render.max_zoom > ours.archive_zoom => Some(open_cells(path, ours)?),
            _ => None,
        };
        Ok(Self { archive, dynamic, metadata, version })
    }

    /// Names the bytes of all of the set's tiles: 16 hexadecimal digits, the same on all machines.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The shallowest zoom.
    #[must_use]
    pub fn min_zoom(&self) -> u8 {
        self.archive.header().min_zoom
    }

    /// The deepest zoom, pre-rendered or not.
    #[must_use]
    pub fn max_zoom(&self) -> u8 {
        self.dynamic.as_ref().map_or(self.archive.header().max_zoom, Dynamic::max_zoom)
    }

    /// The archive with the pre-rendered zooms.
    #[must_use]
    pub fn archive(&self) -> &Archive<FileReader> {
        &self.archive
    }

    /// What renders the deeper zooms, if there are any.
    #[must_use]
    pub fn dynamic(&self) -> Option<&Dynamic<FileReader>> {
        self.dynamic.as_ref()
    }

    /// The archive's JSON metadata.
    #[must_use]
    pub fn metadata(&self) -> &Value {
        &self.metadata
    }
}

fn open_archive(path: &Path) -> Result<Archive<FileReader>, OpenError> {
    let reader = FileReader::open(path).map_err(|error| OpenError::Io { path: path.to_owned(), error })?;
    Archive::open(reader).map_err(|error| OpenError::Archive { path: path.to_owned(), error })
}

fn open_cells(path: &Path, ours: Ours) -> Result<Dynamic<FileReader>, OpenError> {
    let beside = cells_path(path);
    if !beside.exists() {
        return Err(OpenError::CellsMissing(beside));
    }
    let cells = open_archive(&beside)?;
    let metadata = cells.metadata().map_err(|error| OpenError::Archive { path: beside.clone(), error })?;
    if self::ours(&beside, &metadata)?.is_none_or(|theirs| theirs != ours) {
        return Err(OpenError::CellsOfAnother(beside));
    }
    Ok(Dynamic::new(cells, ours.archive_zoom, ours.render))
}

/// What we wrote into the metadata; `None` in archives of others.
fn ours(path: &Path, metadata: &Value) -> Result<Option<Ours>, OpenError> {
    let Some(ours) = metadata.get(OURS) else { return Ok(None) };
    let ours: Ours = serde_json::from_value(ours.clone())
        .map_err(|error| OpenError::Metadata { path: path.to_owned(), error })?;
    ours.render.check().map_err(|error| OpenError::Options { path: path.to_owned(), error })?;
    Ok(Some(ours))
}

/// What names an archive that does not name its content itself.
fn hash_of_file(path: &Path) -> Result<String, OpenError> {
    let failed = |error| OpenError::Io { path: path.to_owned(), error };
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut hasher = Hashing(Xxh3::new());
    io::copy(&mut file, &mut hasher).map_err(failed)?;
    Ok(format!("{:016x}", hasher.0.digest()))
}

struct Hashing(Xxh3);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
