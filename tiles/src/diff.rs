//! What is different between two archives, tile by tile.
//!
//! One idea: tiles are compared as clients see them. How they are packed, or in which order a layer's names stand, is no
//! difference; a feature that moved, or has other attributes, is one, and it is the same feature when its id is the
//! same. Tiles that are rendered on demand are not compared: they follow from cells, whose version is told.
//! Not here: how archives are read (see [`TileSet`]).

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

use crate::compress::{CompressError, unpack};
use crate::content::Content;
use crate::coord::TileCoord;
use crate::decode::{self, DecodedFeature, DecodedValue};
use crate::error::TileError;
use crate::open::OpenError;
use crate::report::Size;
use crate::set::{Tile, TileSet};

/// So many tiles that differ are named.
pub const TILES_NAMED_MAX: usize = 20;

/// Tiles are compared so many at a time by each core.
const TILES_AT_A_TIME: usize = 1024;

/// Why two archives cannot be compared.
#[derive(Debug, Error)]
pub enum DiffError {
    /// One of them cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A tile cannot be read.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// A tile cannot be unpacked.
    #[error("tile {tile}: {error}")]
    Packed {
        /// Which tile.
        tile: TileCoord,
        /// What is wrong.
        error: CompressError,
    },
}

/// The differences of two archives. The first is what was, the second what is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Diff {
    /// The versions under which the two are served; equal ones have equal tiles, rendered on demand or not.
    pub versions: [String; 2],
    /// By zoom.
    pub zooms: BTreeMap<u8, ZoomDiff>,
    /// By layer, those with differences.
    pub layers: BTreeMap<String, LayerDiff>,
    /// The first tiles that differ, by zoom and then along the Hilbert curve.
    pub tiles: Vec<TileDiff>,
    /// How many tiles differ but could not be understood as vector tiles.
    pub not_understood: u64,
}

/// The differences of one zoom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ZoomDiff {
    /// Tiles that are the same in both.
    pub same: u64,
    /// Tiles that differ.
    pub changed: u64,
    /// Tiles that the second does not have.
    pub removed: u64,
    /// Tiles that the first does not have.
    pub added: u64,
    /// Bytes of all tiles as they are stored, in both archives.
    pub bytes: [u64; 2],
}

/// The differences of one layer in all tiles. A feature counts once for each tile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LayerDiff {
    /// In how many tiles it differs.
    pub tiles: u64,
    /// Features that the first does not have.
    pub added: u64,
    /// Features that the second does not have.
    pub removed: u64,
    /// Features of the same id with another geometry.
    pub moved: u64,
    /// Features of the same id with other attributes.
    pub renamed: u64,
}

/// A tile that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TileDiff {
    /// `z/x/y`.
    pub tile: String,
    /// Bytes as stored, in both archives; 0 where it is not there.
    pub bytes: [u64; 2],
    /// By layer, those with differences.
    pub layers: BTreeMap<String, LayerDiff>,
}

/// Compares the tiles that two PMTiles or `MBTiles` files hold.
///
/// # Errors
/// When one of them cannot be read.
pub fn diff(a: &Path, b: &Path) -> Result<Diff, DiffError> {
    let sets = [TileSet::open(a)?, TileSet::open(b)?];
    let mut all: Vec<u64> = Vec::new();
    for set in &sets {
        set.each_stored(&mut |number| all.push(number))?;
    }
    all.par_sort_unstable();
    all.dedup();
    let mut diff = Diff { versions: sets.each_ref().map(|set| set.version().to_owned()), ..Diff::default() };
    for some in all.chunks(TILES_AT_A_TIME * rayon::current_num_threads()) {
        let compared: Vec<_> =
            some.par_iter().map(|number| compare(&sets, *number)).collect::<Result<_, _>>()?;
        compared.into_iter().for_each(|compared| diff.add(compared));
    }
    Ok(diff)
}

/// One tile in both archives.
struct Compared {
    tile: TileCoord,
    bytes: [Option<u64>; 2],
    same: bool,
    /// `None` when it could not be understood.
    layers: Option<BTreeMap<String, LayerDiff>>,
}

