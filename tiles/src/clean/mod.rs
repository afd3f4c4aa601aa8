//! Cleaning: makes valid polygons of rings that simplifying and rounding may have folded over.
//!
//! One idea: after rounding, a polygon is whatever the rings wind around (the non-zero rule), worked out afresh on the
//! integer grid: rings are divided where they touch (`node`), and what has the area on one side only is its border
//! (`border`). Outer rings wind one way and holes the other, so parts that overlap become one and a hole that sticks out
//! only sticks out. Most rings touch nothing: they are their own border. Not here: lines, which may cross themselves.

mod border;
mod edge;
mod node;
mod rows;

use crate::simplify::{TilePaths, TilePoint};
use crate::watch::{Stopped, Watch};
use border::{Borders, NONE, Side};
use node::Noder;

/// Cleans one polygon at a time; its memory is used again for the next.
#[derive(Debug, Default)]
pub struct Cleaner {
    noder: Noder,
    borders: Borders,
    outlines: Vec<Outline>,
    /// The ring of the border that each edge is part of.
    ring_of: Vec<u32>,
    around: Vec<u32>,
    order: Vec<Placed>,
}

/// A ring's place in the order of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which ring.
    pub ring: usize,
    /// Whether it has to be walked backwards, for an outer ring to have a positive area and a hole a negative one.
    pub backwards: bool,
}

/// A ring of the border.
#[derive(Clone, Copy, Debug)]
struct Outline {
    placed: Placed,
    /// Of an edge of it, in halves of units.
    middle: TilePoint,
    /// As it is walked.
    doubled_area: i64,
    /// The outer ring itself, or the one around a hole.
    outer: usize,
}

impl Cleaner {
    /// Makes valid polygons of what rings wind around: each outer ring, then its holes; none when there is no area on the
    /// grid. Rings that touch nothing stay as they are; others are made anew.
    ///
    /// # Errors
    /// When told to stop.
    pub(crate) fn clean(
        &mut self,
        rings: &mut TilePaths,
        watch: &mut Watch<'_>,
    ) -> Result<&[Placed], Stopped> {
        self.order.clear();
        self.noder.node(rings, watch)?;
        if self.noder.nodes.is_empty() && rings.len() == 1 {
            let backwards = doubled_area(rings.path(0)) < 0;
            self.order.push(Placed { ring: 0, backwards });
            return Ok(&self.order);
        }
        self.borders.find(rings, &self.noder, watch)?;
        let are_new = !self.noder.nodes.is_empty();
        if are_new {
            self.borders.join(&self.noder.edges, rings);
        }
        self.outline(rings, are_new);
        self.find_outers(watch)?;
        self.outlines.sort_by_key(|ring| (ring.outer, ring.doubled_area < 0));
        self.order.extend(self.outlines.iter().map(|outline| outline.placed));
        Ok(&self.order)
    }

    fn outline(&mut self, rings: &TilePaths, are_new: bool) {
        self.outlines.clear();
        let Self { outlines, borders, .. } = self;
        outlines.extend(rings.iter().enumerate().filter_map(|(ring, path)| {
            let side = if are_new { Side::Right } else { borders.parts[ring].side };
            let backwards = side == Side::Left;
            let area = doubled_area(path);
            (side != Side::Same).then(|| Outline {
                placed: Placed { ring, backwards },
                middle: TilePoint { x: path[0].x + path[1].x, y: path[0].y + path[1].y },
                doubled_area: if backwards { -area } else { area },
                outer: ring,
            })
        }));
    }

    /// Finds the outer ring of each hole: of those around it the least.
    fn find_outers(&mut self, watch: &mut Watch<'_>) -> Result<(), Stopped> {
        let Self { noder: Noder { edges, rows, .. }, borders, outlines, ring_of, around, .. } = self;
        let holes = outlines.iter().filter(|outline| outline.doubled_area < 0).count();
        if holes == 0 {
            return Ok(());
        }
        let mut areas = vec![0; outlines.iter().map(|outline| outline.placed.ring + 1).max().unwrap_or(0)];
        outlines.iter().for_each(|outline| areas[outline.placed.ring] = outline.doubled_area);
        ring_of.clear();
        ring_of.resize(edges.len(), NONE);
        for part in borders.parts.iter().filter(|part| part.side != Side::Same) {
            part.edges().for_each(|edge| ring_of[edge] = part.ring);
        }
        for hole in outlines.iter_mut().filter(|outline| outline.doubled_area < 0) {
            around.clear();
            let rings = rows.west_of(edges, hole.middle).map(|edge| ring_of[edge as usize]);
            around.extend(rings.filter(|ring| *ring != NONE && areas[*ring as usize] > 0));
            watch.worked(around.len())?;
            around.sort_unstable();
            let odd = around.chunk_by(|a, b| a == b).filter(|same| same.len() % 2 == 1);
            let least = odd.map(|same| same[0] as usize).min_by_key(|ring| areas[*ring]);
            hole.outer = least.unwrap_or(hole.outer);
        }
        Ok(())
    }
}

