//! Clipping: cuts what a tile draws to the tile's box with its buffer, exactly, in tile units.
//!
//! One idea: a crossing is rounded as a function of its segment alone (never of the direction in which it is walked),
//! so a line or ring gives the same vertices however much of it beyond the box has been left out before. Areas are
//! clipped by walking along their rings and the box ([`Area`]); where that cannot tell inside from outside, ring by
//! ring ([`Window::ring`]). Not here: validity of polygons (see [`clean`](crate::clean)).

mod area;
mod ring;

pub use area::Area;

use crate::coord::Grid;
use crate::simplify::{TilePaths, TilePoint};

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
    #[inline]
    #[must_use]
    pub fn holds(&self, point: TilePoint) -> bool {
        let inside = |at: i64| self.least <= at && at <= self.most;
        inside(point.x) & inside(point.y)
    }

    /// Adds the pieces of a line that lie in the box to `pieces`, each of at least two different points.
    pub fn line(&self, line: &[TilePoint], pieces: &mut TilePaths) {
        let Some((first, rest)) = line.split_first() else { return };
        let mut before = *first;
        let mut was_inside = self.holds(before);
        if was_inside {
            pieces.push(before);
        }
        for point in rest.iter().copied() {
            let is_inside = self.holds(point);
            if was_inside && is_inside {
                pieces.push(point);
            } else if let Some([start, end]) = self.segment(before, point) {
                if pieces.open().last() != Some(&start) {
                    pieces.finish(2);
                    pieces.push(start);
                }
                pieces.push(end);
            }
            (before, was_inside) = (point, is_inside);
        }
        pieces.finish(2);
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
}

/// The other coordinate where the first one is `here`, rounded to the nearest, halves upwards. The two differ.
fn at([a, b]: [i64; 2], [p, q]: [i64; 2], here: i64) -> i64 {
    /// Products of numbers below this fit 63 bits with room for doubling.
    const SMALL: u64 = 1 << 30;
    let (rise, along, run) = (q - p, here - a, b - a);
    let (along, run) = if run < 0 { (-along, -run) } else { (along, run) };
    if rise.unsigned_abs() < SMALL && along.unsigned_abs() < SMALL {
        return p + (2 * rise * along + run).div_euclid(2 * run);
    }
    let (rise, along, run) = (i128::from(rise), i128::from(along), i128::from(run));
    let steps = (2 * rise * along + run).div_euclid(2 * run);
    // Between p and q, which are 64-bit numbers.
    i64::try_from(i128::from(p) + steps).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use quickcheck::quickcheck;

    pub(crate) fn window() -> Window {
        Window::new(Grid::new(12, 64))
    }

    pub(crate) fn points(list: &[(i16, i16)]) -> Vec<TilePoint> {
        list.iter().map(|(x, y)| TilePoint { x: i64::from(*x), y: i64::from(*y) }).collect()
    }

    fn pieces(line: &[TilePoint]) -> Vec<Vec<TilePoint>> {
        let mut pieces = TilePaths::default();
        window().line(line, &mut pieces);
        pieces.iter().map(<[_]>::to_vec).collect()
    }

    #[test]
    fn a_line_that_leaves_and_comes_back_is_two_pieces() {
        let pieces = pieces(&points(&[(0, 0), (8000, 0), (8000, 100), (0, 100)]));
        assert_eq!(pieces, [points(&[(0, 0), (4160, 0)]), points(&[(4160, 100), (0, 100)])]);
    }

    #[test]
    fn a_line_that_only_touches_a_corner_is_gone() {
        assert!(pieces(&points(&[(-128, 0), (0, -128)])).is_empty());
    }

    #[test]
    fn crossings_far_away_are_as_exact_as_near_ones() {
        let far = 1_i64 << 40;
        let crossing = at([-far, far], [-far, far], 7);
        assert_eq!(crossing, 7);
        assert_eq!(at([0, 3], [0, 1], 2), at([3, 0], [1, 0], 2));
    }

    quickcheck! {
        fn clipped_lines_lie_in_the_box_and_move_on(list: Vec<(i16, i16)>) -> bool {
            pieces(&points(&list)).iter().all(|piece| {
                piece.len() > 1
                    && piece.iter().all(|point| window().holds(*point))
                    && piece.windows(2).all(|pair| pair[0] != pair[1])
            })
        }

        fn a_crossing_is_the_same_both_ways(a: (i16, i16), b: (i16, i16)) -> bool {
            let [a, b] = [points(&[a])[0], points(&[b])[0]];
            window().segment(a, b) == window().segment(b, a).map(|[b, a]| [a, b])
        }
    }
}
