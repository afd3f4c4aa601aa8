//! Batches of a layer put together, and what a layer has in all.
//!
//! One idea: whether batches are put together in memory, or come back from a file in pieces, it is one function that
//! joins layers of one name; so memory decides where features wait, never what becomes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::understand::Interned;
use crate::coord::Bounds;
use crate::feature::{Cell, CellLayer, Dictionary, Feature, Value};

/// What a layer has, as `TileJSON` and the report tell.
#[derive(Clone, Debug)]
pub(crate) struct LayerSummary {
    pub(crate) name: String,
    /// Attributes and their types: `Number`, `Boolean`, `String`, or `Mixed`.
    pub(crate) fields: BTreeMap<Arc<str>, &'static str>,
    /// How many features show from each zoom on.
    pub(crate) by_min_zoom: BTreeMap<u8, u64>,
    /// The deepest zoom at which any of them is drawn.
    pub(crate) max_zoom: u8,
    pub(crate) bounds: Bounds,
}

impl LayerSummary {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            fields: BTreeMap::new(),
            by_min_zoom: BTreeMap::new(),
            max_zoom: 0,
            bounds: Bounds::EMPTY,
        }
    }

    /// The least zoom at which any feature is drawn.
    pub(crate) fn min_zoom(&self) -> u8 {
        self.by_min_zoom.keys().next().copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, layer: &CellLayer) {
        for feature in &layer.features {
            *self.by_min_zoom.entry(feature.min_zoom).or_default() += 1;
            self.max_zoom = self.max_zoom.max(feature.max_zoom);
            self.bounds.join(&feature.geometry.bounds());
        }
        self.add_fields(&layer.dictionary, &layer.features);
    }

    fn add_fields(&mut self, dictionary: &Dictionary, features: &[Feature]) {
        let kinds: Vec<_> = dictionary.values.iter().map(kind).collect();
        let mut seen: Vec<[bool; 3]> = vec![[false; 3]; dictionary.keys.len()];
        for (key, value) in features.iter().flat_map(|feature| feature.tags.iter()) {
            seen[*key as usize][kinds[*value as usize]] = true;
        }
        for (key, seen) in dictionary.keys.iter().zip(seen) {
            for name in KINDS.iter().zip(seen).filter_map(|(name, seen)| seen.then_some(*name)) {
                let known = self.fields.entry(Arc::clone(key)).or_insert(name);
                if *known != name {
                    *known = "Mixed";
                }
            }
        }
    }
}

const KINDS: [&str; 3] = ["String", "Boolean", "Number"];

fn kind(value: &Value) -> usize {
    match value {
        Value::Text(_) => 0,
        Value::Bool(_) => 1,
        Value::Natural(_) | Value::Negative(_) | Value::Double(_) => 2,
    }
}

/// Joins layers of one name; their features keep their order, and the names that of their first layer.
pub(super) fn merge(layers: Vec<CellLayer>) -> Cell {
    let mut by_name: Vec<Vec<CellLayer>> = Vec::new();
    for layer in layers.into_iter().filter(|layer| !layer.features.is_empty()) {
        match by_name.iter_mut().find(|known| known[0].dictionary.name == layer.dictionary.name) {
            Some(known) => known.push(layer),
            None => by_name.push(vec![layer]),
        }
    }
    Cell { layers: by_name.into_iter().map(joined).collect() }
}

/// The layer with no more words than its features use.
pub(super) fn trimmed(layer: CellLayer) -> CellLayer {
    let (words, mut features) = (&layer.dictionary, layer.features);
    let mut interned = Interned::new(&words.name);
    for feature in features.iter_mut().filter(|feature| !feature.tags.is_empty()) {
        let tag = |(key, value): &(u32, u32)| {
            interned.tag(&words.keys[*key as usize], &words.values[*value as usize])
        };
        feature.tags = feature.tags.iter().map(tag).collect();
    }
    CellLayer { dictionary: Arc::new(interned.dictionary), features }
}

fn joined(mut layers: Vec<CellLayer>) -> CellLayer {
    if layers.len() == 1 {
        return layers.remove(0);
    }
    let mut interned = Interned::new(&layers[0].dictionary.name);
    let mut features = Vec::with_capacity(layers.iter().map(|layer| layer.features.len()).sum());
    for layer in layers {
        let keys: Vec<_> = layer.dictionary.keys.iter().map(|key| interned.key(key)).collect();
        let values: Vec<_> = layer.dictionary.values.iter().map(|value| interned.value(value)).collect();
        let renumbered = |(key, value): &(u32, u32)| (keys[*key as usize], values[*value as usize]);
        features.extend(layer.features.into_iter().map(|mut feature| {
            match Arc::get_mut(&mut feature.tags) {
                Some(tags) => tags.iter_mut().for_each(|tag| *tag = renumbered(tag)),
                None => feature.tags = feature.tags.iter().map(renumbered).collect(),
            }
            feature
        }));
    }
    CellLayer { dictionary: Arc::new(interned.dictionary), features }
}
