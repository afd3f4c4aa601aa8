//! FlatGeobuf: features as FlatBuffers tables, one behind the other.
//!
//! ```text
//! magic 8 | header: length 4, table | index, when the header says so | features: each length 4, table …
//! ```
//!
//! One idea: the few fields that matter are looked up in the tables by hand, each position checked against the bytes
//! there are, so that no generated code has to be trusted with a stranger's file. The index is skipped: all features
//! are read anyway. Not here: coordinate systems other than WGS 84 (refused), curves, and dimensions beyond two.
//!
//! Source: <https://github.com/flatgeobuf/flatgeobuf/tree/master/src/fbs> and the FlatBuffers binary format.

use std::io::{self, Read};
use std::sync::Arc;

use super::flatbuffer::Table;
use super::geojson::join;
use super::input::Counted;
use super::{BadFeature, Batch, Fault, Place, Shape, Source, SourceError, SourceFeature};
use crate::feature::Value;
use crate::varint::Malformed;

/// The first bytes, the major version 3 among them.
pub(super) const MAGIC: [u8; 7] = *b"fgb\x03fgb";

/// A header or a feature that claims to be larger is taken for rubbish.
const TABLE_BYTES_MAX: u32 = 1 << 30;

/// About so many bytes of features make a batch.
const BATCH_BYTES: usize = 1 << 18;

/// Codes of the coordinate system that are WGS 84 in degrees; 0 says that the file does not know.
const DEGREES: [i32; 3] = [0, 4326, 4979];

/// A column's name and the number of its type.
#[derive(Debug)]
struct Column {
    name: Arc<str>,
    kind: u8,
}

/// A FlatGeobuf file as a layer.
pub(super) struct FlatGeobuf<R> {
    layer: String,
    origin: String,
    input: R,
    counted: Counted,
    columns: Arc<[Column]>,
    /// The geometry type of all features; 0 when each says its own.
    kind: u8,
    /// So many came.
    features: u64,
    /// So many are to come; 0 when the file does not know.
    promised: u64,
}

impl<R: Read + Send> FlatGeobuf<R> {
    pub(super) fn new(
        layer: &str,
        origin: &str,
        mut input: R,
        counted: Counted,
    ) -> Result<Self, SourceError> {
        let failed = |fault| fault_of(origin, 0, fault);
        let mut magic = [0; 8];
        input.read_exact(&mut magic).map_err(|error| failed(error.into()))?;
        let header = table_bytes(&mut input).and_then(|bytes| bytes.ok_or(Failed::Malformed(CUT)));
        let header = Header::read(&header.map_err(failed)?).map_err(|error| failed(error.into()))?;
        if !DEGREES.contains(&header.crs) {
            return Err(SourceError::OtherSystem { origin: origin.to_owned(), code: header.crs });
        }
        let index = index_bytes(header.features, header.node_size);
        let skipped = io::copy(&mut input.by_ref().take(index), &mut io::sink());
        if skipped.map_err(|error| failed(error.into()))? < index {
            return Err(failed(Failed::Malformed(CUT)));
        }
        Ok(Self {
            layer: layer.to_owned(),
            origin: origin.to_owned(),
            input,
            counted,
            columns: header.columns.into(),
            kind: header.kind,
            features: 0,
            promised: header.features,
        })
    }
}

const CUT: Malformed = Malformed::Short("the file");

enum Failed {
    Io(io::Error),
    Malformed(Malformed),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Malformed(CUT) } else { Self::Io(error) }
    }
}

impl From<Malformed> for Failed {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

fn fault_of(origin: &str, features: u64, failed: Failed) -> SourceError {
    let origin = origin.to_owned();
    match failed {
        Failed::Io(error) => SourceError::Io { origin, error },
        Failed::Malformed(error) => SourceError::Malformed { origin, features, error },
    }
}

/// The next table with its length before it; `None` at the end of the file. Memory grows with what really comes.
fn table_bytes(input: &mut impl Read) -> Result<Option<Vec<u8>>, Failed> {
    let mut length = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut length)?;
    let length = match length[..] {
        [] => return Ok(None),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
        _ => return Err(CUT.into()),
    };
    if length > TABLE_BYTES_MAX {
        return Err(Malformed::TooLarge("a table's length").into());
    }
    let mut bytes = Vec::new();
    input.by_ref().take(length.into()).read_to_end(&mut bytes)?;
    if bytes.len() < length as usize {
        return Err(CUT.into());
    }
    Ok(Some(bytes))
}

