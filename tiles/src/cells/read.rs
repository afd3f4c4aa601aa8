//! Bytes to cells.

use xxhash_rust::xxh3::xxh3_64;

use super::write::tag_bytes;
use super::{CELL, Opened, REVISION, TILE};
use crate::coord::{Bounds, Point};
use crate::feature::Vertex;
use crate::packed::{Fields, Kind, Packed, PackedFeature, PackedLayer, Part, Words};
use crate::varint::{Cursor, Malformed};

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
    match reader.0.byte("what a cell is")? {
        TILE => return Ok(Opened::Tile(reader.0.0.to_vec())),
        CELL => {}
        _ => return Err(Malformed::Meaningless("what a cell is")),
    }
    let count = reader.0.count(8, "layers")?;
    let layers = (0..count).map(|_| reader.layer()).collect::<Result<_, _>>()?;
    match reader.0.0 {
        [] => Ok(Opened::Cell(Packed { layers })),
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
