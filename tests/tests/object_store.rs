//! A server whose tile sets lie in an object store, over the protocol of S3 as moto speaks it: a program not written here
//! that keeps objects, versions and ranges, and refuses who has no credentials.
//!
//! `cargo xtask object-store` installs moto and runs this; so does `cargo xtask test`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use watersmeet_tests::{Proxy, Server, http, until, watersmeet};

const BUCKET: &str = "maps";

/// By whom objects are put; moto asks for credentials, and believes signatures.
const OWNER: (&str, &str) = (
    "authorization",
    "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
);

/// A store with one bucket, behind a wire that counts and that can be cut.
struct Store {
    program: Child,
    port: u16,
    wire: Proxy,
    /// The requests that it has answered, a line each.
    answered: Arc<Mutex<Vec<String>>>,
    folder: PathBuf,
}

impl Store {
    fn start(name: &str) -> Self {
        let moto = std::env::var_os("WATERSMEET_MOTO").expect("run `cargo xtask object-store`");
        let mut program = Command::new(moto)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(program.stderr.take().unwrap()).lines().map(Result::unwrap);
        let port =
            lines.find_map(|line| line.split_once("http://127.0.0.1:")?.1.trim().parse().ok()).unwrap();
        let answered = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&answered);
        std::thread::spawn(move || lines.for_each(|line| told.lock().unwrap().push(line)));
        let folder = std::env::temp_dir().join(format!("watersmeet-store-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let store = Store { program, port, wire: Proxy::start(port), answered, folder };
        assert_eq!(http::send(port, "PUT", &format!("/{BUCKET}"), &[OWNER], b"").status, 200);
        store
    }

    /// Builds a map of points, lines' ends apart by so many degrees, into the folder.
    fn build(&self, step: f64) -> PathBuf {
        let points = (0..2_000).map(|n| {
            let (x, y) = (f64::from(n % 50) * step, f64::from(n / 50) * step);
            format!(r#"{{"type":"Feature","properties":{{"n":{n}}},"geometry":{{"type":"Point","coordinates":[{x},{y}]}}}}"#)
        });
        let source = self.folder.join("points.geojsonl");
        fs::write(&source, points.collect::<Vec<_>>().join("\n")).unwrap();
        let archive = self.folder.join("map.pmtiles");
        let mut command = watersmeet(&["tiles", "build", "--archive-zoom", "4", "--max-zoom", "10", "-o"]);
        assert!(command.arg(&archive).arg(source).output().unwrap().status.success());
        archive
    }

    fn put(&self, file: &Path) {
        let path = format!("/{BUCKET}/towns/{}", file.file_name().unwrap().to_str().unwrap());
        let put = http::send(self.port, "PUT", &path, &[OWNER], &fs::read(file).unwrap());
        assert_eq!(put.status, 200, "{}", put.body);
    }

    /// A server of the set in the store, and of nothing else.
    fn serve(&self, look: &str) -> Server {
        let sets = format!("tiles.sets=[{{ url = \"s3://{BUCKET}/towns/map.pmtiles\" }}]");
        let look = format!("tiles.look={look}");
        let endpoint = format!("http://127.0.0.1:{}", self.wire.port());
        let environment = [
            ("AWS_ENDPOINT", &*endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
        ];
        Server::start_in(&environment, ["--set", &sets, "--set", &look])
    }

    /// How many objects or parts of them were asked for so far.
    fn gets(&self) -> usize {
        let told =
            |what: &str| self.answered.lock().unwrap().iter().filter(|line| line.contains(what)).count();
        // What was answered before this is told of before it.
        let marks = told("GET /mark");
        let _ = http::get(self.port, "/mark", &[]);
        while told("GET /mark") == marks {
            std::thread::yield_now();
        }
        told(&format!("GET /{BUCKET}/"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn version(port: u16) -> String {
    let tilejson = http::get(port, "/tiles/map.json", &[]);
    let tilejson: serde_json::Value = serde_json::from_str(&tilejson.body).unwrap();
    tilejson["tiles"][0].as_str().unwrap().split('/').nth_back(3).unwrap().to_owned()
}

fn tile(port: u16, version: &str, tile: &str) -> http::Answer {
    http::get(port, &format!("/tiles/map/{version}/{tile}.mvt"), &[("accept-encoding", "br")])
}

#[ignore = "needs moto: cargo xtask object-store"]
#[test]
fn every_tile_is_that_of_the_file_and_costs_few_requests() {
    let store = Store::start("same");
    let archive = store.build(0.01);
    store.put(&archive);
    store.put(&archive.with_extension("cells"));
    let from_file = Server::start_with(["--tiles", store.folder.to_str().unwrap()]);
    let from_store = store.serve("1h");
    assert_eq!(store.gets(), 2, "archive and cells are opened with a request each");
    let named = version(from_file.port());
    assert_eq!(version(from_store.port()), named);
    // Many ask for one cold tile at once.
    let (bytes, port) = (store.wire.received_bytes(), from_store.port());
    let deep = "10/512/511";
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..16).map(|_| scope.spawn(|| tile(port, &named, deep).status)).collect();
        asked.into_iter().for_each(|asked| assert_eq!(asked.join().unwrap(), 200));
    });
    let (gets, bytes) = (store.gets() - 2, store.wire.received_bytes() - bytes);
    let size = fs::metadata(archive.with_extension("cells")).unwrap().len();
    println!("a cold tile of cells of {size} bytes: {gets} requests, {bytes} bytes");
    assert!(gets <= 3, "{gets} requests");
    assert!(bytes < 5 * (64 << 10), "{bytes} bytes");
    let mut filled = 0;
    for zoom in 0..=10_u32 {
        for (x, y) in (0..12).flat_map(|x| (0..12).map(move |y| (x, y))) {
            let middle = 1_u32 << zoom >> 1;
            let (x, y) = (middle + x, (middle + 1).wrapping_sub(y));
            if x >= 1 << zoom || y >= 1 << zoom {
                continue;
            }
            let path = format!("{zoom}/{x}/{y}");
            let [here, there] = [from_file.port(), from_store.port()].map(|port| tile(port, &named, &path));
            assert_eq!((here.status, here.header("etag")), (there.status, there.header("etag")), "{path}");
            assert_eq!(here.bytes, there.bytes, "{path}");
            filled += u32::from(here.status == 200);
        }
    }
    assert!(filled > 20, "{filled}");
    println!("{filled} tiles: {} requests", store.gets());
}

#[ignore = "needs moto: cargo xtask object-store"]
#[tokio::test]
async fn another_version_takes_over_and_is_never_mixed_with_the_one_before() {
    let store = Store::start("replaced");
    let put = |step: f64| {
        let archive = store.build(step);
        store.put(&archive.with_extension("cells"));
        store.put(&archive);
    };
    put(0.01);
    let server = store.serve("100ms");
    let port = server.port();
    let first = version(port);
    let (warm, cold) = ("2/2/1", "10/512/511");
    let before = tile(port, &first, warm);
    assert_eq!(before.status, 200);
    put(0.02);
    until("the new version is served", || version(port) != first).await;
    let second = version(port);
    assert_eq!(tile(port, &first, warm).bytes, before.bytes, "what is in memory is kept");
    assert_eq!(tile(port, &second, warm).status, 200);
    let file = Server::start_with(["--tiles", store.folder.to_str().unwrap()]);
    assert_eq!(tile(port, &second, cold).bytes, tile(file.port(), &second, cold).bytes);
    let refused = tile(port, &first, cold);
    assert_eq!((refused.status, refused.header("cache-control")), (502, Some("no-store")));
}

#[ignore = "needs moto: cargo xtask object-store"]
#[tokio::test]
async fn a_store_that_goes_away_is_told_of_and_comes_back() {
    let store = Store::start("away");
    let archive = store.build(0.01);
    store.put(&archive);
    store.put(&archive.with_extension("cells"));
    let server = store.serve("100ms");
    let port = server.port();
    let named = version(port);
    let (warm, cold) = ("2/2/1", "10/512/511");
    assert_eq!(tile(port, &named, warm).status, 200);
    store.wire.cut();
    assert_eq!(tile(port, &named, warm).status, 200, "what is in memory is served");
    let refused = tile(port, &named, cold);
    assert_eq!((refused.status, refused.header("retry-after")), (502, Some("5")), "{}", refused.body);
    assert!(refused.body.contains("not-fetched") && refused.body.contains("map"), "{}", refused.body);
    let ready = || http::get(port, "/ready", &[]);
    until("the fault is told of", || ready().body.contains("s3://maps/towns/map.pmtiles")).await;
    assert_eq!(ready().status, 200, "what was served goes on");
    store.wire.mend();
    until("the fault is gone", || ready().body == r#"{"status":"ok"}"#).await;
    assert_eq!(tile(port, &named, cold).status, 200);
    assert_eq!(version(port), named);
}

/// A server may start before its store does.
#[ignore = "needs moto: cargo xtask object-store"]
#[tokio::test]
async fn a_set_that_is_not_there_yet_is_served_when_it_comes() {
    let store = Store::start("later");
    let server = store.serve("100ms");
    let port = server.port();
    let told = http::get(port, "/ready", &[]).body;
    assert!(told.contains("map.pmtiles"), "{told}");
    assert_eq!(http::get(port, "/tiles/map.json", &[]).status, 404);
    let archive = store.build(0.01);
    store.put(&archive);
    until("the cells are missed", || http::get(port, "/ready", &[]).body.contains("map.cells")).await;
    store.put(&archive.with_extension("cells"));
    until("it is served", || http::get(port, "/tiles/map.json", &[]).status == 200).await;
    // Rubbish in its place is told of, and what was served goes on.
    let rubbish = store.folder.join("map.pmtiles");
    fs::write(&rubbish, "no archive at all").unwrap();
    store.put(&rubbish);
    until("the rubbish is told of", || http::get(port, "/ready", &[]).body.contains("map.pmtiles")).await;
    assert_eq!(http::get(port, "/tiles/map.json", &[]).status, 200);
}
