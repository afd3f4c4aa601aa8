//! A dynamic tile and a pre-rendered one are the same bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::collections::BTreeMap;

use common::{Folder, Random, built, feature, plain};
use quickcheck::quickcheck;
use watersmeet_tiles::cells::{self, Opened};
use watersmeet_tiles::cut::{cut, wrap};
use watersmeet_tiles::feature::{Cell, CellLayer, Dictionary, Feature, Geometry, Ring, Vertex};
use watersmeet_tiles::packed::{Packed, Zooms};
use watersmeet_tiles::project;
use watersmeet_tiles::render::render;
use watersmeet_tiles::source::Shape;
use watersmeet_tiles::{BuildOptions, Grid, Point, RenderOptions, Selection, TileCoord, TileSet, WORLD};

fn options(archive_zoom: u8) -> BuildOptions {
    let render = RenderOptions { max_zoom: 8, ..RenderOptions::default() };
    // So small that cells are divided in different depths.
    BuildOptions {
        render,
        archive_zoom: Some(archive_zoom),
        cell_bytes: Some(3000),
        ..BuildOptions::default()
    }
}

/// All tiles of a zoom that lie around a place, and their neighbours.
fn around(set: &TileSet, zoom: u8) -> Vec<TileCoord> {
    let mut tiles = Vec::new();
    let each = set.archive().unwrap().each_entry(&mut |entry| {
        let run = (0..u64::from(entry.run_length)).filter_map(|i| TileCoord::from_number(entry.number + i));
        tiles.extend(run.filter(|tile| tile.z() == zoom));
    });
    each.unwrap();
    tiles
}

/// Builds the same map with all zooms in the archive and with cells from zoom `cell_zoom`, and compares every tile.
fn compare(seed: u64, place: [f64; 2], cell_zoom: u8) {
    let folder = Folder::new();
    let [all, some] = [folder.path("all.pmtiles"), folder.path("some.pmtiles")];
    built(&all, &options(8), Random(seed).map(place));
    built(&some, &options(cell_zoom), Random(seed).map(place));
    assert!(!folder.path("all.cells").exists());
    let [all, some] = [TileSet::open(&all).unwrap(), TileSet::open(&some).unwrap()];
    let mut compared = 0;
    for zoom in 0..=8 {
        for tile in around(&all, zoom) {
            assert!(
                plain(&all, tile) == plain(&some, tile),
                "seed {seed}: {tile} from cells of zoom {cell_zoom}"
            );
            compared += 1;
        }
    }
    assert!(compared > 50, "seed {seed}: only {compared} tiles");
    // Where the full archive has nothing, the cells draw nothing.
    let mut random = Random(seed);
    for _ in 0..500 {
        let [x, y] = [0, 0].map(|_: u32| u32::try_from(random.next() % 256).unwrap());
        let tile = TileCoord::new(8, x, y).unwrap();
        assert!(plain(&all, tile) == plain(&some, tile), "seed {seed}: {tile}");
    }
}

#[test]
fn tiles_from_cells_are_those_of_the_archive() {
    for (seed, cell_zoom) in [(1, 0), (2, 3), (3, 5), (4, 7)] {
        compare(seed, [13.4, 52.5], cell_zoom);
    }
}

#[test]
fn also_at_the_antimeridian_and_the_poles() {
    compare(5, [179.99, 0.0], 2);
    compare(6, [-179.99, 84.9], 4);
    compare(7, [0.0, -88.0], 3);
}

#[test]
fn what_is_divided_at_the_archive_s_own_zoom_is_not_kept_again() {
    let folder = Folder::new();
    let path = folder.path("map.pmtiles");
    built(&path, &options(3), Random(10).map([13.4, 52.5]));
    let set = TileSet::open(&path).unwrap();
    let cells = set.dynamic().unwrap().cells();
    let mut finished = BTreeMap::<u8, u32>::new();
    let each = cells.each_entry(&mut |entry| {
        for tile in (0..u64::from(entry.run_length)).filter_map(|i| TileCoord::from_number(entry.number + i))
        {
            let place = cells.place(tile.number()).unwrap().unwrap();
            let opened = cells::from_bytes(&cells.bytes_at(place).unwrap()).unwrap();
            *finished.entry(tile.z()).or_default() += u32::from(matches!(opened, Opened::Tile(_)));
        }
    });
    each.unwrap();
    assert!(finished.get(&3).is_none_or(|tiles| *tiles == 0) && finished[&4] > 0, "{finished:?}");
}

