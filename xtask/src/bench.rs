//! `cargo xtask bench`: measurements, peers beside us in one run.

use crate::run::{self, Error, cargo};
use std::path::Path;

/// The release profile as the peers are best built with; in a folder of its own, so that a release build stays one.
const PROFILE: [&str; 3] = [
    "profile.measured.inherits=\"release\"",
    "profile.measured.lto=\"thin\"",
    "profile.measured.codegen-units=1",
];

/// Builds the harness with all peers, and runs it.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<(), Error> {
    let build = ["run", "--profile", "measured", "-p", "watersmeet-bench", "--features", "peers", "--"];
    let profile = PROFILE.into_iter().flat_map(|setting| ["--config", setting]);
    run::run(cargo(root, profile.chain(build)).args(options))
}
