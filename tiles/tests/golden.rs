//! Bytes that must not change unnoticed: a version has to mean the same tiles for ever.
//!
//! When a test here fails because tiles are meant to come out differently, raise `RENDERER_REVISION` and hold the new
//! hashes still.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{Folder, Random, built, plain};
use watersmeet_tiles::render::RENDERER_REVISION;
use watersmeet_tiles::{BuildOptions, TileCoord, TileSet};
use xxhash_rust::xxh3::xxh3_64;

#[test]
fn tiles_are_held_still() {
    let folder = Folder::new();
    let path = folder.path("golden.pmtiles");
    let options = BuildOptions { archive_zoom: Some(3), ..BuildOptions::default() };
    let report = built(&path, &options, Random(2026).map([13.4, 52.5]));
    let set = TileSet::open(&path).unwrap();
    let hash = |z, x, y| xxh3_64(&plain(&set, TileCoord::new(z, x, y).unwrap()));
    let now = (
        RENDERER_REVISION,
        report.content.as_str(),
        set.version(),
        hash(0, 0, 0),
        hash(3, 4, 2),
        hash(7, 68, 41),
        hash(14, 8801, 5373),
    );
    let held = (
        3,
        "82221b0297e391d8",
        "31c7781df406b4ef",
        15_221_317_596_499_300_763,
        173_029_040_453_973_975,
        17_050_135_276_516_147_651,
        277_190_837_820_677_344,
    );
    assert_eq!(now, held);
}