fn compare(sets: &[TileSet; 2], number: u64) -> Result<Compared, DiffError> {
    let tile = TileCoord::from_number(number).unwrap_or(TileCoord::ROOT);
    let [a, b] = [sets[0].stored_tile(tile)?, sets[1].stored_tile(tile)?];
    let bytes = [&a, &b].map(|found| found.as_ref().map(|found| found.bytes.len() as u64));
    let plain = |found: Option<Tile>| match found {
        Some(Tile { bytes, encoding }) => {
            unpack(&bytes, encoding).map_err(|error| DiffError::Packed { tile, error })
        }
        None => Ok(Vec::new()),
    };
    let [a, b] = [plain(a)?, plain(b)?];
    let same = a == b && bytes.iter().all(Option::is_some);
    if same || sets.iter().any(|set| set.facts().content != Content::Vector) {
        return Ok(Compared { tile, bytes, same, layers: same.then(BTreeMap::new) });
    }
    let layers = match [features(&a), features(&b)] {
        [Some(a), Some(b)] => Some(layers(a, b)),
        _ => None,
    };
    // What only is written differently looks the same to everybody.
    let same = layers.as_ref().is_some_and(BTreeMap::is_empty) && bytes.iter().all(Option::is_some);
    Ok(Compared { tile, bytes, same, layers })
}

/// What tells a feature from others: its id, or everything it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Id(u64),
    Content(u128),
}

/// A feature's name and the hashes of its geometry and its attributes.
type Named = (Name, u128, u128);

/// A tile's features by layer, sorted; `None` when it is no vector tile.
fn features(bytes: &[u8]) -> Option<BTreeMap<String, Vec<Named>>> {
    let mut layers: BTreeMap<String, Vec<Named>> = BTreeMap::new();
    for layer in decode::tile(bytes).ok()? {
        let named = layers.entry(layer.name.to_string()).or_default();
        named.extend(layer.features.iter().map(|feature| self::named(feature, layer.extent)));
    }
    layers.values_mut().for_each(|named| named.sort_unstable());
    Some(layers)
}

fn named(feature: &DecodedFeature, extent: u32) -> Named {
    let mut geometry = Hashed::default();
    (extent, feature.kind as u8).hash(&mut geometry);
    for part in &feature.parts {
        part.len().hash(&mut geometry);
        part.iter().for_each(|point| (point.x, point.y).hash(&mut geometry));
    }
    let mut tags: Vec<_> = feature.tags.iter().collect();
    tags.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut attributes = Hashed::default();
    for (key, value) in tags {
        key.hash(&mut attributes);
        hash_value(value, &mut attributes);
    }
    let (geometry, attributes) = (geometry.0.digest128(), attributes.0.digest128());
    let name = feature.id.map_or(Name::Content(geometry ^ attributes.rotate_left(64)), Name::Id);
    (name, geometry, attributes)
}

/// A number is the same number however it is typed.
fn hash_value(value: &DecodedValue, hasher: &mut Hashed) {
    match value {
        DecodedValue::Text(text) => text.hash(hasher),
        DecodedValue::Bool(truth) => truth.hash(hasher),
        DecodedValue::Signed(number) => i128::from(*number).hash(hasher),
        DecodedValue::Unsigned(number) => i128::from(*number).hash(hasher),
        DecodedValue::Float(number) => f64::from(*number).to_bits().hash(hasher),
        DecodedValue::Double(number) => number.to_bits().hash(hasher),
    }
}

#[derive(Default)]
struct Hashed(Xxh3);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0.digest()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// The layers that differ.
fn layers(
    mut a: BTreeMap<String, Vec<Named>>,
    mut b: BTreeMap<String, Vec<Named>>,
) -> BTreeMap<String, LayerDiff> {
    let mut names: Vec<_> = a.keys().chain(b.keys()).cloned().collect();
    names.sort_unstable();
    names.dedup();
    let mut layers = BTreeMap::new();
    for name in names {
        let [a, b] = [&mut a, &mut b].map(|side| side.remove(&name).unwrap_or_default());
        if a != b {
            layers.insert(name, LayerDiff { tiles: 1, ..by_name(&a, &b) });
        }
    }
    layers
}