/// A layer may end where the archive does.
#[test]
fn a_set_of_which_nothing_shows_below_its_archive_opens() {
    let folder = Folder::new();
    let path = folder.path("map.pmtiles");
    let mut options = options(4);
    let selection = Selection { max_zoom: Some(4), ..Selection::default() };
    options.selections = ["points", "lines", "areas"].map(|name| (name.to_owned(), selection.clone())).into();
    built(&path, &options, Random(11).map([13.4, 52.5]));
    let set = TileSet::open(&path).unwrap();
    assert!(!plain(&set, TileCoord::new(4, 8, 5).unwrap()).is_empty());
    assert!(plain(&set, TileCoord::new(5, 17, 10).unwrap()).is_empty());
}

#[test]
fn also_when_tiles_are_too_large() {
    let folder = Folder::new();
    let small = |archive_zoom| {
        let mut options = options(archive_zoom);
        options.render.tile_bytes_max = 600;
        options
    };
    let [all, some] = [folder.path("all.pmtiles"), folder.path("some.pmtiles")];
    let report = built(&all, &small(8), Random(8).map([5.0, 5.0]));
    built(&some, &small(2), Random(8).map([5.0, 5.0]));
    assert!(report.zooms.values().any(|zoom| zoom.dropped_by_size > 0), "{report}");
    let [all, some] = [TileSet::open(&all).unwrap(), TileSet::open(&some).unwrap()];
    for tile in (0..=8).flat_map(|zoom| around(&all, zoom)) {
        let bytes = plain(&all, tile);
        assert!(bytes.len() <= 600);
        assert_eq!(bytes, plain(&some, tile), "{tile}");
    }
}

#[test]
fn a_build_is_the_same_each_time() {
    let folder = Folder::new();
    let [one, two] = [folder.path("one.pmtiles"), folder.path("two.pmtiles")];
    for path in [&one, &two] {
        built(path, &BuildOptions { name: Some("map".into()), ..options(4) }, Random(9).map([0.0, 0.0]));
    }
    let read = |path| std::fs::read(path).unwrap();
    assert!(read(one) == read(two));
    assert!(read(folder.path("one.cells")) == read(folder.path("two.cells")));
}

#[test]
fn the_deepest_tile_is_as_exact_as_the_world() {
    let folder = Folder::new();
    let path = folder.path("deep.pmtiles");
    let options = BuildOptions {
        render: RenderOptions { max_zoom: 22, ..RenderOptions::default() },
        ..BuildOptions::default()
    };
    let step = 360.0 / f64::from(WORLD);
    let points = [0.0, step].map(|east| [13.4 + east, 52.5]).to_vec();
    built(&path, &options, vec![("points", vec![feature(1, Shape::Points(points), &[])])]);
    let set = TileSet::open(&path).unwrap();
    assert_eq!(set.max_zoom(), 22);
    let tile = project::position([13.4, 52.5]).unwrap();
    let [x, y] = [tile.x, tile.y].map(|units| u32::try_from(units >> 8).unwrap());
    let bytes = plain(&set, TileCoord::new(22, x, y).unwrap());
    let reader = mvt_reader::Reader::new(bytes).unwrap();
    let geometry = format!("{:?}", reader.get_features(0).unwrap()[0].geometry);
    // Two points a world unit apart are sixteen tile units apart.
    let west = f64::from((tile.x & 255) * 16);
    assert!(geometry.contains(&format!("{west:?}")), "{geometry}");
    assert!(geometry.contains(&format!("{:?}", west + 16.0)), "{geometry}");
}

/// A cell of one wild feature of each kind, with zooms at random.
fn wild(list: &[(u32, u32, u8)]) -> Cell {
    let place = |units: u32| i32::try_from((u64::from(units) * 2 * WORLD as u64) >> 32).unwrap() - WORLD / 2;
    let vertices: Vec<_> =
        list.iter().map(|(x, y, zoom)| Vertex { x: place(*x), y: place(*y), zoom: zoom % 8 }).collect();
    let points = vertices.iter().map(|v| Point { x: v.x, y: v.y }).collect();
    let ring = |vertices: Vec<Vertex>| {
        let dot = vertices.first().map_or(Point::default(), |v| Point { x: v.x, y: v.y });
        Ring { vertices, dot, dot_zoom: 1, shape_zoom: u8::try_from(list.len() % 6).unwrap() }
    };
    let geometries = [
        Geometry::Points(points),
        Geometry::Lines(vec![vertices.clone()]),
        Geometry::Polygons(vertices.chunks(20).map(|chunk| ring(chunk.to_vec())).collect()),
    ];
    let max_zoom = u8::try_from(list.len() % 9).unwrap();
    let feature = |geometry| Feature { id: 1, tags: [].into(), min_zoom: 0, max_zoom, weight: 1, geometry };
    let dictionary = Dictionary { name: "wild".into(), ..Dictionary::default() }.into();
    Cell { layers: vec![CellLayer { dictionary, features: geometries.map(feature).into() }] }
}

