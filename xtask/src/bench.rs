//! `cargo xtask bench`: measurements, peers beside us in one run.

use crate::run::{self, Error, cargo};
use std::path::Path;

/// Builds the harness with all peers, and runs it.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<(), Error> {
    let arguments = ["run", "--release", "-p", "watersmeet-bench", "--features", "peers", "--"];
    run::run(cargo(root, arguments).args(options))
}
