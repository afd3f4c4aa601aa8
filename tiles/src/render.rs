//! Rendering: one tile from any cell that covers it.
//!
//! One idea: this is the one function behind both callers. The builder gives it the cell of the tile itself, the
//! server the cell of an ancestor, and since a cut leaves no trace (see [`cut`](crate::cut)), both get the same bytes.
//! Not here: compression, caching, clocks.

use std::cell::RefCell;

use xxhash_rust::xxh3::xxh3_64;

use crate::clean::Cleaner;
use crate::clip::{Area, Window};
use crate::coord::TileCoord;
use crate::cut::DOT_REACH_UNITS;
use crate::encode::{Drawn, Encoder, Pen};
use crate::options::RenderOptions;
use crate::packed::{Kind, Packed, PackedFeature, PackedLayer, Part, Path};
use crate::simplify::{Rounding, TilePaths, TilePoint};
use crate::watch::Watch;

pub use crate::watch::Stopped;

/// Raise this with every change of code that changes tiles' bytes: it is a part of every set's version, and a version
/// has to mean the same bytes for ever. The test `golden` in `tests/` says when.
pub const RENDERER_REVISION: u32 = 3;

/// A tile that is too large is drawn with the detail of so many zooms less before any feature goes.
const COARSER_FIRST: u8 = 2;

/// A thread keeps its working memory from tile to tile unless a tile has used more than this, in bytes.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// A rendered tile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The vector tile, not compressed; empty when there is nothing to draw.
    pub bytes: Vec<u8>,
    /// How many features are in it.
    pub features: usize,
    /// How many features were left out because the tile was too large.
    pub dropped: usize,
    /// How many zooms less than its own the detail of lines and polygons is, because the tile was too large.
    pub coarser: u8,
}

thread_local! {
    static PAINTER: RefCell<Painter> = RefCell::default();
}

/// Draws a tile from a cell that covers it and its zoom. `stop` is asked now and then whether to give up.
///
/// # Errors
/// When told to stop.
pub fn render(
    cell: &Packed,
    tile: TileCoord,
    options: &RenderOptions,
    stop: &dyn Fn() -> bool,
) -> Result<Rendered, Stopped> {
    PAINTER.with_borrow_mut(|painter| {
        let rendered = painter.tile(cell, &Brush::new(tile, options), options, &mut Watch::new(stop));
        painter.clear();
        rendered
    })
}

/// What drawing on one tile's grid takes.
struct Brush {
    rounding: Rounding,
    window: Window,
    zoom: u8,
    /// Tile units.
    dot_side: i64,
}

impl Brush {
    fn new(tile: TileCoord, options: &RenderOptions) -> Self {
        let grid = options.grid();
        Self {
            rounding: Rounding::new(tile, grid),
            window: Window::new(grid),
            zoom: tile.z(),
            dot_side: dot_side(options.dot_area),
        }
    }

    /// The same with the vertices of so many zooms less.
    fn coarser(&self, zooms: u8) -> Self {
        Self { rounding: self.rounding.with_detail(self.zoom.saturating_sub(zooms)), ..*self }
    }