fn doubled_area(ring: &[TilePoint]) -> i64 {
    let Some(last) = ring.last() else { return 0 };
    let before = std::iter::once(last).chain(ring);
    before.zip(ring).map(|(from, to)| from.x * to.y - to.x * from.y).sum()
}

#[cfg(test)]
mod tests {
    use super::edge::Edge;
    use super::*;
    use i_overlay::core::fill_rule::FillRule;
    use i_overlay::core::overlay::{IntOverlayOptions, Overlay};
    use i_overlay::core::solver::Solver;
    use i_overlay::i_float::int::point::IntPoint;
    use quickcheck::quickcheck;

    fn ring(list: &[(i64, i64)]) -> Vec<TilePoint> {
        list.iter().map(|&(x, y)| TilePoint { x, y }).collect()
    }

    fn square(at: i64, side: i64) -> Vec<TilePoint> {
        ring(&[(at, at), (at + side, at), (at + side, at + side), (at, at + side)])
    }

    fn hole(at: i64, side: i64) -> Vec<TilePoint> {
        square(at, side).into_iter().rev().collect()
    }

    fn paths(rings: &[Vec<TilePoint>]) -> TilePaths {
        let mut paths = TilePaths::default();
        for ring in rings {
            ring.iter().for_each(|point| paths.push(*point));
            paths.finish_ring();
        }
        paths
    }

    /// Cleaned rings in order, as they are to be walked.
    fn cleaned(rings: &[Vec<TilePoint>]) -> Vec<Vec<TilePoint>> {
        let mut paths = paths(rings);
        let mut cleaner = Cleaner::default();
        let order = cleaner.clean(&mut paths, &mut Watch::new(&|| false)).unwrap();
        let walked = |placed: &Placed| {
            let mut ring = paths.path(placed.ring).to_vec();
            if placed.backwards {
                ring.reverse();
            }
            ring
        };
        order.iter().map(walked).collect()
    }

    /// Their doubled areas.
    fn areas(rings: &[Vec<TilePoint>]) -> Vec<i64> {
        cleaned(rings).iter().map(|ring| doubled_area(ring)).collect()
    }

    /// What another program makes of the same rings.
    fn witness(rings: &[Vec<TilePoint>]) -> i64 {
        let narrow = |at: i64| i32::try_from(at).unwrap();
        let contour =
            |ring: &[TilePoint]| ring.iter().map(|p| IntPoint::new(narrow(p.x), narrow(p.y))).collect();
        let contours: Vec<Vec<IntPoint<i32>>> = paths(rings).iter().map(contour).collect();
        let mut overlay = Overlay::new_custom(64, IntOverlayOptions::ogc(), Solver::default());
        let shapes = overlay.simplify_source(&contours, FillRule::NonZero);
        let back = |ring: &Vec<IntPoint<i32>>| -> Vec<_> {
            ring.iter().map(|p| TilePoint { x: p.x.into(), y: p.y.into() }).collect()
        };
        shapes.iter().flatten().map(|ring| doubled_area(&back(ring))).sum()
    }

    #[test]
    fn rings_that_cross_themselves_are_parted() {
        assert_eq!(areas(&[ring(&[(0, 0), (10, 10), (10, 0), (0, 10)])]), [50, 50]);
        let touching = ring(&[(0, 0), (10, 0), (5, 5), (10, 10), (0, 10), (5, 5)]);
        assert_eq!(areas(&[touching]), [50, 50]);
        let isthmus = ring(&[(0, 0), (4, 4), (8, 4), (12, 0), (12, 8), (8, 4), (4, 4), (0, 8)]);
        assert_eq!(areas(&[isthmus]), [32, 32]);
    }

    #[test]
    fn spikes_and_flat_rings_go_and_the_rest_stays() {
        let outline = [(0, 0), (10, 0), (10, 10), (0, 10)];
        assert_eq!(cleaned(&[ring(&outline)]), [ring(&outline)]);
        for spiked in [
            &[(0, 0), (10, 0), (30, 0), (10, 0), (10, 10), (0, 10)][..],
            &[(0, 0), (10, 0), (10, 10), (0, 10), (0, -9)],
        ] {
            assert_eq!(cleaned(&[ring(spiked)]), [ring(&outline)]);
        }
        assert!(cleaned(&[ring(&[(50, 50), (60, 50), (55, 50)])]).is_empty());
        assert!(cleaned(&[ring(&[(50, 50), (55, 50), (60, 50)])]).is_empty());
        assert!(cleaned(&[]).is_empty());
    }