/// Compares two sorted lists of features. Of several of one name, the first ones are taken for the same.
fn by_name(a: &[Named], b: &[Named]) -> LayerDiff {
    let mut diff = LayerDiff::default();
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        match (a.peek().map(|named| named.0), b.peek().map(|named| named.0)) {
            (None, None) => return diff,
            (Some(old), new) if new.is_none_or(|new| old < new) => {
                diff.removed += 1;
                a.next();
            }
            (old, Some(new)) if old.is_none_or(|old| new < old) => {
                diff.added += 1;
                b.next();
            }
            _ => {
                let (old, new) = (a.next(), b.next());
                diff.moved += u64::from(old.map(|named| named.1) != new.map(|named| named.1));
                diff.renamed += u64::from(old.map(|named| named.2) != new.map(|named| named.2));
            }
        }
    }
}

impl Diff {
    /// Whether both hold the same tiles.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zooms.values().all(|zoom| zoom.changed + zoom.added + zoom.removed == 0)
    }

    fn add(&mut self, compared: Compared) {
        let Compared { tile, bytes, same, layers } = compared;
        let zoom = self.zooms.entry(tile.z()).or_default();
        match bytes {
            _ if same => zoom.same += 1,
            [_, None] => zoom.removed += 1,
            [None, _] => zoom.added += 1,
            _ => zoom.changed += 1,
        }
        let bytes = bytes.map(Option::unwrap_or_default);
        zoom.bytes.iter_mut().zip(bytes).for_each(|(sum, bytes)| *sum += bytes);
        if same {
            return;
        }
        self.not_understood += u64::from(layers.is_none());
        let layers = layers.unwrap_or_default();
        for (name, more) in &layers {
            let sum = self.layers.entry(name.clone()).or_default();
            sum.tiles += more.tiles;
            sum.added += more.added;
            sum.removed += more.removed;
            sum.moved += more.moved;
            sum.renamed += more.renamed;
        }
        if self.tiles.len() < TILES_NAMED_MAX {
            self.tiles.push(TileDiff { tile: tile.to_string(), bytes, layers });
        }
    }
}

impl fmt::Display for LayerDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.added, "added"),
            (self.removed, "removed"),
            (self.moved, "with another geometry"),
            (self.renamed, "with other attributes"),
        ];
        let told: Vec<_> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        f.write_str(if told.is_empty() { "in another order" } else { "" })?;
        f.write_str(&told.join(", "))
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (zoom, diff) in &self.zooms {
            let ZoomDiff { same, changed, removed, added, bytes: [a, b] } = diff;
            write!(
                f,
                "zoom {zoom}: {same} tiles the same, {changed} changed, {added} added, {removed} removed"
            )?;
            writeln!(f, "; {} -> {}", Size(*a), Size(*b))?;
        }
        for (name, diff) in &self.layers {
            writeln!(f, "layer {name}: in {} tiles; features {diff}", diff.tiles)?;
        }
        if self.not_understood > 0 {
            writeln!(f, "{} tiles that differ could not be understood", self.not_understood)?;
        }
        for TileDiff { tile, bytes: [a, b], layers } in &self.tiles {
            write!(f, "  {tile}: {} -> {}", Size(*a), Size(*b))?;
            layers.iter().try_for_each(|(name, diff)| write!(f, "; {name}: {diff}"))?;
            writeln!(f)?;
        }
        let differ: u64 = self.zooms.values().map(|zoom| zoom.changed + zoom.added + zoom.removed).sum();
        match differ.saturating_sub(self.tiles.len() as u64) {
            _ if differ == 0 && self.versions[0] == self.versions[1] => writeln!(f, "the same tiles"),
            _ if differ == 0 => {
                writeln!(f, "the same tiles, but of versions {} and {}", self.versions[0], self.versions[1])
            }
            0 => Ok(()),
            rest => writeln!(f, "  and {rest} more"),
        }
    }
}
