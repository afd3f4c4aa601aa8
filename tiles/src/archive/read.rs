//! Reading an archive: header and root once, leaves as they are asked for.
//!
//! One idea: nothing in an archive is believed. Lengths are checked against the file before memory is taken, leaves
//! may only lead to leaves a few times, and what is broken is an error that says what. Not here: caching of tiles.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use thiserror::Error;

use super::directory::{self, Entry};
use super::header::{HEADER_BYTES, Header, Range};
use crate::compress::{CompressError, Encoding, UNPACKED_BYTES_MAX, unpack};
use crate::reader::ByteReader;
use crate::varint::Malformed;

/// How deep directories may nest (specification, section 3: the root and three levels of leaves at most).
const DEPTH_MAX: usize = 4;

/// How many leaf directories an archive may have: as many as all tiles of zoom 16 need in leaves of 4,096.
const LEAVES_MAX: usize = 1 << 20;

/// How many leaf directories are kept in memory; beyond that they are read again.
const LEAVES_KEPT_MAX: usize = 256;

/// Why an archive cannot be read.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The system could not read the bytes.
    #[error("the archive cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The header is not one.
    #[error("the archive's header is broken: {0}")]
    Header(Malformed),
    /// A directory is not one.
    #[error("a directory of the archive is broken: {0}")]
    Directory(Malformed),
    /// Packed bytes are broken.
    #[error("the archive is broken: {0}")]
    Packed(#[from] CompressError),
    /// The archive does not say how its directories are packed.
    #[error("the archive does not say how its directories or tiles are compressed")]
    UnknownCompression,
    /// A range is longer than anything in an archive may be.
    #[error("the archive speaks of {0} bytes in one piece")]
    TooLarge(u64),
    /// Directories lead to directories without end.
    #[error("the archive's directories nest more than {DEPTH_MAX} deep")]
    TooDeep,
    /// There are more leaves than any archive needs: some lead to each other.
    #[error("the archive has more than {LEAVES_MAX} leaf directories")]
    TooManyLeaves,
    /// The metadata is not JSON.
    #[error("the archive's metadata is not JSON: {0}")]
    Metadata(serde_json::Error),
}

/// Where a tile's packed bytes are; equal places hold equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// From the beginning of the tiles.
    pub offset: u64,
    /// In bytes.
    pub length: u32,
}

/// An open archive.
#[derive(Debug)]
pub struct Archive<R> {
    reader: R,
    header: Header,
    internal: Encoding,
    encoding: Encoding,
    root: Vec<Entry>,
    leaves: Mutex<HashMap<u64, Arc<Vec<Entry>>>>,
}

impl<R: ByteReader> Archive<R> {
    /// Reads header and root directory.
    ///
    /// # Errors
    /// When they cannot be read or are broken.
    pub fn open(reader: R) -> Result<Self, ArchiveError> {
        let length = reader.length()?.min(HEADER_BYTES as u64);
        let front = reader.read_at(0, usize::try_from(length).unwrap_or(HEADER_BYTES))?;
        let header = Header::from_bytes(&front).map_err(ArchiveError::Header)?;
        let (Some(internal), Some(encoding)) = (header.internal_encoding, header.tile_encoding) else {
            return Err(ArchiveError::UnknownCompression);
        };
        let root = unpack(&read(&reader, header.root)?, internal)?;
        let root = directory::from_bytes(&root).map_err(ArchiveError::Directory)?;
        Ok(Self { reader, header, internal, encoding, root, leaves: Mutex::default() })
    }

    /// What the archive says about itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How the tiles are packed.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The archive's JSON metadata.
    ///
    /// # Errors
    /// When it cannot be read or is broken.
    pub fn metadata(&self) -> Result<serde_json::Value, ArchiveError> {
        if self.header.metadata.length == 0 {
            return Ok(serde_json::Value::Null);
        }
        let bytes = unpack(&read(&self.reader, self.header.metadata)?, self.internal)?;
        serde_json::from_slice(&bytes).map_err(ArchiveError::Metadata)
    }

    /// Where a tile's bytes are; `None` when the archive has no such tile.
    ///
    /// # Errors
    /// When a directory cannot be read or is broken.
    pub fn place(&self, number: u64) -> Result<Option<Place>, ArchiveError> {
        let mut found = directory::find(&self.root, number);
        for _ in 0..DEPTH_MAX {
            match found {
                None => return Ok(None),
                Some(Entry { run_length: 0, offset, length, .. }) => {
                    found = directory::find(&self.leaf(offset, length)?, number);
                }
                Some(Entry { offset, length, .. }) => return Ok(Some(Place { offset, length })),
            }
        }
        Err(ArchiveError::TooDeep)
    }

    /// The packed bytes at a place.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn bytes_at(&self, place: Place) -> Result<Bytes, ArchiveError> {
        read(&self.reader, inside(self.header.tiles, place.offset, place.length)?)
    }

    /// A tile's packed bytes; `None` when the archive has no such tile.
    ///
    /// # Errors
    /// When the archive cannot be read or is broken.
    pub fn tile(&self, number: u64) -> Result<Option<Bytes>, ArchiveError> {
        self.place(number)?.map(|place| self.bytes_at(place)).transpose()
    }

    /// Hands every run of tiles to the visitor, in the order of their numbers.
    ///
    /// # Errors
    /// When a directory cannot be read or is broken.
    pub fn each_entry(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), ArchiveError> {
        self.each_below(&self.root, DEPTH_MAX, &mut 0, visit)
    }

    fn each_below(
        &self,
        entries: &[Entry],
        depth: usize,
        leaves: &mut usize,
        visit: &mut dyn FnMut(Entry),
    ) -> Result<(), ArchiveError> {
        for entry in entries {
            if entry.run_length > 0 {
                visit(*entry);
                continue;
            }
            let deeper = depth.checked_sub(1).ok_or(ArchiveError::TooDeep)?;
            *leaves += 1;
            if *leaves > LEAVES_MAX {
                return Err(ArchiveError::TooManyLeaves);
            }
            self.each_below(&self.leaf(entry.offset, entry.length)?, deeper, leaves, visit)?;
        }
        Ok(())
    }

    fn leaf(&self, offset: u64, length: u32) -> Result<Arc<Vec<Entry>>, ArchiveError> {
        let kept = || self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = kept().get(&offset) {
            return Ok(Arc::clone(leaf));
        }
        let bytes = unpack(&read(&self.reader, inside(self.header.leaves, offset, length)?)?, self.internal)?;
        let leaf = Arc::new(directory::from_bytes(&bytes).map_err(ArchiveError::Directory)?);
        let mut kept = kept();
        if kept.len() >= LEAVES_KEPT_MAX {
            kept.clear();
        }
        kept.insert(offset, Arc::clone(&leaf));
        Ok(leaf)
    }
}

fn inside(section: Range, offset: u64, length: u32) -> Result<Range, ArchiveError> {
    let offset = section.offset.checked_add(offset).ok_or(ArchiveError::TooLarge(offset))?;
    Ok(Range { offset, length: length.into() })
}

fn read(reader: &impl ByteReader, range: Range) -> Result<Bytes, ArchiveError> {
    match usize::try_from(range.length) {
        Ok(length) if length <= UNPACKED_BYTES_MAX => Ok(reader.read_at(range.offset, length)?),
        _ => Err(ArchiveError::TooLarge(range.length)),
    }
}
