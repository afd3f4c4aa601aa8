//! A tile set that can be served: its archive, its cells, and the version that names its bytes.
//!
//! One idea: whoever asks for a tile need not know whether it lies in an archive, in a side file or is yet to be
//! rendered. Not here: several sets, or several versions of one (see [`Sets`](crate::Sets)).

#[cfg(feature = "mbtiles")]
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

use crate::archive::{Archive, ArchiveError};
use crate::build::cells_path;
use crate::cells;
use crate::compress::{Encoding, unpack};
use crate::content::Content;
use crate::coord::{Bounds, TileCoord};
use crate::dynamic::Dynamic;
use crate::error::TileError;
use crate::layers;
#[cfg(feature = "mbtiles")]
use crate::mbtiles::{MbTiles, MbTilesError};
use crate::metadata::{OURS, Ours, version};
use crate::options::OptionsError;
use crate::project::position;
use crate::reader::{ByteReader, FileReader};
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

    /// As [`Tiles::tile`], and packed like this if it lies there so: whoever asks need not pack it.
    ///
    /// # Errors
    /// As [`Tiles::tile`].
    fn tile_as(
        &self,
        tile: TileCoord,
        _encoding: Encoding,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Tile>, TileError> {
        self.tile(tile, stop)
    }

    /// The encoding in which a tile may lie in the file, packed by others perhaps; `None` when it is rendered.
    fn stored_as(&self, _tile: TileCoord) -> Option<Encoding> {
        None
    }
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

/// Where a set's tiles lie.
enum Stored {
    Archive(Box<Archive<FileReader>>),
    #[cfg(feature = "mbtiles")]
    MbTiles(MbTiles),
}

impl Tiles for Stored {
    fn tile(&self, tile: TileCoord, stop: &dyn Fn() -> bool) -> Result<Option<Tile>, TileError> {
        match self {
            Self::Archive(archive) => Tiles::tile(&**archive, tile, stop),
            #[cfg(feature = "mbtiles")]
            Self::MbTiles(file) => file.tile(tile).map_err(|error| TileError::MbTiles(error.to_string())),
        }
    }

    fn stored_as(&self, _: TileCoord) -> Option<Encoding> {
        match self {
            Self::Archive(archive) => Some(archive.encoding()),
            // Or not at all, which only the tile tells.
            #[cfg(feature = "mbtiles")]
            Self::MbTiles(_) => Some(Encoding::Gzip),
        }
    }
}

/// What is known of a set without looking at a tile.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// What the tiles are.
    pub content: Content,
    /// The shallowest zoom.
    pub min_zoom: u8,
    /// The deepest zoom, pre-rendered or not.
    pub max_zoom: u8,
    /// West, south, east, north in degrees.
    pub bounds: [f64; 4],
    /// Longitude and latitude in degrees to show at first, and at which zoom.
    pub center: [f64; 2],
    /// See [`Facts::center`].
    pub center_zoom: u8,
    /// Name, attribution and `vector_layers`, as the archive has them.
    pub metadata: Value,
}

/// A set that can be served.
pub struct TileSet {
    stored: Stored,
    dynamic: Option<Dynamic<FileReader>>,
    /// What is asked for most, of all zooms.
    warm: Option<Archive<FileReader>>,
    facts: Facts,
    /// The bounds in world units; `None` when they say nothing.
    area: Option<Bounds>,
    version: u64,
    name_of_version: String,
}

impl Tiles for TileSet {
    fn tile(&self, tile: TileCoord, stop: &dyn Fn() -> bool) -> Result<Option<Tile>, TileError> {
        match &self.dynamic {
            Some(dynamic) if tile.z() > self.archive_zoom() => dynamic.tile(tile, stop),
            _ => self.stored.tile(tile, stop),
        }
    }