/// How long a packed R-tree of so many features is: levels of nodes of 40 bytes, from the features up to one root.
fn index_bytes(features: u64, node_size: u16) -> u64 {
    if features == 0 || node_size < 2 {
        return 0;
    }
    let (mut level, mut nodes) = (features, features);
    while level > 1 {
        level = level.div_ceil(node_size.into());
        nodes = nodes.saturating_add(level);
    }
    nodes.saturating_mul(40)
}

struct Header {
    columns: Vec<Column>,
    kind: u8,
    features: u64,
    node_size: u16,
    crs: i32,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let table = Table::root(bytes)?;
        Ok(Self {
            kind: table.scalar(2, [0])?[0],
            columns: columns(table, 7)?,
            features: u64::from_le_bytes(table.scalar(8, [0; 8])?),
            node_size: u16::from_le_bytes(table.scalar(9, 16_u16.to_le_bytes())?),
            crs: match table.table(10)? {
                Some(crs) => i32::from_le_bytes(crs.scalar(1, [0; 4])?),
                None => 0,
            },
        })
    }
}

/// The columns that a table lists in this field.
fn columns(table: Table<'_>, field: usize) -> Result<Vec<Column>, Malformed> {
    let column = |table: Table<'_>| {
        let name = table.vector(0, 1)?.ok_or(Malformed::Meaningless("a column without a name"))?;
        let name = std::str::from_utf8(name).map_err(|_| Malformed::Meaningless("a column's name"))?;
        Ok(Column { name: name.into(), kind: table.scalar(1, [0])?[0] })
    };
    table.tables(field)?.into_iter().map(column).collect()
}

impl<R: Read + Send> Source for FlatGeobuf<R> {
    fn layer(&self) -> &str {
        &self.layer
    }

    fn origin(&self) -> String {
        self.origin.clone()
    }

    fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        let (mut tables, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES {
            let features = self.features + tables.len() as u64;
            let next =
                table_bytes(&mut self.input).map_err(|failed| fault_of(&self.origin, features, failed))?;
            let Some(table) = next else { break };
            bytes += table.len();
            tables.push(table);
        }
        if tables.is_empty() {
            // A file that was cut between two features ends like a whole one.
            if self.features < self.promised {
                return Err(fault_of(&self.origin, self.features, CUT.into()));
            }
            return Ok(None);
        }
        let (first, columns, kind) = (self.features, Arc::clone(&self.columns), self.kind);
        self.features += tables.len() as u64;
        Ok(Some(Box::new(move |sink| {
            for (index, bytes) in (first..).zip(tables) {
                let feature = feature(&bytes, &columns, kind);
                sink(Place { index, line: None }, feature.map_err(|fault| BadFeature { id: None, fault }));
            }
        })))
    }

    fn bytes_read(&self) -> Option<(u64, u64)> {
        self.counted.bytes_read()
    }
}

fn feature(bytes: &[u8], shared: &[Column], kind: u8) -> Result<SourceFeature, Fault> {
    let table = Table::root(bytes)?;
    let own = columns(table, 2)?;
    let columns = if own.is_empty() { shared } else { &own };
    let properties = properties(table.vector(1, 1)?.unwrap_or_default(), columns)?;
    let mut shapes = Vec::new();
    let mut geometries = Geometries { bytes_left: bytes.len(), shapes: &mut shapes };
    geometries.add(table.table(0)?.ok_or(Fault::NoGeometry)?, kind, 0)?;
    Ok(SourceFeature { id: None, properties, shapes })
}

/// Collections may hold collections, but not for ever.
const NESTED_MAX: u8 = 16;

struct Geometries<'a> {
    /// Two offsets may lead to one table; a feature that says more than its bytes can hold is taken for an attack.
    bytes_left: usize,
    shapes: &'a mut Vec<Shape>,
}

