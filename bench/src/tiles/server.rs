//! Servers of one archive: ours, Martin, and one that answers everything with the same bytes.

use crate::failure::Failure;
use crate::process::Process;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::http;

/// How long an answer may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What serves.
#[derive(Clone, Debug)]
pub(super) enum Server {
    /// This project's.
    Ours,
    /// The peer, where it is installed, and its version.
    Martin(Option<(PathBuf, String)>),
    /// What our kind of server can do at most: the same bytes for whatever is asked for.
    Constant(usize),
}

impl Server {
    /// Martin, as xtask or somebody else has installed it.
    pub(super) fn martin(folder: &Path) -> Self {
        let candidates = [folder.join("martin/bin/martin"), "martin".into()];
        let version = |program: &PathBuf| {
            let output = Command::new(program).arg("--version").output().ok()?;
            let said = String::from_utf8(output.stdout).ok()?;
            Some(said.split_whitespace().nth(1)?.to_owned())
        };
        Server::Martin(candidates.into_iter().find_map(|program| Some((program.clone(), version(&program)?))))
    }

    /// Its name in reports.
    pub(super) fn name(&self) -> String {
        match self {
            Server::Ours => super::OURS.to_owned(),
            Server::Martin(Some((_, version))) => format!("martin {version}"),
            Server::Martin(None) => "martin (not installed)".to_owned(),
            Server::Constant(_) => "floor (constant body)".to_owned(),
        }
    }

    /// Starts it; it has opened its port then.
    pub(super) fn start(&self, archive: &Path) -> Result<Process<'_>, Failure> {
        let archive = archive.to_owned();
        Process::start(move |folder, port| self.command(&archive, folder, port))
    }

    fn command(&self, archive: &Path, folder: &Path, port: u16) -> Result<Command, Failure> {
        let address = format!("127.0.0.1:{port}");
        match self {
            Server::Ours => {
                let tiles = folder.join("tiles");
                std::fs::create_dir_all(&tiles)?;
                let name = archive.file_name().ok_or_else(|| Failure::new("an archive without a name"))?;
                std::os::unix::fs::symlink(archive, tiles.join(name))?;
                let mut command = Command::new(crate::binary());
                command.args(["--log", "warn", "serve", "--open", "--listen", &address, "--data"]);
                command.arg(folder.join("data")).arg("--tiles").arg(tiles);
                Ok(command)
            }
            Server::Martin(found) => {
                let (program, _) = found.as_ref().ok_or_else(|| {
                    Failure::new("not installed; cargo xtask bench tiles --build-martin builds it, for a quarter of an hour")
                })?;
                let mut command = Command::new(program);
                command.args(["--listen-addresses", &address]).arg(archive).env("RUST_LOG", "error");
                Ok(command)
            }
            Server::Constant(bytes) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["tiles", "constant", &port.to_string(), &bytes.to_string()]);
                Ok(command)
            }
        }
    }

    /// The path of a tile, with places for its numbers, as the server itself tells it.
    pub(super) fn template(&self, archive: &Path, address: SocketAddr) -> Result<String, Failure> {
        let name = archive.file_stem().unwrap_or_default().to_string_lossy();
        let description = match self {
            Server::Ours => format!("/tiles/{name}.json"),
            Server::Martin(_) => format!("/{name}"),
            Server::Constant(_) => return Ok("/{z}/{x}/{y}".to_owned()),
        };
        let answer = http::get(address, &description, None)?;
        let description: serde_json::Value = serde_json::from_slice(&answer.body)?;
        let url = description["tiles"][0].as_str().unwrap_or_default();
        let path = url.splitn(4, '/').nth(3).ok_or_else(|| Failure::new("TileJSON without an address"))?;
        Ok(format!("/{path}"))
    }
}

/// Answers with `bytes` bytes at `port`, until it is killed.
pub(super) fn constant(port: u16, bytes: usize) -> Result<(), Failure> {
    use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
    use axum::serve::ListenerExt;
    let body = bytes::Bytes::from(vec![0x1f; bytes]);
    let headers = [(CONTENT_TYPE, "application/vnd.mapbox-vector-tile"), (CONTENT_ENCODING, "gzip")];
    let answer = move || std::future::ready((headers.clone(), body.clone()));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
        axum::serve(listener, axum::Router::new().fallback(answer)).await?;
        Ok(())
    })
}
