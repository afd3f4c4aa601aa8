//! The builder: sources in, an archive and its cells out.
//!
//! One idea: it is the pipeline called for every tile of the pyramid, parents before children, each child's cell cut
//! from its parent's. All projected features, and the packed tiles, are in memory while it runs. Not here: anything a
//! tile's bytes depend on (see [`render`](crate::render)), so that the server can do the same without the builder.

pub(crate) mod read;
pub(crate) mod walk;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::archive::write_file;
use crate::compress::CompressError;
use crate::metadata;
use crate::options::{BuildOptions, OptionsError};
use crate::report::{BuildReport, Progress, Stage};
use crate::source::{GeoJson, Source, SourceError};

/// A GeoJSON file and the name of the layer it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The layer's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

impl Layer {
    /// A file as the layer named like it, without folder and ending.
    ///
    /// ```
    /// assert_eq!(watersmeet_tiles::Layer::from_path("data/land.geojsonl").name, "land");
    /// ```
    #[must_use]
    pub fn from_path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self { name, path }
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
    /// A source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Not one feature could be drawn.
    #[error("there is nothing to draw:\n{0}")]
    Nothing(Box<BuildReport>),
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

/// Builds `out` and, when the set goes deeper than its archive, the cells beside it.
///
/// # Errors
/// When a file cannot be read or written, or is not GeoJSON at all. Bad features are skipped and reported instead.
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
    let mut files: Vec<_> = layers.iter().map(|layer| GeoJson::new(&layer.name, &layer.path)).collect();
    let mut sources: Vec<&mut dyn Source> = files.iter_mut().map(|file| file as &mut dyn Source).collect();
    build_from(&mut sources, out, options, progress)
}

/// The same as [`build`] from any sources, one layer each.
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
    check_names(sources)?;
    let mut report = BuildReport::default();
    let read = read::read(sources, options, progress, &mut report)?;
    if read.world.is_empty() {
        return Err(BuildError::Nothing(Box::new(report)));
    }
    let about = metadata::About::new(&read, options, out);
    let walked = walk::walk(read.world, options, progress, &mut report)?;
    let content = metadata::content(&walked.hashes, &about);
    report.content = content.clone();
    let archive = walked.tiles.to_bytes(&about.archive(&content))?;
    let cells =
        (!walked.cells.is_empty()).then(|| walked.cells.to_bytes(&about.cells(&content))).transpose()?;
    progress.done(Stage::Writing, 0, Some(2));
    report.archive_bytes = archive.len() as u64;
    report.cells_bytes = cells.as_ref().map_or(0, |cells| cells.len() as u64);
    put(out, &archive, cells.as_deref())?;
    progress.done(Stage::Writing, 2, Some(2));
    Ok(report)
}

fn check_names(sources: &[&mut dyn Source]) -> Result<(), BuildError> {
    if sources.is_empty() {
        return Err(BuildError::NoLayers);
    }
    for (index, source) in sources.iter().enumerate() {
        if source.layer().is_empty() {
            return Err(BuildError::NoName);
        }
        if sources[..index].iter().any(|before| before.layer() == source.layer()) {
            return Err(BuildError::SameName(source.layer().to_owned()));
        }
    }
    Ok(())
}

/// Cells go first: an archive then never stands beside cells that are older than itself. Each says which content it
/// belongs to, so a crash between the two is seen when the set is opened.
fn put(out: &Path, archive: &[u8], cells: Option<&[u8]>) -> Result<(), BuildError> {
    let beside = cells_path(out);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| BuildError::Write { path, error }
    };
    match cells {
        Some(cells) => write_file(&beside, cells).map_err(failed(&beside))?,
        None => match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&beside)(error)),
            _ => {}
        },
    }
    write_file(out, archive).map_err(failed(out))
}