impl Geometries<'_> {
    fn add(&mut self, table: Table<'_>, kind: u8, depth: u8) -> Result<(), Fault> {
        self.spend(4)?;
        let kind = if kind == 0 { table.scalar(6, [0])?[0] } else { kind };
        let shape = match kind {
            1 | 4 => Shape::Points(self.positions(table)?),
            2 => Shape::Lines(vec![self.positions(table)?]),
            3 => Shape::Polygons(vec![self.split(table)?]),
            5 => Shape::Lines(self.split(table)?),
            6 => {
                let parts = table.tables(7)?;
                // One polygon may stand in the geometry itself.
                let parts = if parts.is_empty() { vec![table] } else { parts };
                Shape::Polygons(parts.into_iter().map(|part| self.split(part)).collect::<Result<_, _>>()?)
            }
            7 if depth < NESTED_MAX => {
                return table.tables(7)?.into_iter().try_for_each(|part| self.add(part, 0, depth + 1));
            }
            other => return Err(Fault::UnknownGeometry(format!("number {other} of FlatGeobuf"))),
        };
        join(shape, self.shapes);
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(Malformed::TooLarge("a geometry"))?;
        Ok(())
    }

    fn positions(&mut self, table: Table<'_>) -> Result<Vec<[f64; 2]>, Malformed> {
        let doubles = table.vector(1, 8)?.unwrap_or_default();
        self.spend(doubles.len())?;
        let double = |bytes: &[u8]| {
            let mut array = [0; 8];
            array.copy_from_slice(bytes);
            f64::from_le_bytes(array)
        };
        Ok(doubles.chunks_exact(16).map(|pair| [double(&pair[..8]), double(&pair[8..])]).collect())
    }

    /// Lines or rings, each ending before the position with this number; one when no ends are given.
    fn split(&mut self, table: Table<'_>) -> Result<Vec<Vec<[f64; 2]>>, Malformed> {
        let positions = self.positions(table)?;
        let ends = table.vector(0, 4)?.unwrap_or_default();
        if ends.is_empty() {
            return Ok(vec![positions]);
        }
        let mut start = 0;
        let part = |end: &[u8]| {
            let end = u32::from_le_bytes([end[0], end[1], end[2], end[3]]) as usize;
            let part =
                positions.get(start..end).ok_or(Malformed::Meaningless("the end of a line or ring"))?;
            start = end;
            Ok(part.to_vec())
        };
        ends.chunks_exact(4).map(part).collect()
    }
}

/// The bytes of the attributes: each the number of its column and a value of the column's type.
fn properties(bytes: &[u8], columns: &[Column]) -> Result<Vec<(Arc<str>, Value)>, Malformed> {
    let mut cursor = Bytes(bytes);
    let mut properties = Vec::new();
    while !cursor.0.is_empty() {
        let number = u16::from_le_bytes(cursor.array()?);
        let column = columns.get(usize::from(number)).ok_or(Malformed::Meaningless("a column's number"))?;
        properties.extend(cursor.value(column.kind)?.map(|value| (Arc::clone(&column.name), value)));
    }
    Ok(properties)
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn slice(&mut self, count: usize) -> Result<&[u8], Malformed> {
        let (slice, rest) = self.0.split_at_checked(count).ok_or(Malformed::Short("an attribute"))?;
        self.0 = rest;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(N)?);
        Ok(array)
    }

    fn text(&mut self) -> Result<&[u8], Malformed> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        self.slice(length)
    }

    /// A value of the type with this number; `None` for raw bytes, which no tile can show, and for what is no number.
    fn value(&mut self, kind: u8) -> Result<Option<Value>, Malformed> {
        let whole = |number: i64| match u64::try_from(number) {
            Ok(natural) => Value::Natural(natural),
            Err(_) => Value::Negative(number),
        };
        let double = |number: f64| number.is_finite().then_some(Value::Double(number));
        Ok(match kind {
            0 => Some(whole(i8::from_le_bytes(self.array()?).into())),
            1 => Some(Value::Natural(self.array::<1>()?[0].into())),
            2 => Some(Value::Bool(self.array::<1>()?[0] != 0)),
            3 => Some(whole(i16::from_le_bytes(self.array()?).into())),
            4 => Some(Value::Natural(u16::from_le_bytes(self.array()?).into())),
            5 => Some(whole(i32::from_le_bytes(self.array()?).into())),
            6 => Some(Value::Natural(u32::from_le_bytes(self.array()?).into())),
            7 => Some(whole(i64::from_le_bytes(self.array()?))),
            8 => Some(Value::Natural(u64::from_le_bytes(self.array()?))),
            9 => double(f32::from_le_bytes(self.array()?).into()),
            10 => double(f64::from_le_bytes(self.array()?)),
            11..=13 => {
                let text = std::str::from_utf8(self.text()?).map_err(|_| Malformed::Meaningless("a text"))?;
                Some(Value::Text(text.into()))
            }
            14 => self.text().map(|_| None)?,
            _ => return Err(Malformed::Meaningless("a column's type")),
        })
    }
}
