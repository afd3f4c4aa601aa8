//! Merging lines: features whose lines meet end to end, with the same attributes, become one.
//!
//! One idea: where exactly two ends of the same attributes meet, a line goes on; what GIS calls a pseudo-node is no end of
//! anything. Where one ends, where three meet, or where the attributes change, lines stay apart:
//!
//! ```text
//!        |                 The road a is cut at each crossing. Its own name meets itself twice there, so it becomes one
//!   --a--+--a--+--b--      line; the side road is another's, and so is b. A road cut into pieces would keep all its
//!        |     |           crossings at every zoom, and its pieces would be too short to be drawn long before it is.
//! ```
//!
//! Which ends meet is found from the ends alone, 48 bytes a line, so that the lines themselves may wait in a file. Ties
//! go by id and place, never by the order of the file. Not here: lines that meet without having a position in common.
//!
//! Source: the rule is that of JTS' `LineMerger` and of planetiler's, held to attributes; unlike there, who wants it
//! keeps directions.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::rules::MergeLines;
use crate::coord::Point;
use crate::feature::{CellLayer, Feature, Geometry, Value, Vertex};
use crate::rank::Ranker;

/// Where the lines of a layer begin and end.
pub(crate) struct LineEnds {
    rule: MergeLines,
    ends: Vec<End>,
    /// How many features have been seen.
    count: u32,
    /// How many vertices their lines have.
    pub(crate) vertices: u64,
}

/// Two are 48 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    place: u64,
    /// A hash of the attributes.
    attributes: u64,
    feature: u32,
    /// Twice the number of the line in its feature, one more at its end.
    line: u32,
}

impl End {
    fn is_start(self) -> bool {
        self.line & 1 == 0
    }

    fn line(self) -> (u32, u32) {
        (self.feature, self.line >> 1)
    }
}

fn place(vertex: &Vertex) -> u64 {
    u64::from(vertex.x.cast_unsigned()) << 32 | u64::from(vertex.y.cast_unsigned())
}

impl LineEnds {
    pub(crate) fn new(rule: MergeLines) -> Self {
        Self { rule, ends: Vec::new(), count: 0, vertices: 0 }
    }

    /// Takes the layer's next features.
    pub(crate) fn add(&mut self, layer: &CellLayer) {
        if self.rule == MergeLines::No {
            return;
        }
        let hash = |value: &Value| {
            let mut bytes = Vec::new();
            value.put(&mut bytes);
            xxh3_64(&bytes)
        };
        let keys: Vec<_> = layer.dictionary.keys.iter().map(|key| xxh3_64(key.as_bytes())).collect();
        let values: Vec<_> = layer.dictionary.values.iter().map(hash).collect();
        for feature in &layer.features {
            self.feature(feature, attributes(feature, &keys, &values));
            self.count += 1;
        }
    }

    fn feature(&mut self, feature: &Feature, attributes: u64) {
        let Geometry::Lines(lines) = &feature.geometry else { return };
        for (number, line) in (0..).zip(lines) {
            let (Some(first), Some(last)) = (line.first(), line.last()) else { continue };
            for (vertex, line) in [(first, 2 * number), (last, 2 * number + 1)] {
                self.ends.push(End { place: place(vertex), attributes, feature: self.count, line });
            }
            self.vertices += line.len() as u64;
        }
    }

