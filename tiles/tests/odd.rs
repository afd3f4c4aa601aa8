//! Odd geometries: each becomes what `docs/cartography.md` says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{Folder, plain};
use watersmeet_tiles::decode::{self, DecodedFeature, DecodedLayer, DecodedValue, GeometryKind};
use watersmeet_tiles::{
    Antimeridian, BuildOptions, BuildReport, Layer, LayerRules, RenderOptions, TileCoord, TileSet, build,
};

/// What became of some lines of GeoJSON.
struct Map {
    report: BuildReport,
    set: TileSet,
    _folder: Folder,
}

fn map(lines: &[&str], antimeridian: Antimeridian) -> Map {
    let folder = Folder::new();
    let (input, out) = (folder.path("odd.geojsonl"), folder.path("odd.pmtiles"));
    std::fs::write(&input, lines.join("\n")).unwrap();
    let rules = LayerRules { antimeridian, ..LayerRules::default() };
    let options = BuildOptions {
        render: RenderOptions { max_zoom: 3, ..RenderOptions::default() },
        archive_zoom: Some(3),
        layers: [("odd".to_owned(), rules)].into(),
        ..BuildOptions::default()
    };
    let report = build(&[Layer::from_path(&input)], &out, &options, &()).unwrap();
    Map { report, set: TileSet::open(&out).unwrap(), _folder: folder }
}

fn map_of(line: &str, antimeridian: Antimeridian) -> Map {
    map(&[line], antimeridian)
}

impl Map {
    fn layers(&self, z: u8, x: u32, y: u32) -> Vec<DecodedLayer> {
        decode::tile(&plain(&self.set, TileCoord::new(z, x, y).unwrap())).unwrap()
    }

    fn features(&self, z: u8, x: u32, y: u32) -> Vec<DecodedFeature> {
        self.layers(z, x, y).into_iter().flat_map(|layer| layer.features).collect()
    }

    /// The columns of a row of tiles of zoom 3 in which there is anything.
    fn columns(&self, y: u32) -> Vec<u32> {
        (0..8).filter(|x| !self.features(3, *x, y).is_empty()).collect()
    }
}

fn polygon(rings: &str) -> String {
    format!(
        r#"{{"type":"Feature","id":1,"properties":{{}},"geometry":{{"type":"Polygon","coordinates":{rings}}}}}"#
    )
}

fn line(places: &str) -> String {
    format!(
        r#"{{"type":"Feature","id":1,"properties":{{}},"geometry":{{"type":"LineString","coordinates":{places}}}}}"#
    )
}

/// Twice the area of all rings, in square tile units.
fn area(features: &[DecodedFeature]) -> i128 {
    features.iter().flat_map(|feature| &feature.parts).map(|ring| decode::doubled_area(ring)).sum()
}

#[test]
fn a_long_step_is_drawn_as_written_or_across_the_antimeridian() {
    let track = line("[[170,10],[-170,20]]");
    assert_eq!(map(&[&track], Antimeridian::AsWritten).columns(3), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(map(&[&track], Antimeridian::Shortest).columns(3), [0, 7]);

    let island = polygon(
        "[[[177,10],[-177,10],[-177,20],[177,20],[177,10]],[[-179,12],[-179,14],[-178,14],[-178,12],[-179,12]]]",
    );
    let crossing = map(&[&island], Antimeridian::Shortest);
    assert_eq!(crossing.columns(3), [0, 7]);
    assert_eq!(map(&[&island], Antimeridian::AsWritten).columns(3), [0, 1, 2, 3, 4, 5, 6, 7]);
    // The hole is where it was.
    assert_eq!(crossing.features(3, 0, 3)[0].parts.len(), 2);

    // Near the antimeridian on both sides it is across by default.
    assert_eq!(map(&[&line("[[176,10],[-177,20]]")], Antimeridian::default()).columns(3), [0, 7]);
    assert_eq!(map(&[&track], Antimeridian::default()).columns(3).len(), 8);

    // A parallel all around the world is no crossing, nor is the whole world.
    let parallel = line("[[-180,10],[180,10]]");
    assert_eq!(map(&[&parallel], Antimeridian::Shortest).columns(3).len(), 8);
    let world = polygon("[[[-180,-85],[180,-85],[180,85],[-180,85],[-180,-85]]]");
    assert_eq!(map(&[&world], Antimeridian::Shortest).columns(3).len(), 8);
    // Around the world twice is more than can be told: as written.
    let spiral = line("[[0,10],[120,11],[-120,12],[0,13],[120,14],[-120,15],[0,16]]");
    assert_eq!(map(&[&spiral], Antimeridian::Shortest).columns(3), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_polygon_cut_at_the_antimeridian_is_one_again() {
    let halves =
        r#"{"type":"Feature","id":1,"properties":{},"geometry":{"type":"MultiPolygon","coordinates":[
        [[[170,0],[180,0],[180,10],[170,10],[170,0]]],[[[-180,0],[-170,0],[-170,10],[-180,10],[-180,0]]]]}}"#
            .replace('\n', "");
    let map = map(&[&halves], Antimeridian::AsWritten);
    for x in [0, 7] {
        let features = map.features(3, x, 3);
        assert_eq!(features[0].parts.len(), 1, "the seam lies in the buffer, and shows no border");
    }
}

