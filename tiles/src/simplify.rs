//! Simplifying: leaves out the vertices that a zoom does not show, and rounds the others to the tile's grid.
//!
//! One idea: ranking has decided everything, so this is a filter. It comes before clipping: two neighbouring tiles
//! then draw the same simplified line, and meet without a gap. What lies far beyond the tile is not walked: of blocks
//! that lie on one side of it in a row only the first and the last vertex count, as in a [`cut`](crate::cut).
//! Not here: any geometry.

use crate::coord::{Bounds, Grid, Point, Scale, TileCoord};
use crate::cut::beyond;
use crate::feature::Vertex;
use crate::packed::{BLOCK_VERTICES, Path};
use crate::watch::{Stopped, Watch};

/// A position in tile units from the tile's north-western corner; y grows south. Far beyond the tile before clipping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TilePoint {
    /// Tile units east.
    pub x: i64,
    /// Tile units south.
    pub y: i64,
}

/// Several lines or rings in tile units, one behind the other in one list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TilePaths {
    points: Vec<TilePoint>,
    /// Where each path ends in the list.
    ends: Vec<usize>,
}

impl TilePaths {
    /// Empties the list without giving its memory back.
    pub fn clear(&mut self) {
        self.points.clear();
        self.ends.clear();
    }

    /// Whether no path is finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many paths are finished.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// A path by its place in the list.
    #[must_use]
    pub fn path(&self, index: usize) -> &[TilePoint] {
        &self.points[self.start(index)..self.ends[index]]
    }

    /// All finished paths.
    pub fn iter(&self) -> impl Iterator<Item = &[TilePoint]> {
        (0..self.len()).map(|index| self.path(index))
    }

    /// The unfinished path.
    #[must_use]
    pub fn open(&self) -> &[TilePoint] {
        &self.points[self.ends.last().copied().unwrap_or(0)..]
    }

    /// Adds a point to the unfinished path, unless it repeats the last one.
    #[inline]
    pub fn push(&mut self, point: TilePoint) {
        if self.open().last() != Some(&point) {
            self.points.push(point);
        }
    }

    /// How many points there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.points.capacity()
    }

    /// Adds points as they are to the unfinished path.
    pub fn extend(&mut self, points: &[TilePoint]) {
        self.points.extend_from_slice(points);
    }

    /// Finishes a path of at least so many points; a shorter one is taken back.
    pub fn finish(&mut self, least: usize) {
        let start = self.ends.last().copied().unwrap_or(0);
        if self.points.len() - start < least {
            self.points.truncate(start);
        } else {
            self.ends.push(self.points.len());
        }
    }

    /// Finishes a ring: without a last point that repeats the first, and only if it can have an area.
    pub fn finish_ring(&mut self) {
        let repeats = |open: &[TilePoint]| open.len() > 1 && open.first() == open.last();
        while repeats(self.open()) {
            self.points.pop();
        }
        self.finish(3);
    }

    /// Where a path begins in the list.
    #[must_use]
    pub fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

/// Rounds world units to one tile's grid.
#[derive(Clone, Copy, Debug)]
pub struct Rounding {
    zoom: u8,
    origin: Point,
    scale: Scale,
    sight: Bounds,
}

impl Rounding {
    /// The grid of a tile.
    #[must_use]
    pub fn new(tile: TileCoord, grid: Grid) -> Self {
        let (origin, sight) = (tile.origin(), grid.sight(tile));
        Self { zoom: tile.z(), origin, scale: grid.scale(tile.z()), sight }
    }

    /// The same grid with the vertices that another zoom shows.
    #[must_use]
    pub fn with_detail(self, zoom: u8) -> Self {
        Self { zoom, ..self }
    }

    /// World units to the nearest tile units, halves to the south-east.
    #[inline]
    #[must_use]
    pub fn point(&self, x: i32, y: i32) -> TilePoint {
        let round = |world: i32, origin: i32| self.scale.round(i64::from(world) - i64::from(origin));
        TilePoint { x: round(x, self.origin.x), y: round(y, self.origin.y) }
    }

