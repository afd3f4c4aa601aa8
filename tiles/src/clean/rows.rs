//! How often rings wind around a point.
//!
//! One idea: a line from the point to the west crosses each ring around it once more in one direction than in the other.
//! Edges are listed by rows, so that only those in the point's row are asked.

use super::Outline;
use crate::simplify::{TilePaths, TilePoint};

/// A row is `2^ROW_BITS` tile units high.
const ROW_BITS: u32 = 5;

/// Entries per edge and in all, beyond which the rows are no help.
const ENTRIES_PER_EDGE_MAX: usize = 16;
const ENTRIES_MAX: usize = 1 << 12;

/// Edges by row; the memory is used again from call to call.
#[derive(Debug, Default)]
pub(super) struct Rows {
    least: i64,
    /// Where each row's entries end.
    ends: Vec<usize>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    from: TilePoint,
    to: TilePoint,
    ring: usize,
}

impl Rows {
    /// Lists the rings' edges. False when they are too long for that to help.
    pub(super) fn fill(&mut self, rings: &TilePaths, outlines: &[Outline]) -> bool {
        let least = outlines.iter().map(|outline| outline.min.y).min().unwrap_or(0);
        let most = outlines.iter().map(|outline| outline.max.y).max().unwrap_or(0);
        self.least = least;
        self.ends.clear();
        self.ends.resize(row(least, most) + 2, 0);
        let mut edges = 0;
        for entry in entries(rings) {
            rows(least, &entry).for_each(|row| self.ends[row + 1] += 1);
            edges += 1;
        }
        let count = self.ends.iter().sum();
        if count > ENTRIES_MAX.max(ENTRIES_PER_EDGE_MAX * edges) {
            return false;
        }
        let mut start = 0;
        for end in &mut self.ends {
            start += *end;
            *end = start;
        }
        self.entries.clear();
        self.entries.resize(count, Entry::default());
        for entry in entries(rings) {
            for row in rows(least, &entry) {
                // Starts move up to the ends as entries fill in.
                self.entries[self.ends[row]] = entry;
                self.ends[row] += 1;
            }
        }
        true
    }

    /// How often all rings but one wind around a point in halves of units, which is on none of the others.
    pub(super) fn winding(&self, point: TilePoint, without: usize) -> i64 {
        let row = row(self.least, point.y.div_euclid(2));
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        let others = self.entries[start..self.ends[row]].iter().filter(|entry| entry.ring != without);
        let crossed = others.filter(|entry| crosses(entry.from, entry.to, point));
        // An outer ring, clockwise on the map, leads north on its western side.
        crossed.map(|entry| (entry.from.y - entry.to.y).signum()).sum()
    }
}

fn entries(rings: &TilePaths) -> impl Iterator<Item = Entry> {
    rings.iter().enumerate().flat_map(|(ring, path)| {
        let ends = path.iter().zip(path.iter().skip(1).chain(path.first()));
        ends.map(move |(from, to)| Entry { from: *from, to: *to, ring })
    })
}

fn row(least: i64, y: i64) -> usize {
    usize::try_from((y - least) >> ROW_BITS).unwrap_or(0)
}

fn rows(least: i64, entry: &Entry) -> std::ops::RangeInclusive<usize> {
    row(least, entry.from.y.min(entry.to.y))..=row(least, entry.from.y.max(entry.to.y))
}

/// Whether an edge crosses the line from a point, in halves of units, to the west.
pub(super) fn crosses(from: TilePoint, to: TilePoint, point: TilePoint) -> bool {
    let doubled = |point: TilePoint| TilePoint { x: 2 * point.x, y: 2 * point.y };
    let (from, to) = (doubled(from), doubled(to));
    if (from.y < point.y) == (to.y < point.y) {
        return false;
    }
    let (a, b) = if from.y < to.y { (from, to) } else { (to, from) };
    (b.x - a.x) * (point.y - a.y) < (point.x - a.x) * (b.y - a.y)
}
