//! Encoding: Mapbox vector tiles, version 2.1, written straight into bytes.
//!
//! One idea: keys and values are numbered by a layer's dictionary already, so a tile's own tables are a renumbering in
//! order of first use, and no attribute is hashed or compared as text. Not here: reading of tiles; and compression.
//!
//! Source: <https://github.com/mapbox/vector-tile-spec/tree/master/2.1>.

use std::collections::HashMap;
use std::sync::Arc;

use i_overlay::i_float::int::point::IntPoint;

use crate::clean::Polygon;
use crate::feature::{Dictionary, Value};
use crate::simplify::TilePoint;
use crate::varint::{put_varint, zigzag};

/// A geometry in tile units, clipped and clean.
#[derive(Clone, Debug, PartialEq)]
pub enum TileGeometry {
    /// Points.
    Points(Vec<TilePoint>),
    /// Lines of at least two points.
    Lines(Vec<Vec<TilePoint>>),
    /// Valid polygons.
    Polygons(Vec<Polygon>),
}

/// A feature of one tile.
#[derive(Clone, Debug, PartialEq)]
pub struct TileFeature {
    /// Below 2^53.
    pub id: u64,
    /// Pairs of indices into the layer's dictionary.
    pub tags: Arc<[(u32, u32)]>,
    /// What counts when the tile is too large; see [`Feature`](crate::feature::Feature).
    pub weight: u32,
    /// Where it is.
    pub geometry: TileGeometry,
}

/// A layer of one tile.
#[derive(Clone, Debug, PartialEq)]
pub struct TileLayer {
    /// What the tags point to.
    pub dictionary: Arc<Dictionary>,
    /// In drawing order.
    pub features: Vec<TileFeature>,
}

const LAYER: u64 = 3;
const LAYER_NAME: u64 = 1;
const LAYER_FEATURE: u64 = 2;
const LAYER_KEY: u64 = 3;
const LAYER_VALUE: u64 = 4;
const LAYER_EXTENT: u64 = 5;
const LAYER_VERSION: u64 = 15;
const FEATURE_ID: u64 = 1;
const FEATURE_TAGS: u64 = 2;
const FEATURE_TYPE: u64 = 3;
const FEATURE_GEOMETRY: u64 = 4;
const VALUE_STRING: u64 = 1;
const VALUE_DOUBLE: u64 = 3;
const VALUE_UINT: u64 = 5;
const VALUE_SINT: u64 = 6;
const VALUE_BOOL: u64 = 7;

const MOVE_TO: u64 = 1;
const LINE_TO: u64 = 2;
const CLOSE_PATH: u64 = 7;

/// The tile's bytes. Layers without features are left out; a tile without layers has no bytes.
#[must_use]
pub fn tile(layers: &[TileLayer], extent: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for layer in layers.iter().filter(|layer| !layer.features.is_empty()) {
        put_bytes(&mut out, LAYER, &layer_bytes(layer, extent));
    }
    out
}

fn layer_bytes(layer: &TileLayer, extent: u32) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, LAYER_VERSION, 2);
    put_bytes(&mut out, LAYER_NAME, layer.dictionary.name.as_bytes());
    let mut tables = Tables::default();
    let mut scratch = Scratch::default();
    for feature in &layer.features {
        scratch.feature(feature, &mut tables);
        put_bytes(&mut out, LAYER_FEATURE, &scratch.bytes);
    }
    for key in &tables.keys.order {
        put_bytes(&mut out, LAYER_KEY, layer.dictionary.keys[*key as usize].as_bytes());
    }
    for value in &tables.values.order {
        put_bytes(&mut out, LAYER_VALUE, &value_bytes(&layer.dictionary.values[*value as usize]));
    }
    put_number(&mut out, LAYER_EXTENT, extent.into());
    out
}

/// Numbers in order of first use.
#[derive(Default)]
struct Table {
    numbers: HashMap<u32, u64>,
    order: Vec<u32>,
}

#[derive(Default)]
struct Tables {
    keys: Table,
    values: Table,
}

impl Table {
    fn number(&mut self, index: u32) -> u64 {
        let next = self.order.len() as u64;
        *self.numbers.entry(index).or_insert_with(|| {
            self.order.push(index);
            next
        })
    }
}

/// Bytes of one feature, written again and again.
#[derive(Default)]
struct Scratch {
    bytes: Vec<u8>,
    packed: Vec<u8>,
}

