//! Rendering tiles on demand: microseconds a tile, beside geojson-vt with vt-pbf and PostGIS.
//!
//! All render the same tiles of the same data, cut and encoded, not compressed, on one thread. At the deepest zoom nothing
//! is left out for clearness, so that there all have to find as many features as ours; who does not has no figures.

use super::data::DataSet;
use super::pick::Sample;
use super::postgis::Postgis;
use super::{Bench, OURS, Subject, dynamic, geojson_vt};
use crate::failure::Failure;
use crate::figures::Figures;
use std::path::{Path, PathBuf};
use watersmeet_tiles::{BuildOptions, Layer, LayerRules, PointRule, TileCoord, build};

/// How many tiles are rendered, at which zooms, and how many in a quick run.
const TILES: usize = 2_000;
const TILES_QUICK: usize = 200;
const ZOOMS: std::ops::RangeInclusive<u8> = 6..=12;
/// The set's deepest zoom, where answers are compared, on so many tiles.
const MAX_ZOOM: u8 = 14;
const CHECKED: usize = 200;
/// How far the number of features may differ: edges are not met alike, and what is too small to be drawn is not dropped alike.
const TOLERANCE: f64 = 0.05;
/// The zooms above those that are asked for are pre-rendered.
const ARCHIVE_ZOOM: u8 = 5;

/// Whether our cells are in memory already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cells {
    /// Those that the tiles before have read, as when a map is used: what geojson-vt is measured by, too.
    InTurn,
    /// Each tile's cell is read and unpacked for it.
    Cold,
    /// Each tile's cell was unpacked before.
    Warm,
}

/// What one tile took, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answer {
    /// Microseconds.
    pub(super) us: f64,
    pub(super) features: usize,
    pub(super) bytes: usize,
}

/// What is asked for of one data set.
pub(super) struct Questions {
    pub(super) set: DataSet,
    pub(super) folder: PathBuf,
    pub(super) tiles: Vec<TileCoord>,
    /// At the deepest zoom.
    pub(super) checked: Vec<TileCoord>,
}

/// Renders tiles of points, lines and polygons.
pub(super) fn compare(bench: &mut Bench) {
    let (sets, count): (&[&str], _) = match bench.options.quick {
        true => (&["cities", "land1km"], TILES_QUICK),
        false => (&["cities", "lines", "land1km", "land100m"], TILES),
    };
    let postgis = Postgis::find();
    for name in sets {
        let workload = format!("render {name}, zooms {} to {}", ZOOMS.start(), ZOOMS.end());
        if !bench.options.asks_for(&workload) {
            continue;
        }
        let set = DataSet { name };
        let prepared = prepare(set, &bench.folder, count);
        let subjects = match &prepared {
            Ok(prepared) => subjects(prepared, &postgis),
            Err(failure) => vec![Subject::new(OURS, move || Err(failure.clone()))],
        };
        bench.measure(&workload, 1, subjects);
    }
}

/// Questions, our set built, and how many features ours finds where answers are compared.
struct Prepared {
    questions: Questions,
    ours: PathBuf,
    features: Vec<usize>,
}

fn prepare(set: DataSet, folder: &Path, count: usize) -> Result<Prepared, Failure> {
    // Many vertices lie in one tile, so more of them are drawn than tiles are wanted.
    let mut sample = Sample::of(set, folder, 10 * count)?;
    let tiles = sample.tiles(count, ZOOMS)?;
    let checked = sample.tiles(CHECKED, MAX_ZOOM..=MAX_ZOOM)?;
    let ours = folder.join(format!("{}-cells.pmtiles", set.name));
    build(&[Layer::from_path(set.geojson(folder)?)], &ours, &options(set), &())?;
    let features = counts(&dynamic::ours(&ours, &checked, Cells::Warm)?);
    // A feature may only touch the edge of a tile that its vertex counts to.
    let empty = features.iter().filter(|count| **count == 0).count();
    if features.is_empty() || empty > features.len() / 50 {
        let tiles = features.len();
        return Err(Failure::new(format!(
            "ours finds nothing in {empty} of {tiles} tiles that hold something"
        )));
    }
    Ok(Prepared { questions: Questions { set, folder: folder.to_owned(), tiles, checked }, ours, features })
}

