//! Seven workloads on documents, ours and the peers': counters, sets, registers, two replicas apart, single edits, a
//! thousand replicas, map features.
//!
//! A run is one workload on one engine in a process of its own (`one`); `compare` starts them in turn, and holds the
//! figures against the aims.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a harness: a wrong answer is to stop it"
)]

mod aims;
mod data;
#[allow(unsafe_code, reason = "a counting allocator over the system's, which it calls unchanged")]
mod mem;
mod peer;
mod peers;
mod record;
mod runner;
mod table;
mod workloads;

use peer::{Part, Peer};
use record::{Look, Record};
use std::time::{Duration, Instant};
use workloads::Past;

pub(crate) use data::keys;
pub(crate) use runner::compare;

#[global_allocator]
static ALLOCATOR: mem::Counting = mem::Counting;

/// Engines, as `one` and as the report call them; the versions are the manifest's.
const SUBJECTS: [(&str, &str); 7] = [
    ("watersmeet", aims::OURS),
    ("floor", aims::FLOOR),
    ("loro", "loro 1.17"),
    ("yrs-v1", "yrs 0.28 v1"),
    ("yrs-v2", "yrs 0.28 v2"),
    ("automerge", "automerge 0.12"),
    ("crdts", "crdts 7.3"),
];

/// Workloads, with what they do at full scale.
const WORKLOADS: [(&str, &str); 15] = [
    ("w1", "counter, 100k increments in one commit"),
    ("w1each", "counter, 100k increments in a commit each"),
    ("w2", "set, 100k adds and 50k removals, a commit each kind"),
    ("w2each", "set, 100k adds and 50k removals in a commit each"),
    ("w3", "map of 10k registers, 200k overwrites in one commit"),
    ("w3each", "map of 10k registers, 200k overwrites in a commit each"),
    ("w4set", "set of 50k, two replicas with 10k edits each"),
    ("w4seteach", "set of 50k, two replicas with 10k edits each in a commit each"),
    ("w4map", "map of 50k registers, two replicas with 10k edits each"),
    ("w4mapeach", "map of 50k registers, two replicas with 10k edits each in a commit each"),
    ("w5", "one edit on 100k entries, to a peer that lacks only it"),
    ("w5removals", "the same after 50k removals"),
    ("w5overwrites", "the same on 10k entries after 200k overwrites"),
    ("w6", "set of 20k, 1,000 replicas with 20 adds each"),
    ("w7", "20k map features of a name, a geometry, three tags and votes"),
];

/// A process repeats its run until so much time has passed...
const WARM: Duration = Duration::from_secs(1);
/// ...or so often.
const REPEATS: usize = 3;

/// Runs one workload on one engine, and prints what it measures; a short run is repeated.
pub(crate) fn one(subject: &str, workload: &str, scale: &str, look: &str) {
    let look = if look == "sizes" { Look::Sizes } else { Look::Times };
    let record = Record::new(look, scale.parse().unwrap_or(1));
    let start = Instant::now();
    for _ in 0..REPEATS {
        dispatch(subject, workload, &record);
        if look == Look::Sizes || start.elapsed() > WARM {
            break;
        }
    }
}

fn dispatch(subject: &str, workload: &str, record: &Record) {
    match subject {
        "watersmeet" => run::<peers::watersmeet::Watersmeet>(workload, record),
        "floor" => run::<peers::floor::Floor>(workload, record),
        #[cfg(feature = "peers")]
        "loro" => run::<peers::loro::Loro>(workload, record),
        #[cfg(feature = "peers")]
        "yrs-v1" => run::<peers::yrs::Yrs<false>>(workload, record),
        #[cfg(feature = "peers")]
        "yrs-v2" => run::<peers::yrs::Yrs<true>>(workload, record),
        #[cfg(feature = "peers")]
        "automerge" => run::<peers::automerge::Automerge>(workload, record),
        #[cfg(feature = "peers")]
        "crdts" => run::<peers::crdts::Crdts>(workload, record),
        _ => {
            eprintln!("{subject} is not built in; the peers need --features peers");
            std::process::exit(3)
        }
    }
}

fn run<P: Peer>(workload: &str, record: &Record) {
    match workload {
        "w1" => workloads::counter::<P>(record, false),
        "w1each" => workloads::counter::<P>(record, true),
        "w2" => workloads::set::<P>(record, false),
        "w2each" => workloads::set::<P>(record, true),
        "w3" => workloads::registers::<P>(record, false),
        "w3each" => workloads::registers::<P>(record, true),
        "w4set" => workloads::apart::<P>(record, Part::Set, false),
        "w4seteach" => workloads::apart::<P>(record, Part::Set, true),
        "w4map" => workloads::apart::<P>(record, Part::Map, false),
        "w4mapeach" => workloads::apart::<P>(record, Part::Map, true),
        "w5" => workloads::single_edits::<P>(record, Past::Fresh),
        "w5removals" => workloads::single_edits::<P>(record, Past::Removals),
        "w5overwrites" => workloads::single_edits::<P>(record, Past::Overwrites),
        "w6" => workloads::crowd::<P>(record),
        "w7" => workloads::features::<P>(record),
        _ => {
            eprintln!("{workload} is no workload");
            std::process::exit(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each workload checks its own results.
    #[test]
    fn every_workload_comes_out_right_on_the_floor_and_on_ours() {
        for (workload, _) in WORKLOADS {
            for subject in ["floor", "watersmeet"] {
                dispatch(subject, workload, &Record::new(Look::Sizes, 500));
            }
        }
    }
}
