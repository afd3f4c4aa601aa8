//! Where rings touch themselves or each other: the cheap test that spares most polygons their cleaning.
//!
//! One idea: edges are short, so each is compared only with those in the same few squares of a coarse grid, which takes
//! time in proportion to the edges. Where it would not, it gives up. Not here: what is done about it.

use crate::simplify::{TilePaths, TilePoint};

/// So few edges are compared each with each.
const FEW: usize = 24;

/// Entries in the grid, and pairs to compare, per edge; beyond that the test is not worth its time.
const ENTRIES_PER_EDGE_MAX: usize = 16;
const PAIRS_PER_EDGE_MAX: usize = 64;

/// Compares edges; its memory is used again from call to call.
#[derive(Debug, Default)]
pub(super) struct Touch {
    pub(super) edges: Vec<Edge>,
    /// Where each square's entries end.
    ends: Vec<u32>,
    /// The edges in each square.
    entries: Vec<u32>,
    /// Pairs of edges that have more in common than a point that is an end of both.
    pub(super) knots: Vec<[u32; 2]>,
    /// Points where edges end that do not follow each other.
    pub(super) nodes: Vec<TilePoint>,
}

/// A point of a ring, and the one that follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edge {
    pub(super) from: TilePoint,
    pub(super) to: TilePoint,
    /// The edge that follows.
    pub(super) next: u32,
}

/// What two edges that do not follow each other have in common.
enum Common {
    Nothing,
    /// A point where both end.
    Node(TilePoint),
    /// Anything else.
    Knot,
}

impl Touch {
    /// Lists where the rings touch. False when they do so too often, or the search would take too long.
    pub(super) fn find(&mut self, rings: &TilePaths) -> bool {
        self.edges.clear();
        self.knots.clear();
        self.nodes.clear();
        for ring in rings.iter() {
            let first = narrow(self.edges.len());
            let ends = ring.iter().zip(ring.iter().skip(1).chain(ring.first()));
            self.edges.extend(ends.zip(first + 1..).map(|((from, to), next)| Edge {
                from: *from,
                to: *to,
                next,
            }));
            if let Some(last) = self.edges.last_mut() {
                last.next = first;
            }
        }
        let found = match self.edges.len() {
            ..=FEW => self.compare_all(),
            _ => self.sort_into_squares() && self.compare_in_squares(),
        };
        self.nodes.sort_unstable();
        self.nodes.dedup();
        found
    }

    fn compare_all(&mut self) -> bool {
        let count = narrow(self.edges.len());
        (0..count).all(|a| (a + 1..count).all(|b| self.compare(a, b)))
    }

    /// Notes what two edges have in common. False when there is too much of it.
    #[inline]
    fn compare(&mut self, a: u32, b: u32) -> bool {
        let (first, second) = (&self.edges[a as usize], &self.edges[b as usize]);
        if first.apart(second) || first.next == b || second.next == a {
            return true;
        }
        match first.common(second) {
            Common::Nothing => {}
            Common::Node(point) => self.nodes.push(point),
            Common::Knot => self.knots.push([a, b]),
        }
        self.knots.len() + self.nodes.len() <= self.edges.len() + FEW
    }

    /// Lists the edges square by square. False when they are too long or too crowded for that to help.
    fn sort_into_squares(&mut self) -> bool {
        let squares = Squares::of(&self.edges);
        self.ends.clear();
        self.ends.resize(squares.count() + 1, 0);
        let mut entries = 0;
        for edge in &self.edges {
            for square in squares.of_edge(edge) {
                self.ends[square + 1] += 1;
                entries += 1;
            }
            if entries > ENTRIES_PER_EDGE_MAX * self.edges.len() {
                return false;
            }
        }
        let pairs: usize = self.ends.iter().map(|count| (*count as usize).pow(2) / 2).sum();
        if pairs > PAIRS_PER_EDGE_MAX * self.edges.len() {
            return false;
        }
        let mut start = 0;
        for end in &mut self.ends {
            start += *end;
            *end = start;
        }
        self.entries.resize(entries, 0);
        for (index, edge) in (0..).zip(&self.edges) {
            for square in squares.of_edge(edge) {
                // Starts move up to the ends as entries fill in.
                let place = &mut self.ends[square];
                self.entries[*place as usize] = index;
                *place += 1;
            }
        }
        true
    }

    fn compare_in_squares(&mut self) -> bool {
        let mut start = 0;
        for square in 0..self.ends.len() - 1 {
            let end = self.ends[square] as usize;
            for a in start..end {
                for b in a + 1..end {
                    if !self.compare(self.entries[a], self.entries[b]) {
                        return false;
                    }
                }
            }
            start = end;
        }
        true
    }
}

impl Edge {
    /// Whether the boxes around two edges have nothing in common.
    #[inline]
    fn apart(&self, other: &Self) -> bool {
        let (a, b, c, d) = (self.from, self.to, other.from, other.to);
        a.x.max(b.x) < c.x.min(d.x)
            || c.x.max(d.x) < a.x.min(b.x)
            || a.y.max(b.y) < c.y.min(d.y)
            || c.y.max(d.y) < a.y.min(b.y)
    }

    /// What two edges have in common whose boxes meet.
    fn common(&self, other: &Self) -> Common {
        for (here, away) in [(self.from, self.to), (self.to, self.from)] {
            for (there, beyond) in [(other.from, other.to), (other.to, other.from)] {
                if here == there {
                    let overlap = cross(here, away, beyond) == 0 && dot(here, away, beyond) > 0;
                    return if overlap { Common::Knot } else { Common::Node(here) };
                }
            }
        }
        let turn = |a, b, c| cross(a, b, c).signum();
        let meet = turn(self.from, self.to, other.from) * turn(self.from, self.to, other.to) <= 0
            && turn(other.from, other.to, self.from) * turn(other.from, other.to, self.to) <= 0;
        if meet { Common::Knot } else { Common::Nothing }
    }
}

