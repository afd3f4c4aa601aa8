//! Noding: divides rings where they cross or touch, until they have nothing in common but points where edges end, and
//! edges as a whole.
//!
//! One idea: the work follows the places that touch, not the rings. A crossing is rounded to the grid and becomes a point
//! of both edges, which bends them a little, and so may make new crossings nearby: hence rounds, nearly always one or two.
//! If they do not end, each edge is led over all points of the grid that it passes and that are points of rings or
//! crossings, which is known to leave no crossing (snap rounding). So it always succeeds. Not here: what the rings enclose.
//!
//! Source: J. Hobby, Practical segment intersection with finite precision output, 1999.

use super::edge::{self, Common, Edge, cross, dot};
use super::rows::Rows;
use crate::simplify::{TilePaths, TilePoint};
use crate::watch::{Stopped, Watch};

/// How often edges are divided where they cross before each is led over all points that it passes.
const ROUNDS: usize = 4;

/// Snapped edges may still have ends on each other, which a last round divides there without bending anything.
const LAST_ROUND: usize = ROUNDS + 2;

/// Divides rings; its memory is used again from call to call.
#[derive(Debug, Default)]
pub(super) struct Noder {
    /// The edges of the divided rings, in the order of their points, and where they lie.
    pub(super) edges: Vec<Edge>,
    pub(super) rows: Rows,
    /// The points of rings, by edges that begin there, where others end that do not follow; in order.
    pub(super) nodes: Vec<u32>,
    /// Whether edges lie on each other.
    pub(super) has_twins: bool,
    /// Pairs of edges that have to be divided.
    knots: Vec<[u32; 2]>,
    /// Points to be put into edges: edge, how far along it, point.
    inserts: Vec<(u32, i64, TilePoint)>,
    scratch: TilePaths,
    path: Vec<TilePoint>,
}

impl Noder {
    /// Divides rings where they cross or touch. They wind around each place as before, but for what lies within a unit
    /// of the edges that were divided.
    ///
    /// # Errors
    /// When told to stop.
    pub(super) fn node(&mut self, rings: &mut TilePaths, watch: &mut Watch<'_>) -> Result<(), Stopped> {
        for round in 0..=LAST_ROUND {
            if round > 0 || rings.iter().any(has_spikes) {
                self.cut_spikes(rings);
            }
            self.find(rings, watch)?;
            if self.knots.is_empty() {
                return Ok(());
            }
            match round {
                ROUNDS => self.snap(watch)?,
                _ => self.divide(),
            }
            self.insert(rings);
        }
        debug_assert!(false, "snapped edges do not cross");
        rings.clear();
        self.find(rings, watch)
    }

    fn cut_spikes(&mut self, rings: &mut TilePaths) {
        let Self { scratch, path, .. } = self;
        scratch.clear();
        for ring in rings.iter() {
            path.clear();
            ring.iter().for_each(|point| push_without_spike(path, *point));
            let mut start = 0;
            while let ([.., before, last], [first, second, _, ..]) = (&path[..], &path[start..]) {
                if is_spike(*before, *last, *first) {
                    path.pop();
                } else if is_spike(*last, *first, *second) {
                    start += 1;
                } else {
                    break;
                }
            }
            scratch.extend(&path[start..]);
            scratch.finish(3);
        }
        std::mem::swap(scratch, rings);
    }

    /// Lists where the rings touch.
    fn find(&mut self, rings: &TilePaths, watch: &mut Watch<'_>) -> Result<(), Stopped> {
        let Self { edges, rows, nodes, knots, has_twins, .. } = self;
        edge::list(rings, edges);
        knots.clear();
        nodes.clear();
        *has_twins = false;
        rows.fill(edges, watch)?;
        rows.pairs(watch, |a, b| {
            let (first, second) = (&edges[a as usize], &edges[b as usize]);
            match first.common(second) {
                Common::Nothing => {}
                Common::End(point) => {
                    let begins = |index: u32, edge: &Edge| if edge.from == point { index } else { edge.next };
                    nodes.extend([begins(a, first), begins(b, second)]);
                }
                Common::All => {
                    nodes.extend([a, first.next, b, second.next]);
                    *has_twins = true;
                }
                Common::Knot => knots.push([a, b]),
            }
        })?;
        nodes.sort_unstable();
        nodes.dedup();
        Ok(())
    }

