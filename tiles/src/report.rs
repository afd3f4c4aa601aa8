//! What a build tells: while it runs, and at its end.
//!
//! One idea: whatever did not make it into the tiles is counted by reason and zoom, with the first examples in full;
//! nothing is dropped in silence. Not here: logging.

use std::collections::BTreeMap;
use std::fmt;

use crate::source::{BadFeature, Place};

/// How many skipped features are reported in full; the rest is counted.
pub const EXAMPLES_MAX: usize = 20;

/// The parts of a build, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading, checking, projecting and ranking. Counted in features.
    Reading,
    /// Cutting and rendering. Counted in tiles and cells.
    Rendering,
    /// Putting the archive and the cells together. Counted in files.
    Writing,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reading => "reading features",
            Self::Rendering => "rendering tiles",
            Self::Writing => "writing files",
        })
    }
}

/// Hears how far a build is, and may stop it. Called from several threads.
pub trait Progress: Sync {
    /// So much of a stage is done, and that is about this share of it, from 0 to 1, where that can be told.
    /// Called at least at the beginning and the end of each stage.
    fn done(&self, stage: Stage, done: u64, share: Option<f64>);

    /// Whether the build is to be given up, as soon as may be. It leaves nothing behind.
    fn stopped(&self) -> bool {
        false
    }
}

/// Hears nothing.
impl Progress for () {
    fn done(&self, _: Stage, _: u64, _: Option<f64>) {}
}

/// A feature that was left out, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Skipped {
    /// The file it came from.
    pub origin: String,
    /// Where in the file it stands.
    pub place: Place,
    /// What is wrong with it.
    pub bad: BadFeature,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some(line) = self.place.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": feature {}", self.place.index)?;
        if let Some(id) = &self.bad.id {
            write!(f, " (id {id})")?;
        }
        write!(f, ": {}", self.bad.fault)
    }
}

/// What one layer has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerReport {
    /// The layer's name.
    pub name: String,
    /// How many features were read.
    pub features: u64,
    /// How many of them went into others, whose lines they go on from.
    pub merged: u64,
    /// How many came after another one of the same id; about so many where there are more than half a million ids.
    pub repeated_ids: u64,
    /// How many vertices they have.
    pub vertices: u64,
}

/// What one zoom has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoomReport {
    /// How many tiles are not empty.
    pub tiles: u64,
    /// Their bytes, packed, each tile counted by itself.
    pub bytes: u64,
    /// The largest one's bytes, packed.
    pub largest_bytes: u64,
    /// How many features show only at deeper zooms, by their own rank.
    pub hidden_by_rank: u64,
    /// How many times a feature was left out of a tile that was too large.
    pub dropped_by_size: u64,
    /// How many tiles were too large.
    pub tiles_too_large: u64,
    /// How many of them were drawn with less detail.
    pub tiles_coarser: u64,
    /// How many are too large for all that: those of a single feature.
    pub tiles_over_limit: u64,
}

/// What a build did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildReport {
    /// The set's version: a hash of its content and options.
    pub content: String,
    /// In the order given.
    pub layers: Vec<LayerReport>,
    /// By zoom, the pre-rendered ones.
    pub zooms: BTreeMap<u8, ZoomReport>,
    /// How many features were skipped, by the kind of fault.
    pub skipped: BTreeMap<&'static str, u64>,
    /// The first skipped features.
    pub examples: Vec<Skipped>,
    /// How many cells were written.
    pub cells: u64,
    /// The archive's size in bytes.
    pub archive_bytes: u64,
    /// The size of the cells' file in bytes.
    pub cells_bytes: u64,
}

impl BuildReport {
    /// How many features were skipped in all.
    #[must_use]
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// What the layer of this name has.
    pub(crate) fn layer(&mut self, name: &str) -> &mut LayerReport {
        let at = self.layers.iter().position(|layer| layer.name == name);
        let at = at.unwrap_or_else(|| {
            self.layers.push(LayerReport { name: name.to_owned(), ..LayerReport::default() });
            self.layers.len() - 1
        });
        &mut self.layers[at]
    }

    pub(crate) fn skip(&mut self, skipped: Skipped) {
        *self.skipped.entry(skipped.bad.fault.kind()).or_default() += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(skipped);
        }
    }
}

impl fmt::Display for BuildReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.archive_bytes == 0 {
            return self.show_skipped(f);
        }
        for layer in &self.layers {
            write!(f, "layer {}: {} features, {} vertices", layer.name, layer.features, layer.vertices)?;
            if layer.merged > 0 {
                write!(f, "; {} lines went into others", layer.merged)?;
            }
            if layer.repeated_ids > 0 {
                write!(f, "; {} have the id of another", layer.repeated_ids)?;
            }
            writeln!(f)?;
        }
        for (zoom, report) in &self.zooms {
            write!(f, "zoom {zoom}: {} tiles, {}", report.tiles, Size(report.bytes))?;
            write!(f, ", the largest {}", Size(report.largest_bytes))?;
            if report.hidden_by_rank > 0 {
                write!(f, "; {} features show deeper only", report.hidden_by_rank)?;
            }
            if report.tiles_too_large > 0 {
                write!(
                    f,
                    "; {} too large tiles, {} of them coarser, {} features dropped",
                    report.tiles_too_large, report.tiles_coarser, report.dropped_by_size
                )?;
            }
            if report.tiles_over_limit > 0 {
                write!(f, "; {} tiles of one feature beyond the limit", report.tiles_over_limit)?;
            }
            writeln!(f)?;
        }
        write!(f, "archive {}", Size(self.archive_bytes))?;
        if self.cells > 0 {
            write!(f, ", {} cells {}", self.cells, Size(self.cells_bytes))?;
        }
        writeln!(f, ", content {}", self.content)?;
        self.show_skipped(f)
    }
}

impl BuildReport {
    fn show_skipped(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.skipped_total();
        if total == 0 {
            return Ok(());
        }
        let kinds: Vec<_> = self.skipped.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(f, "skipped {total} features: {}", kinds.join(", "))?;
        self.examples.iter().try_for_each(|skipped| writeln!(f, "  {skipped}"))?;
        let rest = total - self.examples.len() as u64;
        if rest > 0 { writeln!(f, "  and {rest} more") } else { Ok(()) }
    }
}

/// Bytes for humans.
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            small @ 0..1_000 => write!(f, "{small} B"),
            medium @ 1_000..1_000_000 => write!(f, "{:.1} kB", medium as f64 / 1e3),
            large => write!(f, "{:.1} MB", large as f64 / 1e6),
        }
    }
}
