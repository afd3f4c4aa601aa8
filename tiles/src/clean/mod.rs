//! Cleaning: makes valid polygons of rings that simplifying and rounding may have folded over.
//!
//! One idea: after rounding, a polygon is whatever the rings wind around, worked out afresh on the integer grid. Outer
//! rings wind one way and holes the other, so parts that overlap become one and a hole that sticks out only sticks out.
//! Most rings need none of it: where none touch and each hole lies in an outer ring, they are what they wind around.
//! Not here: the algorithm itself, which is `i_overlay`'s; and anything about lines, which may cross themselves.

mod touch;

use i_overlay::core::fill_rule::FillRule;
use i_overlay::core::overlay::{IntOverlayOptions, Overlay};
use i_overlay::core::solver::Solver;
use i_overlay::i_float::int::point::IntPoint;

use crate::simplify::{TilePaths, TilePoint};
use touch::Touch;

/// The nesting of more rings than that is left to the cleaner: here each is compared with each.
const RINGS_MAX: usize = 512;

/// Working memory for cleaning, to be used again from feature to feature.
pub struct Cleaner {
    overlay: Overlay<i32>,
    touch: Touch,
    outlines: Vec<Outline>,
    order: Vec<usize>,
}

/// A ring's box and twice its area, positive for an outer one.
#[derive(Clone, Copy)]
struct Outline {
    min: TilePoint,
    max: TilePoint,
    doubled_area: i64,
    /// The ring around a hole.
    parent: usize,
}

impl Default for Cleaner {
    fn default() -> Self {
        let overlay = Overlay::new_custom(64, IntOverlayOptions::ogc(), Solver::default());
        Self { overlay, touch: Touch::default(), outlines: Vec::new(), order: Vec::new() }
    }
}

impl Cleaner {
    /// The order in which rings that are clean as they are make valid polygons: each outer ring, then its holes. `None`
    /// when they touch or lie in each other as no polygon's rings do.
    pub fn order(&mut self, rings: &TilePaths) -> Option<&[usize]> {
        if rings.len() > RINGS_MAX || self.touch.may_touch(rings) {
            return None;
        }
        self.outlines.clear();
        self.outlines.extend(rings.iter().map(outline));
        self.order.clear();
        if let [only] = self.outlines[..] {
            self.order.push(0);
            return (only.doubled_area > 0).then_some(&self.order);
        }
        for index in 0..rings.len() {
            self.outlines[index].parent = self.parent(rings, index)?;
        }
        for outer in (0..rings.len()).filter(|index| self.outlines[*index].doubled_area > 0) {
            let holes =
                (0..rings.len()).filter(|index| *index != outer && self.outlines[*index].parent == outer);
            self.order.push(outer);
            self.order.extend(holes);
        }
        Some(&self.order)
    }

    /// The ring around a hole, or an outer ring itself; `None` when the rings around it wind around it otherwise than
    /// once around a hole and not at all around an outer ring. No two rings touch, so any point speaks for its ring.
    fn parent(&self, rings: &TilePaths, index: usize) -> Option<usize> {
        let own = self.outlines[index];
        let point = rings.path(index)[0];
        let mut winding = 0;
        let mut parent = index;
        for (other, around) in self.outlines.iter().enumerate() {
            if other == index || !around.holds(&own) || !is_inside(rings.path(other), point) {
                continue;
            }
            winding += around.doubled_area.signum();
            let is_least = parent == index || around.doubled_area < self.outlines[parent].doubled_area;
            if around.doubled_area > 0 && is_least {
                parent = other;
            }
        }
        let is_hole = own.doubled_area < 0;
        (winding == i64::from(is_hole)).then_some(if is_hole { parent } else { index })
    }

