//! `watersmeet tiles build` and `watersmeet tiles show`.

use clap::{Args, Subcommand};
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use watersmeet_tiles::{ARCHIVE_ZOOM_DEFAULT, BuildOptions, Layer, MAX_ZOOM_DEFAULT, Progress, Stage};

/// What takes longer says how far it is, and so often.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Build tile archives, and look into them.
#[derive(Debug, Subcommand)]
pub(crate) enum Tiles {
    /// Build an archive, and the cells for the zooms that are rendered on demand, from GeoJSON.
    Build(Build),
    /// Say what is in an archive.
    Show(Show),
}

/// Build an archive from GeoJSON.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// GeoJSON or newline-delimited GeoJSON; each file becomes a layer of its name.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// The PMTiles archive to write. The cells are written beside it.
    #[arg(short, long)]
    output: PathBuf,
    /// The shallowest zoom.
    #[arg(long, env = "WATERSMEET_MIN_ZOOM", default_value_t = 0)]
    min_zoom: u8,
    /// The deepest zoom.
    #[arg(long, env = "WATERSMEET_MAX_ZOOM", default_value_t = MAX_ZOOM_DEFAULT)]
    max_zoom: u8,
    /// The last zoom that is rendered beforehand; deeper ones are rendered on demand.
    #[arg(long, env = "WATERSMEET_ARCHIVE_ZOOM", default_value_t = ARCHIVE_ZOOM_DEFAULT)]
    archive_zoom: u8,
    /// About how much memory to take, such as 500MB or 4GB [default: 1GB]. What does not fit waits in files beside the
    /// output; the archive is the same.
    #[arg(long, env = "WATERSMEET_MEMORY", value_parser = bytes)]
    memory: Option<u64>,
    /// The set's name for people [default: the archive's file name].
    #[arg(long, env = "WATERSMEET_NAME")]
    name: Option<String>,
    /// Whom the data is owed to, shown on the map.
    #[arg(long, env = "WATERSMEET_ATTRIBUTION")]
    attribution: Option<String>,
}

/// Say what is in an archive.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The PMTiles archive.
    file: PathBuf,
}

impl Tiles {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        match self {
            Tiles::Build(build) => build.run(),
            Tiles::Show(Show { file }) => {
                print!("{}", watersmeet_tiles::show(&file)?);
                Ok(())
            }
        }
    }
}

impl Build {
    fn run(self) -> Result<(), Box<dyn Error>> {
        let layers: Vec<_> = self.inputs.iter().map(Layer::from_path).collect();
        let mut options = BuildOptions {
            archive_zoom: Some(self.archive_zoom),
            name: self.name,
            attribution: self.attribution,
            memory_bytes: self.memory,
            ..BuildOptions::default()
        };
        (options.render.min_zoom, options.render.max_zoom) = (self.min_zoom, self.max_zoom);
        print!("{}", watersmeet_tiles::build(&layers, &self.output, &options, &Shown::new())?);
        Ok(())
    }
}

/// A size as people write it: a number and a unit, of which B may be left out.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = match text[digits.len()..].trim().to_ascii_uppercase().trim_end_matches('B') {
        "" => 1,
        "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        _ => 0,
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.filter(|bytes| *bytes > 0).ok_or_else(|| format!("{text:?} is no size such as 500MB or 4GB"))
}

/// Progress on stderr, for what takes long.
struct Shown {
    latest: Mutex<Instant>,
}

impl Shown {
    fn new() -> Self {
        Shown { latest: Mutex::new(Instant::now()) }
    }
}

impl Progress for Shown {
    fn done(&self, stage: Stage, done: u64, share: Option<f64>) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.elapsed() < PROGRESS_EVERY {
            return;
        }
        *latest = Instant::now();
        match share {
            Some(share) => eprintln!("{stage}: {done}, {:.0} %", share * 100.0),
            None => eprintln!("{stage}: {done}"),
        }
    }
}
