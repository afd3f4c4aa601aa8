//! `cargo xtask test`: every test there is, counted.

use crate::run::{self, Error, cargo, command, target};
use crate::{basemap, chromium, demo, object_store, schemathesis, traps, wasm};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// What passed and what failed so far: single tests, and checks that count as one.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    broken: Vec<String>,
}

/// How often the server is killed, if the options say so.
pub(crate) fn crashes(options: &[String]) -> Result<Option<String>, Error> {
    match options {
        [] => Ok(None),
        [option, count] if option == "--crashes" && count.parse::<u32>().is_ok() => Ok(Some(count.clone())),
        _ => Err(Error::Missing("usage: cargo xtask test [--crashes N]".to_owned())),
    }
}

/// Runs everything, whatever fails on the way; succeeds if nothing failed.
pub(crate) fn run(root: &Path, crashes: Option<&str>) -> ExitCode {
    let mut tally = Tally::default();
    let start = Instant::now();
    rust(root, &mut tally, crashes);
    browser(root, &mut tally);
    println!("\n{:.0} s in all", start.elapsed().as_secs_f64());
    for broken in &tally.broken {
        println!("failed: {broken}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rust(root: &Path, tally: &mut Tally, crashes: Option<&str>) {
    tally.check("formatting", || run::run(&mut cargo(root, ["fmt", "--all", "--check"])));
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    tally.check("clippy", || run::run(&mut cargo(root, clippy)));
    let doc = ["doc", "--workspace", "--no-deps", "--quiet"];
    tally.check("documentation", || run::run(cargo(root, doc).env("RUSTDOCFLAGS", "-D warnings")));
    tally.check("the WASM target", wasm::add_target);
    let bare = ["build", "--quiet", "-p", "watersmeet-crdt", "--target", wasm::TARGET];
    tally.check("the core for WASM", || run::run(&mut cargo(root, bare)));
    // Tests start the binary, so it is built first.
    tally.check("the binary", || run::run(&mut cargo(root, ["build", "-p", "watersmeet"])));
    let mut tests = cargo(root, ["test", "--workspace", "--no-fail-fast"]);
    tests.envs(crashes.map(|count| ("WATERSMEET_CRASHES", count)));
    tally.tests("Rust tests", &mut tests);
    tally.check("the HTTP API as documented", || schemathesis::run_all(root));
    tally.check("tiles from an object store", || object_store::run_all(root));
    tally.check("the traps are noticed", || traps::run(root));
}

fn browser(root: &Path, tally: &mut Tally) {
    let npm = root.join("wasm/npm");
    let demo = root.join("demo-web");
    if !tally.check("the npm package", || wasm::package(root)) {
        return;
    }
    tally.check("the npm package's types", || run::run(npm_run("typecheck").current_dir(&npm)));
    tally.tests("the npm package's tests", npm_run("test").current_dir(&npm));
    if !tally.check("the web app", || wasm::web(root)) {
        return;
    }
    tally.check("the web app's types", || run::run(npm_run("typecheck").current_dir(&demo)));
    let watersmeet = target(root).join("debug/watersmeet");
    let tiles = target(root).join("test-tiles");
    if !tally.check("the base map", || basemap::build(root, &watersmeet, &tiles)) {
        return;
    }
    let demo_data = target(root).join("demo-check").display().to_string();
    let options = ["--check", "--port", "0", "--data", &demo_data].map(str::to_owned);
    tally.check("cargo xtask demo", || demo::run(root, &options));
    let mut found = None;
    tally.check("a browser", || chromium::find_or_install(root).map(|path| found = Some(path)));
    let Some(chromium) = found else { return };
    let mut test = npm_run("test");
    test.current_dir(&demo).env("CHROMIUM", chromium).env("WATERSMEET_BIN", watersmeet);
    test.env("WATERSMEET_WEB", demo.join("dist")).env("WATERSMEET_TILES", tiles);
    tally.tests("browser tests", &mut test);
}

fn npm_run(script: &str) -> Command {
    command("npm", ["run", "--silent", script])
}

impl Tally {
    /// Something that passes or fails as one.
    fn check(&mut self, what: &str, work: impl FnOnce() -> Result<(), Error>) -> bool {
        let start = announce(what);
        let done = work();
        match &done {
            Ok(()) => self.passed += 1,
            Err(error) => self.fail(what, error, 1),
        }
        println!("   {:.0} s", start.elapsed().as_secs_f64());
        done.is_ok()
    }

    /// A test runner, whose own counts are added up.
    fn tests(&mut self, what: &str, command: &mut Command) {
        let start = announce(what);
        let (mut passed, mut failed) = (0, 0);
        let done = run::watch(command, |line| {
            let (more_passed, more_failed) = counts(line);
            passed += more_passed;
            failed += more_failed;
        });
        self.passed += passed;
        match done {
            Err(error) => self.fail(what, &error, failed.max(1)),
            Ok(()) if passed == 0 => self.fail(what, &Error::Missing("it ran no test".to_owned()), 1),
            Ok(()) => self.failed += failed,
        }
        println!("   {:.0} s", start.elapsed().as_secs_f64());
    }

    fn fail(&mut self, what: &str, error: &Error, count: u64) {
        eprintln!("{error}");
        self.failed += count;
        self.broken.push(format!("{what}: {error}"));
    }
}

fn announce(what: &str) -> Instant {
    println!("\n== {what}");
    Instant::now()
}

/// The tests passed and failed that a line of cargo's or of Node's runner tells of.
fn counts(line: &str) -> (u64, u64) {
    let number_before = |text: &str, word: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|w| w.trim_end_matches(';') == word);
        at.and_then(|at| words.get(at.checked_sub(1)?)).and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    let number_after = |prefixes: [&str; 2]| {
        prefixes
            .iter()
            .find_map(|prefix| line.strip_prefix(prefix))
            .and_then(|n| n.trim().parse().ok())
            .unwrap_or(0)
    };
    if line.starts_with("test result: ") {
        return (number_before(line, "passed"), number_before(line, "failed"));
    }
    (number_after(["# pass ", "\u{2139} pass "]), number_after(["# fail ", "\u{2139} fail "]))
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn both_runners_are_counted() {
        assert_eq!(counts("test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured"), (12, 3));
        assert_eq!(
            (counts("# pass 7"), counts("# fail 2"), counts("\u{2139} pass 4")),
            ((7, 0), (0, 2), (4, 0))
        );
        assert_eq!(counts("test a_test ... ok"), (0, 0));
    }
}
