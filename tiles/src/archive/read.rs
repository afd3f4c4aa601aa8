//! Reading an archive: header and root once, leaves as they are asked for.
//!
//! One idea: nothing in an archive is believed. Lengths are checked against the file before memory is taken, leaves
//! may only lead to leaves a few times, and what is broken is an error that says what. Not here: caching of tiles.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use moka::sync::Cache;
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

use super::directory::{self, Entry};
use super::header::{HEADER_BYTES, Header, Range};
use crate::compress::{CompressError, Encoding, UNPACKED_BYTES_MAX, unpack};
use crate::reader::{Absent, ByteReader};
use crate::varint::Malformed;

/// How deep directories may nest (specification, section 3: the root and three levels of leaves at most).
const DEPTH_MAX: usize = 4;

/// How many leaf directories an archive may have: as many as all tiles of zoom 16 need in leaves of 4,096.
const LEAVES_MAX: usize = 1 << 20;

/// How many bytes of leaf directories are kept in memory; beyond that they are read again.
const LEAVES_BYTES_MAX: u64 = 32 << 20;

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

impl ArchiveError {
    /// What has to be fetched first; `None` when something else is wrong.
    pub(crate) fn absent(&self) -> Option<Absent> {
        match self {
            Self::Io(error) => Absent::of(error),
            _ => None,
        }
    }
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
    leaves: Cache<Place, Arc<Vec<Entry>>, RandomState>,
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
        let weigh = |_: &Place, leaf: &Arc<Vec<Entry>>| {
            u32::try_from(size_of_val(leaf.as_slice()) + size_of::<Entry>()).unwrap_or(u32::MAX)
        };
        let leaves = Cache::builder().max_capacity(LEAVES_BYTES_MAX).weigher(weigh);
        let leaves = leaves.build_with_hasher(RandomState::default());
        Ok(Self { reader, header, internal, encoding, root, leaves })
    }

    /// Where the archive lies.
    pub(crate) fn reader(&self) -> &R {
        &self.reader
    }

    /// Takes in what tells which tiles there are: counts, zooms, bounds and compressions, and the root directory; but
    /// not how long the metadata is, in which a set's name is.
    pub(crate) fn hash_contents(&self, hasher: &mut Xxh3) {
        let somewhere = Range::default();
        let counted = Header {
            root: somewhere,
            metadata: somewhere,
            leaves: somewhere,
            tiles: somewhere,
            ..self.header.clone()
        };
        hasher.update(&counted.to_bytes());
        hasher.update(&directory::to_bytes(&self.root));
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
        let place = Place { offset, length };
        if let Some(leaf) = self.leaves.get(&place) {
            return Ok(leaf);
        }
        let bytes = unpack(&read(&self.reader, inside(self.header.leaves, offset, length)?)?, self.internal)?;
        let leaf = Arc::new(directory::from_bytes(&bytes).map_err(ArchiveError::Directory)?);
        self.leaves.insert(place, Arc::clone(&leaf));
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

#[cfg(test)]
mod tests {
    use super::super::ArchiveWriter;
    use super::*;
    use crate::compress::pack;

    /// An archive whose root leads to so many leaves, all the same bytes, each at a place of its own by its length.
    fn with_leaves(leaf: &[Entry], count: u32) -> Archive<Bytes> {
        let plain = Archive::open(Bytes::from(ArchiveWriter::default().to_plain_bytes().unwrap())).unwrap();
        let packed = pack(&directory::to_bytes(leaf), Encoding::Gzip).unwrap();
        let room = packed.len() + count as usize;
        let mut bytes = plain.header.to_bytes();
        let offset = bytes.len() as u64;
        bytes.extend(&packed);
        bytes.resize(HEADER_BYTES + room, 0);
        let header = Header { leaves: Range { offset, length: room as u64 }, ..plain.header.clone() };
        let root = (0..count).map(|index| Entry {
            number: u64::from(index) << 32,
            offset: 0,
            length: u32::try_from(packed.len()).unwrap() + index,
            run_length: 0,
        });
        let root = root.collect();
        Archive { reader: bytes.into(), header, internal: Encoding::Gzip, root, ..plain }
    }

    #[test]
    fn leaves_in_memory_are_bounded_in_bytes() {
        let tile = |number| Entry { number, offset: 0, length: 1, run_length: 1 };
        let archive = with_leaves(&(0..100_000).map(tile).collect::<Vec<_>>(), 40);
        for index in 0..40_u64 {
            let _ = archive.place(index << 32);
        }
        archive.leaves.run_pending_tasks();
        let kept = archive.leaves.weighted_size();
        assert!(kept > LEAVES_BYTES_MAX / 2 && kept <= LEAVES_BYTES_MAX, "{kept}");
    }
}
