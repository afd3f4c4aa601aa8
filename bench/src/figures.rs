//! What a run of a workload found, by name.

use std::time::Duration;

/// Figures of one run, in the order in which they are told.
#[derive(Debug, Default)]
pub(crate) struct Figures(pub(super) Vec<Figure>);

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) metric: String,
    pub(crate) unit: &'static str,
    pub(crate) higher_is_better: bool,
    pub(crate) value: f64,
}

impl Figures {
    /// A cost.
    pub(crate) fn cost(&mut self, metric: &str, unit: &'static str, value: f64) {
        self.0.push(Figure { metric: metric.to_owned(), unit, higher_is_better: false, value });
    }

    /// A gain.
    pub(crate) fn gain(&mut self, metric: &str, unit: &'static str, value: f64) {
        self.0.push(Figure { metric: metric.to_owned(), unit, higher_is_better: true, value });
    }

    /// The middle and the slow end of some waits, in milliseconds.
    pub(crate) fn waits(&mut self, metric: &str, mut waits: Vec<Duration>) {
        waits.sort();
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            self.cost(&format!("{metric} {name}"), "ms", millis(at(&waits, share)));
        }
    }
}

fn at(sorted: &[Duration], share: f64) -> Duration {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a slice")]
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