/// Every point is drawn at every zoom, as the peers do: fewer points would be less work. An attribute that is named as the
/// rank says no zoom.
fn options(set: DataSet) -> BuildOptions {
    let rank = Some("pop".to_owned());
    let rules = LayerRules { points: PointRule::All, rank, ..LayerRules::default() };
    let mut options = BuildOptions { archive_zoom: Some(ARCHIVE_ZOOM), ..BuildOptions::default() };
    options.render.max_zoom = MAX_ZOOM;
    options.layers.insert(set.name.to_owned(), rules);
    options
}

fn subjects<'a>(prepared: &'a Prepared, postgis: &'a Postgis) -> Vec<Subject<'a>> {
    let Prepared { questions, ours, features } = prepared;
    let own = move |cells| move || Ok(figures(&dynamic::ours(ours, &questions.tiles, cells)?));
    vec![
        Subject::new(OURS, own(Cells::InTurn)),
        Subject::new(format!("{OURS} (cold)"), own(Cells::Cold)),
        Subject::new(format!("{OURS} (warm)"), own(Cells::Warm)),
        Subject::new(geojson_vt::name(&questions.folder), move || {
            judged(geojson_vt::render(questions, MAX_ZOOM)?, features)
        }),
        Subject::new(postgis.name(), move || judged(postgis.render(questions)?, features)),
    ]
}

/// What a peer rendered, and whatever else it has to tell.
pub(super) struct Found {
    pub(super) tiles: Vec<Answer>,
    pub(super) checked: Vec<Answer>,
    pub(super) told: Figures,
}

/// A peer's figures, if it finds what ours finds at full detail.
fn judged(found: Found, ours: &[usize]) -> Result<Figures, Failure> {
    check(&found.checked, ours)?;
    let mut figures = figures(&found.tiles);
    figures.0.extend(found.told.0);
    Ok(figures)
}

fn check(answers: &[Answer], ours: &[usize]) -> Result<(), Failure> {
    let theirs = counts(answers);
    // Who takes long may have had to stop.
    let ours = ours.get(..theirs.len()).unwrap_or_default();
    let sum = |counts: &[usize]| counts.iter().sum::<usize>() as f64;
    let (found, wanted) = (sum(&theirs), sum(ours));
    if !theirs.is_empty() && (found - wanted).abs() <= TOLERANCE * wanted {
        return Ok(());
    }
    let tiles = theirs.len();
    Err(Failure::new(format!(
        "{found} features in {tiles} tiles of zoom {MAX_ZOOM}, where ours finds {wanted}"
    )))
}

/// How many features each tile has.
fn counts(answers: &[Answer]) -> Vec<usize> {
    answers.iter().map(|answer| answer.features).collect()
}

fn figures(answers: &[Answer]) -> Figures {
    let mut figures = Figures::default();
    let mut times: Vec<f64> = answers.iter().map(|answer| answer.us).collect();
    times.sort_by(f64::total_cmp);
    let count = answers.len().max(1) as f64;
    figures.cost("mean", "us", times.iter().sum::<f64>() / count);
    for (name, share) in [("p50", 50), ("p99", 99)] {
        let place = (times.len() * share / 100).min(times.len().saturating_sub(1));
        figures.cost(name, "us", times.get(place).copied().unwrap_or_default());
    }
    figures.gain("features a tile", "", counts(answers).iter().sum::<usize>() as f64 / count);
    figures.cost(
        "bytes a tile",
        "B",
        answers.iter().map(|answer| answer.bytes).sum::<usize>() as f64 / count,
    );
    figures.gain("tiles rendered", "", answers.len() as f64);
    figures
}
