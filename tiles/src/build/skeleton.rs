//! What generalising asks of the features of a layer, while the features themselves wait in a file.
//!
//! One idea: a skeleton is a feature without what no rule asks about (of a point all but its place, id and the
//! attributes that rules name; of a polygon all but its small rings' areas and places), so that the very same rules run over a layer that is not in
//! memory, and their answers are written beside its features when these are read the next time.

use std::sync::Arc;

use super::BuildError;
use super::layers::LayerSummary;
use super::read::finish_layer;
use super::spill::{Spill, Spilled};
use super::understand::Interned;
use super::workplace::Workplace;
use crate::coord::Point;
use crate::cut::wrap;
use crate::feature::{ANY_ZOOM, Cell, CellLayer, Dictionary, Feature, Geometry};
use crate::generalise::{self, LayerRules, Pins, Shapes, Specks, Visits};
use crate::options::{BuildOptions, RenderOptions};

/// A file is read at most so often to find what features share, however little memory there may be.
const PARTS_MAX: u64 = 16;

/// In how many parts a layer is passed to hold so many bytes, a part at a time.
pub(super) fn parts(bytes: u64, options: &BuildOptions) -> u64 {
    bytes.div_ceil((options.loaded_bytes_max() as u64).max(1)).clamp(1, PARTS_MAX)
}

/// Adds the next features of the last layer, or of one that begins.
pub(super) fn add(skeletons: &mut Vec<Skeleton>, layer: &CellLayer, options: &BuildOptions) {
    let name = &*layer.dictionary.name;
    if skeletons.last().is_none_or(|last| last.layer() != name) {
        skeletons.push(Skeleton::new(name, options.rules(name)));
    }
    skeletons.iter_mut().next_back().into_iter().for_each(|last| last.add(layer, &options.render));
}

/// The skeletons of a layer's features, in their order.
pub(super) struct Skeleton {
    rules: LayerRules,
    interned: Interned,
    features: Vec<Feature>,
    /// How many features came before the first point; none of these is kept until there is one.
    before_points: usize,
    /// How many features and vertices there are.
    count: u32,
    vertices: u64,
    specks: Specks,
    no_tags: Arc<[(u32, u32)]>,
}

impl Skeleton {
    fn new(layer: &str, rules: LayerRules) -> Self {
        let interned = Interned::new(layer);
        Self {
            rules,
            interned,
            features: Vec::new(),
            before_points: 0,
            count: 0,
            vertices: 0,
            specks: Specks::default(),
            no_tags: [].into(),
        }
    }

    fn layer(&self) -> &str {
        &self.interned.dictionary.name
    }

    fn add(&mut self, layer: &CellLayer, render: &RenderOptions) {
        let mut asked = Vec::with_capacity(layer.dictionary.keys.len());
        for key in &layer.dictionary.keys {
            asked.push(generalise::asks(&self.rules, key).then(|| self.interned.key(key)));
        }
        for feature in &layer.features {
            self.specks.add(self.count, feature, render);
            self.vertices += feature.geometry.vertex_count();
            self.count += 1;
            match &feature.geometry {
                Geometry::Points(points) => self.point(feature, points.clone(), &asked, &layer.dictionary),
                _ if self.features.is_empty() => self.before_points += 1,
                _ => self.features.push(self.other()),
            }
        }
    }

    fn point(&mut self, feature: &Feature, points: Vec<Point>, asked: &[Option<u32>], words: &Dictionary) {
        if self.features.is_empty() {
            self.features = (0..self.before_points).map(|_| self.other()).collect();
        }
        let mut tags = Vec::new();
        for (key, value) in feature.tags.iter() {
            if let Some(key) = asked[*key as usize] {
                tags.push((key, self.interned.value(&words.values[*value as usize])));
            }
        }
        let tags = if tags.is_empty() { Arc::clone(&self.no_tags) } else { tags.into() };
        self.features.push(Feature { tags, geometry: Geometry::Points(points), ..*feature });
    }

    /// What stands for a feature that is no point: rules about points only count it.
    fn other(&self) -> Feature {
        let (tags, geometry) = (Arc::clone(&self.no_tags), Geometry::Lines(Vec::new()));
        Feature { id: 0, tags, min_zoom: 0, max_zoom: ANY_ZOOM, weight: 0, geometry }
    }

