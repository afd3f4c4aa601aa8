//! Why a tile cannot be given: what sets and renderers have in common when they fail.

use std::sync::Arc;

use thiserror::Error;

use crate::archive::ArchiveError;
use crate::compress::CompressError;
use crate::coord::TileCoord;
use crate::reader::Absent;
use crate::render::Stopped;
use crate::varint::Malformed;

/// Why a tile cannot be given.
#[derive(Clone, Debug, Error)]
pub enum TileError {
    /// An archive cannot be read.
    #[error(transparent)]
    Archive(#[from] Arc<ArchiveError>),
    /// Packed bytes are broken.
    #[error("a cell is broken: {0}")]
    Packed(CompressError),
    /// A cell is broken.
    #[error("the cell {tile} is broken: {error}")]
    Cell {
        /// Which cell.
        tile: TileCoord,
        /// What is wrong with it.
        error: Malformed,
    },
    /// Rendering was stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// SQLite cannot read an `MBTiles` file.
    #[cfg(feature = "mbtiles")]
    #[error("the MBTiles file cannot be read: {0}")]
    MbTiles(String),
    /// Another request loaded the same cell, and failed.
    #[error(transparent)]
    Shared(Arc<TileError>),
}

impl From<ArchiveError> for TileError {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(Arc::new(error))
    }
}

impl TileError {
    /// What has to be fetched before the tile can be given; `None` when something else is wrong.
    #[must_use]
    pub fn absent(&self) -> Option<Absent> {
        match self {
            Self::Archive(error) => error.absent(),
            Self::Shared(inner) => inner.absent(),
            _ => None,
        }
    }

    /// Whether trying again later may help.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        match self {
            Self::Stopped(_) => true,
            Self::Shared(inner) => inner.is_stopped(),
            _ => false,
        }
    }
}
