//! Running other programs: what is run is shown when it fails, and what it says is passed on as it comes.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What could not be done.
#[derive(Debug)]
pub(crate) enum Error {
    /// A program that could not be started.
    Start(String, std::io::Error),
    /// A program that failed; it has said why.
    Failed(String),
    /// The bindings could not be written.
    Bindgen(String),
    /// A file or folder that could not be read or written.
    File(String, std::io::Error),
    /// Something is missing; the text says how to get it.
    Missing(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Start(command, cause) => write!(f, "cannot run `{command}`: {cause}"),
            Error::Failed(command) => write!(f, "`{command}` failed"),
            Error::Bindgen(cause) => write!(f, "wasm-bindgen: {cause}"),
            Error::File(path, cause) => write!(f, "{path}: {cause}"),
            Error::Missing(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

/// A command to be run.
pub(crate) fn command<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// The cargo that runs us, in the project's root.
pub(crate) fn cargo<S: AsRef<OsStr>>(root: &Path, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments);
    command.current_dir(root);
    // Ours: ring is built anew, and all that needs it, when they change.
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        command.env_remove(name);
    }
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Runs a command to its end; it speaks for itself.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let status = command.status().map_err(|cause| Error::Start(shown(command), cause))?;
    if status.success() { Ok(()) } else { Err(Error::Failed(shown(command))) }
}

/// Runs a command to its end, and answers with what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|cause| Error::Start(shown(command), cause))?;
    if !output.status.success() {
        return Err(Error::Failed(shown(command)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command to its end, passes on what it prints, and shows each line to `look`.
pub(crate) fn watch(command: &mut Command, mut look: impl FnMut(&str)) -> Result<(), Error> {
    let started = command.stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|cause| Error::Start(shown(command), cause))?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            look(&line);
        }
    }
    let status = child.wait().map_err(|cause| Error::Start(shown(command), cause))?;
    if status.success() { Ok(()) } else { Err(Error::Failed(shown(command))) }
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
