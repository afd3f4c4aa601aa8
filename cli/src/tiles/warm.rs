//! `watersmeet tiles warm`.

use super::bytes;
use crate::say::say;
use clap::Args;
use std::error::Error;
use std::path::PathBuf;

/// Render and pack the tiles that are asked for most, as the server has counted them (`NAME.hot`), into `NAME.warm` beside
/// an archive. A server that serves the archive takes them from there; no tile changes by it.
#[derive(Debug, Args)]
pub(crate) struct Warm {
    /// The archive.
    file: PathBuf,
    /// At most so many tiles.
    #[arg(long, env = "WATERSMEET_WARM_TILES", default_value_t = 4_096)]
    tiles: usize,
    /// At most so many bytes, packed, such as 100MB.
    #[arg(long, env = "WATERSMEET_WARM_BYTES", value_parser = bytes, default_value = "256MB")]
    bytes: u64,
}

impl Warm {
    pub(super) fn run(self) -> Result<(), Box<dyn Error>> {
        Ok(say(watersmeet_tiles::warm(&self.file, self.tiles, self.bytes)?)?)
    }
}
