//! Whether rings touch themselves or each other: the cheap test that spares most polygons their cleaning.
//!
//! One idea: edges are short, so each is compared only with those in the same few squares of a coarse grid, which takes
//! time in proportion to the edges. Where it would not, the answer is "they may". Not here: where they touch.

use crate::simplify::TilePaths;

/// So few edges are compared each with each.
const FEW: usize = 24;

/// Entries in the grid, and pairs to compare, per edge; beyond that the test is not worth its time.
const ENTRIES_PER_EDGE_MAX: usize = 16;
const PAIRS_PER_EDGE_MAX: usize = 64;

/// Compares edges; its memory is used again from call to call.
#[derive(Debug, Default)]
pub(super) struct Touch {
    /// Each edge's ends: a point, and the one that follows it in its ring.
    edges: Vec<Edge>,
    /// Where each square's entries end.
    ends: Vec<u32>,
    /// The edges in each square.
    entries: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Edge {
    from: [i32; 2],
    to: [i32; 2],
}

impl Touch {
    /// False when no two edges of the rings have a point in common but neighbours the one between them.
    pub(super) fn may_touch(&mut self, rings: &TilePaths) -> bool {
        self.edges.clear();
        for ring in rings.iter() {
            let first = self.edges.len();
            let points = ring.iter().chain(ring.first()).map(|point| [narrow(point.x), narrow(point.y)]);
            self.edges.extend(points.clone().zip(points.skip(1)).map(|(from, to)| Edge { from, to }));
            if folds_back(&self.edges[first..]) {
                return true;
            }
        }
        match self.edges.len() {
            ..=FEW => self.any_two_touch(),
            _ => !self.sort_into_squares() || self.touch_in_a_square(),
        }
    }

    fn any_two_touch(&self) -> bool {
        let pairs =
            self.edges.iter().enumerate().flat_map(|(i, a)| self.edges[i + 1..].iter().map(move |b| (a, b)));
        pairs.into_iter().any(|(a, b)| a.touches(b))
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

    fn touch_in_a_square(&self) -> bool {
        let mut start = 0;
        for end in &self.ends[..self.ends.len() - 1] {
            let square = &self.entries[start..*end as usize];
            start = *end as usize;
            for (place, a) in square.iter().enumerate() {
                let a = self.edges[*a as usize];
                if square[place + 1..].iter().any(|b| a.touches(&self.edges[*b as usize])) {
                    return true;
                }
            }
        }
        false
    }
}

impl Edge {
    /// Whether two edges have a point in common that is not an end of one and the beginning of the other. Those that
    /// follow each other have been asked whether they fold back.
    #[inline]
    fn touches(&self, other: &Self) -> bool {
        let apart = |axis: usize| {
            self.from[axis].max(self.to[axis]) < other.from[axis].min(other.to[axis])
                || other.from[axis].max(other.to[axis]) < self.from[axis].min(self.to[axis])
        };
        if apart(0) || apart(1) {
            return false;
        }
        if self.to == other.from || other.to == self.from {
            return self.to == other.from && other.to == self.from;
        }
        let turn = |a: [i32; 2], b: [i32; 2], c: [i32; 2]| cross(a, b, c).signum();
        turn(self.from, self.to, other.from) * turn(self.from, self.to, other.to) <= 0
            && turn(other.from, other.to, self.from) * turn(other.from, other.to, self.to) <= 0
    }
}

/// Twice the area of a triangle, by the sign which way it turns.
fn cross(a: [i32; 2], b: [i32; 2], c: [i32; 2]) -> i64 {
    let d = |p: i32, q: i32| i64::from(p) - i64::from(q);
    d(b[0], a[0]) * d(c[1], b[1]) - d(b[1], a[1]) * d(c[0], b[0])
}

/// Whether a ring turns back on itself somewhere, or stands still.
fn folds_back(ring: &[Edge]) -> bool {
    let Some(last) = ring.last() else { return false };
    let mut before = last;
    ring.iter().any(|edge| {
        let [a, b, c] = [before.from, edge.from, edge.to];
        before = edge;
        let d = |p: i32, q: i32| i64::from(p) - i64::from(q);
        cross(a, b, c) == 0 && d(b[0], a[0]) * d(c[0], b[0]) + d(b[1], a[1]) * d(c[1], b[1]) <= 0
    })
}

#[expect(clippy::cast_possible_truncation, reason = "clipped: within the extent and its buffer")]
fn narrow(units: i64) -> i32 {
    units as i32
}

/// A grid of about as many squares as there are edges.
struct Squares {
    least: [i32; 2],
    shift: u32,
    columns: usize,
    rows: usize,
}

impl Squares {
    fn of(edges: &[Edge]) -> Self {
        let mut least = [i32::MAX; 2];
        let mut most = [i32::MIN; 2];
        for axis in 0..2 {
            least[axis] = edges.iter().map(|edge| edge.from[axis]).min().unwrap_or(0);
            most[axis] = edges.iter().map(|edge| edge.from[axis]).max().unwrap_or(0);
        }
        let mut shift = 0;
        let side = |axis: usize, shift: u32| (most[axis].abs_diff(least[axis]) as usize >> shift) + 1;
        while side(0, shift) * side(1, shift) > 2 * edges.len() {
            shift += 1;
        }
        Self { least, shift, columns: side(0, shift), rows: side(1, shift) }
    }

