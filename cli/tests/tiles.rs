//! `watersmeet tiles build` as a person at a terminal uses it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("watersmeet-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), content).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watersmeet"));
        command.args(["tiles", "build"]).args(arguments).current_dir(&self.0).stdin(Stdio::null());
        command
    }

    fn build(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn fenced<'a>(text: &'a str, language: &str) -> &'a str {
    text.split_once(&format!("```{language}\n")).unwrap().1.split_once("```").unwrap().0
}

#[test]
fn the_example_of_the_documentation_is_built() {
    let folder = Folder::new("example");
    let documentation = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tiles.md");
    folder.write("town.toml", fenced(&std::fs::read_to_string(documentation).unwrap(), "toml"));
    let park = |class: &str, area: u32| {
        format!(
            r#"{{"type":"Feature","properties":{{"name":"A","class":"{class}","area":{area}}},"geometry":{{"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9],[0,0]]]}}}}"#
        )
    };
    folder.write("parks.geojson", [park("park", 100), park("park", 99), park("road", 500)].join("\n"));
    folder.write("places.csv", "name,east,north,people,osm_id,rest\nTown,1,2,3000,17,x\nBad,a,b,1,2,x\n");
    let dry = folder.build(&["town.toml", "--dry-run"]);
    assert!(
        dry.status.success() && said(&dry).contains("layer parks: parks.geojson; zooms 6 to 14; filtered"),
        "{}",
        said(&dry)
    );
    let built = folder.build(&["town.toml", "-o", "town.pmtiles"]);
    let text = said(&built);
    assert!(built.status.success(), "{text}");
    for part in [
        "layer parks: 1 features",
        "layer places: 1 features",
        "places.csv:3: feature 1: east is \"a\"",
        "--archive-zoom 14",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let mut show = Command::new(env!("CARGO_BIN_EXE_watersmeet"));
    let shown = said(&show.args(["tiles", "show", "town.pmtiles"]).current_dir(&folder.0).output().unwrap());
    for part in [
        "Town",
        "© the town",
        "parks: class (String), name (String)",
        "places: name (String), people (Number)",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let strict = folder.build(&["town.toml", "--strict", "-o", "strict.pmtiles"]);
    assert!(
        !strict.status.success() && said(&strict).starts_with("error: places.csv:3: feature 1: east"),
        "{}",
        said(&strict)
    );
    folder.write("town.toml", "max_zom = 3\n[[layer]]\nfiles = [\"parks.geojson\"]\n");
    let wrong = said(&folder.build(&["town.toml", "-o", "x.pmtiles"]));
    assert_eq!(wrong, "error: town.toml:1: max_zom is no key here; did you mean max_zoom?\n");
    assert_eq!(folder.names(), ["parks.geojson", "places.csv", "town.cells", "town.pmtiles", "town.toml"]);
}

#[test]
fn every_format_packed_or_not_and_from_standard_input_is_the_same_map() {
    let folder = Folder::new("formats");
    let lines: Vec<_> = (0..50)
        .map(|n| format!(r#"{{"type":"Feature","id":{n},"properties":{{"n":{n}}},"geometry":{{"type":"Point","coordinates":[{n},{n}]}}}}"#))
        .collect();
    let collection = format!("{{\"type\":\"FeatureCollection\",\"features\":[{}]}}", lines.join(","));
    folder.write("a.geojson", &collection);
    folder.write("a.geojsonl", lines.join("\n"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines.join("\n").as_bytes()).unwrap();
    folder.write("packed", gzip.finish().unwrap());
    let mut table = "n,lat,lon\n".to_owned();
    (0..50).for_each(|n| writeln!(table, "{n},{n},{n}").unwrap());
    folder.write("a.csv", table);
    let set = |id: &str, file: &str| {
        format!("name = \"a\"\n[[layer]]\nname = \"a\"\nid = \"{id}\"\nfiles = [\"{file}\"]\n")
    };
    let mut archives = Vec::new();
    for (index, file) in ["a.geojson", "a.geojsonl", "packed", "a.csv", "-"].into_iter().enumerate() {
        let (plan, out) = (format!("{index}.toml"), format!("{index}.pmtiles"));
        folder.write(&plan, set("n", file));
        let mut build = folder.command(&[&plan, "-o", &out, "--max-zoom", "5", "--archive-zoom", "5"]);
        build.stdin(std::fs::File::open(folder.0.join("a.geojson")).unwrap());
        let built = build.output().unwrap();
        assert!(built.status.success(), "{file}: {}", said(&built));
        archives.push(std::fs::read(folder.0.join(out)).unwrap());
    }
    assert!(archives.iter().all(|archive| *archive == archives[0]));
}

/// Writes so many lines of wandering, a feature each.
fn wandering(path: &Path, lines: u32) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let mut random = 1_u64;
    let mut next = |bound: f64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as f64 / f64::from(1_u32 << 31) * bound
    };
    for id in 0..lines {
        let (mut x, mut y) = (next(340.0) - 170.0, next(140.0) - 70.0);
        write!(file, r#"{{"type":"Feature","id":{id},"properties":{{"n":{id},"name":"line {id}"}},"geometry":{{"type":"LineString","coordinates":["#).unwrap();
        for vertex in 0..40 {
            (x, y) = (x + next(0.02) - 0.01, y + next(0.02) - 0.01);
            write!(file, "{}[{x:.6},{y:.6}]", if vertex > 0 { "," } else { "" }).unwrap();
        }
        writeln!(file, "]}}}}").unwrap();
    }
    file.into_inner().unwrap();
}

/// The most memory that a process has had, in kilobytes, asked while it runs.
#[cfg(target_os = "linux")]
fn peak_kilobytes(child: &mut std::process::Child) -> u64 {
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = high.and_then(|high| high.trim().split(' ').next()?.parse().ok());
        peak = peak.max(kilobytes.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}

/// `WATERSMEET_LARGE_BUILD=1` builds from 300 MB; otherwise from 16 MB.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_file() {
    let folder = Folder::new("memory");
    let lines = if std::env::var_os("WATERSMEET_LARGE_BUILD").is_some() { 330_000 } else { 18_000 };
    wandering(&folder.0.join("small.geojsonl"), lines / 4);
    wandering(&folder.0.join("large.geojsonl"), lines);
    let peak = |file: &str| {
        let arguments =
            [file, "-o", "out.pmtiles", "--memory", "8MB", "--max-zoom", "8", "--archive-zoom", "5"];
        let mut build = folder.command(&arguments);
        // As many threads on every machine: each has batches of its own.
        build.env("RAYON_NUM_THREADS", "2").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = build.spawn().unwrap();
        let peak = peak_kilobytes(&mut child);
        assert!(child.wait().unwrap().success());
        peak
    };
    let (small, large) = (peak("small.geojsonl"), peak("large.geojsonl"));
    println!("peak of a quarter {small} kB, of all {large} kB");
    assert!(small > 0 && large < small * 3 / 2, "a quarter takes {small} kB, all of it {large} kB");
}

#[cfg(unix)]
#[test]
fn a_build_that_is_interrupted_or_killed_leaves_no_archive() {
    let folder = Folder::new("interrupted");
    wandering(&folder.0.join("lines.geojsonl"), 3_000);
    for signal in ["INT", "KILL"] {
        let mut child = folder
            .command(&["lines.geojsonl", "-o", "out.pmtiles", "--archive-zoom", "12"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (building, begun) = (folder.0.join("out.pmtiles.building/tiles"), Instant::now());
        while !building.exists() {
            assert!(
                begun.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(),
                "no tiles"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(
            Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success()
        );
        assert!(!child.wait().unwrap().success());
        let left = if signal == "INT" {
            &["lines.geojsonl"][..]
        } else {
            &["lines.geojsonl", "out.pmtiles.building"]
        };
        assert_eq!(folder.names(), left);
    }
    // The next build takes away what the killed one left.
    assert!(folder.build(&["lines.geojsonl", "-o", "out.pmtiles", "--archive-zoom", "2"]).status.success());
    assert_eq!(folder.names(), ["lines.geojsonl", "out.cells", "out.pmtiles"]);
}

/// As with `| head`.
#[cfg(unix)]
#[test]
fn that_nobody_reads_on_is_no_failure() {
    let folder = Folder::new("unread");
    wandering(&folder.0.join("lines.geojsonl"), 100);
    assert!(folder.build(&["lines.geojsonl", "-o", "out.pmtiles", "--archive-zoom", "5"]).status.success());
    for arguments in [&["tiles", "show", "out.pmtiles"][..], &["tiles", "decode", "out.pmtiles", "0/0/0"]] {
        let (unread, out) = std::io::pipe().unwrap();
        drop(unread);
        let mut command = Command::new(env!("CARGO_BIN_EXE_watersmeet"));
        let ended = command.args(arguments).current_dir(&folder.0).stdout(out).output().unwrap();
        assert!(ended.status.success() && ended.stderr.is_empty(), "{arguments:?}: {}", said(&ended));
    }
}
