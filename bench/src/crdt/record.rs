//! What a run measures, said line by line as it is measured: what a run said before it was stopped is not lost.

use super::mem;
use super::peer::Digest;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::time::{Duration, Instant};

/// A run looks at one thing, so that looking at another does not disturb it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Milliseconds and microseconds.
    Times,
    /// Bytes on the wire, on the disk and in memory.
    Sizes,
}

/// One line of a run's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Line {
    Figure {
        metric: String,
        unit: String,
        value: f64,
    },
    /// How many entries there were, and their hash: the same for all who are right.
    Answer(u64, u64),
}

pub struct Record {
    look: Look,
    scale: usize,
}

impl Record {
    pub fn new(look: Look, scale: usize) -> Self {
        if look == Look::Sizes {
            mem::enable();
        }
        Record { look, scale }
    }

    /// The size of a workload, at this run's scale.
    pub fn size(&self, full: usize) -> usize {
        full / self.scale
    }

    pub fn looks_at(&self, look: Look) -> bool {
        self.look == look
    }

    /// Does some work, and says how long it took.
    pub fn ms<T>(&self, metric: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.took(metric, start.elapsed());
        result
    }

    pub fn took(&self, metric: &str, time: Duration) {
        self.say(Look::Times, metric, "ms", time.as_secs_f64() * 1e3);
    }

    pub fn us(&self, metric: &str, us: f64) {
        self.say(Look::Times, metric, "us", us);
    }

    pub fn bytes(&self, metric: &str, bytes: usize) {
        self.say(Look::Sizes, metric, "B", bytes as f64);
    }

    /// The size of what was not compressed by who made it, plain and deflated.
    pub fn weigh(&self, metric: &str, bytes: &[u8]) {
        if self.look == Look::Sizes {
            self.bytes(metric, bytes.len());
            self.bytes(&format!("{metric}, deflated"), deflated(bytes));
        }
    }

    /// Bytes of memory for each of some entries.
    pub fn memory(&self, metric: &str, bytes: isize, entries: usize) {
        self.say(Look::Sizes, metric, "B/entry", bytes as f64 / entries.max(1) as f64);
    }

    pub fn answer(&self, digest: Digest) {
        say(&Line::Answer(digest.n, digest.hash));
    }

    fn say(&self, look: Look, metric: &str, unit: &str, value: f64) {
        if self.look == look {
            say(&Line::Figure { metric: metric.to_owned(), unit: unit.to_owned(), value });
        }
    }
}

fn say(line: &Line) {
    println!("{}", serde_json::to_string(line).unwrap());
}

/// How many bytes are left by deflate at level 6, which is what automerge does with its own.
pub fn deflated(bytes: &[u8]) -> usize {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().len()
}
