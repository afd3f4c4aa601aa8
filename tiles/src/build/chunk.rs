//! Chunks: features as bytes, while they wait in a file for their turn.
//!
//! One idea: a chunk's bytes hold exactly the features, vertex by vertex, so that the build goes on from them as if they
//! had never been written; and few of them, for what is written here is read once. Positions are steps from vertex to
//! vertex. Not here: the cells that a server renders from (see [`cells`](crate::cells)), which cost more room and less
//! time.
//!
//! ```text
//! revision
//! layers: count, each
//!   name | keys: count, texts | values: count, each kind byte and value
//!   features: count, each
//!     id | min zoom | max zoom | weight | tags: count, pairs | kind: 0 points, 1 lines, 2 polygons | parts: count, each
//!       point: 2 steps
//!       line:  path
//!       ring:  path | 2 steps to the dot | dot zoom | shape zoom
//! path: count | 2 steps a vertex … | a zoom byte a vertex …
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use crate::coord::Point;
use crate::feature::{Cell, CellLayer, Dictionary, Feature, Geometry, Ring, Value, Vertex};
use crate::varint::{Cursor, Malformed, put_varint, zigzag};

/// The first byte of every chunk.
const REVISION: u8 = 1;

/// The bytes of a chunk. Dictionaries are cut down to what it uses.
#[must_use]
pub(super) fn to_bytes(cell: &Cell) -> Vec<u8> {
    let mut writer = Writer { out: vec![REVISION], pen: Point::default() };
    writer.number(cell.layers.len() as u64);
    cell.layers.iter().for_each(|layer| writer.layer(layer));
    writer.out
}

struct Writer {
    out: Vec<u8>,
    pen: Point,
}

/// Old indices to new ones, in order of first use.
#[derive(Default)]
struct Renumbering {
    new: HashMap<u32, u32>,
    old: Vec<u32>,
}

impl Renumbering {
    fn of(indices: impl Iterator<Item = u32>) -> Self {
        let mut all = Self::default();
        for index in indices {
            let next = u32::try_from(all.old.len()).unwrap_or(u32::MAX);
            all.new.entry(index).or_insert_with(|| {
                all.old.push(index);
                next
            });
        }
        all
    }
}

impl Writer {
    fn number(&mut self, number: u64) {
        put_varint(&mut self.out, number);
    }

    fn text(&mut self, text: &str) {
        put_text(&mut self.out, text);
    }

    fn layer(&mut self, layer: &CellLayer) {
        let tags = || layer.features.iter().flat_map(|feature| feature.tags.iter());
        let keys = Renumbering::of(tags().map(|(key, _)| *key));
        let values = Renumbering::of(tags().map(|(_, value)| *value));
        self.text(&layer.dictionary.name);
        self.number(keys.old.len() as u64);
        keys.old.iter().for_each(|key| self.text(&layer.dictionary.keys[*key as usize]));
        self.number(values.old.len() as u64);
        values.old.iter().for_each(|value| layer.dictionary.values[*value as usize].put(&mut self.out));
        self.number(layer.features.len() as u64);
        layer.features.iter().for_each(|feature| self.feature(feature, &keys, &values));
    }

    fn feature(&mut self, feature: &Feature, keys: &Renumbering, values: &Renumbering) {
        self.number(feature.id);
        self.out.extend_from_slice(&[feature.min_zoom, feature.max_zoom]);
        self.number(feature.weight.into());
        self.number(feature.tags.len() as u64);
        for (key, value) in feature.tags.iter() {
            self.number(keys.new[key].into());
            self.number(values.new[value].into());
        }
        self.pen = Point::default();
        match &feature.geometry {
            Geometry::Points(points) => {
                self.part_count(0, points.len());
                points.iter().for_each(|point| self.step(point.x, point.y));
            }
            Geometry::Lines(lines) => {
                self.part_count(1, lines.len());
                lines.iter().for_each(|line| self.path(line));
            }
            Geometry::Polygons(rings) => {
                self.part_count(2, rings.len());
                rings.iter().for_each(|ring| self.ring(ring));
            }
        }
    }

    fn part_count(&mut self, kind: u8, count: usize) {
        self.out.push(kind);
        self.number(count as u64);
    }

    fn ring(&mut self, ring: &Ring) {
        self.path(&ring.vertices);
        self.step(ring.dot.x, ring.dot.y);
        self.out.extend_from_slice(&[ring.dot_zoom, ring.shape_zoom]);
    }

    fn path(&mut self, path: &[Vertex]) {
        self.number(path.len() as u64);
        path.iter().for_each(|vertex| self.step(vertex.x, vertex.y));
        self.out.extend(path.iter().map(|vertex| vertex.zoom));
    }

