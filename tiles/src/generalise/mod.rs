//! Generalising: what a zoom shows of a layer when its features have to share the room.
//!
//! One idea: what depends on a feature's neighbours is decided here, once, over the whole layer and before anything is
//! cut, and comes out as [ranking](crate::rank)'s own rules do: as a zoom written beside the thing it speaks of, or as
//! a feature more. So a tile still depends on its cell alone. Ties go by place and id, never by the order of the file:
//! a layer that is shuffled gives the same map. Not here: what one feature says of itself (see [`rank`](crate::rank)).
//!
//! The rules in plain words: `docs/cartography.md`.

mod borders;
mod cluster;
mod fold;
mod merge;
mod order;
mod rules;
mod specks;
mod thin;

use rayon::prelude::*;

use crate::coord::WORLD_BITS;
use crate::feature::{Dictionary, Feature, Geometry};
use crate::options::RenderOptions;
use crate::rank::Ranker;

pub use borders::{Pins, Visits};
pub(crate) use merge::{ByLead, Joins, LineEnds, Member, merge_lines};
pub use rules::{Antimeridian, ClusterRule, Fold, LayerRules, MergeLines, PointRule, RulesError};
pub(crate) use specks::{Dots, Specks};

/// Tiles are drawn this many CSS pixels wide: what a rule says in pixels is meant on such a tile.
const TILE_PIXELS: f64 = 512.0;

/// Applies a layer's rules to its ranked features: sets zooms and weights, and adds clusters at the end.
pub(crate) fn layer(
    features: &mut Vec<Feature>,
    dictionary: &mut Dictionary,
    rules: &LayerRules,
    options: &RenderOptions,
) {
    shapes(features, rules, options);
    if features.iter().any(is_points) {
        points(features, dictionary, rules, options);
    }
}

/// Lines and polygons: shared borders, and small rings as dots.
fn shapes(features: &mut [Feature], rules: &LayerRules, options: &RenderOptions) {
    let mut shapes = Shapes::new(rules, options);
    if rules.shared_borders {
        let mut visits = Visits::new(0, 1);
        features.iter().for_each(|feature| visits.feature(feature));
        shapes.pins = visits.pins();
    }
    let mut specks = Specks::default();
    (0..).zip(&*features).for_each(|(number, feature)| specks.add(number, feature, options));
    shapes.dots = specks.dots(options);
    features.par_iter_mut().enumerate().for_each(|(number, feature)| shapes.apply(number, feature));
}

/// What has been decided over a whole layer about its lines and polygons.
pub(crate) struct Shapes {
    ranker: Ranker,
    pub(crate) pins: Pins,
    pub(crate) dots: Dots,
}

impl Shapes {
    pub(crate) fn new(rules: &LayerRules, options: &RenderOptions) -> Self {
        Self { ranker: Ranker::new(options, rules), pins: Pins::default(), dots: Dots::default() }
    }

    /// Writes it beside the vertices and rings of the layer's feature of this number.
    pub(crate) fn apply(&self, number: usize, feature: &mut Feature) {
        if !self.pins.is_empty() {
            self.pins.hold(feature, &self.ranker);
        }
        self.dots.apply(u32::try_from(number).unwrap_or(u32::MAX), feature);
    }
}

fn points(
    features: &mut Vec<Feature>,
    dictionary: &mut Dictionary,
    rules: &LayerRules,
    options: &RenderOptions,
) {
    let order::Order { places: order, is_ranked } = order::by_importance(features, dictionary, rules);
    let count = order.len() as u64;
    if rules.points == PointRule::Cluster {
        let clusters = cluster::clusters(features, &order, dictionary, &rules.cluster, options.max_zoom);
        features.iter_mut().filter(|f| is_points(f)).for_each(|f| f.weight = weight(f.min_zoom, 1, count));
        features.extend(clusters);
        return;
    }
    let zooms = thin::least_zooms(features, &order, rules.point_spacing, options.max_zoom);
    for (index, feature) in features.iter_mut().enumerate().filter(|(_, feature)| is_points(feature)) {
        let share = if is_ranked { thin::zoom_of_rank(order[index]).min(options.max_zoom) } else { 0 };
        let zoom = feature.min_zoom.max(zooms[index]).max(share);
        if rules.points == PointRule::Thin {
            feature.min_zoom = zoom;
        }
        feature.weight = weight(zoom, count - u64::from(order[index]), count);
    }
}

/// Whether a layer's rules ask for an attribute of its points.
pub(crate) fn asks(rules: &LayerRules, key: &str) -> bool {
    order::asks(rules, key) || rules.cluster.attributes.contains_key(key)
}

fn is_points(feature: &Feature) -> bool {
    matches!(feature.geometry, Geometry::Points(_))
}

/// What a point weighs when a tile is too large, in world units: as much as a line through a tile of the zoom at which
/// it appears, and up to twice that by its share.
fn weight(zoom: u8, share: u64, of: u64) -> u32 {
    let base = 1_u64 << (WORLD_BITS - zoom.min(WORLD_BITS));
    u32::try_from(base + (base - 1) * share / of.max(1)).unwrap_or(u32::MAX)
}

/// Pixels of a tile of zoom `zoom` in world units, at least one.
#[expect(clippy::cast_possible_truncation, reason = "clamped; rules keep pixels small")]
fn world_units(pixels: f64, zoom: u8) -> i64 {
    let tile = f64::from(WORLD_BITS - zoom.min(WORLD_BITS)).exp2();
    (pixels * tile / TILE_PIXELS).round().max(1.0) as i64
}
