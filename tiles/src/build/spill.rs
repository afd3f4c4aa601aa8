//! Features that wait in a file, because memory would not hold them.
//!
//! One idea: a file holds chunks in the order of the source, so that it can be read again chunk by chunk, cut, and
//! written into the files of the four tiles below. Only what shows at the tile's own zoom is gathered on the way. Not here: the way down (see `walk`).

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::BuildError;
use super::chunk;
use super::layers::{merge, trimmed};
use super::workplace::Workplace;
use crate::coord::{Grid, TileCoord};
use crate::feature::{Cell, CellLayer, Feature, Geometry, Ring, Vertex};
use crate::options::BuildOptions;
use crate::simplify::Rounding;

/// Chunks are a share of what may be loaded: a few are in memory at a time, four of them being filled.
const CHUNKS_IN_MEMORY: usize = 16;
const CHUNK_BYTES_MAX: usize = 8 << 20;

/// A file of features that is being written.
pub(super) struct Spill {
    path: PathBuf,
    file: BufWriter<File>,
    pending: Vec<CellLayer>,
    pending_bytes: usize,
    chunk_bytes: usize,
    memory_bytes: usize,
}

/// A file of features.
pub(super) struct Spilled {
    path: PathBuf,
    /// About how much memory they would take.
    pub(super) memory_bytes: usize,
}

impl Spill {
    /// A file of this name.
    pub(super) fn new(workplace: &Workplace, name: &str, options: &BuildOptions) -> Result<Self, BuildError> {
        let path = workplace.path(name);
        let file = File::create(&path).map_err(|error| BuildError::Write { path: path.clone(), error })?;
        let chunk_bytes = (options.loaded_bytes_max() / CHUNKS_IN_MEMORY).min(CHUNK_BYTES_MAX);
        let file = BufWriter::new(file);
        Ok(Self { path, file, pending: Vec::new(), pending_bytes: 0, chunk_bytes, memory_bytes: 0 })
    }

    pub(super) fn add(&mut self, layer: CellLayer) -> Result<(), BuildError> {
        self.pending_bytes += layer.memory_bytes();
        self.pending.push(layer);
        if self.pending_bytes > self.chunk_bytes { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), BuildError> {
        self.memory_bytes += self.pending_bytes;
        self.pending_bytes = 0;
        let chunk = chunk::to_bytes(&merge(std::mem::take(&mut self.pending)));
        let written = self.file.write_all(&(chunk.len() as u64).to_le_bytes());
        written.and_then(|()| self.file.write_all(&chunk)).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> BuildError {
        BuildError::Write { path: self.path.clone(), error }
    }

    pub(super) fn finish(mut self) -> Result<Spilled, BuildError> {
        if !self.pending.is_empty() {
            self.write()?;
        }
        self.file.flush().map_err(|error| self.failed(error))?;
        Ok(Spilled { path: self.path, memory_bytes: self.memory_bytes })
    }
}

impl Spilled {
    pub(super) fn is_empty(&self) -> bool {
        self.memory_bytes == 0
    }

    /// Reads the features chunk by chunk.
    pub(super) fn each(
        &self,
        visit: &mut dyn FnMut(Cell) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let failed = |error| BuildError::Write { path: self.path.clone(), error };
        let mut file = BufReader::new(File::open(&self.path).map_err(failed)?);
        loop {
            let mut length = [0; 8];
            match file.read_exact(&mut length) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                read => read.map_err(failed)?,
            }
            let mut bytes = Vec::new();
            file.by_ref().take(u64::from_le_bytes(length)).read_to_end(&mut bytes).map_err(failed)?;
            let cell = chunk::from_bytes(&bytes);
            visit(cell.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?)?;
        }
    }

    /// All features.
    pub(super) fn load(&self) -> Result<Cell, BuildError> {
        let mut layers = Vec::new();
        self.each(&mut |chunk| {
            layers.extend(chunk.layers);
            Ok(())
        })?;
        Ok(merge(layers))
    }

    pub(super) fn remove(self) -> Result<(), BuildError> {
        fs::remove_file(&self.path).map_err(|error| BuildError::Write { path: self.path, error })
    }
}

/// What of a cell shows at a tile's zoom: the tile is the same drawn from this. `is_drawn` says that nothing else is
/// made of it: lines that come to a single point of the tile's grid, of which nothing is drawn, are left out then.
pub(super) fn shown(cell: &Cell, tile: TileCoord, grid: Grid, is_drawn: bool) -> Vec<CellLayer> {
    let zoom = tile.z();
    let rounding = is_drawn.then(|| Rounding::new(tile, grid));
    let feature = |feature: &Feature| {
        if feature.min_zoom > zoom || zoom > feature.max_zoom {
            return None;
        }
        let mut geometry = shown_geometry(&feature.geometry, zoom);
        if let (Geometry::Lines(lines), Some(rounding)) = (&mut geometry, &rounding) {
            lines.retain(|line| {
                line.windows(2).any(|pair| {
                    let [a, b] = [pair[0], pair[1]].map(|vertex| rounding.point(vertex.x, vertex.y));
                    a != b
                })
            });
            if lines.is_empty() {
                return None;
            }
        }
        Some(Feature { tags: Arc::clone(&feature.tags), geometry, ..*feature })
    };
    let layer = |layer: &CellLayer| {
        let features = layer.features.iter().filter_map(feature).collect();
        trimmed(CellLayer { dictionary: Arc::clone(&layer.dictionary), features })
    };
    cell.layers.iter().map(layer).collect()
}

fn shown_geometry(geometry: &Geometry, zoom: u8) -> Geometry {
    let path = |vertices: &[Vertex]| vertices.iter().filter(|vertex| vertex.zoom <= zoom).copied().collect();
    let ring = |ring: &Ring| Ring {
        vertices: if zoom < ring.shape_zoom { Vec::new() } else { path(&ring.vertices) },
        ..*ring
    };
    match geometry {
        Geometry::Points(points) => Geometry::Points(points.clone()),
        Geometry::Lines(lines) => Geometry::Lines(lines.iter().map(|line| path(line)).collect()),
        Geometry::Polygons(rings) => {
            Geometry::Polygons(rings.iter().filter(|r| r.dot_zoom <= zoom).map(ring).collect())
        }
    }
}
