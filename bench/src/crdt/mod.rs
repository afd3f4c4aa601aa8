//! Seven workloads on documents, ours and the peers': counters, sets, registers, two replicas apart, single edits, a
//! thousand replicas, map features.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::needless_range_loop,
    clippy::too_many_lines,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a harness: a wrong answer is to stop it"
)]

mod data;
#[allow(unsafe_code, reason = "a counting allocator over the system's, which it calls unchanged")]
mod mem;
mod peer;
mod peers;
mod workloads;

use crate::report::{Report, Row};
use peer::{Part, Peer};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use workloads::{Past, Rec};

#[global_allocator]
static ALLOCATOR: mem::Counting = mem::Counting;

/// Subjects, with the versions that the manifest asks for.
const SUBJECTS: [(&str, &str); 8] = [
    ("watersmeet", "watersmeet"),
    ("loro", "loro 1.17"),
    ("yrs", "yrs 0.28 v1"),
    ("yrs-v2", "yrs 0.28 v2"),
    ("automerge", "automerge 0.12"),
    ("crdts-state", "crdts 7.3 state"),
    ("crdts-ops", "crdts 7.3 ops"),
    ("floor", "floor"),
];

const WORKLOADS: [&str; 14] = [
    "w1",
    "w2",
    "w2each",
    "w3",
    "w3each",
    "w4map",
    "w4mapeach",
    "w4set",
    "w4seteach",
    "w5",
    "w5removals",
    "w5overwrites",
    "w6",
    "w7",
];

/// How long one subject may take for one workload, all its runs.
const PATIENCE: Duration = Duration::from_secs(150);

/// Runs every workload on every subject at `1 / scale` of its size, each in a process of its own.
pub(crate) fn compare(scale: usize) {
    let mut report = Report::new();
    for workload in WORKLOADS {
        for (subject, shown) in SUBJECTS {
            eprintln!("{workload} {shown}");
            match run_apart(subject, workload, scale) {
                Ok(rows) => {
                    report.rows.extend(rows.into_iter().map(|row| Row { subject: shown.to_owned(), ..row }))
                }
                Err(why) => report.rows.push(failed(shown, workload, why)),
            }
        }
    }
    report.print();
    report.save("crdt");
}

fn run_apart(subject: &str, workload: &str, scale: usize) -> Result<Vec<Row>, String> {
    let program = std::env::current_exe().map_err(|cause| cause.to_string())?;
    let mut child = Command::new(program)
        .args(["crdt", "one", subject, workload])
        .env("SCALE", scale.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|cause| cause.to_string())?;
    let start = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|cause| cause.to_string())? {
            Some(status) => break status,
            None if start.elapsed() > PATIENCE => {
                child.kill().and_then(|()| child.wait()).map_err(|cause| cause.to_string())?;
                return Err(format!("not finished in {} s", PATIENCE.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let mut text = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut text).map_err(|cause| cause.to_string())?;
    }
    if !status.success() {
        return Err(format!("{status}"));
    }
    text.lines().map(|line| serde_json::from_str(line).map_err(|cause| cause.to_string())).collect()
}

/// Runs one workload on one subject, five times or, if it is slow, once; prints a JSON line a figure.
pub(crate) fn one(subject: &str, workload: &str) {
    let start = Instant::now();
    let mut runs = vec![dispatch(subject, workload).0];
    if start.elapsed() < Duration::from_secs(10) {
        runs.extend((0..4).map(|_| dispatch(subject, workload).0));
    }
    mem::enable();
    let memory = dispatch(subject, workload).0.into_iter().filter(|(name, _)| name.starts_with("mem."));
    let timed = (0..runs[0].len()).map(|at| {
        let name = runs[0][at].0.clone();
        (name, runs.iter().map(|run| run[at].1).collect())
    });
    for (name, values) in timed.chain(memory.map(|(name, value)| (name, vec![value]))) {
        let row = row(subject, workload, &name, values);
        println!("{}", serde_json::to_string(&row).unwrap_or_default());
    }
}

fn row(subject: &str, workload: &str, name: &str, mut values: Vec<f64>) -> Row {
    values.sort_by(f64::total_cmp);
    let (metric, unit) = name.rsplit_once('_').unwrap_or((name, ""));
    Row {
        workload: workload.to_owned(),
        metric: metric.to_owned(),
        unit: unit.to_owned(),
        better: "lower".to_owned(),
        subject: subject.to_owned(),
        value: values.get(values.len() / 2).copied(),
        runs: values.len(),
        min: values.first().copied(),
        max: values.last().copied(),
        why: None,
    }
}

fn failed(subject: &str, workload: &str, why: String) -> Row {
    Row {
        value: None,
        min: None,
        max: None,
        runs: 0,
        why: Some(why),
        ..row(subject, workload, "", Vec::new())
    }
}

fn dispatch(subject: &str, workload: &str) -> Rec {
    match subject {
        "watersmeet" => once::<peers::watersmeet::Watersmeet>(workload),
        "floor" => once::<peers::floor::Floor>(workload),
        #[cfg(feature = "peers")]
        "loro" => once::<peers::loro::Loro>(workload),
        #[cfg(feature = "peers")]
        "yrs" => once::<peers::yrs::Yrs<false, true>>(workload),
        #[cfg(feature = "peers")]
        "yrs-v2" => once::<peers::yrs::Yrs<true, true>>(workload),
        #[cfg(feature = "peers")]
        "automerge" => once::<peers::automerge::Automerge>(workload),
        #[cfg(feature = "peers")]
        "crdts-state" => once::<peers::crdts::Crdts<false>>(workload),
        #[cfg(feature = "peers")]
        "crdts-ops" => once::<peers::crdts::Crdts<true>>(workload),
        _ => {
            eprintln!("{subject} is not built in; run with --features peers");
            std::process::exit(3)
        }
    }
}

fn once<P: Peer>(workload: &str) -> Rec {
    match workload {
        "w1" => workloads::w1::<P>(),
        "w2" => workloads::w2::<P>(false),
        "w2each" => workloads::w2::<P>(true),
        "w3" => workloads::w3::<P>(false),
        "w3each" => workloads::w3::<P>(true),
        "w4map" => workloads::w4::<P>(Part::Map, false),
        "w4mapeach" => workloads::w4::<P>(Part::Map, true),
        "w4set" => workloads::w4::<P>(Part::Set, false),
        "w4seteach" => workloads::w4::<P>(Part::Set, true),
        "w5" => workloads::w5::<P>(Past::Fresh),
        "w5removals" => workloads::w5::<P>(Past::Removals),
        "w5overwrites" => workloads::w5::<P>(Past::Overwrites),
        "w6" => workloads::w6::<P>(),
        "w7" => workloads::w7::<P>(),
        _ => {
            eprintln!("{workload} is no workload");
            std::process::exit(2)
        }
    }
}
