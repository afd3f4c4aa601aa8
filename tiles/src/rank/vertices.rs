//! How much each vertex matters to its line: Visvalingam's effective area.
//!
//! One idea: the vertex whose triangle with its neighbours is least goes first, and the area it had then is its
//! importance for good. Only neighbours decide, and ties go by place, never by position in the list, so that a border
//! that two features share ranks alike in both as long as its ends stay. Not here: which vertices those are; that needs
//! all features of a layer at once (see [`Pins`](crate::generalise::Pins)).
//!
//! Source: M. Visvalingam, J. D. Whyatt, Line generalisation by repeated elimination of points, 1993.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::coord::Point;

/// The importance of a vertex that always stays.
pub(super) const ESSENTIAL: u64 = u64::MAX;

/// Twice the signed area of a ring in square world units, positive when clockwise on a map (y grows south). A ring may
/// wind around the world many times, hence the width.
pub(crate) fn doubled_area(ring: &[Point]) -> i128 {
    let Some(last) = ring.last() else { return 0 };
    let mut before = last;
    let mut sum = 0;
    for point in ring {
        sum += i128::from(i64::from(before.x) * i64::from(point.y));
        sum -= i128::from(i64::from(point.x) * i64::from(before.y));
        before = point;
    }
    sum
}

fn doubled_triangle(a: Point, b: Point, c: Point) -> u64 {
    let d = |p: i32, q: i32| i64::from(p) - i64::from(q);
    (d(b.x, a.x) * d(c.y, a.y) - d(c.x, a.x) * d(b.y, a.y)).unsigned_abs()
}

/// A vertex in the queue: least area first, then by place.
type Candidate = Reverse<(u64, Point, usize)>;

struct Elimination<'a> {
    points: &'a [Point],
    floors: &'a [u64],
    before: Vec<usize>,
    after: Vec<usize>,
    /// The doubled area under which the vertex waits in the queue, in the end its importance.
    importance: Vec<u64>,
    queue: BinaryHeap<Candidate>,
}

/// For each vertex twice the area it stands for, in square world units; [`ESSENTIAL`] for the ends of a line and the
/// last three vertices of a ring.
///
/// `floors` gives vertices an importance of their own, below which they do not go; empty when none has one.
pub(super) fn importance(points: &[Point], is_ring: bool, floors: &[u64]) -> Vec<u64> {
    let count = points.len();
    let essential = if is_ring { 3 } else { 2 };
    if count <= essential {
        return vec![ESSENTIAL; count];
    }
    let mut elimination = Elimination {
        points,
        floors,
        before: (0..count).map(|i| (i + count - 1) % count).collect(),
        after: (0..count).map(|i| (i + 1) % count).collect(),
        importance: vec![ESSENTIAL; count],
        queue: BinaryHeap::with_capacity(count),
    };
    let ends = usize::from(!is_ring);
    for index in ends..count - ends {
        elimination.wait(index, 0);
    }
    elimination.run(count - essential);
    elimination.importance
}

impl Elimination<'_> {
    /// Queues a vertex under its present triangle, but never below what has already gone: a filter by importance has
    /// to remove vertices in the order in which they were eliminated.
    fn wait(&mut self, index: usize, floor: u64) {
        let [a, b, c] = [self.before[index], index, self.after[index]].map(|i| self.points[i]);
        let own = self.floors.get(index).copied().unwrap_or(0);
        let area = doubled_triangle(a, b, c).max(floor).max(own);
        self.importance[index] = area;
        self.queue.push(Reverse((area, self.points[index], index)));
    }

    fn run(&mut self, mut surplus: usize) {
        let mut gone = vec![false; self.points.len()];
        while let Some(Reverse((area, _, index))) = self.queue.pop() {
            if gone[index] || area != self.importance[index] {
                continue;
            }
            if surplus == 0 {
                self.importance[index] = ESSENTIAL;
                continue;
            }
            surplus -= 1;
            gone[index] = true;
            let (before, after) = (self.before[index], self.after[index]);
            self.after[before] = after;
            self.before[after] = before;
            for neighbour in [before, after] {
                // The ends of a line are essential and wait for nothing.
                if self.importance[neighbour] != ESSENTIAL {
                    self.wait(neighbour, area);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn points(list: &[(i16, i16)]) -> Vec<Point> {
        list.iter().map(|(x, y)| Point { x: (*x).into(), y: (*y).into() }).collect()
    }

    #[test]
    fn a_spike_matters_more_than_a_bump() {
        let line = points(&[(0, 0), (10, 1), (20, 0), (30, 50), (40, 0)]);
        let importance = importance(&line, false, &[]);
        assert_eq!(importance[1], 20);
        assert!(importance[3] > importance[1]);
        assert_eq!((importance[0], importance[4]), (ESSENTIAL, ESSENTIAL));
    }

    #[test]
    fn a_ring_keeps_a_triangle() {
        let ring = points(&[(0, 0), (5, 1), (10, 0), (10, 10), (0, 10)]);
        let kept = importance(&ring, true, &[]).into_iter().filter(|i| *i == ESSENTIAL).count();
        assert_eq!(kept, 3);
    }

    quickcheck! {
        /// Where a ring starts, and which way a line runs, says nothing about which vertices matter, unless vertices
        /// coincide or areas tie at the same place.
        fn direction_does_not_matter(list: Vec<(i16, i16)>) -> bool {
            let mut line = points(&list);
            line.dedup();
            let mut sorted = line.clone();
            sorted.sort();
            sorted.dedup();
            if sorted.len() != line.len() {
                return true;
            }
            let forwards = importance(&line, false, &[]);
            line.reverse();
            let mut backwards = importance(&line, false, &[]);
            backwards.reverse();
            forwards == backwards
        }

        fn as_many_stay_as_have_to(list: Vec<(i16, i16)>, is_ring: bool) -> bool {
            let line = points(&list);
            let essential = if is_ring { 3 } else { 2 };
            let kept = importance(&line, is_ring, &[]).into_iter().filter(|i| *i == ESSENTIAL).count();
            kept == essential.min(line.len())
        }
    }
}
