//! Clipping of a valid area: along its rings inside the box, and along the box from where they leave to where the next
//! one enters.
//!
//! ```text
//!                       exit 1   entry 2        Rings have the area on their right (y grows south). Where one leaves the
//!              +-----------o========o--+        box, the area's border goes on clockwise along the box, to the next ring
//!              |        _/  :::::::: \ |        that enters it. Valid rings leave and enter by turns; where they do not,
//!   entry 1 ---o------ ' ::::::::::::: \        this stage says so, and the rings are clipped one by one instead.
//!              ║:::::::::::::::::::::::o exit 2
//!              +=======================+
//! ```
//!
//! One idea: only what lies in the box and how often the rings wind around a corner of it counts, so what a cut has left
//! out beyond the box makes no difference. The result is as valid as the rings were, and needs no cleaning.
//!
//! Source: K. Weiler, P. Atherton, Hidden surface removal using polygon area sorting, 1977, for a box.

use super::Window;
use crate::simplify::{TilePaths, TilePoint};

/// Clips one area at a time; its memory is used again for the next.
#[derive(Debug, Default)]
pub struct Area {
    /// Parts of rings inside the box, from entry to exit.
    chains: TilePaths,
    /// Where each chain enters and leaves, by its way along the box.
    ends: Vec<[i64; 2]>,
    /// Rings that lie in the box.
    whole: TilePaths,
    /// How often the other rings wind around the box's north-western corner.
    winding: i32,
    /// Whether a ring cuts off so little of the box, at a corner, that rounding left nothing of it.
    touched: bool,
    /// All entries and exits around the box: place, chain, and whether it is an entry.
    around: Vec<(i64, usize, bool)>,
    /// Where each chain's exit is among them.
    exits: Vec<usize>,
}

impl Area {
    /// Forgets the area before.
    pub fn clear(&mut self) {
        self.chains.clear();
        self.ends.clear();
        self.whole.clear();
        self.winding = 0;
        self.touched = false;
    }

    /// Adds a ring, not closed by a repeated point.
    pub fn add(&mut self, window: &Window, ring: &[TilePoint]) {
        if ring.len() < 3 {
            return;
        }
        let Some(outside) = ring.iter().position(|point| !window.holds(*point)) else {
            self.whole.extend(ring);
            self.whole.finish_ring();
            return;
        };
        if ring.iter().fold(u8::MAX, |side, point| side & window.outside(*point)) != 0 {
            return;
        }
        let mut before = ring[outside];
        let mut was_inside = false;
        let mut entry = 0;
        for point in ring[outside + 1..].iter().chain(&ring[..=outside]).copied() {
            self.winding += window.winding(before, point);
            let is_inside = window.holds(point);
            if was_inside && is_inside {
                self.chains.push(point);
            } else if let Some([start, end]) = window.segment(before, point) {
                if !was_inside {
                    entry = window.along(start);
                }
                self.chains.push(start);
                self.chains.push(end);
                if !is_inside {
                    self.end_chain(entry, window.along(end));
                }
            }
            (before, was_inside) = (point, is_inside);
        }
    }

    fn end_chain(&mut self, entry: i64, exit: i64) {
        let before = self.chains.len();
        self.chains.finish(2);
        if self.chains.len() > before {
            self.ends.push([entry, exit]);
        } else {
            self.touched = true;
        }
    }

    /// Puts the area's border in the box into `out`, as rings that are not closed by a repeated point. False when the
    /// rings contradict each other; `out` means nothing then.
    #[must_use]
    pub fn finish(&mut self, window: &Window, out: &mut TilePaths) -> bool {
        out.clear();
        let is_clear = match self.ends.is_empty() {
            true => self.around_all(window, out),
            false => self.sort_around() && self.join(window, out),
        };
        for ring in self.whole.iter() {
            out.extend(ring);
            out.finish_ring();
        }
        is_clear
    }

