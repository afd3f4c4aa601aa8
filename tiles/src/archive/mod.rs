//! Archives: `PMTiles` version 3, written and read.
//!
//! One idea: an archive is an ordered list of tile numbers with the place of each tile's bytes, cut into leaves when it
//! is long. Ours are always clustered (bytes in the order of numbers) and hold equal bytes once. The same container
//! holds vector tiles and cells. Not here: what the bytes mean.
//!
//! Source: <https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md>.

mod directory;
mod header;
mod read;
mod write;

pub use directory::Entry;
pub use header::{Header, TileKind};
pub use read::{Archive, ArchiveError, Place};
pub(crate) use write::{About, Directories, sync_folder};
pub use write::{ArchiveWriter, write_file};