    /// Divides edges at the ends of others that lie on them, and where they cross.
    fn divide(&mut self) {
        let Self { edges, knots, inserts, .. } = self;
        inserts.clear();
        for [a, b] in knots.iter().copied() {
            let (first, second) = (edges[a as usize], edges[b as usize]);
            let before = inserts.len();
            for (index, edge, other) in [(a, first, second), (b, second, first)] {
                for point in [other.from, other.to].into_iter().filter(|point| edge.holds(*point)) {
                    inserts.push((index, edge.along(point), point));
                }
            }
            if inserts.len() == before {
                let point = first.crossing(&second);
                inserts.push((a, first.along(point), point));
                inserts.push((b, second.along(point), point));
            }
        }
    }

    /// Leads edges over all points that they pass, of those where rings turn or cross.
    fn snap(&mut self, watch: &mut Watch<'_>) -> Result<(), Stopped> {
        self.divide();
        let Self { edges, rows, inserts, .. } = self;
        let mut points: Vec<_> = edges.iter().map(|edge| edge.from).collect();
        points.extend(inserts.drain(..).map(|(_, _, point)| point));
        points.sort_unstable();
        points.dedup();
        for point in points {
            watch.worked(1)?;
            let passed = rows.near(point).filter(|index| edges[*index as usize].passes(point));
            inserts.extend(passed.map(|index| (index, edges[index as usize].along(point), point)));
        }
        Ok(())
    }

    /// Puts points into the edges of rings.
    fn insert(&mut self, rings: &mut TilePaths) {
        let Self { inserts, scratch, .. } = self;
        inserts.sort_unstable();
        inserts.dedup();
        scratch.clear();
        let mut inserts = inserts.iter().peekable();
        let mut edge = 0;
        for ring in rings.iter() {
            for point in ring {
                scratch.push(*point);
                while let Some((_, _, point)) = inserts.next_if(|insert| insert.0 == edge) {
                    scratch.push(*point);
                }
                edge += 1;
            }
            scratch.finish_ring();
        }
        std::mem::swap(scratch, rings);
    }
}

/// Whether a way turns back on itself at its middle point, or stands still there.
fn is_spike(a: TilePoint, b: TilePoint, c: TilePoint) -> bool {
    cross(b, a, c) == 0 && dot(b, a, c) >= 0
}

fn has_spikes(ring: &[TilePoint]) -> bool {
    let count = ring.len();
    (0..count).any(|index| is_spike(ring[index], ring[(index + 1) % count], ring[(index + 2) % count]))
}

