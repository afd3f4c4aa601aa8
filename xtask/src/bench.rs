//! `cargo xtask bench`: measurements, peers beside us in one run.

use crate::run::{self, Error, cargo};
use crate::{tile_bench as tiles, wasm};
use std::path::Path;
use std::process::Command;

/// The release profile as the peers are best built with; in a folder of its own, so that a release build stays one.
const PROFILE: [&str; 3] = [
    "profile.measured.inherits=\"release\"",
    "profile.measured.lto=\"thin\"",
    "profile.measured.codegen-units=1",
];

/// Also builds the peer that takes longest to build.
const BUILD_MARTIN: &str = "--build-martin";

/// Builds what `options` ask for, and measures it.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<(), Error> {
    // Our program is a process of its own, beside the harness.
    let ours = || run::run(&mut measured(root, &["build", "-p", "watersmeet"]));
    let (for_us, for_harness): (Vec<&String>, Vec<&String>) =
        options.iter().partition(|option| *option == BUILD_MARTIN);
    let harness = |features: &str| {
        let harness = ["run", "-p", "watersmeet-bench", "--features", features, "--"];
        run::run(measured(root, &harness).args(&for_harness))
    };
    match options.first().map(String::as_str) {
        Some("sync") => {
            ours()?;
            if let Err(cause) = install_peers(root) {
                eprintln!("the peers are not installed, and will have no figures: {cause}");
            }
            harness("yjs")
        }
        Some("tiles") => {
            ours()?;
            tiles::prepare(root, !for_us.is_empty());
            harness("mvt")
        }
        _ => harness("peers"),
    }
}

fn measured(root: &Path, build: &[&str]) -> Command {
    let profile = PROFILE.into_iter().flat_map(|setting| ["--config", setting]);
    let (verb, rest) = build.split_at(1);
    let mut command = cargo(root, profile.chain(verb.iter().copied()));
    command.args(["--profile", "measured"]).args(rest);
    command
}

/// Installs the servers to compare with, in `target/bench/peers`, unless that has been done.
fn install_peers(root: &Path) -> Result<(), Error> {
    let files = ["package.json", "package-lock.json", "hocuspocus.mjs"];
    install_npm(&root.join("bench/peers"), &root.join("target/bench/peers"), &files)
}

/// Copies files of the tree to where packages may be installed, and installs them there.
pub(crate) fn install_npm(from: &Path, to: &Path, files: &[&str]) -> Result<(), Error> {
    let file_error = |path: &Path, cause| Error::File(path.display().to_string(), cause);
    std::fs::create_dir_all(to).map_err(|cause| file_error(to, cause))?;
    for name in files {
        let (from, to) = (from.join(name), to.join(name));
        let wanted = std::fs::read(&from).map_err(|cause| file_error(&from, cause))?;
        // A lock file that is newer than what is installed would have it installed again.
        if std::fs::read(&to).ok().as_ref() != Some(&wanted) {
            std::fs::write(&to, wanted).map_err(|cause| file_error(&to, cause))?;
        }
    }
    wasm::npm_install(to)
}
