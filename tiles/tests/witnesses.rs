//! Others' readers understand what we write, and nothing that we read makes us panic.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use bytes::Bytes;
use common::{Folder, Random, built, feature, plain};
use mvt_reader::feature::Value as Witnessed;
use quickcheck::quickcheck;
use watersmeet_tiles::archive::{Archive, ArchiveWriter};
use watersmeet_tiles::decode::{self, DecodedFeature, DecodedLayer, DecodedValue, GeometryKind};
use watersmeet_tiles::simplify::TilePoint;
use watersmeet_tiles::source::Shape;
use watersmeet_tiles::{BuildOptions, TileCoord, TileSet, Value};

#[tokio::test]
async fn the_pmtiles_crate_reads_our_archives() {
    let folder = Folder::new();
    let path = folder.path("map.pmtiles");
    built(&path, &BuildOptions::default(), Random(1).map([100.0, 30.0]));
    let ours = TileSet::open(&path).unwrap();
    let theirs = pmtiles::AsyncPmTilesReader::new_with_path(&path).await.unwrap();
    let header = theirs.get_header();
    assert_eq!((header.min_zoom, header.max_zoom), (0, 6));
    assert_eq!(header.tile_type, pmtiles::TileType::Mvt);
    let metadata: serde_json::Value = serde_json::from_str(&theirs.get_metadata().await.unwrap()).unwrap();
    assert_eq!(metadata["vector_layers"].as_array().unwrap().len(), 3);
    let mut read = 0;
    for z in 0..=6 {
        for (x, y) in (0..1 << z).flat_map(|x| (0..1 << z).map(move |y| (x, y))) {
            let coord = pmtiles::TileCoord::new(z, x, y).unwrap();
            let tile = theirs.get_tile_decompressed(coord).await.unwrap().unwrap_or_default();
            assert_eq!(tile, plain(&ours, TileCoord::new(z, x, y).unwrap()), "{z}/{x}/{y}");
            read += usize::from(!tile.is_empty());
        }
    }
    assert!(read > 20);
}

#[test]
fn the_mvt_reader_crate_reads_our_tiles() {
    let folder = Folder::new();
    let path = folder.path("map.pmtiles");
    let properties = [
        ("text", Value::Text("Zürich".into())),
        ("natural", Value::Natural(u64::MAX)),
        ("negative", Value::Negative(-5)),
        ("double", Value::Double(0.1)),
        ("yes", Value::Bool(true)),
    ];
    let ring = vec![[-90.0, -45.0], [90.0, -45.0], [90.0, 45.0], [-90.0, 45.0], [-90.0, -45.0]];
    let hole = vec![[-9.0, -9.0], [-9.0, 9.0], [9.0, 9.0], [9.0, -9.0], [-9.0, -9.0]];
    let areas = vec![feature((1 << 53) - 1, Shape::Polygons(vec![vec![ring, hole]]), &properties)];
    let points = vec![feature(7, Shape::Points(vec![[0.0, 0.0]]), &[])];
    built(&path, &BuildOptions::default(), vec![("areas", areas), ("points", points)]);
    let tile = plain(&TileSet::open(&path).unwrap(), TileCoord::ROOT);
    let reader = mvt_reader::Reader::new(tile).unwrap();
    assert_eq!(reader.get_layer_names().unwrap(), ["areas", "points"]);
    let area = reader.get_features(0).unwrap().remove(0);
    assert_eq!(area.id, Some((1 << 53) - 1));
    let witnessed = area.properties.unwrap();
    assert_eq!(witnessed["text"], Witnessed::String("Zürich".into()));
    assert_eq!(witnessed["natural"], Witnessed::UInt(u64::MAX));
    assert_eq!(witnessed["negative"], Witnessed::SInt(-5));
    assert_eq!(witnessed["double"], Witnessed::Double(0.1));
    assert_eq!(witnessed["yes"], Witnessed::Bool(true));
    let shape = format!("{:?}", area.geometry);
    for corner in ["1024.0", "3072.0"] {
        assert!(shape.contains(corner), "{shape}");
    }
}

