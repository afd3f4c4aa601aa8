//! What may be chosen about how a layer is generalised.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Spacings and radii may be so many pixels at most: a whole tile.
const PIXELS_MAX: f64 = 512.0;

/// The attributes that every cluster has: `true`, and how many points it stands for.
pub(super) const RESERVED: [&str; 2] = ["cluster", "point_count"];

/// How a layer is generalised beyond what its features say of themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerRules {
    /// The attribute that says how important a feature is, the larger the more; features without it come last. `None`
    /// for `population`, `pop_max` or `pop`.
    pub rank: Option<String>,
    /// What is meant by a line or ring with a step of more than 180 degrees of longitude.
    pub antimeridian: Antimeridian,
    /// Whether borders that features share are simplified alike. Costs 16 bytes of memory a vertex while the layer is
    /// ranked.
    pub shared_borders: bool,
    /// Whether lines that go on in each other become one.
    pub merge_lines: MergeLines,
    /// What becomes of points that are too many for a zoom.
    pub points: PointRule,
    /// Thinned points keep about this distance, in pixels of a tile drawn 512 wide: of the points in a square of this
    /// side, the most important one is shown.
    pub point_spacing: f64,
    /// How points are clustered, where they are.
    pub cluster: ClusterRule,
}

impl Default for LayerRules {
    fn default() -> Self {
        Self {
            rank: None,
            antimeridian: Antimeridian::Near,
            shared_borders: true,
            merge_lines: MergeLines::No,
            points: PointRule::Thin,
            point_spacing: 8.0,
            cluster: ClusterRule::default(),
        }
    }
}

/// What is meant by a line or ring with a step of more than 180 degrees of longitude. Where a step is taken across the
/// antimeridian, a line along the world's whole width and a ring around the whole world still stay what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Antimeridian {
    /// The long way round, as RFC 7946 (3.1.1, 3.1.9) has it: what crosses the antimeridian is cut there by its source.
    AsWritten,
    /// Across the antimeridian when it is more than 350 degrees, so near to it on both sides; the long way otherwise.
    /// Much data of the whole world is not cut.
    #[default]
    Near,
    /// Across the antimeridian, always.
    Shortest,
}

impl Antimeridian {
    /// Longer steps, in degrees of longitude, are taken across; `None` when none is.
    pub(crate) fn longest_step(self) -> Option<f64> {
        match self {
            Self::AsWritten => None,
            Self::Near => Some(350.0),
            Self::Shortest => Some(180.0),
        }
    }
}

/// Whether lines of the same attributes, of which exactly two meet end to end, become one. The merged feature has the least of
/// their ids. Costs 48 bytes of memory a line while the layer is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeLines {
    /// Every feature stays what it is, with its own id.
    #[default]
    No,
    /// Where one's end is the other's start: for one-way streets, rivers, and whatever else has a direction.
    Directed,
    /// However they point; the line points as the piece of the least id does.
    Undirected,
}

/// What becomes of points that are too many for a zoom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointRule {
    /// Every point is drawn from the zoom that its own attributes say, or from the first.
    All,
    /// Of those that are too close, the most important is drawn; all are there at the deepest zoom.
    #[default]
    Thin,
    /// Those that are close become one point with their count. Attributes that say a zoom are not asked, since a count
    /// has to be right at each zoom.
    Cluster,
}

/// How points are clustered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterRule {
    /// Points within this distance of a cluster's heart join it, in pixels of a tile drawn 512 wide.
    pub radius: f64,
    /// The last zoom with clusters; `None` for the last but the deepest of the set.
    pub max_zoom: Option<u8>,
    /// Fewer points than this do not make a cluster.
    pub min_points: u64,
    /// Attributes that a cluster has of its points', by name, beside `point_count`. What is no number does not count.
    pub attributes: BTreeMap<String, Fold>,
}

impl Default for ClusterRule {
    fn default() -> Self {
        Self { radius: 40.0, max_zoom: None, min_points: 2, attributes: BTreeMap::new() }
    }
}

/// How numbers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// Their sum, a whole number when all are.
    Sum,
    /// The largest.
    Max,
    /// The least.
    Min,
    /// Their arithmetic mean.
    Mean,
}

/// Rules that make no sense.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum RulesError {
    /// Not a sensible distance.
    #[error("{name} is {value} pixels: it has to be above 0 and at most {PIXELS_MAX}, a whole tile")]
    Pixels {
        /// Which rule.
        name: &'static str,
        /// What was asked for.
        value: f64,
    },
    /// A cluster's own attributes cannot be made of its points'.
    #[error("{0:?} is what clusters say of themselves: no attribute of that name can be summed up")]
    Reserved(String),
    /// A cluster of one.
    #[error("a cluster needs at least 2 points, not {0}")]
    MinPoints(u64),
}

impl LayerRules {
    /// # Errors
    /// When a rule makes no sense.
    ///
    /// ```
    /// use watersmeet_tiles::{LayerRules, PointRule};
    /// let rules = LayerRules { points: PointRule::Thin, point_spacing: -1.0, ..LayerRules::default() };
    /// assert!(rules.check().unwrap_err().to_string().contains("point_spacing is -1 pixels"));
    /// ```
    pub fn check(&self) -> Result<(), RulesError> {
        for (name, value) in [("point_spacing", self.point_spacing), ("cluster.radius", self.cluster.radius)]
        {
            if !(value > 0.0 && value <= PIXELS_MAX) {
                return Err(RulesError::Pixels { name, value });
            }
        }
        for name in RESERVED {
            if self.cluster.attributes.contains_key(name) {
                return Err(RulesError::Reserved(name.to_owned()));
            }
        }
        match self.cluster.min_points {
            few @ 0..2 => Err(RulesError::MinPoints(few)),
            _ => Ok(()),
        }
    }
}
