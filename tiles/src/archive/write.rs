//! Writing an archive: what stands before the tiles, once it is known where each of them will be.
//!
//! One idea: directories need the tiles' numbers, lengths and hashes, never their bytes; so whoever has the bytes may
//! keep them where it likes and copy them behind. Not here: tiles out of order; the caller sorts them, so that the
//! archive is clustered.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use super::directory::{self, Entry};
use super::header::{HEADER_BYTES, Header, Range, TileKind};
use crate::compress::{CompressError, Encoding, pack};
use crate::coord::TileCoord;

/// Readers fetch this many bytes first and expect header and root directory in them (specification, section 2).
const ROOT_END_MAX: usize = 16_384;

/// How many entries a leaf directory has at first; doubled until the root is short enough.
const LEAF_ENTRIES: usize = 4_096;

/// Where the tiles of an archive are.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    entries: Vec<Entry>,
    /// Where bytes with this hash already are.
    places: HashMap<u128, (u64, u32)>,
    addressed: u64,
    /// How many bytes all different tiles have.
    length: u64,
}

/// Gathers tiles for a small archive in memory.
#[derive(Debug, Default)]
pub struct ArchiveWriter {
    directories: Directories,
    bytes: Vec<u8>,
}

/// What the writer cannot know from the tiles.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct About {
    pub(crate) kind: TileKind,
    pub(crate) tile_encoding: Encoding,
    pub(crate) min_zoom: u8,
    pub(crate) max_zoom: u8,
    pub(crate) bounds: [f64; 4],
    pub(crate) center: [f64; 2],
    pub(crate) center_zoom: u8,
    pub(crate) metadata: serde_json::Value,
}

impl Directories {
    /// Adds a tile of this hash and length. Numbers have to grow from call to call. Whether its bytes are new: these
    /// have to follow each other in the archive.
    pub(crate) fn add(&mut self, number: u64, hash: u128, length: u32) -> bool {
        debug_assert!(self.entries.last().is_none_or(|last| last.number < number), "tiles come in order");
        self.addressed += 1;
        let end = self.length;
        let (offset, length) = *self.places.entry(hash).or_insert((end, length));
        let is_new = offset == end && length > 0;
        if is_new {
            self.length += u64::from(length);
        }
        if let Some(last) = self.entries.last_mut()
            && (last.offset, last.length) == (offset, length)
            && last.number + u64::from(last.run_length) == number
        {
            last.run_length += 1;
            return is_new;
        }
        self.entries.push(Entry { number, offset, length, run_length: 1 });
        is_new
    }

    /// The archive's bytes up to the tiles; the tiles follow right behind.
    pub(crate) fn front(&self, about: &About) -> Result<Vec<u8>, CompressError> {
        let metadata = pack(about.metadata.to_string().as_bytes(), Encoding::Gzip)?;
        let (root, leaves) = self.directories()?;
        let mut offset = HEADER_BYTES as u64;
        let mut next = |length: u64| {
            let range = Range { offset, length };
            offset += length;
            range
        };
        let header = Header {
            root: next(root.len() as u64),
            metadata: next(metadata.len() as u64),
            leaves: next(leaves.len() as u64),
            tiles: next(self.length),
            addressed_tiles: self.addressed,
            entries: self.entries.len() as u64,
            distinct_tiles: self.places.len() as u64,
            clustered: true,
            internal_encoding: Some(Encoding::Gzip),
            tile_encoding: Some(about.tile_encoding),
            kind: about.kind,
            min_zoom: about.min_zoom,
            max_zoom: about.max_zoom,
            bounds: about.bounds,
            center: about.center,
            center_zoom: about.center_zoom,
        };
        Ok([header.to_bytes(), root, metadata, leaves].concat())
    }

    /// The packed root directory, and the packed leaves one behind the other, when the root alone is too long.
    fn directories(&self) -> Result<(Vec<u8>, Vec<u8>), CompressError> {
        let most = ROOT_END_MAX - HEADER_BYTES;
        let root = pack(&directory::to_bytes(&self.entries), Encoding::Gzip)?;
        if root.len() <= most {
            return Ok((root, Vec::new()));
        }
        let mut leaf_entries = LEAF_ENTRIES;
        loop {
            let (root, leaves) = with_leaves(&self.entries, leaf_entries)?;
            if root.len() <= most {
                return Ok((root, leaves));
            }
            leaf_entries *= 2;
        }
    }
}

impl ArchiveWriter {
    /// Adds a tile's packed bytes. Numbers have to grow from call to call.
    pub fn add(&mut self, number: u64, packed: &[u8]) {
        // Packed tiles are far below 4 GiB: what they unpack to is bounded.
        let length = u32::try_from(packed.len()).unwrap_or(u32::MAX);
        if self.directories.add(number, xxh3_128(packed), length) {
            self.bytes.extend_from_slice(packed);
        }
    }

    /// A whole archive in memory that says nothing about itself but that its bytes are as they were added.
    ///
    /// # Errors
    /// When the compressor fails.
    pub fn to_plain_bytes(&self) -> Result<Vec<u8>, CompressError> {
        let zoom = |entry: Option<&Entry>| {
            entry.and_then(|e| TileCoord::from_number(e.number)).map_or(0, TileCoord::z)
        };
        let mut bytes = self.directories.front(&About {
            kind: TileKind::Other,
            tile_encoding: Encoding::Identity,
            min_zoom: zoom(self.directories.entries.first()),
            max_zoom: zoom(self.directories.entries.last()),
            bounds: [-180.0, -85.0, 180.0, 85.0],
            center: [0.0, 0.0],
            center_zoom: 0,
            metadata: serde_json::Value::Object(serde_json::Map::new()),
        })?;
        bytes.extend_from_slice(&self.bytes);
        Ok(bytes)
    }
}

fn with_leaves(entries: &[Entry], leaf_entries: usize) -> Result<(Vec<u8>, Vec<u8>), CompressError> {
    let mut leaves = Vec::new();
    let mut root = Vec::new();
    for chunk in entries.chunks(leaf_entries) {
        let packed = pack(&directory::to_bytes(chunk), Encoding::Gzip)?;
        let length = u32::try_from(packed.len()).unwrap_or(u32::MAX);
        root.push(Entry { number: chunk[0].number, offset: leaves.len() as u64, length, run_length: 0 });
        leaves.extend_from_slice(&packed);
    }
    Ok((pack(&directory::to_bytes(&root), Encoding::Gzip)?, leaves))
}

/// Writes a file under a temporary name beside it, waits until it is on disk, and gives it its name.
///
/// # Errors
/// What the system says; the temporary file is removed and what had the name before keeps it.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".part-{}", std::process::id()));
    let part = path.with_file_name(name);
    let written = write_synced(&part, bytes).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&part);
    }
    written?;
    sync_folder(path)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A new name is on disk when its folder is.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
