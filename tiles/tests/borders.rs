//! Neighbours that share a border stay together at every zoom.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{Folder, Random, built, feature, plain};
use i_overlay::core::fill_rule::FillRule;
use i_overlay::core::overlay::{IntOverlayOptions, Overlay};
use i_overlay::core::solver::Solver;
use i_overlay::i_float::int::point::IntPoint;
use watersmeet_tiles::decode;
use watersmeet_tiles::simplify::TilePoint;
use watersmeet_tiles::source::{Shape, SourceFeature};
use watersmeet_tiles::{BuildOptions, LayerRules, RenderOptions, TileCoord, TileSet};

/// Fine cells a side.
const SIDE: usize = 64;
/// Vertices from one corner of a fine cell to the next.
const STEPS: usize = 6;
const DEEPEST: u8 = 7;

/// A covering of the square from -60 to 60 degrees by cells of many sizes with ragged borders, each shared vertex by
/// vertex.
struct Covering {
    random: Random,
    seed: u64,
    cells: Vec<SourceFeature>,
}

impl Covering {
    fn new(seed: u64) -> Self {
        let mut covering = Self { random: Random(seed), seed, cells: Vec::new() };
        covering.split(0, 0, SIDE);
        covering
    }

    fn split(&mut self, column: usize, row: usize, size: usize) {
        if size > 1 && (size > SIDE / 2 || self.random.next() % 100 < 62) {
            let half = size / 2;
            for (right, down) in [(0, 0), (half, 0), (0, half), (half, half)] {
                self.split(column + right, row + down, half);
            }
            return;
        }
        let mut ring = Vec::new();
        let (east, north) = (column + size, row + size);
        (column..east).for_each(|at| ring.extend(self.border([at, row], [at + 1, row])));
        (row..north).for_each(|at| ring.extend(self.border([east, at], [east, at + 1])));
        (column..east).rev().for_each(|at| ring.extend(self.border([at + 1, north], [at, north])));
        (row..north).rev().for_each(|at| ring.extend(self.border([column, at + 1], [column, at])));
        // Where a ring starts, and which way it runs, is different for each.
        let start = usize::try_from(self.random.next()).unwrap() % ring.len();
        ring.rotate_left(start);
        ring.push(ring[0]);
        if self.random.next().is_multiple_of(2) {
            ring.reverse();
        }
        let id = self.cells.len() as u64;
        self.cells.push(feature(id, Shape::Polygons(vec![vec![ring]]), &[]));
    }

