//! The first half of a build: sources to ranked features, in memory or, when there are too many, in a file.
//!
//! One idea: while all cores understand some batches, the next are read; what comes of them is taken in the order in
//! which it was read, so the features' order never depends on who was first.

use std::sync::Arc;

use rayon::prelude::*;

use super::BuildError;
use super::ids::Ids;
use super::layers::{self, LayerSummary};
use super::merge::{self, Ends};
use super::skeleton::{self, Skeleton};
use super::spill::{Spill, Spilled};
use super::understand::{Understood, understand};
use super::workplace::Workplace;
use crate::cut::wrap;
use crate::feature::{Cell, CellLayer};
use crate::generalise::{self, PointRule};
use crate::options::BuildOptions;
use crate::rank::Ranker;
use crate::report::{BuildReport, Progress, Stage};
use crate::source::{Batch, Source, SourceError};

/// What the sources hold.
pub(crate) struct Read {
    pub(super) world: World,
    pub(crate) layers: Vec<LayerSummary>,
}

/// Where the features wait to be cut.
pub(super) enum World {
    Memory(Cell),
    Spilled(Spilled),
}

pub(super) fn read(
    sources: &mut [&mut dyn Source],
    options: &BuildOptions,
    workplace: &Workplace,
    progress: &dyn Progress,
    report: &mut BuildReport,
) -> Result<Read, BuildError> {
    progress.done(Stage::Reading, 0, Some(0.0));
    let mut reader = Reader {
        kept: Vec::new(),
        kept_bytes: 0,
        spill: None,
        skeletons: Vec::new(),
        ends: Vec::new(),
        ids: Ids::default(),
        options,
        workplace,
        progress,
        layers: Vec::new(),
        features: 0,
    };
    let count = sources.len();
    for (index, source) in sources.iter_mut().enumerate() {
        reader.source(&mut **source, (index, count), report)?;
    }
    progress.done(Stage::Reading, reader.features, Some(1.0));
    reader.finish(report)
}

struct Reader<'a> {
    kept: Vec<CellLayer>,
    kept_bytes: usize,
    spill: Option<Spill>,
    /// Of the layers in the file, in their order.
    skeletons: Vec<Skeleton>,
    /// Of the same layers where any layer's lines are merged; their skeletons come after that.
    ends: Vec<Ends>,
    /// Of the layer that is being read.
    ids: Ids,
    options: &'a BuildOptions,
    workplace: &'a Workplace,
    progress: &'a dyn Progress,
    layers: Vec<LayerSummary>,
    features: u64,
}

