//! The router, asked as a browser and a CDN would.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use common::{Folder, Random, built, plain};
use serde_json::Value as Json;
use tower::ServiceExt;
use watersmeet_tiles::compress::{Encoding, unpack};
use watersmeet_tiles::{BuildOptions, ServeOptions, Sets, TileCoord, TileSet, router};

struct Server {
    folder: Folder,
    sets: Sets,
    router: Router,
    version: String,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Server {
    fn new(options: ServeOptions) -> Self {
        let folder = Folder::new();
        let options_of_build =
            BuildOptions { attribution: Some("made up".into()), ..BuildOptions::default() };
        built(&folder.path("map.pmtiles"), &options_of_build, Random(1).map([13.4, 52.5]));
        let sets = Sets::open_dir(&folder.0).unwrap();
        let version = sets.current("map").unwrap().version().to_owned();
        Self { router: router(sets.clone(), options), folder, sets, version }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        assert_eq!(parts.headers["access-control-allow-origin"], "*", "{path}");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers).await
    }

    fn tile(&self, tile: &str) -> String {
        format!("/tiles/map/{}/{tile}.mvt", self.version)
    }
}

/// A pre-rendered tile and a dynamic one of the made-up map.
const TILES: [&str; 2] = ["6/34/20", "12/2200/1343"];

#[tokio::test]
async fn tiles_may_be_kept_for_ever_and_come_in_every_encoding() {
    let server = Server::new(ServeOptions::default());
    let set = TileSet::open(&server.folder.path("map.pmtiles")).unwrap();
    for (name, [z, x, y]) in TILES.into_iter().zip([[6, 34, 20], [12, 2200, 1343]]) {
        let expected = plain(&set, TileCoord::new(u8::try_from(z).unwrap(), x, y).unwrap());
        let mut tags = Vec::new();
        for (accept, encoding) in [
            ("identity", Encoding::Identity),
            ("gzip", Encoding::Gzip),
            ("br", Encoding::Brotli),
            ("zstd", Encoding::Zstd),
        ] {
            let answer = server.get(&server.tile(name), &[("accept-encoding", accept)]).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
            assert_eq!(answer.header("content-type"), "application/vnd.mapbox-vector-tile");
            assert_eq!(answer.header("vary"), "Accept-Encoding");
            assert_eq!(answer.header("content-encoding"), if accept == "identity" { "" } else { accept });
            assert_eq!(unpack(&answer.body, encoding).unwrap(), expected);
            let etag = answer.header("etag").to_owned();
            assert!(etag.starts_with('"') && !tags.contains(&etag), "{etag}");
            let headers = [("accept-encoding", accept), ("if-none-match", &*etag)];
            let again = server.get(&server.tile(name), &headers).await;
            assert_eq!((again.status.as_u16(), again.body.len(), again.header("etag")), (304, 0, &*etag));
            tags.push(etag);
        }
    }
}

#[tokio::test]
async fn a_head_has_the_headers_only() {
    let server = Server::new(ServeOptions::default());
    for tile in TILES {
        let [head, get] =
            [server.ask("HEAD", &server.tile(tile), &[]).await, server.get(&server.tile(tile), &[]).await];
        assert_eq!(head.status, 200);
        assert!(head.body.is_empty());
        assert_eq!(head.header("etag"), get.header("etag"));
        assert_eq!(head.header("content-length"), get.body.len().to_string());
    }
}

#[tokio::test]
async fn nothing_to_draw_is_no_content() {
    let server = Server::new(ServeOptions::default());
    for tile in ["6/0/63", "14/0/16383"] {
        let answer = server.get(&server.tile(tile), &[]).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "{tile}");
        assert!(answer.header("cache-control").contains("immutable"));
    }
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let server = Server::new(ServeOptions::default());
    let wrong = [
        ("3/8/0", 400, "x is 8, but at zoom 3 it runs from 0 to 7"),
        ("3/0/9", 400, "y is 9, but at zoom 3"),
        ("x/0/0", 400, "z is \"x\""),
        ("3/-1/0", 400, "x is \"-1\""),
        ("3/0/1.5", 400, "y is \"1.5\""),
        ("99/0/0", 400, "zoom 99"),
        ("3/99999999999999999999/0", 400, "x is \"9999"),
        ("15/0/0", 404, "zoom 15 is outside of 0 to 14"),
    ];
    for (tile, status, error) in wrong {
        let answer = server.get(&server.tile(tile), &[]).await;
        assert_eq!(answer.status, status, "{tile}");
        assert!(answer.json()["error"].as_str().unwrap().contains(error), "{tile}: {}", answer.json());
        assert!(answer.json()["hint"].is_string());
    }
    let ending = server.tile("3/0/0").replace(".mvt", ".png");
    assert_eq!(server.get(&ending, &[]).await.status, 400);
    for path in [
        "/tiles/none/0123456789abcdef/0/0/0.mvt",
        "/tiles/none.json",
        "/tiles/map",
        "/tiles/map/latest/0/0/0.mvt",
    ] {
        let answer = server.get(path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json()["hint"].is_string());
    }
}

