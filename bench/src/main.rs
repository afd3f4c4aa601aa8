//! Measurements, side by side with what there is besides. `cargo xtask bench crdt [--quick]` is the way in.
//!
//! Every figure is a ratio within one run: machines are noisy, so peers run in the same call, on the same data, each in
//! a process of its own, and each is checked to give the right answer.

mod codec;
mod crdt;
mod report;
mod sync;

use std::process::ExitCode;

const USAGE: &str = "usage: watersmeet-bench crdt [--quick] | sync [--quick] [--rounds N] [--peer NAME]... [--only TEXT] | codec";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["crdt"] => crdt::compare(1),
        ["crdt", "--quick"] => crdt::compare(50),
        ["crdt", "one", subject, workload, scale, look] => crdt::one(subject, workload, scale, look),
        ["sync", ref arguments @ ..] if sync::compare(arguments) => {}
        ["codec"] => codec::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
