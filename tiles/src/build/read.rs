//! The first half of a build: sources to the world's cell, ranked.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use xxhash_rust::xxh3::Xxh3;

use super::BuildError;
use crate::cells::put_value;
use crate::coord::Bounds;
use crate::feature::{Cell, CellLayer, Dictionary, Feature, Geometry, ID_BITS, Value};
use crate::generalise::{self, PointRule};
use crate::options::BuildOptions;
use crate::project::{self, Projected};
use crate::rank::Ranker;
use crate::report::{BuildReport, LayerReport, Progress, Skipped, Stage};
use crate::source::{BadFeature, Shape, Source, SourceFeature, SourceId};

/// Progress is told every so many features.
const TELL_EVERY: u64 = 1024;

/// What the sources hold.
pub(crate) struct Read {
    pub(crate) world: Cell,
    pub(crate) layers: Vec<LayerFields>,
    pub(crate) bounds: Bounds,
}

/// A layer's attributes and their types, as `TileJSON` names them.
pub(crate) struct LayerFields {
    pub(crate) name: String,
    pub(crate) fields: BTreeMap<Arc<str>, &'static str>,
    pub(crate) min_zoom: u8,
}

/// A feature that is projected but not ranked.
struct Raw {
    id: u64,
    tags: Arc<[(u32, u32)]>,
    projected: Projected,
}

pub(super) fn read(
    sources: &mut [&mut dyn Source],
    options: &BuildOptions,
    progress: &dyn Progress,
    report: &mut BuildReport,
) -> Result<Read, BuildError> {
    progress.done(Stage::Reading, 0, None);
    let mut raw = Vec::new();
    let mut total = 0;
    for source in sources {
        raw.push(read_layer(&mut **source, &mut total, progress, report)?);
    }
    progress.done(Stage::Reading, total, Some(total));
    let done = AtomicU64::new(0);
    let mut read = Read { world: Cell::default(), layers: Vec::new(), bounds: Bounds::EMPTY };
    for (mut dictionary, features) in raw {
        let rules = options.rules(&dictionary.name);
        let ranker = Ranker::new(&options.render, &rules);
        let tell = |done: u64| progress.done(Stage::Ranking, done, None);
        let mut features = rank(features, &dictionary, &ranker, &done, &tell);
        report.layers.push(layer_report(&dictionary, &features));
        generalise::layer(&mut features, &mut dictionary, &rules, &options.render);
        read.add(dictionary, features);
    }
    let ranked = done.into_inner();
    progress.done(Stage::Ranking, ranked, Some(ranked));
    for (zoom, entry) in (options.render.min_zoom..=options.last_archived_zoom()).map(|z| (z, z)) {
        // What a cluster stands for is not hidden.
        let apart = |layer: &&CellLayer| options.rules(&layer.dictionary.name).points != PointRule::Cluster;
        let features = read.world.layers.iter().filter(apart).flat_map(|layer| &layer.features);
        let hidden = features.filter(|feature| feature.min_zoom > zoom).count();
        report.zooms.entry(entry).or_default().hidden_by_rank = hidden as u64;
    }
    Ok(read)
}

impl Read {
    fn add(&mut self, dictionary: Dictionary, features: Vec<Feature>) {
        let name = dictionary.name.to_string();
        features.iter().for_each(|feature| self.bounds.join(&feature.geometry.bounds()));
        self.layers.push(LayerFields {
            name,
            fields: fields(&dictionary, &features),
            min_zoom: features.iter().map(|feature| feature.min_zoom).min().unwrap_or(0),
        });
        if !features.is_empty() {
            self.world.layers.push(CellLayer { dictionary: Arc::new(dictionary), features });
        }
    }
}

fn layer_report(dictionary: &Dictionary, features: &[Feature]) -> LayerReport {
    LayerReport {
        name: dictionary.name.to_string(),
        features: features.len() as u64,
        vertices: features.iter().map(|feature| vertex_count(&feature.geometry)).sum(),
    }
}

fn vertex_count(geometry: &Geometry) -> u64 {
    let count = match geometry {
        Geometry::Points(points) => points.len(),
        Geometry::Lines(lines) => lines.iter().map(Vec::len).sum(),
        Geometry::Polygons(rings) => rings.iter().map(|ring| ring.vertices.len()).sum(),
    };
    count as u64
}