/// A tile written by another encoder.
fn encoded(layers: &[DecodedLayer]) -> Result<Vec<u8>, mvt::Error> {
    let mut tile = mvt::Tile::new(4096);
    for layer in layers {
        let mut out = tile.create_layer(&layer.name);
        for feature in &layer.features {
            let mut geometry = mvt::GeomEncoder::new(match feature.kind {
                GeometryKind::Lines => mvt::GeomType::Linestring,
                GeometryKind::Polygons => mvt::GeomType::Polygon,
                GeometryKind::Points | GeometryKind::Unknown => mvt::GeomType::Point,
            });
            for part in &feature.parts {
                part.iter().try_for_each(|point| geometry.add_point(point.x as f64, point.y as f64))?;
                geometry.complete_geom()?;
            }
            let mut written = out.into_feature(geometry.encode()?);
            feature.id.into_iter().for_each(|id| written.set_id(id));
            for (key, value) in &feature.tags {
                match value {
                    DecodedValue::Text(text) => written.add_tag_string(key, text),
                    DecodedValue::Float(number) => written.add_tag_float(key, *number),
                    DecodedValue::Double(number) => written.add_tag_double(key, *number),
                    DecodedValue::Signed(number) => written.add_tag_sint(key, *number),
                    DecodedValue::Unsigned(number) => written.add_tag_uint(key, *number),
                    DecodedValue::Bool(yes) => written.add_tag_bool(key, *yes),
                }
            }
            out = written.into_layer();
        }
        tile.add_layer(out)?;
    }
    tile.to_bytes()
}

/// Whether that encoder leaves a geometry as it is. It forgets a `MoveTo` where a part begins at the end of the last one,
/// and leaves out what lies straight between two corners of a ring.
fn is_left_alone(feature: &DecodedFeature) -> bool {
    let straight = |[a, b, c]: [TilePoint; 3]| (a.x == b.x && b.x == c.x) || (a.y == b.y && b.y == c.y);
    let ring = &feature.parts[0];
    let is_whole = || !ring.windows(3).any(|three| straight([three[0], three[1], three[2]]));
    feature.parts.len() == 1 && (feature.kind != GeometryKind::Polygons || is_whole())
}

#[test]
fn the_mvt_crate_writes_what_we_write() {
    let folder = Folder::new();
    let path = folder.path("map.pmtiles");
    built(&path, &BuildOptions::default(), Random(5).map([100.0, 30.0]));
    let set = TileSet::open(&path).unwrap();
    let (mut tiles, mut features) = (vec![TileCoord::ROOT], 0);
    while let Some(tile) = tiles.pop() {
        let mut layers = decode::tile(&plain(&set, tile)).unwrap();
        layers.iter_mut().for_each(|layer| layer.features.retain(is_left_alone));
        layers.retain(|layer| !layer.features.is_empty());
        let theirs = encoded(&layers).unwrap();
        assert_eq!(decode::tile(&theirs).unwrap(), layers, "{tile}");
        features += layers.iter().map(|layer| layer.features.len()).sum::<usize>();
        tiles.extend(tile.children().into_iter().filter(|_| tile.z() < 4));
    }
    assert!(features > 250, "{features}");
}

#[test]
fn long_archives_have_leaves_and_equal_tiles_are_stored_once() {
    let mut writer = ArchiveWriter::default();
    let mut random = Random(3);
    let mut number = 0;
    let mut expected = Vec::new();
    for index in 0..60_000_u64 {
        number += 1 + random.next() % 50;
        let bytes =
            if index % 5 == 0 { b"sea".to_vec() } else { random.next().to_string().repeat(3).into_bytes() };
        writer.add(number, &bytes);
        expected.push((number, bytes));
    }
    let folder = Folder::new();
    let archive = Archive::open(Bytes::from(writer.to_plain_bytes().unwrap())).unwrap();
    assert!(archive.header().entries > 50_000);
    assert!(archive.header().distinct_tiles <= 48_001);
    for (number, bytes) in expected {
        assert_eq!(archive.tile(number).unwrap().unwrap(), bytes, "{number}");
    }
    assert_eq!(archive.tile(number + 1).unwrap(), None);
    let mut runs = 0;
    archive.each_entry(&mut |_| runs += 1).unwrap();
    assert_eq!(runs, archive.header().entries);
    drop(folder);
}

/// A small archive to be damaged.
fn small() -> Vec<u8> {
    let mut writer = ArchiveWriter::default();
    (0..100_u64).for_each(|number| writer.add(number * 3, &number.to_le_bytes()));
    writer.to_plain_bytes().unwrap()
}

fn read_all(bytes: Vec<u8>) {
    let Ok(archive) = Archive::open(Bytes::from(bytes)) else { return };
    let _ = archive.metadata();
    let _ = archive.each_entry(&mut |_| {});
    for number in 0..50 {
        let _ = archive.tile(number);
    }
}

quickcheck! {
    fn no_bytes_make_the_archive_reader_panic(bytes: Vec<u8>) -> bool {
        read_all([b"PMTiles\x03", &bytes[..]].concat());
        read_all(bytes);
        true
    }

    fn no_damage_makes_the_archive_reader_panic(at: usize, byte: u8, length: usize) -> bool {
        let mut bytes = small();
        // The first bytes decide most.
        let place = at % if at.is_multiple_of(2) { 127 } else { bytes.len() };
        bytes[place] = byte;
        read_all(bytes.clone());
        bytes.truncate(length % bytes.len());
        read_all(bytes);
        true
    }
}
