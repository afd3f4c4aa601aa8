//! A build's memory has a bound, and the bound leaves no trace in what is built.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::{Folder, Random, built};
use watersmeet_tiles::{
    BuildError, BuildOptions, BuildReport, ClusterRule, Fold, Layer, LayerRules, PointRule, Progress,
    RenderOptions, Stage, build,
};

fn options(memory_bytes: Option<u64>) -> BuildOptions {
    let render = RenderOptions { max_zoom: 9, tile_bytes_max: 20_000, ..RenderOptions::default() };
    BuildOptions {
        render,
        archive_zoom: Some(5),
        cell_bytes: Some(3_000),
        name: Some("map".into()),
        memory_bytes,
        ..BuildOptions::default()
    }
}

/// Archive, cells, and what was told of them.
fn files(seed: u64, memory_bytes: Option<u64>) -> (Vec<u8>, Vec<u8>, BuildReport) {
    let folder = Folder::new();
    let mut random = Random(seed);
    let mut layers = random.map([13.4, 52.5]);
    for (all, more) in layers.iter_mut().zip(random.map([-179.9, 10.0])) {
        all.1.extend(more.1);
    }
    let points = if seed == 0 { PointRule::Thin } else { PointRule::Cluster };
    let attributes = [("population".to_owned(), Fold::Sum)].into();
    let cluster = ClusterRule { attributes, ..ClusterRule::default() };
    let rules = LayerRules { points, cluster, ..LayerRules::default() };
    let options = BuildOptions { layers: [("points".to_owned(), rules)].into(), ..options(memory_bytes) };
    let report = built(&folder.path("map.pmtiles"), &options, layers);
    let read = |name| std::fs::read(folder.path(name)).unwrap();
    (read("map.pmtiles"), read("map.cells"), report)
}

#[test]
fn the_same_bytes_come_out_whatever_the_bound() {
    for seed in 0..2 {
        let (archive, cells, report) = files(seed, None);
        for memory in [1, 30_000, 200_000] {
            let bounded = files(seed, Some(memory));
            assert!(archive == bounded.0 && cells == bounded.1, "seed {seed}, {memory} bytes");
            assert_eq!(report, bounded.2);
        }
    }
}

#[test]
fn the_same_bytes_come_out_however_many_threads_there_are() {
    let all = files(7, Some(50_000));
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| files(7, Some(50_000))) == all, "{threads} threads");
    }
}

/// Asks to stop when a stage has come so far.
struct Stops(Stage, u64);

impl Progress for Stops {
    fn done(&self, stage: Stage, done: u64, _: Option<f64>) {
        if stage == self.0 && done >= self.1 {
            STOPPED.with(|stopped| stopped.set(true));
        }
    }

    fn stopped(&self) -> bool {
        STOPPED.with(std::cell::Cell::get)
    }
}

thread_local! {
    static STOPPED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[test]
fn a_build_that_is_stopped_or_killed_leaves_nothing_that_matters() {
    let folder = Folder::new();
    let out = folder.path("out.pmtiles");
    let line = r#"{"type":"LineString","coordinates":[[0,0],[10,10],[20,0]]}"#;
    std::fs::write(folder.path("lines.geojsonl"), [line; 500].join("\n")).unwrap();
    let layers = [Layer::from_path(folder.path("lines.geojsonl"))];
    // One thread, so that each sees what the others said.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for (stage, done) in
        [(Stage::Reading, 0), (Stage::Rendering, 0), (Stage::Rendering, 3), (Stage::Writing, 0)]
    {
        for memory in [None, Some(1000)] {
            let stopped = pool.install(|| {
                STOPPED.with(|stopped| stopped.set(false));
                build(&layers, &out, &options(memory), &Stops(stage, done))
            });
            assert!(matches!(stopped, Err(BuildError::Stopped)), "{stage} {done}: {stopped:?}");
            let names: Vec<_> =
                std::fs::read_dir(&folder.0).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(names, ["lines.geojsonl"]);
        }
    }
    // What a killed build leaves is taken away by the next one; one that lives is not disturbed.
    std::fs::create_dir(folder.path("out.pmtiles.building")).unwrap();
    std::fs::write(folder.path("out.pmtiles.building/tiles"), "half").unwrap();
    let lock = std::fs::File::create(folder.path("out.pmtiles.building/lock")).unwrap();
    lock.lock().unwrap();
    let busy = build(&layers, &out, &options(None), &()).unwrap_err();
    assert!(matches!(busy, BuildError::Busy(_)), "{busy}");
    assert!(folder.path("out.pmtiles.building/tiles").exists());
    drop(lock);
    build(&layers, &out, &options(None), &()).unwrap();
    assert!(out.exists() && !folder.path("out.pmtiles.building").exists());
}
