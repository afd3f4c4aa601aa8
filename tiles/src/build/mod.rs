//! The builder: sources in, an archive and its cells out.
//!
//! One idea: it is the pipeline called for every tile of the pyramid, parents before children, each child's cell cut
//! from its parent's. Features that memory would not hold, and what has been made, wait in files beside the output.
//! Not here: anything a tile's bytes depend on (see [`render`](crate::render)), so that the server can do the same
//! without the builder.
//!
//! | file | what is in it |
//! |---|---|
//! | `read` | sources to features, in batches, on all cores |
//! | `understand`, `layers` | a batch to ranked features; batches to layers |
//! | `ids` | how many features have the id of another |
//! | `spill`, `skeleton` | features that wait in files, and what rules ask of them meanwhile |
//! | `merge` | lines that wait in a file, and become one |
//! | `walk` | down the pyramid |
//! | `pieces` | tiles as they are made, and the archive in the end |
//! | `workplace` | the files of a build that is under way |

mod chunk;
mod ids;
pub(crate) mod layers;
mod merge;
mod pieces;
mod read;
mod skeleton;
mod spill;
mod understand;
pub(crate) mod walk;
mod workplace;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::archive::sync_folder;
use crate::compress::CompressError;
use crate::coord::TileCoord;
use crate::metadata;
use crate::options::{BuildOptions, OptionsError};
use crate::report::{BuildReport, Progress, Skipped, Stage};
use crate::source::{CsvColumns, Source, SourceError, open};
use read::World;
use workplace::Workplace;

/// Files and the name of the layer they become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The layer's name.
    pub name: String,
    /// The files, one behind the other; [`STDIN`](crate::source::STDIN) for standard input.
    pub paths: Vec<PathBuf>,
    /// Where the rows of tables are.
    pub columns: CsvColumns,
}

impl Layer {
    /// A file as the layer named like it, without folder and endings.
    ///
    /// ```
    /// use watersmeet_tiles::Layer;
    /// assert_eq!(Layer::from_path("data/land.geojsonl").name, "land");
    /// assert_eq!(Layer::from_path("data/land.v2.csv.gz").name, "land.v2");
    /// ```
    #[must_use]
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unpacked = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
        let name = unpacked.rsplit_once('.').map_or(unpacked, |(stem, _)| stem).to_owned();
        Self { name, paths: vec![path], columns: CsvColumns::default() }
    }
}

/// Why a build failed. Nothing stands under the final names then but what stood there before.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The options contradict each other.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Nothing to build from.
    #[error("no layer was given")]
    NoLayers,
    /// Two files would become one layer.
    #[error("two layers are named {0:?}")]
    SameName(String),
    /// A layer without a name.
    #[error("a layer has no name")]
    NoName,
    /// The cells lie beside the archive under the same name with another ending; another archive's could be hit.
    #[error("{}: the output is a PMTiles archive: give it a name that ends in .pmtiles", .0.display())]
    Ending(PathBuf),
    /// The build would replace what it reads.
    #[error("{}: this input would be overwritten by the archive or its cells: give the output another name", .0.display())]
    Overwrites(PathBuf),
    /// A source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A bad feature, and the build is strict.
    #[error("{0}")]
    Strict(Box<Skipped>),
    /// Not one feature could be drawn.
    #[error("there is nothing to draw:\n{0}")]
    Nothing(Box<BuildReport>),
    /// Told to stop.
    #[error("the build was stopped; nothing was written")]
    Stopped,
    /// Two builds at once.
    #[error("{}: another build is writing there", .0.display())]
    Busy(PathBuf),
    /// A tile that nobody would read: one feature can be so large.
    #[error(
        "tile {tile} has {bytes} bytes before compression, more than any reader takes: a feature there has too large attributes"
    )]
    TileTooLarge {
        /// Which tile.
        tile: TileCoord,
        /// How many bytes it has.
        bytes: usize,
    },
    /// The compressor failed.
    #[error(transparent)]
    Compress(#[from] CompressError),
    /// A file cannot be written.
    #[error("{}: {error}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Where the cells of an archive lie: beside it, with the ending `cells`.
#[must_use]
pub fn cells_path(archive: &Path) -> PathBuf {
    archive.with_extension("cells")
}

/// Builds `out`, a name that ends in `.pmtiles`, and, when the set goes deeper than its archive, the cells beside it.
///
/// # Errors
/// When a file cannot be read or written, or is not GeoJSON at all, or the output would replace an input. Bad features are skipped and reported instead.
///
/// ```
/// use watersmeet_tiles::{BuildOptions, Layer, TileSet, build};
/// let folder = std::env::temp_dir().join(format!("watersmeet-doc-{}", std::process::id()));
/// std::fs::create_dir_all(&folder)?;
/// std::fs::write(folder.join("places.geojson"), r#"{"type":"Point","coordinates":[13.4,52.5]}"#)?;
/// let layers = [Layer::from_path(folder.join("places.geojson"))];
/// let report = build(&layers, &folder.join("map.pmtiles"), &BuildOptions::default(), &())?;
/// assert_eq!(report.layers[0].features, 1);
/// assert_eq!(TileSet::open(&folder.join("map.pmtiles"))?.max_zoom(), 14);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn build(
    layers: &[Layer],
    out: &Path,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport, BuildError> {
    check_output(layers, out)?;
    let mut files = opened(layers, options)?;
    let mut sources: Vec<&mut dyn Source> = files.iter_mut().map(|file| &mut **file as _).collect();
    build_from(&mut sources, out, options, progress)
}

/// Whether neither the archive nor its cells take the place of an input.
fn check_output(layers: &[Layer], out: &Path) -> Result<(), BuildError> {
    check_ending(out)?;
    // What is not there yet cannot be an input.
    let written: Vec<_> =
        [out.to_owned(), cells_path(out)].iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    let mut inputs = layers.iter().flat_map(|layer| &layer.paths);
    match inputs.find(|input| fs::canonicalize(input).is_ok_and(|input| written.contains(&input))) {
        Some(input) => Err(BuildError::Overwrites(input.clone())),
        None => Ok(()),
    }
}

fn check_ending(out: &Path) -> Result<(), BuildError> {
    match out.extension() {
        Some(ending) if ending == "pmtiles" => Ok(()),
        _ => Err(BuildError::Ending(out.to_owned())),
    }
}

/// Checks options and opens all files, as a build would, without building.
///
/// # Errors
/// When a build would fail before its first feature.
pub fn check(layers: &[Layer], options: &BuildOptions) -> Result<(), BuildError> {
    opened(layers, options).map(|_| ())
}

fn opened(layers: &[Layer], options: &BuildOptions) -> Result<Vec<Box<dyn Source>>, BuildError> {
    options.check()?;
    if layers.is_empty() {
        return Err(BuildError::NoLayers);
    }
    let mut files = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        if layers[..index].iter().any(|before| before.name == layer.name) {
            return Err(BuildError::SameName(layer.name.clone()));
        }
        for path in &layer.paths {
            files.push(open(&layer.name, path, &layer.columns)?);
        }
    }
    Ok(files)
}

