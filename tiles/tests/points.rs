//! Points on the map: thinned by importance, or clustered with their sums, whatever the order of the file.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Folder, Random, built, feature, plain};
use mvt_reader::Reader;
use mvt_reader::feature::{Feature, Value as Read};
use watersmeet_tiles::source::{Shape, SourceFeature};
use watersmeet_tiles::{
    BuildOptions, ClusterRule, Fold, LayerRules, PointRule, RenderOptions, TileCoord, TileSet, Value,
};

const DEEPEST: u8 = 6;

/// Places in crowds, with a magnitude of their own.
fn places(count: u64) -> Vec<SourceFeature> {
    let mut random = Random(7);
    let mut place = |id| {
        let crowd = [[-70.0, -30.0], [10.0, 50.0], [12.0, 51.0], [140.0, 10.0]][(random.next() % 4) as usize];
        let far = libm::exp2(random.between(-6.0, 4.0));
        let place = [crowd[0] + random.between(-far, far), crowd[1] + random.between(-far, far)];
        let magnitude = Value::Negative(-1 - (random.next() % 1000).cast_signed());
        feature(id, Shape::Points(vec![place]), &[("magnitude", magnitude)])
    };
    (0..count).map(&mut place).collect()
}

fn options(rules: LayerRules, archive_zoom: u8) -> BuildOptions {
    let render = RenderOptions { max_zoom: DEEPEST, buffer: 0, ..RenderOptions::default() };
    let layers = [("places".to_owned(), rules)].into();
    BuildOptions { render, archive_zoom: Some(archive_zoom), layers, ..BuildOptions::default() }
}

/// All features of a zoom, by id; without a buffer each point is in one tile, or on the edge between two.
fn drawn(path: &Path, zoom: u8) -> BTreeMap<u64, Feature> {
    let set = TileSet::open(path).unwrap();
    let side = 1 << zoom;
    let tiles = (0..side).flat_map(|x| (0..side).map(move |y| TileCoord::new(zoom, x, y).unwrap()));
    let bytes = tiles.map(|tile| plain(&set, tile)).filter(|bytes| !bytes.is_empty());
    let features = bytes.flat_map(|bytes| Reader::new(bytes).unwrap().get_features(0).unwrap());
    features.map(|feature| (feature.id.unwrap(), feature)).collect()
}

fn number(feature: &Feature, key: &str) -> Option<i64> {
    match feature.properties.as_ref()?.get(key)? {
        Read::UInt(number) => i64::try_from(*number).ok(),
        Read::SInt(number) => Some(*number),
        _ => None,
    }
}

