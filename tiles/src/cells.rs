//! Cells as bytes, and how deep they lie: what hangs below the last pre-rendered zoom, kept beside the archive.
//!
//! One idea: a cell that is larger than a reader likes to fetch is divided into its four quarters, and leaves behind
//! only what its own tile draws. So every tile is rendered from the deepest cell that covers it, which is no larger
//! than the limit unless the tile itself is; and whoever renders needs one read of one range. The bytes are the
//! columns of a [`Packed`] cell as they are, so that opening one is no more than copying. Not here: the container (see
//! [`archive`](crate::archive)).
//!
//! ```text
//! revision | checksum of the rest: 8 bytes | deepest zoom | layers: count, each
//!   name: length, text
//!   keys, values: count, a length each, then all their fields of a vector tile's layer
//!   counts of features, tags, parts, rings, vertices
//!   features: ids, 8 bytes | weights, 4 | ends of tags, 4 | ends of parts, 4 | least zooms | last zooms | kinds
//!   tags:     keys | values, each 2 bytes, or 4 when there are more than 65,536 words of a kind
//!   parts:    ends of vertices, 4
//!   rings:    dots' x, 4 | y, 4 | dot zooms | shape zooms
//!   vertices: x, 4 | y, 4 | zooms
//! ```
//!
//! Columns are little-endian; counts and lengths are varints. A column "ends" says where each item's share of the next
//! column ends. Rings are the parts of polygons, in order.

use xxhash_rust::xxh3::xxh3_64;

use crate::coord::{Bounds, Grid, Point, TileCoord};
use crate::cut::cut;
use crate::encode::Table;
use crate::feature::{Cell, Value, Vertex};
use crate::packed::{Fields, Kind, Packed, PackedFeature, PackedLayer, Part, Words, Zooms};
use crate::varint::{Cursor, Malformed, put_varint, zigzag};

/// The first byte of every cell.
pub(crate) const REVISION: u8 = 2;

/// Cells are not divided below this zoom: a place where so much lies would be written again for every zoom.
pub const CELL_ZOOM_MAX: u8 = 16;

/// A cell and the zooms that are rendered from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The deepest zoom whose tiles are rendered from the cell: its own when it was divided.
    pub to_zoom: u8,
    /// What is in it.
    pub packed: Packed,
}

/// How cells are divided.
#[derive(Clone, Copy, Debug)]
pub struct Division {
    /// What a tile sees beyond its sides.
    pub grid: Grid,
    /// The deepest zoom that is rendered from the cells.
    pub max_zoom: u8,
    /// A cell of more bytes is divided.
    pub cell_bytes: usize,
}

impl Division {
    /// Whether a tile is so deep that its cell is not divided.
    pub(crate) fn ends_at(self, tile: TileCoord) -> bool {
        tile.z() >= self.max_zoom.min(CELL_ZOOM_MAX)
    }

    /// The zooms that a tile's own cell is for, if it is not divided.
    pub(crate) fn zooms(self, tile: TileCoord) -> Zooms {
        Zooms { from: tile.z(), to: self.max_zoom }
    }
}

