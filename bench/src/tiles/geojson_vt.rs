//! geojson-vt with vt-pbf, which cut and encode tiles in JavaScript; see bench/tile-peers/geojson-vt.mjs.

use super::on_demand::{Answer, Found, Questions};
use crate::failure::Failure;
use crate::figures::Figures;
use serde::Deserialize;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the script says.
#[derive(Deserialize)]
struct Said {
    /// Milliseconds.
    indexing: f64,
    /// Bytes, at most.
    memory: f64,
    answers: Vec<SaidOfTile>,
}

#[derive(Deserialize)]
struct SaidOfTile {
    us: f64,
    features: usize,
    bytes: usize,
}

/// Its name and version.
pub(super) fn name(folder: &Path) -> String {
    let version = |package: &str| {
        let manifest = folder.join("peers/node_modules").join(package).join("package.json");
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(manifest).ok()?).ok()?;
        Some(manifest["version"].as_str()?.to_owned())
    };
    match (version("geojson-vt"), version("vt-pbf")) {
        (Some(geojson_vt), Some(vt_pbf)) => format!("geojson-vt {geojson_vt} + vt-pbf {vt_pbf}"),
        _ => "geojson-vt (not installed)".to_owned(),
    }
}

/// Renders all that is asked for in one process.
pub(super) fn render(questions: &Questions, max_zoom: u8) -> Result<Found, Failure> {
    let folder = questions.folder.join("peers");
    if !folder.join("node_modules/geojson-vt").is_dir() {
        return Err(Failure::new("not installed; cargo xtask bench tiles does it, with Node 20 and npm"));
    }
    let data = questions.set.geojson(&questions.folder)?;
    let mut command = Command::new("node");
    // A continent in one ring takes more than Node's usual bound.
    command.args(["--max-old-space-size=8192", "geojson-vt.mjs", questions.set.name]);
    command.arg(data).arg(max_zoom.to_string()).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        for tile in questions.tiles.iter().chain(&questions.checked) {
            writeln!(stdin, "{} {} {}", tile.z(), tile.x(), tile.y())?;
        }
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(Failure::new(format!("node ended with {}", output.status)));
    }
    let said: Said = serde_json::from_slice(&output.stdout)?;
    let mut tiles: Vec<Answer> = said.answers.iter().map(SaidOfTile::answer).collect();
    let checked = tiles.split_off(questions.tiles.len().min(tiles.len()));
    let mut told = Figures::default();
    told.cost("indexing first", "ms", said.indexing);
    told.cost("peak memory", "MB", said.memory / 1e6);
    Ok(Found { tiles, checked, told })
}

impl SaidOfTile {
    fn answer(&self) -> Answer {
        Answer { us: self.us, features: self.features, bytes: self.bytes }
    }
}
