//! Cutting down the quadtree: takes out of a cell what a tile below it, and the tiles below that, cannot see.
//!
//! One idea: a cut only ever leaves vertices out, and never moves or adds one. Where a line runs on outside the tile,
//! all on one side of it, only its first and last vertex there are kept, for each zoom that could ask:
//!
//! ```text
//!        a          f          The tile is the box. b to e all lie to the north of it, so whatever the tile draws is
//!         \   c    /           the same without c and d: the shortcut b-e lies to the north, too. b and e stay, and so
//!          b-/ \d-e            does c if it shows at zooms where b does not: "the first vertex north" has to be
//!       +----------+           there at every zoom.
//! ```
//!
//! So a tile comes out the same, byte for byte, however many cuts lie between it and the source, none included: that
//! is what makes a dynamic tile equal to a pre-rendered one. Not here: the exact clipping of what a tile draws, which
//! does make new vertices (see [`clip`](crate::clip)).

use std::sync::Arc;

use crate::coord::{Bounds, Grid, Point, TileCoord, WORLD};
use crate::feature::{Cell, CellLayer, Feature, Geometry, Ring, Vertex};

/// What the tile and those below it can see of a cell that covers it.
#[must_use]
pub fn cut(cell: &Cell, tile: TileCoord, grid: Grid) -> Cell {
    let view = View { sight: grid.sight(tile), dot_reach: grid.scale(tile.z()).world_units(DOT_REACH_UNITS) };
    let layers = cell.layers.iter().filter_map(|layer| {
        let deep = layer.features.iter().filter(|feature| feature.max_zoom >= tile.z());
        let features: Vec<_> = deep.filter_map(|feature| view.feature(feature)).collect();
        let kept = !features.is_empty();
        kept.then(|| CellLayer { dictionary: Arc::clone(&layer.dictionary), features })
    });
    Cell { layers: layers.collect() }
}

/// The world as the one tile of zoom 0 sees it: each feature, and where it reaches into the buffer beyond the
/// antimeridian, copies of it a world further east and west. Copies are parts of the same feature: so a polygon whose
/// halves meet at the antimeridian becomes one when it is cleaned.
#[must_use]
pub fn wrap(mut cell: Cell, grid: Grid) -> Cell {
    let view =
        View { sight: grid.sight(TileCoord::ROOT), dot_reach: grid.scale(0).world_units(DOT_REACH_UNITS) };
    for feature in cell.layers.iter_mut().flat_map(|layer| &mut layer.features) {
        let copies = [-WORLD, WORLD].map(|by| moved(feature, by).and_then(|copy| view.feature(&copy)));
        for copy in copies.into_iter().flatten() {
            match (&mut feature.geometry, copy.geometry) {
                (Geometry::Points(all), Geometry::Points(more)) => all.extend(more),
                (Geometry::Lines(all), Geometry::Lines(more)) => all.extend(more),
                (Geometry::Polygons(all), Geometry::Polygons(more)) => all.extend(more),
                _ => {}
            }
        }
    }
    cell
}

/// A copy some world units to the east; `None` when it is far beyond what the one tile of zoom 0 sees. A feature as
/// wide as the world loses the last of its units, two worlds from the tile.
fn moved(feature: &Feature, by: i32) -> Option<Feature> {
    let bounds = feature.geometry.bounds();
    let margin = WORLD / 2 + WORLD / 32;
    if bounds.max.x.saturating_add(by) < -margin || bounds.min.x.saturating_add(by) > WORLD + margin {
        return None;
    }
    let mut copy = feature.clone();
    let shift = |x: &mut i32| *x = x.saturating_add(by);
    match &mut copy.geometry {
        Geometry::Points(points) => points.iter_mut().for_each(|point| shift(&mut point.x)),
        Geometry::Lines(lines) => lines.iter_mut().flatten().for_each(|vertex| shift(&mut vertex.x)),
        Geometry::Polygons(rings) => {
            for ring in rings {
                shift(&mut ring.dot.x);
                ring.vertices.iter_mut().for_each(|vertex| shift(&mut vertex.x));
            }
        }
    }
    Some(copy)
}

struct View {
    sight: Bounds,
    /// How far a dot reaches at most at the tile's zoom, in world units.
    dot_reach: i32,
}