#[test]
fn density_falls_by_zoom_and_the_most_important_stay() {
    let folder = Folder::new();
    let path = folder.path("out.pmtiles");
    let rules = LayerRules { rank: Some("magnitude".into()), ..LayerRules::default() };
    let report = built(&path, &options(rules, DEEPEST), vec![("places", places(3000))]);
    let zooms: Vec<_> = (0..=DEEPEST).map(|zoom| drawn(&path, zoom)).collect();
    let counts: Vec<_> = zooms.iter().map(BTreeMap::len).collect();
    assert!(counts.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
    assert!(counts[0] < 100 && counts[6] == 3000, "{counts:?}");
    // A point that has appeared stays.
    assert!(zooms.windows(2).all(|pair| pair[0].keys().all(|id| pair[1].contains_key(id))));
    // The most important one is there from the first, and nothing is hidden in silence.
    let strongest = zooms[6].values().max_by_key(|f| number(f, "magnitude")).unwrap();
    assert!(zooms[0].contains_key(&strongest.id.unwrap()));
    assert_eq!(report.zooms[&0].hidden_by_rank, 3000 - counts[0] as u64);
}

#[test]
fn how_many_people_there_are_matters_only_beside_others() {
    let folder = Folder::new();
    let path = folder.path("out.pmtiles");
    let village = |(id, people): (u64, u64)| {
        let place = [10.0 + 20.0 * id as f64, 40.0];
        feature(id, Shape::Points(vec![place]), &[("population", Value::Natural(people))])
    };
    let ids = |list: &[(u64, u64)]| {
        let villages = list.iter().copied().map(village).collect();
        built(&path, &options(LayerRules::default(), DEEPEST), vec![("places", villages)]);
        drawn(&path, 0).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(ids(&[(1, 10), (2, 10), (3, 10)]), [1, 2, 3]);
    assert_eq!(ids(&[(1, 10), (2, 0), (3, 20_000_000)]), [1, 2, 3]);
    // Of so many that they would not have room, the largest: only these say something.
    let many: Vec<_> = (0..200).map(|id| (id, 1000 - id)).collect();
    let village = |(id, people): (u64, u64)| {
        let place = [-170.0 + (id % 20) as f64 * 17.0, -70.0 + (id / 20) as f64 * 14.0];
        feature(id, Shape::Points(vec![place]), &[("population", Value::Natural(people))])
    };
    let villages = many.into_iter().map(village).collect();
    built(&path, &options(LayerRules::default(), DEEPEST), vec![("places", villages)]);
    assert_eq!(drawn(&path, 0).into_keys().collect::<Vec<_>>(), (0..16).collect::<Vec<_>>());
    assert_eq!(drawn(&path, 3).len(), 200);
}

#[test]
fn without_a_rule_to_thin_all_points_are_there_at_every_zoom() {
    let folder = Folder::new();
    let path = folder.path("out.pmtiles");
    let rules = LayerRules { points: PointRule::All, ..LayerRules::default() };
    built(&path, &options(rules, DEEPEST), vec![("places", places(500))]);
    assert!((0..=DEEPEST).all(|zoom| drawn(&path, zoom).len() == 500));
}

fn clustered() -> LayerRules {
    let attributes = [("magnitude".to_owned(), Fold::Sum)].into();
    let cluster = ClusterRule { attributes, ..ClusterRule::default() };
    LayerRules { points: PointRule::Cluster, cluster, ..LayerRules::default() }
}

#[test]
fn clusters_count_every_point_once_at_every_zoom() {
    let folder = Folder::new();
    let path = folder.path("out.pmtiles");
    built(&path, &options(clustered(), DEEPEST), vec![("places", places(3000))]);
    let total: i64 = drawn(&path, DEEPEST).values().map(|f| number(f, "magnitude").unwrap()).sum();
    for zoom in 0..=DEEPEST {
        let drawn = drawn(&path, zoom);
        let points = drawn.values().map(|f| number(f, "point_count").unwrap_or(1)).sum::<i64>();
        let magnitude = drawn.values().map(|f| number(f, "magnitude").unwrap()).sum::<i64>();
        assert_eq!((points, magnitude), (3000, total), "zoom {zoom}");
        let clusters = drawn.values().filter(|f| number(f, "point_count").is_some());
        match zoom {
            DEEPEST => assert_eq!(clusters.count(), 0),
            _ => assert!(clusters.count() > 0 && drawn.len() < 3000, "zoom {zoom}: {}", drawn.len()),
        }
        assert!(drawn.keys().all(|id| *id < 1 << 53));
    }
    assert!(drawn(&path, 0).len() < 30);
}

#[test]
fn the_order_of_the_file_and_where_the_archive_ends_leave_no_trace() {
    let folder = Folder::new();
    for (name, rules) in [("thinned", LayerRules::default()), ("clustered", clustered())] {
        let [one, two] = ["one", "two"].map(|which| folder.path(&format!("{name}-{which}.pmtiles")));
        let mut places = places(800);
        built(&one, &options(rules.clone(), DEEPEST), vec![("places", places.clone())]);
        places.reverse();
        built(&two, &options(rules, 2), vec![("places", places)]);
        for zoom in 0..=DEEPEST {
            let text = |path| format!("{:?}", drawn(path, zoom).values().map(told).collect::<Vec<_>>());
            let same = text(&one) == text(&two);
            assert!(same, "{name}, zoom {zoom}");
        }
    }
}

#[test]
fn points_farther_apart_than_the_radius_do_not_cluster_and_few_may_not() {
    let folder = Folder::new();
    let path = folder.path("out.pmtiles");
    // At zoom 0 a degree is 1.4 pixels: 20 degrees are 28, and 40 degrees are 57.
    let place = |id, lon| feature(id, Shape::Points(vec![[lon, 0.0]]), &[]);
    let layer = || vec![("places", vec![place(1, 0.0), place(2, 20.0), place(3, 60.0)])];
    built(&path, &options(clustered(), DEEPEST), layer());
    let counts: Vec<_> = (0..=2).map(|zoom| drawn(&path, zoom).len()).collect();
    assert_eq!(counts, [2, 3, 3]);
    let mut picky = clustered();
    picky.cluster.min_points = 3;
    built(&path, &options(picky, DEEPEST), layer());
    assert_eq!(drawn(&path, 0).len(), 3);
}

/// All that a feature says, its attributes in the alphabet's order.
fn told(feature: &Feature) -> String {
    let properties: BTreeMap<_, _> = feature.properties.iter().flatten().collect();
    format!("{:?} {:?} {properties:?}", feature.id, feature.geometry)
}