/// The same as [`build`] from any sources; those of one name become one layer.
///
/// # Errors
/// See [`build`].
pub fn build_from(
    sources: &mut [&mut dyn Source],
    out: &Path,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildReport, BuildError> {
    options.check()?;
    check_ending(out)?;
    in_order_of_layers(sources)?;
    let workplace = Workplace::new(out)?;
    let mut report = BuildReport::default();
    let read = read::read(sources, options, &workplace, progress, &mut report)?;
    if matches!(&read.world, World::Memory(cell) if cell.is_empty()) {
        return Err(BuildError::Nothing(Box::new(report)));
    }
    let about = metadata::About::new(&read.layers, options, out);
    let walked = walk::walk(read.world, options, &workplace, progress, &mut report)?;
    progress.done(Stage::Writing, 0, Some(0.0));
    let hashes = || [&walked.tiles, &walked.cells].into_iter().flat_map(|all| &all.pieces);
    let content = metadata::content(hashes().map(|piece| (piece.number, piece.hash)), &about);
    report.archive_bytes = walked.tiles.write(&workplace.path(ARCHIVE), &about.archive(&content))?;
    // There may be none at all: the set goes deeper than its archive, and nothing of it shows there.
    let has_cells = options.render.max_zoom > options.last_archived_zoom();
    if has_cells {
        report.cells_bytes =
            walked.cells.write(&workplace.path(CELLS), &about.cells(&content, walked.deepest_cell))?;
    }
    report.content = content;
    if progress.stopped() {
        return Err(BuildError::Stopped);
    }
    publish(&workplace, out, has_cells)?;
    progress.done(Stage::Writing, 2, Some(1.0));
    Ok(report)
}

/// The names of the finished files before they have their own.
const ARCHIVE: &str = "archive";
const CELLS: &str = "archive-cells";

/// Puts sources of one layer behind each other: a layer's features come in one go.
fn in_order_of_layers(sources: &mut [&mut dyn Source]) -> Result<(), BuildError> {
    if sources.is_empty() {
        return Err(BuildError::NoLayers);
    }
    let names: Vec<_> = sources.iter().map(|source| source.layer().to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err(BuildError::NoName);
    }
    sources.sort_by_key(|source| names.iter().position(|name| name == source.layer()));
    Ok(())
}

/// Cells go first: an archive then never stands beside cells that are older than itself. Each says which content it
/// belongs to, so a crash between the two is seen when the set is opened. Both are on disk before either has its name, so
/// that the two come one right after the other: a server that looks in between finds cells of another build.
fn publish(workplace: &Workplace, out: &Path, has_cells: bool) -> Result<(), BuildError> {
    let beside = cells_path(out);
    workplace.sync(ARCHIVE)?;
    if has_cells {
        workplace.sync(CELLS)?;
        workplace.publish(CELLS, &beside)?;
    } else if let Err(error) = fs::remove_file(&beside)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(BuildError::Write { path: beside, error });
    }
    workplace.publish(ARCHIVE, out)?;
    sync_folder(out).map_err(|error| BuildError::Write { path: out.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_their_place_until_the_archive_can_take_its_own() {
        let folder = std::env::temp_dir().join(format!("watersmeet-publish-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let out = folder.join("map.pmtiles");
        for has_cells in [true, false] {
            fs::write(cells_path(&out), "old").unwrap();
            let workplace = Workplace::new(&out).unwrap();
            fs::write(workplace.path(CELLS), "new").unwrap();
            assert!(publish(&workplace, &out, has_cells).is_err(), "there is no archive");
            assert_eq!(fs::read(cells_path(&out)).unwrap(), b"old");
            fs::write(workplace.path(ARCHIVE), "archive").unwrap();
            publish(&workplace, &out, has_cells).unwrap();
            assert_eq!(cells_path(&out).exists(), has_cells);
            assert_eq!(fs::read(&out).unwrap(), b"archive");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
