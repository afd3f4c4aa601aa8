//! Two archives are compared by what clients see.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{Folder, built, feature};
use watersmeet_tiles::source::{Shape, SourceFeature};
use watersmeet_tiles::{BuildOptions, Diff, RenderOptions, Value, diff};

fn point(id: u64, place: [f64; 2], name: &str) -> SourceFeature {
    feature(id, Shape::Points(vec![place]), &[("name", Value::Text(name.into()))])
}

fn compared(a: Vec<SourceFeature>, b: Vec<SourceFeature>, deepest: [u8; 2]) -> Diff {
    let folder = Folder::new();
    let [a, b] =
        [(a, "a.pmtiles", deepest[0]), (b, "b.pmtiles", deepest[1])].map(|(features, name, max_zoom)| {
            let options = BuildOptions {
                render: RenderOptions { max_zoom, ..RenderOptions::default() },
                archive_zoom: Some(max_zoom),
                ..BuildOptions::default()
            };
            built(&folder.path(name), &options, vec![("places", features)]);
            folder.path(name)
        });
    diff(&a, &b).unwrap()
}

#[test]
fn equal_archives_have_no_differences_and_others_say_where() {
    let places =
        || vec![point(1, [10.0, 10.0], "a"), point(2, [20.0, 20.0], "b"), point(3, [-150.0, -40.0], "c")];
    let same = compared(places(), places(), [2, 2]);
    assert!(same.is_empty() && same.layers.is_empty() && same.tiles.is_empty());
    assert!(same.to_string().ends_with("the same tiles\n"), "{same}");

    let mut changed = places();
    changed[0] = point(1, [11.0, 10.0], "a");
    changed[1] = point(2, [20.0, 20.0], "beta");
    changed[2] = point(4, [-150.0, -40.0], "c");
    let told = compared(places(), changed, [2, 2]);
    assert!(!told.is_empty());
    let places = &told.layers["places"];
    // At each of the zooms 0 to 2: one moved, one renamed, one gone and one new.
    assert_eq!([places.moved, places.renamed, places.added, places.removed], [3, 3, 3, 3]);
    // From zoom 1 on, the third lies in another tile than the first two.
    let changed: Vec<_> = told.zooms.values().map(|zoom| zoom.changed).collect();
    assert_eq!(changed, [1, 2, 2]);
    assert_eq!(told.tiles[0].tile, "0/0/0");
    assert!(told.to_string().contains("with another geometry"), "{told}");
}

#[test]
fn tiles_that_only_one_has_are_told() {
    let places = || vec![point(1, [10.0, 10.0], "a")];
    let told = compared(places(), places(), [1, 2]);
    assert_eq!((told.zooms[&1].same, told.zooms[&2].added, told.zooms[&2].removed), (1, 1, 0));
    assert_eq!(told.layers["places"].added, 1);
    assert!(!told.is_empty() && told.zooms[&2].bytes[0] == 0);
}
