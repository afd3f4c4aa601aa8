//! Rendering: one tile from any cell that covers it.
//!
//! One idea: this is the one function behind both callers. The builder gives it the cell of the tile itself, the
//! server the cell of an ancestor, and since a cut leaves no trace (see [`cut`](crate::cut)), both get the same bytes.
//! Not here: compression, caching, clocks.

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use crate::clean::Cleaner;
use crate::clip::Window;
use crate::coord::TileCoord;
use crate::encode::{self, TileFeature, TileGeometry, TileLayer};
use crate::feature::{Cell, Feature, Geometry, Ring};
use crate::options::RenderOptions;
use crate::simplify::{Rounding, TilePoint};

/// Raise this with every change of code that changes tiles' bytes: it is a part of every set's version, and a version
/// has to mean the same bytes for ever. The test `golden` in `tests/` says when.
pub const RENDERER_REVISION: u32 = 2;

/// Whether to stop is asked every so many features: asking may cost as much as drawing a point.
const ASK_EVERY: usize = 64;

/// A rendered tile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The vector tile, not compressed; empty when there is nothing to draw.
    pub bytes: Vec<u8>,
    /// How many features are in it.
    pub features: usize,
    /// How many features were left out because the tile was too large.
    pub dropped: usize,
}

/// Rendering was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the tile took too long to render")]
pub struct Stopped;

/// Draws a tile from a cell that covers it. `stop` is asked now and then whether to give up.
///
/// # Errors
/// When told to stop.
pub fn render(
    cell: &Cell,
    tile: TileCoord,
    options: &RenderOptions,
    stop: &dyn Fn() -> bool,
) -> Result<Rendered, Stopped> {
    let mut painter = Painter::new(tile, options);
    let mut layers = Vec::with_capacity(cell.layers.len());
    for layer in &cell.layers {
        let mut features = Vec::new();
        for (index, feature) in layer.features.iter().enumerate() {
            if index.is_multiple_of(ASK_EVERY) && stop() {
                return Err(Stopped);
            }
            if (feature.min_zoom..=feature.max_zoom).contains(&tile.z()) {
                features.extend(painter.feature(feature));
            }
        }
        layers.push(TileLayer { dictionary: layer.dictionary.clone(), features });
    }
    Ok(fitted(layers, options))
}

/// Draws features on one tile's grid.
struct Painter {
    rounding: Rounding,
    window: Window,
    zoom: u8,
    /// Tile units.
    dot_side: i64,
    cleaner: Cleaner,
    path: Vec<TilePoint>,
}

impl Painter {
    fn new(tile: TileCoord, options: &RenderOptions) -> Self {
        let grid = options.grid();
        Self {
            rounding: Rounding::new(tile, grid),
            window: Window::new(grid),
            zoom: tile.z(),
            dot_side: dot_side(options.dot_area),
            cleaner: Cleaner::default(),
            path: Vec::new(),
        }
    }

    fn feature(&mut self, feature: &Feature) -> Option<TileFeature> {
        let geometry = match &feature.geometry {
            Geometry::Points(points) => {
                let here = points.iter().map(|point| self.rounding.point(point.x, point.y));
                let mut here: Vec<_> = here.filter(|point| self.window.holds(*point)).collect();
                here.dedup();
                TileGeometry::Points(some(here)?)
            }
            Geometry::Lines(lines) => {
                let mut pieces = Vec::new();
                for line in lines {
                    self.rounding.path(line, &mut self.path);
                    self.window.line(&self.path, &mut pieces);
                }
                TileGeometry::Lines(some(pieces)?)
            }
            Geometry::Polygons(rings) => {
                let drawn: Vec<_> = rings.iter().filter_map(|ring| self.ring(ring)).collect();
                TileGeometry::Polygons(some(self.cleaner.polygons(&drawn))?)
            }
        };
        Some(TileFeature { id: feature.id, tags: feature.tags.clone(), weight: feature.weight, geometry })
    }

    fn ring(&mut self, ring: &Ring) -> Option<Vec<TilePoint>> {
        if self.zoom < ring.dot_zoom {
            return None;
        }
        if self.zoom < ring.shape_zoom {
            return some(self.window.ring(&self.dot(ring)));
        }
        self.rounding.path(&ring.vertices, &mut self.path);
        some(self.window.ring(&self.path))
    }

    fn dot(&self, ring: &Ring) -> [TilePoint; 4] {
        let middle = self.rounding.point(ring.dot.x, ring.dot.y);
        let (west, north) = (middle.x - self.dot_side / 2, middle.y - self.dot_side / 2);
        let (east, south) = (west + self.dot_side, north + self.dot_side);
        [(west, north), (east, north), (east, south), (west, south)].map(|(x, y)| TilePoint { x, y })
    }
}

/// The side of a square of about this area, at least one tile unit.
#[expect(clippy::cast_possible_truncation, reason = "the options keep the area at or below 256")]
fn dot_side(area: f64) -> i64 {
    (area.sqrt().round() as i64).max(1)
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Encodes the layers, leaving out the least important features until the tile is small enough.
fn fitted(mut layers: Vec<TileLayer>, options: &RenderOptions) -> Rendered {
    let count = |layers: &[TileLayer]| layers.iter().map(|layer| layer.features.len()).sum::<usize>();
    let all = count(&layers);
    loop {
        let bytes = encode::tile(&layers, options.extent);
        let features = count(&layers);
        if bytes.len() <= options.tile_bytes_max || features == 0 {
            return Rendered { bytes, features, dropped: all - features };
        }
        // A little more than the excess goes each time, so that a few rounds are enough.
        let keep = features * options.tile_bytes_max / bytes.len() * 15 / 16;
        keep_heaviest(&mut layers, keep.min(features - 1));
    }
}

/// Keeps so many features of all layers: those of most weight, and among equals those that draw the best lot by id.
fn keep_heaviest(layers: &mut [TileLayer], keep: usize) {
    let order = |feature: &TileFeature| (feature.weight, xxh3_64(&feature.id.to_le_bytes()));
    let mut all: Vec<_> = layers.iter().flat_map(|layer| layer.features.iter().map(order)).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    let Some(first_out) = all.get(keep).copied() else { return };
    for layer in layers {
        layer.features.retain(|feature| order(feature) > first_out);
    }
}
