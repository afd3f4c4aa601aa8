//! The border of what rings wind around: which parts of them have the area on one side only, and how these go on where
//! several meet.
//!
//! ```text
//!     v         ^           Four parts meet at a node. The area (dots) lies in two wedges, each between a part that comes
//!      \       /            and one that goes. The border goes on from the one to the other, around the wedge: so areas
//!  :::::\     /::::::       that touch in a point become rings of their own. A ring that still comes by a node twice has
//!  ::::::node::::::::       a hole that touches it there, and is parted: the hole is a ring of its own.
//!  :::::/     \::::::
//!      v       ^
//! ```
//!
//! One idea: noded rings have only points and whole edges in common, so between two nodes all is alike: the area is on both
//! sides of such a part, on neither, or on one, and the middle of any edge speaks for it all. The result is valid: no part
//! is used twice, none crosses another, no ring touches itself, and the inside of each outer ring without its holes is in
//! one piece.
//!
//! Source: after K. Weiler, Polygon comparison using a graph representation, 1980.

use std::cmp::Ordering;
use std::ops::Range;

use super::edge::{Edge, narrow};
use super::node::Noder;
use crate::simplify::{TilePaths, TilePoint};
use crate::watch::{Stopped, Watch};

/// Nothing yet: no ring, no part, no place.
pub(super) const NONE: u32 = u32::MAX;

/// Finds borders; its memory is used again from call to call.
#[derive(Debug, Default)]
pub(super) struct Borders {
    pub(super) parts: Vec<Part>,
    ends: Vec<End>,
    /// The part that goes on behind each.
    next: Vec<u32>,
    /// The parts on the way, and where among them each node is begun from.
    way: Vec<u32>,
    places: Vec<u32>,
    out: TilePaths,
}

/// A part of a ring from node to node, or a whole one that comes by none.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Its edges, modulo those of its ring.
    first: u32,
    count: u32,
    ring_edges: Range<u32>,
    is_whole: bool,
    pub(super) side: Side,
    /// The nodes where it begins and ends, as it is walked.
    nodes: [u32; 2],
    /// The ring of the result that it became part of.
    pub(super) ring: u32,
}

/// On which side of a part the area lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// On the right, as it has to.
    Right,
    /// On the left: it is to be walked backwards.
    Left,
    /// On both or on neither.
    Same,
}

/// Where a part meets a node.
#[derive(Clone, Copy, Debug)]
struct End {
    node: TilePoint,
    /// From the node along the part.
    ahead: TilePoint,
    part: u32,
    leaves: bool,
}

impl Borders {
    /// Lists the parts of noded rings, and on which side of each the area lies.
    ///
    /// # Errors
    /// When told to stop.
    pub(super) fn find(
        &mut self,
        rings: &TilePaths,
        noder: &Noder,
        watch: &mut Watch<'_>,
    ) -> Result<(), Stopped> {
        self.list_parts(rings, &noder.nodes);
        let mut turns = vec![1; self.parts.len()];
        if noder.has_twins {
            self.count_twins(&noder.edges, &mut turns);
        }
        for (part, turns) in self.parts.iter_mut().zip(turns) {
            if turns != 0 {
                part.side = side(noder, part.first, turns, watch)?;
            }
        }
        Ok(())
    }

    fn list_parts(&mut self, rings: &TilePaths, nodes: &[u32]) {
        self.parts.clear();
        let mut nodes = nodes;
        for ring in 0..rings.len() {
            let start = narrow(rings.start(ring));
            let end = start + narrow(rings.path(ring).len());
            let (own, others) = nodes.split_at(nodes.partition_point(|node| *node < end));
            nodes = others;
            let part = |first: u32, count: u32| Part {
                first,
                count,
                ring_edges: start..end,
                is_whole: own.is_empty(),
                side: Side::Same,
                nodes: [NONE; 2],
                ring: narrow(ring),
            };
            let (Some(least), Some(most)) = (own.first(), own.last()) else {
                self.parts.push(part(start, end - start));
                continue;
            };
            self.parts.extend(own.windows(2).map(|pair| part(pair[0], pair[1] - pair[0])));
            self.parts.push(part(*most, end - most + least - start));
        }
    }

