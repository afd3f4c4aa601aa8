//! Which points matter most.
//!
//! One idea: one order for the whole layer, worked out once, that no neighbour and no zoom can change: what the data
//! says first, then a lot that each point draws by its id and place, which spreads what is shown evenly.

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::LayerRules;
use crate::coord::Point;
use crate::feature::{Dictionary, Feature, Geometry};

/// The attributes that say how important a point is where a layer's rules name none; the first that a feature has counts.
const POPULATION_NAMES: [&str; 4] = ["population", "pop_max", "pop", "POP_MAX"];

/// Whether rules ask for an attribute to find out how important a point is.
pub(super) fn asks(rules: &LayerRules, key: &str) -> bool {
    match &rules.rank {
        Some(name) => name == key,
        None => POPULATION_NAMES.contains(&key),
    }
}

/// The points of a layer by their importance.
pub(super) struct Order {
    /// Each feature's place, 0 for the first; features that are no points come last.
    pub(super) places: Vec<u32>,
    /// Whether any point has a rank.
    pub(super) is_ranked: bool,
}

/// Puts the points of a layer in order.
///
/// In order: the zoom from which the feature wants to be shown, the least first; its rank, the largest first; its lot.
pub(super) fn by_importance(features: &[Feature], dictionary: &Dictionary, rules: &LayerRules) -> Order {
    let key_named = |name: &str| {
        let index = dictionary.keys.iter().position(|key| &**key == name);
        index.and_then(|index| u32::try_from(index).ok())
    };
    let ranks: Vec<u32> = match &rules.rank {
        Some(name) => key_named(name).into_iter().collect(),
        None => POPULATION_NAMES.iter().filter_map(|name| key_named(name)).collect(),
    };
    let rank = |feature: &Feature| {
        let tagged = |key: &u32| feature.tags.iter().find(|tag| tag.0 == *key).map(|tag| tag.1);
        ranks.iter().find_map(tagged).and_then(|value| dictionary.values[value as usize].number())
    };
    let key = |(index, feature): (usize, &Feature)| {
        let place = first_place(feature);
        let unranked = place.is_none();
        let below = rank(feature).map_or(u64::MAX, |rank| !ascending(rank));
        let lot = place.map_or(0, |place| lot(feature.id, place));
        // 2^32 features are refused by no limit, but do not fit the memory of any build either.
        (unranked, feature.min_zoom, below, lot, place, feature.id, u32::try_from(index).unwrap_or(u32::MAX))
    };
    let mut keys: Vec<_> = features.par_iter().enumerate().map(key).collect();
    keys.par_sort_unstable();
    let mut places = vec![0; features.len()];
    for (place, key) in (0..).zip(&keys) {
        places[key.6 as usize] = place;
    }
    let is_ranked = keys.iter().any(|key| !key.0 && key.2 < u64::MAX);
    Order { places, is_ranked }
}

/// Where a feature's first point is; `None` for lines and polygons.
fn first_place(feature: &Feature) -> Option<Point> {
    match &feature.geometry {
        Geometry::Points(points) => points.first().copied(),
        Geometry::Lines(_) | Geometry::Polygons(_) => None,
    }
}

/// A number whose order among whole numbers is the doubles' (IEEE 754, 5.10); what is not a number comes first.
fn ascending(number: f64) -> u64 {
    if number.is_nan() {
        return 0;
    }
    let bits = number.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn lot(id: u64, place: Point) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&id.to_le_bytes());
    bytes[8..12].copy_from_slice(&place.x.to_le_bytes());
    bytes[12..].copy_from_slice(&place.y.to_le_bytes());
    xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::{ANY_ZOOM, Value};

    fn point(id: u64, min_zoom: u8, tags: &[(u32, u32)]) -> Feature {
        let geometry = Geometry::Points(vec![Point { x: 5, y: 5 }]);
        Feature { id, tags: tags.into(), min_zoom, max_zoom: ANY_ZOOM, weight: 0, geometry }
    }

    #[test]
    fn what_the_data_says_comes_first() {
        let dictionary = Dictionary {
            name: "l".into(),
            keys: vec!["pop".into(), "depth".into()],
            values: vec![Value::Natural(5), Value::Negative(-7), Value::Double(5.5), Value::Text("x".into())],
        };
        let features = [
            point(0, 3, &[(0, 2)]),
            point(1, 0, &[(0, 0)]),
            point(2, 0, &[(0, 2), (1, 1)]),
            point(3, 0, &[(0, 3), (1, 0)]),
        ];
        let order = |rules: &LayerRules| by_importance(&features, &dictionary, rules).places;
        assert_eq!(order(&LayerRules::default()), [3, 1, 0, 2]);
        let by_depth = order(&LayerRules { rank: Some("depth".into()), ..LayerRules::default() });
        assert_eq!([by_depth[3], by_depth[2], by_depth[1], by_depth[0]], [0, 1, 2, 3]);
    }

    #[test]
    fn doubles_keep_their_order() {
        let numbers = [f64::NAN, f64::NEG_INFINITY, -2.0, -0.5, 0.0, 0.5, 3.0, f64::INFINITY];
        assert!(numbers.windows(2).all(|pair| ascending(pair[0]) < ascending(pair[1])));
    }
}