    fn step(&mut self, x: i32, y: i32) {
        self.number(zigzag(i64::from(x) - i64::from(self.pen.x)));
        self.number(zigzag(i64::from(y) - i64::from(self.pen.y)));
        self.pen = Point { x, y };
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads a chunk.
///
/// # Errors
/// When the bytes are not a chunk. Memory is only taken for what the bytes can hold.
pub(super) fn from_bytes(bytes: &[u8]) -> Result<Cell, Malformed> {
    let mut reader = Reader { cursor: Cursor(bytes), pen: Point::default() };
    if reader.cursor.byte("a chunk")? != REVISION {
        return Err(Malformed::Meaningless("the revision of a chunk"));
    }
    let layers = reader.list(4, "layers", Reader::layer)?;
    match reader.cursor.0 {
        [] => Ok(Cell { layers }),
        _ => Err(Malformed::Meaningless("what follows a chunk")),
    }
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    pen: Point,
}

impl Reader<'_> {
    fn list<T>(
        &mut self,
        bytes_each: usize,
        what: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.cursor.count(bytes_each, what)?;
        (0..count).map(|_| item(self)).collect()
    }

    fn layer(&mut self) -> Result<CellLayer, Malformed> {
        let name = self.cursor.text("a layer's name")?.into();
        let keys = self.list(1, "keys", |reader| reader.cursor.text("a key").map(Arc::from))?;
        let values = self.list(2, "values", Self::value)?;
        let (key_count, value_count) = (keys.len(), values.len());
        let features = self.list(7, "features", |reader| reader.feature(key_count, value_count))?;
        Ok(CellLayer { dictionary: Arc::new(Dictionary { name, keys, values }), features })
    }

    fn value(&mut self) -> Result<Value, Malformed> {
        Ok(match self.cursor.byte("a value's kind")? {
            0 => Value::Text(self.cursor.text("a text")?.into()),
            1 => Value::Negative(self.cursor.signed("a number")?),
            2 => Value::Natural(self.cursor.varint("a number")?),
            3 => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(self.cursor.bytes(8, "a double")?);
                Value::Double(f64::from_le_bytes(bytes))
            }
            4 => Value::Bool(self.cursor.byte("a truth")? != 0),
            _ => return Err(Malformed::Meaningless("a value's kind")),
        })
    }

    fn feature(&mut self, keys: usize, values: usize) -> Result<Feature, Malformed> {
        let id = self.cursor.varint("an id")?;
        let [min_zoom, max_zoom] = [self.cursor.byte("a zoom")?, self.cursor.byte("a zoom")?];
        let weight = self.cursor.narrow("a weight")?;
        let tags = self.list(2, "tags", |reader| {
            Ok((reader.index(keys, "a tag's key")?, reader.index(values, "a tag's value")?))
        })?;
        self.pen = Point::default();
        let geometry = match self.cursor.byte("a geometry's kind")? {
            0 => Geometry::Points(self.list(2, "points", Self::step)?),
            1 => Geometry::Lines(self.list(1, "lines", Self::path)?),
            2 => Geometry::Polygons(self.list(5, "rings", Self::ring)?),
            _ => return Err(Malformed::Meaningless("a geometry's kind")),
        };
        Ok(Feature { id, tags: tags.into(), min_zoom, max_zoom, weight, geometry })
    }

    fn index(&mut self, count: usize, what: &'static str) -> Result<u32, Malformed> {
        let index: u32 = self.cursor.narrow(what)?;
        if index as usize >= count {
            return Err(Malformed::TooLarge(what));
        }
        Ok(index)
    }

    fn ring(&mut self) -> Result<Ring, Malformed> {
        let vertices = self.path()?;
        let dot = self.step()?;
        let [dot_zoom, shape_zoom] = [self.cursor.byte("a zoom")?, self.cursor.byte("a zoom")?];
        Ok(Ring { vertices, dot, dot_zoom, shape_zoom })
    }

    fn path(&mut self) -> Result<Vec<Vertex>, Malformed> {
        let points = self.list(3, "vertices", Self::step)?;
        let zooms = self.cursor.bytes(points.len(), "the zooms of vertices")?;
        Ok(points.iter().zip(zooms).map(|(&Point { x, y }, &zoom)| Vertex { x, y, zoom }).collect())
    }

    fn step(&mut self) -> Result<Point, Malformed> {
        let mut along = |from: i32| {
            let to = i64::from(from).checked_add(self.cursor.signed("a step")?);
            to.and_then(|to| i32::try_from(to).ok()).ok_or(Malformed::TooLarge("a step"))
        };
        self.pen = Point { x: along(self.pen.x)?, y: along(self.pen.y)? };
        Ok(self.pen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::tests::cell;
    use quickcheck::quickcheck;

    #[test]
    fn the_bytes_are_held_still() {
        #[rustfmt::skip]
        let golden = [
            1, 1, 1, b'l',
            2, 1, b'a', 1, b'b',
            4, 0, 1, b'x', 4, 1, 3, 0, 0, 0, 0, 0, 0, 0xE0, 0x3F, 2, 7,
            3,
            0, 2, 14, 0xAC, 2, 2, 0, 0, 1, 1, 0, 1, 1, 4,
            1, 2, 14, 0xAC, 2, 2, 0, 2, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0, 5,
            2, 2, 14, 0xAC, 2, 2, 0, 3, 1, 1, 2, 1, 3, 0, 0, 20, 0, 0, 0xD8, 4, 0, 0, 7, 9, 0xAB, 2, 3, 9,
        ];
        assert_eq!(to_bytes(&cell()), golden);
    }

    #[test]
    fn a_cell_comes_back_with_what_it_uses_of_its_dictionary() {
        let bytes = to_bytes(&cell());
        let back = from_bytes(&bytes).unwrap();
        assert_eq!(back.layers[0].features[2].geometry, cell().layers[0].features[2].geometry);
        assert_eq!(back.layers[0].dictionary.values.len(), 4);
        assert_eq!(to_bytes(&back), bytes);
    }

    quickcheck! {
        fn no_bytes_panic(bytes: Vec<u8>) -> bool {
            let _ = from_bytes(&[&[REVISION], &bytes[..]].concat());
            let _ = from_bytes(&bytes);
            true
        }

        fn no_mutation_panics(at: usize, byte: u8, cut: usize) -> bool {
            let mut bytes = to_bytes(&cell());
            let (at, cut) = (at % bytes.len(), cut % bytes.len());
            let is_refused = from_bytes(&bytes[..cut]).is_err();
            bytes[at] = byte;
            let _ = from_bytes(&bytes);
            let _ = from_bytes(&bytes[..cut]);
            is_refused
        }
    }
}
