//! Results: a table for people, and `target/bench/NAME.json` for programs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
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

    /// A table a workload: a line a metric, a column a subject.
    pub(crate) fn print(&self) {
        let mut workloads: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !workloads.contains(&row.workload.as_str()) {
                workloads.push(&row.workload);
            }
        }
        workloads.into_iter().for_each(|workload| self.print_workload(workload));
    }

    fn print_workload(&self, workload: &str) {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.workload == workload).collect();
        let subjects: BTreeSet<&str> = rows.iter().map(|row| row.subject.as_str()).collect();
        let mut metrics: Vec<(&str, &str)> = Vec::new();
        for row in &rows {
            let metric = (row.metric.as_str(), row.unit.as_str());
            if !metric.0.is_empty() && !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        println!("\n{workload}");
        print!("{:<40}", "");
        subjects.iter().for_each(|subject| print!("{subject:>18}"));
        println!();
        for (metric, unit) in metrics {
            print!("{:<40}", format!("{metric} {unit}"));
            for subject in &subjects {
                let row = rows.iter().find(|row| row.metric == metric && row.subject == *subject);
                print!("{:>18}", row.and_then(|row| row.value).map_or("-".to_owned(), shown));
            }
            println!();
        }
        for row in rows.iter().filter(|row| row.why.is_some()) {
            println!("{}: {}", row.subject, row.why.as_deref().unwrap_or_default());
        }
    }
}

fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
