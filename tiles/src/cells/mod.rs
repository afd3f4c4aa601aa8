//! Cells as bytes, and how deep they lie: what hangs below the last pre-rendered zoom, kept beside the archive.
//!
//! One idea: a cell that is larger than a reader likes to fetch is divided into its four quarters, and leaves behind
//! the one tile that no quarter can draw, finished. So every tile is rendered from the deepest cell that covers it, or is
//! there already; and whoever renders needs one read of one range. The bytes are the columns of a [`Packed`] cell as they
//! are, so that opening one is no more than copying. Not here: the container (see [`archive`](crate::archive)).
//!
//! ```text
//! revision | checksum of the rest: 8 bytes | 0 | a finished tile, not packed
//! revision | checksum of the rest: 8 bytes | 1 | layers: count, each
//!   name: length, text
//!   keys, values: count, a length each, then all their fields of a vector tile's layer
//!   counts of features, tags, parts, rings, vertices
//!   features: ids, 8 bytes | weights, 4 | ends of tags, 4 | ends of parts, 4 | least zooms | last zooms | kinds
//!   tags:     keys | values, each 2 bytes, or 4 when there are more than 65,536 words of a kind
//!   parts:    ends of vertices, 4
//!   rings:    dots' x, 4 | y, 4 | dot zooms | shape zooms
//!   vertices: x, 4 | y, 4 | zooms
//! ```
//!
//! Columns are little-endian; counts and lengths are varints. A column "ends" says where each item's share of the next
//! column ends. Rings are the parts of polygons, in order.

mod read;
mod write;

use crate::compress::UNPACKED_BYTES_MAX;
use crate::coord::{Grid, TileCoord};
use crate::cut::cut;
use crate::feature::Cell;
use crate::packed::{Packed, PackedLayer, Zooms};

pub use read::from_bytes;
pub use write::{tile_to_bytes, to_bytes};

/// The first byte of every cell.
pub(crate) const REVISION: u8 = 3;

/// What stands there, as the byte after the checksum says.
const TILE: u8 = 0;
const CELL: u8 = 1;

/// Cells are not divided below this zoom, unless nobody could read them: a place where so much lies would be written again
/// for every zoom.
pub const CELL_ZOOM_MAX: u8 = 16;

/// What lies at a tile's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// What the tile and all tiles below it are rendered from.
    Cell(Packed),
    /// The tile, not packed. What was here has been divided: the tiles below it have cells of their own, or are empty.
    Tile(Vec<u8>),
}

/// What is left of a cell at its own tile.
pub enum Divided<'a> {
    /// All of it, as bytes.
    Whole(Vec<u8>),
    /// No more than the tile itself, which has to be drawn from this: the rest is divided among the quarters.
    Quartered(&'a Cell),
}

/// How cells are divided.
#[derive(Clone, Copy, Debug)]
pub struct Division {
    /// What a tile sees beyond its sides.
    pub grid: Grid,
    /// The deepest zoom that is rendered from the cells.
    pub max_zoom: u8,
    /// A cell of about more bytes is divided.
    pub cell_bytes: usize,
    /// One of more is divided at any zoom: nobody would read it.
    pub cell_bytes_max: usize,
}

impl Division {
    /// Cells of about so many bytes, down to a zoom.
    #[must_use]
    pub fn new(grid: Grid, max_zoom: u8, cell_bytes: usize) -> Self {
        Self { grid, max_zoom, cell_bytes, cell_bytes_max: UNPACKED_BYTES_MAX }
    }

    /// Whether a tile's cell of about so many bytes is one.
    pub(crate) fn is_whole(self, tile: TileCoord, bytes_about: usize) -> bool {
        let ends = tile.z() >= self.max_zoom.min(CELL_ZOOM_MAX);
        bytes_about <= if ends { self.cell_bytes_max } else { self.cell_bytes }
    }

    /// The zooms that a tile's own cell is for, if it is not divided.
    pub(crate) fn zooms(self, tile: TileCoord) -> Zooms {
        Zooms { from: tile.z(), to: self.max_zoom }
    }
}

