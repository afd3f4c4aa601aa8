//! Untangling: parts a ring where it touches or crosses itself, there and nowhere else.
//!
//! ```text
//!     a       d              Where a ring comes by a point twice, it is two rings that have the point in common.
//!      \     /               They wind around each place as often as the one did, and each is simple. Edges
//!       p===q                that cross or lie on each other are given such points first. What simplifying and
//!      /     \              rounding have folded over is most often just that: an inlet with no width left,
//!     b       c              a cape that touches the other shore.
//! ```
//!
//! One idea: the work follows the places that touch, not the ring. Crossings are rounded to the grid, which may make new
//! ones, so it takes a few rounds at most; what is not untangled then is left to the cleaner.

use super::touch::{Edge, Touch, cross, dot};
use crate::simplify::{TilePaths, TilePoint};

/// How often rings are parted before the cleaner has to do it.
const ROUNDS_MAX: usize = 6;

/// What follows an edge that has been taken out or walked.
const GONE: u32 = u32::MAX;

/// Untangles rings; its memory is used again from call to call.
#[derive(Debug, Default)]
pub(super) struct Untangle {
    touch: Touch,
    /// Points to be put into edges: edge, how far along it, point.
    inserts: Vec<(u32, i64, TilePoint)>,
    parted: TilePaths,
    ring: Vec<TilePoint>,
    stack: Vec<TilePoint>,
    /// Where each node is in the stack.
    places: Vec<usize>,
    corners: Vec<Corner>,
    /// The edge before each edge, while edges are cancelled.
    before: Vec<u32>,
}

/// Where a ring turns at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Corner {
    node: usize,
    ring: usize,
    before: TilePoint,
    after: TilePoint,
}

impl Untangle {
    /// Parts rings until they have no more than single points in common, each with itself none. False when that does
    /// not succeed; the rings mean nothing then.
    pub(super) fn untangle(&mut self, rings: &mut TilePaths) -> bool {
        for round in 0..ROUNDS_MAX {
            if round > 0 || rings.iter().any(has_spikes) {
                self.cut_spikes(rings);
            }
            if !self.touch.find(rings) {
                return false;
            }
            if self.touch.knots.is_empty()
                && (self.touch.nodes.is_empty() || self.only_touch_each_other(rings))
            {
                return true;
            }
            if !self.cancel(rings) {
                self.tie_nodes();
                self.part(rings);
            }
        }
        false
    }

    fn cut_spikes(&mut self, rings: &mut TilePaths) {
        self.parted.clear();
        for ring in rings.iter() {
            self.stack.clear();
            for point in ring.iter().copied() {
                push_without_spike(&mut self.stack, point);
            }
            let mut start = 0;
            while let [first, second, .., before, last] = self.stack[start..] {
                if is_spike(before, last, first) {
                    self.stack.pop();
                } else if is_spike(last, first, second) {
                    start += 1;
                } else {
                    break;
                }
            }
            self.parted.extend(&self.stack[start..]);
            self.parted.finish(3);
        }
        std::mem::swap(&mut self.parted, rings);
    }

    /// Whether each ring is simple, and rings that meet at a point do not cross there.
    fn only_touch_each_other(&mut self, rings: &TilePaths) -> bool {
        self.corners.clear();
        for (ring, path) in rings.iter().enumerate() {
            let edges = &self.touch.edges[rings.start(ring)..rings.start(ring) + path.len()];
            for edge in edges {
                if let Ok(node) = self.touch.nodes.binary_search(&edge.to) {
                    let after = self.touch.edges[edge.next as usize].to;
                    self.corners.push(Corner { node, ring, before: edge.from, after });
                }
            }
        }
        self.corners.sort_unstable();
        self.corners.chunk_by(|a, b| a.node == b.node).all(|corners| {
            let node = self.touch.nodes[corners[0].node];
            let apart = |a: &Corner, b: &Corner| a.ring != b.ring && !a.crosses(b, node);
            corners.iter().enumerate().all(|(index, a)| corners[index + 1..].iter().all(|b| apart(a, b)))
        })
    }

