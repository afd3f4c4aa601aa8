//! Tile sets as an operator has them: counted, warmed, replaced under a running server, and told of.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use watersmeet_tests::{Server, http, until, watersmeet};

/// A folder that goes with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("watersmeet-tiles-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Builds an archive of a square of so many degrees.
fn build(folder: &Path, side: f64) {
    let square = format!("[[0,0],[{side},0],[{side},{side}],[0,{side}],[0,0]]");
    let source = folder.join("land.geojson");
    let feature = format!(
        r#"{{"type":"Feature","properties":{{"name":"square"}},"geometry":{{"type":"Polygon","coordinates":[{square}]}}}}"#
    );
    fs::write(&source, feature).unwrap();
    let mut command = watersmeet(&["tiles", "build", "--archive-zoom", "3", "--max-zoom", "9", "-o"]);
    assert!(command.arg(folder.join("map.pmtiles")).arg(source).output().unwrap().status.success());
}

fn tile_url(port: u16, tile: &str) -> String {
    let tilejson: serde_json::Value =
        serde_json::from_str(&http::get(port, "/tiles/map.json", &[]).body).unwrap();
    let url = tilejson["tiles"][0].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://127.0.0.1:{port}")).unwrap();
    path.replace("{z}/{x}/{y}", tile)
}

fn metric(port: u16, name: &str) -> f64 {
    let text = http::get(port, "/metrics", &[]).body;
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("watersmeet_tiles_{name} ")));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[tokio::test]
async fn what_is_asked_for_most_is_counted_warmed_and_served() {
    let folder = Temporary::new("hot");
    build(&folder.0, 10.0);
    let tiles = folder.0.to_str().unwrap();
    let mut server = Server::start_with(["--tiles", tiles, "--set", "tiles.look=50ms"]);
    let port = server.port();
    let (hot, other) = (tile_url(port, "8/130/125"), tile_url(port, "2/2/1"));
    let brotli = [("accept-encoding", "br")];
    let before = http::get(port, &hot, &brotli);
    assert_eq!((before.status, before.header("content-encoding")), (200, Some("br")));
    (0..9).for_each(|_| assert_eq!(http::get(port, &hot, &brotli).status, 200));
    assert_eq!(http::get(port, &other, &brotli).status, 200);
    assert_eq!(metric(port, "hits_total"), 9.0);
    assert_eq!(metric(port, "misses_total"), 2.0);
    assert_eq!(metric(port, "renders_total"), 2.0);
    assert_eq!(metric(port, "requests_total{zoom=\"8\"}"), 10.0);
    assert_eq!(metric(port, "sets"), 1.0);
    assert!(server.terminate().success());

    let run = |arguments: &[&str]| {
        let mut command: Command = watersmeet(arguments);
        let output = command.arg(folder.0.join("map.pmtiles")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["tiles", "show"]).contains("8/130/125: 10 requests"), "{}", run(&["tiles", "show"]));
    assert!(run(&["tiles", "warm"]).starts_with("2 tiles, 1 of them rendered"));
    assert!(run(&["tiles", "show"]).contains("2 tiles"), "{}", run(&["tiles", "show"]));

    server.restart();
    let after = http::get(port, &hot, &brotli);
    assert_eq!((after.header("etag"), &after.bytes), (before.header("etag"), &before.bytes));
    assert_eq!(metric(port, "packs_total"), 0.0, "it was packed beforehand");
    // Counts go on where they were.
    assert!(server.terminate().success());
    assert!(run(&["tiles", "show"]).contains("8/130/125: 11 requests"), "{}", run(&["tiles", "show"]));
}

