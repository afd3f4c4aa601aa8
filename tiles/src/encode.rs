//! Encoding: Mapbox vector tiles, version 2.1, written straight into bytes.
//!
//! One idea: keys and values are numbered by a layer's dictionary already, so a tile's own tables are a renumbering in
//! order of first use, and no attribute is hashed or compared as text. A geometry becomes commands as soon as it is
//! clipped; what is left then is to put features together, with or without those for which there is no room. Not here:
//! reading of tiles; and compression.
//!
//! Source: <https://github.com/mapbox/vector-tile-spec/tree/master/2.1>.

use std::ops::Range;

use crate::feature::Value;
use crate::packed::{Kind, Packed, PackedLayer};
use crate::simplify::{TilePaths, TilePoint};
use crate::varint::{put_varint, varint_bytes, zigzag};

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

/// A feature whose geometry is encoded already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The layer's place in the cell.
    pub layer: usize,
    /// Below 2^53.
    pub id: u64,
    /// What counts when the tile is too large; see [`Feature`](crate::feature::Feature).
    pub weight: u32,
    /// Where its tags are among the layer's.
    pub(crate) tags: Range<u32>,
    pub(crate) kind: Kind,
    /// Where its commands are among the tile's.
    pub(crate) commands: Range<usize>,
}

/// Working memory for encoding, to be used again from tile to tile.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    keys: Table,
    values: Table,
    tags: Vec<u8>,
    body: Vec<u8>,
}

impl Encoder {
    /// The bytes of a tile of these features, which are in the order of their layers. Layers without features are left
    /// out; a tile without features has no bytes.
    pub(crate) fn tile(&mut self, cell: &Packed, drawn: &[Drawn], commands: &[u8], extent: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(commands.len() + 24 * drawn.len() + 64);
        for features in drawn.chunk_by(|a, b| a.layer == b.layer) {
            self.layer(&cell.layers[features[0].layer], features, commands, extent);
            put_bytes(&mut out, LAYER, &self.body);
        }
        out
    }

    fn layer(&mut self, layer: &PackedLayer, features: &[Drawn], commands: &[u8], extent: u32) {
        self.body.clear();
        self.keys.reset(layer.words.key_count());
        self.values.reset(layer.words.value_count());
        put_number(&mut self.body, LAYER_VERSION, 2);
        put_bytes(&mut self.body, LAYER_NAME, layer.words.name());
        for feature in features {
            let tags = &layer.tags[feature.tags.start as usize..feature.tags.end as usize];
            self.feature(feature, tags, &commands[feature.commands.clone()]);
        }
        self.keys.order().iter().for_each(|key| layer.words.put_key(*key, &mut self.body));
        self.values.order().iter().for_each(|value| layer.words.put_value(*value, &mut self.body));
        put_number(&mut self.body, LAYER_EXTENT, extent.into());
    }

    fn feature(&mut self, feature: &Drawn, tags: &[(u32, u32)], commands: &[u8]) {
        let Self { keys, values, tags: packed, body } = self;
        packed.clear();
        for (key, value) in tags {
            put_varint(packed, keys.number(*key).into());
            put_varint(packed, values.number(*value).into());
        }
        let kind = match feature.kind {
            Kind::Points => 1,
            Kind::Lines => 2,
            Kind::Polygons => 3,
        };
        let field = |length: usize| 1 + varint_bytes(length as u64) + length;
        let with_tags = if packed.is_empty() { 0 } else { field(packed.len()) };
        let length = 1 + varint_bytes(feature.id) + with_tags + 2 + field(commands.len());
        put_varint(body, LAYER_FEATURE << 3 | 2);
        put_varint(body, length as u64);
        put_number(body, FEATURE_ID, feature.id);
        if !packed.is_empty() {
            put_bytes(body, FEATURE_TAGS, packed);
        }
        put_number(body, FEATURE_TYPE, kind);
        put_bytes(body, FEATURE_GEOMETRY, commands);
    }
}

/// Numbers in order of first use.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The number of each index, or [`NONE`].
    numbers: Vec<u32>,
    order: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Table {
    /// Forgets all numbers, and makes room for so many indices.
    pub(crate) fn reset(&mut self, count: usize) {
        self.order.drain(..).for_each(|index| self.numbers[index as usize] = NONE);
        if self.numbers.len() < count {
            self.numbers.resize(count, NONE);
        }
    }

    pub(crate) fn number(&mut self, index: u32) -> u32 {
        let number = &mut self.numbers[index as usize];
        if *number == NONE {
            // There are no more of them than indices.
            *number = u32::try_from(self.order.len()).unwrap_or(NONE);
            self.order.push(index);
        }
        *number
    }

    /// The indices by number.
    pub(crate) fn order(&self) -> &[u32] {
        &self.order
    }
}

/// Writes a feature's commands by steps from where it stands.
pub struct Pen<'a> {
    out: &'a mut Vec<u8>,
    at: TilePoint,
}

