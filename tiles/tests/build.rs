//! Builds from files: what becomes of good ones, bad ones and rubbish.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;

use common::{Folder, Random, built, feature, plain};
use watersmeet_tiles::archive::Archive;
use watersmeet_tiles::compress::{Encoding, pack};
use watersmeet_tiles::decode;
use watersmeet_tiles::source::Shape;
use watersmeet_tiles::{
    BuildError, BuildOptions, FileReader, Layer, OpenError, OptionsError, RenderOptions, TileCoord, TileSet,
    Value, build, show,
};

const SQUARE: &str = r#"{"type":"Feature","id":"sq","properties":{"a":1},"geometry":{"type":"Polygon","coordinates":[[[0,0],[10,0],[10,10],[0,10],[0,0]]]}}"#;

fn write(folder: &Folder, name: &str, text: &str) -> Layer {
    std::fs::write(folder.path(name), text).unwrap();
    Layer::from_path(folder.path(name))
}

#[test]
fn bad_features_are_named_and_counted_and_the_rest_is_built() {
    let folder = Folder::new();
    let bad = [
        r#"{"type":"Feature","id":"open","geometry":{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1]]]}}"#,
        r#"{"type":"Feature","id":12,"geometry":{"type":"Point","coordinates":[200,0]}}"#,
        r#"{"type":"Feature","geometry":null,"id":13}"#,
        r#"{"type":"Feature","geometry":{"type":"LineString","coordinates":[[0,0]]}}"#,
        r#"{"type":"Feature","geometry":{"type":"Blob","coordinates":[0,0]}}"#,
        "{oops",
    ];
    let layer = write(&folder, "mixed.geojsonl", &format!("{SQUARE}\n{}\n{SQUARE}\n", bad.join("\n")));
    let report = build(&[layer], &folder.path("out.pmtiles"), &BuildOptions::default(), &()).unwrap();
    assert_eq!(report.layers[0].features, 2);
    assert_eq!(report.skipped_total(), 6);
    assert_eq!(report.skipped["unclosed ring"], 1);
    let text = report.to_string();
    for part in [
        "skipped 6 features",
        "mixed.geojsonl:2: feature 1 (id \"open\"): ring 0 is not closed",
        "feature 2 (id 12): position [200.0, 0.0] is out of range",
        "feature 3 (id 13): it has no geometry",
        "feature 4: line 0 has 1 positions, but needs 2",
        "feature 5: unknown geometry type \"Blob\"",
        "feature 6: not JSON",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_build_that_fails_leaves_what_was_there() {
    let folder = Folder::new();
    let out = folder.path("out.pmtiles");
    std::fs::write(&out, "precious").unwrap();
    let rubbish = [
        "",
        "hello",
        "{\"type\":\"FeatureCollection\",\"features\":[",
        "\u{0}\u{1}",
        "[1]",
        "{\"type\":\"FeatureCollection\",\"features\":[]}",
    ];
    for text in rubbish {
        let layer = write(&folder, "rubbish.geojson", text);
        let error = build(&[layer], &out, &BuildOptions::default(), &()).unwrap_err();
        let told = matches!(error, BuildError::Source(_) | BuildError::Nothing(_));
        assert!(told && !error.to_string().is_empty(), "{text:?}: {error}");
    }
    let layer = write(&folder, "rubbish.geojson", r#"{"type":"Topology"}"#);
    let error = build(&[layer], &out, &BuildOptions::default(), &()).unwrap_err().to_string();
    assert!(
        error.starts_with("there is nothing to draw:\nskipped 1 features: 1 unknown geometry type\n"),
        "{error}"
    );
    let missing = Layer::from_path(folder.path("missing.geojson"));
    assert!(
        build(&[missing], &out, &BuildOptions::default(), &())
            .unwrap_err()
            .to_string()
            .contains("missing.geojson")
    );
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "precious");
    let names: Vec<_> =
        std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn what_cannot_be_built_is_refused_at_once() {
    let folder = Folder::new();
    let layer = write(&folder, "a.geojson", SQUARE);
    let out = folder.path("out.pmtiles");
    let fails = |layers: &[Layer], options: &BuildOptions| build(layers, &out, options, &()).unwrap_err();
    assert!(matches!(fails(&[], &BuildOptions::default()), BuildError::NoLayers));
    let twice = [layer.clone(), layer.clone()];
    assert!(matches!(fails(&twice, &BuildOptions::default()), BuildError::SameName(name) if name == "a"));
    let deep = BuildOptions {
        render: RenderOptions { max_zoom: 30, ..RenderOptions::default() },
        ..BuildOptions::default()
    };
    assert!(matches!(fails(&[layer], &deep), BuildError::Options(OptionsError::TooDeep(_))));
}

#[test]
fn neither_an_input_nor_another_archives_cells_are_overwritten() {
    let folder = Folder::new();
    let square = write(&folder, "a.geojson", SQUARE);
    std::fs::write(folder.path("roads.cells"), "another's").unwrap();
    let options = BuildOptions { archive_zoom: Some(14), ..BuildOptions::default() };
    for out in ["a.geojson", "roads.v2", "roads.cells", "roads", ".pmtiles"] {
        let refused = build(std::slice::from_ref(&square), &folder.path(out), &options, &()).unwrap_err();
        assert!(matches!(&refused, BuildError::Ending(path) if *path == folder.path(out)), "{refused}");
    }
    for (input, out) in [("b.pmtiles", "b.pmtiles"), ("b.cells", "b.pmtiles"), ("b.cells", "./b.pmtiles")] {
        let layers = [square.clone(), write(&folder, input, SQUARE)];
        let refused = build(&layers, &folder.path(out), &options, &()).unwrap_err();
        assert!(matches!(&refused, BuildError::Overwrites(path) if *path == folder.path(input)), "{refused}");
        assert_eq!(std::fs::read_to_string(folder.path(input)).unwrap(), SQUARE);
    }
    assert_eq!(std::fs::read_to_string(folder.path("a.geojson")).unwrap(), SQUARE);
    assert_eq!(std::fs::read_to_string(folder.path("roads.cells")).unwrap(), "another's");
}

#[test]
fn archive_and_cells_have_to_belong_together() {
    let folder = Folder::new();
    let [a, b] = [folder.path("a.pmtiles"), folder.path("b.pmtiles")];
    built(&a, &BuildOptions::default(), Random(1).map([0.0, 0.0]));
    built(&b, &BuildOptions::default(), Random(2).map([0.0, 0.0]));
    std::fs::copy(folder.path("b.cells"), folder.path("a.cells")).unwrap();
    assert!(matches!(TileSet::open(&a), Err(OpenError::CellsOfAnother(_))));
    std::fs::remove_file(folder.path("a.cells")).unwrap();
    assert!(matches!(TileSet::open(&a), Err(OpenError::CellsMissing(_))));
    assert!(matches!(TileSet::open(&folder.path("b.cells")), Err(OpenError::NoTiles(_))));
    std::fs::write(&a, "rubbish").unwrap();
    assert!(TileSet::open(&a).is_err_and(|error| error.to_string().contains("a.pmtiles")));
}

/// Puts this revision of cells into the metadata of an archive or its cells: behind all else, where the header finds it.
fn say_revision(path: &Path, revision: Option<u8>) {
    let mut bytes = std::fs::read(path).unwrap();
    let mut metadata = Archive::open(FileReader::open(path).unwrap()).unwrap().metadata().unwrap();
    let ours = metadata["watersmeet"].as_object_mut().unwrap();
    assert!(ours.remove("cells").is_some());
    ours.extend(revision.map(|revision| ("cells".to_owned(), revision.into())));
    let packed = pack(metadata.to_string().as_bytes(), Encoding::Gzip).unwrap();
    let place = [bytes.len(), packed.len()].map(|number| (number as u64).to_le_bytes()).concat();
    bytes[24..40].copy_from_slice(&place);
    bytes.extend(packed);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn cells_of_another_revision_are_refused_when_they_are_opened() {
    let folder = Folder::new();
    let files = [folder.path("a.pmtiles"), folder.path("a.cells")];
    let open_with = |revision| {
        built(&files[0], &BuildOptions::default(), Random(1).map([0.0, 0.0]));
        files.iter().for_each(|file| say_revision(file, revision));
        TileSet::open(&files[0]).map(|_| ())
    };
    let refused = open_with(Some(1)).unwrap_err();
    assert!(matches!(&refused, OpenError::CellsOfAnotherRevision { revision: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("a.cells") && refused.to_string().contains("build the set again"));
    // Those that do not say theirs are of the last revision that did not.
    let unsaid = open_with(None).unwrap_err();
    assert!(matches!(&unsaid, OpenError::CellsOfAnotherRevision { revision: 2, .. }), "{unsaid}");
    open_with(Some(3)).unwrap();
}

#[test]
fn cells_of_a_set_that_needs_none_any_more_go() {
    let folder = Folder::new();
    let out = folder.path("out.pmtiles");
    built(&out, &BuildOptions::default(), Random(1).map([0.0, 0.0]));
    assert!(folder.path("out.cells").exists());
    let shallow = RenderOptions { max_zoom: 4, ..RenderOptions::default() };
    built(&out, &BuildOptions { render: shallow, ..BuildOptions::default() }, Random(1).map([0.0, 0.0]));
    assert!(!folder.path("out.cells").exists());
    assert_eq!(TileSet::open(&out).unwrap().max_zoom(), 4);
}

#[test]
fn the_version_follows_content_and_options_but_not_the_name() {
    let folder = Folder::new();
    let version = |name: &str, seed: u64, change: fn(&mut BuildOptions)| {
        let mut options = BuildOptions::default();
        change(&mut options);
        built(&folder.path(name), &options, Random(seed).map([0.0, 0.0]));
        TileSet::open(&folder.path(name)).unwrap().version().to_owned()
    };
    let one = version("one.pmtiles", 1, |_| {});
    assert_eq!(one.len(), 16);
    assert_eq!(one, version("two.pmtiles", 1, |options| options.name = Some("x".into())));
    assert_ne!(one, version("three.pmtiles", 2, |_| {}));
    assert_ne!(one, version("four.pmtiles", 1, |options| options.render.buffer = 32));
    assert_ne!(one, version("five.pmtiles", 1, |options| options.archive_zoom = Some(5)));
}

/// Programs that cut a piece out of an archive leave its metadata as they are, with the name of its content.
#[test]
fn a_piece_of_an_archive_is_another_version() {
    let folder = Folder::new();
    let (whole, piece) = (folder.path("whole.pmtiles"), folder.path("piece.pmtiles"));
    built(&whole, &BuildOptions::default(), Random(1).map([0.0, 0.0]));
    std::fs::copy(folder.path("whole.cells"), folder.path("piece.cells")).unwrap();
    let version = TileSet::open(&whole).unwrap().version().to_owned();
    let bytes = std::fs::read(&whole).unwrap();
    let changed = |at: usize, by: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = bytes[at].wrapping_sub(by);
        std::fs::write(&piece, bytes).unwrap();
        TileSet::open(&piece).unwrap().version().to_owned()
    };
    assert_eq!(changed(0, 0), version);
    // The header's number of tiles, its deepest zoom, and its western edge.
    let pieces = [changed(72, 1), changed(101, 1), changed(105, 255)];
    assert!(!pieces.contains(&version) && pieces[0] != pieces[1] && pieces[1] != pieces[2], "{pieces:?}");
}

#[test]
fn points_are_thinned_by_their_rank_and_the_report_says_so() {
    let folder = Folder::new();
    let place = |id: u64, rank| {
        let shape = Shape::Points(vec![[id as f64, 10.0]]);
        feature(id, shape, &[("min_zoom", Value::Natural(rank))])
    };
    let report = built(
        &folder.path("out.pmtiles"),
        &BuildOptions::default(),
        vec![("places", vec![place(1, 0), place(2, 3), place(3, 9)])],
    );
    let hidden: Vec<_> = report.zooms.values().map(|zoom| zoom.hidden_by_rank).collect();
    assert_eq!(hidden, [2, 2, 2, 1, 1, 1, 1]);
}

#[test]
fn small_rings_become_dots_and_are_all_there_at_the_deepest_zoom() {
    let folder = Folder::new();
    let speck = |id: u64| {
        let (x, y, side) = ((id % 20) as f64 * 0.2, (id / 20) as f64 * 0.2, 0.02);
        let ring = vec![[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]];
        feature(id, Shape::Polygons(vec![vec![ring]]), &[])
    };
    let options = BuildOptions {
        render: RenderOptions { max_zoom: 8, ..RenderOptions::default() },
        archive_zoom: Some(8),
        ..BuildOptions::default()
    };
    built(&folder.path("out.pmtiles"), &options, vec![("specks", (0..400).map(speck).collect())]);
    let set = TileSet::open(&folder.path("out.pmtiles")).unwrap();
    let drawn = |z: u8| {
        let mut ids = std::collections::BTreeSet::new();
        for tile in (0..1 << z).flat_map(|x| (0..1 << z).map(move |y| TileCoord::new(z, x, y).unwrap())) {
            let reader = mvt_reader::Reader::new(plain(&set, tile)).unwrap();
            for layer in 0..reader.get_layer_names().unwrap().len() {
                ids.extend(reader.get_features(layer).unwrap().into_iter().filter_map(|feature| feature.id));
            }
        }
        ids
    };
    // A speck has a quarter of the least area at zoom 3, a sixteenth at zoom 2: so about as many of 400 are drawn.
    let counts: Vec<_> = (0..=6).map(|z| drawn(z).len()).collect();
    assert!(counts.windows(2).all(|pair| pair[0] <= pair[1]), "{counts:?}");
    assert!(counts[0] < 40 && counts[6] == 400, "{counts:?}");
    assert!((0..6).all(|z| drawn(z).is_subset(&drawn(z + 1))));
}

#[test]
fn an_archive_is_described() {
    let folder = Folder::new();
    let options = BuildOptions { attribution: Some("Natural Earth".into()), ..BuildOptions::default() };
    built(&folder.path("map.pmtiles"), &options, Random(1).map([0.0, 0.0]));
    let text = show(&folder.path("map.pmtiles")).unwrap().to_string();
    for part in
        ["map\n", "zooms        0 to 14", "points: population (Number)", "Natural Earth", "zoom 6", "cells  "]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

/// A ring of so many corners, with bays of every size.
fn coast(middle: [f64; 2], radius: f64, bits: u32) -> Shape {
    let corners = 1_u32 << bits;
    let corner = |index: u32| {
        let index = index % corners;
        let bay = |octave: u32| {
            let lot = Random(u64::from((octave << 20) + (index >> (bits - octave)))).next() % 1000;
            lot as f64 / 1000.0 * libm::exp2(-f64::from(octave))
        };
        let angle = std::f64::consts::TAU * f64::from(index) / f64::from(corners);
        let far = radius * (0.4 + 0.5 * (2..bits).map(bay).sum::<f64>());
        [middle[0] + far * libm::cos(angle), middle[1] + far * libm::sin(angle)]
    };
    Shape::Polygons(vec![vec![(0..=corners).map(corner).collect()]])
}

#[test]
fn a_tile_that_is_too_large_loses_detail_before_features_and_is_never_empty() {
    let folder = Folder::new();
    let tile_of = |features: Vec<_>, tile_bytes_max| {
        let options = BuildOptions {
            render: RenderOptions { max_zoom: 5, tile_bytes_max, ..RenderOptions::default() },
            archive_zoom: Some(3),
            ..BuildOptions::default()
        };
        let report = built(&folder.path("out.pmtiles"), &options, vec![("coasts", features)]);
        let set = TileSet::open(&folder.path("out.pmtiles")).unwrap();
        let bytes = plain(&set, TileCoord::new(3, 4, 3).unwrap());
        let features: usize = decode::tile(&bytes).unwrap().iter().map(|layer| layer.features.len()).sum();
        (bytes.len(), features, report.zooms[&3].clone())
    };
    let coasts =
        || (0..20).map(|id| feature(id, coast([22.0 + id as f64 / 10.0, 20.0], 15.0, 10), &[])).collect();
    let (whole, all, report) = tile_of(coasts(), 10_000_000);
    assert_eq!((all, report.tiles_too_large), (20, 0));
    // Half the room: detail is enough.
    let (bytes, features, report) = tile_of(coasts(), whole / 2);
    assert!(bytes <= whole / 2 && features == 20, "{bytes} of {whole}, {features} features");
    assert!(report.tiles_coarser > 0 && report.dropped_by_size == 0);
    // A fiftieth: features go as well.
    let (bytes, features, report) = tile_of(coasts(), whole / 50);
    assert!(bytes <= whole / 50 && (1..20).contains(&features), "{features} features");
    assert!(report.dropped_by_size > 0);
    // One feature that is too large by itself: coarser and coarser, but there.
    let one = || vec![feature(1, coast([22.0, 20.0], 15.0, 13), &[])];
    let (bytes, features, report) = tile_of(one(), 400);
    assert!(bytes <= 400 && features == 1, "{bytes} bytes, {features} features");
    assert_eq!((report.dropped_by_size, report.tiles_over_limit), (0, 0));
    let (_, features, report) = tile_of(one(), 20);
    assert!(features == 1 && report.tiles_over_limit > 0);
}

#[test]
fn features_of_one_id_are_counted() {
    let folder = Folder::new();
    let point = |id| feature(id, Shape::Points(vec![[id as f64, 1.0]]), &[]);
    let report = built(
        &folder.path("out.pmtiles"),
        &BuildOptions::default(),
        vec![("a", [7, 8, 7, 7, 8].map(point).to_vec()), ("b", [7, 9].map(point).to_vec())],
    );
    assert_eq!([report.layers[0].repeated_ids, report.layers[1].repeated_ids], [3, 0]);
    assert!(report.to_string().contains("; 3 have the id of another"), "{report}");
}
