//! Files of formats that others have written.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::Folder;
use quickcheck::quickcheck;
use watersmeet_tiles::source::{BadFeature, Shape, SourceError, SourceFeature, open};
use watersmeet_tiles::{CsvColumns, Value};

/// One feature of each simple geometry, with a value of every type in the first; written with an index by the `flatgeobuf`
/// crate, version 6.0.
const MIXED: &[u8] = include_bytes!("data/mixed.fgb");

fn read(folder: &Folder, bytes: &[u8]) -> Result<Vec<Result<SourceFeature, BadFeature>>, SourceError> {
    std::fs::write(folder.path("input"), bytes).unwrap();
    let mut source = open("layer", &folder.path("input"), &CsvColumns::default())?;
    let mut all = Vec::new();
    while let Some(batch) = source.next()? {
        batch(&mut |_, item| all.push(item));
    }
    Ok(all)
}

/// The features in the order of their texts: an index sorts them by place.
fn mixed(folder: &Folder, bytes: &[u8]) -> Vec<SourceFeature> {
    let mut features: Vec<_> = read(folder, bytes).unwrap().into_iter().map(Result::unwrap).collect();
    features.sort_by_key(|feature| format!("{:?}", feature.properties[0].1));
    features
}

#[test]
fn flatgeobuf_has_every_geometry_and_type() {
    let folder = Folder::new();
    let features = mixed(&folder, MIXED);
    let square =
        |x: f64, y: f64, side: f64| vec![[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]];
    let triangle = |x: f64, y: f64, side: f64| vec![[x, y], [x + side, y], [x + side, y + side], [x, y]];
    let hole = vec![[1.0, 1.0], [1.0, 2.0], [2.0, 2.0], [2.0, 1.0], [1.0, 1.0]];
    let expected = [
        vec![Shape::Points(vec![[1.0, 2.0]])],
        vec![Shape::Points(vec![[3.0, 4.0], [5.0, 6.0]])],
        vec![Shape::Lines(vec![vec![[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]])],
        vec![Shape::Lines(vec![vec![[0.0, 0.0], [1.0, 1.0]], vec![[5.0, 5.0], [6.0, 6.0], [7.0, 5.0]]])],
        vec![Shape::Polygons(vec![vec![square(0.0, 0.0, 9.0), hole]])],
        vec![Shape::Polygons(vec![
            vec![triangle(0.0, 0.0, 1.0)],
            vec![triangle(10.0, 10.0, 9.0), triangle(12.0, 11.0, 1.0)],
        ])],
    ];
    assert_eq!(features.iter().map(|feature| feature.shapes.clone()).collect::<Vec<_>>(), expected);
    let expected = [
        ("text", Value::Text("feature 0".into())),
        ("byte", Value::Negative(-5)),
        ("ushort", Value::Natural(65_535)),
        ("int", Value::Negative(-70_000)),
        ("ulong", Value::Natural(u64::MAX)),
        ("float", Value::Double(0.5)),
        ("double", Value::Double(0.1)),
        ("bool", Value::Bool(true)),
        ("json", Value::Text("{\"a\":1}".into())),
        ("date", Value::Text("2026-01-02T03:04:05Z".into())),
    ];
    assert_eq!(features[0].properties, expected.map(|(name, value)| (name.into(), value)));
}

#[test]
fn a_file_that_is_cut_off_or_unknown_says_so() {
    let folder = Folder::new();
    // Between two features, too: the header tells how many there are.
    for end in 8..MIXED.len() {
        let error = read(&folder, &MIXED[..end]).unwrap_err();
        assert!(error.to_string().contains("a broken FlatGeobuf, after"), "{end}: {error}");
    }
    let error = |bytes: &[u8]| read(&folder, bytes).unwrap_err().to_string();
    assert!(
        error(&MIXED[..MIXED.len() - 1])
            .contains("after 5 features: the bytes end in the middle of the file")
    );
    assert!(error(b"\x00\x01\x02").contains("this is neither GeoJSON"));
    assert!(error(b"SQLite format 3\x00").contains("this is neither GeoJSON"));
    assert!(error(b"a,b\n1,2\n").contains("the first row names no column for the longitude"));
}

#[test]
fn zstd_is_unpacked_too() {
    let folder = Folder::new();
    let packed = watersmeet_tiles::compress::pack(MIXED, watersmeet_tiles::compress::Encoding::Zstd).unwrap();
    assert_eq!(mixed(&folder, &packed), mixed(&folder, MIXED));
}

quickcheck! {
    fn no_mutation_of_a_flatgeobuf_panics(at: usize, byte: u8) -> bool {
        let folder = Folder::new();
        let mut bytes = MIXED.to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(&folder, &bytes);
        true
    }
}