    /// Which of the features become one.
    pub(crate) fn joins(mut self) -> Joins {
        self.ends.par_sort_unstable();
        let mut leads: Vec<u32> = (0..self.count).collect();
        let mut joints = Vec::new();
        let at_one_place = |a: &End, b: &End| (a.place, a.attributes) == (b.place, b.attributes);
        for meeting in self.ends.chunk_by(at_one_place) {
            let &[a, b] = meeting else { continue };
            let goes_on = self.rule == MergeLines::Undirected || a.is_start() != b.is_start();
            if goes_on && a.line() != b.line() {
                unite(&mut leads, a.feature, b.feature);
                joints.extend([a, b].map(|end| (end.feature, end.place)));
            }
        }
        // A lead is no later than those it leads, so each already points to it when its turn comes.
        for feature in 0..leads.len() {
            leads[feature] = leads[leads[feature] as usize];
        }
        let lead_of = |feature: u32| leads[feature as usize];
        let mut members: Vec<_> = joints.iter().map(|joint| (joint.0, lead_of(joint.0))).collect();
        let mut joints: Vec<_> =
            joints.into_iter().map(|(feature, place)| (lead_of(feature), place)).collect();
        members.par_sort_unstable();
        members.dedup();
        joints.par_sort_unstable();
        joints.dedup();
        Joins { members, joints }
    }
}

/// What has to be the same in two features that are merged, as a number.
fn attributes(feature: &Feature, keys: &[u64], values: &[u64]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&[feature.min_zoom, feature.max_zoom]);
    for (key, value) in feature.tags.iter() {
        hasher.update(&keys[*key as usize].to_le_bytes());
        hasher.update(&values[*value as usize].to_le_bytes());
    }
    hasher.digest()
}

/// Makes two sets one (R. E. Tarjan's disjoint sets, with path halving).
fn unite(leads: &mut [u32], a: u32, b: u32) {
    let [a, b] = [a, b].map(|mut feature| {
        while leads[feature as usize] != feature {
            leads[feature as usize] = leads[leads[feature as usize] as usize];
            feature = leads[feature as usize];
        }
        feature
    });
    leads[a.max(b) as usize] = a.min(b);
}

/// Which features of a layer become one. Features are named by their number in the layer; those that become one by the
/// first of them, their lead, in whose place the merged feature stands.
pub(crate) struct Joins {
    /// Each feature that is merged, with its lead; in this order.
    members: Vec<(u32, u32)>,
    /// Leads, and where lines of theirs go on; in this order.
    joints: Vec<(u32, u64)>,
}

/// An id and lines: all that merging changes of a feature.
pub(crate) struct Member {
    id: u64,
    lines: Vec<Vec<Vertex>>,
}

/// Features by their leads.
pub(crate) type ByLead<T> = BTreeMap<u32, T>;

impl Joins {
    /// How many features go into others.
    pub(crate) fn merged_count(&self) -> u64 {
        self.members.iter().filter(|(feature, lead)| feature != lead).count() as u64
    }

    /// The leads in so many parts, or fewer, in order: what is merged can be gathered part by part.
    pub(crate) fn parts(&self, count: usize) -> Vec<Range<u32>> {
        let leads: Vec<_> = self.members.iter().filter(|(feature, lead)| feature == lead).collect();
        let mut parts: Vec<_> =
            leads.chunks(leads.len().div_ceil(count).max(1)).map(|part| part[0].0..u32::MAX).collect();
        for index in 1..parts.len() {
            parts[index - 1].end = parts[index].start;
        }
        parts
    }

    fn lead(&self, feature: u32) -> Option<u32> {
        let found = self.members.binary_search_by_key(&feature, |member| member.0).ok()?;
        Some(self.members[found].1)
    }

    /// Takes the lines out of those features that are merged into `leads`. The first of the features has the number
    /// `first` in its layer.
    pub(crate) fn gather(
        &self,
        first: u32,
        features: &mut [Feature],
        leads: &Range<u32>,
        gathered: &mut ByLead<Vec<Member>>,
    ) {
        for (number, feature) in (first..).zip(features) {
            let Some(lead) = self.lead(number).filter(|lead| leads.contains(lead)) else { continue };
            if let Geometry::Lines(lines) = &mut feature.geometry {
                let member = Member { id: feature.id, lines: std::mem::take(lines) };
                gathered.entry(lead).or_default().push(member);
            }
        }
    }

