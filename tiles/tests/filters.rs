//! Filters mean what they mean to `MapLibre`: for each in the table the same features pass. That the table is `MapLibre`'s is
//! checked where npm is, in `demo-web/test/filters.test.mjs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use serde_json::Value as Json;
use watersmeet_tiles::source::{Shape, SourceFeature, SourceId};
use watersmeet_tiles::{Filter, Value};

/// A feature as `MapLibre` has it: 1, 2 and 3 are points, lines and polygons.
fn feature(json: &Json) -> SourceFeature {
    let properties = json["properties"].as_object().unwrap().iter().map(|(key, value)| {
        let value = match value {
            Json::Bool(truth) => Value::Bool(*truth),
            Json::String(text) => Value::Text(text.as_str().into()),
            number => number.as_u64().map_or_else(|| Value::Double(number.as_f64().unwrap()), Value::Natural),
        };
        (key.as_str().into(), value)
    });
    let shape = match json["type"].as_u64() {
        Some(1) => Shape::Points(Vec::new()),
        Some(2) => Shape::Lines(Vec::new()),
        _ => Shape::Polygons(Vec::new()),
    };
    let id = json["id"].as_u64().map(SourceId::Number);
    SourceFeature { id, properties: properties.collect(), shapes: vec![shape] }
}

#[test]
fn filters_mean_what_they_mean_to_maplibre() {
    let table: Json = serde_json::from_str(include_str!("filters.json")).unwrap();
    let (features, filters) = (table["features"].as_array().unwrap(), table["filters"].as_array().unwrap());
    assert!(filters.len() > 70);
    for row in filters {
        let filter = Filter::parse(&row["filter"]).unwrap_or_else(|error| panic!("{row}: {error}"));
        let passing = features.iter().filter(|json| filter.passes(&feature(json)));
        let names: Vec<_> = passing.map(|json| json["name"].clone()).collect();
        assert_eq!(Json::from(names), row["passes"], "{}", row["filter"]);
    }
}
