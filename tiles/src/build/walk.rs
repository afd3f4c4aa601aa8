//! The second half of a build: down the pyramid, a tile and its four children at a time.
//!
//! One idea: the way down is the same whether a tile's features are in memory or wait in a file; a file is cut into four
//! until what it holds fits. A parent's features go as soon as its children's are cut from them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::BuildError;
use super::layers::{merge, trimmed};
use super::pieces::{Finished, Pieces};
use super::read::World;
use super::spill::{Spill, Spilled, shown};
use super::workplace::Workplace;
use crate::cells::{self, Divided, Division};
use crate::compress::{Encoding, UNPACKED_BYTES_MAX};
use crate::coord::TileCoord;
use crate::cut::cut;
use crate::feature::Cell;
use crate::options::{BuildOptions, CELL_BYTES_DEFAULT};
use crate::packed::{Packed, Zooms};
use crate::render::{Rendered, render};
use crate::report::{BuildReport, Progress, Stage, ZoomReport};

/// How cells are packed: not at all, for they are opened while a client waits.
pub(crate) const CELL_ENCODING: Encoding = Encoding::Identity;

/// All tiles and cells of a set.
pub(super) struct Walked {
    pub(super) tiles: Finished,
    pub(super) cells: Finished,
    /// The zoom of the deepest cell.
    pub(super) deepest_cell: u8,
}

struct Walker<'a> {
    options: &'a BuildOptions,
    archive_zoom: u8,
    workplace: &'a Workplace,
    progress: &'a dyn Progress,
    tiles: Pieces,
    cells: Pieces,
    /// By zoom.
    zooms: Mutex<Vec<ZoomReport>>,
    made: AtomicU64,
    /// How much of the world is done, in [`WHOLE`]ths.
    done: AtomicU64,
}

/// The whole world as a number that can be counted up by many threads.
const WHOLE: f64 = 1e15;

pub(super) fn walk(
    world: World,
    options: &BuildOptions,
    workplace: &Workplace,
    progress: &dyn Progress,
    report: &mut BuildReport,
) -> Result<Walked, BuildError> {
    let archive_zoom = options.last_archived_zoom();
    let walker = Walker {
        options,
        archive_zoom,
        workplace,
        progress,
        tiles: Pieces::new(workplace, "tiles", Encoding::Gzip)?,
        cells: Pieces::new(workplace, "cells", CELL_ENCODING)?,
        zooms: Mutex::new(vec![ZoomReport::default(); usize::from(archive_zoom) + 1]),
        made: AtomicU64::new(0),
        done: AtomicU64::new(0),
    };
    progress.done(Stage::Rendering, 0, Some(0.0));
    match world {
        World::Memory(cell) => walker.visit(cell, TileCoord::ROOT, WHOLE)?,
        World::Spilled(spilled) => walker.visit_spilled(spilled, TileCoord::ROOT, WHOLE)?,
    }
    progress.done(Stage::Rendering, walker.made.into_inner(), Some(1.0));
    let zooms = walker.zooms.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (zoom, drawn) in (0..).zip(zooms).filter(|(zoom, _)| *zoom >= options.render.min_zoom) {
        let entry = report.zooms.entry(zoom).or_default();
        *entry = ZoomReport { hidden_by_rank: entry.hidden_by_rank, ..drawn };
    }
    let (tiles, cells) = (walker.tiles.finish()?, walker.cells.finish()?);
    let deepest = cells.pieces.last().and_then(|piece| TileCoord::from_number(piece.number));
    let walked = Walked { tiles, cells, deepest_cell: deepest.map_or(archive_zoom, TileCoord::z) };
    report.cells = walked.cells.pieces.len() as u64;
    Ok(walked)
}

