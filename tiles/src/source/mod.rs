//! Where features come from: GeoJSON, FlatGeobuf or CSV, each as a stream of features in degrees.
//!
//! One idea: a source only finds out where features begin and end, and hands over *batches* of them, which are still to
//! be understood; so one thread reads and all cores understand, in any order, and memory holds a few batches. A feature
//! that is bad says which it was and what is wrong with it; whoever reads decides that it is skipped and counted.
//! Not here: checks of coordinates (see [`project`](crate::project)), since every source needs the same ones.

mod csv;
mod flatbuffer;
mod flatgeobuf;
mod geojson;
mod input;
mod lenient;
mod text;

use std::io;
use std::sync::Arc;

use thiserror::Error;

pub use crate::feature::Shape;
use crate::feature::Value;
use crate::project::GeometryFault;
use crate::varint::Malformed;

pub use csv::CsvColumns;
pub use input::{STDIN, open};

/// A feature's id as its source gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceId {
    /// A whole number from 0.
    Number(u64),
    /// Any other id, as text.
    Text(Arc<str>),
}

impl std::fmt::Display for SourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// A feature as its source gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceFeature {
    /// Its id, when it has one.
    pub id: Option<SourceId>,
    /// Names and values; the last one of a name counts.
    pub properties: Vec<(Arc<str>, Value)>,
    /// Where it is. More than one only for a collection of different kinds.
    pub shapes: Vec<Shape>,
}

/// What is wrong with a feature.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Fault {
    /// A line of newline-delimited GeoJSON that is not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON, but not a feature.
    #[error("not a feature: {0}")]
    NotAFeature(String),
    /// A row of a table that has not as many fields as the first one names.
    #[error("the row has {found} fields, but the first row names {expected}")]
    WrongFields {
        /// How many it has.
        found: usize,
        /// How many it needs.
        expected: usize,
    },
    /// A field of a table that has to be a number.
    #[error("{column} is {text:?}, which is no number")]
    NotANumber {
        /// The column's name.
        column: String,
        /// What stands there.
        text: String,
    },
    /// A field of a table that is no text.
    #[error("{column} is not UTF-8 text")]
    NotText {
        /// The column's name.
        column: String,
    },
    /// Bytes that are not what the format says.
    #[error("broken bytes: {0}")]
    Malformed(#[from] Malformed),
    /// The geometry is null or absent.
    #[error("it has no geometry")]
    NoGeometry,
    /// A geometry type that GeoJSON does not have.
    #[error("unknown geometry type {0:?}")]
    UnknownGeometry(String),
    /// The coordinates are not nested as the type asks for, or hold something else than numbers.
    #[error("the coordinates of {kind} have to be {expected}, but hold {found}")]
    WrongCoordinates {
        /// The geometry's type.
        kind: &'static str,
        /// How they have to be nested.
        expected: &'static str,
        /// What was found instead.
        found: &'static str,
    },
    /// The geometry cannot be drawn.
    #[error(transparent)]
    Geometry(#[from] GeometryFault),
}

impl Fault {
    /// The fault's name in counts, without the particulars of one feature.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "not JSON",
            Self::NotAFeature(_) => "not a feature",
            Self::WrongFields { .. } => "wrong number of fields",
            Self::NotANumber { .. } => "not a number",
            Self::NotText { .. } => "not UTF-8",
            Self::Malformed(_) => "broken bytes",
            Self::NoGeometry => "no geometry",
            Self::UnknownGeometry(_) => "unknown geometry type",
            Self::WrongCoordinates { .. } => "coordinates of the wrong shape",
            Self::Geometry(GeometryFault::Empty) => "empty geometry",
            Self::Geometry(GeometryFault::TooFewPoints { .. }) => "too few points",
            Self::Geometry(GeometryFault::UnclosedRing { .. }) => "unclosed ring",
            Self::Geometry(GeometryFault::OutOfRange(_)) => "coordinates out of range",
        }
    }
}

