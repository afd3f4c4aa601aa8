//! Measurements, side by side with what there is besides. `cargo xtask bench crdt [--quick]` is the way in.
//!
//! Every figure is a ratio within one run: machines are noisy, so peers run in the same call, on the same data, each in
//! a process of its own, and each is checked to give the right answer.

mod codec;
mod column;
mod crdt;
mod failure;
mod figures;
mod options;
mod process;
mod report;
mod rng;
mod sync;
mod table;
mod tiles;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: watersmeet-bench crdt [--quick]
       watersmeet-bench sync|tiles [--quick] [--rounds N] [--peer NAME]... [--only TEXT]
       watersmeet-bench codec";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["crdt"] => crdt::compare(1),
        ["crdt", "--quick"] => crdt::compare(50),
        ["crdt", "one", subject, workload, scale, look] => crdt::one(subject, workload, scale, look),
        ["sync", ref arguments @ ..] if sync::compare(arguments) => {}
        ["tiles", "constant", port, bytes] if tiles::constant(port, bytes) => {}
        ["tiles", ref arguments @ ..] if tiles::compare(arguments) => {}
        ["codec"] => codec::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Our program: `WATERSMEET_BIN`, or what was built into the folder that this program is in.
fn binary() -> PathBuf {
    let beside_us = || {
        let here = std::env::current_exe().unwrap_or_default();
        here.with_file_name(format!("watersmeet{}", std::env::consts::EXE_SUFFIX))
    };
    std::env::var_os("WATERSMEET_BIN").map_or_else(beside_us, PathBuf::from)
}
