//! What is served besides our own archives, and what changes while it is served: MBTiles, images, styles, glyphs, files
//! that are replaced, tiles that are warm.

#![cfg(feature = "mbtiles")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::path::Path;

use axum::Router;
use common::client::get;
use common::{Folder as Temporary, Random, built, plain};
use rusqlite::Connection;
use watersmeet_tiles::compress::{Encoding, pack, unpack};
use watersmeet_tiles::{
    BuildOptions, Folder, Hot, OpenError, ServeOptions, TileCoord, TileServer, TileSet, hot_path, show, warm,
    warm_path,
};

fn serve(folder: &Path, options: ServeOptions) -> (Folder, Router) {
    let folder = Folder::open(folder, 2).unwrap();
    let router = TileServer::new(folder.sets().clone(), options).router();
    (folder, router)
}

fn mbtiles(path: &Path, metadata: &[(&str, &str)], tiles: &[(TileCoord, &[u8])]) {
    let file = Connection::open(path).unwrap();
    file.execute_batch(
        "CREATE TABLE metadata (name TEXT, value TEXT);
         CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB);",
    )
    .unwrap();
    for row in metadata {
        file.execute("INSERT INTO metadata VALUES (?1, ?2)", *row).unwrap();
    }
    for (tile, bytes) in tiles {
        let from_the_south = (1_u32 << tile.z()) - 1 - tile.y();
        let row = (tile.z(), tile.x(), from_the_south, *bytes);
        file.execute("INSERT INTO tiles VALUES (?1, ?2, ?3, ?4)", row).unwrap();
    }
}

/// A made-up map in our own archive and the same tiles in an MBTiles file.
fn both(temporary: &Temporary) -> TileSet {
    let ours = temporary.path("ours.pmtiles");
    built(&ours, &BuildOptions::default(), Random(5).map([13.4, 52.5]));
    let set = TileSet::open(&ours).unwrap();
    let mut tiles = Vec::new();
    let each = |entry: watersmeet_tiles::archive::Entry| {
        let numbers = entry.number..entry.number + u64::from(entry.run_length);
        tiles.extend(numbers.filter_map(TileCoord::from_number));
    };
    let mut each = each;
    set.archive().unwrap().each_entry(&mut each).unwrap();
    let packed: Vec<_> =
        tiles.iter().map(|tile| (*tile, pack(&plain(&set, *tile), Encoding::Gzip).unwrap())).collect();
    let rows: Vec<_> = packed.iter().map(|(tile, bytes)| (*tile, &bytes[..])).collect();
    let layers = serde_json::json!({ "vector_layers": set.metadata()["vector_layers"] }).to_string();
    let metadata = [
        ("name", "Theirs"),
        ("format", "pbf"),
        ("bounds", "-180,-85,180,85"),
        ("center", "13.4,52.5,4"),
        ("minzoom", "0"),
        ("maxzoom", "6"),
        ("json", &layers),
    ];
    mbtiles(&temporary.path("theirs.mbtiles"), &metadata, &rows);
    set
}

