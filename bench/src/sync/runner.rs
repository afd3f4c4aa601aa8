//! Runs in turn, so that a noisy minute of the machine falls on all servers alike.

use super::ours::Watersmeet;
use super::subject::Subject;
use super::{Workload, measure, measure_floor, workloads};
use crate::column::{self, Column};
use crate::options::Options;
use crate::report::{Report, Row};
use crate::table;
#[cfg(feature = "yjs")]
use std::path::Path;
use std::time::Instant;

/// The machine alone, in reports.
const FLOOR: &str = "floor";
/// How often each workload is run on each server.
const ROUNDS: usize = 3;
/// Where the peers' packages are installed.
#[cfg(feature = "yjs")]
const PEERS: &str = "target/bench/peers";
/// Files that the generator may have open, sockets included.
const FILES: u64 = 20_000;

/// Measures what `arguments` ask for; false if they cannot be understood.
pub(crate) fn compare(arguments: &[&str]) -> bool {
    let Some(options) = Options::parse(arguments) else { return false };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return true;
        }
    };
    raise_limit();
    runtime.block_on(run(&options));
    true
}

/// A connection is a file here.
fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = FILES.min(maximum.unwrap_or(FILES));
    if current.is_some_and(|current| current < wanted) {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        if let Err(error) = raised {
            eprintln!("the limit of open files could not be raised from {current:?} to {wanted}: {error}");
        }
    }
}

async fn run(options: &Options) {
    let start = Instant::now();
    let subjects = subjects(options);
    let (scale, rounds) = if options.quick { (10, 1) } else { (1, ROUNDS) };
    let rounds = options.rounds.unwrap_or(rounds);
    let mut report = Report::new();
    for workload in workloads(scale) {
        if !options.asks_for(workload.name) {
            continue;
        }
        eprintln!("{} at {} s", workload.name, start.elapsed().as_secs());
        report.rows.extend(rows(&workload, &subjects, rounds).await);
    }
    table::print(&report.rows);
    println!("measured on {} in {} s", report.machine, start.elapsed().as_secs());
    report.save("sync");
}

/// Ours, and the peers that are wanted.
fn subjects(options: &Options) -> Vec<Box<dyn Subject>> {
    let binary = crate::binary();
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(Watersmeet { binary })];
    subjects.extend(peers().into_iter().filter(|peer| options.wants(peer.name())));
    subjects
}

#[cfg(feature = "yjs")]
fn peers() -> Vec<Box<dyn Subject>> {
    use super::yjs::{Kind, Yjs};
    let folder = Path::new(PEERS).canonicalize().unwrap_or_else(|_| PEERS.into());
    let yjs = |kind| Box::new(Yjs::new(kind, &folder)) as Box<dyn Subject>;
    vec![yjs(Kind::YWebsocket), yjs(Kind::Hocuspocus)]
}

#[cfg(not(feature = "yjs"))]
fn peers() -> Vec<Box<dyn Subject>> {
    eprintln!("built without the feature yjs, so without peers");
    Vec::new()
}

/// One workload on all servers.
async fn rows(workload: &Workload, subjects: &[Box<dyn Subject>], rounds: usize) -> Vec<Row> {
    let mut columns = vec![Column::of(FLOOR)];
    columns.extend(subjects.iter().map(|subject| Column::of(subject.name())));
    for _ in 0..workload.rounds(rounds) {
        columns[0].take(measure_floor(workload).await);
        for (column, subject) in columns[1..].iter_mut().zip(subjects) {
            column.take(measure(workload, subject.as_ref()).await);
        }
    }
    column::rows(workload.name, &columns)
}
