//! The layers of an archive whose metadata does not name them, found by looking into some of its tiles.
//!
//! One idea: a map's middle has, from zoom to zoom, what a map of it mostly holds. Archives of others often lack
//! `vector_layers`, and without it neither a style nor a map library knows what to draw. Not here: geometry.
//!
//! Source: the Mapbox Vector Tile specification, version 2.1, section 4.1.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::coord::TileCoord;
use crate::project::position;
use crate::varint::{Cursor, Malformed};

/// A tile's layers (field 3), a layer's name (1) and its attributes' names (3).
const LAYER: u64 = 3;
const NAME: u64 = 1;
const KEY: u64 = 3;

/// The tiles over a place, one of each zoom.
pub(crate) fn column(center: [f64; 2], zooms: std::ops::RangeInclusive<u8>) -> Vec<TileCoord> {
    let Ok(at) = position(center) else { return Vec::new() };
    let tile = |z: u8| {
        let bits = crate::coord::WORLD_BITS.checked_sub(z)?;
        TileCoord::new(z, at.x.cast_unsigned() >> bits, at.y.cast_unsigned() >> bits).ok()
    };
    zooms.filter_map(tile).collect()
}

/// Layers and the attributes that some feature has, as a `vector_layers` lists them. Tiles that are none are left out.
pub(crate) fn found<'a>(tiles: impl Iterator<Item = &'a [u8]>) -> Value {
    let mut layers = BTreeMap::<String, BTreeSet<String>>::new();
    for tile in tiles {
        // What was read before a fault is still true.
        let _ = look(tile, &mut layers);
    }
    let described = |(id, keys): (String, BTreeSet<String>)| {
        let fields: serde_json::Map<_, _> = keys.into_iter().map(|key| (key, json!(""))).collect();
        json!({ "id": id, "fields": fields })
    };
    layers.into_iter().map(described).collect()
}

fn look(tile: &[u8], layers: &mut BTreeMap<String, BTreeSet<String>>) -> Result<(), Malformed> {
    each_field(tile, |number, layer| {
        if number != LAYER {
            return Ok(());
        }
        let (mut name, mut keys) = (String::new(), BTreeSet::new());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        each_field(layer, |number, bytes| {
            match number {
                NAME => name = text(bytes),
                KEY => _ = keys.insert(text(bytes)),
                _ => {}
            }
            Ok(())
        })?;
        layers.entry(name).or_default().extend(keys);
        Ok(())
    })
}

/// Hands every field of bytes to the visitor, and passes over numbers.
fn each_field<'a>(
    message: &'a [u8],
    mut visit: impl FnMut(u64, &'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut cursor = Cursor(message);
    while !cursor.0.is_empty() {
        let tag = cursor.varint("a field")?;
        match tag & 7 {
            0 => _ = cursor.varint("a number")?,
            1 => _ = cursor.bytes(8, "a number")?,
            2 => {
                let length = cursor.varint("a length")?;
                let length = usize::try_from(length).map_err(|_| Malformed::TooLarge("a length"))?;
                visit(tag >> 3, cursor.bytes(length, "a field")?)?;
            }
            5 => _ = cursor.bytes(4, "a number")?,
            _ => return Err(Malformed::Meaningless("the kind of a field")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    #[test]
    fn layers_and_attributes_are_found() {
        let tile = b"\x1A\x0E\x78\x02\x0A\x04road\x1A\x04name\x1A\x0B\x0A\x05water\x1A\x02id\x1A\x09\x0A\x04road\x1A\x01x";
        let layers = found([&tile[..], b"\x1A\xFFbroken"].into_iter());
        let expected = json!([
            { "id": "road", "fields": { "name": "", "x": "" } },
            { "id": "water", "fields": { "id": "" } },
        ]);
        assert_eq!(layers, expected);
    }

    #[test]
    fn a_column_is_over_one_place() {
        let tiles: Vec<_> = column([13.4, 52.5], 0..=6).iter().map(ToString::to_string).collect();
        assert_eq!(tiles, ["0/0/0", "1/1/0", "2/2/1", "3/4/2", "4/8/5", "5/17/10", "6/34/20"]);
    }

    quickcheck! {
        fn no_bytes_panic(bytes: Vec<u8>) -> bool {
            let _ = found([&bytes[..]].into_iter());
            true
        }
    }
}