impl Scratch {
    fn feature(&mut self, feature: &TileFeature, tables: &mut Tables) {
        let Self { bytes, packed } = self;
        bytes.clear();
        put_number(bytes, FEATURE_ID, feature.id);
        packed.clear();
        for (key, value) in feature.tags.iter() {
            put_varint(packed, tables.keys.number(*key));
            put_varint(packed, tables.values.number(*value));
        }
        if !packed.is_empty() {
            put_bytes(bytes, FEATURE_TAGS, packed);
        }
        packed.clear();
        let kind = geometry(&feature.geometry, packed);
        put_number(bytes, FEATURE_TYPE, kind);
        put_bytes(bytes, FEATURE_GEOMETRY, packed);
    }
}

/// Writes a geometry's commands; the geometry's type is returned.
fn geometry(geometry: &TileGeometry, out: &mut Vec<u8>) -> u64 {
    let mut pen = Pen { out, x: 0, y: 0 };
    match geometry {
        TileGeometry::Points(points) => {
            pen.command(MOVE_TO, points.len());
            points.iter().for_each(|point| pen.to(point.x, point.y));
            1
        }
        TileGeometry::Lines(lines) => {
            lines.iter().for_each(|line| pen.path(line.iter().map(|point| (point.x, point.y))));
            2
        }
        TileGeometry::Polygons(polygons) => {
            for ring in polygons.iter().flatten() {
                pen.path(ring.iter().map(|&IntPoint { x, y }| (i64::from(x), i64::from(y))));
                pen.command(CLOSE_PATH, 1);
            }
            3
        }
    }
}

/// Draws by steps from where it stands.
struct Pen<'a> {
    out: &'a mut Vec<u8>,
    x: i64,
    y: i64,
}

impl Pen<'_> {
    fn command(&mut self, command: u64, count: usize) {
        put_varint(self.out, command | (count as u64) << 3);
    }

    fn to(&mut self, x: i64, y: i64) {
        put_varint(self.out, zigzag(x - self.x));
        put_varint(self.out, zigzag(y - self.y));
        (self.x, self.y) = (x, y);
    }

    fn path(&mut self, mut points: impl ExactSizeIterator<Item = (i64, i64)>) {
        let Some((x, y)) = points.next() else { return };
        self.command(MOVE_TO, 1);
        self.to(x, y);
        self.command(LINE_TO, points.len());
        points.for_each(|(x, y)| self.to(x, y));
    }
}

fn value_bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Text(text) => put_bytes(&mut out, VALUE_STRING, text.as_bytes()),
        Value::Natural(number) => put_number(&mut out, VALUE_UINT, *number),
        Value::Negative(number) => put_number(&mut out, VALUE_SINT, zigzag(*number)),
        Value::Bool(truth) => put_number(&mut out, VALUE_BOOL, (*truth).into()),
        Value::Double(number) => {
            put_varint(&mut out, VALUE_DOUBLE << 3 | 1);
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    out
}

fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    put_varint(out, field << 3);
    put_varint(out, number);
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: i64, y: i64) -> TilePoint {
        TilePoint { x, y }
    }

    fn layer(features: Vec<TileGeometry>) -> TileLayer {
        let dictionary = Dictionary {
            name: "l".into(),
            keys: vec!["unused".into(), "k".into()],
            values: vec![Value::Bool(true), Value::Natural(5), Value::Negative(-1), Value::Double(0.5)],
        };
        let feature = |(id, geometry)| TileFeature {
            id: id as u64 + 1,
            tags: vec![(1, [3, 2][id])].into(),
            weight: 0,
            geometry,
        };
        TileLayer {
            dictionary: dictionary.into(),
            features: features.into_iter().enumerate().map(feature).collect(),
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        // The examples of section 4.3.5 of the specification: a multipoint, and a line string.
        let points = TileGeometry::Points(vec![point(5, 7), point(3, 2)]);
        let line = TileGeometry::Lines(vec![vec![point(2, 2), point(2, 10), point(10, 10)]]);
        let bytes = tile(&[layer(vec![points, line])], 4096);
        #[rustfmt::skip]
        let golden = [
            0x1A, 63,
            0x78, 2,                                                     // version
            0x0A, 1, b'l',                                               // name
            0x12, 15, 0x08, 1, 0x12, 2, 0, 0, 0x18, 1, 0x22, 5, 17, 10, 14, 3, 9,
            0x12, 18, 0x08, 2, 0x12, 2, 0, 1, 0x18, 2, 0x22, 8, 9, 4, 4, 18, 0, 16, 16, 0,
            0x1A, 1, b'k',                                               // keys
            0x22, 9, 0x19, 0, 0, 0, 0, 0, 0, 0xE0, 0x3F,                 // values
            0x22, 2, 0x30, 1,
            0x28, 0x80, 0x20,                                            // extent
        ];
        assert_eq!(bytes, golden);
    }

    #[test]
    fn a_tile_without_features_has_no_bytes() {
        assert!(tile(&[layer(Vec::new())], 4096).is_empty());
    }
}