/// Hands the cell of a tile, or the cells into which it is divided, to `put` as bytes, each before its quarters. No more
/// than the cells on the way down are in memory at a time.
///
/// # Errors
/// What `put` says.
pub fn divide<E>(
    cell: &Cell,
    tile: TileCoord,
    division: Division,
    put: &mut impl FnMut(TileCoord, Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let Division { grid, max_zoom, cell_bytes } = division;
    let whole = Packed::of(cell, division.zooms(tile));
    if whole.is_empty() {
        return Ok(());
    }
    if division.ends_at(tile) || bytes_about(&whole) <= cell_bytes {
        return put(tile, to_bytes(&whole, max_zoom));
    }
    drop(whole);
    let own = Packed::of(cell, Zooms::only(tile.z()));
    put(tile, to_bytes(&own, tile.z()))?;
    drop(own);
    for child in tile.children() {
        divide(&cut(cell, child, grid), child, division, put)?;
    }
    Ok(())
}

/// How many bytes a cell will have, without the words.
pub(crate) fn bytes_about(packed: &Packed) -> usize {
    let layer = |layer: &PackedLayer| {
        23 * layer.features.len() + 4 * layer.tags.len() + 12 * layer.parts.len() + 9 * layer.vertices.len()
    };
    packed.layers.iter().map(layer).sum()
}

/// The bytes of a cell from which tiles down to a zoom are rendered. Words are cut down to what the cell uses.
#[must_use]
pub fn to_bytes(packed: &Packed, to_zoom: u8) -> Vec<u8> {
    let mut rest = vec![to_zoom];
    put_varint(&mut rest, packed.layers.len() as u64);
    packed.layers.iter().for_each(|layer| put_layer(&mut rest, layer));
    let mut out = vec![REVISION];
    out.extend_from_slice(&xxh3_64(&rest).to_le_bytes());
    out.extend_from_slice(&rest);
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
fn tag_bytes(keys: usize, values: usize) -> usize {
    if keys.max(values) <= 1 << 16 { 2 } else { 4 }
}

/// A value's kind and itself: the same bytes on every machine.
pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            out.push(0);
            put_varint(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Negative(number) => {
            out.push(1);
            put_varint(out, zigzag(*number));
        }
        Value::Natural(number) => {
            out.push(2);
            put_varint(out, *number);
        }
        Value::Double(number) => {
            out.push(3);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Bool(truth) => out.extend_from_slice(&[4, u8::from(*truth)]),
    }
}

/// Opens a cell.
///
/// # Errors
/// When the bytes are not a cell, or not those that were written. Memory is only taken for what the bytes can hold.
pub fn from_bytes(bytes: &[u8]) -> Result<Opened, Malformed> {
    let mut reader = Reader(Cursor(bytes));
    if reader.0.byte("a cell")? != REVISION {
        return Err(Malformed::Meaningless("the revision of a cell"));
    }
    let checksum = reader.array("a cell's checksum")?;
    if xxh3_64(reader.0.0) != u64::from_le_bytes(checksum) {
        return Err(Malformed::Meaningless("a cell whose checksum is another"));
    }
    let to_zoom = reader.0.byte("a cell's zoom")?;
    let count = reader.0.count(8, "layers")?;
    let layers = (0..count).map(|_| reader.layer()).collect::<Result<_, _>>()?;
    match reader.0.0 {
        [] => Ok(Opened { to_zoom, packed: Packed { layers } }),
        _ => Err(Malformed::Meaningless("what follows a cell")),
    }
}

struct Reader<'a>(Cursor<'a>);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.0.bytes(N, what)?);
        Ok(array)
    }

    /// A column of so many items of `N` bytes.
    fn column<const N: usize>(
        &mut self,
        count: usize,
        what: &'static str,
    ) -> Result<&'a [[u8; N]], Malformed> {
        let bytes = count.checked_mul(N).ok_or(Malformed::Short(what))?;
        Ok(self.0.bytes(bytes, what)?.as_chunks().0)
    }

    fn fields(&mut self, what: &'static str) -> Result<Fields, Malformed> {
        let count = self.0.count(1, what)?;
        let mut end = 0_u32;
        let mut one = || {
            end = end.checked_add(self.0.narrow(what)?).ok_or(Malformed::TooLarge(what))?;
            Ok(end)
        };
        let ends = (0..count).map(|_| one()).collect::<Result<_, Malformed>>()?;
        Ok(Fields { bytes: self.0.bytes(end as usize, what)?.to_vec(), ends })
    }

    fn layer(&mut self) -> Result<PackedLayer, Malformed> {
        let name = self.0.text("a layer's name")?.as_bytes().to_vec();
        let (keys, values) = (self.fields("keys")?, self.fields("values")?);
        let words = [keys.ends.len(), values.ends.len()];
        let mut layer = PackedLayer::new(Words::Fields { name, keys, values });
        let features = self.0.count(23, "features")?;
        let tags = self.0.count(4, "tags")?;
        let parts = self.0.count(4, "parts")?;
        let rings = self.0.count(10, "rings")?;
        let vertices = self.0.count(9, "vertices")?;
        let features = self.features(features)?;
        layer.tags = match tag_bytes(words[0], words[1]) {
            2 => self.tags(tags, words, |bytes: [u8; 2]| u16::from_le_bytes(bytes).into())?,
            _ => self.tags(tags, words, u32::from_le_bytes)?,
        };
        let ends = self.column::<4>(parts, "parts")?;
        let rings = self.rings(rings)?;
        layer.vertices = self.vertices(vertices)?;
        assemble(&mut layer, features, ends, &rings)?;
        Ok(layer)
    }

    /// The features, without their boxes.
    fn features(&mut self, count: usize) -> Result<Vec<PackedFeature>, Malformed> {
        let ids = self.column::<8>(count, "ids")?;
        let weights = self.column::<4>(count, "weights")?;
        let tags = self.column::<4>(count, "the ends of tags")?;
        let parts = self.column::<4>(count, "the ends of parts")?;
        let min_zooms = self.0.bytes(count, "zooms")?;
        let max_zooms = self.0.bytes(count, "zooms")?;
        let kinds = self.0.bytes(count, "the kinds of geometries")?;
        let feature = |index: usize| {
            Ok(PackedFeature {
                id: u64::from_le_bytes(ids[index]),
                bounds: Bounds::EMPTY,
                weight: u32::from_le_bytes(weights[index]),
                tags_end: u32::from_le_bytes(tags[index]),
                parts_end: u32::from_le_bytes(parts[index]),
                min_zoom: min_zooms[index],
                max_zoom: max_zooms[index],
                kind: match kinds[index] {
                    0 => Kind::Points,
                    1 => Kind::Lines,
                    2 => Kind::Polygons,
                    _ => return Err(Malformed::Meaningless("the kind of a geometry")),
                },
            })
        };
        (0..count).map(feature).collect()
    }

    fn tags<const N: usize>(
        &mut self,
        count: usize,
        words: [usize; 2],
        number: impl Fn([u8; N]) -> u32,
    ) -> Result<Vec<(u32, u32)>, Malformed> {
        let keys = self.column::<N>(count, "the keys of tags")?;
        let values = self.column::<N>(count, "the values of tags")?;
        let tags: Vec<_> =
            keys.iter().zip(values).map(|(key, value)| (number(*key), number(*value))).collect();
        let known = |&(key, value): &(u32, u32)| (key as usize) < words[0] && (value as usize) < words[1];
        if tags.iter().all(known) { Ok(tags) } else { Err(Malformed::TooLarge("a tag")) }
    }

    fn rings(&mut self, count: usize) -> Result<Vec<Part>, Malformed> {
        let dots = self.points(count, "the dots of rings")?;
        let dot_zooms = self.0.bytes(count, "the zooms of rings")?;
        let shape_zooms = self.0.bytes(count, "the zooms of rings")?;
        let ring = |(index, dot): (usize, Point)| Part {
            dot,
            dot_zoom: dot_zooms[index],
            shape_zoom: shape_zooms[index],
            ..Part::default()
        };
        Ok(dots.enumerate().map(ring).collect())
    }

    fn vertices(&mut self, count: usize) -> Result<Vec<Vertex>, Malformed> {
        let points = self.points(count, "vertices")?;
        let zooms = self.0.bytes(count, "the zooms of vertices")?;
        Ok(points.zip(zooms).map(|(Point { x, y }, &zoom)| Vertex { x, y, zoom }).collect())
    }

    fn points(
        &mut self,
        count: usize,
        what: &'static str,
    ) -> Result<impl ExactSizeIterator<Item = Point> + use<'a>, Malformed> {
        let (xs, ys) = (self.column::<4>(count, what)?, self.column::<4>(count, what)?);
        Ok(xs.iter().zip(ys).map(|(x, y)| Point { x: i32::from_le_bytes(*x), y: i32::from_le_bytes(*y) }))
    }
}