    /// No ring crosses the box: it lies in the area, or it does not. Where a ring cuts off just the corner, that says
    /// nothing of the box.
    fn around_all(&self, window: &Window, out: &mut TilePaths) -> bool {
        if self.winding == 1 {
            window.corners().into_iter().for_each(|corner| out.push(corner));
            out.finish_ring();
        }
        matches!(self.winding, 0 | 1) && !self.touched
    }

    /// Brings entries and exits in order around the box. False when they do not take turns, beginning with what the
    /// rings that wind around the first corner make of it. Rounding may put several on one point: there they take turns
    /// as they can.
    fn sort_around(&mut self) -> bool {
        self.around.clear();
        for (chain, [entry, exit]) in self.ends.iter().enumerate() {
            self.around.extend([(*entry, chain, true), (*exit, chain, false)]);
        }
        self.around.sort_unstable();
        let mut wanted = self.winding == 1;
        for index in 0..self.around.len() {
            let place = self.around[index].0;
            let same = self.around[index..].iter().take_while(|event| event.0 == place);
            let Some(turn) = same.into_iter().position(|event| event.2 == wanted) else { return false };
            self.around[index..=index + turn].rotate_right(1);
            wanted = !wanted;
        }
        matches!(self.winding, 0 | 1)
    }

    fn join(&mut self, window: &Window, out: &mut TilePaths) -> bool {
        let count = self.around.len();
        let mut joined = vec![false; self.ends.len()];
        self.exits.resize(self.ends.len(), 0);
        for (place, (_, chain, is_entry)) in self.around.iter().enumerate() {
            if !is_entry {
                self.exits[*chain] = place;
            }
        }
        // In the order of the entries, so that where the rings began leaves no trace.
        for first in 0..count {
            let (_, start, is_entry) = self.around[first];
            if !is_entry || joined[start] {
                continue;
            }
            let mut chain = start;
            while !joined[chain] {
                joined[chain] = true;
                self.chains.path(chain).iter().for_each(|point| out.push(*point));
                let place = self.exits[chain];
                let (entry, next, _) = self.around[(place + 1) % count];
                window.walk(self.around[place].0, entry, place + 1 == count, out);
                chain = next;
            }
            out.finish_ring();
            if chain != start {
                return false;
            }
        }
        true
    }
}

impl Window {
    fn side(&self) -> i64 {
        self.most - self.least
    }

    /// On which sides of the box a point lies, a bit each; 0 inside.
    fn outside(&self, point: TilePoint) -> u8 {
        u8::from(point.x < self.least)
            | u8::from(point.x > self.most) << 1
            | u8::from(point.y < self.least) << 2
            | u8::from(point.y > self.most) << 3
    }

    /// The corners, clockwise from the north-western one.
    fn corners(&self) -> [TilePoint; 4] {
        let Self { least, most } = *self;
        [(least, least), (most, least), (most, most), (least, most)].map(|(x, y)| TilePoint { x, y })
    }

    /// How far a point on the box's side is from the north-western corner, clockwise along the box.
    fn along(&self, point: TilePoint) -> i64 {
        let Self { least, most } = *self;
        if point.y == least {
            point.x - least
        } else if point.x == most {
            self.side() + point.y - least
        } else if point.y == most {
            2 * self.side() + most - point.x
        } else {
            3 * self.side() + most - point.y
        }
    }

    /// Adds the corners on the way clockwise along the box, which may lead over the first corner.
    fn walk(&self, from: i64, to: i64, over_first: bool, out: &mut TilePaths) {
        let to = if over_first { to + 4 * self.side() } else { to };
        for (corner, at) in self.corners().into_iter().cycle().zip((0..8).map(|side| side * self.side())) {
            if from < at && at < to {
                out.push(corner);
            }
        }
    }

