//! Decoding: Mapbox vector tiles of anybody's, to be compared, described and checked.
//!
//! One idea: nothing in a tile is believed. Counts are checked against the bytes that are left, what the specification
//! forbids is an error that says what, and fields that it does not know are passed over as it asks. Not here: writing
//! (see [`encode`](crate::encode)), which never needs this.
//!
//! Source: <https://github.com/mapbox/vector-tile-spec/tree/master/2.1>.

use std::sync::Arc;

use crate::simplify::TilePoint;
use crate::varint::{Cursor, Malformed, unzigzag};

/// A layer as a tile holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedLayer {
    /// Its name.
    pub name: Arc<str>,
    /// 1 or 2.
    pub version: u32,
    /// Tile units a side.
    pub extent: u32,
    /// In the tile's order.
    pub features: Vec<DecodedFeature>,
}

/// A feature as a tile holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedFeature {
    /// Its id, when it has one.
    pub id: Option<u64>,
    /// Names and values, in the tile's order.
    pub tags: Vec<(Arc<str>, DecodedValue)>,
    /// What it is.
    pub kind: GeometryKind,
    /// Its points in one list; its lines; its rings, not closed by a repeated point. In tile units.
    pub parts: Vec<Vec<TilePoint>>,
}

/// A geometry's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryKind {
    /// Not said, or of a type that the specification does not know: the geometry is not read.
    Unknown,
    /// Points.
    Points,
    /// Lines.
    Lines,
    /// Polygons.
    Polygons,
}

/// A value as a tile types it.
#[derive(Clone, Debug, PartialEq)]
pub enum DecodedValue {
    /// A string.
    Text(Arc<str>),
    /// A float.
    Float(f32),
    /// A double.
    Double(f64),
    /// An `int64`, an `sint64`: signed whole numbers.
    Signed(i64),
    /// An `uint64`.
    Unsigned(u64),
    /// A boolean.
    Bool(bool),
}

/// Reads a tile's layers.
///
/// # Errors
/// When the bytes are no vector tile or break the specification where it decides what a reader sees. Memory is only
/// taken for what the bytes can hold.
///
/// ```
/// assert_eq!(watersmeet_tiles::decode::tile(&[]).unwrap(), []);
/// assert!(watersmeet_tiles::decode::tile(b"rubbish").is_err());
/// ```
pub fn tile(bytes: &[u8]) -> Result<Vec<DecodedLayer>, Malformed> {
    let mut layers = Vec::new();
    let mut fields = Fields(Cursor(bytes));
    while let Some((number, field)) = fields.next()? {
        if number == 3 {
            layers.push(layer(field.bytes("a layer")?)?);
        }
    }
    Ok(layers)
}

/// A field's content, by its wire type.
#[derive(Clone, Copy)]
enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(self, what: &'static str) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::Meaningless(what)),
        }
    }

    fn varint(self, what: &'static str) -> Result<u64, Malformed> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Malformed::Meaningless(what)),
        }
    }

    fn narrow(self, what: &'static str) -> Result<u32, Malformed> {
        u32::try_from(self.varint(what)?).map_err(|_| Malformed::TooLarge(what))
    }

    fn text(self, what: &'static str) -> Result<Arc<str>, Malformed> {
        std::str::from_utf8(self.bytes(what)?).map(Arc::from).map_err(|_| Malformed::Meaningless(what))
    }
}

/// A message, field by field.
struct Fields<'a>(Cursor<'a>);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, Malformed> {
        if self.0.0.is_empty() {
            return Ok(None);
        }
        let key = self.0.varint("a field's number")?;
        let field = match key & 7 {
            0 => Field::Varint(self.0.varint("a number")?),
            1 => Field::Fixed64(self.array("a double")?),
            2 => {
                let length = self.0.count(1, "a field's length")?;
                Field::Bytes(self.0.bytes(length, "a field")?)
            }
            5 => Field::Fixed32(self.array("a float")?),
            _ => return Err(Malformed::Meaningless("a field's type")),
        };
        Ok(Some((key >> 3, field)))
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.0.bytes(N, what)?);
        Ok(array)
    }
}

