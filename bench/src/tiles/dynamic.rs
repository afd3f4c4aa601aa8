//! What our renderer takes for tiles below the archive: cut and encoded, not compressed.

use super::on_demand::{Answer, Cells};
use crate::failure::Failure;
use std::path::Path;
use std::time::Instant;
use watersmeet_tiles::{TileCoord, TileSet};

/// Renders each tile once, on one thread.
pub(super) fn ours(set: &Path, tiles: &[TileCoord], cells: Cells) -> Result<Vec<Answer>, Failure> {
    let mut open = TileSet::open(set)?;
    let mut answers = Vec::with_capacity(tiles.len());
    for tile in tiles {
        match cells {
            Cells::InTurn => {}
            Cells::Cold => open = TileSet::open(set)?,
            Cells::Warm => _ = render(&open, *tile)?,
        }
        answers.push(render(&open, *tile)?);
    }
    Ok(answers)
}

fn render(set: &TileSet, tile: TileCoord) -> Result<Answer, Failure> {
    let dynamic = set.dynamic().ok_or_else(|| Failure::new("the set has no cells"))?;
    let start = Instant::now();
    let rendered = dynamic.render(tile, &|| false)?;
    let us = start.elapsed().as_secs_f64() * 1e6;
    let (features, bytes) = rendered.map_or((0, 0), |rendered| (rendered.features, rendered.bytes.len()));
    Ok(Answer { us, features, bytes })
}
