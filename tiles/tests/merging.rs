//! A road that its source cut at every crossing is one line on the map.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{Folder, built, feature, plain};
use mvt_reader::Reader;
use watersmeet_tiles::source::{Shape, SourceFeature};
use watersmeet_tiles::{
    BuildOptions, BuildReport, LayerRules, MergeLines, RenderOptions, TileCoord, TileSet, Value,
};

/// A town: streets to the north and to the east, each of its own name and cut at each crossing; no end of the paths that
/// begin there meets another alone.
fn town(streets: u32) -> Vec<SourceFeature> {
    let step = |number: u32| f64::from(number) * 0.01;
    let mut features = Vec::new();
    for street in 0..streets {
        for block in 0..streets - 1 {
            let east = [block, block + 1].map(|x| [step(x), step(street)]);
            let north = [block, block + 1].map(|y| [step(street), step(y)]);
            let path = [[step(block), step(street)], [step(block) + 0.004, step(street) + 0.004]];
            for (kind, line) in [("east", east), ("north", north), ("path", path)] {
                let name = match kind {
                    "path" => kind.to_owned(),
                    _ => format!("{kind} {street}"),
                };
                let id = features.len() as u64 + 1;
                let name = [("name", Value::Text(name.into()))];
                features.push(feature(id, Shape::Lines(vec![line.to_vec()]), &name));
            }
        }
    }
    features
}

fn options(merge_lines: MergeLines, memory_bytes: Option<u64>) -> BuildOptions {
    let render = RenderOptions { max_zoom: 12, ..RenderOptions::default() };
    let layers = [("roads".to_owned(), LayerRules { merge_lines, ..LayerRules::default() })].into();
    BuildOptions { render, layers, archive_zoom: Some(8), memory_bytes, ..BuildOptions::default() }
}

#[derive(Debug, PartialEq)]
struct Built {
    archive: Vec<u8>,
    cells: Vec<u8>,
    report: BuildReport,
    /// Ids and geometries at zoom 8, in the order of the ids.
    shown: Vec<(Option<u64>, String)>,
}

fn files(roads: Vec<SourceFeature>, merge_lines: MergeLines, memory: Option<u64>) -> Built {
    let folder = Folder::new();
    let path = folder.path("map.pmtiles");
    let report = built(&path, &options(merge_lines, memory), vec![("roads", roads)]);
    let bytes = plain(&TileSet::open(&path).unwrap(), TileCoord::new(8, 128, 127).unwrap());
    let features = Reader::new(bytes).unwrap().get_features(0).unwrap();
    let mut shown: Vec<_> = features.iter().map(|f| (f.id, format!("{:?}", f.geometry))).collect();
    shown.sort();
    let read = |name| std::fs::read(folder.path(name)).unwrap();
    Built { archive: read("map.pmtiles"), cells: read("map.cells"), report, shown }
}

#[test]
fn a_street_cut_at_each_crossing_is_one() {
    let Built { report: apart, shown: shown_apart, .. } = files(town(12), MergeLines::No, None);
    let Built { report, shown, .. } = files(town(12), MergeLines::Directed, None);
    assert_eq!((apart.layers[0].merged, report.layers[0].merged), (0, 24 * 10));
    assert_eq!(report.layers[0].features, 3 * 12 * 11);
    assert!(report.to_string().contains("240 lines went into others"), "{report}");
    assert_eq!(shown_apart.len() - shown.len(), 240);
    let (id, geometry) = &shown[0];
    assert_eq!(*id, Some(1));
    assert_eq!(geometry, "LINESTRING(0.0 4096.0,320.0 4096.0)", "a straight street has two vertices");
    assert!(report.zooms[&8].bytes < apart.zooms[&8].bytes);
}

#[test]
fn the_order_of_the_file_leaves_no_trace() {
    let mut roads = town(9);
    let Built { report, shown, .. } = files(roads.clone(), MergeLines::Undirected, None);
    roads.reverse();
    roads.rotate_left(100);
    let other = files(roads, MergeLines::Undirected, None);
    assert_eq!(report.layers, other.report.layers);
    assert_eq!(shown, other.shown);
}

#[test]
fn nor_do_the_bound_of_memory_and_the_number_of_threads() {
    let mut roads = town(9);
    // So that what is merged stands far apart in the file.
    roads.sort_by_key(|road| road.properties.len() as u64 + (format!("{:?}", road.shapes).len() as u64 % 7));
    let all = files(roads.clone(), MergeLines::Directed, None);
    for memory in [1, 20_000, 100_000] {
        assert!(files(roads.clone(), MergeLines::Directed, Some(memory)) == all, "{memory} bytes");
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let one = pool.install(|| files(roads.clone(), MergeLines::Directed, Some(20_000)));
        assert!(one == all, "{threads} threads");
    }
}
