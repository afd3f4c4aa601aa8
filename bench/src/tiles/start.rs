//! Starting: how long until the first tile is answered, and the memory that takes, with a small archive and a large one.
//!
//! The archives are synthetic, of random bytes, by an independent writer. Those that our builder writes name their content in
//! their metadata and others' do not, so ours is measured with both.

use super::server::Server;
use super::{Bench, OURS, Subject, child, http};
use crate::failure::Failure;
use crate::figures::{Figures, millis};
use crate::rng::Rng;
use pmtiles::{Compression, PmTilesWriter, TileCoord, TileId, TileType};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use watersmeet_tiles::TileSet;

/// Each tile has so many bytes, and no two are alike.
const TILE_BYTES: usize = 10_000;
/// The zoom that is full of tiles.
const ZOOM: u8 = 9;
const ROUNDS: usize = 5;

/// Starts every server on archives of 10 MB and 1 GB.
pub(super) fn compare(bench: &mut Bench) {
    let sizes: &[(&str, usize)] = if bench.options.quick {
        &[("10 MB", 1_000), ("100 MB", 10_000)]
    } else {
        &[("10 MB", 1_000), ("1 GB", 100_000)]
    };
    let folder = bench.folder.clone();
    for (size, tiles) in sizes {
        let workload = format!("start with an archive of {size}");
        if !bench.options.asks_for(&workload) {
            continue;
        }
        let archives = Archives::write(&folder, *tiles);
        let subjects = match &archives {
            Ok(archives) => archives.subjects(&folder),
            Err(failure) => vec![Subject::new(OURS, move || Err(failure.clone()))],
        };
        bench.measure(&workload, ROUNDS, subjects);
    }
}

/// Two archives of the same tiles. They may be large, and are removed when this is dropped.
struct Archives {
    /// With the metadata that our builder writes.
    own: PathBuf,
    /// With hardly any.
    other: PathBuf,
}

impl Archives {
    fn write(folder: &Path, tiles: usize) -> Result<Self, Failure> {
        let path = |name: &str| folder.join(format!("start-{name}.pmtiles"));
        let archives = Archives { own: path("own"), other: path("other") };
        write(&archives.own, &own_metadata(folder)?, tiles)?;
        write(&archives.other, r#"{"vector_layers":[]}"#, tiles)?;
        Ok(archives)
    }

    fn subjects(&self, folder: &Path) -> Vec<Subject<'_>> {
        let servers = [
            (Server::Ours, OURS.to_owned(), &self.own),
            (Server::Ours, format!("{OURS} (another's archive)"), &self.other),
            (Server::martin(folder), Server::martin(folder).name(), &self.other),
        ];
        servers
            .into_iter()
            .map(|(server, name, path)| Subject::new(name, move || measure(&server, path)))
            .collect()
    }
}

impl Drop for Archives {
    fn drop(&mut self) {
        for path in [&self.own, &self.other] {
            _ = std::fs::remove_file(path);
        }
    }
}

/// What our builder says about a set that is pre-rendered to the zoom that is full of tiles.
fn own_metadata(folder: &Path) -> Result<String, Failure> {
    let (source, archive) = (folder.join("start.geojson"), folder.join("start.pmtiles"));
    std::fs::write(&source, r#"{"type":"Point","coordinates":[13.4,52.5]}"#)?;
    let zoom = ZOOM.to_string();
    let mut command = Command::new(crate::binary());
    command.args(["tiles", "build"]).arg(source).arg("--output").arg(&archive);
    child::run(command.args(["--max-zoom", &zoom, "--archive-zoom", &zoom]))?;
    Ok(TileSet::open(&archive)?.metadata().to_string())
}

fn write(path: &Path, metadata: &str, tiles: usize) -> Result<(), Failure> {
    let mut writer = PmTilesWriter::new(TileType::Mvt)
        .precompressed(Compression::Gzip)
        .min_zoom(ZOOM)
        .max_zoom(ZOOM)
        .metadata(metadata)
        .create(BufWriter::new(File::create(path)?))?;
    let mut rng = Rng::new(9);
    let first = TileId::from(TileCoord::new(ZOOM, 0, 0)?).value();
    let mut tile = vec![0; TILE_BYTES];
    for number in (first..).take(tiles) {
        tile.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&rng.u64().to_le_bytes()[..chunk.len()]));
        writer.add_tile(TileId::new(number)?.into(), &tile)?;
    }
    Ok(writer.finalize()?)
}

fn measure(server: &Server, archive: &Path) -> Result<Figures, Failure> {
    let start = Instant::now();
    let process = server.start(archive)?;
    let template = server.template(archive, process.address)?;
    let path = template.replace("{z}", &ZOOM.to_string()).replace("{x}", "0").replace("{y}", "0");
    let answer = http::get(process.address, &path, Some("gzip"))?;
    let took = start.elapsed();
    if answer.body.len() != TILE_BYTES {
        return Err(Failure::new(format!("the first tile has {} bytes", answer.body.len())));
    }
    let mut figures = Figures::default();
    figures.cost("first tile", "ms", millis(took));
    figures.cost("resident memory", "MB", process.resident()? as f64 / 1e6);
    Ok(figures)
}