fn push_without_spike(path: &mut Vec<TilePoint>, point: TilePoint) {
    while let [.., before, last] = path[..]
        && is_spike(before, last, point)
    {
        path.pop();
    }
    if path.last() != Some(&point) {
        path.push(point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn rings(lists: &[Vec<(i64, i64)>]) -> TilePaths {
        let mut rings = TilePaths::default();
        for list in lists {
            list.iter().for_each(|&(x, y)| rings.push(TilePoint { x, y }));
            rings.finish_ring();
        }
        rings
    }

    fn found(rings: &TilePaths) -> Noder {
        let mut noder = Noder::default();
        noder.find(rings, &mut Watch::new(&|| false)).unwrap();
        noder.knots.iter_mut().for_each(|pair| pair.sort_unstable());
        noder.knots.sort_unstable();
        noder.knots.dedup();
        noder
    }

    /// A star of so many corners around a place; it does not touch itself.
    #[expect(clippy::cast_possible_truncation, reason = "a few thousand units")]
    fn star(corners: i32, x: f64, y: f64, radius: f64) -> Vec<(i64, i64)> {
        let corner = |index: i32| {
            let angle = std::f64::consts::TAU * f64::from(index) / f64::from(corners);
            let far = if index % 2 == 0 { radius } else { radius * 0.9 };
            ((x + far * libm::cos(angle)).round() as i64, (y + far * libm::sin(angle)).round() as i64)
        };
        (0..corners).map(corner).collect()
    }

    #[test]
    fn rings_that_keep_their_distance_do_not_touch() {
        for corners in [6, 24, 26, 200] {
            let apart = rings(&[star(corners, 2000.0, 2000.0, 1500.0), star(corners, 2000.0, 2000.0, 900.0)]);
            let noder = found(&apart);
            assert!(noder.knots.is_empty() && noder.nodes.is_empty(), "{corners}");
        }
    }

    #[test]
    fn each_way_of_touching_is_seen() {
        let square = vec![(0, 0), (100, 0), (100, 100), (0, 100)];
        let touching = [
            (vec![(0, 0), (10, 10), (10, 0), (0, 10)], [1, 0]),
            (vec![(0, 0), (10, 0), (10, 10), (5, 0), (0, 10)], [2, 0]),
            (vec![(0, 0), (10, 0), (5, 5), (10, 10), (0, 10), (5, 5)], [0, 2]),
        ];
        for (ring, counts) in touching {
            // Alone and among many others, where a pair may be met in several rows.
            for lists in [&[ring.clone()][..], &[ring, star(300, 2000.0, 2000.0, 1500.0)]] {
                let noder = found(&rings(lists));
                assert_eq!([noder.knots.len(), noder.nodes.len()], counts, "{lists:?}");
            }
        }
        let beside = found(&rings(&[square.clone(), vec![(100, 50), (200, 50), (200, 60)]]));
        assert_eq!(beside.knots.len(), 2, "the corner lies on the side, where two edges end");
        let twice = found(&rings(&[square.clone(), square]));
        assert_eq!((twice.knots.len(), twice.nodes.len(), twice.has_twins), (0, 8, true));
    }

    #[test]
    fn a_long_search_is_stopped() {
        let crossing: Vec<_> = (0..2000).map(|i| (1000 * (i % 2), i)).collect();
        let asked = std::cell::Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > 3
        };
        assert!(Noder::default().node(&mut rings(&[crossing]), &mut Watch::new(&stop)).is_err());
    }

    quickcheck! {
        /// The rows find what comparing each with each finds.
        fn the_rows_miss_nothing(lists: Vec<Vec<(u8, u8)>>) -> bool {
            let short = |list: &Vec<(u8, u8)>| list.iter().take(40).map(|&(x, y)| (x.into(), y.into())).collect();
            let lists: Vec<Vec<_>> = lists.iter().take(6).map(short).collect();
            let noder = found(&rings(&lists));
            let edges = &noder.edges;
            let pairs = (0..edges.len()).flat_map(|a| (a + 1..edges.len()).map(move |b| [a, b]));
            let apart = |[a, b]: &[usize; 2]| edges[*a].next as usize != *b && edges[*b].next as usize != *a;
            let least = |a: &Edge| [a.from.x.min(a.to.x), a.from.y.min(a.to.y)];
            let most = |a: &Edge| [a.from.x.max(a.to.x), a.from.y.max(a.to.y)];
            let reaches = |a: &Edge, b: &Edge| (0..2).all(|axis| least(a)[axis] <= most(b)[axis]);
            let meet = |a: &Edge, b: &Edge| reaches(a, b) && reaches(b, a) && a.common(b) == Common::Knot;
            let knots = pairs.filter(apart).filter(|[a, b]| meet(&edges[*a], &edges[*b]));
            noder.knots.iter().map(|pair| pair.map(|edge| edge as usize)).eq(knots)
        }

        /// Snapping leaves nothing but ends on other edges, however much crosses.
        fn snapped_edges_do_not_cross(lists: Vec<Vec<(u8, u8)>>) -> bool {
            let lists: Vec<Vec<_>> = lists
                .iter()
                .take(6)
                .map(|list| list.iter().take(20).map(|&(x, y)| ((x % 24).into(), (y % 24).into())).collect())
                .collect();
            let mut rings = rings(&lists);
            let (mut noder, mut watch) = (Noder::default(), Watch::new(&|| false));
            noder.cut_spikes(&mut rings);
            noder.find(&rings, &mut watch).unwrap();
            noder.snap(&mut watch).unwrap();
            noder.insert(&mut rings);
            noder.cut_spikes(&mut rings);
            noder.find(&rings, &mut watch).unwrap();
            let edges = &noder.edges;
            let ends = |[a, b]: &[u32; 2]| {
                let (a, b) = (&edges[*a as usize], &edges[*b as usize]);
                a.holds(b.from) || a.holds(b.to) || b.holds(a.from) || b.holds(a.to)
            };
            noder.knots.iter().all(ends)
        }
    }
}