    fn tile_as(
        &self,
        tile: TileCoord,
        encoding: Encoding,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Tile>, TileError> {
        // To unpack what was packed is less work than to read a cell and render.
        let is_rendered = self.dynamic.is_some() && tile.z() > self.archive_zoom();
        if let Some(warm) = self.warm.as_ref().filter(|warm| is_rendered || warm.encoding() == encoding)
            && let Some(found) = Tiles::tile(warm, tile, stop)?
        {
            return Ok(Some(found));
        }
        self.tile(tile, stop)
    }

    fn stored_as(&self, tile: TileCoord) -> Option<Encoding> {
        let is_rendered = self.dynamic.is_some() && tile.z() > self.archive_zoom();
        if is_rendered { None } else { self.stored.stored_as(tile) }
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
        let archive = open_archive(path)?;
        let header = archive.header();
        let content = Content::of_kind(header.kind).ok_or_else(|| OpenError::NoTiles(path.to_owned()))?;
        let metadata =
            archive.metadata().map_err(|error| OpenError::Archive { path: path.to_owned(), error })?;
        let ours = ours(path, &metadata)?;
        let version = match &ours {
            Some(ours) => version(&ours.content),
            None => fingerprint(path)?,
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
            Some(ours) if ours.render.max_zoom > ours.archive_zoom => Some(open_cells(path, ours)?),
            _ => None,
        };
        if let Some(dynamic) = &dynamic {
            facts.max_zoom = dynamic.max_zoom();
        }
        let warm = open_warm(path, &version);
        Ok(Self { warm, ..Self::new(Stored::Archive(Box::new(archive)), dynamic, facts, version) })
    }

    #[cfg(feature = "mbtiles")]
    fn open_mbtiles(path: &Path) -> Result<Self, OpenError> {
        if let Err(error) = fs::File::open(path) {
            return Err(OpenError::Io { path: path.to_owned(), error });
        }
        let (file, said) =
            MbTiles::open(path).map_err(|error| OpenError::MbTiles { path: path.to_owned(), error })?;
        let facts = Facts {
            content: said.content,
            min_zoom: said.zooms[0],
            max_zoom: said.zooms[1],
            bounds: said.bounds,
            center: said.center,
            center_zoom: said.center_zoom,
            metadata: said.metadata,
        };
        let version = fingerprint(path)?;
        let warm = open_warm(path, &version);
        Ok(Self { warm, ..Self::new(Stored::MbTiles(file), None, facts, version) })
    }

    fn new(
        stored: Stored,
        dynamic: Option<Dynamic<FileReader>>,
        facts: Facts,
        name_of_version: String,
    ) -> Self {
        let version = version_number(&name_of_version).unwrap_or_default();
        let mut facts = facts;
        if facts.content == Content::Vector && !facts.metadata["vector_layers"].is_array() {
            facts.metadata = with_layers(&stored, &facts);
        }
        Self { stored, dynamic, warm: None, area: area(facts.bounds), facts, version, name_of_version }
    }

    /// Names the bytes of all of the set's tiles: 16 hexadecimal digits, the same on all machines.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.name_of_version
    }

    pub(crate) fn version_number(&self) -> u64 {
        self.version
    }

    /// What is known of it without looking at a tile.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Whether a tile lies within the set's zooms and bounds; one that does may be empty all the same.
    #[must_use]
    pub fn covers(&self, tile: TileCoord) -> bool {
        let inside = |area: &Bounds| {
            let bits = crate::coord::WORLD_BITS - tile.z();
            let (min, side) = (tile.origin(), 1_i32 << bits);
            let max = crate::coord::Point { x: min.x + (side - 1), y: min.y + (side - 1) };
            area.meets(&Bounds { min, max })
        };
        (self.facts.min_zoom..=self.facts.max_zoom).contains(&tile.z())
            && self.area.as_ref().is_none_or(inside)
    }

    /// The shallowest zoom.
    #[must_use]
    pub fn min_zoom(&self) -> u8 {
        self.facts.min_zoom
    }

    /// The deepest zoom, pre-rendered or not.
    #[must_use]
    pub fn max_zoom(&self) -> u8 {
        self.facts.max_zoom
    }

    /// The deepest zoom that is pre-rendered.
    #[must_use]
    pub fn archive_zoom(&self) -> u8 {
        match &self.stored {
            Stored::Archive(archive) => archive.header().max_zoom,
            #[cfg(feature = "mbtiles")]
            Stored::MbTiles(_) => self.facts.max_zoom,
        }
    }

    /// Hands the number of every tile that lies in the file to the visitor.
    pub(crate) fn each_stored(&self, visit: &mut dyn FnMut(u64)) -> Result<(), TileError> {
        match &self.stored {
            Stored::Archive(archive) => Ok(archive.each_entry(&mut |entry| {
                (0..u64::from(entry.run_length)).for_each(|index| visit(entry.number + index));
            })?),
            #[cfg(feature = "mbtiles")]
            Stored::MbTiles(file) => file
                .each(&mut |tile| visit(tile.number()))
                .map_err(|error| TileError::MbTiles(error.to_string())),
        }
    }