/// Hands what becomes of the cell of a tile to `put`, each before its quarters. No more than the cells on the way down are
/// in memory at a time.
///
/// # Errors
/// What `put` says.
pub fn divide<E>(
    cell: &Cell,
    tile: TileCoord,
    division: Division,
    put: &mut impl FnMut(TileCoord, Divided<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let whole = Packed::of(cell, division.zooms(tile));
    if whole.is_empty() {
        return Ok(());
    }
    if division.is_whole(tile, bytes_about(&whole)) {
        // Words may be long.
        let bytes = to_bytes(&whole);
        if bytes.len() <= division.cell_bytes_max {
            return put(tile, Divided::Whole(bytes));
        }
    }
    drop(whole);
    put(tile, Divided::Quartered(cell))?;
    if tile.z() == division.max_zoom {
        return Ok(());
    }
    for child in tile.children() {
        divide(&cut(cell, child, division.grid), child, division, put)?;
    }
    Ok(())
}

/// How many bytes a cell will have, without the words.
pub(crate) fn bytes_about(packed: &Packed) -> usize {
    let layer = |layer: &PackedLayer| {
        23 * layer.features.len() + 4 * layer.tags.len() + 12 * layer.parts.len() + 9 * layer.vertices.len()
    };
    packed.layers.iter().map(layer).sum()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::coord::Point;
    use crate::feature::{ANY_ZOOM, CellLayer, Dictionary, Feature, Geometry, Ring, Value, Vertex};
    use quickcheck::quickcheck;
    use std::sync::Arc;
    use xxhash_rust::xxh3::xxh3_64;

    /// A cell of each kind of geometry and of value.
    pub(crate) fn cell() -> Cell {
        let vertex = |x, y, zoom| Vertex { x, y, zoom };
        let ring = Ring {
            vertices: vec![vertex(0, 0, 0), vertex(10, 0, 0), vertex(10, 300, 7)],
            dot: Point { x: 5, y: 150 },
            dot_zoom: 3,
            shape_zoom: 9,
        };
        let geometries = [
            Geometry::Points(vec![Point { x: -1, y: 2 }]),
            Geometry::Lines(vec![vec![vertex(1, 1, 0), vertex(2, 2, 5)]]),
            Geometry::Polygons(vec![ring]),
        ];
        let feature = |(id, geometry)| Feature {
            id: id as u64,
            tags: vec![(0, u32::try_from(id).unwrap()), (1, 4)].into(),
            min_zoom: 2,
            max_zoom: 14,
            weight: 300,
            geometry,
        };
        let dictionary = Dictionary {
            name: "l".into(),
            keys: vec!["a".into(), "b".into()],
            values: vec![
                Value::Text("x".into()),
                Value::Double(0.5),
                Value::Natural(7),
                Value::Negative(-7),
                Value::Bool(true),
            ],
        };
        let features = geometries.into_iter().enumerate().map(feature).collect();
        Cell { layers: vec![CellLayer { dictionary: Arc::new(dictionary), features }] }
    }

    fn all() -> Packed {
        Packed::of(&cell(), Zooms { from: 0, to: 14 })
    }

    #[test]
    fn the_bytes_are_held_still() {
        let bytes = to_bytes(&all());
        #[rustfmt::skip]
        let golden = [
            1,
            1, 1, b'l',
            2, 3, 3, 0x1A, 1, b'a', 0x1A, 1, b'b',
            4, 5, 4, 11, 4,
            0x22, 3, 0x0A, 1, b'x', 0x22, 2, 0x38, 1, 0x22, 9, 0x19, 0, 0, 0, 0, 0, 0, 0xE0, 0x3F, 0x22, 2, 0x28, 7,
            3, 6, 3, 1, 6,
            0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
            0x2C, 1, 0, 0, 0x2C, 1, 0, 0, 0x2C, 1, 0, 0,
            2, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0,
            2, 2, 2, 14, 14, 14, 0, 1, 2,
            0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0,
            1, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0,
            5, 0, 0, 0, 150, 0, 0, 0, 3, 9,
            255, 255, 255, 255, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 10, 0, 0, 0,
            2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x2C, 1, 0, 0,
            0, 0, 5, 0, 0, 7,
        ];
        assert_eq!((bytes[0], &bytes[9..]), (REVISION, &golden[..]));
    }

    #[test]
    fn a_cell_comes_back() {
        let Opened::Cell(packed) = from_bytes(&to_bytes(&all())).unwrap() else { panic!("it is a cell") };
        assert_eq!(to_bytes(&packed), to_bytes(&all()));
        let (ours, theirs) = (&all().layers[0], &packed.layers[0]);
        assert_eq!(
            (&ours.features, &ours.parts, &ours.blocks),
            (&theirs.features, &theirs.parts, &theirs.blocks)
        );
    }

    #[test]
    fn a_finished_tile_comes_back() {
        let bytes = tile_to_bytes(b"tile");
        assert_eq!(from_bytes(&bytes).unwrap(), Opened::Tile(b"tile".to_vec()));
        assert!(from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }

    /// What a division leaves at each tile: how many bytes where all of it, `None` where no more than the tile.
    fn divided(division: Division) -> Vec<(TileCoord, Option<usize>)> {
        let mut all = Vec::new();
        let put = &mut |tile, divided: Divided<'_>| -> Result<(), ()> {
            all.push((
                tile,
                match divided {
                    Divided::Whole(bytes) => Some(bytes.len()),
                    Divided::Quartered(_) => None,
                },
            ));
            Ok(())
        };
        let mut cell = cell();
        cell.layers[0].features.iter_mut().for_each(|feature| feature.max_zoom = ANY_ZOOM);
        divide(&cell, TileCoord::ROOT.children()[0], division, put).unwrap();
        all
    }

    #[test]
    fn what_nobody_could_read_is_divided_down_to_the_tile() {
        let grid = Grid::new(12, 64);
        assert!(matches!(divided(Division::new(grid, 20, 1 << 20))[..], [(_, Some(_))]));
        let small = divided(Division::new(grid, 20, 0));
        let deepest = small.iter().map(|(tile, _)| tile.z()).max();
        assert_eq!(deepest, Some(CELL_ZOOM_MAX));
        assert!(small.iter().all(|(tile, bytes)| bytes.is_some() == (tile.z() == CELL_ZOOM_MAX)));
        let tiny = Division { cell_bytes_max: 100, ..Division::new(grid, 20, 0) };
        let tiny = divided(tiny);
        assert!(tiny.iter().all(|(_, bytes)| bytes.is_none_or(|bytes| bytes <= 100)), "{tiny:?}");
        assert_eq!(tiny.iter().map(|(tile, _)| tile.z()).max(), Some(20));
    }

    #[test]
    fn a_zoom_takes_only_what_it_draws() {
        let packed = Packed::of(&cell(), Zooms::only(4));
        let layer = &packed.layers[0];
        assert_eq!(layer.vertices, [(-1, 2), (1, 1)].map(|(x, y)| Vertex { x, y, zoom: 0 }));
        assert_eq!(layer.parts.len(), 3, "the ring is a dot");
        assert!(Packed::of(&cell(), Zooms::only(1)).is_empty());
        assert!(Packed::of(&cell(), Zooms::only(15)).is_empty());
    }

    /// A checksum keeps chance out; these bytes are wrong on purpose, and have a right one.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let checksum = xxh3_64(&bytes[9..]).to_le_bytes();
        bytes[1..9].copy_from_slice(&checksum);
        bytes
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let bytes = to_bytes(&all());
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 4;
            assert!(from_bytes(&wrong).is_err(), "{at}");
        }
    }

    quickcheck! {
        fn no_bytes_panic(bytes: Vec<u8>) -> bool {
            let _ = from_bytes(&bytes);
            let _ = from_bytes(&sealed([&[REVISION; 9], &bytes[..]].concat()));
            true
        }

        fn no_mutation_panics(at: usize, byte: u8, cut: usize) -> bool {
            let mut bytes = to_bytes(&all());
            let at = 9 + at % (bytes.len() - 9);
            bytes[at] = byte;
            let _ = from_bytes(&sealed(bytes.clone()));
            bytes.truncate(9 + cut % (bytes.len() - 9));
            from_bytes(&sealed(bytes)).is_err()
        }
    }
}