    /// Makes one of each lead's features, once all of them are gathered.
    pub(crate) fn merged(&self, gathered: ByLead<Vec<Member>>, ranker: &Ranker) -> ByLead<Member> {
        gathered.into_par_iter().map(|(lead, members)| (lead, self.merge(lead, members, ranker))).collect()
    }

    /// The same lines, of which those that meet at the lead's joints are one.
    fn merge(&self, lead: u32, members: Vec<Member>, ranker: &Ranker) -> Member {
        let is_joint = |vertex: &Vertex| self.joints.binary_search(&(lead, place(vertex))).is_ok();
        let chains = Chains::of(members, is_joint);
        let id = chains.pieces.first().map_or(0, |piece| piece.0);
        Member { id, lines: chains.lines(ranker) }
    }

    /// Puts the merged features in the place of their leads, and leaves out those that have gone into them.
    pub(crate) fn apply(&self, first: u32, features: &mut Vec<Feature>, merged: &mut ByLead<Member>) {
        let mut numbers = first..;
        features.retain_mut(|feature| {
            let number = numbers.next().unwrap_or(u32::MAX);
            let lead = self.lead(number);
            if let Some(Member { id, lines }) = merged.remove(&number) {
                (feature.id, feature.geometry) = (id, Geometry::Lines(lines));
                feature.weight = feature.geometry.bounds().longer_side();
            }
            lead.is_none_or(|lead| lead == number)
        });
    }
}

/// A piece's end that meets another's: the other piece, and whether it is its start.
type Meeting = Option<(usize, bool)>;

/// Lines that become fewer.
struct Chains {
    /// Ids of features and their lines, in an order that no file decides.
    pieces: Vec<(u64, Vec<Vertex>)>,
    /// What each piece's start and end meet.
    meetings: Vec<[Meeting; 2]>,
}

impl Chains {
    fn of(members: Vec<Member>, is_joint: impl Fn(&Vertex) -> bool) -> Self {
        let mut pieces: Vec<_> = members
            .into_iter()
            .flat_map(|member| member.lines.into_iter().map(move |line| (member.id, line)))
            .collect();
        let points = |line: &[Vertex]| line.iter().map(|v| Point { x: v.x, y: v.y }).collect::<Vec<_>>();
        pieces.sort_by_cached_key(|(id, line)| (*id, points(line)));
        let mut ends = Vec::new();
        for (index, (_, line)) in pieces.iter().enumerate() {
            let both = [(line.first(), true), (line.last(), false)];
            for (vertex, is_start) in both {
                if let Some(vertex) = vertex.filter(|vertex| is_joint(vertex)) {
                    ends.push((place(vertex), index, is_start));
                }
            }
        }
        ends.sort_unstable();
        let mut meetings = vec![[None; 2]; pieces.len()];
        for pair in ends.chunk_by(|a, b| a.0 == b.0) {
            if let &[(_, a, a_starts), (_, b, b_starts)] = pair {
                meetings[a][usize::from(!a_starts)] = Some((b, b_starts));
                meetings[b][usize::from(!b_starts)] = Some((a, a_starts));
            }
        }
        Self { pieces, meetings }
    }

    /// The piece on which one goes on from the end of a piece that one walks `forwards` or back, and how one walks it.
    fn next(&self, (piece, forwards): (usize, bool)) -> Meeting {
        self.meetings[piece][usize::from(forwards)]
    }

    /// The lines, each pointing where its first piece points.
    fn lines(&self, ranker: &Ranker) -> Vec<Vec<Vertex>> {
        let mut done = vec![false; self.pieces.len()];
        let mut lines = Vec::new();
        for piece in 0..self.pieces.len() {
            if done[piece] {
                continue;
            }
            let mut line: Vec<Vertex> = Vec::new();
            let (mut at, mut count) = (Some(self.start(piece)), 0);
            while let Some((piece, forwards)) = at.filter(|at| !done[at.0]) {
                done[piece] = true;
                count += 1;
                let part = self.pieces[piece].1.iter();
                // The position where two meet stands in both.
                let skip = usize::from(!line.is_empty());
                match forwards {
                    true => line.extend(part.skip(skip)),
                    false => line.extend(part.rev().skip(skip)),
                }
                at = self.next((piece, forwards));
            }
            if count > 1 {
                ranker.hold(&mut line, false, &[]);
            }
            lines.push(line);
        }
        lines
    }