    /// The valid polygons that rings wind around, as rings in order; none when they have no area on the grid. Outer
    /// rings have a positive area, as vector tiles want it, and holes a negative one.
    pub fn polygons(&mut self, rings: &[Vec<TilePoint>], out: &mut TilePaths) {
        out.clear();
        let contours: Vec<Vec<IntPoint<i32>>> =
            rings.iter().filter(|ring| ring.len() > 2).map(|ring| contour(ring)).collect();
        if contours.is_empty() {
            return;
        }
        for ring in self.overlay.simplify_source(&contours, FillRule::NonZero).iter().flatten() {
            ring.iter().for_each(|point| out.push(TilePoint { x: point.x.into(), y: point.y.into() }));
            out.finish_ring();
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clipped: within the extent and its buffer")]
fn contour(ring: &[TilePoint]) -> Vec<IntPoint<i32>> {
    ring.iter().map(|point| IntPoint::new(point.x as i32, point.y as i32)).collect()
}

fn outline(ring: &[TilePoint]) -> Outline {
    let (mut min, mut max) = (ring[0], ring[0]);
    let mut before = ring[ring.len() - 1];
    let mut doubled_area = 0;
    for point in ring {
        min = TilePoint { x: min.x.min(point.x), y: min.y.min(point.y) };
        max = TilePoint { x: max.x.max(point.x), y: max.y.max(point.y) };
        doubled_area += before.x * point.y - point.x * before.y;
        before = *point;
    }
    Outline { min, max, doubled_area, parent: 0 }
}

impl Outline {
    fn holds(&self, other: &Self) -> bool {
        self.min.x < other.min.x
            && self.max.x > other.max.x
            && self.min.y < other.min.y
            && self.max.y > other.max.y
    }
}

/// Whether a point that is not on the ring lies in it: a line from there to the west crosses it an odd number of times.
fn is_inside(ring: &[TilePoint], point: TilePoint) -> bool {
    let mut before = ring[ring.len() - 1];
    let mut inside = false;
    for next in ring.iter().copied() {
        if (before.y < point.y) != (next.y < point.y) {
            let (a, b) = if before.y < next.y { (before, next) } else { (next, before) };
            let east = (b.x - a.x) * (point.y - a.y) - (point.x - a.x) * (b.y - a.y);
            inside ^= east < 0;
        }
        before = next;
    }
    inside
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn ring(list: &[(i64, i64)]) -> Vec<TilePoint> {
        list.iter().map(|(x, y)| TilePoint { x: *x, y: *y }).collect()
    }

    /// Cleaned rings and their doubled areas.
    fn cleaned(rings: &[Vec<TilePoint>]) -> (TilePaths, Vec<i64>) {
        let mut out = TilePaths::default();
        Cleaner::default().polygons(rings, &mut out);
        let areas = out.iter().map(|ring| outline(ring).doubled_area).collect();
        (out, areas)
    }

    fn paths(rings: &[Vec<TilePoint>]) -> TilePaths {
        let mut paths = TilePaths::default();
        for ring in rings {
            paths.extend(ring);
            paths.finish_ring();
        }
        paths
    }

    #[test]
    fn a_bow_tie_becomes_two_triangles() {
        let bow_tie = ring(&[(0, 0), (10, 10), (10, 0), (0, 10)]);
        assert!(Cleaner::default().order(&paths(std::slice::from_ref(&bow_tie))).is_none());
        assert_eq!(cleaned(&[bow_tie]).1, [50, 50]);
    }

    #[test]
    fn a_hole_stays_a_hole_and_a_flat_ring_goes() {
        let outer = ring(&[(0, 0), (100, 0), (100, 100), (0, 100)]);
        let hole = ring(&[(10, 10), (10, 20), (20, 20), (20, 10)]);
        let flat = ring(&[(50, 50), (60, 50), (55, 50)]);
        assert_eq!(cleaned(&[outer, hole, flat.clone()]).1, [20_000, -200]);
        assert!(cleaned(&[flat]).0.is_empty());
    }

    #[test]
    fn overlapping_parts_become_one() {
        let a = ring(&[(0, 0), (10, 0), (10, 10), (0, 10)]);
        let b = ring(&[(5, 0), (15, 0), (15, 10), (5, 10)]);
        assert_eq!(cleaned(&[a, b]).1, [300]);
    }

    #[test]
    fn rings_are_put_in_order_only_when_they_are_polygons() {
        let square =
            |at: i64, side: i64| ring(&[(at, at), (at + side, at), (at + side, at + side), (at, at + side)]);
        let hole = |at: i64, side: i64| square(at, side).into_iter().rev().collect::<Vec<_>>();
        let mut cleaner = Cleaner::default();
        let mut order = |rings: &[Vec<TilePoint>]| cleaner.order(&paths(rings)).map(<[_]>::to_vec);
        assert_eq!(order(&[square(0, 10)]), Some(vec![0]));
        assert_eq!(order(&[hole(0, 10)]), None);
        // An island in a lake, the lake's land last.
        assert_eq!(order(&[hole(10, 50), square(20, 10), square(0, 100)]), Some(vec![1, 2, 0]));
        assert_eq!(
            order(&[square(0, 100), square(200, 10), hole(202, 2), hole(5, 5)]),
            Some(vec![0, 3, 1, 2])
        );
        assert_eq!(order(&[square(0, 100), square(10, 10)]), None, "land in land");
        assert_eq!(order(&[square(0, 100), hole(10, 50), hole(20, 10)]), None, "a hole in a hole");
        assert_eq!(order(&[square(0, 100), hole(200, 10)]), None, "a hole in nothing");
        assert_eq!(order(&[]), Some(vec![]));
    }

    /// Whether two segments cross in the inside of both.
    fn cross(a: [TilePoint; 2], b: [TilePoint; 2]) -> bool {
        let turn = |p: TilePoint, q: TilePoint, r: TilePoint| {
            ((q.x - p.x) * (r.y - p.y) - (r.x - p.x) * (q.y - p.y)).signum()
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
            let (rings, areas) = cleaned(&rings);
            let edges: Vec<_> =
                rings.iter().flat_map(|r| (0..r.len()).map(|i| [r[i], r[(i + 1) % r.len()]])).collect();
            let no_crossing = edges.iter().enumerate().all(|(i, a)| edges[i + 1..].iter().all(|b| !cross(*a, *b)));
            no_crossing && areas.iter().all(|area| *area != 0) && areas.first().is_none_or(|area| *area > 0)
        }

        /// Rings that are said to be clean enclose what the cleaner would have made of them.
        fn clean_rings_are_what_they_wind_around(rings: Vec<Vec<(u8, u8)>>) -> bool {
            let rings: Vec<_> = rings
                .iter()
                .take(3)
                .map(|r| ring(&r.iter().take(5).map(|(x, y)| (i64::from(*x), i64::from(*y))).collect::<Vec<_>>()))
                .collect();
            let paths = paths(&rings);
            let Some(order) = Cleaner::default().order(&paths).map(<[_]>::to_vec) else { return true };
            let area: i64 = order.iter().map(|index| outline(paths.path(*index)).doubled_area).sum();
            order.len() == paths.len() && area == cleaned(&rings).1.iter().sum::<i64>()
        }
    }
}
