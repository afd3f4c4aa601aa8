//! What we write is valid by the specification of vector tiles, whatever it is made of.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bodies;
mod common;

use bodies::strict::{self, Counts};
use bodies::{GROUNDS, Ground, drawn};
use common::{Folder, Random, built, plain};
use quickcheck::quickcheck;
use watersmeet_tiles::{BuildOptions, RenderOptions, TileCoord, TileSet};

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

/// What is wrong with a tile of a degenerate cell, if anything.
fn fault(list: &[(u8, u8, u8)], ground: Ground, zoom: u8) -> Option<String> {
    let bytes = drawn(list, ground, zoom);
    match strict::read(&bytes) {
        Err(error) => Some(error),
        Ok(counts) if !bytes.is_empty() && mvt_features(bytes) != counts.features => {
            Some("another reader finds other features".to_owned())
        }
        Ok(_) => None,
    }
}

/// The overlay that cleaned polygons before moved a hole across its outer ring.
#[test]
fn a_hole_does_not_leave_its_ring_when_both_are_rounded() {
    #[rustfmt::skip]
    let list = [
        (89, 3, 0), (33, 250, 0), (4, 0, 0), (8, 158, 0), (18, 90, 0), (61, 177, 0), (235, 220, 0), (0, 189, 0),
        (188, 53, 0), (0, 1, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (18, 230, 255), (10, 57, 165),
        (74, 92, 142), (150, 161, 0), (68, 23, 0), (101, 229, 238), (93, 114, 80),
    ];
    assert_eq!(fault(&list, GROUNDS[0], 8), None);
}

quickcheck! {
    fn tiles_of_degenerate_geometries_are_valid(list: Vec<(u8, u8, u8)>, ground: u8, zoom: u8) -> bool {
        let zoom = zoom % 9;
        let ground = GROUNDS[usize::from(ground) % GROUNDS.len()];
        let found = fault(&list, ground, zoom);
        assert_eq!(found, None, "{list:?} at zoom {zoom}, {ground:?}");
        true
    }
}
