//! What the tests share: made-up maps, and a folder that goes when the test ends.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

pub mod client;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use watersmeet_tiles::source::{Memory, Shape, Source, SourceFeature, SourceId};
use watersmeet_tiles::{BuildOptions, BuildReport, TileCoord, TileSet, Tiles, Value, build_from};

/// A folder of the test's own.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("watersmeet-tiles-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn feature(id: u64, shape: Shape, properties: &[(&str, Value)]) -> SourceFeature {
    let properties = properties.iter().map(|(key, value)| (Arc::from(*key), value.clone())).collect();
    SourceFeature { id: Some(SourceId::Number(id)), properties, shapes: vec![shape] }
}

/// Builds from features in memory, a layer each.
pub fn built(out: &Path, options: &BuildOptions, layers: Vec<(&str, Vec<SourceFeature>)>) -> BuildReport {
    let mut sources: Vec<_> =
        layers.into_iter().map(|(layer, features)| Memory { layer: layer.into(), features }).collect();
    let mut sources: Vec<&mut dyn Source> =
        sources.iter_mut().map(|source| source as &mut dyn Source).collect();
    build_from(&mut sources, out, options, &()).unwrap()
}

/// A tile's plain bytes; empty when there is nothing to draw.
pub fn plain(set: &TileSet, tile: TileCoord) -> Vec<u8> {
    match set.tile(tile, &|| false).unwrap() {
        Some(tile) => watersmeet_tiles::compress::unpack(&tile.bytes, tile.encoding).unwrap(),
        None => Vec::new(),
    }
}

/// A small random generator: the seed is all there is to repeat a map.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next() as f64 / f64::from(1_u32 << 31)
    }

    /// A walk of so many steps, each up to `step` degrees.
    fn walk(&mut self, start: [f64; 2], step: f64, count: usize) -> Vec<[f64; 2]> {
        let mut at = start;
        (0..count)
            .map(|_| {
                at[0] = (at[0] + self.between(-step, step)).clamp(-180.0, 180.0);
                at[1] = (at[1] + self.between(-step, step)).clamp(-89.0, 89.0);
                at
            })
            .collect()
    }

    fn blob(&mut self, middle: [f64; 2], radius: f64, corners: usize) -> Vec<[f64; 2]> {
        let mut ring: Vec<_> = (0..corners)
            .map(|corner| {
                let angle = std::f64::consts::TAU * corner as f64 / corners as f64;
                let far = radius * self.between(0.2, 1.0);
                let place = [middle[0] + far * libm::cos(angle), middle[1] + far * libm::sin(angle)];
                [place[0].clamp(-180.0, 180.0), place[1].clamp(-89.0, 89.0)]
            })
            .collect();
        ring.push(ring[0]);
        ring
    }

    /// Every kind of feature, large and small, valid or folded over, around a place and all over the world.
    pub fn map(&mut self, place: [f64; 2]) -> Vec<(&'static str, Vec<SourceFeature>)> {
        let mut layers = vec![("points", Vec::new()), ("lines", Vec::new()), ("areas", Vec::new())];
        for id in 0..40 {
            let radius = libm::exp2(self.between(-11.5, 6.0));
            let near = [place[0] + self.between(-radius, radius), place[1] + self.between(-radius, radius)];
            let near = [near[0].clamp(-180.0, 180.0), near[1].clamp(-89.0, 89.0)];
            let count = 4 + (self.next() % 60) as usize;
            let people = Value::Natural(self.next() % 3_000_000);
            layers[0].1.push(feature(id, Shape::Points(vec![near]), &[("population", people)]));
            let line = self.walk(near, radius / 4.0, count);
            layers[1].1.push(feature(id, Shape::Lines(vec![line]), &[("n", Value::Natural(id))]));
            let rings = match id % 3 {
                0 => vec![self.blob(near, radius, count), self.blob(near, radius / 3.0, 7)],
                1 => vec![self.blob(near, radius, count)],
                _ => vec![self.folded(near, radius, count)],
            };
            layers[2].1.push(feature(id, Shape::Polygons(vec![rings]), &[]));
        }
        layers
    }

    /// A ring that crosses itself all over.
    fn folded(&mut self, near: [f64; 2], radius: f64, count: usize) -> Vec<[f64; 2]> {
        let mut ring = self.walk(near, radius, count);
        ring.push(ring[0]);
        ring
    }
}
