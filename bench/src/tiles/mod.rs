//! The tile engine beside what there is besides: building archives, rendering tiles on demand, serving them, starting.
//!
//! One idea: every figure of a peer is made in the same run, on the same data and the same tiles, and is only told when
//! the peer's answer is right. Whoever cannot run is named, with the reason. Not here: whether the maps are good.

#![allow(clippy::cast_precision_loss, reason = "a harness: its counts are far below 2^52")]

mod aims;
mod build;
mod child;
mod compression;
mod data;
mod dynamic;
mod encoding;
mod geojson_vt;
mod http;
mod on_demand;
mod pick;
mod postgis;
mod served;
mod server;
mod serving;
mod start;

use crate::column::{self, Column};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::options::Options;
use crate::report::Report;
use crate::table;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The name of ours in reports.
const OURS: &str = "watersmeet";

/// Measures what `arguments` ask for; false if they cannot be understood.
pub(crate) fn compare(arguments: &[&str]) -> bool {
    let Some(options) = Options::parse(arguments) else { return false };
    let mut bench = Bench::new(options);
    // Children inherit how much memory their parent has used at most, so those whose memory is told come first.
    build::compare(&mut bench);
    on_demand::compare(&mut bench);
    encoding::compare(&mut bench);
    compression::compare(&mut bench);
    served::compare(&mut bench);
    start::compare(&mut bench);
    let rows = bench.report.rows.iter().filter(|row| !row.metric.starts_with(build::TILES_AT));
    table::print(&rows.cloned().collect::<Vec<_>>());
    aims::print(&bench.report.rows);
    println!("measured on {} in {} s", bench.report.machine, bench.start.elapsed().as_secs());
    bench.report.save("tiles");
    true
}

/// Serves bytes that do not change, as a process of its own: the floor of serving. False if it cannot be understood.
pub(crate) fn constant(port: &str, bytes: &str) -> bool {
    let (Ok(port), Ok(bytes)) = (port.parse(), bytes.parse()) else { return false };
    if let Err(failure) = server::constant(port, bytes) {
        eprintln!("{failure}");
    }
    true
}

/// A run: what it is asked for, where its files are, and what it has found.
struct Bench {
    options: Options,
    /// Where data and peers are installed, and archives written.
    folder: PathBuf,
    report: Report,
    start: Instant,
}

/// One subject of a workload: its name, and how it is measured once.
struct Subject<'a> {
    name: String,
    run: Box<dyn FnMut() -> Result<Figures, Failure> + 'a>,
}

impl<'a> Subject<'a> {
    fn new(name: impl Into<String>, run: impl FnMut() -> Result<Figures, Failure> + 'a) -> Self {
        Subject { name: name.into(), run: Box::new(run) }
    }
}

impl Bench {
    fn new(options: Options) -> Self {
        let folder = Path::new("target/bench/tiles");
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        Bench { options, folder, report: Report::new(), start: Instant::now() }
    }

    /// How often to run what usually runs `rounds` times.
    fn rounds(&self, rounds: usize) -> usize {
        self.options.rounds.unwrap_or(if self.options.quick { 1 } else { rounds })
    }

    /// Runs a workload on ours and on the peers that are wanted, in turn, so that a noisy minute of the machine falls
    /// on all alike; `rounds` times, unless told otherwise.
    fn measure(&mut self, workload: &str, rounds: usize, subjects: Vec<Subject<'_>>) {
        if !self.options.asks_for(workload) {
            return;
        }
        eprintln!("{workload} at {} s", self.start.elapsed().as_secs());
        let wanted =
            |name: &str| name.starts_with(OURS) || name.starts_with("floor") || self.options.wants(name);
        let mut subjects: Vec<Subject<'_>> =
            subjects.into_iter().filter(|subject| wanted(&subject.name)).collect();
        let mut columns: Vec<Column> = subjects.iter().map(|subject| Column::of(&subject.name)).collect();
        for _ in 0..self.rounds(rounds) {
            for (column, subject) in columns.iter_mut().zip(&mut subjects) {
                column.take((subject.run)());
            }
        }
        self.report.rows.extend(column::rows(workload, &columns));
    }
}
