//! From a batch to ranked features of a layer: the part of reading that all cores share.
//!
//! One idea: each batch becomes a layer of its own, with a dictionary of its own, so that batches know nothing of each
//! other and can be kept, merged or written away as they are. Not here: the order of batches (see `read`).

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::RandomState;
use xxhash_rust::xxh3::Xxh3;

use crate::feature::{CellLayer, Dictionary, Feature, ID_BITS, Value};
use crate::project::GeometryFault;
use crate::rank::Ranker;
use crate::report::Skipped;
use crate::select::Selection;
use crate::source::{BadFeature, Batch, Shape, SourceFeature, SourceId};

/// What a batch has come to.
pub(super) struct Understood {
    pub(super) layer: CellLayer,
    pub(super) skipped: Vec<Skipped>,
    /// The ids of the good ones.
    pub(super) ids: Vec<u64>,
    /// How many features there were, good and bad.
    pub(super) features: u64,
}

/// Checks, projects and ranks the features of a batch.
pub(super) fn understand(
    batch: Batch,
    layer: &str,
    origin: &str,
    selection: &Selection,
    ranker: &Ranker,
) -> Understood {
    let mut interned = Interned::new(layer);
    let (mut features, mut ids, mut skipped, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0);
    batch(&mut |place, item| {
        count += 1;
        let added = item.and_then(|mut feature| match selection.select(&mut feature) {
            true => add(&feature, ranker, &mut interned, &mut features).map(|id| ids.push(id)),
            false => Ok(()),
        });
        if let Err(bad) = added {
            skipped.push(Skipped { origin: origin.to_owned(), place, bad });
        }
    });
    let layer = CellLayer { dictionary: Arc::new(interned.dictionary), features };
    Understood { layer, ids, skipped, features: count }
}

/// Adds a feature, or one for each of its shapes; its id.
fn add(
    feature: &SourceFeature,
    ranker: &Ranker,
    interned: &mut Interned,
    out: &mut Vec<Feature>,
) -> Result<u64, BadFeature> {
    let bad = |fault: GeometryFault| BadFeature { id: feature.id.clone(), fault: fault.into() };
    if feature.shapes.is_empty() {
        return Err(bad(GeometryFault::Empty));
    }
    let projected: Vec<_> =
        feature.shapes.iter().map(|shape| ranker.projected(shape)).collect::<Result<_, _>>().map_err(bad)?;
    // A name that stands twice counts once, with its last value; the order is the alphabet's.
    let last: BTreeMap<_, _> = feature.properties.iter().map(|(key, value)| (&**key, value)).collect();
    let properties: Vec<_> = last.into_iter().collect();
    let tags: Arc<[_]> = properties.iter().map(|(key, value)| interned.tag(key, value)).collect();
    let id = feature_id(feature);
    out.extend(
        projected.into_iter().map(|projected| Feature {
            tags: Arc::clone(&tags),
            ..ranker.feature(id, projected, &properties)
        }),
    );
    Ok(id)
}

/// A dictionary that grows.
pub(super) struct Interned {
    pub(super) dictionary: Dictionary,
    keys: HashMap<Arc<str>, u32, RandomState>,
    values: HashMap<Value, u32, RandomState>,
}

impl Interned {
    pub(super) fn new(layer: &str) -> Self {
        let dictionary = Dictionary { name: layer.into(), ..Dictionary::default() };
        Self { dictionary, keys: HashMap::default(), values: HashMap::default() }
    }

    pub(super) fn tag(&mut self, key: &str, value: &Value) -> (u32, u32) {
        (self.key(key), self.value(value))
    }

    pub(super) fn key(&mut self, key: &str) -> u32 {
        match self.keys.get(key) {
            Some(index) => *index,
            None => added(&mut self.keys, &mut self.dictionary.keys, key.into()),
        }
    }

    pub(super) fn value(&mut self, value: &Value) -> u32 {
        match self.values.get(value) {
            Some(index) => *index,
            None => added(&mut self.values, &mut self.dictionary.values, value.clone()),
        }
    }
}

fn added<T: Hash + Eq + Clone>(known: &mut HashMap<T, u32, RandomState>, all: &mut Vec<T>, item: T) -> u32 {
    // 2^32 different values do not fit the memory that holds them.
    let index = u32::try_from(all.len()).unwrap_or(u32::MAX);
    all.push(item.clone());
    known.insert(item, index);
    index
}

/// A number below 2^53 stays; other ids are hashed, and features without one by what they are: so an id is the same
/// in each build, wherever in the file the feature stands.
fn feature_id(feature: &SourceFeature) -> u64 {
    let hash = |bytes: &dyn Fn(&mut Xxh3)| {
        let mut hasher = Xxh3::new();
        bytes(&mut hasher);
        hasher.digest() >> (64 - ID_BITS)
    };
    match &feature.id {
        Some(SourceId::Number(number)) if number >> ID_BITS == 0 => *number,
        Some(SourceId::Number(number)) => hash(&|hasher| hasher.update(number.to_string().as_bytes())),
        Some(SourceId::Text(text)) => hash(&|hasher| hasher.update(text.as_bytes())),
        None => hash(&|hasher| hash_content(feature, hasher)),
    }
}

fn hash_content(feature: &SourceFeature, hasher: &mut Xxh3) {
    let mut properties = Vec::new();
    for (key, value) in &feature.properties {
        Value::Text(Arc::clone(key)).put(&mut properties);
        value.put(&mut properties);
    }
    hasher.update(&properties);
    let mut line = |line: &[[f64; 2]]| {
        hasher.update(&(line.len() as u64).to_le_bytes());
        line.iter().flatten().for_each(|degrees| hasher.update(&degrees.to_le_bytes()));
    };
    for shape in &feature.shapes {
        match shape {
            Shape::Points(points) => line(points),
            Shape::Lines(lines) => lines.iter().for_each(|points| line(points)),
            Shape::Polygons(polygons) => polygons.iter().flatten().for_each(|ring| line(ring)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generalise::LayerRules;
    use crate::options::RenderOptions;

    fn feature(id: Option<SourceId>) -> SourceFeature {
        SourceFeature { id, properties: Vec::new(), shapes: vec![Shape::Points(vec![[1.0, 2.0]])] }
    }

    #[test]
    fn ids_stay_when_they_fit_and_are_stable_when_they_do_not() {
        let id = |id| feature_id(&feature(id));
        assert_eq!(id(Some(SourceId::Number((1 << 53) - 1))), (1 << 53) - 1);
        // Held still: other people's data refers to these.
        assert_eq!(id(Some(SourceId::Text("way/1".into()))), 8_173_586_647_801_438);
        assert_eq!(id(Some(SourceId::Number(1 << 53))), 7_129_697_941_290_621);
        assert_eq!(id(None), 7_608_865_335_967_394);
    }

    #[test]
    fn a_name_that_stands_twice_counts_once() {
        let mut twice = feature(None);
        twice.properties = [1, 2].map(|number| ("a".into(), Value::Natural(number))).to_vec();
        let (mut interned, mut out) = (Interned::new("l"), Vec::new());
        add(&twice, &Ranker::new(&RenderOptions::default(), &LayerRules::default()), &mut interned, &mut out)
            .unwrap();
        assert_eq!(out[0].tags.len(), 1);
        assert_eq!(interned.dictionary.values, [Value::Natural(2)]);
    }
}
