//! `cargo xtask object-store`: asks a real server for tiles that lie in an object store, which moto plays: an imitation of S3 in
//! Python, installed into a folder of its own under `target/`.

use crate::run::{Error, cargo, run, target};
use crate::schemathesis;
use std::path::Path;

/// The version that the tests were written against.
const MOTO: &str = "moto[server]==5.2.5";

pub(crate) fn run_all(root: &Path) -> Result<(), Error> {
    let moto = schemathesis::installed(&target(root).join("moto"), "moto_server", MOTO)?;
    // Tests start the binary, so it is built first.
    run(&mut cargo(root, ["build", "--quiet", "-p", "watersmeet"]))?;
    let mut tests = cargo(root, ["test", "--quiet", "-p", "watersmeet-tests", "--test", "object_store"]);
    run(tests.args(["--", "--ignored"]).env("WATERSMEET_MOTO", moto))
}
