//! `watersmeet store`: documents on the disk, without or beside a server.

use crate::say::say;
use clap::Subcommand;
use std::error::Error;
use std::path::PathBuf;
use watersmeet_sync::store::{self, Report};

/// Check, back up and restore documents.
#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Read everything and say what is damaged. A server may be running.
    Check {
        /// The folder that holds the documents.
        data: PathBuf,
    },
    /// Copy everything into one file, and check it. A server may be running.
    Backup {
        /// The folder that holds the documents.
        data: PathBuf,
        /// The file; an earlier one of this name is replaced when the new one is whole.
        out: PathBuf,
    },
    /// Make a data folder of a backup.
    Restore {
        /// The file that `backup` wrote.
        backup: PathBuf,
        /// The folder, which must be empty or not exist.
        data: PathBuf,
    },
}

/// What a check found, so that it ends with an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{0} damaged; the other documents are served as ever. Restore a backup to have these back")]
struct Damaged(usize);

impl Store {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        match self {
            Store::Check { data } => {
                let report = store::check(&data)?;
                tell(&report)?;
                if !report.flaws.is_empty() {
                    return Err(Damaged(report.flaws.len()).into());
                }
                say("all is as it was written\n")?;
            }
            Store::Backup { data, out } => {
                tell(&store::backup(&data, &out)?)?;
                say(format_args!("written to {}, and checked\n", out.display()))?;
            }
            Store::Restore { backup, data } => {
                tell(&store::restore(&backup, &data)?)?;
                say(format_args!("restored to {}, and checked\n", data.display()))?;
            }
        }
        Ok(())
    }
}

fn tell(report: &Report) -> std::io::Result<()> {
    let Report { documents, snapshots, deltas, bytes, claims, flaws } = report;
    say(format_args!(
        "{documents} documents, {snapshots} snapshots, {deltas} deltas after them, {bytes} bytes\n"
    ))?;
    say(format_args!("{claims} replicas have an owner\n"))?;
    flaws.iter().try_for_each(|flaw| say(format_args!("damaged: {flaw}\n")))
}
