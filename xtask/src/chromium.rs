//! A browser for the tests: the one that is there, or one that is installed.

use crate::run::{Error, command, output, run};
use std::path::{Path, PathBuf};

const PLACES: [&str; 5] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/usr/bin/google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// The path of a Chromium. `CHROMIUM` names one; else the usual places are looked at; else one is installed.
pub(crate) fn find_or_install(root: &Path) -> Result<PathBuf, Error> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Ok(named.into());
    }
    if let Some(found) = installed(root) {
        return Ok(found);
    }
    println!("No Chromium found; installing one");
    if Path::new("/etc/debian_version").exists() && is_root() {
        apt_install("chromium")?;
    } else {
        let install = ["playwright-core", "install", "chromium"];
        run(command("npx", install).current_dir(root.join("demo-web")))?;
        println!(
            "Should it not start, its system libraries are missing: sudo npx playwright-core install-deps chromium"
        );
    }
    installed(root).ok_or_else(|| {
        Error::Missing(
            "no Chromium: install one (`apt-get install chromium`) or name one in CHROMIUM".to_owned(),
        )
    })
}

/// Installs a package of Debian's.
pub(crate) fn apt_install(package: &str) -> Result<(), Error> {
    run(command("apt-get", ["update", "-q"]).env("DEBIAN_FRONTEND", "noninteractive"))?;
    let install = ["install", "-y", "-q", "--no-install-recommends", package];
    run(command("apt-get", install).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn installed(root: &Path) -> Option<PathBuf> {
    let usual = PLACES.iter().map(PathBuf::from).find(|path| path.exists());
    usual.or_else(|| {
        let ask = "console.log((await import('playwright-core')).chromium.executablePath())";
        let demo = root.join("demo-web");
        if !demo.join("node_modules/playwright-core").exists() {
            return None;
        }
        let path = output(command("node", ["--input-type=module", "-e", ask]).current_dir(demo)).ok()?;
        Some(PathBuf::from(path.trim())).filter(|path| path.exists())
    })
}

fn is_root() -> bool {
    output(&mut command("id", ["-u"])).is_ok_and(|id| id.trim() == "0")
}
