//! What a tile of 17 kB takes to compress, and what is left of it: our choices, and those we have not taken.

use super::data::DataSet;
use super::{Bench, OURS, Subject, child};
use crate::failure::Failure;
use crate::figures::Figures;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use watersmeet_tiles::FileReader;
use watersmeet_tiles::archive::Archive;
use watersmeet_tiles::compress::{Encoding, pack, unpack};

const BYTES: usize = 17_000;
const TIME: Duration = Duration::from_millis(200);
const ROUNDS: usize = 3;

type Compress = fn(&[u8]) -> Result<Vec<u8>, Failure>;

/// Ours as the server uses them, and others.
const CHOICES: [(&str, Compress); 7] = [
    ("gzip", |bytes| Ok(pack(bytes, Encoding::Gzip)?)),
    ("brotli", |bytes| Ok(pack(bytes, Encoding::Brotli)?)),
    ("zstd", |bytes| Ok(pack(bytes, Encoding::Zstd)?)),
    ("libdeflate 1", libdeflate_1),
    ("zlib-rs 6", zlib_rs_6),
    ("zstd 9", |bytes| Ok(zstd::bulk::compress(bytes, 9)?)),
    ("brotli 11", brotli_11),
];
/// How many of them are ours.
const OWN: usize = 3;

/// Compresses a tile.
pub(super) fn compare(bench: &mut Bench) {
    let workload = "compress a tile of 17 kB";
    if !bench.options.asks_for(workload) {
        return;
    }
    let tile = tile(&bench.folder);
    let subjects = match &tile {
        Ok(tile) => CHOICES
            .iter()
            .enumerate()
            .map(|(place, (name, compress))| {
                let name = if place < OWN { format!("{OURS} {name}") } else { (*name).to_owned() };
                Subject::new(name, move || measure(tile, *compress))
            })
            .collect(),
        Err(failure) => vec![Subject::new(OURS, move || Err(failure.clone()))],
    };
    bench.measure(workload, ROUNDS, subjects);
}

/// The tile of a map of cities whose length is nearest to the wanted one.
fn tile(folder: &Path) -> Result<Vec<u8>, Failure> {
    let archive = folder.join("compressed.pmtiles");
    let mut command = Command::new(crate::binary());
    command.args(["tiles", "build"]).arg(DataSet { name: "cities" }.geojson(folder)?);
    child::run(command.arg("--output").arg(&archive).args(["--max-zoom", "7", "--archive-zoom", "7"]))?;
    let open = Archive::open(FileReader::open(&archive)?)?;
    let mut numbers = Vec::new();
    open.each_entry(&mut |entry| numbers.push(entry.number))?;
    let mut tiles = Vec::new();
    for number in numbers {
        let packed = open.tile(number)?.ok_or_else(|| Failure::new("an entry without a tile"))?;
        tiles.push(unpack(&packed, open.encoding())?);
    }
    tiles.sort_by_key(|tile| tile.len().abs_diff(BYTES));
    tiles.into_iter().next().ok_or_else(|| Failure::new("an archive without tiles"))
}

fn measure(tile: &[u8], compress: Compress) -> Result<Figures, Failure> {
    let packed = compress(tile)?;
    let (start, mut rounds) = (Instant::now(), 0_u32);
    while start.elapsed() < TIME {
        std::hint::black_box(compress(tile)?);
        rounds += 1;
    }
    let mut figures = Figures::default();
    figures.cost("time", "us", start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    figures.cost("length left", "%", packed.len() as f64 * 100.0 / tile.len() as f64);
    figures.cost("bytes", "B", packed.len() as f64);
    Ok(figures)
}

fn libdeflate_1(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let level = libdeflater::CompressionLvl::new(1).unwrap_or_default();
    let mut compressor = libdeflater::Compressor::new(level);
    let mut packed = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor.gzip_compress(bytes, &mut packed)?;
    packed.truncate(length);
    Ok(packed)
}

fn zlib_rs_6(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn brotli_11(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut packed = Vec::new();
    brotli::CompressorReader::new(bytes, 4096, 11, 22).read_to_end(&mut packed)?;
    Ok(packed)
}