fn layer(bytes: &[u8]) -> Result<DecodedLayer, Malformed> {
    let (mut name, mut version, mut extent) = (None, 1, 4096);
    let (mut features, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut fields = Fields(Cursor(bytes));
    while let Some((number, field)) = fields.next()? {
        match number {
            15 => version = field.narrow("a layer's version")?,
            1 => name = Some(field.text("a layer's name")?),
            2 => features.push(field.bytes("a feature")?),
            3 => keys.push(field.text("a key")?),
            4 => values.push(value(field.bytes("a value")?)?),
            5 => extent = field.narrow("an extent")?,
            _ => {}
        }
    }
    if !(1..=2).contains(&version) {
        return Err(Malformed::Meaningless("a layer's version"));
    }
    let name = name.ok_or(Malformed::Meaningless("a layer without a name"))?;
    let features =
        features.into_iter().map(|bytes| feature(bytes, &keys, &values)).collect::<Result<_, _>>()?;
    Ok(DecodedLayer { name, version, extent, features })
}

fn value(bytes: &[u8]) -> Result<DecodedValue, Malformed> {
    let mut value = None;
    let mut fields = Fields(Cursor(bytes));
    while let Some((number, field)) = fields.next()? {
        value = Some(match (number, field) {
            (1, field) => DecodedValue::Text(field.text("a text")?),
            (2, Field::Fixed32(bytes)) => DecodedValue::Float(f32::from_le_bytes(bytes)),
            (3, Field::Fixed64(bytes)) => DecodedValue::Double(f64::from_le_bytes(bytes)),
            (4, Field::Varint(number)) => DecodedValue::Signed(number.cast_signed()),
            (5, Field::Varint(number)) => DecodedValue::Unsigned(number),
            (6, Field::Varint(number)) => DecodedValue::Signed(unzigzag(number)),
            (7, Field::Varint(number)) => DecodedValue::Bool(number != 0),
            (1..=7, _) => return Err(Malformed::Meaningless("a value's type")),
            _ => continue,
        });
    }
    value.ok_or(Malformed::Meaningless("a value of no type"))
}

fn feature(bytes: &[u8], keys: &[Arc<str>], values: &[DecodedValue]) -> Result<DecodedFeature, Malformed> {
    let (mut id, mut kind) = (None, GeometryKind::Unknown);
    let (mut tags, mut commands) = (Cursor(&[]), Cursor(&[]));
    let mut fields = Fields(Cursor(bytes));
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => id = Some(field.varint("an id")?),
            2 => tags = Cursor(field.bytes("tags")?),
            3 => kind = kind_of(field.varint("a geometry's type")?),
            4 => commands = Cursor(field.bytes("a geometry")?),
            _ => {}
        }
    }
    let mut named = Vec::new();
    while !tags.0.is_empty() {
        let (key, value) = (tags.narrow::<usize>("a tag's key")?, tags.narrow::<usize>("a tag's value")?);
        let key = keys.get(key).ok_or(Malformed::TooLarge("a tag's key"))?;
        let value = values.get(value).ok_or(Malformed::TooLarge("a tag's value"))?;
        named.push((Arc::clone(key), value.clone()));
    }
    let parts = if kind == GeometryKind::Unknown { Vec::new() } else { Path { kind, commands }.parts()? };
    Ok(DecodedFeature { id, tags: named, kind, parts })
}

fn kind_of(number: u64) -> GeometryKind {
    match number {
        1 => GeometryKind::Points,
        2 => GeometryKind::Lines,
        3 => GeometryKind::Polygons,
        _ => GeometryKind::Unknown,
    }
}

/// A geometry's commands (specification, section 4.3).
struct Path<'a> {
    kind: GeometryKind,
    commands: Cursor<'a>,
}

