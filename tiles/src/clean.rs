//! Cleaning: makes valid polygons of rings that simplifying and rounding may have folded over.
//!
//! One idea: after rounding, a polygon is whatever the rings wind around, worked out afresh on the integer grid. Outer
//! rings wind one way and holes the other, so parts that overlap become one and a hole that sticks out only sticks out.
//! Not here: the algorithm itself, which is `i_overlay`'s; and anything about lines, which may cross themselves.

use i_overlay::core::fill_rule::FillRule;
use i_overlay::core::overlay::{IntOverlayOptions, Overlay};
use i_overlay::i_float::int::point::IntPoint;

use crate::simplify::TilePoint;

/// A valid polygon in tile units: the outer ring, of positive area as vector tiles want it, then the holes, of
/// negative area. Rings do not repeat their first point.
pub type Polygon = Vec<Vec<IntPoint<i32>>>;

/// Working memory for cleaning, to be used again from feature to feature.
pub struct Cleaner(Overlay<i32>);

impl Default for Cleaner {
    fn default() -> Self {
        Self(Overlay::new_custom(64, IntOverlayOptions::ogc(), i_overlay::core::solver::Solver::default()))
    }
}

impl Cleaner {
    /// The valid polygons that the clipped rings wind around; none when they have no area on the grid.
    pub fn polygons(&mut self, rings: &[Vec<TilePoint>]) -> Vec<Polygon> {
        let contours: Vec<Vec<IntPoint<i32>>> =
            rings.iter().filter(|ring| ring.len() > 2).map(|ring| contour(ring)).collect();
        if contours.is_empty() {
            return Vec::new();
        }
        self.0.simplify_source(&contours, FillRule::NonZero)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clipped: within the extent and its buffer")]
fn contour(ring: &[TilePoint]) -> Vec<IntPoint<i32>> {
    ring.iter().map(|point| IntPoint::new(point.x as i32, point.y as i32)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use quickcheck::quickcheck;

    pub(crate) fn doubled_area(ring: &[IntPoint<i32>]) -> i64 {
        let next = ring.iter().cycle().skip(1);
        ring.iter()
            .zip(next)
            .map(|(a, b)| i64::from(a.x) * i64::from(b.y) - i64::from(b.x) * i64::from(a.y))
            .sum()
    }

    fn ring(list: &[(i64, i64)]) -> Vec<TilePoint> {
        list.iter().map(|(x, y)| TilePoint { x: *x, y: *y }).collect()
    }

    #[test]
    fn a_bow_tie_becomes_two_triangles() {
        let bow_tie = ring(&[(0, 0), (10, 10), (10, 0), (0, 10)]);
        let polygons = Cleaner::default().polygons(&[bow_tie]);
        assert_eq!(polygons.len(), 2);
        assert!(polygons.iter().all(|polygon| doubled_area(&polygon[0]) == 50));
    }

    #[test]
    fn a_hole_stays_a_hole_and_a_flat_ring_goes() {
        let outer = ring(&[(0, 0), (100, 0), (100, 100), (0, 100)]);
        let hole = ring(&[(10, 10), (10, 20), (20, 20), (20, 10)]);
        let flat = ring(&[(50, 50), (60, 50), (55, 50)]);
        let polygons = Cleaner::default().polygons(&[outer, hole, flat.clone()]);
        assert_eq!(polygons.len(), 1);
        assert_eq!(polygons[0].iter().map(|r| doubled_area(r)).collect::<Vec<_>>(), [20_000, -200]);
        assert!(Cleaner::default().polygons(&[flat]).is_empty());
    }

    #[test]
    fn overlapping_parts_become_one() {
        let a = ring(&[(0, 0), (10, 0), (10, 10), (0, 10)]);
        let b = ring(&[(5, 0), (15, 0), (15, 10), (5, 10)]);
        let polygons = Cleaner::default().polygons(&[a, b]);
        assert_eq!(polygons.len(), 1);
        assert_eq!(doubled_area(&polygons[0][0]), 300);
    }

    /// Whether two segments cross in the inside of both.
    fn cross(a: [IntPoint<i32>; 2], b: [IntPoint<i32>; 2]) -> bool {
        let turn = |p: IntPoint<i32>, q: IntPoint<i32>, r: IntPoint<i32>| {
            let d = |a: i32, b: i32| i64::from(a) - i64::from(b);
            (d(q.x, p.x) * d(r.y, p.y) - d(r.x, p.x) * d(q.y, p.y)).signum()
        };
        turn(a[0], a[1], b[0]) * turn(a[0], a[1], b[1]) < 0
            && turn(b[0], b[1], a[0]) * turn(b[0], b[1], a[1]) < 0
    }

    quickcheck! {
        fn cleaned_polygons_are_valid(rings: Vec<Vec<(u8, u8)>>) -> bool {
            // A few short rings on a small grid cross each other in every way there is; more only take longer.
            let rings: Vec<_> = rings
                .iter()
                .take(4)
                .map(|r| ring(&r.iter().take(12).map(|(x, y)| (i64::from(*x), i64::from(*y))).collect::<Vec<_>>()))
                .collect();
            let polygons = Cleaner::default().polygons(&rings);
            let edges: Vec<_> = polygons
                .iter()
                .flatten()
                .flat_map(|r| (0..r.len()).map(|i| [r[i], r[(i + 1) % r.len()]]))
                .collect();
            let no_crossing = edges.iter().enumerate().all(|(i, a)| edges[i + 1..].iter().all(|b| !cross(*a, *b)));
            let wound = polygons.iter().all(|p| {
                doubled_area(&p[0]) > 0 && p[1..].iter().all(|hole| doubled_area(hole) < 0)
            });
            no_crossing && wound && polygons.iter().flatten().all(|r| r.len() > 2)
        }
    }
}