    fn dot(&self, part: &Part) -> [TilePoint; 4] {
        let middle = self.rounding.point(part.dot.x, part.dot.y);
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

/// Draws features, one after the other. All of its memory is used again, so that drawing allocates next to nothing.
#[derive(Default)]
struct Painter {
    path: Vec<TilePoint>,
    /// The feature's lines or rings, clipped.
    clipped: TilePaths,
    /// The feature's rings, simplified, for when they have to be clipped one by one.
    rings: TilePaths,
    area: Area,
    cleaner: Cleaner,
    /// The commands of all features drawn so far.
    commands: Vec<u8>,
    drawn: Vec<Drawn>,
    encoder: Encoder,
}

impl Painter {
    fn tile(
        &mut self,
        cell: &Packed,
        brush: &Brush,
        options: &RenderOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Rendered, Stopped> {
        self.draw(cell, brush, watch)?;
        self.fitted(cell, brush, options, watch)
    }

    /// Draws what the cell shows, and nothing else.
    fn draw(&mut self, cell: &Packed, brush: &Brush, watch: &mut Watch<'_>) -> Result<(), Stopped> {
        self.commands.clear();
        self.drawn.clear();
        let [near, with_dots] = [0, DOT_REACH_UNITS].map(|units| brush.rounding.sight_with(units));
        for (index, layer) in cell.layers.iter().enumerate() {
            for (feature, tags, parts) in layer.each() {
                let sight = if feature.kind == Kind::Polygons { &with_dots } else { &near };
                let shown = (feature.min_zoom..=feature.max_zoom).contains(&brush.zoom);
                watch.worked(1)?;
                if !shown || !feature.bounds.meets(sight) {
                    continue;
                }
                let start = self.commands.len();
                self.feature(layer, feature, parts, brush, watch)?;
                let commands = start..self.commands.len();
                if !commands.is_empty() {
                    let &PackedFeature { id, weight, kind, .. } = feature;
                    self.drawn.push(Drawn { layer: index, id, weight, tags, kind, commands });
                }
            }
        }
        Ok(())
    }

    fn feature(
        &mut self,
        layer: &PackedLayer,
        feature: &PackedFeature,
        parts: std::ops::Range<usize>,
        brush: &Brush,
        watch: &mut Watch<'_>,
    ) -> Result<(), Stopped> {
        match feature.kind {
            Kind::Points => self.points(layer, parts, brush, watch),
            Kind::Lines => self.lines(layer, parts, brush, watch),
            Kind::Polygons => self.polygons(layer, parts, brush, watch),
        }
    }

    fn points(
        &mut self,
        layer: &PackedLayer,
        parts: std::ops::Range<usize>,
        brush: &Brush,
        watch: &mut Watch<'_>,
    ) -> Result<(), Stopped> {
        self.path.clear();
        for Path { vertices, .. } in parts.map(|part| layer.path(part)) {
            watch.worked(vertices.len())?;
            let here = vertices.iter().map(|vertex| brush.rounding.point(vertex.x, vertex.y));
            self.path.extend(here.filter(|point| brush.window.holds(*point)));
        }
        self.path.dedup();
        if !self.path.is_empty() {
            Pen::new(&mut self.commands).points(&self.path);
        }
        Ok(())
    }

    fn lines(
        &mut self,
        layer: &PackedLayer,
        parts: std::ops::Range<usize>,
        brush: &Brush,
        watch: &mut Watch<'_>,
    ) -> Result<(), Stopped> {
        self.clipped.clear();
        for part in parts {
            brush.rounding.path(layer.path(part), &mut self.path, watch)?;
            brush.window.line(&self.path, &mut self.clipped);
        }
        Pen::new(&mut self.commands).lines(&self.clipped);
        Ok(())
    }

    fn polygons(
        &mut self,
        layer: &PackedLayer,
        parts: std::ops::Range<usize>,
        brush: &Brush,
        watch: &mut Watch<'_>,
    ) -> Result<(), Stopped> {
        self.area.clear();
        self.rings.clear();
        for index in parts {
            let part = &layer.parts[index];
            if brush.zoom < part.dot_zoom {
                continue;
            }
            if brush.zoom < part.shape_zoom {
                self.rings.extend(&brush.dot(part));
            } else {
                brush.rounding.path(layer.path(index), &mut self.path, watch)?;
                self.rings.extend(&self.path);
            }
            self.area.add(&brush.window, self.rings.open());
            self.rings.finish(1);
        }
        if !self.area.finish(&brush.window, &mut self.clipped) {
            self.clipped.clear();
            for ring in self.rings.iter() {
                self.clipped.extend(&brush.window.ring(ring));
                self.clipped.finish(3);
            }
        }
        let mut pen = Pen::new(&mut self.commands);
        for placed in self.cleaner.clean(&mut self.clipped, watch)? {
            pen.ring(self.clipped.path(placed.ring), placed.backwards);
        }
        Ok(())
    }

    /// Encodes the features; what is too large loses detail first, then the least important features.
    ///
    /// All lines and polygons are drawn with the vertices of one zoom less, then of two: that is hardly seen, and
    /// neighbours still meet. Then the features of least weight go. One always stays, drawn as coarsely as it takes: a
    /// tile is never empty when it had something. All this depends on the tile alone, whoever renders it.
    fn fitted(
        &mut self,
        cell: &Packed,
        brush: &Brush,
        options: &RenderOptions,
        watch: &mut Watch<'_>,
    ) -> Result<Rendered, Stopped> {
        let most = options.tile_bytes_max;
        let all = self.drawn.len();
        let mut bytes = self.encoded(cell, options);
        let mut coarser = 0;
        while bytes.len() > most && coarser < COARSER_FIRST.min(brush.zoom) && self.has_detail() {
            coarser += 1;
            self.draw(cell, &brush.coarser(coarser), watch)?;
            bytes = self.encoded(cell, options);
        }
        while bytes.len() > most && self.drawn.len() > 1 {
            // A little more than the excess goes each time, so that a few rounds are enough.
            let count = self.drawn.len();
            keep_heaviest(&mut self.drawn, (count * most / bytes.len() * 15 / 16).clamp(1, count - 1));
            bytes = self.encoded(cell, options);
        }
        while bytes.len() > most && coarser < brush.zoom && self.has_detail() {
            coarser += 1;
            self.draw(cell, &brush.coarser(coarser), watch)?;
            keep_heaviest(&mut self.drawn, 1);
            bytes = self.encoded(cell, options);
        }
        let features = self.drawn.len();
        Ok(Rendered { bytes, features, dropped: all.saturating_sub(features), coarser })
    }

    fn encoded(&mut self, cell: &Packed, options: &RenderOptions) -> Vec<u8> {
        self.encoder.tile(cell, &self.drawn, &self.commands, options.extent)
    }

    /// Whether anything is drawn that could have less detail.
    fn has_detail(&self) -> bool {
        self.drawn.iter().any(|feature| feature.kind != Kind::Points)
    }

    fn clear(&mut self) {
        let kept = self.commands.capacity()
            + size_of::<TilePoint>() * (self.path.capacity() + self.rings.capacity());
        if kept > KEPT_BYTES_MAX {
            *self = Self::default();
        }
        self.commands.clear();
        self.drawn.clear();
    }
}

/// Keeps so many features of all layers: those of most weight, and among equals those that draw the best lot by id.
fn keep_heaviest(drawn: &mut Vec<Drawn>, keep: usize) {
    let lot = |feature: &Drawn| (feature.weight, xxh3_64(&feature.id.to_le_bytes()));
    let mut all: Vec<_> = drawn.iter().map(lot).zip(0_usize..).collect();
    all.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut goes = vec![true; drawn.len()];
    all.iter().take(keep).for_each(|(_, index)| goes[*index] = false);
    let mut goes = goes.into_iter();
    drawn.retain(|_| goes.next() == Some(false));
}
