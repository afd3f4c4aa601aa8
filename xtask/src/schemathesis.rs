//! `cargo xtask schemathesis`: asks a real server, as schemathesis makes questions up from its OpenAPI document, and sees
//! that it answers as documented.
//!
//! Schemathesis is a Python program; it is installed into a folder of its own under `target/`.

use crate::run::{Error, cargo, command, run, target};
use crate::{chromium, demo};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that the tests were written against.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

pub(crate) fn run_all(root: &Path) -> Result<(), Error> {
    let program = installed(&target(root).join("schemathesis"), "schemathesis", SCHEMATHESIS)?;
    run(&mut cargo(root, ["build", "--quiet", "-p", "watersmeet"]))?;
    let delta = delta(root)?;
    let data = target(root).join("schemathesis/data");
    let _ = std::fs::remove_dir_all(&data);
    let mut serve = command(target(root).join("debug/watersmeet"), ["--log", "error", "serve", "--open"]);
    serve.args(["--listen", "127.0.0.1:0", "--data"]).arg(&data);
    let (mut child, address) = demo::start(serve)?;
    let asked = ask(root, &program, &address, &delta);
    let stopped = child.kill().and_then(|()| child.wait());
    asked?;
    stopped.map(|_| ()).map_err(|cause| Error::Start("watersmeet serve".to_owned(), cause))
}

/// The file that holds a delta.
fn delta(root: &Path) -> Result<PathBuf, Error> {
    let path = target(root).join("schemathesis/delta");
    let file_error = |cause| Error::File(path.display().to_string(), cause);
    let file = std::fs::File::create(&path).map_err(file_error)?;
    run(cargo(root, ["run", "--quiet", "-p", "watersmeet-crdt", "--example", "delta"]).stdout(file))?;
    path.canonicalize().map_err(file_error)
}

fn ask(root: &Path, program: &Path, address: &str, delta: &Path) -> Result<(), Error> {
    let document = format!("{address}/openapi.json");
    let own = root.join("xtask/schemathesis");
    let mut asking = command(program, ["--config-file"]);
    asking.arg(own.join("schemathesis.toml")).args(["run", &document, "--url", address]);
    asking.env("SCHEMATHESIS_HOOKS", own.join("hooks.py")).env("SERVER", address).env("DELTA", delta);
    // It keeps what it made up where it runs, and compiles its hooks where they are.
    asking.current_dir(target(root).join("schemathesis")).env("PYTHONDONTWRITEBYTECODE", "1");
    run(asking.args(["--generation-database", ":memory:"]))
}

/// A program of a package for Python; installed into a folder of its own, if it is not there.
pub(crate) fn installed(folder: &Path, program: &str, package: &str) -> Result<PathBuf, Error> {
    let path = folder.join("bin").join(program);
    if !path.exists() {
        if run(&mut environment(folder)).is_err() {
            chromium::apt_install("python3-venv")?;
            run(&mut environment(folder))?;
        }
        run(&mut command(folder.join("bin/pip"), ["install", "--quiet", package]))?;
    }
    path.canonicalize().map_err(|cause| {
        Error::Missing(format!(
            "no {program} ({cause}): install Python 3 with venv (`apt-get install python3-venv`)"
        ))
    })
}

fn environment(folder: &Path) -> Command {
    let mut command = command("python3", ["-m", "venv"]);
    command.arg(folder);
    command
}
