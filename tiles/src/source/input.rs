//! Files as sources: opened, unpacked, and recognised by what is in them.
//!
//! One idea: names are not believed. The first bytes say whether a file is packed and what is inside, so that a stream
//! from standard input needs no flag and a wrong ending does no harm. Not here: archives of several files.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::csv::{Csv, CsvColumns, delimiter};
use super::flatgeobuf::{self, FlatGeobuf};
use super::geojson::GeoJson;
use super::{Source, SourceError};

/// The path that stands for standard input.
pub const STDIN: &str = "-";

const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// So many bytes show what a file is.
const HEAD_BYTES: usize = 4096;

/// Opens a file, or standard input, as a source of a layer. `columns` says where a table's rows are.
///
/// # Errors
/// When it cannot be read, or is nothing that is known.
pub fn open(layer: &str, path: &Path, columns: &CsvColumns) -> Result<Box<dyn Source>, SourceError> {
    let origin = if path == Path::new(STDIN) { "standard input".into() } else { path.display().to_string() };
    let io = |error| SourceError::Io { origin: origin.clone(), error };
    let (raw, counted) = raw(path).map_err(io)?;
    let mut input = unpacked(raw).map_err(io)?;
    let head = head(&mut input).map_err(io)?;
    let is_table = looks_like_a_table(&head);
    let is_flatgeobuf = head.starts_with(&flatgeobuf::MAGIC);
    let is_json = head.is_empty() || first_sign(&head).is_some_and(|byte| b"{[\"".contains(&byte));
    let delimiter = delimiter(&head);
    let input = Cursor::new(head).chain(input);
    Ok(if is_flatgeobuf {
        Box::new(FlatGeobuf::new(layer, &origin, input, counted)?)
    } else if is_json {
        Box::new(GeoJson::new(layer, &origin, input, counted))
    } else if is_table {
        Box::new(Csv::new(layer, &origin, (delimiter, input), counted, columns)?)
    } else {
        return Err(SourceError::UnknownFormat { origin });
    })
}

/// The first byte that is neither a mark nor a blank.
fn first_sign(head: &[u8]) -> Option<u8> {
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    head.iter().copied().find(|byte| *byte != 0x1E && !byte.is_ascii_whitespace())
}

/// Whether the first line is text with something that separates columns.
fn looks_like_a_table(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_text = std::str::from_utf8(line)
        .is_ok_and(|line| !line.contains(|c: char| c.is_control() && c != '\t' && c != '\r'));
    is_text && line.iter().any(|byte| b",;\t|".contains(byte))
}

type Bytes = Box<dyn Read + Send>;

fn raw(path: &Path) -> io::Result<(Bytes, Counted)> {
    let mut counted = Counted::default();
    let raw: Bytes = if path == Path::new(STDIN) {
        Box::new(io::stdin())
    } else {
        let file = File::open(path)?;
        counted.total = Some(file.metadata()?.len()).filter(|bytes| *bytes > 0);
        Box::new(file)
    };
    let reader = Counting { inner: raw, read: Arc::clone(&counted.read) };
    Ok((Box::new(reader), counted))
}

fn unpacked(mut raw: Bytes) -> io::Result<Bytes> {
    let head = head(&mut raw)?;
    let [is_gzip, is_zstd] = [head.starts_with(&GZIP), head.starts_with(&ZSTD)];
    let whole = Cursor::new(head).chain(raw);
    Ok(if is_gzip {
        Box::new(flate2::read::MultiGzDecoder::new(whole))
    } else if is_zstd {
        Box::new(zstd::stream::read::Decoder::new(whole)?)
    } else {
        Box::new(whole)
    })
}

fn head(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    input.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// How much of a file has been read, before it was unpacked.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Counted {
    pub(super) fn bytes_read(&self) -> Option<(u64, u64)> {
        Some((self.read.load(Ordering::Relaxed), self.total?))
    }
}

struct Counting {
    inner: Bytes,
    read: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
