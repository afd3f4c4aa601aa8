//! Cleaning: makes valid polygons of rings that simplifying and rounding may have folded over.
//!
//! One idea: after rounding, a polygon is whatever the rings wind around, worked out afresh on the integer grid. Outer
//! rings wind one way and holes the other, so parts that overlap become one and a hole that sticks out only sticks out.
//! Most rings need none of it: where none touch and each hole lies in an outer ring, they are what they wind around.
//! Not here: the algorithm itself, which is `i_overlay`'s; and anything about lines, which may cross themselves.

mod rows;
mod touch;
mod untangle;

use i_overlay::core::fill_rule::FillRule;
use i_overlay::core::overlay::{IntOverlayOptions, Overlay};
use i_overlay::core::solver::Solver;
use i_overlay::i_float::int::point::IntPoint;

use crate::simplify::{TilePaths, TilePoint};
use rows::Rows;
use untangle::Untangle;

/// Working memory for cleaning, to be used again from feature to feature.
pub struct Cleaner {
    overlay: Overlay<i32>,
    untangle: Untangle,
    rows: Rows,
    outlines: Vec<Outline>,
    order: Vec<Placed>,
}

/// The search for the outer rings of holes is left to the cleaner when it would compare more pairs.
const PAIRS_MAX: usize = 1 << 20;

/// A ring's place in the order of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which ring.
    pub ring: usize,
    /// Whether it has to be walked backwards, for an outer ring to have a positive area and a hole a negative one.
    pub backwards: bool,
}

/// A ring's box and twice its area, and what it is a border of.
#[derive(Clone, Copy)]
struct Outline {
    min: TilePoint,
    max: TilePoint,
    doubled_area: i64,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Outer,
    /// Of this outer ring.
    Hole(usize),
    /// Inside and outside belong to the area.
    Neither,
}

impl Default for Cleaner {
    fn default() -> Self {
        let overlay = Overlay::new_custom(64, IntOverlayOptions::ogc(), Solver::default());
        Self {
            overlay,
            untangle: Untangle::default(),
            rows: Rows::default(),
            outlines: Vec::new(),
            order: Vec::new(),
        }
    }
}

impl Cleaner {
    /// Makes valid polygons of rings that hardly touch: each outer ring, then its holes. `None` when they touch or cross
    /// in ways that take the whole cleaner; the rings mean nothing then.
    pub fn order(&mut self, rings: &mut TilePaths) -> Option<&[Placed]> {
        if !self.untangle.untangle(rings) {
            return None;
        }
        self.outlines.clear();
        self.outlines.extend(rings.iter().map(outline));
        self.order.clear();
        if !self.find_roles(rings) {
            return None;
        }
        // Holes by outer ring, each kind in the order in which it came.
        let outlines = &self.outlines;
        let role = |ring: &usize| match outlines[*ring].role {
            Role::Outer => Some((*ring, false)),
            Role::Hole(around) => Some((around, true)),
            Role::Neither => None,
        };
        let placed = |ring: usize| {
            let is_hole = matches!(outlines[ring].role, Role::Hole(_));
            Placed { ring, backwards: (outlines[ring].doubled_area < 0) != is_hole }
        };
        self.order.extend((0..rings.len()).filter(|ring| role(ring).is_some()).map(placed));
        self.order.sort_by_key(|placed| role(&placed.ring));
        Some(&self.order)
    }