/// The cross product of the ways from one point to two others: by its sign on which side the second lies of the first.
pub(super) fn cross(from: TilePoint, a: TilePoint, b: TilePoint) -> i64 {
    (a.x - from.x) * (b.y - from.y) - (a.y - from.y) * (b.x - from.x)
}

/// Their dot product: negative when they lead apart.
pub(super) fn dot(from: TilePoint, a: TilePoint, b: TilePoint) -> i64 {
    (a.x - from.x) * (b.x - from.x) + (a.y - from.y) * (b.y - from.y)
}

/// There are far fewer edges in a tile.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A grid of about as many squares as there are edges.
struct Squares {
    least: TilePoint,
    shift: u32,
    columns: usize,
    rows: usize,
}

impl Squares {
    fn of(edges: &[Edge]) -> Self {
        let (mut least, mut most) = (edges[0].from, edges[0].from);
        for Edge { from, .. } in edges {
            least = TilePoint { x: least.x.min(from.x), y: least.y.min(from.y) };
            most = TilePoint { x: most.x.max(from.x), y: most.y.max(from.y) };
        }
        let mut shift = 0;
        let side = |least: i64, most: i64, shift: u32| (distance(least, most) >> shift) + 1;
        let sides = |shift: u32| [side(least.x, most.x, shift), side(least.y, most.y, shift)];
        while sides(shift).iter().product::<usize>() > 2 * edges.len() {
            shift += 1;
        }
        let [columns, rows] = sides(shift);
        Self { least, shift, columns, rows }
    }

    fn count(&self) -> usize {
        self.columns * self.rows
    }

    /// The squares that an edge's box meets.
    fn of_edge(&self, edge: &Edge) -> impl Iterator<Item = usize> + use<> {
        let range = |least: i64, a: i64, b: i64| {
            (distance(least, a.min(b)) >> self.shift)..=(distance(least, a.max(b)) >> self.shift)
        };
        let (columns, across) = (self.columns, range(self.least.x, edge.from.x, edge.to.x));
        let down = range(self.least.y, edge.from.y, edge.to.y);
        down.flat_map(move |row| across.clone().map(move |column| row * columns + column))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "clipped: within the extent and its buffer")]
fn distance(from: i64, to: i64) -> usize {
    from.abs_diff(to) as usize
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

    fn touch(rings: &TilePaths) -> Touch {
        let mut touch = Touch::default();
        assert!(touch.find(rings));
        touch
    }

    #[test]
    fn rings_that_keep_their_distance() {
        for corners in [6, 24, 26, 200] {
            let apart = rings(&[star(corners, 2000.0, 2000.0, 1500.0), star(corners, 2000.0, 2000.0, 900.0)]);
            let touch = touch(&apart);
            assert!(touch.knots.is_empty() && touch.nodes.is_empty(), "{corners}");
        }
    }

    #[test]
    fn each_way_of_touching_is_seen() {
        let square = vec![(0, 0), (100, 0), (100, 100), (0, 100)];
        let touching = [
            (vec![(0, 0), (10, 10), (10, 0), (0, 10)], [1, 0]),
            (vec![(0, 0), (10, 0), (10, 10), (5, 0), (0, 10)], [2, 0]),
            (vec![(0, 0), (10, 0), (5, 5), (10, 10), (0, 10), (5, 5)], [0, 1]),
        ];
        for (ring, counts) in touching {
            // Alone and among many others, where a pair may be met in several squares.
            let alone = touch(&rings(std::slice::from_ref(&ring)));
            assert_eq!([alone.knots.len(), alone.nodes.len()], counts, "{ring:?}");
            let mut many = touch(&rings(&[ring.clone(), star(300, 2000.0, 2000.0, 1500.0)]));
            many.knots.sort_unstable();
            many.knots.dedup();
            assert_eq!([many.knots.len(), many.nodes.len()], counts, "{ring:?}");
        }
        let beside = touch(&rings(&[square.clone(), vec![(100, 50), (200, 50), (200, 60)]]));
        assert_eq!(beside.knots.len(), 2, "the corner lies on the side, where two edges end");
        let twice = touch(&rings(&[square.clone(), square]));
        assert_eq!([twice.knots.len(), twice.nodes.len()], [4, 4]);
    }

    quickcheck! {
        /// The grid finds what comparing each with each finds.
        fn the_grid_misses_nothing(lists: Vec<Vec<(u8, u8)>>) -> bool {
            let lists: Vec<Vec<_>> =
                lists.iter().map(|list| list.iter().map(|&(x, y)| (x.into(), y.into())).collect()).collect();
            let rings = rings(&lists);
            let mut by_grid = Touch::default();
            if !by_grid.find(&rings) {
                return true;
            }
            let mut by_pair = Touch { edges: by_grid.edges.clone(), ..Touch::default() };
            by_pair.compare_all();
            by_pair.nodes.sort_unstable();
            by_pair.nodes.dedup();
            by_grid.knots.iter_mut().for_each(|pair| pair.sort_unstable());
            by_grid.knots.sort_unstable();
            by_grid.knots.dedup();
            by_grid.knots == by_pair.knots && by_grid.nodes == by_pair.nodes
        }
    }
}