impl<'a> Pen<'a> {
    /// A pen at the tile's north-western corner, as every feature begins with.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, at: TilePoint::default() }
    }

    /// All points of a feature. There is at least one.
    pub fn points(&mut self, points: &[TilePoint]) {
        self.command(MOVE_TO, points.len());
        self.steps(points);
    }

    /// All lines of a feature, each of at least two points.
    pub fn lines(&mut self, lines: &TilePaths) {
        lines.iter().for_each(|line| self.path(line));
    }

    /// A ring of at least three points.
    pub fn ring(&mut self, ring: &[TilePoint], backwards: bool) {
        if backwards {
            self.path(&ring.iter().rev().copied().collect::<Vec<_>>());
        } else {
            self.path(ring);
        }
        self.command(CLOSE_PATH, 1);
    }

    fn path(&mut self, path: &[TilePoint]) {
        let Some((first, rest)) = path.split_first() else { return };
        self.command(MOVE_TO, 1);
        self.steps(std::slice::from_ref(first));
        self.command(LINE_TO, rest.len());
        self.steps(rest);
    }

    fn command(&mut self, command: u64, count: usize) {
        put_varint(self.out, command | (count as u64) << 3);
    }

    fn steps(&mut self, points: &[TilePoint]) {
        let Self { out, at } = self;
        out.reserve(4 * points.len());
        for point in points {
            put_step(out, zigzag(point.x - at.x));
            put_step(out, zigzag(point.y - at.y));
            *at = *point;
        }
    }
}

/// A varint that is most often one byte or two.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the upper bits are written by the other byte")]
fn put_step(out: &mut Vec<u8>, number: u64) {
    if number < 0x80 {
        out.push(number as u8);
    } else if number < 0x4000 {
        out.extend_from_slice(&[number as u8 | 0x80, (number >> 7) as u8]);
    } else {
        put_varint(out, number);
    }
}

/// Adds a key to a layer.
pub(crate) fn put_key(out: &mut Vec<u8>, key: &str) {
    put_bytes(out, LAYER_KEY, key.as_bytes());
}

/// Adds a value to a layer.
pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value) {
    let length = match value {
        Value::Text(text) => 1 + varint_bytes(text.len() as u64) + text.len(),
        Value::Natural(number) => 1 + varint_bytes(*number),
        Value::Negative(number) => 1 + varint_bytes(zigzag(*number)),
        Value::Bool(_) => 2,
        Value::Double(_) => 9,
    };
    put_varint(out, LAYER_VALUE << 3 | 2);
    put_varint(out, length as u64);
    match value {
        Value::Text(text) => put_bytes(out, VALUE_STRING, text.as_bytes()),
        Value::Natural(number) => put_number(out, VALUE_UINT, *number),
        Value::Negative(number) => put_number(out, VALUE_SINT, zigzag(*number)),
        Value::Bool(truth) => put_number(out, VALUE_BOOL, (*truth).into()),
        Value::Double(number) => {
            put_varint(out, VALUE_DOUBLE << 3 | 1);
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
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
    use crate::feature::Dictionary;
    use crate::packed::Words;

    fn points(list: &[(i64, i64)]) -> Vec<TilePoint> {
        list.iter().map(|&(x, y)| TilePoint { x, y }).collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        // The examples of section 4.3.5 of the specification: a multipoint, and a line string.
        let mut commands = Vec::new();
        Pen::new(&mut commands).points(&points(&[(5, 7), (3, 2)]));
        let middle = commands.len();
        let mut line = TilePaths::default();
        line.extend(&points(&[(2, 2), (2, 10), (10, 10)]));
        line.finish(2);
        Pen::new(&mut commands).lines(&line);
        let dictionary = Dictionary {
            name: "l".into(),
            keys: vec!["unused".into(), "k".into()],
            values: vec![Value::Bool(true), Value::Natural(5), Value::Negative(-1), Value::Double(0.5)],
        };
        let mut layer = PackedLayer::new(Words::Dictionary(dictionary.into()));
        layer.tags = vec![(1, 3), (1, 2)];
        let drawn = |id, kind, commands| {
            let index = u32::try_from(id - 1).unwrap();
            Drawn { layer: 0, id, weight: 0, tags: index..index + 1, kind, commands }
        };
        let features = [drawn(1, Kind::Points, 0..middle), drawn(2, Kind::Lines, middle..commands.len())];
        let bytes = Encoder::default().tile(&Packed { layers: vec![layer] }, &features, &commands, 4096);
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
        assert!(Encoder::default().tile(&Packed::default(), &[], &[], 4096).is_empty());
    }

    #[test]
    fn a_table_forgets_when_it_is_told_to() {
        let mut table = Table::default();
        table.reset(5);
        assert_eq!([4, 2, 4].map(|index| table.number(index)), [0, 1, 0]);
        table.reset(3);
        assert_eq!([2, 0].map(|index| table.number(index)), [0, 1]);
        assert_eq!(table.order(), [2, 0]);
    }
}
