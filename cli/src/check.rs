//! `watersmeet config check` and `watersmeet config print`.

use crate::config::{self, DEFAULT, Flags, Level, Settings};
use crate::log;
use crate::say::say;
use crate::serve::Plan;
use clap::{Args, Subcommand};
use std::error::Error;
use std::path::PathBuf;

/// Check the configuration, and say what counts.
#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// Say everything that is wrong with a file and the environment, as `serve` would find it: keys, values, whether
    /// keys for tokens can be read and folders are there.
    Check {
        /// The file; without it, that of `WATERSMEET_CONFIG`.
        file: Option<PathBuf>,
    },
    /// Print the settings that count, and where each was chosen. Secrets are not shown.
    Print(Box<Print>),
}

#[derive(Debug, Args)]
pub(crate) struct Print {
    #[command(flatten)]
    flags: Flags,
    /// Print every setting with its meaning and its default, as a file to begin with.
    #[arg(long)]
    default: bool,
}

impl Check {
    pub(crate) fn run(self, level: Option<Level>) -> Result<(), Box<dyn Error>> {
        log::plainly(level)?;
        match self {
            Check::Check { file } => {
                let flags =
                    Flags::of_file(file.or_else(|| std::env::var_os("WATERSMEET_CONFIG").map(PathBuf::from)));
                Plan::of(&Settings::load(&flags)?)?;
                say("ok\n")?;
            }
            Check::Print(print) if print.default => say(DEFAULT)?,
            Check::Print(print) => say(config::print(&print.flags.with_level(level))?)?,
        }
        Ok(())
    }
}
