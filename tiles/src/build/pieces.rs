//! Tiles and cells as they are made: packed, in a file, in any order.
//!
//! One idea: what is made first is written first, and only where it is stays in memory; at the end the places are put in
//! the order of the archive and the bytes follow. What has been made before, such as the open sea, is neither packed nor
//! written again. Not here: the archive's format (see [`archive`](crate::archive)).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;
use xxhash_rust::xxh3::xxh3_128;

use super::BuildError;
use super::workplace::Workplace;
use crate::archive::{About, Directories};
use crate::compress::{Encoding, pack};
use crate::reader::{ByteReader, FileReader};

/// A tile or a cell that has been made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) number: u64,
    /// Of the bytes before packing.
    pub(super) hash: u128,
    offset: u64,
    /// Packed, in bytes.
    pub(super) length: u32,
}

/// A file of pieces, written by all threads.
pub(super) struct Pieces {
    path: PathBuf,
    encoding: Encoding,
    inner: Mutex<Inner>,
}

struct Inner {
    file: BufWriter<File>,
    end: u64,
    pieces: Vec<Piece>,
    places: HashMap<u128, (u64, u32), RandomState>,
}

impl Pieces {
    pub(super) fn new(workplace: &Workplace, name: &str, encoding: Encoding) -> Result<Self, BuildError> {
        let path = workplace.path(name);
        let file = File::create(&path).map_err(|error| BuildError::Write { path: path.clone(), error })?;
        let file = BufWriter::with_capacity(1 << 18, file);
        let inner = Inner { file, end: 0, pieces: Vec::new(), places: HashMap::default() };
        Ok(Self { path, encoding, inner: Mutex::new(inner) })
    }

    /// Adds a piece that is not packed yet; how many bytes it has when it is.
    pub(super) fn add(&self, number: u64, bytes: &[u8]) -> Result<u32, BuildError> {
        let hash = xxh3_128(bytes);
        let lock = || self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().places.get(&hash).copied();
        let packed = if known.is_none() { pack(bytes, self.encoding)? } else { Vec::new() };
        let mut inner = lock();
        // Another thread may have made the same in the meantime.
        let known = known.or_else(|| inner.places.get(&hash).copied());
        let (offset, length) = match known {
            Some(place) => place,
            None => inner.append(hash, &packed).map_err(|error| self.failed(error))?,
        };
        inner.pieces.push(Piece { number, hash, offset, length });
        Ok(length)
    }

    fn failed(&self, error: io::Error) -> BuildError {
        BuildError::Write { path: self.path.clone(), error }
    }

    pub(super) fn finish(self) -> Result<Finished, BuildError> {
        let inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Inner { mut file, mut pieces, .. } = inner;
        file.flush().map_err(|error| BuildError::Write { path: self.path.clone(), error })?;
        pieces.sort_unstable_by_key(|piece| piece.number);
        Ok(Finished { path: self.path, pieces })
    }
}

impl Inner {
    fn append(&mut self, hash: u128, packed: &[u8]) -> io::Result<(u64, u32)> {
        self.file.write_all(packed)?;
        // Packed tiles are far below 4 GiB: what they unpack to is bounded.
        let place = (self.end, u32::try_from(packed.len()).unwrap_or(u32::MAX));
        self.end += packed.len() as u64;
        self.places.insert(hash, place);
        Ok(place)
    }
}

/// All pieces, in the order of their numbers.
pub(super) struct Finished {
    path: PathBuf,
    pub(super) pieces: Vec<Piece>,
}

impl Finished {
    /// Writes them as an archive; its size in bytes.
    pub(super) fn write(&self, to: &Path, about: &About) -> Result<u64, BuildError> {
        let mut directories = Directories::default();
        let first: Vec<_> =
            self.pieces.iter().filter(|p| directories.add(p.number, p.hash, p.length)).copied().collect();
        let front = directories.front(about)?;
        let written = || -> io::Result<u64> {
            let from = FileReader::open(&self.path)?;
            let mut out = BufWriter::with_capacity(1 << 18, File::create(to)?);
            out.write_all(&front)?;
            for piece in first {
                out.write_all(&from.read_at(piece.offset, piece.length as usize)?)?;
            }
            let file = out.into_inner()?;
            Ok(file.metadata()?.len())
        };
        written().map_err(|error| BuildError::Write { path: to.to_owned(), error })
    }
}
