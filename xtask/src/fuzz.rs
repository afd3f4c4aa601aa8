//! `cargo xtask fuzz`: what a stranger's bytes must not do, tried for as long as one likes.
//!
//! The targets are the files in `fuzz/fuzz_targets` of the crates that have them, thin shells over the bodies that the ordinary
//! tests run too. They begin from valid inputs, written anew by code, and from whatever an earlier run found worth keeping.

use crate::run::{self, Error, command, target};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates with targets.
const CRATES: [&str; 2] = ["crdt", "tiles"];
const SECONDS: u64 = 60;
/// Longer inputs find little more, slowly.
const BYTES_MAX: usize = 4_096;
/// One input's time, and the most that may be allocated at once for it; beyond them it counts as a crash.
const TIMEOUT_SECONDS: u64 = 10;
const MALLOC_MEGABYTES: u64 = 16;

/// Fails with the first target that finds something; libFuzzer says what, and cargo-fuzz how to repeat it.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<(), Error> {
    let (seconds, only) = parse(options)?;
    let targets: Vec<_> = CRATES.iter().map(|krate| targets(root, krate)).collect::<Result<_, _>>()?;
    let all = targets.concat();
    if let Some(only) = only.filter(|only| !all.contains(only)) {
        return Err(Error::Missing(format!("no fuzz target {only}; there are {}", all.join(", "))));
    }
    install()?;
    let corpus = corpus(root);
    for (krate, mut targets) in CRATES.into_iter().zip(targets) {
        targets.retain(|name| only.is_none_or(|only| only == name));
        if targets.is_empty() {
            continue;
        }
        run::run(nightly(root, krate, &["run", "--quiet", "--example", "seeds", "--"]).arg(&corpus))?;
        for name in targets {
            println!("\n== fuzz {name}, {seconds} s");
            run::run(&mut fuzz(root, krate, &name, seconds, &corpus.join(&name)))?;
        }
    }
    Ok(())
}

fn parse(options: &[String]) -> Result<(u64, Option<&String>), Error> {
    let usage = || Error::Missing("usage: cargo xtask fuzz [--seconds N] [TARGET]".to_owned());
    let (seconds, rest) = match options {
        [flag, seconds, rest @ ..] if flag == "--seconds" => (seconds.parse().map_err(|_| usage())?, rest),
        rest => (SECONDS, rest),
    };
    match rest {
        [] => Ok((seconds, None)),
        [only] if !only.starts_with('-') => Ok((seconds, Some(only))),
        _ => Err(usage()),
    }
}

/// The names of a crate's targets.
fn targets(root: &Path, krate: &str) -> Result<Vec<String>, Error> {
    let folder = root.join(krate).join("fuzz/fuzz_targets");
    let files =
        std::fs::read_dir(&folder).map_err(|cause| Error::File(folder.display().to_string(), cause))?;
    let mut names: Vec<String> =
        files.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Nightly for the sanitizer, and cargo-fuzz.
fn install() -> Result<(), Error> {
    let works = |mut command: Command| command.output().is_ok_and(|output| output.status.success());
    if !works(command("rustup", ["run", "nightly", "rustc", "--version"])) {
        run::run(&mut command("rustup", ["toolchain", "install", "nightly", "--profile", "minimal"]))?;
    }
    if !works(command("rustup", ["run", "nightly", "cargo", "fuzz", "--version"])) {
        run::run(&mut command("rustup", ["run", "nightly", "cargo", "install", "--locked", "cargo-fuzz"]))?;
    }
    Ok(())
}

/// What was found worth keeping stays from run to run.
fn corpus(root: &Path) -> PathBuf {
    target(root).join("fuzz/corpus")
}

fn nightly(root: &Path, krate: &str, arguments: &[&str]) -> Command {
    let mut command = command("rustup", ["run", "nightly", "cargo"]);
    command.args(arguments).current_dir(root.join(krate).join("fuzz"));
    command.env("CARGO_TARGET_DIR", target(root).join("fuzz"));
    command
}

fn fuzz(root: &Path, krate: &str, name: &str, seconds: u64, corpus: &Path) -> Command {
    let mut command = nightly(root, krate, &["fuzz", "run", "--fuzz-dir", ".", name]);
    command.arg(corpus).arg("--");
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={BYTES_MAX}"),
        format!("-timeout={TIMEOUT_SECONDS}"),
        format!("-malloc_limit_mb={MALLOC_MEGABYTES}"),
        "-print_final_stats=1".to_owned(),
    ]);
    command
}