#[test]
fn a_ring_around_a_pole_is_closed_along_it() {
    let antarctica = polygon("[[[-120,-70],[0,-75],[120,-70],[-120,-70]]]");
    let map = map(&[&antarctica], Antimeridian::Shortest);
    assert_eq!(map.columns(7), [0, 1, 2, 3, 4, 5, 6, 7]);
    // All of the lowest row but a strip is land.
    let tile = map.features(3, 4, 7);
    assert!(area(&tile) > 2 * 4096 * 4096 / 2, "{tile:?}");
    // Cut at the antimeridian and closed along the pole by its source, it is the same.
    let cut =
        polygon("[[[-180,-90],[180,-90],[180,-73],[120,-70],[0,-75],[-120,-70],[-180,-73],[-180,-90]]]");
    for rule in [Antimeridian::AsWritten, Antimeridian::Near, Antimeridian::Shortest] {
        let cut = map_of(&cut, rule);
        assert_eq!(cut.columns(7), [0, 1, 2, 3, 4, 5, 6, 7], "{rule:?}");
        assert!(area(&cut.features(3, 4, 7)) > 4096 * 4096, "{rule:?}");
    }
}

/// Natural Earth's countries at 1:50m, as world-atlas has them.
#[test]
fn a_ring_along_the_pole_with_the_coast_for_a_hole_is_land_to_the_pole() {
    let along = "[[-180,-89.999],[178,-89.999],[60,-89.999],[-60,-89.999],[-178,-89.999],[-180,-89.999]]";
    let coast = "[[-180,-84],[-170,-80],[-60,-70],[60,-70],[170,-80],[179.6,-84],[-180,-84]]";
    let map = map(&[&polygon(&format!("[{along},{coast}]"))], Antimeridian::Near);
    assert_eq!(map.columns(7), [0, 1, 2, 3, 4, 5, 6, 7]);
    // Land from 70 degrees south on, and none to the north of it.
    let pieces = map.features(3, 4, 7);
    assert!(area(&pieces) > 4096 * 4096 && map.columns(5).is_empty(), "{pieces:?}");
}

#[test]
fn latitudes_beyond_the_square_are_on_its_edge_or_run_out_of_it() {
    let pole =
        r#"{"type":"Feature","id":1,"properties":{},"geometry":{"type":"Point","coordinates":[10,90]}}"#;
    let there = map(&[pole], Antimeridian::AsWritten).features(0, 0, 0);
    assert_eq!((there[0].kind, there[0].parts[0][0].y), (GeometryKind::Points, 0));
    // The outline of a cap runs out of the tile, rather than along its edge.
    let cap = polygon("[[[-10,80],[10,80],[10,90],[-10,90],[-10,80]]]");
    let cap = map(&[&cap], Antimeridian::AsWritten).features(0, 0, 0);
    assert_eq!(cap[0].parts[0].iter().map(|point| point.y).min(), Some(-64));
}

#[test]
fn a_collection_is_a_feature_for_each_kind_under_one_id() {
    let collection = r#"{"type":"Feature","id":9,"properties":{"a":1},"geometry":{"type":"GeometryCollection","geometries":[
        {"type":"Point","coordinates":[1,1]},{"type":"MultiPoint","coordinates":[[2,2],[3,3]]},
        {"type":"GeometryCollection","geometries":[{"type":"LineString","coordinates":[[0,0],[9,9]]}]}]}}"#
        .replace('\n', "");
    let features = map(&[&collection], Antimeridian::AsWritten).features(0, 0, 0);
    let kinds: Vec<_> =
        features.iter().map(|feature| (feature.id, feature.kind, feature.parts[0].len())).collect();
    assert_eq!(kinds, [(Some(9), GeometryKind::Points, 3), (Some(9), GeometryKind::Lines, 2)]);
    assert!(features.iter().all(|feature| feature.tags.len() == 1));
}

