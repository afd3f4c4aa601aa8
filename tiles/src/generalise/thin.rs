//! Thinning: of the points in a square of the grid, the most important one is shown; of points that have a rank, besides,
//! no more of a layer than a zoom has room for.
//!
//! One idea: the squares of a zoom are made up of four of the next one's, and importance is one order for all. So who
//! is best in a square is best in the part of it where it lies, a point that has appeared stays when one zooms in, and
//! all zooms together are one number for each point. Going up from the deepest zoom, only those shown there can
//! still be shown, so the whole costs a sort.
//!
//! Source: the idea of a quadtree of best candidates is that of Das Sarma et al., Efficient spatial sampling of large
//! geographical tables, SIGMOD 2012.

use crate::coord::{Point, WORLD};
use crate::feature::{Feature, Geometry};

use super::world_units;

/// So many points of a layer show at zoom 0, where they have a rank.
const RANKED_AT_ZOOM_0: f64 = 16.0;

/// How many times as many each further zoom shows: tippecanoe's drop rate. A zoom has four times the room of the one
/// before, but places lie close together.
const MORE_EACH_ZOOM: f64 = 2.5;

/// The least zoom that shows the point of this place in the order of importance, as far as its rank goes: the world's first
/// towns at first, then the country's, whatever they count and however little there is beside them.
pub(super) fn zoom_of_rank(place: u32) -> u8 {
    let mut shown = RANKED_AT_ZOOM_0;
    let mut zoom = 0;
    while f64::from(place) >= shown {
        shown *= MORE_EACH_ZOOM;
        zoom += 1;
    }
    zoom
}

/// A point, in the order of the squares.
#[derive(Clone, Copy)]
struct Candidate {
    /// Its square at the deepest zoom that is thinned, along the Z-order curve: two bits less are those of the square
    /// one zoom up.
    square: u64,
    /// 0 for the most important.
    order: u32,
    feature: u32,
}

/// For each feature the least zoom at which one of its points is shown; the deepest zoom for those never thinned in, 0
/// for what is no point. Squares have a side of `spacing` pixels.
pub(super) fn least_zooms(features: &[Feature], order: &[u32], spacing: f64, max_zoom: u8) -> Vec<u8> {
    let mut zooms: Vec<u8> =
        features.iter().map(|f| if super::is_points(f) { max_zoom } else { 0 }).collect();
    let Some(thinnest) = max_zoom.checked_sub(1) else { return zooms };
    let side = world_units(spacing, thinnest);
    let mut shown = candidates(features, order, side);
    shown.sort_unstable_by_key(|candidate| (candidate.square, candidate.order));
    for zoom in (0..=thinnest).rev() {
        let up = 2 * u32::from(thinnest - zoom);
        keep_best(&mut shown, |candidate| candidate.square.checked_shr(up).unwrap_or(0));
        shown.iter().for_each(|candidate| zooms[candidate.feature as usize] = zoom);
    }
    zooms
}

fn candidates(features: &[Feature], order: &[u32], side: i64) -> Vec<Candidate> {
    let each = |(feature, (of, order)): (u32, (&Feature, &u32))| {
        let points = match &of.geometry {
            Geometry::Points(points) => &points[..],
            Geometry::Lines(_) | Geometry::Polygons(_) => &[],
        };
        let candidate = |point: &Point| Candidate { square: square(*point, side), order: *order, feature };
        points.iter().map(candidate).collect::<Vec<_>>()
    };
    (0..).zip(features.iter().zip(order)).flat_map(each).collect()
}

/// Keeps of each run of candidates in one square the most important.
fn keep_best(shown: &mut Vec<Candidate>, square: impl Fn(&Candidate) -> u64) {
    let mut kept = 0;
    for index in 0..shown.len() {
        let candidate = shown[index];
        let same = kept > 0 && square(&shown[kept - 1]) == square(&candidate);
        if !same {
            shown[kept] = candidate;
            kept += 1;
        } else if candidate.order < shown[kept - 1].order {
            shown[kept - 1] = candidate;
        }
    }
    shown.truncate(kept);
}

/// The number of a point's square along the Z-order curve.
fn square(point: Point, side: i64) -> u64 {
    let along = |units: i32| spread(u32::try_from(i64::from(units).max(0) / side).unwrap_or(u32::MAX));
    along(point.x) | along(point.y) << 1
}

/// How far along the Z-order curve a point lies. What hangs over the world's edges lies on them.
pub(super) fn along_the_curve(point: Point) -> u64 {
    let inside = |units: i32| units.clamp(0, WORLD - 1);
    square(Point { x: inside(point.x), y: inside(point.y) }, 1)
}

/// Puts a zero before each bit (Warren, Hacker's Delight, 7-2).
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    for (shift, mask) in [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::feature::ANY_ZOOM;
    use quickcheck::quickcheck;

    fn features(list: &[(u16, u16)]) -> Vec<Feature> {
        let feature = |(id, (x, y)): (u64, &(u16, u16))| {
            let place = |part: u16| i32::from(part) * (WORLD / 65_536);
            let geometry = Geometry::Points(vec![Point { x: place(*x), y: place(*y) }]);
            Feature { id, tags: [].into(), min_zoom: 0, max_zoom: ANY_ZOOM, weight: 0, geometry }
        };
        (0..).zip(list).map(feature).collect()
    }

    #[test]
    fn bits_are_spread() {
        assert_eq!(spread(0b1011), 0b100_0101);
        assert_eq!(spread(u32::MAX), 0x5555_5555_5555_5555);
    }

    #[test]
    fn ranks_show_zoom_by_zoom() {
        assert_eq!([0, 15, 16, 39, 40, 99, 100].map(zoom_of_rank), [0, 0, 1, 1, 2, 2, 3]);
        assert_eq!(zoom_of_rank(u32::MAX), 22);
    }

    quickcheck! {
        /// At each zoom exactly the most important point of each square is shown, and at the deepest all are.
        fn each_square_shows_its_best(list: Vec<(u16, u16)>) -> bool {
            let features = features(&list);
            let order: Vec<u32> = (0..).take(list.len()).collect();
            let zooms = least_zooms(&features, &order, 32.0, 8);
            zooms.iter().all(|zoom| *zoom <= 8) && (0..8_u8).all(|zoom| {
                let side = world_units(32.0, zoom);
                let mut best = BTreeMap::new();
                for (index, feature) in features.iter().enumerate() {
                    let Geometry::Points(points) = &feature.geometry else { return false };
                    let square = (i64::from(points[0].x) / side, i64::from(points[0].y) / side);
                    best.entry(square).or_insert(index);
                }
                let expected: BTreeSet<_> = best.into_values().collect();
                let shown: BTreeSet<_> = (0..list.len()).filter(|index| zooms[*index] <= zoom).collect();
                shown == expected
            })
        }
    }
}
