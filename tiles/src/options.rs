//! What may be chosen about a tile set, with its limits by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::coord::Grid;
use crate::generalise::{LayerRules, MergeLines, RulesError};
use crate::select::Selection;

/// Unless told otherwise the deepest zoom: a unit of its tiles is 60 cm at the equator, and viewers enlarge them further.
/// Finer data wants a deeper one; it costs nothing but requests, since its tiles are rendered when asked for.
pub const MAX_ZOOM_DEFAULT: u8 = 14;
/// The deepest zoom that there is: what viewers know. A tile is 9.6 m wide there, and a tile unit finer than the world's
/// grid of 3.7 cm.
pub const MAX_ZOOM_MAX: u8 = 22;
/// The last zoom that is rendered beforehand unless told otherwise.
pub const ARCHIVE_ZOOM_DEFAULT: u8 = 6;
/// Cells of more bytes are divided unless told otherwise (docs/decisions/0008).
pub const CELL_BYTES_DEFAULT: usize = 32 << 10;
/// Rendering the pyramid beforehand any deeper is refused: it would have a billion tiles.
pub const ARCHIVE_ZOOM_MAX: u8 = 15;

/// About how much memory a build takes at most, unless told otherwise.
pub const MEMORY_BYTES_DEFAULT: u64 = 1 << 30;

/// What decides a tile's bytes, together with its features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenderOptions {
    /// The shallowest zoom of the set.
    pub min_zoom: u8,
    /// The deepest zoom of the set; features have their full detail there.
    pub max_zoom: u8,
    /// Tile units per side, a power of two from 256 to 65,536.
    pub extent: u32,
    /// Tile units kept around a tile, so that lines and fills meet without a seam. At most half the extent.
    pub buffer: u16,
    /// How fine detail is below the deepest zoom, in tile units: a vertex goes when the triangle with its neighbours
    /// has less than half this number squared in area. 0 keeps every vertex.
    pub tolerance: f64,
    /// A polygon's ring smaller than this, in square tile units, is drawn as a square dot of this area or not at all.
    pub dot_area: f64,
    /// A tile may have this many bytes before compression; beyond that it loses its least important features.
    pub tile_bytes_max: usize,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            min_zoom: 0,
            max_zoom: MAX_ZOOM_DEFAULT,
            extent: 4096,
            buffer: 64,
            tolerance: 3.0,
            dot_area: 4.0,
            tile_bytes_max: 500_000,
        }
    }
}

/// What a build is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildOptions {
    /// What decides the tiles' bytes.
    pub render: RenderOptions,
    /// The last zoom that is rendered beforehand; `None` for [`ARCHIVE_ZOOM_DEFAULT`]. Deeper tiles are rendered
    /// when asked for, from the cells.
    pub archive_zoom: Option<u8>,
    /// The size in bytes above which a cell is divided into its quarters; `None` for [`CELL_BYTES_DEFAULT`]. Smaller
    /// cells are faster to fetch and to render from, larger ones take less room together.
    pub cell_bytes: Option<usize>,
    /// The set's name for humans; `None` for the file's stem.
    pub name: Option<String>,
    /// How layers are generalised, by name; the others by the default rules.
    pub layers: BTreeMap<String, LayerRules>,
    /// What of layers becomes tiles, by name; of the others everything.
    pub selections: BTreeMap<String, Selection>,
    /// What the set is, for humans.
    pub description: Option<String>,
    /// Whom the map owes its data to, shown in its corner. HTML is allowed by `TileJSON`.
    pub attribution: Option<String>,
    /// Whether a bad feature ends the build; otherwise it is left out, counted and reported.
    pub strict: bool,
    /// About how much memory a build may take, in bytes; `None` for [`MEMORY_BYTES_DEFAULT`]. Features beyond that wait
    /// in files beside the output. What comes out is the same. Not counted are what shows in a single tile, some 60
    /// bytes for each tile of the archive, and the largest single feature.
    pub memory_bytes: Option<u64>,
}

impl BuildOptions {
    /// The last zoom that is rendered beforehand.
    #[must_use]
    pub fn last_archived_zoom(&self) -> u8 {
        self.archive_zoom.unwrap_or(ARCHIVE_ZOOM_DEFAULT).min(self.render.max_zoom)
    }

    /// How a layer is generalised.
    #[must_use]
    pub fn rules(&self, layer: &str) -> LayerRules {
        self.layers.get(layer).cloned().unwrap_or_default()
    }

    /// Whether the lines of any layer are merged.
    pub(crate) fn merges_lines(&self) -> bool {
        self.layers.values().any(|rules| rules.merge_lines != MergeLines::No)
    }

    /// What of a layer becomes tiles.
    #[must_use]
    pub fn selection(&self, layer: &str) -> Selection {
        self.selections.get(layer).cloned().unwrap_or_default()
    }

    /// How many bytes of features are cut in memory: while a part of the world is cut, it is there up to three times, and
    /// batches that are being read and the compressor want some memory, too.
    pub(crate) fn loaded_bytes_max(&self) -> usize {
        let memory = self.memory_bytes.unwrap_or(MEMORY_BYTES_DEFAULT);
        usize::try_from(memory / 4).unwrap_or(usize::MAX)
    }
}