#[test]
fn inside_out_and_self_crossing_polygons_are_what_they_enclose() {
    let square = "[[0,0],[20,0],[20,20],[0,20],[0,0]]";
    let inside_out = "[[0,0],[0,20],[20,20],[20,0],[0,0]]";
    let drawn =
        |ring: &str| map(&[&polygon(&format!("[{ring}]"))], Antimeridian::AsWritten).features(0, 0, 0);
    assert_eq!(area(&drawn(square)), area(&drawn(inside_out)));
    assert!(area(&drawn(square)) > 0);
    // A bow tie's two halves, each wound as an outer ring.
    let bow_tie = drawn("[[0,-10],[20,10],[20,-10],[0,4],[0,-10]]");
    assert_eq!(bow_tie[0].parts.len(), 2);
    assert!(bow_tie[0].parts.iter().all(|ring| decode::doubled_area(ring) > 0));
}

#[test]
fn what_has_no_extent_is_drawn_as_far_as_it_can_be() {
    // A line that stays where it is has nothing to draw; a ring without area is a dot at the deepest zoom.
    let still = line("[[5,5],[5,5]]");
    let flat = polygon("[[[10,10],[20,10],[15,10],[10,10]]]");
    let map = map(&[&still, &flat], Antimeridian::AsWritten);
    assert_eq!((map.report.layers[0].features, map.report.skipped_total()), (2, 0));
    assert!(map.features(0, 0, 0).is_empty());
    assert_eq!(map.features(3, 4, 3).len(), 1);
}

#[test]
fn numbers_texts_and_nothing_under_one_name_stay_what_they_are() {
    let point = |id: u32, value: &str| {
        format!(
            r#"{{"type":"Feature","id":{id},"properties":{{"v":{value}}},"geometry":{{"type":"Point","coordinates":[{id},1]}}}}"#
        )
    };
    let values = ["7", "\"7\"", "-7", "7.5", "true", "null", "[1,2]", "{\"a\":null}"];
    let lines: Vec<_> = (1..).zip(values).map(|(id, value)| point(id * 10, value)).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let map = map(&lines, Antimeridian::AsWritten);
    let read: Vec<_> = map
        .features(0, 0, 0)
        .into_iter()
        .map(|feature| feature.tags.first().map(|tag| tag.1.clone()))
        .collect();
    let text = |text: &str| Some(DecodedValue::Text(text.into()));
    assert_eq!(
        read,
        [
            Some(DecodedValue::Unsigned(7)),
            text("7"),
            Some(DecodedValue::Signed(-7)),
            Some(DecodedValue::Double(7.5)),
            Some(DecodedValue::Bool(true)),
            None,
            text("[1,2]"),
            text("{\"a\":null}"),
        ]
    );
    assert_eq!(map.set.metadata()["vector_layers"][0]["fields"]["v"], "Mixed");
}

#[test]
fn ids_are_numbers_below_2_to_the_53_whatever_they_were() {
    let point = |id: &str, lon: u32| {
        format!(
            r#"{{"type":"Feature","id":{id},"properties":{{}},"geometry":{{"type":"Point","coordinates":[{lon},1]}}}}"#
        )
    };
    let ids = ["7", "\"way/7\"", "-7", "9007199254740992", "7.5", "7"];
    let lines: Vec<_> = (1..).zip(ids).map(|(lon, id)| point(id, lon * 20)).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let read: Vec<_> =
        map(&lines, Antimeridian::AsWritten).features(0, 0, 0).iter().map(|f| f.id.unwrap()).collect();
    // The same id twice is the same id twice: both are drawn.
    assert_eq!((read[0], read[5], read.len()), (7, 7, 6));
    assert!(read[1..5].iter().all(|id| *id < 1 << 53 && *id != 7), "{read:?}");
    let again: Vec<_> =
        map(&lines, Antimeridian::AsWritten).features(0, 0, 0).iter().map(|f| f.id.unwrap()).collect();
    assert_eq!(read, again);
}

/// A ring of 10 million vertices: takes a minute and a gigabyte, so only when asked for by `WATERSMEET_LONG`.
#[test]
fn a_feature_of_ten_million_vertices_is_built() {
    let count = if std::env::var_os("WATERSMEET_LONG").is_some() { 10_000_000 } else { 20_000 };
    let place = |index: i32| {
        let angle = std::f64::consts::TAU * f64::from(index % count) / f64::from(count);
        let far = 30.0 + 5.0 * libm::sin(angle * 977.0) + libm::sin(angle * 100_003.0);
        format!("[{:.7},{:.7}]", far * libm::cos(angle), far * libm::sin(angle))
    };
    let ring: Vec<_> = (0..=count).map(place).collect();
    let map = map(&[&polygon(&format!("[[{}]]", ring.join(",")))], Antimeridian::AsWritten);
    assert_eq!(map.report.layers[0].vertices, u64::try_from(count).unwrap());
    let drawn = map.features(0, 0, 0);
    assert!(drawn.len() == 1 && drawn[0].parts[0].len() > 100);
}
