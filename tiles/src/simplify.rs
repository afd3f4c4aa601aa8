//! Simplifying: leaves out the vertices that a zoom does not show, and rounds the others to the tile's grid.
//!
//! One idea: ranking has decided everything, so this is a filter. It comes before clipping: two neighbouring tiles
//! then draw the same simplified line, and meet without a gap. Not here: any geometry.

use crate::coord::{Grid, Point, TileCoord};
use crate::feature::Vertex;

/// A position in tile units from the tile's north-western corner; y grows south. Far beyond the tile before clipping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TilePoint {
    /// Tile units east.
    pub x: i64,
    /// Tile units south.
    pub y: i64,
}

/// Rounds world units to one tile's grid.
#[derive(Clone, Copy, Debug)]
pub struct Rounding {
    zoom: u8,
    origin: Point,
    shift: u8,
}

impl Rounding {
    /// The grid of a tile.
    #[must_use]
    pub fn new(tile: TileCoord, grid: Grid) -> Self {
        Self { zoom: tile.z(), origin: tile.origin(), shift: grid.shift(tile.z()) }
    }

    /// World units to the nearest tile units, halves to the south-east.
    #[must_use]
    pub fn point(&self, x: i32, y: i32) -> TilePoint {
        let half = (1_i64 << self.shift) >> 1;
        let round = |world: i32, origin: i32| (i64::from(world) - i64::from(origin) + half) >> self.shift;
        TilePoint { x: round(x, self.origin.x), y: round(y, self.origin.y) }
    }

    /// The vertices that the tile's zoom shows, in tile units, without immediate repetitions.
    pub fn path(&self, vertices: &[Vertex], out: &mut Vec<TilePoint>) {
        out.clear();
        let shown = vertices.iter().filter(|vertex| vertex.zoom <= self.zoom);
        for point in shown.map(|vertex| self.point(vertex.x, vertex.y)) {
            if out.last() != Some(&point) {
                out.push(point);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vertices_of_deeper_zooms_and_repetitions_go() {
        let rounding = Rounding::new(TileCoord::ROOT, Grid::new(12, 64));
        let unit = 1 << 18;
        let vertices = [(0, 0, 0), (unit, 0, 1), (2 * unit, 0, 0), (2 * unit + 1, 5, 0)]
            .map(|(x, y, zoom)| Vertex { x, y, zoom });
        let mut out = Vec::new();
        rounding.path(&vertices, &mut out);
        assert_eq!(out, [TilePoint { x: 0, y: 0 }, TilePoint { x: 2, y: 0 }]);
    }

    #[test]
    fn rounding_is_the_same_on_both_sides_of_a_tile_s_edge() {
        let grid = Grid::new(12, 64);
        let [west, east] = [0, 1].map(|x| Rounding::new(TileCoord::new(1, x, 0).unwrap(), grid));
        for x in (1 << 29) - 300_000..(1 << 29) + 300_000 {
            assert_eq!(west.point(x, 0).x - 4096, east.point(x, 0).x);
        }
    }
}
