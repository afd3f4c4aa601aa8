//! Edges by rows, and in each row from west to east: who is near whom, and who lies to the west of a point.
//!
//! One idea: edges are short, so of a row only those are met that begin before an edge ends, and a line from a point to
//! the west crosses few. Rows are as high as edges are on average, so an edge is in two of them at the mean, and one that
//! is long in no more than it crosses. Not here: what two edges that are near each other have in common.

use super::edge::Edge;
use crate::simplify::TilePoint;
use crate::watch::{Stopped, Watch};

/// Rows are high enough for about so many edges in each.
const EDGES_PER_ROW: usize = 8;

/// The rows of some edges; the memory is used again from call to call.
#[derive(Debug, Default)]
pub(super) struct Rows {
    least: i64,
    /// A row is `2^shift` tile units high.
    shift: u32,
    /// Where each row's entries end.
    ends: Vec<u32>,
    entries: Vec<Entry>,
}

/// An edge's box.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    min_x: i32,
    max_x: i32,
    min_y: i32,
    max_y: i32,
    /// Which edge, and the one that follows it.
    pub(super) edge: u32,
    next: u32,
}

impl Rows {
    /// Sorts edges into rows.
    ///
    /// # Errors
    /// When told to stop.
    pub(super) fn fill(&mut self, edges: &[Edge], watch: &mut Watch<'_>) -> Result<(), Stopped> {
        let (mut least, mut most, mut heights) = (i64::MAX, i64::MIN, 0);
        for Edge { from, to, .. } in edges {
            least = least.min(from.y);
            most = most.max(from.y);
            heights += (to.y - from.y).unsigned_abs();
        }
        let count = edges.len().max(1) as u64;
        let whole = least.abs_diff(most.max(least)) + 1;
        let height = (heights / count).max(whole * EDGES_PER_ROW as u64 / count).min(whole).max(1);
        self.least = least;
        self.shift = height.next_power_of_two().trailing_zeros();
        self.ends.clear();
        self.ends.resize(self.row(most.max(least)) + 2, 0);
        for edge in edges {
            self.rows(edge).for_each(|row| self.ends[row + 1] += 1);
        }
        let mut start = 0;
        for end in &mut self.ends {
            start += *end;
            *end = start;
        }
        self.entries.clear();
        self.entries.resize(start as usize, Entry::default());
        for (index, edge) in (0..).zip(edges) {
            let entry = Entry::of(edge, index);
            for row in self.rows(edge) {
                // Starts move up to the ends as entries fill in.
                self.entries[self.ends[row] as usize] = entry;
                self.ends[row] += 1;
            }
        }
        for row in 0..self.ends.len() {
            let entries = self.entries_of(row);
            watch.worked(entries.len())?;
            self.entries[entries].sort_unstable_by_key(|entry| entry.min_x);
        }
        Ok(())
    }

    fn row(&self, y: i64) -> usize {
        usize::try_from((y - self.least) >> self.shift).unwrap_or(0)
    }

    fn rows(&self, edge: &Edge) -> std::ops::RangeInclusive<usize> {
        self.row(edge.from.y.min(edge.to.y))..=self.row(edge.from.y.max(edge.to.y))
    }

    fn entries_of(&self, row: usize) -> std::ops::Range<usize> {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[row] as usize
    }

    /// Calls `meet` for all pairs of edges whose boxes meet and that do not follow each other; for some more than once.
    ///
    /// # Errors
    /// When told to stop.
    pub(super) fn pairs(&self, watch: &mut Watch<'_>, mut meet: impl FnMut(u32, u32)) -> Result<(), Stopped> {
        let mut start = 0;
        for end in self.ends.iter().map(|end| *end as usize) {
            let mut rest = &self.entries[start..end];
            while let Some((first, behind)) = rest.split_first() {
                let beside = behind.iter().take_while(|other| other.min_x <= first.max_x);
                let mut met = 1;
                for other in beside {
                    met += 1;
                    if first.meets(other) && first.next != other.edge && other.next != first.edge {
                        meet(first.edge, other.edge);
                    }
                }
                watch.worked(met)?;
                rest = behind;
            }
            start = end;
        }
        Ok(())
    }

    /// The edges that may lie on a point or pass it by less than a unit.
    pub(super) fn near(&self, point: TilePoint) -> impl Iterator<Item = u32> {
        let entries = &self.entries[self.entries_of(self.row(point.y))];
        let holds = move |entry: &&Entry| {
            let between = |least: i32, at: i64, most: i32| i64::from(least) <= at && at <= i64::from(most);
            between(entry.min_x, point.x, entry.max_x) && between(entry.min_y, point.y, entry.max_y)
        };
        entries
            .iter()
            .take_while(move |entry| i64::from(entry.min_x) <= point.x)
            .filter(holds)
            .map(|e| e.edge)
    }

    /// The edges that a line from a point to the west crosses. The point is in halves of units, and what lies on it does
    /// not count. The line runs as little north of the point as can be, so that it meets no end of an edge.
    pub(super) fn west_of(&self, edges: &[Edge], point: TilePoint) -> impl Iterator<Item = u32> {
        let entries = &self.entries[self.entries_of(self.row(point.y.div_euclid(2)))];
        let beside = move |entry: &&Entry| {
            2 * i64::from(entry.min_y) < point.y && point.y <= 2 * i64::from(entry.max_y)
        };
        let crosses = move |edge: &u32| edges[*edge as usize].is_west_of(point);
        let west = entries.iter().take_while(move |entry| 2 * i64::from(entry.min_x) < point.x);
        west.filter(beside).map(|entry| entry.edge).filter(crosses)
    }
}

impl Entry {
    #[expect(clippy::cast_possible_truncation, reason = "clipped: within the extent and its buffer")]
    fn of(edge: &Edge, index: u32) -> Self {
        let Edge { from, to, next } = *edge;
        Self {
            min_x: from.x.min(to.x) as i32,
            max_x: from.x.max(to.x) as i32,
            min_y: from.y.min(to.y) as i32,
            max_y: from.y.max(to.y) as i32,
            edge: index,
            next,
        }
    }

    /// Whether the boxes have a point in common; that they do from west to east is known.
    #[inline]
    fn meets(&self, other: &Self) -> bool {
        self.min_y <= other.max_y && other.min_y <= self.max_y
    }
}
