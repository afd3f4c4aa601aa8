//! Encoding alone: geometries in tile units to the bytes of a vector tile, in millions of vertices a second.
//!
//! Ours writes commands only, the crates whole features without attributes; at some 40 vertices a feature that is 1 byte in
//! 20. Each peer's tile has to hold what ours writes, byte for byte.

use super::data::DataSet;
use super::{Bench, OURS, Subject, pick};
use crate::failure::Failure;
use crate::figures::Figures;
use std::path::Path;
use std::time::{Duration, Instant};
use watersmeet_tiles::encode::Pen;
use watersmeet_tiles::simplify::{TilePaths, TilePoint};

/// How many geometries.
const SHAPES: usize = 2_000;
/// They are encoded again and again for so long.
const TIME: Duration = Duration::from_millis(400);
const ROUNDS: usize = 3;
/// Tile units a degree: about zoom 8.
const UNITS: f64 = 4096.0 * 256.0 / 360.0;

/// What is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Lines,
    Polygons,
}

/// Encodes lines and polygons.
pub(super) fn compare(bench: &mut Bench) {
    let sets = [("encode lines", "lines", Kind::Lines), ("encode polygons", "land1km", Kind::Polygons)];
    for (workload, name, kind) in sets {
        if !bench.options.asks_for(workload) {
            continue;
        }
        let shapes = shapes(DataSet { name }, &bench.folder);
        let subjects = match &shapes {
            Ok(shapes) => subjects(shapes, kind),
            Err(failure) => vec![Subject::new(OURS, move || Err(failure.clone()))],
        };
        bench.measure(workload, ROUNDS, subjects);
    }
}

/// Lines or outer rings in tile units, without repeated points; rings are not closed.
fn shapes(set: DataSet, folder: &Path) -> Result<Vec<TilePaths>, Failure> {
    #[expect(clippy::cast_possible_truncation, reason = "degrees are small numbers")]
    let unit = |degrees: f64| (degrees * UNITS).round() as i64;
    let path = |shape: &Vec<[f64; 2]>| {
        let mut paths = TilePaths::default();
        // Somewhere in a tile, and all of it there.
        let [west, north] = shape.first().copied().unwrap_or_default();
        for [lon, lat] in shape {
            paths.push(TilePoint { x: 2000 + unit(lon - west), y: 2000 + unit(north - lat) });
        }
        paths.finish_ring();
        paths
    };
    let shapes = pick::shapes(set, folder, SHAPES)?;
    Ok(shapes.iter().map(path).filter(|paths| !paths.is_empty()).collect())
}

fn subjects(shapes: &[TilePaths], kind: Kind) -> Vec<Subject<'_>> {
    let mut subjects = vec![Subject::new(OURS, move || Ok(speed(shapes, || ours(shapes, kind))))];
    peers::add(&mut subjects, shapes, kind);
    subjects
}

/// All commands, one geometry behind the other.
fn ours(shapes: &[TilePaths], kind: Kind) -> Vec<u8> {
    let mut out = Vec::new();
    for shape in shapes {
        let mut pen = Pen::new(&mut out);
        match kind {
            Kind::Lines => pen.lines(shape),
            Kind::Polygons => pen.ring(shape.path(0), false),
        }
    }
    out
}

/// Encodes for a while.
fn speed(shapes: &[TilePaths], encode: impl Fn() -> Vec<u8>) -> Figures {
    let vertices: usize = shapes.iter().map(|shape| shape.path(0).len()).sum();
    let (start, mut rounds) = (Instant::now(), 0_u32);
    while start.elapsed() < TIME {
        std::hint::black_box(encode());
        rounds += 1;
    }
    let mut figures = Figures::default();
    let vertices = vertices as f64 * f64::from(rounds);
    figures.gain("vertices", "M/s", vertices / 1e6 / start.elapsed().as_secs_f64());
    figures
}

#[cfg(not(feature = "mvt"))]
mod peers {
    use super::{Kind, Subject, TilePaths};
    use crate::failure::Failure;

    /// Their names in reports, and why there is nothing else.
    pub(super) fn add(subjects: &mut Vec<Subject<'_>>, _: &[TilePaths], _: Kind) {
        for name in ["mvt", "fast-mvt"] {
            subjects.push(Subject::new(name, || Err(Failure::new("built without the feature mvt"))));
        }
    }
}

#[cfg(feature = "mvt")]
mod peers {
    use super::{Failure, Kind, Subject, TilePaths, TilePoint, ours, speed};
    use fast_mvt::{MvtCoord, MvtGeomType, MvtLayerBuilder};
    use mvt::{GeomEncoder, GeomType, Tile};

    type Encode = fn(&[TilePaths], Kind) -> Result<Vec<u8>, Failure>;

    pub(super) fn add<'a>(subjects: &mut Vec<Subject<'a>>, shapes: &'a [TilePaths], kind: Kind) {
        let peers: [(&str, Encode); 2] = [("mvt 0.15", mvt), ("fast-mvt 0.7", fast_mvt)];
        for (name, encode) in peers {
            subjects.push(Subject::new(name, move || {
                check(&encode(shapes, kind)?, shapes, kind)?;
                Ok(speed(shapes, || encode(shapes, kind).unwrap_or_default()))
            }));
        }
    }

    fn mvt(shapes: &[TilePaths], kind: Kind) -> Result<Vec<u8>, Failure> {
        let mut tile = Tile::new(4096);
        let mut layer = tile.create_layer("layer");
        for shape in shapes {
            let mut geometry = GeomEncoder::new(match kind {
                Kind::Lines => GeomType::Linestring,
                Kind::Polygons => GeomType::Polygon,
            });
            for point in shape.path(0) {
                geometry.add_point(point.x as f64, point.y as f64)?;
            }
            layer = layer.into_feature(geometry.encode()?).into_layer();
        }
        tile.add_layer(layer)?;
        Ok(tile.to_bytes()?)
    }

    fn fast_mvt(shapes: &[TilePaths], kind: Kind) -> Result<Vec<u8>, Failure> {
        let mut layer = MvtLayerBuilder::new("layer")?;
        let coord = |point: &TilePoint| MvtCoord {
            x: i32::try_from(point.x).unwrap_or_default(),
            y: i32::try_from(point.y).unwrap_or_default(),
        };
        for shape in shapes {
            let coords = shape.path(0).iter().map(coord);
            let mut feature = layer.feature_of(match kind {
                Kind::Lines => MvtGeomType::LineString,
                Kind::Polygons => MvtGeomType::Polygon,
            });
            match kind {
                Kind::Lines => feature.line(coords)?,
                Kind::Polygons => feature.ring(coords, true)?,
            };
            layer = feature.end();
        }
        Ok(layer.encode())
    }

    /// Whether a tile holds the commands that ours writes for its first geometries.
    fn check(tile: &[u8], shapes: &[TilePaths], kind: Kind) -> Result<(), Failure> {
        for shape in shapes.iter().take(20) {
            let commands = ours(std::slice::from_ref(shape), kind);
            if !tile.windows(commands.len()).any(|window| window == commands) {
                return Err(Failure::new("another geometry than ours"));
            }
        }
        Ok(())
    }
}
