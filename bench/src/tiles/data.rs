//! The data that is cut into tiles. `cargo xtask bench tiles` prepares it, see bench/tile-data/README.md.

use crate::failure::Failure;
use std::path::{Path, PathBuf};

/// A file of GeoJSON in the run's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataSet {
    /// Its name, and its layer's.
    pub(super) name: &'static str,
}

impl DataSet {
    /// One `FeatureCollection`.
    pub(super) fn geojson(self, folder: &Path) -> Result<PathBuf, Failure> {
        self.file(folder, "geojson")
    }

    /// The same, a feature a line.
    pub(super) fn lines(self, folder: &Path) -> Result<PathBuf, Failure> {
        self.file(folder, "ndjson")
    }

    fn file(self, folder: &Path, ending: &str) -> Result<PathBuf, Failure> {
        let path = folder.join("data").join(self.name).with_extension(ending);
        if path.is_file() {
            return Ok(path);
        }
        Err(Failure::new(format!(
            "{} is missing; cargo xtask bench tiles prepares it, with Node 20 and npm",
            path.display()
        )))
    }
}