    /// Takes out pairs of edges that are each other's way back: the area lies on both sides of them or on neither. What
    /// comes before one goes on behind the other, which joins or parts rings. False when there are none.
    fn cancel(&mut self, rings: &mut TilePaths) -> bool {
        let Self { touch: Touch { edges, knots, .. }, before, parted, .. } = self;
        let back = |[a, b]: [u32; 2]| {
            let (a, b) = (&edges[a as usize], &edges[b as usize]);
            a.from == b.to && a.to == b.from
        };
        if !knots.iter().any(|pair| back(*pair)) {
            return false;
        }
        knots.retain(|pair| back(*pair));
        before.clear();
        before.resize(edges.len(), 0);
        for (index, edge) in (0..).zip(edges.iter()) {
            before[edge.next as usize] = index;
        }
        for [a, b] in knots.iter().map(|pair| pair.map(|index| index as usize)) {
            if edges[a].next == GONE || edges[b].next == GONE {
                continue;
            }
            for (one, other) in [(a, b), (b, a)] {
                let (from, to) = (before[one], edges[other].next);
                edges[from as usize].next = to;
                before[to as usize] = from;
            }
            edges[a].next = GONE;
            edges[b].next = GONE;
        }
        parted.clear();
        for start in 0..edges.len() {
            let mut at = start;
            while edges[at].next != GONE {
                parted.extend(&[edges[at].from]);
                at = std::mem::replace(&mut edges[at].next, GONE) as usize;
            }
            parted.finish(3);
        }
        std::mem::swap(&mut self.parted, rings);
        true
    }

    /// Finds the points where edges that cross or touch are to be divided.
    fn tie_nodes(&mut self) {
        let Self { touch: Touch { edges, knots, nodes, .. }, inserts, .. } = self;
        inserts.clear();
        for [a, b] in knots.iter().copied() {
            let (first, second) = (edges[a as usize], edges[b as usize]);
            let before = inserts.len();
            let mut shared = false;
            for (index, edge, other) in [(a, first, second), (b, second, first)] {
                for point in [other.from, other.to] {
                    if point == edge.from || point == edge.to {
                        nodes.push(point);
                        shared = true;
                    } else if edge.holds(point) {
                        inserts.push((index, edge.along(point), point));
                    }
                }
            }
            if inserts.len() == before && !shared {
                let point = crossing(first, second);
                inserts.push((a, first.along(point), point));
                inserts.push((b, second.along(point), point));
            }
        }
        nodes.extend(inserts.iter().map(|(_, _, point)| *point));
        nodes.sort_unstable();
        nodes.dedup();
        inserts.sort_unstable();
        inserts.dedup();
    }

    /// Parts each ring at the nodes that it comes by more than once.
    fn part(&mut self, rings: &mut TilePaths) {
        self.parted.clear();
        self.places.clear();
        self.places.resize(self.touch.nodes.len(), usize::MAX);
        let mut inserts = self.inserts.iter().peekable();
        let mut edge = 0;
        for ring in rings.iter() {
            self.ring.clear();
            for point in ring.iter().copied() {
                self.ring.push(point);
                while let Some((_, _, point)) = inserts.next_if(|insert| insert.0 == edge) {
                    self.ring.push(*point);
                }
                edge += 1;
            }
            part_ring(&self.ring, &self.touch.nodes, &mut self.places, &mut self.stack, &mut self.parted);
        }
        std::mem::swap(&mut self.parted, rings);
    }
}

/// Walks a ring; whenever it comes back to a node on the way, what lies between is a ring of its own.
fn part_ring(
    ring: &[TilePoint],
    nodes: &[TilePoint],
    places: &mut [usize],
    stack: &mut Vec<TilePoint>,
    out: &mut TilePaths,
) {
    stack.clear();
    let forget = |left: &[TilePoint], places: &mut [usize]| {
        left.iter()
            .filter_map(|point| nodes.binary_search(point).ok())
            .for_each(|node| places[node] = usize::MAX);
    };
    for point in ring {
        if let Ok(node) = nodes.binary_search(point) {
            let place = places[node];
            if place < stack.len() {
                out.extend(&stack[place..]);
                out.finish(3);
                forget(&stack[place + 1..], places);
                stack.truncate(place + 1);
                continue;
            }
            places[node] = stack.len();
        }
        stack.push(*point);
    }
    out.extend(stack);
    out.finish(3);
    forget(stack, places);
}

impl Edge {
    /// Whether a point lies on the edge.
    fn holds(&self, point: TilePoint) -> bool {
        cross(self.from, self.to, point) == 0 && dot(point, self.from, self.to) < 0
    }

