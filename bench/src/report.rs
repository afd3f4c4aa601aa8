//! Results for programs: `target/bench/NAME.json`.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// One figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What was done.
    pub(crate) workload: String,
    /// What was measured.
    pub(crate) metric: String,
    /// In which unit.
    pub(crate) unit: String,
    /// `lower` or `higher`.
    pub(crate) better: String,
    /// Ours, a peer with its version, or `floor`.
    pub(crate) subject: String,
    /// The median; none if it could not run.
    pub(crate) value: Option<f64>,
    /// How many runs.
    pub(crate) runs: usize,
    /// The least.
    pub(crate) min: Option<f64>,
    /// The greatest.
    pub(crate) max: Option<f64>,
    /// Why it could not run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) why: Option<String>,
}

impl Row {
    /// The median of some runs, of which the least is the best.
    pub(crate) fn of(workload: &str, metric: &str, unit: &str, subject: &str, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
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

    /// What could not be measured.
    pub(crate) fn missing(workload: &str, metric: &str, unit: &str, subject: &str, why: &str) -> Self {
        Row { why: Some(why.to_owned()), ..Row::of(workload, metric, unit, subject, Vec::new()) }
    }
}

/// All figures of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The machine.
    pub(crate) machine: String,
    /// The figures.
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// Of this machine.
    pub(crate) fn new() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let machine = format!("{}, {cores} cores", field.trim_start_matches([' ', '\t', ':']));
        Report { machine, rows: Vec::new() }
    }

    /// Writes `target/bench/NAME.json`.
    pub(crate) fn save(&self, name: &str) {
        let path = Path::new("target/bench").join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        let written = std::fs::create_dir_all("target/bench").and_then(|()| std::fs::write(&path, text));
        match written {
            Ok(()) => println!("written to {}", path.display()),
            Err(cause) => eprintln!("cannot write {}: {cause}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_the_median_and_how_far_the_runs_lie_apart() {
        let row = Row::of("w", "m", "ms", "s", vec![3.0, 9.0, 1.0]);
        assert_eq!((row.value, row.min, row.max, row.runs), (Some(3.0), Some(1.0), Some(9.0), 3));
    }

    #[test]
    fn what_could_not_run_is_null_with_a_reason() {
        let row = serde_json::to_value(Row::missing("w", "m", "ms", "s", "slow")).unwrap();
        assert!(row["value"].is_null());
        assert_eq!(row["why"], "slow");
    }
}
