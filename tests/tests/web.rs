//! What browsers and people with browsers meet: the web app's files, paths at which nothing is, and other websites.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use tokio_tungstenite::tungstenite::Error;
use watersmeet_client::Client;
use watersmeet_tests::http::{Answer, get};
use watersmeet_tests::{Raw, Server, patiently};

/// What a browser says when somebody goes to a page.
const GOING: [(&str, &str); 1] = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
const LOADING: [(&str, &str); 1] = [("Accept", "*/*")];

/// A web app of three files. It is removed when this is dropped.
struct App(PathBuf);

impl App {
    fn create(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("watersmeet-web-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("assets")).unwrap();
        fs::write(folder.join("index.html"), "<title>The app</title>").unwrap();
        fs::write(folder.join("worker.js"), "work()").unwrap();
        fs::write(folder.join("assets/app-1234.js"), "start()").unwrap();
        App(folder)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_index(answer: &Answer) -> bool {
    answer.status == 200 && answer.body.contains("The app")
}

/// Not there, and said so to programs and people alike.
fn is_absent(answer: &Answer) -> bool {
    answer.status == 404
        && answer.header("content-type") == Some("application/json")
        && answer.body.starts_with(r#"{"error":{"code":"not-found""#)
        && answer.body.contains(r#""hint":""#)
}

fn serving(folder: &Path) -> Server {
    Server::start_with(["--web".into(), folder.as_os_str().to_owned()])
}

#[test]
fn a_page_is_for_those_who_go_there_and_a_missing_file_is_missing() {
    let app = App::create("pages");
    let server = serving(&app.0);
    let ask = |path: &str, headers: &[(&str, &str)]| get(server.port(), path, headers);
    for path in ["/", "/index.html"] {
        assert!(is_index(&ask(path, &LOADING)), "{path}");
    }
    for path in ["/map/old-mill", "/a/b/", "/map?name=a.b"] {
        let answer = ask(path, &GOING);
        assert!(
            is_index(&answer) && answer.header("cache-control") == Some("no-cache"),
            "{path}: {answer:?}"
        );
        assert!(is_absent(&ask(path, &LOADING)), "{path}");
    }
    for path in ["/missing.js", "/a/missing.wasm", "/assets/missing", "/assets/app-0000.js", "/tiles/no/such"]
    {
        for headers in [GOING, LOADING] {
            let answer = ask(path, &headers);
            assert!(is_absent(&answer), "{path}: {answer:?}");
            assert_ne!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
        }
    }
}

#[test]
fn files_are_what_they_say_they_are() {
    let app = App::create("files");
    let server = serving(&app.0);
    let cached = [("/worker.js", "no-cache"), ("/assets/app-1234.js", "public, max-age=31536000, immutable")];
    for (path, cache) in cached {
        let answer = get(server.port(), path, &LOADING);
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some(cache)), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/javascript"), "{path}");
    }
    assert_eq!(get(server.port(), "/", &GOING).header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn a_server_without_app_and_tiles_says_so() {
    let server = Server::start();
    for path in ["/", "/map", "/app.js"] {
        let answer = get(server.port(), path, &GOING);
        assert!(is_absent(&answer) && answer.body.contains("--web"), "{path}: {answer:?}");
    }
    for path in ["/tiles/", "/tiles/world.json", "/tiles/world/1/0/0/0.mvt"] {
        let answer = get(server.port(), path, &LOADING);
        assert!(is_absent(&answer), "{path}: {answer:?}");
        assert!(
            answer.body.contains("no tile sets are served") && answer.body.contains("--tiles"),
            "{answer:?}"
        );
    }
    assert_eq!(get(server.port(), "/health", &LOADING).status, 200);
}

/// Whether the pages of an origin may sync; if not, that they are told so.
async fn may_sync(server: &Server, origin: &str) -> bool {
    match Raw::connect_from(&server.url(), origin).await {
        Ok(_) => true,
        Err(Error::Http(response)) => {
            let body = String::from_utf8_lossy(response.body().as_ref().unwrap()).into_owned();
            assert_eq!(response.status(), 403, "{body}");
            assert!(body.contains(origin) && body.contains("--allow-origin"), "{body}");
            false
        }
        Err(error) => panic!("{origin}: {error}"),
    }
}

#[tokio::test]
async fn strangers_pages_may_not_sync() {
    let server = Server::start();
    assert!(may_sync(&server, &format!("http://127.0.0.1:{}", server.port())).await);
    for stranger in ["https://evil.example", "http://localhost:5173", "http://127.0.0.1", "null"] {
        assert!(!may_sync(&server, stranger).await, "{stranger}");
    }
    let native = Client::connect(&server.url()).await.unwrap().open("map");
    patiently("a program is synced", native.synced()).await.unwrap();
}

#[tokio::test]
async fn pages_of_allowed_origins_may_sync() {
    let options = ["--public-url", "https://maps.example/app", "--allow-origin", "http://localhost:5173"];
    let server = Server::start_with(
        options.into_iter().chain(["--allow-origin", "https://a.example,https://b.example"]),
    );
    let allowed = ["https://maps.example", "http://localhost:5173", "https://a.example", "https://b.example"];
    for origin in allowed {
        assert!(may_sync(&server, origin).await, "{origin}");
    }
    assert!(!may_sync(&server, "https://evil.example").await);
    let server = Server::start_with(["--allow-origin", "*"]);
    assert!(may_sync(&server, "https://evil.example").await);
    let said = server.run_another_with("127.0.0.1:0", &["--allow-origin", "maps.example"]).1;
    assert!(said.contains("--allow-origin") && said.contains("https://maps.example"), "{said}");
}
