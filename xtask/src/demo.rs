//! `cargo xtask demo`: from an empty clone to a map that people edit together.

use crate::run::{self, Error, cargo, command, target};
use crate::{basemap, wasm};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

struct Options {
    port: u16,
    data: PathBuf,
}

/// Builds everything, starts the one binary, and stays until it is stopped.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<(), Error> {
    let Options { port, data } = parse(root, options)?;
    // Before minutes of building, not after.
    drop(TcpListener::bind(("127.0.0.1", port)).map_err(|cause| {
        Error::Missing(format!(
            "port {port} is taken ({cause}); choose another: cargo xtask demo --port {}",
            port ^ 1
        ))
    })?);
    step("the server", || run::run(&mut cargo(root, ["build", "--release", "-p", "watersmeet"])))?;
    step("the WASM module and its npm package", || wasm::package(root))?;
    step("the web app", || wasm::web(root))?;
    let watersmeet = target(root).join("release/watersmeet");
    let tiles = data.join("tiles");
    step("the base map", || basemap::build(root, &watersmeet, &tiles))?;
    let web = root.join("demo-web/dist");
    println!("\n  Open http://127.0.0.1:{port}/ in two browsers, and edit. Ctrl-C stops the server.\n");
    let mut serve = command(watersmeet, ["serve", "--listen"]);
    serve.arg(format!("127.0.0.1:{port}")).arg("--data").arg(data.join("store"));
    run::run(serve.arg("--tiles").arg(tiles).arg("--web").arg(web))
}

fn parse(root: &Path, options: &[String]) -> Result<Options, Error> {
    let mut parsed = Options { port: 8080, data: root.join("target/demo") };
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        let value = rest.next();
        match (option.as_str(), value) {
            ("--port", Some(port)) => {
                parsed.port =
                    port.parse().map_err(|_| Error::Missing(format!("{port} is not a port (1 to 65535)")))?;
            }
            ("--data", Some(data)) => parsed.data = std::path::absolute(data).unwrap_or_else(|_| data.into()),
            _ => {
                return Err(Error::Missing(format!(
                    "{option} is not an option of demo, or lacks its value\n{}",
                    crate::USAGE
                )));
            }
        }
    }
    Ok(parsed)
}

fn step(what: &str, work: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    println!("Building {what} ...");
    let start = Instant::now();
    work()?;
    println!("  done in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}