impl Walker<'_> {
    /// Draws a tile and all below it. `share` is how much of the world that is.
    fn visit(&self, cell: Cell, tile: TileCoord, share: f64) -> Result<(), BuildError> {
        if cell.is_empty() {
            return self.tell(share);
        }
        if tile.z() <= self.archive_zoom {
            self.draw(&cell, tile)?;
        }
        if tile.z() >= self.archive_zoom {
            self.keep(&cell, tile)?;
            return self.tell(share);
        }
        let grid = self.options.render.grid();
        let children = tile.children().map(|child| (child, cut(&cell, child, grid)));
        drop(cell);
        let weight = |cell: &Cell| cell.feature_count() as f64;
        let all: f64 = children.iter().map(|(_, cell)| weight(cell)).sum();
        children.into_par_iter().try_for_each(|(child, cell)| {
            let share = if all > 0.0 { share * weight(&cell) / all } else { share / 4.0 };
            self.visit(cell, child, share)
        })
    }

    /// The same for features in a file.
    fn visit_spilled(&self, spilled: Spilled, tile: TileCoord, share: f64) -> Result<(), BuildError> {
        if spilled.is_empty() {
            spilled.remove()?;
            return self.tell(share);
        }
        let fits = spilled.memory_bytes <= self.options.loaded_bytes_max();
        if fits || !self.goes_down(&spilled, tile)? {
            let cell = spilled.load()?;
            spilled.remove()?;
            return self.visit(cell, tile, share);
        }
        let mut seen = Vec::new();
        let mut children = Vec::new();
        for child in tile.children() {
            let name = format!("features-{}-{}-{}", child.z(), child.x(), child.y());
            children.push((child, Spill::new(self.workplace, &name, self.options)?));
        }
        let grid = self.options.render.grid();
        spilled.each(&mut |chunk| {
            self.go_on()?;
            if tile.z() >= self.options.render.min_zoom {
                seen.extend(shown(&chunk, tile, grid, tile.z() < self.archive_zoom));
            }
            children.par_iter_mut().try_for_each(|(child, spill)| {
                let layers = cut(&chunk, *child, grid).layers;
                layers.into_iter().try_for_each(|layer| spill.add(trimmed(layer)))
            })
        })?;
        spilled.remove()?;
        let seen = merge(seen);
        if tile.z() <= self.archive_zoom {
            self.draw(&seen, tile)?;
        }
        if tile.z() >= self.archive_zoom {
            self.put_tile(tile, &seen)?;
        }
        drop(seen);
        for (child, spill) in children {
            self.visit_spilled(spill.finish()?, child, share / 4.0)?;
        }
        Ok(())
    }

    /// Whether what a tile sees is to be divided among the four below it, as [`cells::divide`] would do it where nothing
    /// is rendered beforehand any more.
    fn goes_down(&self, spilled: &Spilled, tile: TileCoord) -> Result<bool, BuildError> {
        if tile.z() < self.archive_zoom {
            return Ok(true);
        }
        let division = self.division();
        if self.options.render.max_zoom == tile.z() {
            return Ok(false);
        }
        let mut bytes = 0;
        spilled.each(&mut |chunk| {
            bytes += cells::bytes_about(&Packed::of(&chunk, division.zooms(tile)));
            Ok(())
        })?;
        Ok(!division.is_whole(tile, bytes))
    }

    fn division(&self) -> Division {
        let cell_bytes = self.options.cell_bytes.unwrap_or(CELL_BYTES_DEFAULT);
        Division::new(self.options.render.grid(), self.options.render.max_zoom, cell_bytes)
    }

    fn draw(&self, cell: &Cell, tile: TileCoord) -> Result<(), BuildError> {
        self.go_on()?;
        if tile.z() < self.options.render.min_zoom {
            return Ok(());
        }
        let rendered = self.rendered(cell, tile)?;
        let Rendered { bytes, dropped, coarser, .. } = rendered;
        if bytes.is_empty() {
            return Ok(());
        }
        let length = u64::from(self.tiles.add(tile.number(), &bytes)?);
        let mut zooms = self.zooms.lock().unwrap_or_else(PoisonError::into_inner);
        let zoom = &mut zooms[usize::from(tile.z())];
        zoom.tiles += 1;
        zoom.bytes += length;
        zoom.largest_bytes = zoom.largest_bytes.max(length);
        zoom.dropped_by_size += dropped as u64;
        zoom.tiles_too_large += u64::from(dropped > 0 || coarser > 0);
        zoom.tiles_coarser += u64::from(coarser > 0);
        zoom.tiles_over_limit += u64::from(bytes.len() > self.options.render.tile_bytes_max);
        drop(zooms);
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn rendered(&self, cell: &Cell, tile: TileCoord) -> Result<Rendered, BuildError> {
        let stop = || self.progress.stopped();
        let shown = Packed::of(cell, Zooms::only(tile.z()));
        let rendered = render(&shown, tile, &self.options.render, &stop).map_err(|_| BuildError::Stopped)?;
        match rendered.bytes.len() {
            bytes @ UNPACKED_BYTES_MAX.. => Err(BuildError::TileTooLarge { tile, bytes }),
            _ => Ok(rendered),
        }
    }

    /// Keeps what hangs below the last pre-rendered zoom.
    fn keep(&self, cell: &Cell, tile: TileCoord) -> Result<(), BuildError> {
        if self.options.render.max_zoom == self.archive_zoom {
            return Ok(());
        }
        cells::divide(cell, tile, self.division(), &mut |tile, divided| {
            self.go_on()?;
            match divided {
                Divided::Whole(bytes) => self.put_cell(tile, &bytes),
                Divided::Quartered(cell) => self.put_tile(tile, cell),
            }
        })
    }

    /// Keeps the tile of a cell that is divided, unless it lies in the archive.
    fn put_tile(&self, tile: TileCoord, cell: &Cell) -> Result<(), BuildError> {
        if tile.z() == self.archive_zoom {
            return Ok(());
        }
        let rendered = self.rendered(cell, tile)?;
        if rendered.bytes.is_empty() {
            Ok(())
        } else {
            self.put_cell(tile, &cells::tile_to_bytes(&rendered.bytes))
        }
    }

    fn put_cell(&self, tile: TileCoord, bytes: &[u8]) -> Result<(), BuildError> {
        self.cells.add(tile.number(), bytes)?;
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn go_on(&self) -> Result<(), BuildError> {
        if self.progress.stopped() { Err(BuildError::Stopped) } else { Ok(()) }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of progress"
    )]
    fn tell(&self, share: f64) -> Result<(), BuildError> {
        let done = self.done.fetch_add(share as u64, Ordering::Relaxed) + share as u64;
        self.progress.done(
            Stage::Rendering,
            self.made.load(Ordering::Relaxed),
            Some((done as f64 / WHOLE).min(1.0)),
        );
        Ok(())
    }
}
