//! What a stranger's bytes must not do: one plain function for cells, and one for what is drawn of them.
//!
//! Each is written once and driven twice: by the fuzzer (`tiles/fuzz`, `cargo xtask fuzz`) for as long as one likes, and
//! by quickcheck in the ordinary tests (`fuzz_bodies.rs`, `valid.rs`). A body returns, or panics because a promise is
//! broken.

#![allow(dead_code, reason = "each of those who include it uses a part")]
#![allow(unreachable_pub, reason = "it is a module of several crates, and the whole of one of them")]
#![allow(clippy::unwrap_used, reason = "a body panics where a promise is broken")]

pub mod strict;

use std::cell::Cell as Counter;

use watersmeet_tiles::cells::{self, Opened};
use watersmeet_tiles::feature::{Cell, CellLayer, Dictionary, Feature, Geometry, Ring, Vertex};
use watersmeet_tiles::packed::{Packed, Zooms};
use watersmeet_tiles::render::render;
use watersmeet_tiles::{Point, RenderOptions, TileCoord};
use xxhash_rust::xxh3::xxh3_64;

/// A body, by the name of its fuzz target, and valid inputs for it.
pub struct Body {
    /// The fuzz target's name.
    pub name: &'static str,
    /// The body.
    pub run: fn(&[u8]),
    /// Valid inputs, to begin from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const BODIES: [Body; 2] = [
    Body { name: "cell", run: cell, seeds: cell_seeds },
    Body { name: "tile", run: tile, seeds: tile_seeds },
];

/// Asks that a tile of a stranger's cell may take.
const ASKED_MAX: u32 = 100;

/// Bytes as a cell, and a tile of it. Three bytes say which tile; the checksum is made to fit what follows, or nothing
/// would come any further.
pub fn cell(data: &[u8]) {
    let _ = cells::from_bytes(data);
    let Some((place, rest)) = data.split_at_checked(3) else { return };
    let sealed = [&cells::to_bytes(&Packed::default())[..1], &xxh3_64(rest).to_le_bytes(), rest].concat();
    let Ok(Opened::Cell(cell)) = cells::from_bytes(&sealed) else { return };
    let zoom = place[0] % 15;
    let [x, y] = [place[1], place[2]].map(|at| u32::from(at) % (1 << zoom));
    let asked = Counter::new(0);
    let stop = || asked.replace(asked.get() + 1) > ASKED_MAX;
    let _ = render(&cell, TileCoord::new(zoom, x, y).unwrap(), &RenderOptions::default(), &stop);
}

fn cell_seeds() -> Vec<Vec<u8>> {
    let list: Vec<_> = (0..40_u8).map(|i| (i.wrapping_mul(37), i.wrapping_mul(101), i)).collect();
    let seed = |ground| {
        let bytes = cells::to_bytes(&Packed::of(&degenerate(&list, ground), Zooms { from: 0, to: 8 }));
        // Behind the revision and the checksum.
        [&[5, 0, 0], &bytes[9..]].concat()
    };
    GROUNDS.into_iter().map(seed).collect()
}

/// Bytes as a degenerate cell; what is drawn of it is valid. Two bytes say on which ground, and the zoom.
pub fn tile(data: &[u8]) {
    let Some((&[ground, zoom], rest)) = data.split_first_chunk() else { return };
    let list: Vec<_> = rest.as_chunks().0.iter().map(|&[x, y, zoom]| (x, y, zoom)).collect();
    let bytes = drawn(&list, GROUNDS[usize::from(ground) % GROUNDS.len()], zoom);
    strict::read(&bytes).unwrap();
}

fn tile_seeds() -> Vec<Vec<u8>> {
    let seed = |ground: u8| {
        let list = (0..40_u8).flat_map(|i| [i.wrapping_mul(37), i.wrapping_mul(101), 0]);
        [ground, 8].into_iter().chain(list).collect()
    };
    (0..6).map(seed).collect()
}

/// Where degenerate geometries lie: on so many places each way, so many world units apart, with so many to a ring.
#[derive(Clone, Copy, Debug)]
pub struct Ground {
    pub places: u8,
    pub step: i32,
    pub ring: usize,
}

/// Near and far, on the grid of the deepest zoom and off it, crowded and not.
pub const GROUNDS: [Ground; 6] = [
    Ground { places: 12, step: 1 << 13, ring: 9 },
    Ground { places: 12, step: 1 << 27, ring: 9 },
    Ground { places: 7, step: 1 << 10, ring: 60 },
    Ground { places: 40, step: 1 << 11, ring: 25 },
    Ground { places: 200, step: 1 << 10, ring: 40 },
    Ground { places: 30, step: 5001, ring: 12 },
];

/// A cell of degenerate rings and lines: few places, many repetitions.
fn degenerate(list: &[(u8, u8, u8)], ground: Ground) -> Cell {
    let step = |at: u8| i32::from(at % ground.places) * ground.step;
    let vertices: Vec<_> =
        list.iter().map(|&(x, y, zoom)| Vertex { x: step(x), y: step(y), zoom: zoom % 8 }).collect();
    let ring = |vertices: &[Vertex]| Ring {
        vertices: vertices.to_vec(),
        dot: Point { x: vertices[0].x, y: vertices[0].y },
        dot_zoom: 0,
        shape_zoom: 1,
    };
    let geometries = [
        Geometry::Points(vertices.iter().map(|v| Point { x: v.x, y: v.y }).collect()),
        Geometry::Lines(vertices.chunks(5).map(<[_]>::to_vec).collect()),
        Geometry::Polygons(vertices.chunks(ground.ring).map(ring).collect()),
    ];
    let feature =
        |geometry| Feature { id: 1, tags: [].into(), min_zoom: 0, max_zoom: 8, weight: 1, geometry };
    let dictionary = Dictionary { name: "wild".into(), ..Dictionary::default() }.into();
    Cell { layers: vec![CellLayer { dictionary, features: geometries.map(feature).into() }] }
}

/// The tile in the corner of the world, from such a cell.
pub fn drawn(list: &[(u8, u8, u8)], ground: Ground, zoom: u8) -> Vec<u8> {
    let zoom = zoom % 9;
    let options = RenderOptions { max_zoom: 8, ..RenderOptions::default() };
    let cell = Packed::of(&degenerate(list, ground), Zooms::only(zoom));
    render(&cell, TileCoord::new(zoom, 0, 0).unwrap(), &options, &|| false).unwrap().bytes
}
