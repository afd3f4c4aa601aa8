//! Clipping: cuts what a tile draws to the tile's box with its buffer, exactly, in tile units.
//!
//! One idea: a crossing is rounded as a function of its segment alone (never of the direction in which it is walked),
//! and a clipped ring's way around the box is reduced to its shortest form; so a ring gives the same vertices however
//! much of it beyond the box has been left out before. Not here: validity of polygons (see [`clean`](crate::clean)).
//!
//! Source: I. Sutherland, G. Hodgman, Reentrant polygon clipping, 1974.

use crate::coord::Grid;
use crate::simplify::TilePoint;

/// A tile's box with its buffer; all four sides belong to it.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    least: i64,
    most: i64,
}

#[derive(Clone, Copy)]
enum Side {
    West,
    East,
    North,
    South,
}

const SIDES: [Side; 4] = [Side::West, Side::East, Side::North, Side::South];

impl Window {
    /// The window of every tile with this grid.
    #[must_use]
    pub fn new(grid: Grid) -> Self {
        let buffer = i64::from(grid.buffer());
        Self { least: -buffer, most: i64::from(grid.extent()) + buffer }
    }

    /// Whether the point is in the box.
    #[must_use]
    pub fn holds(&self, point: TilePoint) -> bool {
        SIDES.iter().all(|side| self.within(*side, point))
    }

    /// Adds the pieces of a line that lie in the box to `pieces`, each of at least two different points.
    pub fn line(&self, line: &[TilePoint], pieces: &mut Vec<Vec<TilePoint>>) {
        let mut piece: Vec<TilePoint> = Vec::new();
        for pair in line.windows(2) {
            let Some([start, end]) = self.segment(pair[0], pair[1]) else { continue };
            if piece.last() != Some(&start) {
                finish(&mut piece, pieces);
                piece.push(start);
            }
            if start != end {
                piece.push(end);
            }
        }
        finish(&mut piece, pieces);
    }

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

    fn within(&self, side: Side, point: TilePoint) -> bool {
        match side {
            Side::West => point.x >= self.least,
            Side::East => point.x <= self.most,
            Side::North => point.y >= self.least,
            Side::South => point.y <= self.most,
        }
    }

    /// Where the segment crosses a side's line; its ends lie on different sides of it.
    fn crossing(&self, side: Side, a: TilePoint, b: TilePoint) -> TilePoint {
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        match side {
            Side::West => TilePoint { x: self.least, y: at([a.x, b.x], [a.y, b.y], self.least) },
            Side::East => TilePoint { x: self.most, y: at([a.x, b.x], [a.y, b.y], self.most) },
            Side::North => TilePoint { x: at([a.y, b.y], [a.x, b.x], self.least), y: self.least },
            Side::South => TilePoint { x: at([a.y, b.y], [a.x, b.x], self.most), y: self.most },
        }
    }

    fn segment(&self, mut a: TilePoint, mut b: TilePoint) -> Option<[TilePoint; 2]> {
        for side in SIDES {
            match (self.within(side, a), self.within(side, b)) {
                (true, true) => {}
                (true, false) => b = self.crossing(side, a, b),
                (false, true) => a = self.crossing(side, a, b),
                (false, false) => return None,
            }
        }
        Some([a, b])
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

fn finish(piece: &mut Vec<TilePoint>, pieces: &mut Vec<Vec<TilePoint>>) {
    if piece.len() > 1 {
        pieces.push(std::mem::take(piece));
    }
    piece.clear();
}

/// The other coordinate where the first one is `here`, rounded to the nearest, halves upwards. The two differ.
fn at([a, b]: [i64; 2], [p, q]: [i64; 2], here: i64) -> i64 {
    let (a, b, p, q, here) = (i128::from(a), i128::from(b), i128::from(p), i128::from(q), i128::from(here));
    let (rise, run) = ((q - p) * (here - a), b - a);
    let (rise, run) = if run < 0 { (-rise, -run) } else { (rise, run) };
    let steps = (2 * rise + run).div_euclid(2 * run);
    // Between p and q, which are 64-bit numbers.
    i64::try_from(p + steps).unwrap_or_default()
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
    use super::*;
    use quickcheck::quickcheck;

    fn window() -> Window {
        Window::new(Grid::new(12, 64))
    }

    fn points(list: &[(i16, i16)]) -> Vec<TilePoint> {
        list.iter().map(|(x, y)| TilePoint { x: i64::from(*x), y: i64::from(*y) }).collect()
    }

    #[test]
    fn a_line_that_leaves_and_comes_back_is_two_pieces() {
        let mut pieces = Vec::new();
        window().line(&points(&[(0, 0), (8000, 0), (8000, 100), (0, 100)]), &mut pieces);
        assert_eq!(pieces, [points(&[(0, 0), (4160, 0)]), points(&[(4160, 100), (0, 100)])]);
    }

    #[test]
    fn a_line_that_only_touches_a_corner_is_gone() {
        let mut pieces = Vec::new();
        window().line(&points(&[(-128, 0), (0, -128)]), &mut pieces);
        assert!(pieces.is_empty());
    }

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

        fn clipped_lines_lie_in_the_box_and_move_on(list: Vec<(i16, i16)>) -> bool {
            let mut pieces = Vec::new();
            window().line(&points(&list), &mut pieces);
            pieces.iter().all(|piece| {
                piece.len() > 1
                    && piece.iter().all(|point| window().holds(*point))
                    && piece.windows(2).all(|pair| pair[0] != pair[1])
            })
        }

        fn a_crossing_is_the_same_both_ways(a: (i16, i16), b: (i16, i16)) -> bool {
            let [a, b] = [points(&[a])[0], points(&[b])[0]];
            window().segment(a, b) == window().segment(b, a).map(|[b, a]| [a, b])
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