impl Path<'_> {
    fn parts(mut self) -> Result<Vec<Vec<TilePoint>>, Malformed> {
        let mut parts: Vec<Vec<TilePoint>> = Vec::new();
        let mut pen = TilePoint::default();
        let mut open = false;
        while !self.commands.0.is_empty() {
            let command: u32 = self.commands.narrow("a command")?;
            let count = (command >> 3) as usize;
            match (command & 7, self.kind) {
                (1, GeometryKind::Points) if parts.is_empty() => parts.push(self.points(count, &mut pen)?),
                (1, GeometryKind::Lines | GeometryKind::Polygons) if count == 1 && !open => {
                    parts.push(self.points(1, &mut pen)?);
                    open = self.kind == GeometryKind::Polygons;
                    let Some(2) = self.commands.0.first().map(|byte| byte & 7) else {
                        return Err(Malformed::Meaningless("a path of one point"));
                    };
                }
                (2, GeometryKind::Lines | GeometryKind::Polygons) if count > 0 => {
                    let more = self.points(count, &mut pen)?;
                    let part = parts.last_mut().ok_or(Malformed::Meaningless("a path without a start"))?;
                    part.extend(more);
                }
                (7, GeometryKind::Polygons) if count == 1 && open => open = false,
                _ => return Err(Malformed::Meaningless("a command")),
            }
        }
        if open || parts.is_empty() || parts.iter().any(Vec::is_empty) {
            return Err(Malformed::Meaningless("a geometry that is empty or not closed"));
        }
        Ok(parts)
    }

    fn points(&mut self, count: usize, pen: &mut TilePoint) -> Result<Vec<TilePoint>, Malformed> {
        if count > self.commands.0.len() / 2 {
            return Err(Malformed::Short("a geometry"));
        }
        let mut along = |from: i64| -> Result<i64, Malformed> {
            let step: u32 = self.commands.narrow("a step")?;
            Ok(from.wrapping_add(unzigzag(step.into())))
        };
        let point = |_| {
            *pen = TilePoint { x: along(pen.x)?, y: along(pen.y)? };
            Ok(*pen)
        };
        (0..count).map(point).collect()
    }
}

/// Twice a ring's signed area in square tile units, positive for an outer ring (specification, section 4.3.3.3).
#[must_use]
pub fn doubled_area(ring: &[TilePoint]) -> i128 {
    let next = ring.iter().cycle().skip(1);
    let cross = |p: &TilePoint, q: &TilePoint| i128::from(p.x) * i128::from(q.y);
    ring.iter().zip(next).map(|(a, b)| cross(a, b) - cross(b, a)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    quickcheck! {
        fn no_bytes_panic(bytes: Vec<u8>) -> bool {
            let _ = tile(&bytes);
            let length = u8::try_from(bytes.len().min(127)).unwrap_or(0);
            let wrapped = [&[0x1A, length + 5, 0x0A, 1, b'l', 0x12, length][..], &bytes[..length.into()]].concat();
            let _ = tile(&wrapped);
            true
        }
    }

    #[test]
    fn what_the_specification_forbids_is_an_error() {
        let with = |kind: u8, commands: &[u8]| {
            let length = u8::try_from(commands.len()).unwrap();
            let feature = [&[0x18, kind, 0x22, length][..], commands].concat();
            let layer = [&[0x0A, 1, b'l', 0x78, 2, 0x12, length + 4][..], &feature].concat();
            tile(&[&[0x1A, length + 11][..], &layer].concat())
        };
        assert!(with(1, &[9, 2, 2]).is_ok());
        assert!(with(3, &[9, 0, 0, 18, 4, 0, 0, 4, 15]).is_ok());
        // No close, two points in a line's first command, a command that is none, too few steps.
        for (kind, commands) in [
            (3, &[9, 0, 0, 18, 4, 0, 0, 4][..]),
            (2, &[17, 0, 0, 2, 2]),
            (1, &[12, 0, 0]),
            (1, &[17, 0, 0]),
            (2, &[9, 0, 0]),
        ] {
            assert!(with(kind, commands).is_err(), "{commands:?}");
        }
    }
}