    /// What each ring is, by how often the others wind around it: a border of the area only if the area is on one side of
    /// it alone. No two rings have more than single points in common, so the middle of any edge speaks for its ring.
    /// False when that would take too long.
    fn find_roles(&mut self, rings: &TilePaths) -> bool {
        if let [only] = &mut self.outlines[..] {
            only.role = Role::Outer;
            return only.doubled_area != 0;
        }
        if !self.rows.fill(rings, &self.outlines) {
            return false;
        }
        let mut outers = Vec::new();
        for (index, outline) in self.outlines.iter_mut().enumerate() {
            let outside = self.rows.winding(middle(rings.path(index)), index);
            let inside = outside + outline.doubled_area.signum();
            outline.role = match (outside == 0, inside == 0) {
                (true, false) => Role::Outer,
                // Whose, is found when all outer rings are known.
                (false, true) => Role::Hole(index),
                _ => Role::Neither,
            };
            if outline.role == Role::Outer {
                outers.push(index);
            }
        }
        if outers.len() * rings.len() > PAIRS_MAX {
            return false;
        }
        outers.sort_unstable_by_key(|outer| self.outlines[*outer].doubled_area.abs());
        (0..rings.len()).all(|index| {
            if self.outlines[index].role != Role::Hole(index) {
                return true;
            }
            let own = self.outlines[index];
            let mut around =
                outers.iter().copied().filter(|outer| self.outlines[*outer].holds(&own)).peekable();
            let first = around.next();
            // With one ring around it, there is nothing to choose from.
            let chosen = match (first, around.peek()) {
                (Some(first), Some(_)) => {
                    let middle = middle(rings.path(index));
                    std::iter::once(first).chain(around).find(|outer| is_inside(rings.path(*outer), middle))
                }
                _ => first,
            };
            chosen.map(|outer| self.outlines[index].role = Role::Hole(outer)).is_some()
        })
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
    Outline { min, max, doubled_area, role: Role::Neither }
}

impl Outline {
    fn holds(&self, other: &Self) -> bool {
        self.min.x < other.min.x
            && self.max.x > other.max.x
            && self.min.y < other.min.y
            && self.max.y > other.max.y
    }
}

/// The middle of a ring's first edge, in halves of units.
fn middle(ring: &[TilePoint]) -> TilePoint {
    TilePoint { x: ring[0].x + ring[1].x, y: ring[0].y + ring[1].y }
}

/// Whether a point that is not on the ring lies in it: a line from there to the west crosses it an odd number of times.
/// The point is in halves of units.
fn is_inside(ring: &[TilePoint], point: TilePoint) -> bool {
    let before = ring[ring.len() - 1..].iter().chain(ring);
    before.zip(ring).filter(|(from, to)| rows::crosses(**from, **to, point)).count() % 2 == 1
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
        assert_eq!(ordered(std::slice::from_ref(&bow_tie)).unwrap(), [50, 50]);
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

    /// The doubled areas of untangled rings in order, as they are to be walked.
    fn ordered(rings: &[Vec<TilePoint>]) -> Option<Vec<i64>> {
        let mut paths = paths(rings);
        let mut cleaner = Cleaner::default();
        let order = cleaner.order(&mut paths)?;
        let area = |placed: &Placed| {
            let area = outline(paths.path(placed.ring)).doubled_area;
            if placed.backwards { -area } else { area }
        };
        Some(order.iter().map(area).collect())
    }

    #[test]
    fn rings_are_put_in_order_by_what_they_wind_around() {
        let square =
            |at: i64, side: i64| ring(&[(at, at), (at + side, at), (at + side, at + side), (at, at + side)]);
        let hole = |at: i64, side: i64| square(at, side).into_iter().rev().collect::<Vec<_>>();
        let order = |rings: &[Vec<TilePoint>]| ordered(rings).unwrap();
        assert_eq!(order(&[square(0, 10)]), [200]);
        // An island in a lake, the lake's land last.
        assert_eq!(order(&[hole(10, 50), square(20, 10), square(0, 100)]), [200, 20_000, -5000]);
        assert_eq!(
            order(&[square(0, 100), square(200, 10), hole(202, 2), hole(5, 5)]),
            [20_000, -50, 200, -8]
        );
        assert_eq!(order(&[square(0, 100), square(10, 10)]), [20_000], "land in land");
        assert_eq!(
            order(&[square(0, 100), hole(10, 50), hole(20, 10)]),
            [20_000, -5000, 200],
            "a hole in a hole"
        );
        assert_eq!(order(&[hole(200, 10)]), [200], "a hole in nothing");
        assert_eq!(order(&[]), [0_i64; 0]);
        assert_eq!(ordered(&[square(0, 10), square(5, 10)]), None, "rings that cross take the whole cleaner");
    }

    /// Whether two segments cross in the inside of both.
    fn cross(a: [TilePoint; 2], b: [TilePoint; 2]) -> bool {
        let turn = |p: TilePoint, q: TilePoint, r: TilePoint| {
            ((q.x - p.x) * (r.y - p.y) - (r.x - p.x) * (q.y - p.y)).signum()
        };
        turn(a[0], a[1], b[0]) * turn(a[0], a[1], b[1]) < 0
            && turn(b[0], b[1], a[0]) * turn(b[0], b[1], a[1]) < 0
    }

    /// Whether two edges have a single point in common that has to be rounded, be it to a vertex.
    fn cross_off_the_grid(rings: &[Vec<TilePoint>]) -> bool {
        let edges: Vec<_> = rings
            .iter()
            .flat_map(|ring| (0..ring.len()).map(|i| (ring[i], ring[(i + 1) % ring.len()])))
            .collect();
        let minus = |p: TilePoint, q: TilePoint| (p.x - q.x, p.y - q.y);
        let cross = |p: (i64, i64), q: (i64, i64)| p.0 * q.1 - p.1 * q.0;
        let off_the_grid = |(a, b): (TilePoint, TilePoint), (c, d): (TilePoint, TilePoint)| {
            let (along, across) = (minus(b, a), minus(d, c));
            let whole = cross(along, across);
            if whole == 0 {
                return false;
            }
            let (first, second) = (cross(minus(c, a), across), cross(minus(c, a), along));
            let on_both =
                [first, second].iter().all(|part| (0..=whole.abs()).contains(&(part * whole.signum())));
            on_both && (along.0 * first % whole != 0 || along.1 * first % whole != 0)
        };
        edges.iter().any(|one| edges.iter().any(|other| off_the_grid(*one, *other)))
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

        /// Rings that are untangled enclose what the cleaner would have made of them, wherever no crossing is rounded.
        fn untangled_rings_are_what_they_wind_around(rings: Vec<Vec<(u8, u8)>>) -> bool {
            let rings: Vec<_> = rings
                .iter()
                .take(3)
                .map(|r| ring(&r.iter().take(7).map(|(x, y)| (i64::from(x % 8), i64::from(y % 8))).collect::<Vec<_>>()))
                .collect();
            let mut parted = paths(&rings);
            let Some(areas) = ordered(&rings) else { return true };
            assert!(Untangle::default().untangle(&mut parted));
            cross_off_the_grid(&rings) || areas.iter().sum::<i64>() == cleaned(&rings).1.iter().sum::<i64>()
        }
    }
}
