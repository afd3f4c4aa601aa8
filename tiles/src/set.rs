//! A tile set that can be served: its archive, its cells, and the version that names its bytes.
//!
//! One idea: whoever asks for a tile need not know whether it lies in an archive, in a side file or is yet to be
//! rendered. Not here: how one is opened (`open.rs`); several sets, or several versions of one (see
//! [`Sets`](crate::Sets)).

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::archive::Archive;
use crate::compress::{Encoding, unpack};
use crate::content::Content;
use crate::coord::{Bounds, TileCoord};
use crate::dynamic::Dynamic;
use crate::error::TileError;
use crate::layers;
#[cfg(feature = "mbtiles")]
use crate::mbtiles::MbTiles;
use crate::project::position;
use crate::reader::{Absent, ByteReader};

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
pub(crate) enum Stored {
    Archive(Box<Archive<Arc<dyn ByteReader>>>),
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
    dynamic: Option<Dynamic<Arc<dyn ByteReader>>>,
    /// What is asked for most, of all zooms.
    pub(crate) warm: Option<Archive<Arc<dyn ByteReader>>>,
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
    pub(crate) fn new(
        stored: Stored,
        dynamic: Option<Dynamic<Arc<dyn ByteReader>>>,
        facts: Facts,
        name_of_version: String,
    ) -> Result<Self, Absent> {
        let version = version_number(&name_of_version).unwrap_or_default();
        let mut facts = facts;
        if facts.content == Content::Vector && !facts.metadata["vector_layers"].is_array() {
            facts.metadata = with_layers(&stored, &facts)?;
        }
        Ok(Self { stored, dynamic, warm: None, area: area(facts.bounds), facts, version, name_of_version })
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
    pub fn archive(&self) -> Option<&Archive<Arc<dyn ByteReader>>> {
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
    pub fn dynamic(&self) -> Option<&Dynamic<Arc<dyn ByteReader>>> {
        self.dynamic.as_ref()
    }

    /// The archive of warm tiles, if there is one of this version.
    #[must_use]
    pub fn warm(&self) -> Option<&Archive<Arc<dyn ByteReader>>> {
        self.warm.as_ref()
    }

    /// The archive's JSON metadata.
    #[must_use]
    pub fn metadata(&self) -> &Value {
        &self.facts.metadata
    }
}

/// An archive's metadata with the layers that it does not name, of some tiles; those that are broken tell nothing.
fn with_layers(stored: &Stored, facts: &Facts) -> Result<Value, Absent> {
    let mut tiles = Vec::new();
    for tile in layers::column(facts.center, facts.min_zoom..=facts.max_zoom) {
        match stored.tile(tile, &|| false) {
            Ok(found) => tiles.extend(found.and_then(|tile| unpack(&tile.bytes, tile.encoding).ok())),
            Err(error) => error.absent().map_or(Ok(()), Err)?,
        }
    }
    let mut metadata =
        if facts.metadata.is_object() { facts.metadata.clone() } else { serde_json::json!({}) };
    metadata["vector_layers"] = layers::found(tiles.iter().map(Vec::as_slice));
    Ok(metadata)
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