    /// Where to begin a piece's chain, and how to walk there: at the piece itself when they go around.
    fn start(&self, piece: usize) -> (usize, bool) {
        let mut at = (piece, false);
        while let Some(next) = self.next(at) {
            if next.0 == piece {
                return (piece, true);
            }
            at = next;
        }
        (at.0, !at.1)
    }
}

/// Merges the lines of a layer in memory; how many features went into others.
pub(crate) fn merge_lines(layer: &mut CellLayer, rule: MergeLines, ranker: &Ranker) -> u64 {
    if rule == MergeLines::No {
        return 0;
    }
    let mut ends = LineEnds::new(rule);
    ends.add(layer);
    let joins = ends.joins();
    let mut gathered = ByLead::new();
    joins.gather(0, &mut layer.features, &(0..u32::MAX), &mut gathered);
    joins.apply(0, &mut layer.features, &mut joins.merged(gathered, ranker));
    joins.merged_count()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::coord::WORLD;
    use crate::feature::{ANY_ZOOM, Dictionary};
    use crate::generalise::LayerRules;
    use crate::options::RenderOptions;

    type Lines = Vec<Vec<(i32, i32)>>;

    fn feature(id: u64, value: u32, lines: &[&[(i32, i32)]]) -> Feature {
        let vertex = |(x, y): &(i32, i32)| Vertex { x: *x, y: *y, zoom: 0 };
        let lines = lines.iter().map(|line| line.iter().map(vertex).collect()).collect();
        let tags = [(0, value)].into();
        let geometry = Geometry::Lines(lines);
        Feature { id, tags, min_zoom: 0, max_zoom: ANY_ZOOM, weight: 1, geometry }
    }

    /// The ids and lines that come out.
    fn merged(features: &[Feature], rule: MergeLines) -> Vec<(u64, Lines)> {
        let dictionary = Dictionary {
            name: "l".into(),
            keys: vec!["name".into()],
            values: vec![Value::Text("a".into()), Value::Text("b".into())],
        };
        let mut layer = CellLayer { dictionary: Arc::new(dictionary), features: features.to_vec() };
        let ranker = Ranker::new(&RenderOptions::default(), &LayerRules::default());
        let count = merge_lines(&mut layer, rule, &ranker);
        assert_eq!(count, (features.len() - layer.features.len()) as u64);
        let line = |line: &Vec<Vertex>| line.iter().map(|v| (v.x, v.y)).collect();
        let each = |feature: &Feature| match &feature.geometry {
            Geometry::Lines(lines) => (feature.id, lines.iter().map(line).collect()),
            other => panic!("{other:?}"),
        };
        layer.features.iter().map(each).collect()
    }

    #[test]
    fn what_goes_on_is_one_line_under_the_least_id() {
        let road = [
            feature(7, 0, &[&[(0, 0), (5, 1), (10, 0)]]),
            feature(3, 0, &[&[(20, 0), (30, 0)]]),
            feature(5, 0, &[&[(10, 0), (20, 0)]]),
        ];
        let whole = vec![(3, vec![vec![(0, 0), (5, 1), (10, 0), (20, 0), (30, 0)]])];
        assert_eq!(merged(&road, MergeLines::Directed), whole);
        let mut reversed = road.clone();
        reversed.reverse();
        assert_eq!(merged(&reversed, MergeLines::Directed), whole);
        assert_eq!(merged(&road, MergeLines::No).len(), 3);
    }

    #[test]
    fn directions_are_kept_unless_they_say_nothing() {
        let road = [feature(1, 0, &[&[(10, 0), (0, 0)]]), feature(2, 0, &[&[(10, 0), (20, 0)]])];
        assert_eq!(merged(&road, MergeLines::Directed).len(), 2);
        let whole = vec![(1, vec![vec![(20, 0), (10, 0), (0, 0)]])];
        assert_eq!(merged(&road, MergeLines::Undirected), whole);
    }

    #[test]
    fn three_ways_and_other_attributes_stay_apart() {
        let star =
            [(1, (10, 0)), (2, (0, 10)), (3, (-10, 0))].map(|(id, end)| feature(id, 0, &[&[(0, 0), end]]));
        assert_eq!(merged(&star, MergeLines::Undirected).len(), 3);
        let other = [feature(1, 0, &[&[(0, 0), (9, 9)]]), feature(2, 1, &[&[(9, 9), (20, 20)]])];
        assert_eq!(merged(&other, MergeLines::Undirected).len(), 2);
        // A crossing with another road is none to either of the two.
        let crossing = [
            feature(1, 0, &[&[(-9, 0), (0, 0)]]),
            feature(2, 0, &[&[(0, 0), (9, 0)]]),
            feature(3, 1, &[&[(0, -9), (0, 0)]]),
            feature(4, 1, &[&[(0, 0), (0, 9)]]),
        ];
        let ids: Vec<_> = merged(&crossing, MergeLines::Directed).iter().map(|f| f.0).collect();
        assert_eq!(ids, [1, 3]);
    }

    #[test]
    fn a_loop_begins_where_its_first_piece_does() {
        let closed = feature(9, 0, &[&[(50, 50), (60, 50), (60, 60), (50, 50)]]);
        let ring = [
            feature(4, 0, &[&[(10, 0), (5, 9), (0, 0)]]),
            feature(2, 0, &[&[(0, 0), (10, 0)]]),
            closed.clone(),
        ];
        let loops = merged(&ring, MergeLines::Directed);
        assert_eq!(loops[0], (2, vec![vec![(0, 0), (10, 0), (5, 9), (0, 0)]]));
        assert_eq!(loops[1].1, merged(&[closed], MergeLines::No)[0].1);
    }

    #[test]
    fn several_lines_of_a_feature_stay_together() {
        let lines = [
            feature(1, 0, &[&[(0, 0), (1, 0)], &[(5, 5), (6, 6)], &[(1, 0), (2, 0)]]),
            feature(2, 0, &[&[(6, 6), (7, 7)]]),
        ];
        let expected = vec![vec![(0, 0), (1, 0), (2, 0)], vec![(5, 5), (6, 6), (7, 7)]];
        assert_eq!(merged(&lines, MergeLines::Directed), vec![(1, expected)]);
    }

    #[test]
    fn a_line_that_was_cut_at_the_antimeridian_stays_cut() {
        let halves = [feature(1, 0, &[&[(WORLD - 9, 0), (WORLD, 0)]]), feature(2, 0, &[&[(0, 0), (9, 0)]])];
        assert_eq!(merged(&halves, MergeLines::Undirected).len(), 2);
    }

    #[test]
    fn parts_hold_each_lead_once() {
        let pairs: Vec<_> =
            (0..10).flat_map(|n| [0, 5].map(|x| feature(n as u64, 0, &[&[(x, n), (x + 5, n)]]))).collect();
        let dictionary =
            Dictionary { keys: vec!["k".into()], values: vec![Value::Bool(true)], ..Dictionary::default() };
        let mut ends = LineEnds::new(MergeLines::Directed);
        ends.add(&CellLayer { dictionary: Arc::new(dictionary), features: pairs });
        let joins = ends.joins();
        assert_eq!(joins.parts(3), [0..8, 8..16, 16..u32::MAX]);
        assert_eq!(joins.parts(1).len(), 1);
        assert_eq!(joins.parts(100).len(), 10);
    }
}
