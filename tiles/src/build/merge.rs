//! Lines that become one while they wait in a file.
//!
//! One idea: which features are merged is known from their ends, and where the first of them comes by, all must be at
//! hand; so the file is passed once, and read ahead for a part of what is merged at a time. Not here: which lines those
//! are (see [`generalise`](crate::generalise)), which is the same for lines in memory.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::BuildError;
use super::skeleton::{self, Skeleton};
use super::spill::{Spill, Spilled};
use super::workplace::Workplace;
use crate::feature::{CellLayer, Vertex};
use crate::generalise::{ByLead, Joins, LineEnds, Member};
use crate::options::BuildOptions;
use crate::rank::Ranker;
use crate::report::BuildReport;

/// Where the lines of a layer begin and end.
pub(super) struct Ends {
    layer: Arc<str>,
    ends: LineEnds,
}

/// Adds the next features of the last layer, or of one that begins.
pub(super) fn add(all: &mut Vec<Ends>, layer: &CellLayer, options: &BuildOptions) {
    let name = &layer.dictionary.name;
    if all.last().is_none_or(|last| last.layer != *name) {
        let ends = LineEnds::new(options.rules(name).merge_lines);
        all.push(Ends { layer: Arc::clone(name), ends });
    }
    all.iter_mut().next_back().into_iter().for_each(|last| last.ends.add(layer));
}

/// Merges the lines in a file into another, and takes the skeletons of what comes out.
pub(super) fn merge_lines(
    spilled: Spilled,
    ends: Vec<Ends>,
    workplace: &Workplace,
    options: &BuildOptions,
    report: &mut BuildReport,
) -> Result<(Spilled, Vec<Skeleton>), BuildError> {
    let mut spill = Spill::new(workplace, "merged", options)?;
    let mut skeletons = Vec::new();
    let mut ends = ends.into_iter();
    let mut now: Option<Merging<'_>> = None;
    spilled.each(&mut |chunk| {
        for mut layer in chunk.layers {
            while now.as_ref().is_none_or(|now| now.layer != layer.dictionary.name) {
                let Some(next) = ends.next() else { break };
                let merging = Merging::new(next, &spilled, options);
                report.layer(&merging.layer).merged = merging.joins.merged_count();
                now = Some(merging);
            }
            now.iter_mut().try_for_each(|now| now.apply(&mut layer))?;
            skeleton::add(&mut skeletons, &layer, options);
            spill.add(layer)?;
        }
        Ok(())
    })?;
    spilled.remove()?;
    Ok((spill.finish()?, skeletons))
}

/// A layer that comes by.
struct Merging<'a> {
    layer: Arc<str>,
    spilled: &'a Spilled,
    joins: Joins,
    ranker: Ranker,
    /// The leads whose features have not been gathered yet.
    parts: VecDeque<Range<u32>>,
    merged: ByLead<Member>,
    /// The feature that comes next.
    next: u32,
}

impl<'a> Merging<'a> {
    fn new(Ends { layer, ends }: Ends, spilled: &'a Spilled, options: &BuildOptions) -> Self {
        let parts = skeleton::parts(ends.vertices * size_of::<Vertex>() as u64, options);
        let joins = ends.joins();
        let parts = joins.parts(usize::try_from(parts).unwrap_or(1)).into();
        let ranker = Ranker::new(&options.render, &options.rules(&layer));
        Self { layer, spilled, joins, ranker, parts, merged: ByLead::new(), next: 0 }
    }

    fn apply(&mut self, layer: &mut CellLayer) -> Result<(), BuildError> {
        let (first, count) = (self.next, u32::try_from(layer.features.len()).unwrap_or(u32::MAX));
        self.next = first.saturating_add(count);
        while let Some(part) = self.parts.pop_front_if(|part| part.start < self.next) {
            self.gather(&part)?;
        }
        self.joins.apply(first, &mut layer.features, &mut self.merged);
        Ok(())
    }

    /// Reads ahead for what is merged into some leads.
    fn gather(&mut self, leads: &Range<u32>) -> Result<(), BuildError> {
        let (mut gathered, mut next) = (ByLead::new(), 0);
        self.spilled.each(&mut |chunk| {
            for mut layer in chunk.layers.into_iter().filter(|layer| layer.dictionary.name == self.layer) {
                self.joins.gather(next, &mut layer.features, leads, &mut gathered);
                next = next.saturating_add(u32::try_from(layer.features.len()).unwrap_or(u32::MAX));
            }
            Ok(())
        })?;
        self.merged.extend(self.joins.merged(gathered, &self.ranker));
        Ok(())
    }
}