fn read_layer(
    source: &mut dyn Source,
    total: &mut u64,
    progress: &dyn Progress,
    report: &mut BuildReport,
) -> Result<(Dictionary, Vec<Raw>), BuildError> {
    let origin = source.origin();
    let mut interned = Interned::new(source.layer());
    let mut features = Vec::new();
    let mut index = 0;
    source.read(&mut |item| {
        let added = item.and_then(|feature| interned.add(&feature, &mut features));
        if let Err(bad) = added {
            report.skip(Skipped { origin: origin.clone(), index, bad });
        }
        index += 1;
        *total += 1;
        if total.is_multiple_of(TELL_EVERY) {
            progress.done(Stage::Reading, *total, None);
        }
    })?;
    Ok((interned.dictionary, features))
}

/// A dictionary that grows.
struct Interned {
    dictionary: Dictionary,
    keys: HashMap<Arc<str>, u32>,
    values: HashMap<Value, u32>,
}

impl Interned {
    fn new(layer: &str) -> Self {
        let dictionary = Dictionary { name: layer.into(), ..Dictionary::default() };
        Self { dictionary, keys: HashMap::new(), values: HashMap::new() }
    }

    fn add(&mut self, feature: &SourceFeature, out: &mut Vec<Raw>) -> Result<(), BadFeature> {
        let bad = |fault: project::GeometryFault| BadFeature { id: feature.id.clone(), fault: fault.into() };
        if feature.shapes.is_empty() {
            return Err(bad(project::GeometryFault::Empty));
        }
        let projected: Vec<_> =
            feature.shapes.iter().map(project::shape).collect::<Result<_, _>>().map_err(bad)?;
        // A name that stands twice counts once, with its last value; the order is the alphabet's.
        let last: BTreeMap<_, _> = feature.properties.iter().map(|(key, value)| (key, value)).collect();
        let tags: Arc<[_]> = last
            .into_iter()
            .map(|(key, value)| {
                let key = intern(&mut self.keys, &mut self.dictionary.keys, key);
                (key, intern(&mut self.values, &mut self.dictionary.values, value))
            })
            .collect();
        let id = feature_id(feature);
        out.extend(projected.into_iter().map(|projected| Raw { id, tags: Arc::clone(&tags), projected }));
        Ok(())
    }
}

fn intern<T: Hash + Eq + Clone>(known: &mut HashMap<T, u32>, all: &mut Vec<T>, item: &T) -> u32 {
    if let Some(index) = known.get(item) {
        return *index;
    }
    // 2^32 different values do not fit the memory that holds them.
    let index = u32::try_from(all.len()).unwrap_or(u32::MAX);
    all.push(item.clone());
    known.insert(item.clone(), index);
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
        put_value(&mut properties, &Value::Text(Arc::clone(key)));
        put_value(&mut properties, value);
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

fn rank(
    raw: Vec<Raw>,
    dictionary: &Dictionary,
    ranker: &Ranker,
    done: &AtomicU64,
    tell: &(dyn Fn(u64) + Sync),
) -> Vec<Feature> {
    let one = |raw: Raw| {
        let tag = |(key, value): &(u32, u32)| {
            (&*dictionary.keys[*key as usize], &dictionary.values[*value as usize])
        };
        let properties: Vec<_> = raw.tags.iter().map(tag).collect();
        let feature = ranker.feature(raw.id, raw.projected, &properties);
        let so_far = done.fetch_add(1, Ordering::Relaxed) + 1;
        if so_far.is_multiple_of(TELL_EVERY) {
            tell(so_far);
        }
        Feature { tags: raw.tags, ..feature }
    };
    raw.into_par_iter().map(one).collect()
}

/// The layer's attributes with their types: `Number`, `Boolean`, `String`, or `Mixed`.
fn fields(dictionary: &Dictionary, features: &[Feature]) -> BTreeMap<Arc<str>, &'static str> {
    let mut fields = BTreeMap::new();
    for (key, value) in features.iter().flat_map(|feature| feature.tags.iter()) {
        let kind = match dictionary.values[*value as usize] {
            Value::Text(_) => "String",
            Value::Bool(_) => "Boolean",
            Value::Natural(_) | Value::Negative(_) | Value::Double(_) => "Number",
        };
        let known = fields.entry(Arc::clone(&dictionary.keys[*key as usize])).or_insert(kind);
        if *known != kind {
            *known = "Mixed";
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

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
        interned.add(&twice, &mut out).unwrap();
        assert_eq!(out[0].tags.len(), 1);
        assert_eq!(interned.dictionary.values, [Value::Natural(2)]);
    }
}