    #[test]
    fn rings_that_overlap_or_have_a_side_in_common_become_one() {
        let beside = ring(&[(10, 0), (20, 0), (20, 10), (10, 10)]);
        assert_eq!(areas(&[square(0, 10), beside]), [400]);
        assert_eq!(areas(&[square(0, 10), square(5, 10)]), [350]);
        assert_eq!(areas(&[square(0, 10), square(0, 10)]), [200], "twice the same");
        assert!(areas(&[square(0, 10), hole(0, 10)]).is_empty());
        assert_eq!(areas(&[square(0, 10), hole(5, 10)]), [150, 150], "a hole that sticks out is area there");
    }

    #[test]
    fn rings_are_put_in_order_by_what_they_wind_around() {
        assert_eq!(areas(&[square(0, 10)]), [200]);
        // An island in a lake, the lake's land last.
        assert_eq!(areas(&[hole(10, 50), square(20, 10), square(0, 100)]), [200, 20_000, -5000]);
        assert_eq!(
            areas(&[square(0, 100), square(200, 10), hole(202, 2), hole(5, 5)]),
            [20_000, -50, 200, -8]
        );
        assert_eq!(areas(&[square(0, 100), square(10, 10)]), [20_000], "land in land");
        assert_eq!(
            areas(&[square(0, 100), hole(10, 50), hole(20, 10)]),
            [20_000, -5000, 200],
            "a hole in a hole"
        );
        assert_eq!(areas(&[hole(200, 10)]), [200], "a hole in nothing");
    }

    #[test]
    fn holes_that_touch_stay_holes_and_those_that_cut_through_part() {
        let corner = ring(&[(0, 0), (1, 5), (5, 5), (5, 1)]);
        assert_eq!(areas(&[square(0, 10), corner]), [200, -40]);
        let through = ring(&[(5, 0), (4, 5), (5, 10), (6, 5)]);
        assert_eq!(areas(&[square(0, 10), through]), [90, 90], "it touches both shores");
        let chain = [ring(&[(5, 0), (4, 5), (6, 5)]), ring(&[(4, 5), (5, 10), (6, 5)])];
        assert_eq!(areas(&[square(0, 10), chain[0].clone(), chain[1].clone()]), [90, 90]);
    }

    /// Whether two edges cross in a place that has to be rounded.
    fn cross_off_the_grid(rings: &[Vec<TilePoint>]) -> bool {
        let mut edges = Vec::new();
        edge::list(&paths(rings), &mut edges);
        let minus = |p: TilePoint, q: TilePoint| (p.x - q.x, p.y - q.y);
        let cross = |p: (i64, i64), q: (i64, i64)| p.0 * q.1 - p.1 * q.0;
        let off_the_grid = |one: &Edge, other: &Edge| {
            let (along, across) = (minus(one.to, one.from), minus(other.to, other.from));
            let whole = cross(along, across);
            if whole == 0 {
                return false;
            }
            let between = minus(other.from, one.from);
            let (first, second) = (cross(between, across), cross(between, along));
            let on_both =
                [first, second].iter().all(|part| (0..=whole.abs()).contains(&(part * whole.signum())));
            on_both && (along.0 * first % whole != 0 || along.1 * first % whole != 0)
        };
        edges.iter().any(|one| edges.iter().any(|other| off_the_grid(one, other)))
    }

    fn wild(lists: &[Vec<(u8, u8)>], rings: usize, points: usize, side: u8) -> Vec<Vec<TilePoint>> {
        let short = |list: &Vec<(u8, u8)>| {
            let list = list.iter().take(points);
            list.map(|(x, y)| TilePoint { x: i64::from(x % side), y: i64::from(y % side) }).collect()
        };
        lists.iter().take(rings).map(short).collect()
    }

    quickcheck! {
        /// What is clean stays as it is, so no crossing is left. The strict reader in `tests/` looks at more.
        fn what_is_clean_stays(lists: Vec<Vec<(u8, u8)>>) -> bool {
            let once = cleaned(&wild(&lists, 4, 12, 32));
            let mut twice = paths(&once);
            let mut noder = Noder::default();
            noder.node(&mut twice, &mut Watch::new(&|| false)).unwrap();
            assert_eq!(twice, paths(&once));
            let sorted = |mut areas: Vec<i64>| {
                areas.sort_unstable();
                areas
            };
            sorted(areas(&once)) == sorted(once.iter().map(|ring| doubled_area(ring)).collect())
        }

        /// Wherever no crossing is rounded, the area is what another program makes of it.
        fn the_area_is_what_rings_wind_around(lists: Vec<Vec<(u8, u8)>>) -> bool {
            let rings = wild(&lists, 3, 7, 8);
            cross_off_the_grid(&rings) || areas(&rings).iter().sum::<i64>() == witness(&rings)
        }
    }
}