    fn count(&self) -> usize {
        self.columns * self.rows
    }

    /// The squares that an edge's box meets.
    fn of_edge(&self, edge: &Edge) -> impl Iterator<Item = usize> + use<> {
        let square = |at: i32, axis: usize| at.abs_diff(self.least[axis]) as usize >> self.shift;
        let range = |axis: usize| {
            let (a, b) = (square(edge.from[axis], axis), square(edge.to[axis], axis));
            a.min(b)..=a.max(b)
        };
        let (columns, across) = (self.columns, range(0));
        range(1).flat_map(move |row| across.clone().map(move |column| row * columns + column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simplify::TilePoint;
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

    #[test]
    fn rings_that_keep_their_distance() {
        for corners in [6, 24, 26, 200] {
            let apart = rings(&[star(corners, 2000.0, 2000.0, 1500.0), star(corners, 2000.0, 2000.0, 900.0)]);
            assert!(!Touch::default().may_touch(&apart), "{corners}");
        }
    }

    #[test]
    fn each_way_of_touching_is_seen() {
        let square = vec![(0, 0), (100, 0), (100, 100), (0, 100)];
        let touching = [
            vec![(0, 0), (10, 10), (10, 0), (0, 10)],
            vec![(0, 0), (10, 0), (10, 10), (5, 0), (0, 10)],
            vec![(0, 0), (10, 0), (5, 0), (5, 10)],
            vec![(0, 0), (10, 0), (5, 5), (10, 10), (0, 10), (5, 5)],
        ];
        for ring in touching {
            assert!(Touch::default().may_touch(&rings(std::slice::from_ref(&ring))), "{ring:?}");
            // And also among many others.
            let many = rings(&[ring.clone(), star(300, 2000.0, 2000.0, 1500.0)]);
            assert!(Touch::default().may_touch(&many), "{ring:?}");
        }
        assert!(Touch::default().may_touch(&rings(&[square.clone(), vec![(100, 50), (200, 50), (200, 60)]])));
        assert!(Touch::default().may_touch(&rings(&[square.clone(), square])));
    }

    quickcheck! {
        /// The grid finds what comparing each with each finds.
        fn the_grid_misses_nothing(lists: Vec<Vec<(u8, u8)>>) -> bool {
            let lists: Vec<Vec<_>> =
                lists.iter().map(|list| list.iter().map(|&(x, y)| (x.into(), y.into())).collect()).collect();
            let rings = rings(&lists);
            let mut touch = Touch::default();
            let said = touch.may_touch(&rings);
            let folds = rings.iter().enumerate().any(|(index, ring)| {
                folds_back(touch.edges.get(rings.start(index)..rings.start(index) + ring.len()).unwrap_or_default())
            });
            said || !(folds || touch.any_two_touch())
        }
    }
}
