//! What an operator chooses, through the real binary: the file, the environment and flags; and a path below which all is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use watersmeet_client::Client;
use watersmeet_tests::http::get;
use watersmeet_tests::{Server, binary, patiently};

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn create(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("watersmeet-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn config<T: AsRef<OsStr>>(arguments: &[T], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary());
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("WATERSMEET_")) {
        command.env_remove(key);
    }
    command.arg("config").args(arguments).envs(environment.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_file_is_checked_and_what_counts_is_printed() {
    let folder = Folder::create("check");
    let good = folder.write("good.toml", "[access]\nopen = true\n[limits]\nconnections = 7\nrooms = 8\n");
    let good = good.to_str().unwrap();
    let checked = config(&["check", good], &[]);
    assert!(checked.status.success() && text(&checked.stdout) == "ok\n", "{checked:?}");

    let bad = folder.write("bad.toml", "[limits]\nconections = 7\nrooms = \"many\"\n");
    let checked = config(&["check", bad.to_str().unwrap()], &[]);
    let said = text(&checked.stderr);
    assert!(!checked.status.success(), "{said}");
    assert!(
        said.contains("bad.toml:2: limits.conections is no setting; did you mean limits.connections?"),
        "{said}"
    );
    assert!(said.contains("bad.toml:3: limits.rooms: "), "{said}");
    let nobody = folder.write("nobody.toml", "[limits]\nrooms = 8\n");
    let checked = config(&["check", nobody.to_str().unwrap()], &[]);
    assert!(
        !checked.status.success() && text(&checked.stderr).contains("nobody could come in"),
        "{checked:?}"
    );

    let environment = [("WATERSMEET_CONFIG", good), ("WATERSMEET_LIMITS_ROOMS", "9")];
    let printed = text(&config(&["print", "--set", "limits.documents=10"], &environment).stdout);
    for line in [
        "connections = 7  # ",
        "rooms = 9  # WATERSMEET_LIMITS_ROOMS",
        "documents = 10  # --set limits.documents",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/deploy/watersmeet.toml");
    let secret = r#"{"kty":"oct","k":"IARuPqzL46spMAaNAnigjJADABWZjavCYVX-sZyDgvA","alg":"HS256"}"#;
    let checked = config(&["check", example], &[("PORTAL_KEY", secret)]);
    assert!(checked.status.success(), "{checked:?}");
    // The documented defaults are a file that can be begun with.
    let defaults = text(&config(&["print", "--default"], &[]).stdout);
    let begun = folder.write("begun.toml", &defaults.replace("open = false", "open = true"));
    assert!(config(&["check", begun.to_str().unwrap()], &[]).status.success());
}

#[tokio::test]
async fn the_server_obeys_the_file() {
    let folder = Folder::create("obey");
    let file = folder.write("watersmeet.toml", "[limits]\nconnections = 1\nname_bytes = 5\n");
    let server = Server::start_with(["--config".into(), file.into_os_string()]);
    let client = Client::connect(&server.url()).await.unwrap();
    let document = client.open("map");
    patiently("synced", document.synced()).await.unwrap();
    let full = get(server.port(), "/docs/map", &[]);
    assert!(full.status == 503 && full.body.contains(r#""code":"full""#), "{full:?}");
    drop((client, document));
    let long = watersmeet_tests::patiently("a place", async {
        loop {
            let answer = get(server.port(), "/docs/longer", &[]);
            if answer.status != 503 {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(long.status == 400 && long.body.contains("1 to 5 bytes"), "{long:?}");
}

/// A set of tiles with one point, `points`.
fn tiles(folder: &Folder) {
    let point = r#"{"type":"Feature","properties":{"name":"Old mill"},"geometry":{"type":"Point","coordinates":[13.4,52.5]}}"#;
    let source =
        folder.write("points.geojson", &format!(r#"{{"type":"FeatureCollection","features":[{point}]}}"#));
    let mut build = Command::new(binary());
    build.args(["tiles", "build"]).arg(source).arg("-o").arg(folder.0.join("points.pmtiles"));
    assert!(build.output().unwrap().status.success());
}

/// The URL of tiles that a TileJSON names.
fn tile_url(server: &Server, path: &str) -> String {
    let answer = get(server.port(), path, &[]);
    let json: serde_json::Value =
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    json["tiles"][0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn everything_is_below_the_path_prefix_and_nothing_elsewhere() {
    let folder = Folder::create("prefix");
    folder.write("index.html", "<title>The app</title>");
    tiles(&folder);
    let web = folder.0.to_str().unwrap();
    let server = Server::start_with(["--path-prefix", "/a/maps/", "--web", web, "--tiles", web]);
    let ask = |path: &str| get(server.port(), path, &[("Accept", "text/html")]);
    let client = Client::connect(&server.url().replace("/sync", "/a/maps/sync")).await.unwrap();
    let document = client.open("m/1");
    document.edit(|tx| tx.set(&["name"], "Old mill")).unwrap();
    patiently("durable", document.durable()).await.unwrap();

    let sent = ask("/a/maps");
    assert_eq!((sent.status, sent.header("location")), (308, Some("/a/maps/")));
    assert_eq!(ask("/a/maps?map=m%2F1").header("location"), Some("/a/maps/?map=m%2F1"));
    for path in ["/a/maps/", "/a/maps/index.html", "/a/maps/deep/page"] {
        let page = ask(path);
        assert!(page.status == 200 && page.body.contains("The app"), "{path}: {page:?}");
    }
    for path in ["/a/maps/health", "/a/maps/ready", "/a/maps/metrics", "/a/maps/docs"] {
        assert_eq!(ask(path).status, 200, "{path}");
    }
    assert!(get(server.port(), "/a/maps/docs/m%2F1", &[]).body.contains("Old mill"));
    for path in ["/", "/health", "/sync", "/docs", "/index.html", "/a/mapsy/health", "/maps/health"] {
        let nothing = ask(path);
        assert!(nothing.status == 404 && nothing.body.contains("below /a/maps/"), "{path}: {nothing:?}");
    }
    // TileJSON names what answers: by the request's own name, or by the public one.
    let here = format!("http://127.0.0.1:{}", server.port());
    let url = tile_url(&server, "/a/maps/tiles/points.json");
    let path = url.strip_prefix(&here).unwrap_or_else(|| panic!("{url}"));
    assert!(path.starts_with("/a/maps/tiles/points/"), "{path}");
    assert_eq!(get(server.port(), &path.replace("{z}/{x}/{y}", "0/0/0"), &[]).status, 200);
    let public = ["--public-url", "https://example.org/x/", "--path-prefix", "/a", "--tiles", web];
    let public = tile_url(&Server::start_with(public), "/a/tiles/points.json");
    assert!(public.starts_with("https://example.org/x/tiles/points/"), "{public}");
    let wrong = server.run_another_with("127.0.0.1:0", &["--path-prefix", "maps"]).1;
    assert!(wrong.contains("--path-prefix"), "{wrong}");
}
