//! The sync server under load, beside the peers': what is acknowledged and how fast, how far one edit spreads, what an
//! idle connection costs, how a newcomer catches up, and what is left after a crash.
//!
//! Each run starts the real server binary on an empty folder and drives it over real sockets from one thread. Every
//! edit is checked to have come where it should; whoever loses one has no figure.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "a harness: its counts are far below 2^52"
)]

mod floor;
mod idle;
mod join;
mod line;
mod native;
mod ours;
mod runner;
mod spread;
mod subject;
mod survive;
mod write;
#[cfg(feature = "yjs")]
mod yjs;

use crate::failure::Failure;
use crate::figures::Figures;
use std::time::Duration;
use subject::Subject;

pub(crate) use runner::compare;

/// A workload: its name, and how it is measured.
#[derive(Clone, Copy, Debug)]
struct Workload {
    name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Writers, with or without readers.
    Write(write::Load),
    /// The same with the native client.
    Native(native::Load),
    /// One writer, many readers.
    Spread(spread::Load),
    /// So many idle connections.
    Idle(usize),
    /// A newcomer to a document of so many entries.
    Join(usize),
    /// A crash after so many edits.
    Survive(usize),
}

impl Workload {
    /// How often it is run, if the others are run so often: what takes long and hardly varies, once.
    fn rounds(&self, rounds: usize) -> usize {
        match self.kind {
            Kind::Idle(_) => 1,
            _ => rounds,
        }
    }
}

/// All workloads, at `1 / scale` of their length.
fn workloads(scale: usize) -> Vec<Workload> {
    let write = |name, writers, readers, edits: usize, window, every| {
        let edits = (edits / scale).max(10);
        Workload { name, kind: Kind::Write(write::Load { writers, readers, edits, window, every }) }
    };
    let pace = Some(Duration::from_millis(50));
    vec![
        write("1 writer, one edit at a time", 1, false, 5_000, 1, None),
        write("1 writer, pipelined", 1, false, 100_000, 256, None),
        write("50 writers and 50 readers, pipelined", 50, true, 10_000, 256, None),
        Workload {
            name: "50 writers and 50 readers, by the native client",
            kind: Kind::Native(native::Load { writers: 50, edits: (10_000 / scale).max(10), window: 256 }),
        },
        write("500 writers, pipelined", 500, false, 1_000, 64, None),
        write("50 writers and 50 readers, 20 edits/s each", 50, true, 200, 64, pace),
        Workload {
            name: "1 writer at 20 edits/s, 500 readers",
            kind: Kind::Spread(spread::Load {
                readers: 500,
                edits: (200 / scale).max(40),
                every: Duration::from_millis(50),
            }),
        },
        Workload { name: "10,000 idle connections", kind: Kind::Idle(10_000 / scale) },
        Workload { name: "a document of 100,000 entries", kind: Kind::Join(100_000 / scale) },
        Workload { name: "SIGKILL after 1,000 safe edits", kind: Kind::Survive(1_000) },
    ]
}

/// Runs a workload once.
async fn measure(workload: &Workload, subject: &dyn Subject) -> Result<Figures, Failure> {
    match &workload.kind {
        Kind::Write(load) => write::measure(subject, load).await,
        Kind::Native(load) => native::measure(subject, load).await,
        Kind::Spread(load) => spread::measure(subject, load).await,
        Kind::Idle(connections) => idle::measure(subject, *connections).await,
        Kind::Join(entries) => join::measure(subject, *entries).await,
        Kind::Survive(edits) => survive::measure(subject, *edits).await,
    }
}

/// What the machine alone takes for a workload; nothing where that cannot be told.
async fn measure_floor(workload: &Workload) -> Result<Figures, Failure> {
    match &workload.kind {
        Kind::Write(load) if load.window == 1 => floor::sync(),
        Kind::Spread(load) => floor::spread(load).await,
        _ => Ok(Figures::default()),
    }
}
