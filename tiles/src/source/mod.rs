//! Where features come from: a stream of features in degrees, one layer each.
//!
//! One idea: a source hands over one feature at a time, good or bad, and a bad one says which it was and what is wrong
//! with it; whoever reads decides that bad ones are skipped and counted. Not here: checks of coordinates (see
//! [`project`](crate::project)), since every source needs the same ones.

mod geojson;
mod lenient;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

pub use crate::feature::Shape;
use crate::feature::Value;
use crate::project::GeometryFault;

pub use geojson::GeoJson;

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
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not JSON at all, or stops being JSON.
    #[error("{}: line {line}, column {column}, after {features} features: not JSON: {message}", path.display())]
    NotJson {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// How many features came before.
        features: u64,
        /// What the parser said.
        message: String,
    },
    /// JSON, but nothing of GeoJSON.
    #[error("{}: not GeoJSON: {found}", path.display())]
    NotGeoJson {
        /// Which file.
        path: PathBuf,
        /// What was found instead of a feature or a collection of features.
        found: String,
    },
}

/// Takes the features as a source reads them.
pub type Sink<'a> = dyn FnMut(Result<SourceFeature, BadFeature>) + 'a;

/// A layer's features.
pub trait Source {
    /// The layer's name.
    fn layer(&self) -> &str;

    /// Where the features come from, for reports: a file's path.
    fn origin(&self) -> String;

    /// Hands every feature to the sink, in an order that is the same each time.
    ///
    /// # Errors
    /// When the source cannot be read to its end.
    fn read(&mut self, sink: &mut Sink<'_>) -> Result<(), SourceError>;
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

    fn read(&mut self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        self.features.iter().cloned().for_each(|feature| sink(Ok(feature)));
        Ok(())
    }
}
