//! Which tiles are asked for: seeded, distinct, and each with data in it.
//!
//! A tile is that of a random vertex at a random zoom: people look where there is something, and so tiles that hold much
//! come oftener than tiles that hold little.

use super::data::DataSet;
use crate::failure::Failure;
use crate::rng::Rng;
use serde::Deserialize;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::RangeInclusive;
use std::path::Path;
use watersmeet_tiles::{TileCoord, WORLD_BITS, project};

/// Some of the vertices of a set, none likelier than another.
pub(super) struct Sample {
    places: Vec<[f64; 2]>,
    rng: Rng,
}

/// A line of newline-delimited GeoJSON, as far as it is looked at.
#[derive(Deserialize)]
struct Feature {
    geometry: Geometry,
}

#[derive(Deserialize)]
#[serde(tag = "type", content = "coordinates")]
enum Geometry {
    Point([f64; 2]),
    LineString(Vec<[f64; 2]>),
    Polygon(Vec<Vec<[f64; 2]>>),
    MultiPolygon(Vec<Vec<Vec<[f64; 2]>>>),
}

impl Geometry {
    fn each(&self, visit: &mut dyn FnMut([f64; 2])) {
        match self {
            Geometry::Point(place) => visit(*place),
            Geometry::LineString(line) => line.iter().for_each(|place| visit(*place)),
            Geometry::Polygon(rings) => rings.iter().flatten().for_each(|place| visit(*place)),
            Geometry::MultiPolygon(polygons) => {
                polygons.iter().flatten().flatten().for_each(|place| visit(*place));
            }
        }
    }
}

/// The first path of each of the first `count` features: a line, or a polygon's outer ring.
pub(super) fn shapes(set: DataSet, folder: &Path, count: usize) -> Result<Vec<Vec<[f64; 2]>>, Failure> {
    let lines = BufReader::new(File::open(set.lines(folder)?)?).lines().take(count);
    let shape = |line: std::io::Result<String>| {
        let feature: Feature = serde_json::from_str(&line?)?;
        Ok(match feature.geometry {
            Geometry::Point(place) => vec![place],
            Geometry::LineString(line) => line,
            Geometry::Polygon(rings) => rings.into_iter().next().unwrap_or_default(),
            Geometry::MultiPolygon(polygons) => polygons.into_iter().flatten().next().unwrap_or_default(),
        })
    };
    lines.map(shape).collect()
}

impl Sample {
    /// `count` vertices of a set, by Vitter's algorithm R (doi:10.1145/3147.3165).
    pub(super) fn of(set: DataSet, folder: &Path, count: usize) -> Result<Self, Failure> {
        let mut rng = Rng::new(7);
        let mut places = Vec::with_capacity(count);
        let mut seen = 0;
        for line in BufReader::new(File::open(set.lines(folder)?)?).lines() {
            let feature: Feature = serde_json::from_str(&line?)?;
            feature.geometry.each(&mut |place| {
                seen += 1;
                if places.len() < count {
                    places.push(place);
                } else if let Some(kept) = places.get_mut(rng.below(seen)) {
                    *kept = place;
                }
            });
        }
        rng.shuffle(&mut places);
        Ok(Sample { places, rng })
    }

    /// Up to `count` distinct tiles, in no order.
    pub(super) fn tiles(
        &mut self,
        count: usize,
        zooms: RangeInclusive<u8>,
    ) -> Result<Vec<TileCoord>, Failure> {
        let mut chosen = HashSet::new();
        let mut tiles = Vec::with_capacity(count);
        let zooms: Vec<u8> = zooms.collect();
        for place in &self.places {
            let zoom = zooms[self.rng.below(zooms.len())];
            let Ok(point) = project::position(*place) else { continue };
            let cell = |world: i32| u32::try_from(world >> (WORLD_BITS - zoom)).unwrap_or_default();
            let Ok(tile) = TileCoord::new(zoom, cell(point.x), cell(point.y)) else { continue };
            if chosen.insert(tile) {
                tiles.push(tile);
            }
            if tiles.len() == count {
                break;
            }
        }
        Ok(tiles)
    }
}