    /// The vertices from one corner up to the next, the last one left out; the same both ways.
    fn border(&self, from: [usize; 2], to: [usize; 2]) -> Vec<[f64; 2]> {
        let [low, high] = if from < to { [from, to] } else { [to, from] };
        let ends = [self.corner(low), self.corner(high)];
        let name = (low[0] * 1000 + low[1]) * 2 + usize::from(low[0] == high[0]);
        let mut lots = Random(self.seed ^ (name as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        lots.next();
        let is_edge = (low[0] == high[0] && (low[0] == 0 || low[0] == SIDE))
            || (low[1] == high[1] && (low[1] == 0 || low[1] == SIDE));
        let rough = if is_edge { 0.0 } else { 0.35 * 120.0 / SIDE as f64 / STEPS as f64 };
        let mut chain: Vec<_> = (0..=STEPS)
            .map(|step| {
                let part = step as f64 / STEPS as f64;
                let sway = if step == 0 || step == STEPS { 0.0 } else { rough };
                [0, 1].map(|axis| {
                    ends[0][axis] + part * (ends[1][axis] - ends[0][axis]) + lots.between(-sway, sway)
                })
            })
            .collect();
        if from > to {
            chain.reverse();
        }
        chain.pop();
        chain
    }

    fn corner(&self, [column, row]: [usize; 2]) -> [f64; 2] {
        let mut lots = Random(self.seed ^ ((column * 1000 + row) as u64).wrapping_mul(0xD134_2543_DE82_EF95));
        lots.next();
        let place = |at: usize, lot: f64| {
            let sway = if at == 0 || at == SIDE { 0.0 } else { lot };
            (at as f64 + sway) / SIDE as f64 * 120.0 - 60.0
        };
        [place(column, lots.between(-0.25, 0.25)), place(row, lots.between(-0.25, 0.25))]
    }
}

/// Of a tile, in square tile units.
#[derive(Debug, Default)]
struct Areas {
    features: usize,
    /// Each feature by itself, added up.
    apart: f64,
    /// What they cover together.
    together: f64,
    /// Holes in that.
    gaps: f64,
}

fn contour(ring: &[TilePoint]) -> Vec<IntPoint<i32>> {
    ring.iter().map(|p| IntPoint::new(i32::try_from(p.x).unwrap(), i32::try_from(p.y).unwrap())).collect()
}

fn areas(bytes: &[u8]) -> Areas {
    let mut areas = Areas::default();
    let mut contours = Vec::new();
    for feature in decode::tile(bytes).unwrap().iter().flat_map(|layer| &layer.features) {
        areas.features += 1;
        for ring in &feature.parts {
            areas.apart += decode::doubled_area(ring) as f64 / 2.0;
            contours.push(contour(ring));
        }
    }
    let mut overlay = Overlay::new_custom(64, IntOverlayOptions::ogc(), Solver::default());
    for polygon in overlay.simplify_source(&contours, FillRule::NonZero) {
        for (index, ring) in polygon.iter().enumerate() {
            let area = ring.iter().zip(ring.iter().cycle().skip(1));
            let area: f64 =
                area.map(|(a, b)| f64::from(a.x) * f64::from(b.y) - f64::from(b.x) * f64::from(a.y)).sum();
            areas.together += area / 2.0;
            areas.gaps -= if index > 0 { area / 2.0 } else { 0.0 };
        }
    }
    areas
}

fn build_covering(seed: u64, shared_borders: bool, path: &std::path::Path) {
    let rules = LayerRules { shared_borders, ..LayerRules::default() };
    let options = BuildOptions {
        render: RenderOptions { max_zoom: DEEPEST, buffer: 0, ..RenderOptions::default() },
        archive_zoom: Some(DEEPEST),
        layers: [("cells".to_owned(), rules)].into(),
        ..BuildOptions::default()
    };
    built(path, &options, vec![("cells", Covering::new(seed).cells)]);
}

/// Overlaps and gaps of all tiles of a zoom.
fn zoom_areas(set: &TileSet, zoom: u8) -> Areas {
    let side = 1 << zoom;
    let mut all = Areas::default();
    for tile in (0..side).flat_map(|x| (0..side).map(move |y| TileCoord::new(zoom, x, y).unwrap())) {
        let here = areas(&plain(set, tile));
        all.features += here.features;
        all.apart += here.apart;
        all.together += here.together;
        all.gaps += here.gaps;
    }
    all
}

#[test]
fn neighbours_of_a_covering_neither_part_nor_overlap_at_any_zoom() {
    let folder = Folder::new();
    let path = folder.path("map.pmtiles");
    for seed in 0..3 {
        build_covering(seed, true, &path);
        let set = TileSet::open(&path).unwrap();
        for zoom in 0..=DEEPEST {
            let areas = zoom_areas(&set, zoom);
            assert!(areas.features > 300, "seed {seed}, zoom {zoom}: {areas:?}");
            #[expect(clippy::float_cmp, reason = "sums of halves of whole numbers")]
            let together = areas.apart == areas.together && areas.gaps == 0.0;
            assert!(together, "seed {seed}, zoom {zoom}: {areas:?}");
        }
    }
}

#[test]
fn they_would_come_apart_if_nothing_held_them() {
    let folder = Folder::new();
    let path = folder.path("map.pmtiles");
    build_covering(0, false, &path);
    let areas = zoom_areas(&TileSet::open(&path).unwrap(), 0);
    assert!(areas.apart > areas.together && areas.gaps > 0.0, "{areas:?}");
}

#[test]
fn little_memory_finds_the_same_borders() {
    let folder = Folder::new();
    let file = |name: &str, memory_bytes| {
        let path = folder.path(name);
        let options = BuildOptions {
            render: RenderOptions { max_zoom: 5, ..RenderOptions::default() },
            archive_zoom: Some(5),
            name: Some("cells".into()),
            memory_bytes,
            ..BuildOptions::default()
        };
        built(&path, &options, vec![("cells", Covering::new(4).cells)]);
        std::fs::read(path).unwrap()
    };
    assert!(file("much.pmtiles", None) == file("little.pmtiles", Some(300_000)));
}