impl Reader<'_> {
    fn source(
        &mut self,
        source: &mut dyn Source,
        (index, count): (usize, usize),
        report: &mut BuildReport,
    ) -> Result<(), BuildError> {
        let (name, origin) = (source.layer().to_owned(), source.origin());
        if !self.layers.iter().any(|layer| layer.name == name) {
            self.layers.push(LayerSummary::new(&name));
            report.layer(&name);
            self.ids = Ids::default();
        }
        let ranker = Ranker::new(&self.options.render, &self.options.rules(&name));
        let selection = self.options.selection(&name);
        let mut batches = some_batches(source)?;
        while !batches.is_empty() {
            let understand = |batch| understand(batch, &name, &origin, &selection, &ranker);
            let (next, understood) = rayon::join(
                || some_batches(source),
                || batches.into_par_iter().map(understand).collect::<Vec<_>>(),
            );
            for understood in understood {
                self.take(understood, report)?;
            }
            if self.progress.stopped() {
                return Err(BuildError::Stopped);
            }
            #[expect(clippy::cast_precision_loss, reason = "a share of progress")]
            let share = source
                .bytes_read()
                .map(|(read, total)| (index as f64 + (read as f64 / total as f64).min(1.0)) / count as f64);
            self.progress.done(Stage::Reading, self.features, share);
            batches = next?;
        }
        // Its next source, if there is one, goes on counting.
        report.layer(&name).repeated_ids = self.ids.repeated();
        Ok(())
    }

    fn take(&mut self, understood: Understood, report: &mut BuildReport) -> Result<(), BuildError> {
        let Understood { layer, ids, skipped, features } = understood;
        for skipped in skipped {
            if self.options.strict {
                return Err(BuildError::Strict(Box::new(skipped)));
            }
            report.skip(skipped);
        }
        self.features += features;
        ids.into_iter().for_each(|id| self.ids.add(id));
        let told = report.layer(&layer.dictionary.name);
        told.features += layer.features.len() as u64;
        told.vertices += layer.features.iter().map(|feature| feature.geometry.vertex_count()).sum::<u64>();
        self.kept_bytes += layer.memory_bytes();
        self.kept.push(layer);
        let most = if self.spill.is_some() { 0 } else { self.options.loaded_bytes_max() };
        if self.kept_bytes > most { self.spill_kept() } else { Ok(()) }
    }

    /// Moves what is kept to the file.
    fn spill_kept(&mut self) -> Result<(), BuildError> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::new(self.workplace, "features", self.options)?),
        };
        self.kept_bytes = 0;
        for layer in self.kept.drain(..).filter(|layer| !layer.features.is_empty()) {
            match self.options.merges_lines() {
                true => merge::add(&mut self.ends, &layer, self.options),
                false => skeleton::add(&mut self.skeletons, &layer, self.options),
            }
            spill.add(layer)?;
        }
        Ok(())
    }

    fn finish(mut self, report: &mut BuildReport) -> Result<Read, BuildError> {
        let world = match self.spill.take() {
            Some(spill) => {
                let (mut spilled, mut skeletons) = (spill.finish()?, self.skeletons);
                if self.options.merges_lines() {
                    (spilled, skeletons) =
                        merge::merge_lines(spilled, self.ends, self.workplace, self.options, report)?;
                }
                let spilled =
                    skeleton::generalise(spilled, skeletons, &mut self.layers, self.workplace, self.options)?;
                World::Spilled(spilled)
            }
            None => {
                let mut world = layers::merge(self.kept);
                for layer in &mut world.layers {
                    let rules = self.options.rules(&layer.dictionary.name);
                    let ranker = Ranker::new(&self.options.render, &rules);
                    let merged = generalise::merge_lines(layer, rules.merge_lines, &ranker);
                    report.layer(&layer.dictionary.name).merged = merged;
                    let dictionary = Arc::make_mut(&mut layer.dictionary);
                    generalise::layer(&mut layer.features, dictionary, &rules, &self.options.render);
                    finish_layer(layer, self.options, &mut self.layers);
                }
                World::Memory(wrap(world, self.options.render.grid()))
            }
        };
        // What a cluster stands for is not hidden.
        let apart = |layer: &&LayerSummary| self.options.rules(&layer.name).points != PointRule::Cluster;
        for zoom in self.options.render.min_zoom..=self.options.last_archived_zoom() {
            let hidden = |layer: &LayerSummary| {
                layer.by_min_zoom.range(zoom + 1..).map(|(_, count)| count).sum::<u64>()
            };
            report.zooms.entry(zoom).or_default().hidden_by_rank =
                self.layers.iter().filter(apart).map(hidden).sum();
        }
        Ok(Read { world, layers: self.layers })
    }
}

/// What is done to features when all of a layer has been seen: they are held to its zooms, and summed up.
pub(super) fn finish_layer(layer: &mut CellLayer, options: &BuildOptions, layers: &mut [LayerSummary]) {
    let selection = options.selection(&layer.dictionary.name);
    layer.features.iter_mut().for_each(|feature| selection.limit(feature));
    let known = layers.iter_mut().find(|known| *known.name == *layer.dictionary.name);
    known.into_iter().for_each(|known| known.add(layer));
}

/// Enough batches for all cores; none when there are no more.
fn some_batches(source: &mut dyn Source) -> Result<Vec<Batch>, SourceError> {
    let enough = 2 * rayon::current_num_threads();
    let mut batches = Vec::with_capacity(enough);
    while batches.len() < enough {
        match source.next()? {
            Some(batch) => batches.push(batch),
            None => break,
        }
    }
    Ok(batches)
}
