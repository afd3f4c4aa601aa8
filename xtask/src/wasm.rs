//! The WASM module, the npm package around it, and the web app on top: built without any tool but cargo and npm.

use crate::run::{Error, cargo, command, output, run, target};
use std::path::{Path, PathBuf};
use wasm_bindgen_cli_support::Bindgen;

/// The browser's target.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the WASM module and the npm package `watersmeet` in `wasm/npm`.
pub(crate) fn package(root: &Path) -> Result<(), Error> {
    add_target()?;
    bind(root, &compile(root)?)?;
    let npm = root.join("wasm/npm");
    npm_install(&npm)?;
    run(command("npm", ["run", "--silent", "build"]).current_dir(&npm))
}

/// Builds the web app in `demo-web` on top of the [package]; its files are then in `demo-web/dist`.
pub(crate) fn web(root: &Path) -> Result<(), Error> {
    let demo = root.join("demo-web");
    npm_install(&demo)?;
    run(command("npm", ["run", "--silent", "build"]).current_dir(&demo))
}

/// Installs what a package's lock file names, unless that has been done.
pub(crate) fn npm_install(folder: &Path) -> Result<(), Error> {
    let (lock, done) = (folder.join("package-lock.json"), folder.join("node_modules/.package-lock.json"));
    let changed = |path: &PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
    if changed(&done) > changed(&lock) {
        return Ok(());
    }
    run(command("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder))
}

/// rustup does not add a toolchain file's targets where automatic installation is switched off.
pub(crate) fn add_target() -> Result<(), Error> {
    let sysroot = output(&mut command("rustc", ["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).exists() {
        return Ok(());
    }
    run(&mut command("rustup", ["target", "add", TARGET]))
}

/// Compiles the module; answers with its path.
fn compile(root: &Path) -> Result<PathBuf, Error> {
    run(&mut cargo(root, ["build", "-p", "watersmeet-wasm", "--target", TARGET, "--profile", "wasm"]))?;
    Ok(target(root).join(TARGET).join("wasm/watersmeet_wasm.wasm"))
}

fn bind(root: &Path, module: &Path) -> Result<(), Error> {
    let generate = || {
        Bindgen::new()
            .input_path(module)
            .web(true)?
            .typescript(true)
            .remove_name_section(true)
            .remove_producers_section(true)
            .generate(root.join("wasm/npm/wasm"))
    };
    generate().map_err(|cause| Error::Bindgen(format!("{cause:#}")))
}