#[tokio::test]
async fn an_old_version_answers_while_it_is_kept_and_then_points_to_the_current_one() {
    let server = Server::new(ServeOptions::default());
    let path = server.folder.path("map.pmtiles");
    let old = server.tile(TILES[1]);
    let before = server.get(&old, &[]).await.body;
    for seed in 2..4 {
        built(&path, &BuildOptions::default(), Random(seed).map([13.4, 52.5]));
        server.sets.add("map", &path).unwrap();
        assert_eq!(server.get(&old, &[("accept-encoding", "gzip")]).await.status, 200);
        assert_eq!(server.get(&old, &[]).await.body, before);
    }
    built(&path, &BuildOptions::default(), Random(4).map([13.4, 52.5]));
    server.sets.add("map", &path).unwrap();
    let gone = server.get(&old, &[("host", "maps.example.org")]).await;
    assert_eq!(gone.status, 410);
    let version = server.sets.current("map").unwrap().version().to_owned();
    let current = format!("http://maps.example.org/tiles/map/{version}/{}.mvt", TILES[1]);
    assert_eq!(gone.json()["current"], Json::from(current.clone()));
    assert_eq!(gone.header("link"), format!("<{current}>; rel=\"latest-version\""));
    assert_eq!(gone.header("cache-control"), "no-store");
}

#[tokio::test]
async fn the_tilejson_says_all_that_a_map_library_asks() {
    let server = Server::new(ServeOptions::default());
    let headers = [("host", "maps.example.org:8080"), ("x-forwarded-proto", "https")];
    let answer = server.get("/tiles/map.json", &headers).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "public, max-age=60");
    let json = answer.json();
    assert_eq!(json["tilejson"], "3.0.0");
    let url = format!("https://maps.example.org:8080/tiles/map/{}/{{z}}/{{x}}/{{y}}.mvt", server.version);
    assert_eq!(json["tiles"], serde_json::json!([url]));
    assert_eq!((&json["minzoom"], &json["maxzoom"]), (&0.into(), &14.into()));
    assert_eq!(json["attribution"], "made up");
    assert_eq!(json["bounds"].as_array().unwrap().len(), 4);
    assert_eq!(json["center"].as_array().unwrap().len(), 3);
    assert_eq!(json["vector_layers"][0]["id"], "points");
    assert_eq!(json["vector_layers"][0]["fields"]["population"], "Number");
    let etag = answer.header("etag").to_owned();
    let again = server.get("/tiles/map.json", &[headers[0], headers[1], ("if-none-match", &etag)]).await;
    assert_eq!(again.status, 304);
    let odd = server.get("/tiles/map.json", &[("host", "a\"b")]).await.json();
    assert!(odd["tiles"][0].as_str().unwrap().starts_with("http://localhost/"));
}

#[tokio::test]
async fn the_operator_s_url_goes_first() {
    let options =
        ServeOptions { public_url: Some("https://cdn.example.org/base/".into()), ..ServeOptions::default() };
    let json = Server::new(options).get("/tiles/map.json", &[("host", "inside")]).await.json();
    assert!(json["tiles"][0].as_str().unwrap().starts_with("https://cdn.example.org/base/tiles/map/"));
}

#[tokio::test]
async fn browsers_may_ask_first() {
    let server = Server::new(ServeOptions::default());
    let answer = server.ask("OPTIONS", &server.tile("0/0/0"), &[("origin", "https://a.example")]).await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("access-control-allow-headers").contains("If-None-Match"));
}

#[tokio::test]
async fn a_tile_that_takes_too_long_is_refused_for_now() {
    let options = ServeOptions { render_time_max: Duration::ZERO, ..ServeOptions::default() };
    let server = Server::new(options);
    let answer = server.get(&server.tile(TILES[1]), &[]).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), "1");
    assert!(answer.json()["error"].as_str().unwrap().contains("12/2200/1343"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_get_the_same() {
    let server = std::sync::Arc::new(Server::new(ServeOptions { renders_max: 1, ..ServeOptions::default() }));
    let asked = (0..64).map(|_| {
        let server = std::sync::Arc::clone(&server);
        tokio::spawn(
            async move { server.get(&server.tile(TILES[1]), &[("accept-encoding", "br")]).await.body },
        )
    });
    let mut bodies = Vec::new();
    for asked in asked.collect::<Vec<_>>() {
        bodies.push(asked.await.unwrap());
    }
    assert!(!bodies[0].is_empty() && bodies.iter().all(|body| *body == bodies[0]));
}

#[tokio::test]
async fn a_broken_cell_is_an_error_and_no_tile() {
    let server = Server::new(ServeOptions::default());
    let path = server.folder.path("map.cells");
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0xFF);
    std::fs::write(&path, bytes).unwrap();
    server.sets.add("map", &server.folder.path("map.pmtiles")).unwrap();
    let mut broken = 0;
    for x in 2190..2210 {
        let answer = server.get(&server.tile(&format!("12/{x}/1343")), &[]).await;
        broken += u32::from(answer.status == 500);
        assert!(answer.status == 500 || answer.status == 200 || answer.status == 204);
    }
    assert!(broken > 0);
}