    /// Applies the rules.
    fn generalised(self, pins: Pins, options: &BuildOptions) -> Answers {
        let Self { rules, mut interned, mut features, specks, .. } = self;
        let mut shapes = Shapes::new(&rules, &options.render);
        (shapes.pins, shapes.dots) = (pins, specks.dots(&options.render));
        let count = features.len();
        generalise::layer(&mut features, &mut interned.dictionary, &rules, &options.render);
        let added = features.split_off(count);
        let zooms = |f: Feature| Zooms { min_zoom: f.min_zoom, max_zoom: f.max_zoom, weight: f.weight };
        let zooms = features.into_iter().map(zooms).collect();
        let added = CellLayer { dictionary: Arc::new(interned.dictionary), features: added };
        Answers { shapes, zooms, added, next: 0 }
    }

    /// The vertices that stay where features meet. The file is read as often as it takes to hold but a part of the
    /// vertices at a time.
    fn pins(&self, spilled: &Spilled, options: &BuildOptions) -> Result<Pins, BuildError> {
        let mut pins = Pins::default();
        if !self.rules.shared_borders {
            return Ok(pins);
        }
        let parts = parts(self.vertices * Visits::BYTES_A_VERTEX, options);
        for part in 0..parts {
            let mut visits = Visits::new(part, parts);
            spilled.each(&mut |chunk| {
                let here = chunk.layers.iter().filter(|layer| *layer.dictionary.name == *self.layer());
                here.flat_map(|layer| &layer.features).for_each(|feature| visits.feature(feature));
                Ok(())
            })?;
            pins.join(visits.pins());
        }
        Ok(pins)
    }
}

/// What rules may change of a point.
struct Zooms {
    min_zoom: u8,
    max_zoom: u8,
    weight: u32,
}

/// What the rules have said of a layer.
struct Answers {
    shapes: Shapes,
    zooms: Vec<Zooms>,
    added: CellLayer,
    /// The feature that is read next.
    next: usize,
}

impl Answers {
    fn apply(&mut self, features: &mut [Feature]) {
        for feature in features {
            self.shapes.apply(self.next, feature);
            if let (Some(zooms), Geometry::Points(_)) = (self.zooms.get(self.next), &feature.geometry) {
                let Zooms { min_zoom, max_zoom, weight } = *zooms;
                (feature.min_zoom, feature.max_zoom, feature.weight) = (min_zoom, max_zoom, weight);
            }
            self.next += 1;
        }
    }
}

/// Writes what the rules say beside the features in a file, and what they add behind each layer's features. What comes
/// out is the world as the one tile of zoom 0 sees it.
pub(super) fn generalise(
    spilled: Spilled,
    skeletons: Vec<Skeleton>,
    layers: &mut [LayerSummary],
    workplace: &Workplace,
    options: &BuildOptions,
) -> Result<Spilled, BuildError> {
    let mut spill = Spill::new(workplace, "generalised", options)?;
    let mut write = |mut layer: CellLayer| -> Result<(), BuildError> {
        finish_layer(&mut layer, options, layers);
        let wrapped = wrap(Cell { layers: vec![layer] }, options.render.grid());
        wrapped.layers.into_iter().try_for_each(|layer| spill.add(layer))
    };
    // A layer's features stand in one go, so what is added comes when its name stops.
    let mut skeletons = skeletons.into_iter();
    let mut now: Option<Answers> = None;
    spilled.each(&mut |chunk| {
        for mut layer in chunk.layers {
            while now.as_ref().is_none_or(|now| now.added.dictionary.name != layer.dictionary.name) {
                let Some(next) = skeletons.next() else { break };
                let pins = next.pins(&spilled, options)?;
                now.replace(next.generalised(pins, options))
                    .into_iter()
                    .try_for_each(|done| write(done.added))?;
            }
            now.iter_mut().for_each(|now| now.apply(&mut layer.features));
            write(layer)?;
        }
        Ok(())
    })?;
    now.into_iter().try_for_each(|done| write(done.added))?;
    spilled.remove()?;
    spill.finish()
}