/// Puts features and parts together, checks where they end, and puts boxes around them.
fn assemble(
    layer: &mut PackedLayer,
    features: Vec<PackedFeature>,
    ends: &[[u8; 4]],
    rings: &[Part],
) -> Result<(), Malformed> {
    let mut rings = rings.iter();
    let (mut tags, mut vertices) = (0, 0);
    layer.features.reserve_exact(features.len());
    layer.parts.reserve_exact(ends.len());
    for feature in features {
        let before = layer.parts.len();
        let ends =
            ends.get(before..feature.parts_end as usize).ok_or(Malformed::TooLarge("the end of a part"))?;
        for end in ends.iter().map(|end| u32::from_le_bytes(*end)) {
            if end < vertices || end as usize > layer.vertices.len() {
                return Err(Malformed::TooLarge("the end of a part's vertices"));
            }
            vertices = end;
            let ring = if feature.kind == Kind::Polygons { rings.next() } else { Some(&NO_RING) };
            layer.end_part(end as usize, *ring.ok_or(Malformed::Short("rings"))?);
        }
        if feature.tags_end < tags || feature.tags_end as usize > layer.tags.len() {
            return Err(Malformed::TooLarge("the end of a feature's tags"));
        }
        tags = feature.tags_end;
        let bounds = layer.bounds(before..layer.parts.len(), feature.kind);
        layer.features.push(PackedFeature { bounds, ..feature });
    }
    Ok(())
}