impl View {
    fn feature(&self, feature: &Feature) -> Option<Feature> {
        let geometry = match &feature.geometry {
            Geometry::Points(points) => {
                Geometry::Points(some(points.iter().copied().filter(|p| sees(&self.sight, *p)).collect())?)
            }
            Geometry::Lines(lines) => {
                Geometry::Lines(some(lines.iter().filter_map(|line| self.path(line)).collect())?)
            }
            Geometry::Polygons(rings) => {
                Geometry::Polygons(some(rings.iter().filter_map(|ring| self.ring(ring)).collect())?)
            }
        };
        Some(Feature { tags: Arc::clone(&feature.tags), geometry, ..*feature })
    }

    fn ring(&self, ring: &Ring) -> Option<Ring> {
        let vertices = self.path(&ring.vertices).unwrap_or_default();
        if vertices.is_empty() && !self.sees_dot(ring) {
            return None;
        }
        Some(Ring { vertices, ..*ring })
    }

    fn sees_dot(&self, ring: &Ring) -> bool {
        sees(&self.sight.grown(self.dot_reach), ring.dot)
    }

    /// The vertices of a line or ring that the tile needs; `None` when all lie on one side of it.
    fn path(&self, vertices: &[Vertex]) -> Option<Vec<Vertex>> {
        let mut kept = Vec::new();
        let mut rest = vertices;
        let mut seen = false;
        while let Some(first) = rest.first() {
            let side = outside(&self.sight, first.x, first.y);
            let (run, behind) = rest.split_at(run_length(&self.sight, rest, side));
            seen |= !behind.is_empty() || side == 0;
            keep_ends(run, side, &mut kept);
            rest = behind;
        }
        seen.then_some(kept)
    }
}

/// A dot is a square of up to 256 square tile units, so it reaches 8 units from its middle, and one for rounding.
pub(crate) const DOT_REACH_UNITS: i32 = 9;

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Whether a point lies in the box.
pub(crate) fn sees(sight: &Bounds, point: Point) -> bool {
    outside(sight, point.x, point.y) == 0
}

/// Beyond which sides of the sight the whole of a box lies, a bit each; 0 when some of it may be seen.
pub(crate) fn beyond(sight: &Bounds, all: &Bounds) -> u8 {
    u8::from(all.max.x < sight.min.x)
        | u8::from(all.min.x > sight.max.x) << 1
        | u8::from(all.max.y < sight.min.y) << 2
        | u8::from(all.min.y > sight.max.y) << 3
}

/// On which sides of the box a point lies, a bit each (Cohen and Sutherland); 0 inside.
fn outside(sight: &Bounds, x: i32, y: i32) -> u8 {
    u8::from(x < sight.min.x)
        | u8::from(x > sight.max.x) << 1
        | u8::from(y < sight.min.y) << 2
        | u8::from(y > sight.max.y) << 3
}

/// How many vertices from the first share a side outside of the box with all before them; 1 for one inside.
fn run_length(sight: &Bounds, vertices: &[Vertex], first: u8) -> usize {
    let mut shared = first;
    let goes_on = |vertex: &&Vertex| {
        shared &= outside(sight, vertex.x, vertex.y);
        shared != 0
    };
    1 + vertices[1..].iter().take_while(goes_on).count()
}

/// Keeps of a run outside the vertices that are the first or the last of it at some zoom.
fn keep_ends(run: &[Vertex], side: u8, kept: &mut Vec<Vertex>) {
    if side == 0 || run.len() <= 2 {
        kept.extend_from_slice(run);
        return;
    }
    let start = kept.len();
    let mut least = u8::MAX;
    let mut heads = 0;
    for (index, vertex) in run.iter().enumerate() {
        if vertex.zoom < least || index == 0 {
            least = vertex.zoom;
            heads = index + 1;
            kept.push(*vertex);
        }
    }
    let tail_start = kept.len();
    let mut least = u8::MAX;
    for vertex in run[heads..].iter().rev() {
        if vertex.zoom < least {
            least = vertex.zoom;
            kept.push(*vertex);
        }
    }
    kept[tail_start..].reverse();
    debug_assert!(kept.len() - start <= run.len());
}
