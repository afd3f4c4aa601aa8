//! Cells to bytes.

use xxhash_rust::xxh3::xxh3_64;

use super::{CELL, REVISION, TILE};
use crate::encode::Table;
use crate::packed::{Kind, Packed, PackedLayer, Part};
use crate::varint::put_varint;

/// The bytes of a cell. Words are cut down to what the cell uses.
#[must_use]
pub fn to_bytes(packed: &Packed) -> Vec<u8> {
    let mut rest = vec![CELL];
    put_varint(&mut rest, packed.layers.len() as u64);
    packed.layers.iter().for_each(|layer| put_layer(&mut rest, layer));
    sealed(&rest)
}

/// The bytes of a finished tile.
#[must_use]
pub fn tile_to_bytes(tile: &[u8]) -> Vec<u8> {
    sealed(&[&[TILE], tile].concat())
}

fn sealed(rest: &[u8]) -> Vec<u8> {
    let mut out = vec![REVISION];
    out.extend_from_slice(&xxh3_64(rest).to_le_bytes());
    out.extend_from_slice(rest);
    out
}

fn put_layer(out: &mut Vec<u8>, layer: &PackedLayer) {
    put_varint(out, layer.words.name().len() as u64);
    out.extend_from_slice(layer.words.name());
    let (mut keys, mut values) = (Table::default(), Table::default());
    keys.reset(layer.words.key_count());
    values.reset(layer.words.value_count());
    let tags: Vec<_> = layer.tags.iter().map(|tag| [keys.number(tag.0), values.number(tag.1)]).collect();
    put_fields(out, keys.order(), |key, out| layer.words.put_key(key, out));
    put_fields(out, values.order(), |value, out| layer.words.put_value(value, out));
    let rings = rings(layer);
    for count in [layer.features.len(), tags.len(), layer.parts.len(), rings.len(), layer.vertices.len()] {
        put_varint(out, count as u64);
    }
    let features = &layer.features;
    features.iter().for_each(|feature| out.extend_from_slice(&feature.id.to_le_bytes()));
    features.iter().for_each(|feature| out.extend_from_slice(&feature.weight.to_le_bytes()));
    features.iter().for_each(|feature| out.extend_from_slice(&feature.tags_end.to_le_bytes()));
    features.iter().for_each(|feature| out.extend_from_slice(&feature.parts_end.to_le_bytes()));
    out.extend(features.iter().map(|feature| feature.min_zoom));
    out.extend(features.iter().map(|feature| feature.max_zoom));
    out.extend(features.iter().map(|feature| feature.kind as u8));
    let tag_bytes = tag_bytes(keys.order().len(), values.order().len());
    for word in 0..2 {
        tags.iter().for_each(|tag| out.extend_from_slice(&tag[word].to_le_bytes()[..tag_bytes]));
    }
    layer.parts.iter().for_each(|part| out.extend_from_slice(&part.vertices_end.to_le_bytes()));
    rings.iter().for_each(|ring| out.extend_from_slice(&ring.dot.x.to_le_bytes()));
    rings.iter().for_each(|ring| out.extend_from_slice(&ring.dot.y.to_le_bytes()));
    out.extend(rings.iter().map(|ring| ring.dot_zoom));
    out.extend(rings.iter().map(|ring| ring.shape_zoom));
    layer.vertices.iter().for_each(|vertex| out.extend_from_slice(&vertex.x.to_le_bytes()));
    layer.vertices.iter().for_each(|vertex| out.extend_from_slice(&vertex.y.to_le_bytes()));
    out.extend(layer.vertices.iter().map(|vertex| vertex.zoom));
}

fn put_fields(out: &mut Vec<u8>, used: &[u32], put: impl Fn(u32, &mut Vec<u8>)) {
    let mut fields = Vec::new();
    put_varint(out, used.len() as u64);
    for index in used {
        let before = fields.len();
        put(*index, &mut fields);
        put_varint(out, (fields.len() - before) as u64);
    }
    out.extend_from_slice(&fields);
}

fn rings(layer: &PackedLayer) -> Vec<Part> {
    let polygons = layer.each().filter(|(feature, ..)| feature.kind == Kind::Polygons);
    polygons.flat_map(|(_, _, parts)| &layer.parts[parts]).copied().collect()
}

/// How wide a tag's key and value are.
pub(super) fn tag_bytes(keys: usize, values: usize) -> usize {
    if keys.max(values) <= 1 << 16 { 2 } else { 4 }
}