#[tokio::test]
async fn files_are_replaced_under_a_running_server_and_a_broken_one_is_told_of() {
    let folder = Temporary::new("replaced");
    build(&folder.0, 10.0);
    let tiles = folder.0.to_str().unwrap();
    // The folder is looked at once an hour, so that what is found is found since the server was told to look.
    let server = Server::start_with(["--tiles", tiles, "--set", "tiles.look=1h"]);
    let port = server.port();
    let first = tile_url(port, "0/0/0");
    let look = || {
        let pid = server.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    };
    build(&folder.0, 20.0);
    look();
    until("the new version is served", || tile_url(port, "0/0/0") != first).await;
    let second = tile_url(port, "0/0/0");
    assert_eq!(http::get(port, &first, &[]).status, 200, "the old version is kept");
    assert_ne!(http::get(port, &first, &[]).bytes, http::get(port, &second, &[]).bytes);
    let ready = || http::get(port, "/ready", &[]);
    assert_eq!(ready().body, r#"{"status":"ok"}"#);

    fs::write(folder.0.join("map.pmtiles"), "no archive at all").unwrap();
    look();
    until("the broken file is told of", || metric(port, "sets_failing") == 1.0).await;
    assert_eq!(ready().status, 200, "what was served goes on");
    assert!(ready().body.contains("map.pmtiles"), "{}", ready().body);
    assert_eq!(tile_url(port, "0/0/0"), second);
    assert_eq!(http::get(port, &second, &[]).status, 200);
    build(&folder.0, 30.0);
    look();
    until("a whole one is taken again", || metric(port, "sets_failing") == 0.0).await;
    assert_ne!(tile_url(port, "0/0/0"), second);
}

/// Builds a set whose tiles of zoom 6 cost much to render and to pack.
fn build_costly(folder: &Path) {
    let rows = (0..60_000_u32).map(|n| {
        let (x, y) = (f64::from(n % 245) * 0.09, f64::from(n / 245) * 0.09);
        format!("place number {n},{},{x},{y}", n.wrapping_mul(2_654_435_761))
    });
    let rows: Vec<_> = rows.collect();
    let source = folder.join("places.csv");
    fs::write(&source, format!("name,n,lon,lat\n{}\n", rows.join("\n"))).unwrap();
    let mut command = watersmeet(&["tiles", "build", "--archive-zoom", "2", "--max-zoom", "6", "-o"]);
    assert!(command.arg(folder.join("costly.pmtiles")).arg(source).output().unwrap().status.success());
}

fn tiles_of(port: u16, set: &str) -> String {
    let tilejson = http::get(port, &format!("/tiles/{set}.json"), &[]).body;
    let tilejson: serde_json::Value = serde_json::from_str(&tilejson).unwrap();
    let url = tilejson["tiles"][0].as_str().unwrap();
    url.strip_prefix(&format!("http://127.0.0.1:{port}")).unwrap().to_owned()
}

/// A set whose tiles cost much is flooded. How many of them are answered while somebody else gets a cheap tile tells whether
/// he waits behind them: in a lane of its own the cheap tile overtakes the flood; in the flood's lane, where it is asked for as
/// the counter-test, it waits for all who came before.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_requests_for_one_set_does_not_starve_another() {
    const FLOOD: usize = 32;
    let folder = Temporary::new("flood");
    build(&folder.0, 10.0);
    build_costly(&folder.0);
    let tiles = folder.0.to_str().unwrap();
    // Nothing is kept, so that every answer costs what it costs.
    let options = ["--tiles", tiles, "--set", "tiles.cache_bytes=0", "--set", "tiles.renderings=1"];
    let server = Server::start_with(options);
    let port = server.port();
    let (costly, cheap) = (tiles_of(port, "costly"), tiles_of(port, "map"));
    let (answered, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let get = |set: &str, tile: &str, encoding: &str| {
        http::get(port, &set.replace("{z}/{x}/{y}", tile), &[("accept-encoding", encoding)])
    };
    let flood = &|number: usize| {
        let (x, y) = (32 + number % 4, 28 + number / 4 % 4);
        let encoding = ["br", "zstd"][number / 16 % 2];
        // Far more than it takes; a test that has failed ends by this.
        for _ in (0..300).take_while(|_| !enough.load(Ordering::SeqCst)) {
            let answer = get(&costly, &format!("6/{x}/{y}"), encoding);
            assert!(answer.status == 200 && answer.bytes.len() > 10_000, "{}", answer.status);
            answered.fetch_add(1, Ordering::SeqCst);
        }
    };
    // How many of the flood are answered for each tile of such a set.
    let overtaken_by = |set: &str, tiles: usize| {
        let before = answered.load(Ordering::SeqCst);
        (0..tiles).for_each(|n| assert_eq!(get(set, ["2/2/1", "1/1/0"][n % 2], "gzip").status, 200));
        (answered.load(Ordering::SeqCst) - before) as f64 / tiles as f64
    };
    let [own_lane, same_lane] = std::thread::scope(|scope| {
        (0..FLOOD).for_each(|number| drop(scope.spawn(move || flood(number))));
        let is_flooded = || metric(port, "waiting") >= 8.0 && answered.load(Ordering::SeqCst) >= FLOOD;
        for _ in (0..600).take_while(|_| !is_flooded()) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let overtaken = [overtaken_by(&cheap, 100), overtaken_by(&costly, 10)];
        enough.store(true, Ordering::SeqCst);
        overtaken
    });
    println!(
        "answers of the flood for a cheap tile: {own_lane} in a lane of its own, {same_lane} in the same lane"
    );
    assert!(same_lane > 4.0, "{same_lane}: the flood is none");
    assert!(own_lane * 4.0 < same_lane, "{own_lane} in a lane of its own, {same_lane} in the same lane");
}

/// Clients who go away while their tiles are being made cost no more of the server's time, and leave nothing behind.
#[tokio::test]
async fn clients_who_go_away_leave_nothing_behind() {
    let folder = Temporary::new("gone");
    build(&folder.0, 80.0);
    let tiles = folder.0.to_str().unwrap();
    let server = Server::start_with(["--tiles", tiles, "--set", "tiles.renderings=1"]);
    let port = server.port();
    for x in 256..320 {
        let path = tile_url(port, &format!("9/{x}/250"));
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n");
        std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
    }
    until("nothing is under way", || metric(port, "under_way") == 0.0 && metric(port, "waiting") == 0.0)
        .await;
    assert_eq!(http::get(port, &tile_url(port, "9/300/250"), &[]).status, 200);
}
