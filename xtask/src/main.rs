//! The project's own commands: `cargo xtask demo`, `cargo xtask test`, and what they are made of.
//!
//! Everything they need beyond rustup, Node and a C compiler they install themselves, or say in one line how to.

mod basemap;
mod bench;
mod chromium;
mod demo;
mod fuzz;
mod object_store;
mod run;
mod schemathesis;
mod test;
mod tile_bench;
mod traps;
mod wasm;

use run::Error;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND
  demo [--port PORT] [--data DIR]  build everything, serve it, and print the address (8080, target/demo);
                                   with --check: see that all of it answers, and stop
  test [--crashes N]               every test there is; ends with `N passed, M failed`; kills the server N times (20)
  wasm                             the WASM module, the npm package and the web app
  bench crdt [--quick]             measure, side by side with the peers; writes target/bench/crdt.json
  bench sync [--quick] [--rounds N] [--peer NAME]... [--only TEXT]
                                   the server under load, beside other servers; writes target/bench/sync.json
  bench tiles [--quick] [--rounds N] [--peer NAME]... [--only TEXT] [--build-martin]
                                   the tile engine beside others; writes target/bench/tiles.json
  object-store                     ask a server for tiles that lie in a store of S3's kind; installs moto under target/
  schemathesis                     ask a server as its OpenAPI document says one can; installs schemathesis under target/
  fuzz [--seconds N] [TARGET]      feed every decoder and session with bytes from strangers, for N seconds each (60)
  traps                            build each known trap into a copy of the core, and see that a test fails";

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((command, options)) if command == "demo" => demo::run(root, options),
        Some((command, options)) if command == "test" => match test::crashes(options) {
            Ok(crashes) => return test::run(root, crashes.as_deref()),
            Err(error) => Err(error),
        },
        Some((command, [])) if command == "wasm" => wasm::package(root).and_then(|()| wasm::web(root)),
        Some((command, options)) if command == "bench" => bench::run(root, options),
        Some((command, [])) if command == "object-store" => object_store::run_all(root),
        Some((command, [])) if command == "schemathesis" => schemathesis::run_all(root),
        Some((command, options)) if command == "fuzz" => fuzz::run(root, options),
        Some((command, [])) if command == "traps" => traps::run(root),
        _ => Err(Error::Missing(USAGE.to_owned())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
