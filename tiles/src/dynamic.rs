//! The dynamic renderer: tiles below the last pre-rendered zoom, from the one cell that covers them.
//!
//! One idea: the cell is the builder's own state at that place, so this goes on where the builder stopped. Cells in use
//! are kept open in memory, within a bound, and opened once however many tiles ask at once. Not here: caching of
//! tiles (see the HTTP module).

use std::sync::Arc;

use moka::sync::Cache;

use crate::archive::{Archive, Place};
use crate::cells::{self, Opened};
use crate::compress::{Encoding, unpack};
use crate::coord::TileCoord;
use crate::error::TileError;
use crate::options::RenderOptions;
use crate::reader::ByteReader;
use crate::render::{Rendered, render};

/// Open cells may take so many bytes of memory, per set.
pub const CELLS_BYTES_MAX: u64 = 128 << 20;

/// Renders any tile below its cells.
pub struct Dynamic<R> {
    cells: Archive<R>,
    cell_zoom: u8,
    options: RenderOptions,
    kept: Cache<Place, Arc<Opened>>,
}

impl<R: ByteReader> Dynamic<R> {
    /// A renderer over an archive of cells, the shallowest of a zoom.
    #[must_use]
    pub fn new(cells: Archive<R>, cell_zoom: u8, options: RenderOptions) -> Self {
        let weigh = |_: &Place, cell: &Arc<Opened>| {
            let bytes = match &**cell {
                Opened::Cell(packed) => packed.memory_bytes(),
                Opened::Tile(bytes) => bytes.len(),
            };
            u32::try_from(bytes + 256).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().max_capacity(CELLS_BYTES_MAX).weigher(weigh).build();
        Self { cells, cell_zoom, options, kept }
    }

    /// The deepest zoom there is.
    #[must_use]
    pub fn max_zoom(&self) -> u8 {
        self.options.max_zoom
    }

    /// The archive that holds the cells.
    #[must_use]
    pub fn cells(&self) -> &Archive<R> {
        &self.cells
    }

    /// Renders a tile; `None` when there is nothing to draw. `stop` is asked from time to time whether to give up.
    ///
    /// # Errors
    /// When the cell is broken, or rendering was stopped.
    pub fn render(&self, tile: TileCoord, stop: &dyn Fn() -> bool) -> Result<Option<Rendered>, TileError> {
        if tile.z() < self.cell_zoom || tile.z() > self.options.max_zoom {
            return Ok(None);
        }
        let Some((covering, cell)) = self.cell(tile)? else { return Ok(None) };
        let rendered = match &*cell {
            Opened::Cell(packed) => render(packed, tile, &self.options, stop)?,
            Opened::Tile(bytes) if covering == tile => {
                Rendered { bytes: bytes.clone(), ..Rendered::default() }
            }
            // It was divided, and the quarter with the tile is empty.
            Opened::Tile(_) => return Ok(None),
        };
        Ok((!rendered.bytes.is_empty()).then_some(rendered))
    }

    /// The deepest cell that covers a tile, and where it lies.
    fn cell(&self, tile: TileCoord) -> Result<Option<(TileCoord, Arc<Opened>)>, TileError> {
        let deepest = tile.z().min(self.cells.header().max_zoom);
        for zoom in (self.cell_zoom..=deepest).rev() {
            let covering = tile.ancestor(zoom);
            if let Some(place) = self.cells.place(covering.number())? {
                return Ok(Some((covering, self.open(covering, place)?)));
            }
        }
        Ok(None)
    }

    fn open(&self, tile: TileCoord, place: Place) -> Result<Arc<Opened>, TileError> {
        let load = || -> Result<Arc<Opened>, TileError> {
            let bytes = self.cells.bytes_at(place)?;
            let opened = match self.cells.encoding() {
                Encoding::Identity => cells::from_bytes(&bytes),
                encoding => cells::from_bytes(&unpack(&bytes, encoding).map_err(TileError::Packed)?),
            };
            Ok(Arc::new(opened.map_err(|error| TileError::Cell { tile, error })?))
        };
        self.kept.try_get_with(place, load).map_err(TileError::Shared)
    }
}
