//! Runs in turn, so that a noisy minute of the machine falls on all servers alike.

use super::figures::Figure;
use super::ours::Watersmeet;
use super::subject::Subject;
use super::{Workload, measure, measure_floor, table, workloads};
use crate::report::{Report, Row};
#[cfg(feature = "yjs")]
use std::path::Path;
use std::path::PathBuf;
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

/// What is to be compared.
#[derive(Debug, Default)]
struct Options {
    quick: bool,
    /// How often each workload is run, if not as usual.
    rounds: Option<usize>,
    /// The peers that are wanted; all if none is named.
    peers: Vec<String>,
    /// Only workloads whose name has this in it.
    only: Option<String>,
}

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

impl Options {
    fn parse(arguments: &[&str]) -> Option<Self> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--quick" => options.quick = true,
                "--rounds" => options.rounds = Some(arguments.next()?.parse().ok()?),
                "--only" => options.only = Some((*arguments.next()?).to_owned()),
                "--peer" => options.peers.push((*arguments.next()?).to_owned()),
                _ => return None,
            }
        }
        Some(options)
    }
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
        if options.only.as_ref().is_some_and(|only| !workload.name.contains(only.as_str())) {
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
    let binary = std::env::var_os("WATERSMEET_BIN").map_or_else(beside_us, PathBuf::from);
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(Watersmeet { binary })];
    subjects.extend(peers().into_iter().filter(|peer| {
        options.peers.is_empty()
            || options.peers.iter().any(|wanted| peer.name().starts_with(wanted.as_str()))
    }));
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

/// The server is built into the folder that this program is in.
fn beside_us() -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    here.with_file_name(format!("watersmeet{}", std::env::consts::EXE_SUFFIX))
}

/// What one column of the table found.
struct Column<'a> {
    /// A server, or the machine alone.
    subject: Option<&'a dyn Subject>,
    found: Vec<Figure>,
    failed: Option<String>,
}

impl<'a> Column<'a> {
    fn of(subject: Option<&'a dyn Subject>) -> Self {
        Column { subject, found: Vec::new(), failed: None }
    }

    fn name(&self) -> &str {
        self.subject.map_or(FLOOR, |subject| subject.name())
    }

    async fn run(&mut self, workload: &Workload) {
        let measured = match self.subject {
            Some(subject) => measure(workload, subject).await,
            None => measure_floor(workload).await,
        };
        match measured {
            Ok(figures) => self.found.extend(figures.0),
            Err(failure) => {
                eprintln!("  {}: {failure}", self.name());
                self.failed = Some(failure.0);
            }
        }
    }

    /// One of its figures; none if it was never asked for it.
    fn row(&self, workload: &Workload, figure: &Figure) -> Option<Row> {
        let values: Vec<f64> = self
            .found
            .iter()
            .filter(|other| other.metric == figure.metric)
            .map(|other| other.value)
            .collect();
        let mut row = match &self.failed {
            Some(why) if values.is_empty() => {
                Row::missing(workload.name, &figure.metric, figure.unit, self.name(), why)
            }
            None if values.is_empty() => return None,
            _ => Row::of(workload.name, &figure.metric, figure.unit, self.name(), values),
        };
        if figure.higher_is_better {
            "higher".clone_into(&mut row.better);
        }
        Some(row)
    }
}

/// One workload on all servers.
async fn rows(workload: &Workload, subjects: &[Box<dyn Subject>], rounds: usize) -> Vec<Row> {
    let mut columns = vec![Column::of(None)];
    columns.extend(subjects.iter().map(|subject| Column::of(Some(subject.as_ref()))));
    for _ in 0..workload.rounds(rounds) {
        for column in &mut columns {
            column.run(workload).await;
        }
    }
    let known = metrics(columns.iter().flat_map(|column| &column.found));
    let of_column = |column| known.iter().filter_map(move |figure| Column::row(column, workload, figure));
    let mut rows: Vec<Row> = columns.iter().flat_map(of_column).collect();
    if known.is_empty() {
        let failed = columns.iter().filter_map(|column| Some((column.name(), column.failed.as_ref()?)));
        rows.extend(failed.map(|(name, why)| Row::missing(workload.name, "all", "", name, why)));
    }
    rows
}

/// One figure for each metric, in the order in which they were first told.
fn metrics<'a>(figures: impl Iterator<Item = &'a Figure>) -> Vec<&'a Figure> {
    let mut metrics: Vec<&Figure> = Vec::new();
    for figure in figures {
        if !metrics.iter().any(|known| known.metric == figure.metric) {
            metrics.push(figure);
        }
    }
    metrics
}
