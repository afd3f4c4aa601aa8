//! Warm tiles: what is asked for most, rendered and packed beforehand, in a file beside the archive.
//!
//! One idea: a warm tile is what the server would have made of it, to the byte, only made before somebody waits for it.
//! So neither a tile nor its tag changes with the file; it may be there on one machine and not on another, and be
//! removed at any time. It is a `PMTiles` archive of tiles packed by brotli, the encoding that costs the server most, and
//! names the version that its tiles belong to. Not here: which tiles are hot (see [`Hot`]).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde_json::json;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_128;

use crate::archive::{About, Archive, ArchiveError, Directories, TileKind, write_file};
use crate::compress::{CompressError, Encoding, pack, unpack};
use crate::coord::TileCoord;
use crate::error::TileError;
use crate::hot::{HOT_TILES_MAX, Hot, hot_path};
use crate::open::OpenError;
use crate::reader::{ByteReader, FileReader};
use crate::report::Size;
use crate::set::{TileSet, Tiles};

/// The member of the metadata that names the version.
const VERSION: &str = "watersmeet_warm";

/// So many tiles are made at once, before their sizes are known.
const AT_ONCE: usize = 256;

/// Why no tiles can be warmed.
#[derive(Debug, Error)]
pub enum WarmError {
    /// The set cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A tile cannot be rendered.
    #[error("tile {tile} cannot be rendered: {error}")]
    Tile {
        /// Which tile.
        tile: TileCoord,
        /// Why.
        error: TileError,
    },
    /// A stored tile cannot be packed anew.
    #[error(transparent)]
    Packed(#[from] CompressError),
    /// Images are packed already.
    #[error("{}: only vector tiles can be warmed; images are served as they are stored", .0.display())]
    NotVector(PathBuf),
    /// Nothing was ever counted.
    #[error(
        "{}: there are no counts of requests yet; the server writes them there while it runs (tiles.hot_saved) and when it stops",
        .0.display()
    )]
    NoCounts(PathBuf),
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmReport {
    /// How many tiles.
    pub tiles: usize,
    /// How many of those were not in the archive.
    pub rendered: usize,
    /// Their bytes, packed.
    pub bytes: u64,
}

impl fmt::Display for WarmReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} tiles, {} of them rendered, {}", self.tiles, self.rendered, Size(self.bytes))
    }
}

/// Where the warm tiles of an archive lie: beside it, `NAME.warm`.
#[must_use]
pub fn warm_path(archive: &Path) -> PathBuf {
    archive.with_extension("warm")
}

/// Renders the hottest tiles of an archive into the file beside it, up to so many, and up to so many bytes.
///
/// # Errors
/// When the set or the counts cannot be read, or the file cannot be written; what was there before stays.
pub fn warm(archive: &Path, tiles_max: usize, bytes_max: u64) -> Result<WarmReport, WarmError> {
    let set = TileSet::open(archive)?;
    if !set.facts().content.is_compressible() {
        return Err(WarmError::NotVector(archive.to_owned()));
    }
    let counts = hot_path(archive);
    let hot = Hot::load(&counts).map_err(|error| WarmError::Io { path: counts.clone(), error })?;
    let hottest = hot.hottest(tiles_max.min(HOT_TILES_MAX));
    if hottest.is_empty() {
        return Err(WarmError::NoCounts(counts));
    }
    let made = make(&set, &hottest, bytes_max)?;
    let report = WarmReport {
        tiles: made.len(),
        rendered: made.values().filter(|(tile, _)| tile.z() > set.archive_zoom()).count(),
        bytes: made.values().map(|(_, packed)| packed.len() as u64).sum(),
    };
    let path = warm_path(archive);
    let bytes = to_bytes(&set, made.values().map(|(tile, packed)| (*tile, &packed[..])))?;
    write_file(&path, &bytes).map_err(|error| WarmError::Io { path, error })?;
    Ok(report)
}

/// The hottest tiles that are not empty, by number, as long as there is room.
fn make(
    set: &TileSet,
    hottest: &[(TileCoord, u64)],
    bytes_max: u64,
) -> Result<BTreeMap<u64, (TileCoord, Vec<u8>)>, WarmError> {
    let (mut made, mut room) = (BTreeMap::new(), bytes_max);
    for some in hottest.chunks(AT_ONCE) {
        let packed: Vec<_> = some.par_iter().map(|(tile, _)| packed(set, *tile)).collect::<Result<_, _>>()?;
        for (tile, packed) in some.iter().zip(packed).filter_map(|((tile, _), packed)| Some((*tile, packed?)))
        {
            let Some(rest) = room.checked_sub(packed.len() as u64) else { return Ok(made) };
            room = rest;
            made.insert(tile.number(), (tile, packed));
        }
    }
    Ok(made)
}

/// As the server packs it while somebody waits.
fn packed(set: &TileSet, tile: TileCoord) -> Result<Option<Vec<u8>>, WarmError> {
    let found = set.tile(tile, &|| false).map_err(|error| WarmError::Tile { tile, error })?;
    let Some(found) = found else { return Ok(None) };
    Ok(Some(pack(&unpack(&found.bytes, found.encoding)?, Encoding::Brotli)?))
}

fn to_bytes<'a>(
    set: &TileSet,
    tiles: impl Iterator<Item = (TileCoord, &'a [u8])>,
) -> Result<Vec<u8>, CompressError> {
    let facts = set.facts();
    let (mut directories, mut bodies) = (Directories::default(), Vec::new());
    for (tile, packed) in tiles {
        let length = u32::try_from(packed.len()).unwrap_or(u32::MAX);
        if directories.add(tile.number(), xxh3_128(packed), length) {
            bodies.extend_from_slice(packed);
        }
    }
    let mut bytes = directories.front(&About {
        kind: TileKind::Vector,
        tile_encoding: Encoding::Brotli,
        min_zoom: facts.min_zoom,
        max_zoom: facts.max_zoom,
        bounds: facts.bounds,
        center: facts.center,
        center_zoom: facts.center_zoom,
        metadata: json!({ VERSION: set.version() }),
    })?;
    bytes.extend_from_slice(&bodies);
    Ok(bytes)
}

/// The warm tiles beside an archive, if there are any of this version. Whatever is wrong with the file, the set is
/// served without it.
pub(crate) fn open_warm(archive: &Path, version: &str) -> Option<Archive<Arc<dyn ByteReader>>> {
    let path = warm_path(archive);
    let reader = match FileReader::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        reader => reader,
    };
    let opened = reader.map_err(ArchiveError::from).and_then(|reader| {
        let warm = Archive::open(Arc::new(reader) as Arc<dyn ByteReader>)?;
        let belongs = warm.metadata()?[VERSION].as_str() == Some(version);
        Ok(Some(warm).filter(|warm| belongs && warm.encoding() == Encoding::Brotli))
    });
    match opened {
        Ok(None) => {
            tracing::info!(file = %path.display(), "the warm tiles are of another version; warm them again");
            None
        }
        Ok(warm) => warm,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "the warm tiles cannot be used");
            None
        }
    }
}
