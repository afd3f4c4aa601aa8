//! Builds a set from GeoJSON files and measures its dynamic tiles.
//!
//! `cargo run --release -p watersmeet-tiles --example tiles -- OUT.pmtiles INPUT.geojson...`

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use watersmeet_tiles::{BuildOptions, Layer, TileCoord, TileSet, Tiles, build, show};

/// How many tiles are measured.
const TILES: usize = 5_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let out = paths.next().ok_or("usage: tiles OUT.pmtiles INPUT.geojson...")?;
    let layers: Vec<_> = paths.map(Layer::from_path).collect();
    let start = Instant::now();
    let report = build(&layers, &out, &BuildOptions::default(), &())?;
    print!("{report}");
    println!("built in {:.2} s\n\n{}", start.elapsed().as_secs_f64(), show(&out)?);
    measure(&TileSet::open(&out)?)
}

/// Renders dynamic tiles where there is something to see: below the archive's own deepest tiles, at every zoom.
fn measure(set: &TileSet) -> Result<(), Box<dyn Error>> {
    let archive_zoom = set.archive_zoom();
    let mut covered = Vec::new();
    if let Some(archive) = set.archive() {
        archive.each_entry(&mut |entry| covered.extend(TileCoord::from_number(entry.number)))?;
    }
    covered.retain(|tile| tile.z() == archive_zoom);
    let mut times = Vec::with_capacity(TILES);
    let mut bytes = 0;
    let mut random = 1_u64;
    while times.len() < TILES && !covered.is_empty() {
        let tile = descendant(&covered, archive_zoom, set.max_zoom(), &mut random)?;
        // The cell is loaded first, as it is for the neighbours of any tile that was asked for.
        let start = (set.tile(tile, &|| false)?, Instant::now()).1;
        if let Some(tile) = set.tile(tile, &|| false)? {
            times.push(start.elapsed());
            bytes += tile.bytes.len();
        }
    }
    times.sort();
    let mean = times.iter().sum::<Duration>() / u32::try_from(times.len().max(1))?;
    let at = |share: usize| times[times.len() * share / 100];
    println!(
        "{} dynamic tiles: mean {mean:?}, p50 {:?}, p99 {:?}, {} bytes on average",
        times.len(),
        at(50),
        at(99),
        bytes / times.len()
    );
    Ok(())
}

fn descendant(
    covered: &[TileCoord],
    from: u8,
    to: u8,
    random: &mut u64,
) -> Result<TileCoord, Box<dyn Error>> {
    let mut below = |count: usize| {
        // Knuth's generator: the same tiles each time.
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*random >> 33).unwrap_or(0) % count
    };
    let mut tile = covered[below(covered.len())];
    let zoom = usize::from(from) + 1 + below(usize::from(to - from));
    while usize::from(tile.z()) < zoom {
        tile = tile.children()[below(4)];
    }
    Ok(tile)
}
