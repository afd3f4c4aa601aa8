//! Serving pre-rendered tiles: requests a second, and what they cost, beside Martin on the same archive and beside a server
//! that answers all with one body.
//!
//! The load comes from the same machine, so both share its cores; processor time a request says what the server alone
//! takes. Before the load every answer is unpacked and compared with the archive.

use super::data::DataSet;
use super::server::Server;
use super::serving::{self, Load};
use super::{Bench, OURS, Subject, child, http};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::rng::Rng;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use watersmeet_tiles::archive::Archive;
use watersmeet_tiles::{FileReader, TileCoord, compress};

const CONNECTIONS: usize = 64;
/// How many tiles are asked for again and again.
const TILES: usize = 1_000;
const TIME: Duration = Duration::from_secs(4);
const TIME_QUICK: Duration = Duration::from_secs(1);
/// What clients say they can unpack: nothing, and one or the other.
const ACCEPT: [(&str, Option<&str>); 3] = [("nothing", None), ("gzip", Some("gzip")), ("brotli", Some("br"))];

/// An archive and some of its tiles.
struct Served {
    archive: PathBuf,
    tiles: Vec<(TileCoord, Vec<u8>)>,
    /// The mean length of a tile as the archive has it.
    packed: usize,
}

/// Loads the servers with requests for tiles of two archives.
pub(super) fn compare(bench: &mut Bench) {
    let sets: &[(&str, u8)] =
        if bench.options.quick { &[("cities", 8)] } else { &[("cities", 10), ("land1km", 8)] };
    let time = if bench.options.quick { TIME_QUICK } else { TIME };
    for (name, zoom) in sets {
        let workload = |accept: &str| format!("serve {name} to zoom {zoom}, asked for {accept}");
        if !ACCEPT.iter().any(|(accept, _)| bench.options.asks_for(&workload(accept))) {
            continue;
        }
        let served = prepare(DataSet { name }, *zoom, &bench.folder);
        for (name, accept) in ACCEPT {
            let subjects = match &served {
                Ok(served) => subjects(served, &bench.folder, accept, time),
                Err(failure) => vec![Subject::new(OURS, move || Err(failure.clone()))],
            };
            bench.measure(&workload(name), 1, subjects);
        }
    }
}

fn prepare(set: DataSet, zoom: u8, folder: &Path) -> Result<Served, Failure> {
    let archive = folder.join(format!("{}-{zoom}-served.pmtiles", set.name));
    let mut command = Command::new(crate::binary());
    command.args(["tiles", "build"]).arg(set.geojson(folder)?).arg("--output").arg(&archive);
    child::run(command.args(["--max-zoom", &zoom.to_string(), "--archive-zoom", &zoom.to_string()]))?;
    let open = Archive::open(FileReader::open(&archive)?)?;
    let mut numbers = Vec::new();
    open.each_entry(&mut |entry| numbers.push(entry.number))?;
    Rng::new(8).shuffle(&mut numbers);
    numbers.truncate(TILES);
    let packed =
        numbers.iter().map(|number| Ok(tile(&open, *number)?.len())).sum::<Result<usize, Failure>>()?;
    let unpacked = |number: &u64| {
        let bytes = tile(&open, *number)?;
        let coord = TileCoord::from_number(*number).ok_or_else(|| Failure::new("a number of no tile"))?;
        Ok((coord, compress::unpack(&bytes, open.encoding())?))
    };
    let tiles = numbers.iter().map(unpacked).collect::<Result<Vec<_>, Failure>>()?;
    Ok(Served { archive, packed: packed / tiles.len().max(1), tiles })
}

fn tile(archive: &Archive<FileReader>, number: u64) -> Result<Vec<u8>, Failure> {
    let bytes = archive.tile(number)?.ok_or_else(|| Failure::new("an entry without a tile"))?;
    Ok(bytes.to_vec())
}

fn subjects<'a>(
    served: &'a Served,
    folder: &Path,
    accept: Option<&'static str>,
    time: Duration,
) -> Vec<Subject<'a>> {
    let unpacked: usize = served.tiles.iter().map(|(_, tile)| tile.len()).sum();
    let constant = if accept.is_some() { served.packed } else { unpacked / served.tiles.len().max(1) };
    let servers = [Server::Constant(constant), Server::Ours, Server::martin(folder)];
    let subject =
        |server: Server| Subject::new(server.name(), move || measure(&server, served, accept, time));
    servers.into_iter().map(subject).collect()
}

fn measure(
    server: &Server,
    served: &Served,
    accept: Option<&str>,
    time: Duration,
) -> Result<Figures, Failure> {
    let process = server.start(&served.archive)?;
    let template = server.template(&served.archive, process.address)?;
    let path = |tile: &TileCoord| {
        let numbers = [("{z}", tile.z().into()), ("{x}", tile.x()), ("{y}", tile.y())];
        numbers.iter().fold(template.clone(), |path, (name, number)| path.replace(name, &number.to_string()))
    };
    let paths: Vec<String> = served.tiles.iter().map(|(tile, _)| path(tile)).collect();
    if !matches!(server, Server::Constant(_)) {
        check(process.address, &paths, served, accept)?;
    }
    let before = process.cpu()?;
    let load = serving::drive(process.address, &paths, accept, CONNECTIONS, time)?;
    let mut figures = figures(&load, process.cpu()?.saturating_sub(before));
    figures.cost("resident memory", "MB", process.resident()? as f64 / 1e6);
    Ok(figures)
}

/// Whether each answer is the archive's tile, however it is packed.
fn check(
    address: SocketAddr,
    paths: &[String],
    served: &Served,
    accept: Option<&str>,
) -> Result<(), Failure> {
    for (path, (_, tile)) in paths.iter().zip(&served.tiles) {
        let answer = http::get(address, path, accept)?;
        if compress::unpack(&answer.body, answer.head.encoding)? != *tile {
            return Err(Failure::new(format!("{path} is answered with another tile than the archive's")));
        }
    }
    Ok(())
}

fn figures(load: &Load, cpu: Duration) -> Figures {
    let mut figures = Figures::default();
    let count = load.waits.len().max(1) as f64;
    figures.gain("requests", "1/s", count / load.wall.as_secs_f64());
    figures.waits("wait", load.waits.clone());
    figures.cost("server time a request", "us", cpu.as_secs_f64() * 1e6 / count);
    figures.cost("bytes a tile", "B", load.bytes as f64 / count);
    figures
}
