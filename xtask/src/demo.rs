//! `cargo xtask demo`: from an empty clone to a map that people edit together.

use crate::run::{self, Error, cargo, command, output, target};
use crate::{basemap, wasm};
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

struct Options {
    port: u16,
    data: PathBuf,
    /// Build without optimisation, look whether all of it answers, and stop: for the tests.
    check: bool,
}

/// Builds everything, starts the one binary, and stays until it is stopped.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<(), Error> {
    let options = parse(root, options)?;
    // Before minutes of building, not after.
    probe(options.port)?;
    let profile = if options.check { "dev" } else { "release" };
    step("the server", || run::run(&mut cargo(root, ["build", "-p", "watersmeet", "--profile", profile])))?;
    step("the WASM module and its npm package", || wasm::package(root))?;
    step("the web app", || wasm::web(root))?;
    let folder = if options.check { "debug" } else { "release" };
    let watersmeet = target(root).join(folder).join("watersmeet");
    let tiles = options.data.join("tiles");
    step("the base map", || basemap::build(root, &watersmeet, &tiles))?;
    let mut serve = command(watersmeet, ["serve", "--open", "--listen"]);
    serve.arg(format!("127.0.0.1:{}", options.port)).arg("--data").arg(options.data.join("store"));
    serve.arg("--tiles").arg(tiles).arg("--web").arg(root.join("demo-web/dist"));
    if options.check { check(serve) } else { stay(serve) }
}

fn probe(port: u16) -> Result<(), Error> {
    let cause = match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => return Ok(()),
        Err(cause) => cause,
    };
    let what = if cause.kind() == ErrorKind::AddrInUse { "is taken" } else { "cannot be used" };
    Err(Error::Missing(format!("port {port} {what} ({cause}); choose another: cargo xtask demo --port 8081")))
}

/// Starts the server; answers with it and its address once it listens.
pub(crate) fn start(mut serve: Command) -> Result<(Child, String), Error> {
    let mut child =
        serve.stdout(Stdio::piped()).spawn().map_err(|cause| Error::Start(run::shown(&serve), cause))?;
    let lines = child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
    let address =
        lines.map_while(Result::ok).find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
    match address {
        Some(address) => Ok((child, address)),
        None => Err(Error::Failed(run::shown(&serve))),
    }
}

fn stay(serve: Command) -> Result<(), Error> {
    let (mut child, address) = start(serve)?;
    println!("\n  Open {address}/ in two browsers, and edit. Ctrl-C stops the server.\n");
    // Ctrl-C reaches the server too, which then writes what is pending and ends.
    let ended = child.wait().map_err(|cause| Error::Start("watersmeet serve".to_owned(), cause))?;
    if ended.success() { Ok(()) } else { Err(Error::Failed("watersmeet serve".to_owned())) }
}

/// Asks for the page, the health and the tiles as a browser does.
fn check(serve: Command) -> Result<(), Error> {
    let (mut child, address) = start(serve)?;
    let ask = "for (const path of ['/', '/health', '/tiles/basemap.json']) {
        const response = await fetch(process.argv[1] + path, { headers: { accept: 'text/html, */*' } });
        if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
        const tiles = path.endsWith('.json') ? (await response.json()).tiles[0] : undefined;
        if (tiles) {
            const tile = await fetch(tiles.replace('{z}/{x}/{y}', '8/134/89'));
            if (tile.status !== 200) throw new Error(`${tile.url}: ${tile.status}`);
        }
    }";
    let answers = output(&mut command("node", ["--input-type=module", "-e", ask, &address]));
    let stopped = child.kill().and_then(|()| child.wait());
    answers?;
    stopped.map(|_| ()).map_err(|cause| Error::Start("watersmeet serve".to_owned(), cause))
}

fn parse(root: &Path, options: &[String]) -> Result<Options, Error> {
    let mut parsed = Options { port: 8080, data: target(root).join("demo"), check: false };
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        if option == "--check" {
            parsed.check = true;
            continue;
        }
        match (option.as_str(), rest.next()) {
            ("--port", Some(port)) => {
                let wrong = |_| {
                    Error::Missing(format!("{port} is not a port (0 to 65535; 0 takes any that is free)"))
                };
                parsed.port = port.parse().map_err(wrong)?;
            }
            ("--data", Some(data)) => parsed.data = std::path::absolute(data).unwrap_or_else(|_| data.into()),
            _ => {
                let wrong =
                    format!("{option} is not an option of demo, or lacks its value\n{}", crate::USAGE);
                return Err(Error::Missing(wrong));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_a_taken_port_is_named() {
        let options = |words: &[&str]| {
            parse(Path::new("/root"), &words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
        };
        assert!(options(&[]).is_ok_and(|options| options.port == 8080 && !options.check));
        let chosen = options(&["--port", "0", "--data", "/data", "--check"]);
        assert!(
            chosen.is_ok_and(|options| options.port == 0
                && options.data == Path::new("/data")
                && options.check)
        );
        for wrong in [&["--port"][..], &["--port", "80000"], &["--colour", "red"]] {
            assert!(options(wrong).is_err(), "{wrong:?}");
        }
        let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = taken.local_addr().expect("it is bound").port();
        let said = probe(port).expect_err("it is taken").to_string();
        assert!(said.contains(&format!("port {port} is taken")) && said.contains("--port"), "{said}");
    }
}