#[tokio::test]
async fn an_mbtiles_file_gives_the_tiles_that_are_in_it() {
    let temporary = Temporary::new();
    let set = both(&temporary);
    let (_, router) = serve(&temporary.0, ServeOptions::default());
    let tilejson = get(&router, "/tiles/theirs.json", &[]).await.json();
    assert_eq!((&tilejson["name"], &tilejson["maxzoom"]), (&"Theirs".into(), &6.into()));
    assert_eq!(tilejson["center"], serde_json::json!([13.4, 52.5, 4]));
    assert_eq!(tilejson["vector_layers"], set.metadata()["vector_layers"]);
    let url = tilejson["tiles"][0].as_str().unwrap().strip_prefix("http://maps.example").unwrap().to_owned();
    let mut seen = 0;
    for (x, y) in (0..64).flat_map(|x| (16..26).map(move |y| (x, y))) {
        let tile = TileCoord::new(6, x, y).unwrap();
        let url = url.replace("{z}", "6").replace("{x}", &x.to_string()).replace("{y}", &y.to_string());
        let answer = get(&router, &url, &[("accept-encoding", "br")]).await;
        let expected = plain(&set, tile);
        assert_eq!(answer.status, if expected.is_empty() { 204 } else { 200 }, "{tile}");
        if !expected.is_empty() {
            assert_eq!(unpack(&answer.body, Encoding::Brotli).unwrap(), expected, "{tile}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
    let gzip = get(&router, &url.replace("{z}/{x}/{y}", "0/0/0"), &[("accept-encoding", "gzip")]).await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
    let described = show(&temporary.path("theirs.mbtiles")).unwrap();
    assert_eq!(described.archived.keys().copied().collect::<Vec<_>>(), (0..=6).collect::<Vec<_>>());
    assert!(described.archived[&6].largest.is_some_and(|(tile, bytes)| tile.z() == 6 && bytes > 20));
}

#[tokio::test]
async fn an_mbtiles_file_that_cannot_be_served_says_why() {
    let temporary = Temporary::new();
    let path = temporary.path("wrong.mbtiles");
    let opened = || TileSet::open(&path).map(|_| ()).unwrap_err().to_string();
    assert!(opened().contains("No such file"), "{}", opened());
    std::fs::write(&path, "no database").unwrap();
    assert!(opened().contains("wrong.mbtiles: it cannot be read as an MBTiles file"), "{}", opened());
    std::fs::remove_file(&path).unwrap();
    mbtiles(&path, &[("format", "docx")], &[(TileCoord::ROOT, b"x")]);
    assert!(opened().contains("\"docx\""), "{}", opened());
    std::fs::remove_file(&path).unwrap();
    mbtiles(&path, &[("format", "pbf")], &[]);
    assert!(opened().contains("holds no tiles"), "{}", opened());
    std::fs::remove_file(&path).unwrap();
    for json in ["{", "[]", "\"x\"", "3"] {
        mbtiles(&path, &[("name", "Wrong"), ("json", json)], &[(TileCoord::ROOT, b"x")]);
        assert!(opened().contains("no JSON object"), "{json}: {}", opened());
        std::fs::remove_file(&path).unwrap();
    }
    mbtiles(&path, &[], &[(TileCoord::ROOT, b"x")]);
    std::fs::write(temporary.path("wrong.mbtiles-wal"), "changes").unwrap();
    assert!(opened().contains("wal_checkpoint"), "{}", opened());
}

#[test]
fn metadata_of_an_mbtiles_file_may_be_null_or_a_number() {
    let temporary = Temporary::new();
    let path = temporary.path("odd.mbtiles");
    mbtiles(&path, &[], &[(TileCoord::ROOT, b"x")]);
    let rows = "CREATE TABLE odd (name TEXT, value);
        INSERT INTO odd VALUES ('name', 2026), ('json', NULL), ('bounds', NULL), ('attribution', NULL);
        DROP TABLE metadata; ALTER TABLE odd RENAME TO metadata;";
    Connection::open(&path).unwrap().execute_batch(rows).unwrap();
    let set = TileSet::open(&path).unwrap();
    assert_eq!((&set.metadata()["name"], set.metadata().get("attribution")), (&"2026".into(), None));
    assert_eq!(set.facts().bounds[0], -180.0);
}

#[tokio::test]
async fn bytes_that_others_packed_are_the_same_whatever_was_asked_for_before() {
    let temporary = Temporary::new();
    let set = both(&temporary);
    let mut foreign = pack(&plain(&set, TileCoord::ROOT), Encoding::Gzip).unwrap();
    // The operating system that packed it (RFC 1952, section 2.3).
    foreign[9] ^= 1;
    mbtiles(&temporary.path("foreign.mbtiles"), &[("format", "pbf")], &[(TileCoord::ROOT, &foreign)]);
    for before in [&[][..], &["br"], &["br", "identity", "zstd"]] {
        let (folder, router) = serve(&temporary.0, ServeOptions::default());
        let version = folder.sets().current("foreign").unwrap().version().to_owned();
        let url = format!("/tiles/foreign/{version}/0/0/0.mvt");
        for accept in before {
            assert_eq!(get(&router, &url, &[("accept-encoding", accept)]).await.status, 200);
        }
        let answer = get(&router, &url, &[("accept-encoding", "gzip")]).await;
        assert_eq!(answer.header("content-encoding"), "gzip");
        assert!(answer.body == foreign, "after {before:?}");
    }
}

#[tokio::test]
async fn images_are_served_as_they_are() {
    let temporary = Temporary::new();
    let image = b"\x89PNG\r\n\x1a\n and so on";
    let metadata = [("format", "png"), ("bounds", "0,0,90,80")];
    mbtiles(&temporary.path("photo.mbtiles"), &metadata, &[(TileCoord::new(1, 1, 0).unwrap(), image)]);
    let (folder, router) = serve(&temporary.0, ServeOptions::default());
    let version = folder.sets().current("photo").unwrap().version().to_owned();
    let url = format!("/tiles/photo/{version}/1/1/0.png");
    let answer = get(&router, &url, &[("accept-encoding", "br, gzip")]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "image/png"));
    assert_eq!((answer.header("content-encoding"), answer.header("vary")), ("", ""));
    assert_eq!(answer.body, image);
    let again = get(&router, &url, &[("if-none-match", answer.header("etag"))]).await;
    assert_eq!(again.status, 304);
    let wrong = get(&router, &url.replace(".png", ".mvt"), &[]).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.json()["error"]["message"].as_str().unwrap().contains(".png"));
    assert!(
        get(&router, "/tiles/photo.json", &[]).await.json()["tiles"][0].as_str().unwrap().ends_with(".png")
    );
    let style = get(&router, "/tiles/photo/style.json", &[]).await.json();
    assert_eq!(style["sources"]["photo"]["type"], "raster");
    assert!(warm(&temporary.path("photo.mbtiles"), 9, 9).unwrap_err().to_string().contains("images"));
}

#[tokio::test]
async fn a_style_draws_every_layer_and_names_the_fonts_that_there_are() {
    let temporary = Temporary::new();
    both(&temporary);
    let (_, router) = serve(&temporary.0, ServeOptions::default());
    let style = get(&router, "/tiles/ours/style.json", &[]).await.json();
    assert_eq!(style["version"], 8);
    assert_eq!(style["sources"]["ours"]["url"], "http://maps.example/tiles/ours.json");
    assert!(style.get("glyphs").is_none(), "labels are drawn with the device's fonts");
    let layers = style["layers"].as_array().unwrap();
    for layer in ["points", "lines", "areas"] {
        let kinds: Vec<_> =
            layers.iter().filter(|of| of["source-layer"] == layer).map(|of| of["type"].clone()).collect();
        assert_eq!(kinds, ["fill", "line", "line", "circle"], "{layer}");
    }
    assert_eq!(get(&router, "/tiles/ours/other.json", &[]).await.status, 404);
    assert_eq!(get(&router, "/tiles/none/style.json", &[]).await.status, 404);

    let fonts = temporary.path("glyphs");
    for (font, glyphs) in [("Alpha Bold", "a"), ("Noto Sans Regular", "n")] {
        std::fs::create_dir_all(fonts.join(font)).unwrap();
        std::fs::write(fonts.join(font).join("0-255.pbf"), glyphs).unwrap();
    }
    std::fs::write(temporary.path("0-255.pbf"), "outside").unwrap();
    let (_, router) = serve(&temporary.0, ServeOptions { fonts: Some(fonts), ..ServeOptions::default() });
    let style = get(&router, "/tiles/ours/style.json", &[]).await.json();
    assert_eq!(style["glyphs"], "http://maps.example/tiles/fonts/{fontstack}/{range}.pbf");
    let glyphs = async |path: &str| get(&router, &format!("/tiles/fonts/{path}"), &[]).await;
    let regular = glyphs("Noto%20Sans%20Regular/0-255.pbf").await;
    assert_eq!((regular.status, &regular.body[..]), (200, &b"n"[..]));
    assert_eq!(regular.header("content-type"), "application/x-protobuf");
    // The first font's glyphs come last, where they win.
    assert_eq!(glyphs("Alpha%20Bold,Nobody's,Noto%20Sans%20Regular/0-255.pbf").await.body, b"na");
    let beyond = glyphs("Alpha%20Bold/256-511.pbf").await;
    assert_eq!((beyond.status, beyond.body.len()), (200, 0), "a font without these characters");
    for (path, status) in [
        ("Nobody's/0-255.pbf", 404),
        ("../0-255.pbf", 404),
        ("..%2Fglyphs%2FAlpha%20Bold/0-255.pbf", 404),
        ("%2E%2E/0-255.pbf", 404),
        ("./0-255.pbf", 404),
        ("Alpha%20Bold/0-254.pbf", 400),
        ("Alpha%20Bold/..%2F0-255.pbf", 400),
        ("%FF/0-255.pbf", 400),
    ] {
        assert_eq!(glyphs(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn the_page_and_its_parts_are_served_from_here() {
    let temporary = Temporary::new();
    built(&temporary.path("ours.pmtiles"), &BuildOptions::default(), Random(5).map([13.4, 52.5]));
    let options = ServeOptions { path_prefix: "/maps".into(), ..ServeOptions::default() };
    let (_, router) = serve(&temporary.0, options);
    let list = get(&router, "/tiles/", &[]).await.json();
    assert_eq!(list[0]["style"], "http://maps.example/maps/tiles/ours/style.json");
    let page = get(&router, "/tiles/", &[("accept", "text/html,*/*")]).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").contains("default-src 'self'"));
    let text = String::from_utf8(page.body).unwrap();
    let assets: Vec<_> = text.split('"').filter(|part| part.starts_with("assets/")).collect();
    assert_eq!(assets.len(), 3, "relative to the page, so that it works below any path: {text}");
    let mut files = assets.clone();
    let folder = assets[0].rsplit_once('/').unwrap().0;
    let [library, worker] =
        ["maplibre-gl.mjs", "maplibre-gl-worker.mjs"].map(|file| format!("{folder}/{file}"));
    files.extend([&*library, &*worker]);
    for file in files {
        let plain = get(&router, &format!("/tiles/{file}"), &[]).await;
        assert_eq!((plain.status, plain.header("content-encoding")), (200, ""), "{file}");
        assert!(plain.header("cache-control").contains("immutable"));
        assert!(std::str::from_utf8(&plain.body).is_ok_and(|text| text.len() > 1_000), "{file}");
        let packed = get(&router, &format!("/tiles/{file}"), &[("accept-encoding", "br")]).await;
        if packed.header("content-encoding") == "br" {
            assert_eq!(unpack(&packed.body, Encoding::Brotli).unwrap(), plain.body, "{file}");
        }
    }
    assert_eq!(get(&router, &format!("/tiles/{folder}/other.js"), &[]).await.status, 404);
    assert_eq!(get(&router, "/tiles/assets/0123456789abcdef/page.mjs", &[]).await.status, 404);
    let to_page = get(&router, "/tiles", &[]).await;
    assert_eq!((to_page.status, to_page.header("location")), (308, "tiles/"));
}

/// Twice, since a file is taken when two looks find it the same.
fn look(folder: &Folder) {
    folder.look();
    folder.look();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_is_replaced_while_it_is_asked_for() {
    let temporary = Temporary::new();
    let path = temporary.path("map.pmtiles");
    built(&path, &BuildOptions::default(), Random(1).map([13.4, 52.5]));
    let (folder, router) = serve(&temporary.0, ServeOptions::default());
    let url = |version: &str| format!("/tiles/map/{version}/12/2200/1343.mvt");
    let first = folder.sets().current("map").unwrap().version().to_owned();
    let before = get(&router, &url(&first), &[]).await.body;
    let (asking, stop) = (router.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let stopped = stop.clone();
    let (old, expected) = (url(&first), before.clone());
    // Whoever knows the old version gets its bytes, whatever happens meanwhile; whoever asks anew gets some whole one.
    let reader = tokio::spawn(async move {
        let mut answers = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) || answers == 0 {
            let tile = get(&asking, &old, &[("accept-encoding", "gzip")]).await;
            assert_eq!(tile.status, 200);
            assert_eq!(unpack(&tile.body, Encoding::Gzip).unwrap(), expected);
            let tilejson = get(&asking, "/tiles/map.json", &[]).await.json();
            let now = tilejson["tiles"][0].as_str().unwrap().replace("http://maps.example", "");
            let now = now.replace("{z}/{x}/{y}", "12/2200/1343");
            assert_eq!(get(&asking, &now, &[]).await.status, 200);
            answers += 1;
        }
        answers
    });
    // Cells and archive take their names one after the other: until both are there the set stays what it was.
    built(&path, &BuildOptions::default(), Random(2).map([13.4, 52.5]));
    folder.look();
    assert_eq!(folder.sets().current("map").unwrap().version(), first, "seen once");
    folder.look();
    let second = folder.sets().current("map").unwrap().version().to_owned();
    assert_ne!(second, first);
    assert_ne!(get(&router, &url(&second), &[]).await.body, before);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(reader.await.unwrap() > 0);
    assert!(folder.faults().is_empty());

    // What is broken is told and not served; what was served goes on, and the next whole one is taken.
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    std::fs::write(temporary.path("map.cells"), "no cells").unwrap();
    look(&folder);
    assert_eq!(folder.faults().len(), 1);
    assert!(folder.faults()[0].contains("tile set \"map\""), "{:?}", folder.faults());
    assert_eq!(get(&router, "/tiles/map.json", &[]).await.status, 200);
    assert_eq!(folder.sets().current("map").unwrap().version(), second);
    built(&path, &BuildOptions::default(), Random(3).map([13.4, 52.5]));
    look(&folder);
    assert!(folder.faults().is_empty());
    assert_eq!(get(&router, &url(&first), &[]).await.body, before, "two old ones are kept");

    // A new archive is a new set; one that has gone is none.
    std::fs::copy(&path, temporary.path("other.pmtiles")).unwrap();
    std::fs::copy(temporary.path("map.cells"), temporary.path("other.cells")).unwrap();
    look(&folder);
    assert_eq!(folder.sets().names(), ["map", "other"]);
    std::fs::remove_file(temporary.path("other.pmtiles")).unwrap();
    folder.look();
    assert_eq!(folder.sets().names(), ["map", "other"], "it may be between two files");
    folder.look();
    assert_eq!(folder.sets().names(), ["map"]);
}

#[tokio::test]
async fn warm_tiles_are_the_same_bytes_and_tags_and_are_neither_rendered_nor_packed() {
    let temporary = Temporary::new();
    let path = temporary.path("map.pmtiles");
    built(&path, &BuildOptions::default(), Random(1).map([13.4, 52.5]));
    assert!(warm(&path, 100, 1 << 20).unwrap_err().to_string().contains("map.hot"));
    let (folder, cold) = serve(&temporary.0, ServeOptions::default());
    let version = folder.sets().current("map").unwrap().version().to_owned();
    let tiles = ["3/4/2", "6/34/20", "12/2200/1343", "12/2201/1343", "10/0/0"];
    let urls = tiles.map(|tile| format!("/tiles/map/{version}/{tile}.mvt"));
    let encodings = ["br", "gzip", "zstd", "identity"];
    let mut before = Vec::new();
    for (url, accept) in urls.iter().flat_map(|url| encodings.map(|accept| (url, accept))) {
        before.push(get(&cold, url, &[("accept-encoding", accept)]).await);
    }
    folder.save_hot();
    let hottest = show(&path).unwrap().hottest;
    assert_eq!(hottest[0].1, 4, "each was asked for four times: {hottest:?}");
    let counted = Hot::load(&hot_path(&path)).unwrap().hottest(9);
    assert!(counted.iter().all(|(tile, _)| tiles.contains(&&*tile.to_string())), "{counted:?}");

    // Room for few: the hottest.
    assert_eq!(warm(&path, 1, 1 << 20).unwrap().tiles, 1);
    assert_eq!(warm(&path, 100, 10).unwrap().tiles, 0);
    let report = warm(&path, 100, 1 << 20).unwrap();
    assert_eq!((report.tiles, report.rendered), (4, 2), "the empty one is not made: {report}");
    assert_eq!(show(&path).unwrap().warm, Some(4));
    let (_, again) = serve(&temporary.0, ServeOptions::default());
    // Without its cells' bytes the dynamic tiles can only come from the warm file.
    let cells = temporary.path("map.cells");
    let mut damaged = std::fs::read(&cells).unwrap();
    let half = damaged.len() / 4;
    damaged[half..].fill(0xFF);
    std::fs::write(&cells, damaged).unwrap();
    for ((url, accept), cold) in urls.iter().flat_map(|url| encodings.map(|of| (url, of))).zip(before) {
        let warm = get(&again, url, &[("accept-encoding", accept)]).await;
        assert_eq!((warm.status, warm.header("etag")), (cold.status, cold.header("etag")), "{url} {accept}");
        assert!(warm.body == cold.body, "{url} {accept}");
    }

    // Of another version there are none.
    built(&path, &BuildOptions::default(), Random(2).map([13.4, 52.5]));
    assert!(warm_path(&path).exists());
    assert!(TileSet::open(&path).unwrap().warm().is_none());
    std::fs::write(warm_path(&path), "nonsense").unwrap();
    assert!(TileSet::open(&path).unwrap().warm().is_none(), "the set is served without it");
}

#[test]
fn what_cannot_be_served_is_told_and_the_others_are_served() {
    let temporary = Temporary::new();
    let path = temporary.path("map.pmtiles");
    built(&path, &BuildOptions::default(), Random(1).map([13.4, 52.5]));
    assert!(matches!(TileSet::open(&temporary.path("map.cells")), Err(OpenError::NoTiles(_))));
    std::fs::copy(&path, temporary.path("fonts.pmtiles")).unwrap();
    std::fs::write(temporary.path("torn.pmtiles"), "PMTiles").unwrap();
    let folder = Folder::open(&temporary.0, 2).unwrap();
    assert_eq!(folder.sets().names(), ["map"]);
    let [fonts, torn] = &folder.faults()[..] else { panic!("{:?}", folder.faults()) };
    assert!(fonts.contains("rename the file") && torn.contains("torn.pmtiles"), "{fonts} {torn}");
    std::fs::remove_file(temporary.path("fonts.pmtiles")).unwrap();
    std::fs::remove_file(temporary.path("torn.pmtiles")).unwrap();
    look(&folder);
    assert!(folder.faults().is_empty(), "{:?}", folder.faults());
}

#[test]
fn two_archives_of_one_name_are_told_and_the_others_go_on() {
    let temporary = Temporary::new();
    let path = temporary.path("map.pmtiles");
    built(&path, &BuildOptions::default(), Random(1).map([13.4, 52.5]));
    let (metadata, one) = ([("format", "pbf")], [(TileCoord::ROOT, &b"x"[..])]);
    for name in ["new.pmtiles", "new.mbtiles"] {
        mbtiles(&temporary.path(name), &metadata, &one);
    }
    let folder = Folder::open(&temporary.0, 2).unwrap();
    let version = || folder.sets().current("map").map(|set| set.version().to_owned());
    assert!(version().is_some() && folder.sets().names() == ["map"]);
    assert!(folder.faults()[0].contains("two archives"), "{:?}", folder.faults());
    std::fs::remove_file(temporary.path("new.pmtiles")).unwrap();
    look(&folder);
    assert_eq!((folder.sets().names().len(), folder.faults().len()), (2, 0), "{:?}", folder.faults());

    // A set that is served goes on while there are two files of its name, and others are replaced.
    let before = version();
    mbtiles(&temporary.path("map.mbtiles"), &metadata, &one);
    mbtiles(&temporary.path("third.mbtiles"), &metadata, &one);
    look(&folder);
    assert_eq!((folder.sets().names().join(" "), version()), ("map new third".to_owned(), before.clone()));
    assert!(folder.faults().len() == 1 && folder.faults()[0].contains("two archives"));
    std::fs::remove_file(temporary.path("map.mbtiles")).unwrap();
    look(&folder);
    assert_eq!((version(), folder.faults().len()), (before, 0), "{:?}", folder.faults());
}