/// A feature that cannot be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct BadFeature {
    /// Its id, as far as it could be read.
    pub id: Option<SourceId>,
    /// What is wrong.
    pub fault: Fault,
}

/// Why a source could not be read to its end.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("{origin}: {error}")]
    Io {
        /// Which file.
        origin: String,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not JSON at all, or stops being JSON.
    #[error("{origin}: line {line}, column {column}, after {features} features: not JSON: {message}")]
    NotJson {
        /// Which file.
        origin: String,
        /// From 1.
        line: u64,
        /// In bytes, from 1.
        column: usize,
        /// How many features came before.
        features: u64,
        /// What the parser said.
        message: String,
    },
    /// JSON, but nothing of GeoJSON.
    #[error("{origin}: not GeoJSON: {found}")]
    NotGeoJson {
        /// Which file.
        origin: String,
        /// What was found instead of a feature or a collection of features.
        found: String,
    },
    /// Neither text nor any format that is known.
    #[error(
        "{origin}: this is neither GeoJSON (or a feature a line), FlatGeobuf nor CSV, nor one of them packed with gzip or zstd"
    )]
    UnknownFormat {
        /// Which file.
        origin: String,
    },
    /// A table that does not say where its rows are.
    #[error("{origin}: the first row names no column for {wanted}: it has {found}")]
    NoColumn {
        /// Which file.
        origin: String,
        /// What is missing.
        wanted: String,
        /// The columns that there are.
        found: String,
    },
    /// A table that cannot be split into rows.
    #[error("{origin}: line {line}: {message}")]
    NotATable {
        /// Which file.
        origin: String,
        /// From 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// Coordinates that are no degrees.
    #[error(
        "{origin}: the coordinates are in EPSG:{code}; only longitude and latitude (EPSG:4326) are understood"
    )]
    OtherSystem {
        /// Which file.
        origin: String,
        /// The number of the coordinate system.
        code: i32,
    },
    /// A FlatGeobuf file that is broken as a whole.
    #[error("{origin}: a broken FlatGeobuf, after {features} features: {error}")]
    Malformed {
        /// Which file.
        origin: String,
        /// How many features came before.
        features: u64,
        /// What is wrong.
        error: Malformed,
    },
}

/// Where a feature stands in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which feature of the source, from 0.
    pub index: u64,
    /// The line on which it starts, from 1, where the source is text.
    pub line: Option<u64>,
}

/// Takes features as a batch is understood.
pub type Sink<'a> = dyn FnMut(Place, Result<SourceFeature, BadFeature>) + 'a;

/// Some features that are still to be understood, by any thread.
pub type Batch = Box<dyn FnOnce(&mut Sink<'_>) + Send>;

/// Features of a layer.
pub trait Source: Send {
    /// The layer's name. Sources of one name become one layer.
    fn layer(&self) -> &str;

    /// Where the features come from, for reports: a file's path.
    fn origin(&self) -> String;

    /// The next features, in an order that is the same each time; `None` when there are no more.
    ///
    /// # Errors
    /// When the source cannot be read to its end.
    fn next(&mut self) -> Result<Option<Batch>, SourceError>;

    /// How many bytes have been read, and how many there are, where that is known.
    fn bytes_read(&self) -> Option<(u64, u64)> {
        None
    }
}

/// Features in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The layer's name.
    pub layer: String,
    /// The features.
    pub features: Vec<SourceFeature>,
}

impl Source for Memory {
    fn layer(&self) -> &str {
        &self.layer
    }

    fn origin(&self) -> String {
        "memory".to_owned()
    }

    fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        if self.features.is_empty() {
            return Ok(None);
        }
        let features = std::mem::take(&mut self.features);
        Ok(Some(Box::new(move |sink| {
            for (index, feature) in (0..).zip(features) {
                sink(Place { index, line: None }, Ok(feature));
            }
        })))
    }
}
