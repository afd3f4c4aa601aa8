//! The dynamic renderer: tiles below the last pre-rendered zoom, from the one cell that covers them.
//!
//! One idea: the cell is the builder's own state at that place, so this goes on where the builder stopped. Cells in use
//! are kept unpacked in memory, within a bound, and unpacked once however many tiles ask at once. Not here: caching of
//! tiles (see the HTTP module).

use std::sync::Arc;

use moka::sync::Cache;

use crate::archive::Archive;
use crate::cells;
use crate::compress::unpack;
use crate::coord::TileCoord;
use crate::error::TileError;
use crate::feature::Cell;
use crate::options::RenderOptions;
use crate::reader::ByteReader;
use crate::render::{Rendered, render};

/// Unpacked cells may take so many bytes of memory, per set.
pub const CELLS_BYTES_MAX: u64 = 128 << 20;

/// Renders any tile below its cells.
pub struct Dynamic<R> {
    cells: Archive<R>,
    cell_zoom: u8,
    options: RenderOptions,
    kept: Cache<TileCoord, Arc<Cell>>,
}

impl<R: ByteReader> Dynamic<R> {
    /// A renderer over an archive of cells of one zoom.
    #[must_use]
    pub fn new(cells: Archive<R>, cell_zoom: u8, options: RenderOptions) -> Self {
        let weigh =
            |_: &TileCoord, cell: &Arc<Cell>| u32::try_from(cell.memory_bytes() + 64).unwrap_or(u32::MAX);
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
        let Some(cell) = self.cell(tile.ancestor(self.cell_zoom))? else { return Ok(None) };
        let rendered = render(&cell, tile, &self.options, stop)?;
        Ok((!rendered.bytes.is_empty()).then_some(rendered))
    }

    fn cell(&self, tile: TileCoord) -> Result<Option<Arc<Cell>>, TileError> {
        let Some(place) = self.cells.place(tile.number())? else { return Ok(None) };
        let load = || -> Result<Arc<Cell>, TileError> {
            let bytes =
                unpack(&self.cells.bytes_at(place)?, self.cells.encoding()).map_err(TileError::Packed)?;
            Ok(Arc::new(cells::from_bytes(&bytes, tile).map_err(|error| TileError::Cell { tile, error })?))
        };
        self.kept.try_get_with(tile, load).map(Some).map_err(TileError::Shared)
    }
}