const NO_RING: Part =
    Part { vertices_end: 0, blocks_end: 0, dot: Point { x: 0, y: 0 }, dot_zoom: 0, shape_zoom: 0 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::{CellLayer, Dictionary, Feature, Geometry, Ring};
    use quickcheck::quickcheck;
    use std::sync::Arc;

    fn cell() -> Cell {
        let vertex = |x, y, zoom| Vertex { x, y, zoom };
        let ring = Ring {
            vertices: vec![vertex(0, 0, 0), vertex(10, 0, 0), vertex(10, 300, 7)],
            dot: Point { x: 5, y: 150 },
            dot_zoom: 3,
            shape_zoom: 9,
        };
        let geometries = [
            Geometry::Points(vec![Point { x: -1, y: 2 }]),
            Geometry::Lines(vec![vec![vertex(1, 1, 0), vertex(2, 2, 5)]]),
            Geometry::Polygons(vec![ring]),
        ];
        let feature = |(id, geometry)| Feature {
            id: id as u64,
            tags: vec![(0, u32::try_from(id).unwrap()), (1, 4)].into(),
            min_zoom: 2,
            max_zoom: 14,
            weight: 300,
            geometry,
        };
        let dictionary = Dictionary {
            name: "l".into(),
            keys: vec!["a".into(), "b".into()],
            values: vec![
                Value::Text("x".into()),
                Value::Double(0.5),
                Value::Natural(7),
                Value::Negative(-7),
                Value::Bool(true),
            ],
        };
        let features = geometries.into_iter().enumerate().map(feature).collect();
        Cell { layers: vec![CellLayer { dictionary: Arc::new(dictionary), features }] }
    }

    fn all() -> Packed {
        Packed::of(&cell(), Zooms { from: 0, to: 14 })
    }

    #[test]
    fn the_bytes_are_held_still() {
        let bytes = to_bytes(&all(), 14);
        #[rustfmt::skip]
        let golden = [
            14,
            1, 1, b'l',
            2, 3, 3, 0x1A, 1, b'a', 0x1A, 1, b'b',
            4, 5, 4, 11, 4,
            0x22, 3, 0x0A, 1, b'x', 0x22, 2, 0x38, 1, 0x22, 9, 0x19, 0, 0, 0, 0, 0, 0, 0xE0, 0x3F, 0x22, 2, 0x28, 7,
            3, 6, 3, 1, 6,
            0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
            0x2C, 1, 0, 0, 0x2C, 1, 0, 0, 0x2C, 1, 0, 0,
            2, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0,
            2, 2, 2, 14, 14, 14, 0, 1, 2,
            0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0,
            1, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0,
            5, 0, 0, 0, 150, 0, 0, 0, 3, 9,
            255, 255, 255, 255, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 10, 0, 0, 0,
            2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x2C, 1, 0, 0,
            0, 0, 5, 0, 0, 7,
        ];
        assert_eq!((bytes[0], &bytes[9..]), (REVISION, &golden[..]));
    }

    #[test]
    fn a_cell_comes_back() {
        let opened = from_bytes(&to_bytes(&all(), 14)).unwrap();
        assert_eq!(opened.to_zoom, 14);
        assert_eq!(to_bytes(&opened.packed, 14), to_bytes(&all(), 14));
        let (ours, theirs) = (&all().layers[0], &opened.packed.layers[0]);
        assert_eq!(
            (&ours.features, &ours.parts, &ours.blocks),
            (&theirs.features, &theirs.parts, &theirs.blocks)
        );
    }

    #[test]
    fn a_zoom_takes_only_what_it_draws() {
        let packed = Packed::of(&cell(), Zooms::only(4));
        let layer = &packed.layers[0];
        assert_eq!(layer.vertices, [(-1, 2), (1, 1)].map(|(x, y)| Vertex { x, y, zoom: 0 }));
        assert_eq!(layer.parts.len(), 3, "the ring is a dot");
        assert!(Packed::of(&cell(), Zooms::only(1)).is_empty());
        assert!(Packed::of(&cell(), Zooms::only(15)).is_empty());
    }

    /// A checksum keeps chance out; these bytes are wrong on purpose, and have a right one.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let checksum = xxh3_64(&bytes[9..]).to_le_bytes();
        bytes[1..9].copy_from_slice(&checksum);
        bytes
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let bytes = to_bytes(&all(), 14);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 4;
            assert!(from_bytes(&wrong).is_err(), "{at}");
        }
    }

    quickcheck! {
        fn no_bytes_panic(bytes: Vec<u8>) -> bool {
            let _ = from_bytes(&bytes);
            let _ = from_bytes(&sealed([&[REVISION; 9], &bytes[..]].concat()));
            true
        }

        fn no_mutation_panics(at: usize, byte: u8, cut: usize) -> bool {
            let mut bytes = to_bytes(&all(), 14);
            let at = 9 + at % (bytes.len() - 9);
            bytes[at] = byte;
            let _ = from_bytes(&sealed(bytes.clone()));
            bytes.truncate(9 + cut % (bytes.len() - 9));
            from_bytes(&sealed(bytes)).is_err()
        }
    }
}
