//! What an archive is, for humans.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde_json::Value;

use crate::archive::{Archive, ArchiveError};
use crate::coord::TileCoord;
use crate::hot::{Hot, hot_path};
use crate::open::OpenError;
use crate::report::Size;
use crate::set::TileSet;

/// So many of the tiles that are asked for most are shown.
const HOTTEST_SHOWN: usize = 10;

/// The tiles of one zoom in an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoomDescription {
    /// How many tiles can be asked for.
    pub tiles: u64,
    /// Their bytes, packed, each tile counted by itself.
    pub bytes: u64,
    /// The largest one, packed.
    pub largest: Option<(TileCoord, u32)>,
}

/// A layer as the archive describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerDescription {
    /// Its name.
    pub name: String,
    /// Attributes and their types.
    pub fields: Vec<(String, String)>,
}

/// What an archive is.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The set's name for humans.
    pub name: Option<String>,
    /// Whom the data is owed to.
    pub attribution: Option<String>,
    /// What names the bytes of all tiles.
    pub version: String,
    /// The shallowest and the deepest zoom.
    pub zooms: [u8; 2],
    /// How many different tiles are stored.
    pub distinct_tiles: u64,
    /// Whether the tiles lie in the order of their numbers.
    pub clustered: bool,
    /// West, south, east, north in degrees.
    pub bounds: [f64; 4],
    /// The layers.
    pub layers: Vec<LayerDescription>,
    /// The pre-rendered zooms.
    pub archived: BTreeMap<u8, ZoomDescription>,
    /// How many cells lie beside the archive, and their bytes, packed.
    pub cells: Option<ZoomDescription>,
    /// How many tiles are warm.
    pub warm: Option<u64>,
    /// The tiles that were asked for most, with at least how often.
    pub hottest: Vec<(TileCoord, u64)>,
}

/// Describes the archive at a path, and its cells.
///
/// # Errors
/// When it cannot be opened, see [`TileSet::open`].
pub fn show(path: &Path) -> Result<Description, OpenError> {
    let set = TileSet::open(path)?;
    let failed = |error: ArchiveError| OpenError::Archive { path: path.to_owned(), error };
    let archived = match set.archive() {
        Some(archive) => by_zoom(|visit| archive.each_entry(visit)).map_err(failed)?,
        None => rows_by_zoom(&set, path)?,
    };
    let cells = match set.dynamic() {
        Some(dynamic) => {
            by_zoom(|visit| dynamic.cells().each_entry(visit)).map_err(failed)?.into_values().next()
        }
        None => None,
    };
    let text = |name: &str| set.metadata()[name].as_str().map(str::to_owned);
    let header = set.archive().map(Archive::header);
    Ok(Description {
        name: text("name"),
        attribution: text("attribution"),
        version: set.version().to_owned(),
        zooms: [set.min_zoom(), set.max_zoom()],
        distinct_tiles: header
            .map_or_else(|| archived.values().map(|zoom| zoom.tiles).sum(), |header| header.distinct_tiles),
        clustered: header.is_some_and(|header| header.clustered),
        bounds: set.facts().bounds,
        layers: layers(set.metadata()),
        archived,
        cells,
        warm: set.warm().map(|warm| warm.header().addressed_tiles),
        hottest: Hot::load(&hot_path(path)).map(|hot| hot.hottest(HOTTEST_SHOWN)).unwrap_or_default(),
    })
}

#[cfg(feature = "mbtiles")]
fn rows_by_zoom(set: &TileSet, path: &Path) -> Result<BTreeMap<u8, ZoomDescription>, OpenError> {
    let Some(file) = set.mbtiles() else { return Ok(BTreeMap::new()) };
    let rows =
        file.zooms().map_err(|error| OpenError::MbTiles { path: path.to_owned(), error: error.into() })?;
    let described = |row: crate::mbtiles::ZoomRow| {
        (row.zoom, ZoomDescription { tiles: row.tiles, bytes: row.bytes, largest: row.largest })
    };
    Ok(rows.into_iter().map(described).collect())
}

#[cfg(not(feature = "mbtiles"))]
fn rows_by_zoom(_: &TileSet, _: &Path) -> Result<BTreeMap<u8, ZoomDescription>, OpenError> {
    Ok(BTreeMap::new())
}

fn by_zoom(
    each: impl FnOnce(&mut dyn FnMut(crate::archive::Entry)) -> Result<(), ArchiveError>,
) -> Result<BTreeMap<u8, ZoomDescription>, ArchiveError> {
    let mut zooms = BTreeMap::<u8, ZoomDescription>::new();
    each(&mut |entry| {
        let Some(first) = TileCoord::from_number(entry.number) else { return };
        let zoom = zooms.entry(first.z()).or_default();
        zoom.tiles += u64::from(entry.run_length);
        zoom.bytes = zoom.bytes.saturating_add(u64::from(entry.run_length) * u64::from(entry.length));
        if zoom.largest.is_none_or(|(_, bytes)| bytes < entry.length) {
            zoom.largest = Some((first, entry.length));
        }
    })?;
    Ok(zooms)
}

fn layers(metadata: &Value) -> Vec<LayerDescription> {
    let layer = |layer: &Value| {
        let field =
            |(key, kind): (&String, &Value)| (key.clone(), kind.as_str().unwrap_or_default().to_owned());
        LayerDescription {
            name: layer["id"].as_str().unwrap_or_default().to_owned(),
            fields: layer["fields"].as_object().into_iter().flatten().map(field).collect(),
        }
    };
    metadata["vector_layers"].as_array().into_iter().flatten().map(layer).collect()
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name.as_deref().unwrap_or("(no name)"))?;
        writeln!(f, "version      {}", self.version)?;
        writeln!(f, "zooms        {} to {}", self.zooms[0], self.zooms[1])?;
        let [west, south, east, north] = self.bounds;
        writeln!(f, "bounds       {west:.4}, {south:.4} to {east:.4}, {north:.4}")?;
        if let Some(attribution) = &self.attribution {
            writeln!(f, "attribution  {attribution}")?;
        }
        for layer in &self.layers {
            let fields: Vec<_> = layer.fields.iter().map(|(key, kind)| format!("{key} ({kind})")).collect();
            writeln!(f, "layer        {}: {}", layer.name, fields.join(", "))?;
        }
        for (zoom, of) in &self.archived {
            writeln!(f, "zoom {zoom:<8}{of}")?;
        }
        let clustered = if self.clustered { "clustered" } else { "not clustered" };
        writeln!(f, "archive      {} different tiles, {clustered}", self.distinct_tiles)?;
        match &self.cells {
            Some(cells) => writeln!(f, "cells        {cells}")?,
            None => writeln!(f, "cells        none: no zoom is dynamic")?,
        }
        if let Some(warm) = self.warm {
            writeln!(f, "warm         {warm} tiles")?;
        }
        for (tile, count) in &self.hottest {
            writeln!(f, "hot          {tile}: {count} requests")?;
        }
        Ok(())
    }
}

impl fmt::Display for ZoomDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tiles, {}", self.tiles, Size(self.bytes))?;
        match self.largest {
            Some((tile, bytes)) => write!(f, ", the largest {tile} with {}", Size(bytes.into())),
            None => Ok(()),
        }
    }
}
