//! `watersmeet tiles diff`.

use crate::say::say;
use clap::Args;
use std::error::Error;
use std::path::PathBuf;
use std::process::exit;

/// Compare the tiles that two archives hold: which differ, by zoom, and how many features by layer. Ends with 0 when they
/// hold the same, with 1 when they differ, and with 2 when one cannot be read.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// What was: a PMTiles or MBTiles file.
    old: PathBuf,
    /// What is.
    new: PathBuf,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(self) -> Result<(), Box<dyn Error>> {
        let diff = match watersmeet_tiles::diff(&self.old, &self.new) {
            Ok(diff) => diff,
            Err(error) => {
                eprintln!("error: {error}");
                exit(2);
            }
        };
        match self.json {
            true => say(serde_json::to_string_pretty(&diff)? + "\n")?,
            false => say(&diff)?,
        }
        if diff.is_empty() { Ok(()) } else { exit(1) }
    }
}
