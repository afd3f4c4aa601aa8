//! Edges of rings, and what two of them have in common.

use crate::simplify::{TilePaths, TilePoint};

/// A point of a ring, and the one that follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edge {
    pub(super) from: TilePoint,
    pub(super) to: TilePoint,
    /// The edge that follows.
    pub(super) next: u32,
}

/// What two edges that do not follow each other have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Common {
    Nothing,
    /// A point where both end, and nothing else.
    End(TilePoint),
    /// All of them, in one direction or in both.
    All,
    /// Anything else: they cross, or an end of one lies inside of the other.
    Knot,
}

/// Lists the edges of rings, in the order of their points.
pub(super) fn list(rings: &TilePaths, edges: &mut Vec<Edge>) {
    edges.clear();
    for ring in rings.iter() {
        let first = narrow(edges.len());
        let ends = ring.iter().zip(ring.iter().skip(1).chain(ring.first()));
        edges.extend(ends.zip(first + 1..).map(|((from, to), next)| Edge { from: *from, to: *to, next }));
        if let Some(last) = edges.last_mut() {
            last.next = first;
        }
    }
}

impl Edge {
    /// What two edges have in common whose boxes meet.
    pub(super) fn common(&self, other: &Self) -> Common {
        for (here, away) in [(self.from, self.to), (self.to, self.from)] {
            for (there, beyond) in [(other.from, other.to), (other.to, other.from)] {
                if here == there {
                    let overlap = cross(here, away, beyond) == 0 && dot(here, away, beyond) > 0;
                    return match overlap {
                        true if away == beyond => Common::All,
                        true => Common::Knot,
                        false => Common::End(here),
                    };
                }
            }
        }
        let turn = |a, b, c| cross(a, b, c).signum();
        let meet = turn(self.from, self.to, other.from) * turn(self.from, self.to, other.to) <= 0
            && turn(other.from, other.to, self.from) * turn(other.from, other.to, self.to) <= 0;
        if meet { Common::Knot } else { Common::Nothing }
    }

    /// Whether a point lies inside of the edge.
    pub(super) fn holds(&self, point: TilePoint) -> bool {
        cross(self.from, self.to, point) == 0 && dot(point, self.from, self.to) < 0
    }

    /// How far along the edge a point lies, in any unit.
    pub(super) fn along(&self, point: TilePoint) -> i64 {
        dot(self.from, self.to, point)
    }

    /// Where two edges cross, rounded to the grid, halves to the south-east.
    pub(super) fn crossing(&self, other: &Self) -> TilePoint {
        let (a, b) = (self, other);
        let run = (a.to.x - a.from.x) * (b.to.y - b.from.y) - (a.to.y - a.from.y) * (b.to.x - b.from.x);
        let part = cross(a.from, b.from, b.to);
        let at = |from: i64, to: i64| {
            // At most 2^18 units times their square: 54 bits.
            let (rise, run) = if run < 0 { (-part * (to - from), -run) } else { (part * (to - from), run) };
            from + (2 * rise + run).div_euclid((2 * run).max(1))
        };
        TilePoint { x: at(a.from.x, a.to.x), y: at(a.from.y, a.to.y) }
    }

    /// Whether the edge passes a point so near that there is none nearer on the grid: through the square of one unit around
    /// it, whose western and northern sides belong to it, and whose eastern and southern ones do not.
    pub(super) fn passes(&self, point: TilePoint) -> bool {
        // In halves of units from the point, from west to east: the square's sides are at -1 and 1.
        let place = |end: TilePoint| TilePoint { x: 2 * (end.x - point.x), y: 2 * (end.y - point.y) };
        let (a, b) = (place(self.from).min(place(self.to)), place(self.from).max(place(self.to)));
        if b.x < -1 || a.x >= 1 {
            return false;
        }
        let run = b.x - a.x;
        if run == 0 {
            return a.y < 1 && b.y >= -1;
        }
        // Between the square's western and eastern sides, `run` times as far south as the edge is there.
        let south = |x: i64| a.y * run + (b.y - a.y) * (x - a.x);
        let (enters, leaves) = (south(a.x.max(-1)), south(b.x.min(1)));
        let ends_inside = b.x < 1;
        enters.min(leaves) < run && (enters >= -run || leaves > -run || (leaves == -run && ends_inside))
    }

    /// Whether the edge crosses the line from a point, in halves of units, to the west; that it begins and ends on
    /// different sides of that line is known.
    pub(super) fn is_west_of(&self, point: TilePoint) -> bool {
        let doubled = |point: TilePoint| TilePoint { x: 2 * point.x, y: 2 * point.y };
        let (from, to) = (doubled(self.from), doubled(self.to));
        let (a, b) = if from.y < to.y { (from, to) } else { (to, from) };
        (b.x - a.x) * (point.y - a.y) < (point.x - a.x) * (b.y - a.y)
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
pub(super) fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn point((x, y): (i8, i8)) -> TilePoint {
        TilePoint { x: x.into(), y: y.into() }
    }

    fn edge(from: (i8, i8), to: (i8, i8)) -> Edge {
        Edge { from: point(from), to: point(to), next: 0 }
    }

    #[test]
    fn each_way_of_touching_is_told_from_the_others() {
        let common = |a: [(i8, i8); 2], b: [(i8, i8); 2]| edge(a[0], a[1]).common(&edge(b[0], b[1]));
        let base = [(0, 0), (10, 0)];
        assert_eq!(common(base, [(0, 1), (10, 1)]), Common::Nothing);
        assert_eq!(common(base, [(5, 1), (5, 9)]), Common::Nothing);
        assert_eq!(common(base, [(10, 0), (11, 0)]), Common::End(point((10, 0))));
        assert_eq!(common(base, [(0, 5), (0, 0)]), Common::End(point((0, 0))));
        assert_eq!(common(base, [(10, 0), (0, 0)]), Common::All);
        assert_eq!(common(base, base), Common::All);
        for knot in
            [[(5, -1), (5, 1)], [(5, 0), (5, 1)], [(5, 0), (15, 0)], [(0, 0), (5, 0)], [(-1, 0), (11, 0)]]
        {
            assert_eq!(common(base, knot), Common::Knot, "{knot:?}");
        }
    }

    quickcheck! {
        /// An edge leads through the squares around its own places, each of which is in just one square.
        fn an_edge_passes_the_points_nearest_to_its_places(from: (i8, i8), to: (i8, i8)) -> bool {
            let small = |(x, y): (i8, i8)| (x % 8, y % 8);
            let edge = edge(small(from), small(to));
            let steps = 2 * 15 * 15;
            let nearest = |a: i64, b: i64, step: i64| (2 * (a * (steps - step) + b * step) + steps).div_euclid(2 * steps);
            let near: std::collections::BTreeSet<_> = (0..=steps)
                .map(|step| TilePoint { x: nearest(edge.from.x, edge.to.x, step), y: nearest(edge.from.y, edge.to.y, step) })
                .collect();
            let all = (-8..=8).flat_map(|x| (-8..=8).map(move |y| TilePoint { x, y }));
            // Corners that it passes by less than a step are passed by no place of these.
            near.iter().all(|point| edge.passes(*point))
                && all.filter(|point| edge.passes(*point)).all(|point| {
                    near.contains(&point) || near.iter().any(|other| (other.x - point.x).abs() + (other.y - point.y).abs() == 1)
                })
        }
    }
}
