//! The base map: Natural Earth from its npm package, cut into tiles by our own binary.

use crate::run::{Error, command, run, target};
use std::path::{Path, PathBuf};

/// The layers of the base map, in the order they are drawn.
const LAYERS: [&str; 4] = ["land", "borders", "countries", "cities"];

/// Builds `basemap.pmtiles` and its cells into `tiles` with the binary at `watersmeet`, unless they are younger than
/// both the binary's sources and the data.
pub(crate) fn build(root: &Path, watersmeet: &Path, tiles: &Path) -> Result<(), Error> {
    let archive = tiles.join("basemap.pmtiles");
    let script = root.join("demo-web/basemap/prepare.mjs");
    if age(&archive) > age(&script).max(age(watersmeet)) {
        return Ok(());
    }
    let data = target(root).join("basemap");
    for folder in [&data, tiles] {
        std::fs::create_dir_all(folder).map_err(|cause| Error::File(folder.display().to_string(), cause))?;
    }
    run(command("node", [&script, &data]).current_dir(root.join("demo-web")))?;
    let inputs: Vec<PathBuf> = LAYERS.iter().map(|layer| data.join(format!("{layer}.geojsonl"))).collect();
    run(command(watersmeet, ["tiles", "build"]).args(inputs).arg("--output").arg(&archive))
}

fn age(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}
