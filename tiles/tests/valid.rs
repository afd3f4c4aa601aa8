//! What we write is valid by the specification of vector tiles, whatever it is made of.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::strict::{self, Counts};
use common::{Folder, Random, built, plain};
use quickcheck::quickcheck;
use watersmeet_tiles::feature::{Cell, CellLayer, Dictionary, Feature, Geometry, Ring, Vertex};
use watersmeet_tiles::packed::{Packed, Zooms};
use watersmeet_tiles::render::render;
use watersmeet_tiles::{BuildOptions, Point, RenderOptions, TileCoord, TileSet};

/// All tiles around a place, from the archive and from cells.
fn check(seed: u64, place: [f64; 2]) -> Counts {
    let folder = Folder::new();
    let path = folder.path("map.pmtiles");
    let options = BuildOptions {
        render: RenderOptions { max_zoom: 10, ..RenderOptions::default() },
        archive_zoom: Some(3),
        ..BuildOptions::default()
    };
    built(&path, &options, Random(seed).map(place));
    let set = TileSet::open(&path).unwrap();
    let mut all = Counts::default();
    let mut tiles = vec![TileCoord::ROOT];
    while let Some(tile) = tiles.pop() {
        let bytes = plain(&set, tile);
        if bytes.is_empty() {
            continue;
        }
        let counts = strict::read(&bytes).unwrap_or_else(|error| panic!("seed {seed}, {tile}: {error}"));
        assert_eq!(mvt_features(bytes), counts.features, "seed {seed}, {tile}");
        all.features += counts.features;
        all.rings += counts.rings;
        all.holes += counts.holes;
        // All tiles of the first zooms, then every third.
        let next = tile.children().into_iter().enumerate();
        tiles.extend(next.filter(|(index, _)| tile.z() < 5 || index % 3 == 0).map(|(_, child)| child));
        tiles.retain(|tile| tile.z() <= 10);
    }
    all
}

/// How many features another reader finds.
fn mvt_features(bytes: Vec<u8>) -> usize {
    let reader = mvt_reader::Reader::new(bytes).unwrap();
    let layers = reader.get_layer_names().unwrap().len();
    (0..layers).map(|layer| reader.get_features(layer).unwrap().len()).sum()
}

#[test]
fn tiles_of_wild_maps_are_valid() {
    let places = [(1, [13.4, 52.5]), (2, [179.99, 0.0]), (3, [-179.99, 84.9]), (4, [0.0, -88.0])];
    for (seed, place) in places {
        let counts = check(seed, place);
        assert!(counts.features > 100 && counts.rings > 50 && counts.holes > 5, "{counts:?}");
    }
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let byte = |length: usize| u8::try_from(length).unwrap();
    let tile = |geometry: &[u8], kind: u8| {
        let feature = [&[0x18, kind, 0x22, byte(geometry.len())], geometry].concat();
        let layer =
            [&[0x78, 2, 0x0A, 1, b'l', 0x28, 0x80, 0x20, 0x12, byte(feature.len())], &feature[..]].concat();
        [&[0x1A, byte(layer.len())], &layer[..]].concat()
    };
    let square = [9, 0, 0, 26, 20, 0, 0, 20, 19, 0, 15];
    assert!(strict::read(&tile(&square, 3)).is_ok());
    let wrong: [(&[u8], u8, &str); 7] = [
        (&square, 2, "kind 2"),
        (&[9, 0, 0, 26, 0, 20, 20, 0, 0, 19, 15], 3, "a hole before"),
        (&[9, 0, 8, 26, 20, 7, 0, 20, 19, 19, 15], 3, "cross"),
        (&[9, 0, 0, 18, 20, 0, 19, 0, 15], 3, "without an area"),
        (&[9, 0, 0, 10, 0, 0], 2, "stands still"),
        (&[9, 0, 0], 2, "kind 2"),
        (&[1, 0, 0], 1, "a command of nothing"),
    ];
    for (geometry, kind, error) in wrong {
        let said = strict::read(&tile(geometry, kind)).unwrap_err();
        assert!(said.contains(error), "{geometry:?}: {said}");
    }
}

/// Where degenerate geometries lie: on so many places each way, so many world units apart, with so many to a ring.
#[derive(Clone, Copy, Debug)]
struct Ground {
    places: u8,
    step: i32,
    ring: usize,
}

/// Near and far, on the grid of the deepest zoom and off it, crowded and not.
const GROUNDS: [Ground; 6] = [
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

/// Renders a cell; what is wrong with the tile.
fn fault(cell: &Cell, zoom: u8) -> Option<String> {
    let options = RenderOptions { max_zoom: 8, ..RenderOptions::default() };
    let tile = TileCoord::new(zoom, 0, 0).unwrap();
    let bytes = render(&Packed::of(cell, Zooms::only(zoom)), tile, &options, &|| false).unwrap().bytes;
    match strict::read(&bytes) {
        Err(error) => Some(error),
        Ok(counts) if !bytes.is_empty() && mvt_features(bytes) != counts.features => {
            Some("another reader finds other features".to_owned())
        }
        Ok(_) => None,
    }
}

/// Crossings that are rounded one after the other moved a hole across its outer ring.
#[test]
fn a_hole_does_not_leave_its_ring_when_both_are_rounded() {
    #[rustfmt::skip]
    let list = [
        (89, 3, 0), (33, 250, 0), (4, 0, 0), (8, 158, 0), (18, 90, 0), (61, 177, 0), (235, 220, 0), (0, 189, 0),
        (188, 53, 0), (0, 1, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (18, 230, 255), (10, 57, 165),
        (74, 92, 142), (150, 161, 0), (68, 23, 0), (101, 229, 238), (93, 114, 80),
    ];
    assert_eq!(fault(&degenerate(&list, GROUNDS[0]), 8), None);
}

quickcheck! {
    fn tiles_of_degenerate_geometries_are_valid(list: Vec<(u8, u8, u8)>, ground: u8, zoom: u8) -> bool {
        let zoom = zoom % 9;
        let ground = GROUNDS[usize::from(ground) % GROUNDS.len()];
        let found = fault(&degenerate(&list, ground), zoom);
        assert_eq!(found, None, "{list:?} at zoom {zoom}, {ground:?}");
        true
    }
}
