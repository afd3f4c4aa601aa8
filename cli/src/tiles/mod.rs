//! `watersmeet tiles build`, `show`, `diff` and `warm`.

mod decode;
mod diff;
mod plan;
mod progress;
mod warm;

use crate::say::say;
use clap::{Args, Subcommand};
use plan::Plan;
use progress::Shown;
use std::error::Error;
use std::path::{Path, PathBuf};
use watersmeet_tiles::{BuildOptions, BuildReport, CsvColumns, Layer, MergeLines, STDIN};

/// Build tile archives, and look into them.
#[derive(Debug, Subcommand)]
pub(crate) enum Tiles {
    /// Build an archive, and the cells for the zooms that are rendered on demand.
    Build(Box<Build>),
    /// Say what is in an archive.
    Show(Show),
    /// Say what is in a tile: its features as GeoJSON, one a line.
    Decode(decode::Decode),
    /// Say what is different between two archives.
    Diff(diff::Diff),
    /// Render what is asked for most into a file beside an archive.
    Warm(warm::Warm),
}

/// Build an archive from GeoJSON, FlatGeobuf or CSV, or as a tile set's description in TOML says.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// GeoJSON (also a feature a line), FlatGeobuf or CSV, packed with gzip, zstd or not at all, and - for standard input;
    /// each becomes a layer of its name. Or one TOML file that describes the tile set.
    #[arg(required_unless_present = "layers")]
    inputs: Vec<PathBuf>,
    /// A layer of another name, or of several files.
    #[arg(long = "layer", value_name = "NAME=FILE,...", value_parser = layer)]
    layers: Vec<Layer>,
    /// The PMTiles archive to write, NAME.pmtiles. The cells are written beside it.
    #[arg(short, long, required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    /// Only say what would be built, when all that is needed for it is there.
    #[arg(long)]
    dry_run: bool,
    /// Stop at the first bad feature; otherwise these are left out, counted and told.
    #[arg(long)]
    strict: bool,
    /// The shallowest zoom [default: 0].
    #[arg(long, env = "WATERSMEET_MIN_ZOOM")]
    min_zoom: Option<u8>,
    /// The deepest zoom [default: 14].
    #[arg(long, env = "WATERSMEET_MAX_ZOOM")]
    max_zoom: Option<u8>,
    /// The last zoom that is rendered beforehand; deeper ones are rendered on demand [default: 6].
    #[arg(long, env = "WATERSMEET_ARCHIVE_ZOOM")]
    archive_zoom: Option<u8>,
    /// About how much memory to take, such as 500MB or 4GB [default: 1GB]. What does not fit waits in files beside the
    /// output; the archive is the same.
    #[arg(long, env = "WATERSMEET_MEMORY", value_parser = bytes)]
    memory: Option<u64>,
    /// Make one of lines that go on in each other and have the same attributes, in all layers: `directed` where one's end is
    /// the other's start, `undirected` however they point.
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "directed",
          value_parser = merge_lines)]
    merge_lines: Option<MergeLines>,
    /// The set's name for people [default: the archive's file name].
    #[arg(long, env = "WATERSMEET_NAME")]
    name: Option<String>,
    /// Whom the data is owed to, shown on the map.
    #[arg(long, env = "WATERSMEET_ATTRIBUTION")]
    attribution: Option<String>,
    /// The columns of CSV files that hold longitude and latitude [default: by their usual names].
    #[arg(long, value_name = "LON,LAT", value_parser = columns)]
    columns: Option<CsvColumns>,
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
            Tiles::Warm(warm) => warm.run(),
            Tiles::Decode(decode) => decode.run(),
            Tiles::Diff(diff) => diff.run(),
            Tiles::Show(Show { file }) => Ok(say(watersmeet_tiles::show(&file)?)?),
        }
    }
}

impl Build {
    fn run(self) -> Result<(), Box<dyn Error>> {
        let plan = self.plan()?;
        let Some(output) = self.output.filter(|_| !self.dry_run) else {
            watersmeet_tiles::check(&plan.layers, &plan.options)?;
            return Ok(say(plan.describe())?);
        };
        let shown = Shown::new();
        let built = watersmeet_tiles::build(&plan.layers, &output, &plan.options, &shown);
        shown.end();
        let report = built?;
        say(&report)?;
        note_cells(&report, &plan.options);
        Ok(())
    }

    /// What the file says, or the inputs; then what the flags say.
    fn plan(&self) -> Result<Plan, Box<dyn Error>> {
        let is_plan = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "toml");
        let mut plan = match &self.inputs[..] {
            [file] if is_plan(file) && self.layers.is_empty() => plan::read(file)?,
            inputs if inputs.iter().any(is_plan) => {
                return Err(
                    "a TOML file describes a whole tile set: give it alone, without other inputs".into()
                );
            }
            inputs => {
                let layers = inputs.iter().map(|path| self.named(path)).chain(self.layers.iter().cloned());
                Plan { layers: layers.collect(), options: BuildOptions::default() }
            }
        };
        if let Some(columns) = &self.columns {
            plan.layers.iter_mut().for_each(|layer| layer.columns = columns.clone());
        }
        let options = &mut plan.options;
        options.strict = self.strict;
        options.memory_bytes = self.memory;
        options.render.min_zoom = self.min_zoom.unwrap_or(options.render.min_zoom);
        options.render.max_zoom = self.max_zoom.unwrap_or(options.render.max_zoom);
        options.archive_zoom = self.archive_zoom.or(options.archive_zoom);
        options.name = self.name.clone().or(options.name.take());
        options.attribution = self.attribution.clone().or(options.attribution.take());
        if let Some(how) = self.merge_lines {
            for layer in &plan.layers {
                options.layers.entry(layer.name.clone()).or_default().merge_lines = how;
            }
        }
        Ok(plan)
    }

    /// A file as a layer; standard input is named like the archive.
    fn named(&self, path: &Path) -> Layer {
        let mut layer = Layer::from_path(path);
        if path == Path::new(STDIN) {
            let stem = self.output.as_deref().and_then(Path::file_stem);
            layer.name = stem.map_or_else(|| "stdin".to_owned(), |stem| stem.to_string_lossy().into_owned());
        }
        layer
    }
}

/// What somebody needs to know who takes the archive elsewhere.
fn note_cells(report: &BuildReport, options: &BuildOptions) {
    let (archived, deepest) = (options.last_archived_zoom(), options.render.max_zoom);
    if report.cells > 0 {
        eprintln!(
            "note: zooms {} to {deepest} are rendered on demand by `watersmeet serve`, from the cells beside the archive; \
             for other servers, build with --archive-zoom {deepest}",
            archived + 1
        );
    }
}

fn layer(text: &str) -> Result<Layer, String> {
    match text.split_once('=') {
        Some((name, files)) if !name.is_empty() && !files.is_empty() => Ok(Layer {
            name: name.to_owned(),
            paths: files.split(',').map(PathBuf::from).collect(),
            columns: CsvColumns::default(),
        }),
        _ => Err("write NAME=FILE or NAME=FILE,FILE".to_owned()),
    }
}

fn merge_lines(text: &str) -> Result<MergeLines, String> {
    serde_json::from_value(text.into()).map_err(|_| "write no, directed or undirected".to_owned())
}

fn columns(text: &str) -> Result<CsvColumns, String> {
    match text.split_once(',') {
        Some((lon, lat)) => Ok(CsvColumns { lon: Some(lon.to_owned()), lat: Some(lat.to_owned()) }),
        None => Err("write the two names, longitude first, with a comma between".to_owned()),
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