/// Options that make no tile set.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum OptionsError {
    /// No zoom is left between the two.
    #[error("the least zoom is {min}, deeper than the deepest, {max}")]
    ZoomsCrossed {
        /// The least zoom asked for.
        min: u8,
        /// The deepest zoom asked for.
        max: u8,
    },
    /// There is no such zoom.
    #[error("zoom {0} is too deep: {MAX_ZOOM_MAX} is the deepest")]
    TooDeep(u8),
    /// Too many tiles to render beforehand.
    #[error(
        "zoom {0} cannot be rendered beforehand: {ARCHIVE_ZOOM_MAX} is the deepest; leave the rest to be dynamic"
    )]
    ArchiveTooDeep(u8),
    /// The pyramid would have no tile in the archive.
    #[error("the last pre-rendered zoom is {archive}, above the least zoom, {min}")]
    ArchiveEmpty {
        /// The last pre-rendered zoom asked for.
        archive: u8,
        /// The least zoom asked for.
        min: u8,
    },
    /// Not a power of two, or out of bounds.
    #[error("the extent is {0}: it has to be a power of two from 256 to 65536")]
    Extent(u32),
    /// The buffer reaches too far.
    #[error("the buffer is {buffer}, but at most half the extent, {}", extent / 2)]
    Buffer {
        /// The buffer asked for.
        buffer: u16,
        /// The extent asked for.
        extent: u32,
    },
    /// No zoom is left for a layer.
    #[error("layer {layer:?}: the least zoom is {min}, deeper than the deepest, {max}")]
    LayerZoomsCrossed {
        /// Which layer.
        layer: String,
        /// The least zoom asked for.
        min: u8,
        /// The deepest zoom asked for.
        max: u8,
    },
    /// A layer's rules make no sense.
    #[error("layer {layer:?}: {error}")]
    Rules {
        /// Which layer.
        layer: String,
        /// What is wrong.
        error: RulesError,
    },
    /// Not a sensible number.
    #[error("{name} is {value}: it has to be from 0 to 256")]
    Measure {
        /// Which option.
        name: &'static str,
        /// What was asked for.
        value: f64,
    },
}

impl RenderOptions {
    /// How a tile divides its square. Call [`RenderOptions::check`] first on options from outside.
    #[must_use]
    pub fn grid(&self) -> Grid {
        Grid::new(u8::try_from(self.extent.trailing_zeros()).unwrap_or(u8::MAX), self.buffer)
    }

    /// # Errors
    /// When the options contradict each other or a limit.
    pub fn check(&self) -> Result<(), OptionsError> {
        let Self { min_zoom: min, max_zoom: max, extent, buffer, .. } = *self;
        if !extent.is_power_of_two() || !(256..=65_536).contains(&extent) {
            return Err(OptionsError::Extent(extent));
        }
        if min > max {
            return Err(OptionsError::ZoomsCrossed { min, max });
        }
        if max > MAX_ZOOM_MAX {
            return Err(OptionsError::TooDeep(max));
        }
        if u32::from(buffer) > extent / 2 {
            return Err(OptionsError::Buffer { buffer, extent });
        }
        for (name, value) in [("the tolerance", self.tolerance), ("the dot area", self.dot_area)] {
            if !(0.0..=256.0).contains(&value) {
                return Err(OptionsError::Measure { name, value });
            }
        }
        Ok(())
    }
}

impl BuildOptions {
    /// # Errors
    /// When the options contradict each other or a limit.
    pub fn check(&self) -> Result<(), OptionsError> {
        self.render.check()?;
        let (archive, min) = (self.last_archived_zoom(), self.render.min_zoom);
        if archive > ARCHIVE_ZOOM_MAX {
            return Err(OptionsError::ArchiveTooDeep(archive));
        }
        if archive < min {
            return Err(OptionsError::ArchiveEmpty { archive, min });
        }
        let wrong = |(layer, rules): (&String, &LayerRules)| {
            rules.check().map_err(|error| OptionsError::Rules { layer: layer.clone(), error })
        };
        self.layers.iter().try_for_each(wrong)?;
        for (layer, Selection { min_zoom, max_zoom, .. }) in &self.selections {
            if *min_zoom > max_zoom.unwrap_or(u8::MAX) {
                let (min, max) = (*min_zoom, max_zoom.unwrap_or(u8::MAX));
                return Err(OptionsError::LayerZoomsCrossed { layer: layer.clone(), min, max });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_make_no_set_are_named() {
        let wrong = |change: fn(&mut RenderOptions)| {
            let mut options = RenderOptions::default();
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert!(wrong(|o| o.extent = 1000).contains("power of two"));
        assert!(wrong(|o| o.min_zoom = 15).contains("deeper than the deepest"));
        assert!(wrong(|o| o.max_zoom = 23).contains("22 is the deepest"));
        assert!(wrong(|o| o.buffer = 5000).contains("2048"));
        assert!(wrong(|o| o.tolerance = f64::NAN).contains("tolerance"));
        assert_eq!(RenderOptions::default().check(), Ok(()));
    }

    #[test]
    fn an_archive_is_neither_empty_nor_endless() {
        let mut options = BuildOptions { archive_zoom: Some(16), ..BuildOptions::default() };
        options.render.max_zoom = 16;
        assert_eq!(options.check(), Err(OptionsError::ArchiveTooDeep(16)));
        options.archive_zoom = Some(3);
        options.render.min_zoom = 4;
        assert_eq!(options.check(), Err(OptionsError::ArchiveEmpty { archive: 3, min: 4 }));
    }
}