    /// The vertices that the tile's zoom shows, in tile units, without immediate repetitions. Of blocks beyond one
    /// side of the tile only what makes a difference inside.
    ///
    /// # Errors
    /// When told to stop.
    pub(crate) fn path(
        &self,
        path: Path<'_>,
        out: &mut Vec<TilePoint>,
        watch: &mut Watch<'_>,
    ) -> Result<(), Stopped> {
        out.clear();
        let mut block = 0;
        while let Some(bounds) = path.blocks.get(block) {
            let mut side = beyond(&self.sight, bounds);
            let first = block;
            block += 1;
            watch.worked(BLOCK_VERTICES)?;
            if side == 0 {
                self.shown(path.block(first), out);
                continue;
            }
            while let Some(bounds) = path.blocks.get(block)
                && side & beyond(&self.sight, bounds) != 0
            {
                side &= beyond(&self.sight, bounds);
                block += 1;
            }
            let end = (block * BLOCK_VERTICES).min(path.vertices.len());
            self.ends(&path.vertices[first * BLOCK_VERTICES..end], out);
        }
        Ok(())
    }

    fn shown(&self, vertices: &[Vertex], out: &mut Vec<TilePoint>) {
        for vertex in vertices.iter().filter(|vertex| vertex.zoom <= self.zoom) {
            push(self.point(vertex.x, vertex.y), out);
        }
    }

    fn ends(&self, vertices: &[Vertex], out: &mut Vec<TilePoint>) {
        let Some(first) = vertices.iter().position(|vertex| vertex.zoom <= self.zoom) else { return };
        let last = vertices.iter().rposition(|vertex| vertex.zoom <= self.zoom).unwrap_or(first);
        for index in [first, last] {
            push(self.point(vertices[index].x, vertices[index].y), out);
        }
    }

    /// What the tile sees, in world units, and so many of its units more on each side.
    #[must_use]
    pub fn sight_with(&self, units: i32) -> Bounds {
        self.sight.grown(self.scale.world_units(units))
    }
}

#[inline]
fn push(point: TilePoint, out: &mut Vec<TilePoint>) {
    if out.last() != Some(&point) {
        out.push(point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::tests::blocks;

    #[test]
    fn vertices_of_deeper_zooms_and_repetitions_go() {
        let rounding = Rounding::new(TileCoord::ROOT, Grid::new(12, 64));
        let unit = 1 << 18;
        let vertices = [(0, 0, 0), (unit, 0, 1), (2 * unit, 0, 0), (2 * unit + 1, 5, 0)]
            .map(|(x, y, zoom)| Vertex { x, y, zoom });
        let mut out = Vec::new();
        rounding
            .path(
                Path { vertices: &vertices, blocks: &blocks(&vertices) },
                &mut out,
                &mut Watch::new(&|| false),
            )
            .unwrap();
        assert_eq!(out, [TilePoint { x: 0, y: 0 }, TilePoint { x: 2, y: 0 }]);
    }

    #[test]
    fn blocks_on_one_side_are_their_first_and_last_vertex() {
        let rounding = Rounding::new(TileCoord::new(4, 0, 0).unwrap(), Grid::new(12, 64));
        let far: Vec<_> =
            (0..1000).map(|i| Vertex { x: (1 << 29) + i * 10_000, y: 0, zoom: (i % 3) as u8 + 3 }).collect();
        let mut out = Vec::new();
        rounding
            .path(Path { vertices: &far, blocks: &blocks(&far) }, &mut out, &mut Watch::new(&|| false))
            .unwrap();
        assert_eq!(out, [0, 999].map(|i: usize| rounding.point(far[i].x, far[i].y)));
    }

    #[test]
    fn rounding_is_the_same_on_both_sides_of_a_tile_s_edge() {
        let grid = Grid::new(12, 64);
        let [west, east] = [0, 1].map(|x| Rounding::new(TileCoord::new(1, x, 0).unwrap(), grid));
        for x in (1 << 29) - 300_000..(1 << 29) + 300_000 {
            assert_eq!(west.point(x, 0).x - 4096, east.point(x, 0).x);
        }
    }

    #[test]
    fn below_a_world_unit_tiles_are_scaled_up_exactly() {
        let tile = TileCoord::new(22, 4_000_000, 1).unwrap();
        let (rounding, origin) = (Rounding::new(tile, Grid::new(12, 64)), tile.origin());
        assert_eq!(rounding.point(origin.x + 3, origin.y - 1), TilePoint { x: 48, y: -16 });
    }
}