    /// A tile as it lies in the file; nothing is rendered.
    pub(crate) fn stored_tile(&self, tile: TileCoord) -> Result<Option<Tile>, TileError> {
        self.stored.tile(tile, &|| false)
    }

    /// The archive with the pre-rendered zooms; `None` when the tiles lie in an `MBTiles` file.
    #[must_use]
    pub fn archive(&self) -> Option<&Archive<FileReader>> {
        match &self.stored {
            Stored::Archive(archive) => Some(archive),
            #[cfg(feature = "mbtiles")]
            Stored::MbTiles(_) => None,
        }
    }

    #[cfg(feature = "mbtiles")]
    pub(crate) fn mbtiles(&self) -> Option<&MbTiles> {
        match &self.stored {
            Stored::Archive(_) => None,
            Stored::MbTiles(file) => Some(file),
        }
    }

    /// What renders the deeper zooms, if there are any.
    #[must_use]
    pub fn dynamic(&self) -> Option<&Dynamic<FileReader>> {
        self.dynamic.as_ref()
    }

    /// The archive of warm tiles, if there is one of this version.
    #[must_use]
    pub fn warm(&self) -> Option<&Archive<FileReader>> {
        self.warm.as_ref()
    }

    /// The archive's JSON metadata.
    #[must_use]
    pub fn metadata(&self) -> &Value {
        &self.facts.metadata
    }
}

/// An archive's metadata with the layers that it does not name.
fn with_layers(stored: &Stored, facts: &Facts) -> Value {
    let column = layers::column(facts.center, facts.min_zoom..=facts.max_zoom);
    let tiles = column.into_iter().filter_map(|tile| stored.tile(tile, &|| false).ok()?);
    let tiles: Vec<_> = tiles.filter_map(|tile| unpack(&tile.bytes, tile.encoding).ok()).collect();
    let mut metadata =
        if facts.metadata.is_object() { facts.metadata.clone() } else { serde_json::json!({}) };
    metadata["vector_layers"] = layers::found(tiles.iter().map(Vec::as_slice));
    metadata
}

/// The number that a version's name is; `None` when it is no such name.
pub(crate) fn version_number(name: &str) -> Option<u64> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (name.len() == 16 && digits).then(|| u64::from_str_radix(name, 16).ok()).flatten()
}

/// Degrees as a box in world units, a little larger than they are: archives round them. `None` when they cross the
/// antimeridian, are empty, or are none.
fn area([west, south, east, north]: [f64; 4]) -> Option<Bounds> {
    let (min, max) = (position([west, north]).ok()?, position([east, south]).ok()?);
    let slack = 4;
    let bounds = Bounds {
        min: crate::coord::Point { x: min.x - slack, y: min.y - slack },
        max: crate::coord::Point { x: max.x + slack, y: max.y + slack },
    };
    (min.x < max.x && min.y < max.y).then_some(bounds)
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
    let archive = open_archive(&beside)?;
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

/// What names a file that does not name its content itself: its length and its bytes. Of a large file, which takes
/// minutes to read, only some are, always the same ones: a header, which has the length of every part, the directory
/// behind it, and pieces all over the file. Another build of a map differs in those; a file that is changed in place, in
/// a few bytes and with its length kept, may not, and is not to be served under the same name.
fn fingerprint(path: &Path) -> Result<String, OpenError> {
    let named = || -> io::Result<u64> {
        let file = FileReader::open(path)?;
        let length = file.length()?;
        let mut hasher = Xxh3::new();
        hasher.update(&length.to_le_bytes());
        let step = if length <= READ_WHOLE_MAX { PIECE as u64 } else { length / PIECES };
        let mut position = 0;
        while position < length {
            let piece = usize::try_from(length - position).unwrap_or(PIECE).min(PIECE);
            hasher.update(&file.read_at(position, piece)?);
            position += step;
        }
        if length > READ_WHOLE_MAX {
            hasher.update(&file.read_at(length - PIECE as u64, PIECE)?);
        }
        Ok(hasher.digest())
    };
    match named() {
        Ok(hash) => Ok(format!("{hash:016x}")),
        Err(error) => Err(OpenError::Io { path: path.to_owned(), error }),
    }
}