    /// How far along the edge a point lies, in any unit.
    fn along(&self, point: TilePoint) -> i64 {
        dot(self.from, self.to, point)
    }
}

impl Corner {
    /// Whether another ring's corner at the same node begins on one side of this one and ends on the other.
    fn crosses(&self, other: &Self, node: TilePoint) -> bool {
        self.is_left(other.before, node) != self.is_left(other.after, node)
    }

    /// Whether a point lies between the ways onwards and back, turning in one direction.
    fn is_left(&self, point: TilePoint, node: TilePoint) -> bool {
        let behind_after = cross(node, self.after, point) > 0;
        let before_before = cross(node, point, self.before) > 0;
        match cross(node, self.after, self.before) {
            1.. => behind_after && before_before,
            0 => behind_after,
            _ => behind_after || before_before,
        }
    }
}

/// Where two edges cross, rounded to the grid.
fn crossing(a: Edge, b: Edge) -> TilePoint {
    let run = (a.to.x - a.from.x) * (b.to.y - b.from.y) - (a.to.y - a.from.y) * (b.to.x - b.from.x);
    let part = cross(a.from, b.from, b.to);
    let at = |from: i64, to: i64| {
        // At most 2^18 units times their square: 54 bits.
        let (rise, run) = if run < 0 { (-part * (to - from), -run) } else { (part * (to - from), run) };
        from + (2 * rise + run).div_euclid((2 * run).max(1))
    };
    TilePoint { x: at(a.from.x, a.to.x), y: at(a.from.y, a.to.y) }
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

    fn untangled(list: &[(i64, i64)]) -> Vec<Vec<(i64, i64)>> {
        let mut rings = TilePaths::default();
        list.iter().for_each(|&(x, y)| rings.push(TilePoint { x, y }));
        rings.finish_ring();
        assert!(Untangle::default().untangle(&mut rings), "{list:?}");
        rings.iter().map(|ring| ring.iter().map(|point| (point.x, point.y)).collect()).collect()
    }

    #[test]
    fn spikes_go_and_the_rest_stays() {
        let square = [(0, 0), (10, 0), (10, 10), (0, 10)];
        assert_eq!(untangled(&square), [square]);
        assert_eq!(untangled(&[(0, 0), (10, 0), (30, 0), (10, 0), (10, 10), (0, 10)]), [square]);
        assert_eq!(untangled(&[(0, 0), (10, 0), (10, 10), (0, 10), (0, -9)]), [square]);
        assert!(untangled(&[(0, 0), (10, 0), (5, 0)]).is_empty());
    }

    #[test]
    fn two_rings_with_a_side_in_common_are_one() {
        let mut rings = TilePaths::default();
        for ring in [[(0, 0), (10, 0), (10, 10), (0, 10)], [(10, 0), (20, 0), (20, 10), (10, 10)]] {
            ring.iter().for_each(|&(x, y)| rings.push(TilePoint { x, y }));
            rings.finish_ring();
        }
        assert!(Untangle::default().untangle(&mut rings));
        let ring: Vec<_> = rings.path(0).iter().map(|point| (point.x, point.y)).collect();
        assert_eq!((rings.len(), ring), (1, vec![(0, 0), (10, 0), (20, 0), (20, 10), (10, 10), (0, 10)]));
    }

    #[test]
    fn rings_are_parted_where_they_touch_themselves() {
        let corner = untangled(&[(0, 0), (10, 0), (5, 5), (10, 10), (0, 10), (5, 5)]);
        assert_eq!(corner, [vec![(5, 5), (10, 10), (0, 10)], vec![(0, 0), (10, 0), (5, 5)]]);
        let side = untangled(&[(0, 0), (10, 0), (10, 10), (5, 0), (0, 10)]);
        assert_eq!(side, [vec![(5, 0), (10, 0), (10, 10)], vec![(0, 0), (5, 0), (0, 10)]]);
        let isthmus = untangled(&[(0, 0), (4, 4), (8, 4), (12, 0), (12, 8), (8, 4), (4, 4), (0, 8)]);
        assert_eq!(isthmus, [vec![(0, 0), (4, 4), (0, 8)], vec![(8, 4), (12, 0), (12, 8)]]);
        let crossing = untangled(&[(0, 0), (10, 10), (10, 0), (0, 10)]);
        assert_eq!(crossing, [vec![(5, 5), (10, 10), (10, 0)], vec![(0, 0), (5, 5), (0, 10)]]);
    }
}