quickcheck! {
    /// However many cuts lie between a tile and its source, which zooms the last was packed for, and whether it was
    /// written and read again: the same bytes.
    fn a_cut_leaves_no_trace(list: Vec<(u32, u32, u8)>, x: u32, y: u32, cuts: u8, to: u8) -> bool {
        let options = RenderOptions { max_zoom: 7, ..RenderOptions::default() };
        let tile = TileCoord::new(6, x % 64, y % 64).unwrap();
        let world = wild(&list);
        let mut cell = world.clone();
        for zoom in (0..=6).filter(|zoom| cuts >> zoom & 1 == 1) {
            cell = cut(&cell, tile.ancestor(zoom), options.grid());
        }
        let packed = |cell: &Cell, to: u8| Packed::of(cell, Zooms { from: 6 - cuts % 4, to });
        let draw = |cell: &Packed| render(cell, tile, &options, &|| false).unwrap().bytes;
        let cell = packed(&cell, 6 + to % 3);
        let Opened::Cell(read) = cells::from_bytes(&cells::to_bytes(&cell)).unwrap() else { return false };
        draw(&cell) == draw(&packed(&world, 6)) && draw(&cell) == draw(&read)
    }

    /// Also where a tile unit is finer than the world's.
    fn a_cut_leaves_no_trace_in_the_deepest_zooms(list: Vec<(i16, i16, u8)>, zoom: u8, cuts: u8) -> bool {
        let tile = TileCoord::new(22, 2_200_123, 1_375_000).unwrap().ancestor(17 + zoom % 6);
        let options = RenderOptions { max_zoom: 22, ..RenderOptions::default() };
        let side = 1 << (30 - tile.z());
        // Around the tile and its neighbours.
        let place = |at: i16, origin: i32| origin + i32::from(at) % (3 * side);
        let mut world = wild(&[]);
        let vertices: Vec<_> = list
            .iter()
            .map(|(x, y, zoom)| Vertex {
                x: place(*x, tile.origin().x),
                y: place(*y, tile.origin().y),
                zoom: 16 + zoom % 7,
            })
            .collect();
        let points = vertices.iter().map(|v| Point { x: v.x, y: v.y }).collect();
        let ring = Ring { vertices: vertices.clone(), dot: tile.origin(), dot_zoom: 0, shape_zoom: 18 };
        let all = [Geometry::Points(points), Geometry::Lines(vec![vertices]), Geometry::Polygons(vec![ring])];
        for (feature, geometry) in world.layers[0].features.iter_mut().zip(all) {
            feature.geometry = geometry;
        }
        let mut cell = world.clone();
        for zoom in (14..=tile.z()).filter(|zoom| cuts >> (zoom % 8) & 1 == 1) {
            cell = cut(&cell, tile.ancestor(zoom), options.grid());
        }
        let draw = |cell: &Cell| {
            render(&Packed::of(cell, Zooms { from: 0, to: 22 }), tile, &options, &|| false).unwrap().bytes
        };
        draw(&cell) == draw(&world)
    }

    fn wrapping_adds_nothing_to_the_middle_of_the_world(list: Vec<(u32, u32, u8)>) -> bool {
        let options = RenderOptions { max_zoom: 7, ..RenderOptions::default() };
        let narrow = list.into_iter().map(|(x, y, zoom)| (x / 4 + (u32::MAX / 8 * 3), y, zoom)).collect::<Vec<_>>();
        let world = wild(&narrow);
        let tile = TileCoord::new(6, 32, 32).unwrap();
        let draw = |cell: &Cell| {
            render(&Packed::of(cell, Zooms::only(6)), tile, &options, &|| false).unwrap().bytes
        };
        draw(&world) == draw(&wrap(world.clone(), Grid::new(12, 64)))
    }
}
