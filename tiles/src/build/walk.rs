//! The second half of a build: down the pyramid, a tile and its four children at a time.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use super::BuildError;
use crate::archive::ArchiveWriter;
use crate::cells;
use crate::compress::{CompressError, Encoding, pack};
use crate::coord::TileCoord;
use crate::cut::{cut, wrap};
use crate::feature::Cell;
use crate::options::{BuildOptions, RenderOptions};
use crate::render::{Rendered, render};
use crate::report::{BuildReport, Progress, Stage};

/// How cells are packed: they are unpacked while a client waits.
pub(crate) const CELL_ENCODING: Encoding = Encoding::Zstd;

/// All tiles and cells of a set.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) tiles: ArchiveWriter,
    pub(super) cells: ArchiveWriter,
    /// Number and hash of each tile's and each cell's bytes before packing.
    pub(super) hashes: Vec<(u64, u128)>,
}

/// A tile or a cell, packed.
struct Piece {
    tile: TileCoord,
    is_cell: bool,
    hash: u128,
    packed: Vec<u8>,
    dropped: usize,
}

struct Walker<'a> {
    render: &'a RenderOptions,
    archive_zoom: u8,
    progress: &'a dyn Progress,
    pieces: Mutex<Vec<Piece>>,
}

pub(super) fn walk(
    world: Cell,
    options: &BuildOptions,
    progress: &dyn Progress,
    report: &mut BuildReport,
) -> Result<Walked, BuildError> {
    let walker = Walker {
        render: &options.render,
        archive_zoom: options.last_archived_zoom(),
        progress,
        pieces: Mutex::default(),
    };
    progress.done(Stage::Rendering, 0, None);
    walker.visit(wrap(world, options.render.grid()), TileCoord::ROOT)?;
    let mut pieces = walker.pieces.into_inner().unwrap_or_else(PoisonError::into_inner);
    pieces.sort_unstable_by_key(|piece| (piece.tile.number(), piece.is_cell));
    let total = pieces.len() as u64;
    progress.done(Stage::Rendering, total, Some(total));
    let mut walked = Walked::default();
    for piece in pieces {
        note(&piece, report);
        walked.hashes.push((piece.tile.number(), piece.hash));
        let archive = if piece.is_cell { &mut walked.cells } else { &mut walked.tiles };
        archive.add(piece.tile.number(), &piece.packed);
    }
    Ok(walked)
}

fn note(piece: &Piece, report: &mut BuildReport) {
    if piece.is_cell {
        report.cells += 1;
        return;
    }
    let zoom = report.zooms.entry(piece.tile.z()).or_default();
    let bytes = piece.packed.len() as u64;
    zoom.tiles += 1;
    zoom.bytes += bytes;
    zoom.largest_bytes = zoom.largest_bytes.max(bytes);
    zoom.dropped_by_size += piece.dropped as u64;
    zoom.tiles_too_large += u64::from(piece.dropped > 0);
}

impl Walker<'_> {
    fn visit(&self, cell: Cell, tile: TileCoord) -> Result<(), CompressError> {
        if cell.is_empty() {
            return Ok(());
        }
        if tile.z() >= self.render.min_zoom {
            self.draw(&cell, tile)?;
        }
        if tile.z() == self.archive_zoom {
            return if self.render.max_zoom > self.archive_zoom { self.keep(&cell, tile) } else { Ok(()) };
        }
        let grid = self.render.grid();
        tile.children().into_par_iter().try_for_each(|child| self.visit(cut(&cell, child, grid), child))
    }

    fn draw(&self, cell: &Cell, tile: TileCoord) -> Result<(), CompressError> {
        // Nobody tells it to stop.
        let Rendered { bytes, dropped, .. } = render(cell, tile, self.render, &|| false).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        let packed = pack(&bytes, Encoding::Gzip)?;
        self.push(Piece { tile, is_cell: false, hash: xxh3_128(&bytes), packed, dropped });
        Ok(())
    }

    fn keep(&self, cell: &Cell, tile: TileCoord) -> Result<(), CompressError> {
        let bytes = cells::to_bytes(cell, tile);
        let packed = pack(&bytes, CELL_ENCODING)?;
        self.push(Piece { tile, is_cell: true, hash: xxh3_128(&bytes), packed, dropped: 0 });
        Ok(())
    }

    fn push(&self, piece: Piece) {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.push(piece);
        let done = pieces.len() as u64;
        drop(pieces);
        self.progress.done(Stage::Rendering, done, None);
    }
}