    /// What a segment adds to how often a ring winds around the north-western corner: whether it crosses the line from
    /// there to the west, and which way.
    fn winding(&self, a: TilePoint, b: TilePoint) -> i32 {
        let (a_is_north, b_is_north) = (a.y < self.least, b.y < self.least);
        if a_is_north == b_is_north || (a.x >= self.least && b.x >= self.least) {
            return 0;
        }
        let turn = if a_is_north { -1 } else { 1 };
        let (run, rise) = (i128::from(b.x - a.x), i128::from(b.y - a.y));
        // Whether the crossing lies west of the corner; the segment's direction decides the sign.
        let east = run * i128::from(self.least - a.y) - i128::from(self.least - a.x) * rise;
        let is_west = if rise > 0 { east < 0 } else { east > 0 };
        if is_west { turn } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coord::Grid;

    fn ring(list: &[(i64, i64)]) -> Vec<TilePoint> {
        list.iter().map(|&(x, y)| TilePoint { x, y }).collect()
    }

    /// The rings of the clipped area; `None` when the rings contradict each other.
    fn clipped(rings: &[&[(i64, i64)]]) -> Option<Vec<Vec<(i64, i64)>>> {
        let window = Window::new(Grid::new(12, 64));
        let (mut area, mut out) = (Area::default(), TilePaths::default());
        rings.iter().for_each(|list| area.add(&window, &ring(list)));
        let plain = |path: &[TilePoint]| path.iter().map(|point| (point.x, point.y)).collect();
        area.finish(&window, &mut out).then(|| out.iter().map(plain).collect())
    }

    const FULL: [(i64, i64); 4] = [(-64, -64), (4160, -64), (4160, 4160), (-64, 4160)];
    const FAR: [(i64, i64); 4] = [(-9000, -9000), (9000, -9000), (9000, 9000), (-9000, 9000)];

    #[test]
    fn a_ring_around_the_tile_fills_it_unless_a_hole_does_so_too() {
        assert_eq!(clipped(&[&FAR]).unwrap(), [FULL]);
        let mut hole = FAR.map(|(x, y)| (x / 2, y / 2));
        hole.reverse();
        assert!(clipped(&[&FAR, &hole]).unwrap().is_empty());
        assert_eq!(clipped(&[&hole]), None, "a hole in nothing");
        assert_eq!(clipped(&[&FAR, &FAR]), None, "twice the same");
    }

    #[test]
    fn a_ring_that_cuts_off_less_than_a_unit_of_a_corner_does_not_fill_the_box() {
        // Its border passes a quarter of a unit inside of the north-western corner, which rounds to the corner itself.
        assert_eq!(clipped(&[&[(-3000, 2872), (-3000, -9000), (8873, -9000)]]), None);
    }

    #[test]
    fn an_area_that_enters_twice_is_two_rings() {
        let comb =
            [(-500, 10), (100, 10), (100, 20), (-300, 20), (-300, 30), (100, 30), (100, 40), (-500, 40)];
        let teeth = clipped(&[&comb]).unwrap();
        assert_eq!(
            teeth,
            [[(-64, 30), (100, 30), (100, 40), (-64, 40)], [(-64, 10), (100, 10), (100, 20), (-64, 20)],]
        );
    }

    #[test]
    fn a_hole_that_sticks_out_and_one_inside() {
        let hole = [(4000, 100), (4000, 200), (5000, 200), (5000, 100)];
        let small = [(10, 10), (10, 20), (20, 20), (20, 10)];
        let rings = clipped(&[&FAR, &hole, &small]).unwrap();
        let bay = [
            (4160, 200),
            (4160, 4160),
            (-64, 4160),
            (-64, -64),
            (4160, -64),
            (4160, 100),
            (4000, 100),
            (4000, 200),
        ];
        assert_eq!(rings[0].len(), 8);
        let turn = rings[0].iter().position(|point| *point == bay[0]).unwrap();
        assert_eq!([&rings[0][turn..], &rings[0][..turn]].concat(), bay);
        assert_eq!(rings[1], small);
    }

    #[test]
    fn rings_that_contradict_each_other_are_told() {
        // Two overlapping areas across the western side: two exits in a row.
        let [a, b] = [[10, 100], [50, 150]]
            .map(|[top, bottom]: [i64; 2]| [(-500, top), (100, top), (100, bottom), (-500, bottom)]);
        assert_eq!(clipped(&[&a, &b]), None);
    }
}
