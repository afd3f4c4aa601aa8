//! The router, asked as a browser and a CDN would.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use std::time::Duration;

use axum::Router;
use common::client::{self, Answer};
use common::{Folder, Random, built, plain};
use serde_json::Value as Json;
use watersmeet_tiles::compress::{Encoding, unpack};
use watersmeet_tiles::source::Shape;
use watersmeet_tiles::{BuildOptions, ServeOptions, Sets, TileCoord, TileSet, router};

struct Server {
    folder: Folder,
    sets: Sets,
    router: Router,
    version: String,
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
        let answer = client::ask(&self.router, method, path, headers).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        answer
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
            assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, &*etag));
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
        assert!(
            answer.json()["error"]["message"].as_str().unwrap().contains(error),
            "{tile}: {}",
            answer.json()
        );
        assert!(answer.json()["error"]["hint"].is_string());
    }
    for ending in [".png", "", ".mvt.gz", ".MVT"] {
        let answer = server.get(&server.tile("3/0/0").replace(".mvt", ending), &[]).await;
        assert_eq!(answer.status, 400, "{ending}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(".mvt"), "{}", answer.json());
    }
    for path in [
        "/tiles/none/0123456789abcdef/0/0/0.mvt",
        "/tiles/none.json",
        "/tiles/map",
        "/tiles/map/latest/0/0/0.mvt",
        "/tiles/map/+123456789abcdef/0/0/0.mvt",
        "/tiles/..%2Fmap/0123456789abcdef/0/0/0.mvt",
    ] {
        let answer = server.get(path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json()["error"]["hint"].is_string());
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
    assert_eq!(gone.json()["error"]["current"], Json::from(current.clone()));
    assert_eq!(gone.header("link"), format!("<{current}>; rel=\"latest-version\""));
    assert_eq!(gone.header("cache-control"), "no-store");
}

#[tokio::test]
async fn the_tilejson_says_all_that_a_map_library_asks() {
    let server = Server::new(ServeOptions::default());
    let headers = [("host", "maps.example.org:8080")];
    let answer = server.get("/tiles/map.json", &headers).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "public, max-age=60, stale-while-revalidate=60");
    let json = answer.json();
    assert_eq!(json["tilejson"], "3.0.0");
    let url = format!("http://maps.example.org:8080/tiles/map/{}/{{z}}/{{x}}/{{y}}.mvt", server.version);
    assert_eq!(json["tiles"], serde_json::json!([url]));
    assert_eq!((&json["minzoom"], &json["maxzoom"]), (&0.into(), &14.into()));
    assert_eq!(json["attribution"], "made up");
    assert_eq!(json["bounds"].as_array().unwrap().len(), 4);
    assert_eq!(json["center"].as_array().unwrap().len(), 3);
    assert_eq!(json["vector_layers"][0]["id"], "points");
    assert_eq!(json["vector_layers"][0]["fields"]["population"], "Number");
    let etag = answer.header("etag").to_owned();
    let again = server.get("/tiles/map.json", &[headers[0], ("if-none-match", &etag)]).await;
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
async fn a_proxy_is_believed_only_where_the_operator_says_so() {
    let forwarded = [
        ("host", "inside"),
        ("x-forwarded-host", "maps.example.org, inside"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/base/"),
    ];
    let url = async |options: ServeOptions, headers: &[(&str, &str)]| {
        let answer = Server::new(options).get("/tiles/map.json", headers).await;
        let url = answer.json()["tiles"][0].as_str().unwrap().split("/tiles/").next().unwrap().to_owned();
        (url, answer.header("vary").to_owned())
    };
    let trusting = || ServeOptions { trust_forwarded: true, ..ServeOptions::default() };
    let (by_host, vary) = url(ServeOptions::default(), &forwarded).await;
    assert_eq!((&*by_host, &*vary), ("http://inside", "Accept-Encoding, Host"));
    let (by_proxy, vary) = url(trusting(), &forwarded).await;
    assert_eq!(by_proxy, "https://maps.example.org/base");
    assert!(vary.contains("X-Forwarded-Host"), "{vary}");
    let rfc_7239 =
        [("host", "inside"), ("forwarded", "for=192.0.2.1;Host=\"maps.example.org:8443\";proto=https")];
    assert_eq!(url(trusting(), &rfc_7239).await.0, "https://maps.example.org:8443");
    for hostile in ["a\"b", "", "a/b", "a b"] {
        let (url, _) =
            url(trusting(), &[("x-forwarded-host", hostile), ("x-forwarded-prefix", "//x\"")]).await;
        assert_eq!(url, "http://localhost", "{hostile:?}");
    }
}

#[tokio::test]
async fn browsers_may_ask_first() {
    let server = Server::new(ServeOptions::default());
    for path in ["/tiles/map.json".to_owned(), server.tile("0/0/0")] {
        let asked = [("origin", "https://a.example"), ("access-control-request-headers", "x-trace")];
        let answer = server.ask("OPTIONS", &path, &asked).await;
        assert_eq!(answer.status, 204);
        assert!(answer.header("access-control-allow-headers").contains('*'));
        assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
        let wrong = server.ask("POST", &path, &[]).await;
        assert_eq!((wrong.status, wrong.header("allow")), (405, "GET, HEAD, OPTIONS"));
    }
}

#[tokio::test]
async fn who_has_a_tile_is_told_so_however_it_is_asked() {
    let server = Server::new(ServeOptions::default());
    for tile in TILES {
        let gzip = ("accept-encoding", "gzip");
        let etag = server.get(&server.tile(tile), &[gzip]).await.header("etag").to_owned();
        for tags in
            ["*", &etag, &format!("W/{etag}"), &format!("\"x\", W/\"y\" ,\t{etag}"), &format!("\"x\",{etag}")]
        {
            let again = server.get(&server.tile(tile), &[gzip, ("if-none-match", tags)]).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{tags}");
            for name in ["cache-control", "etag", "vary"] {
                assert!(!again.header(name).is_empty(), "RFC 9110, 15.4.5: {name}");
            }
            assert_eq!(again.header("content-type"), "");
        }
        for tags in ["\"x\"", etag.trim_matches('"'), "", "W/*"] {
            let again = server.get(&server.tile(tile), &[gzip, ("if-none-match", tags)]).await;
            assert_eq!(again.status, 200, "{tags}");
        }
    }
}

#[tokio::test]
async fn a_place_outside_of_the_set_is_not_found_and_one_inside_may_be_empty() {
    let folder = Folder::new();
    let corners = [[10.0, 50.0], [14.0, 54.0]];
    let features = corners.map(|place| common::feature(1, Shape::Points(vec![place]), &[])).to_vec();
    built(&folder.path("two.pmtiles"), &BuildOptions::default(), vec![("points", features)]);
    let sets = Sets::open_dir(&folder.0).unwrap();
    let version = sets.current("two").unwrap().version().to_owned();
    let router = router(sets, ServeOptions::default());
    // Between the corners, at one of them, and far away; pre-rendered and dynamic.
    for (tile, status) in
        [("6/34/21", 204), ("6/33/21", 200), ("6/0/0", 404), ("12/2184/1341", 204), ("12/9/9", 404)]
    {
        let uri = format!("/tiles/two/{version}/{tile}.mvt");
        let response = client::ask(&router, "GET", &uri, &[]).await;
        assert_eq!(response.status, status, "{tile}");
        let cached = response.header("cache-control").to_owned();
        assert!(
            cached.starts_with("public, max-age="),
            "{tile}: a version never changes, so this may be kept"
        );
    }
}

#[tokio::test]
async fn a_tile_that_takes_too_long_is_refused_for_now() {
    let options = ServeOptions { render_time_max: Duration::ZERO, ..ServeOptions::default() };
    let server = Server::new(options);
    let answer = server.get(&server.tile(TILES[1]), &[]).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), "30");
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("12/2200/1343"));
    assert!(answer.json()["error"]["hint"].as_str().unwrap().contains("render_time"));
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