    /// Lets one of the parts that lie on each other stand for all.
    fn count_twins(&self, edges: &[Edge], turns: &mut [i64]) {
        let mut singles: Vec<_> = (0..self.parts.len())
            .filter(|index| self.parts[*index].count == 1 && !self.parts[*index].is_whole)
            .map(|index| {
                let Edge { from, to, .. } = edges[self.parts[index].first as usize];
                (from.min(to), from.max(to), index, if from < to { 1 } else { -1 })
            })
            .collect();
        singles.sort_unstable();
        for twins in singles.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            twins.iter().for_each(|(_, _, part, _)| turns[*part] = 0);
            let (_, _, first, direction) = twins[0];
            turns[first] = direction * twins.iter().map(|(_, _, _, direction)| direction).sum::<i64>();
        }
    }

    /// The rings of the border, with the area on their right: outer rings have a positive area, holes a negative one.
    pub(super) fn join(&mut self, edges: &[Edge], rings: &mut TilePaths) {
        self.pair_at_nodes(edges);
        self.out.clear();
        for start in 0..narrow(self.parts.len()) {
            let part = &self.parts[start as usize];
            if part.side != Side::Same && part.ring == NONE {
                self.walk(start, edges);
            }
        }
        std::mem::swap(&mut self.out, rings);
    }

    /// Finds which part goes on behind each.
    fn pair_at_nodes(&mut self, edges: &[Edge]) {
        let Self { parts, ends, next, places, .. } = self;
        ends.clear();
        for (index, part) in (0..).zip(parts.iter_mut()) {
            part.ring = NONE;
            if part.side != Side::Same && !part.is_whole {
                let [first, last] = [part.edge(0), part.edge(part.count - 1)].map(|edge| edges[edge]);
                let leaves = part.side == Side::Right;
                ends.push(End { node: first.from, ahead: first.to, part: index, leaves });
                ends.push(End { node: last.to, ahead: last.from, part: index, leaves: !leaves });
            }
        }
        ends.sort_unstable_by(End::order);
        next.clear();
        next.extend(0..narrow(parts.len()));
        places.clear();
        for around in ends.chunk_by(|a, b| a.node == b.node) {
            let before = around.iter().cycle().skip(around.len() - 1);
            for (end, before) in around.iter().zip(before) {
                parts[end.part as usize].nodes[usize::from(!end.leaves)] = narrow(places.len());
                if !end.leaves {
                    // The area lies between them: sides take turns around a node.
                    next[end.part as usize] = before.part;
                }
            }
            places.push(NONE);
        }
    }

    /// Follows the border from a part until it comes back; whenever it comes by a node again, what lies between is a ring
    /// of its own.
    fn walk(&mut self, start: u32, edges: &[Edge]) {
        self.way.clear();
        let mut at = start;
        loop {
            let [begin, _] = self.parts[at as usize].nodes;
            if begin != NONE {
                let place = self.places[begin as usize];
                if place != NONE {
                    self.finish_ring(place as usize, edges);
                }
                self.places[begin as usize] = narrow(self.way.len());
            }
            self.way.push(at);
            at = self.next[at as usize];
            if at == start || self.parts[at as usize].ring != NONE {
                break;
            }
        }
        self.finish_ring(0, edges);
    }

    /// Makes a ring of the last parts of the way.
    fn finish_ring(&mut self, from: usize, edges: &[Edge]) {
        let Self { parts, way, places, out, .. } = self;
        let ring = narrow(out.len());
        for part in way.drain(from..) {
            let part = &mut parts[part as usize];
            part.ring = ring;
            if let Some(place) = places.get_mut(part.nodes[0] as usize) {
                *place = NONE;
            }
            match part.side {
                Side::Left => (0..part.count).rev().for_each(|step| out.push(edges[part.edge(step)].to)),
                _ => (0..part.count).for_each(|step| out.push(edges[part.edge(step)].from)),
            }
        }
        out.finish(3);
    }
}

impl Part {
    /// The edge so many steps from the first.
    fn edge(&self, step: u32) -> usize {
        let Range { start, end } = self.ring_edges;
        let index = self.first + step;
        (if index < end { index } else { index - end + start }) as usize
    }

    /// All its edges.
    pub(super) fn edges(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.count).map(|step| self.edge(step))
    }
}

impl End {
    /// By node, and around the node from north over east.
    fn order(&self, other: &Self) -> Ordering {
        let ahead = |end: &Self| (end.ahead.x - end.node.x, end.ahead.y - end.node.y);
        let is_west = |(x, y): (i64, i64)| x < 0 || (x == 0 && y > 0);
        self.node.cmp(&other.node).then_with(|| {
            let (a, b) = (ahead(self), ahead(other));
            is_west(a).cmp(&is_west(b)).then_with(|| (b.0 * a.1).cmp(&(a.0 * b.1)))
        })
    }
}

/// On which side of an edge and so many twins the area lies.
fn side(noder: &Noder, edge: u32, turns: i64, watch: &mut Watch<'_>) -> Result<Side, Stopped> {
    let Noder { edges, rows, .. } = noder;
    let Edge { from, to, .. } = edges[edge as usize];
    // An outer ring, clockwise on the map, leads north on its western side.
    let sign = |edge: u32| (edges[edge as usize].from.y - edges[edge as usize].to.y).signum();
    let middle = TilePoint { x: from.x + to.x, y: from.y + to.y };
    let mut met = 0;
    let west: i64 = rows.west_of(edges, middle).inspect(|_| met += 1).map(sign).sum();
    watch.worked(met)?;
    // To the west of the edge, or to the north of one that leads due east or west.
    let is_left = from.y > to.y || (from.y == to.y && from.x < to.x);
    let (left, right) = if is_left { (west, west + turns) } else { (west - turns, west) };
    Ok(match (left == 0, right == 0) {
        (true, false) => Side::Right,
        (false, true) => Side::Left,
        _ => Side::Same,
    })
}
