//! Vector tiles: cut from GeoJSON, archived as `PMTiles`, rendered on demand, served for ever.
//!
//! ```text
//! source -> project -> rank -> cut ------> simplify -> clip -> clean -> encode -> compress -> archive
//! degrees   world      once    down the   \__________________________________/       \
//!           units      and     quadtree             render: one tile                  -> HTTP answer
//!                      for     |                        |
//!                      all     +-> cells -> cut ... ->--+   the same pipeline, continued on demand
//! ```
//!
//! One pipeline, two callers. [`build()`] walks the pyramid down to the last pre-rendered zoom and writes an archive; what
//! hangs below, the *cells*, is kept beside it. [`TileSet`] answers from the archive, and renders every deeper tile
//! from the one cell that covers it. Both call [`render::render`], and a tile comes out the same, byte for byte,
//! whichever of its ancestors' cells it is rendered from: ranking is done once on whole features, a cut only ever
//! leaves out what a tile cannot see, and rounding and clipping look at a single segment.
//!
//! Each stage is a plain function in a file of its own and knows none of its neighbours. Only the ends are traits:
//! [`Source`] (features in), [`Tiles`] (bytes out) and [`ByteReader`] (where archives lie).
//!
//! World coordinates are integers, a degree is computed with once, and nothing depends on the order of a hash table:
//! a set's version, the hash of its content and options, is the same on all machines.
//!
//! Not here: documents, merging, peers. This crate serves maps to whoever has features.

pub mod archive;
mod build;
pub mod cells;
pub mod clean;
pub mod clip;
pub mod compress;
mod content;
mod coord;
pub mod cut;
pub mod decode;
mod describe;
mod diff;
pub mod dynamic;
pub mod encode;
mod error;
mod faults;
pub mod feature;
mod flights;
mod folder;
pub mod generalise;
mod hot;
mod http;
mod layers;
#[cfg(feature = "mbtiles")]
mod mbtiles;
mod metadata;
#[cfg(feature = "object-store")]
mod object;
mod open;
mod options;
pub mod packed;
pub mod project;
pub mod rank;
mod reader;
#[cfg(feature = "object-store")]
mod remote;
pub mod render;
mod report;
mod select;
mod set;
mod sets;
pub mod simplify;
pub mod source;
mod style;
mod varint;
mod warm;
mod watch;

pub use build::{BuildError, Layer, build, build_from, cells_path, check};
pub use content::Content;
pub use coord::{Bounds, CoordError, Grid, Point, Scale, TileCoord, WORLD, WORLD_BITS};
pub use describe::{Description, LayerDescription, ZoomDescription, show};
pub use diff::{Diff, DiffError, LayerDiff, TILES_NAMED_MAX, TileDiff, ZoomDiff, diff};
pub use error::TileError;
pub use feature::Value;
pub use folder::Folder;
pub use generalise::{Antimeridian, ClusterRule, Fold, LayerRules, MergeLines, PointRule, RulesError};
pub use hot::{HOT_TILES_MAX, Hot, hot_path};
pub use http::{ServeOptions, TileServer, router};
#[cfg(feature = "mbtiles")]
pub use mbtiles::MbTilesError;
pub use open::OpenError;
pub use options::{
    ARCHIVE_ZOOM_DEFAULT, ARCHIVE_ZOOM_MAX, BuildOptions, CELL_BYTES_DEFAULT, MAX_ZOOM_DEFAULT, MAX_ZOOM_MAX,
    MEMORY_BYTES_DEFAULT, OptionsError, RenderOptions,
};
pub use reader::{Absent, ByteReader, Fetch, FileReader};
#[cfg(feature = "object-store")]
pub use remote::{RemoteError, RemoteSets};
pub use report::{BuildReport, EXAMPLES_MAX, LayerReport, Progress, Skipped, Stage, ZoomReport};
pub use select::{Filter, FilterError, Kind, Selection};
pub use set::{Facts, Tile, TileSet, Tiles};
pub use sets::{NAME_BYTES_MAX, OLD_VERSIONS_KEPT, Sets, SetsError};
pub use source::{CsvColumns, STDIN, Source};
pub use varint::Malformed;
pub use warm::{WarmError, WarmReport, warm, warm_path};
