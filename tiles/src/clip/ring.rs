//! Clipping of a single ring, valid or not.
//!
//! One idea: a clipped ring's way around the box is reduced to its shortest form, so that it winds around each place in
//! the box as often as the ring did, and no more can be told from it. Parts of a ring that lie apart in the box stay
//! joined along its sides; [`clean`](crate::clean) parts them.
//!
//! Source: I. Sutherland, G. Hodgman, Reentrant polygon clipping, 1974.

use super::{SIDES, Side, Window};
use crate::simplify::TilePoint;

impl Window {
    /// The part of a ring that lies in the box, as a ring, which may run along the box's sides; empty when nothing does.
    #[must_use]
    pub fn ring(&self, ring: &[TilePoint]) -> Vec<TilePoint> {
        if ring.iter().all(|point| self.holds(*point)) {
            return ring.to_vec();
        }
        let mut clipped = ring.to_vec();
        let mut scratch = Vec::with_capacity(ring.len());
        for side in SIDES {
            self.half(side, &clipped, &mut scratch);
            std::mem::swap(&mut clipped, &mut scratch);
        }
        self.reduced(&clipped)
    }

    fn half(&self, side: Side, ring: &[TilePoint], out: &mut Vec<TilePoint>) {
        out.clear();
        let Some(mut before) = ring.last().copied() else { return };
        for point in ring.iter().copied() {
            let inside = self.within(side, point);
            if inside != self.within(side, before) {
                out.push(self.crossing(side, before, point));
            }
            if inside {
                out.push(point);
            }
            before = point;
        }
    }

    /// Takes out repetitions and the middle of any three points on one side of the box, until there are none. What is
    /// left of a way around the box are the corners it turns: the shortest way that winds around the inside alike.
    fn reduced(&self, ring: &[TilePoint]) -> Vec<TilePoint> {
        let mut kept: Vec<TilePoint> = Vec::with_capacity(ring.len());
        for point in ring {
            self.push_reduced(&mut kept, *point);
        }
        let mut start = 0;
        while kept.len() - start > 2 {
            let count = kept.len();
            let (last, first) = (kept[count - 1], kept[start]);
            if last == first || self.share_a_side(kept[count - 2], last, first) {
                kept.pop();
            } else if self.share_a_side(last, first, kept[start + 1]) {
                start += 1;
            } else {
                return from_the_least(&kept[start..]);
            }
        }
        Vec::new()
    }

    fn push_reduced(&self, kept: &mut Vec<TilePoint>, point: TilePoint) {
        while let [.., before, last] = kept[..]
            && self.share_a_side(before, last, point)
        {
            kept.pop();
        }
        if kept.last() != Some(&point) {
            kept.push(point);
        }
    }

    fn share_a_side(&self, a: TilePoint, b: TilePoint, c: TilePoint) -> bool {
        let on = |side: i64, [a, b, c]: [i64; 3]| a == side && b == side && c == side;
        [[a.x, b.x, c.x], [a.y, b.y, c.y]].iter().any(|all| on(self.least, *all) || on(self.most, *all))
    }
}

/// The ring starting from its least point, so that where it was cut open leaves no trace. A ring that passes that
/// point twice starts with the lesser continuation.
fn from_the_least(ring: &[TilePoint]) -> Vec<TilePoint> {
    let Some(least) = ring.iter().min() else { return Vec::new() };
    let rotated = |start: usize| ring[start..].iter().chain(&ring[..start]);
    let starts = (0..ring.len()).filter(|index| ring[*index] == *least);
    let best = starts.min_by(|a, b| rotated(*a).cmp(rotated(*b))).unwrap_or(0);
    rotated(best).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{points, window};
    use quickcheck::quickcheck;

    #[test]
    fn a_ring_around_the_tile_fills_it() {
        let ring = window().ring(&points(&[(-9000, -9000), (9000, -9000), (9000, 9000), (-9000, 9000)]));
        assert_eq!(ring, points(&[(-64, -64), (4160, -64), (4160, 4160), (-64, 4160)]));
    }

    #[test]
    fn a_way_there_and_back_outside_leaves_no_trace() {
        let plain = window().ring(&points(&[(10, 10), (5000, 10), (5000, 20), (10, 20)]));
        let detour = window().ring(&points(&[
            (10, 10),
            (5000, 10),
            (5000, -5000),
            (-5000, -5000),
            (5000, -5000),
            (5000, 20),
            (10, 20),
        ]));
        assert_eq!(plain, detour);
        assert_eq!(plain, points(&[(10, 10), (4160, 10), (4160, 20), (10, 20)]));
    }

    quickcheck! {
        fn clipped_rings_lie_in_the_box(list: Vec<(i16, i16)>) -> bool {
            window().ring(&points(&list)).iter().all(|point| window().holds(*point))
        }

        fn where_a_ring_starts_leaves_no_trace(list: Vec<(i16, i16)>, turn: usize) -> bool {
            let mut ring = points(&list);
            let before = window().ring(&ring);
            let turn = turn % ring.len().max(1);
            ring.rotate_left(turn);
            let was_clipped = !ring.iter().all(|point| window().holds(*point));
            !was_clipped || window().ring(&ring) == before
        }
    }
}
