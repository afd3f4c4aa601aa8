//! Runs in processes of their own, in turn, so that a noisy minute of the machine falls on all engines alike.

use super::record::Line;
use super::table::Table;
use super::{SUBJECTS, WORKLOADS};
use crate::report::{Report, Row};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long one process may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// An engine has a workload's times taken in so many processes...
const ROUNDS: usize = 5;
/// ...or until they have taken so long.
const ENOUGH: Duration = Duration::from_secs(3);

/// Runs every workload on every engine at `1 / scale` of its size, and holds the figures against the aims.
pub(crate) fn compare(scale: usize) {
    let start = Instant::now();
    let mut report = Report::new();
    let mut titles = Vec::new();
    for (workload, title) in WORKLOADS {
        let name = if scale == 1 { workload.to_owned() } else { format!("{workload}/{scale}") };
        eprintln!("{name} at {} s", start.elapsed().as_secs());
        report.rows.extend(measure(workload, &name, scale));
        titles.push((name, title));
    }
    Table::new(&report, &titles).print();
    println!("measured on {} in {} s", report.machine, start.elapsed().as_secs());
    report.save("crdt");
}

/// One engine's runs of one workload.
struct Runs {
    subject: &'static str,
    shown: &'static str,
    lines: Vec<Line>,
    spent: Duration,
    failed: Option<String>,
}

impl Runs {
    fn run(&mut self, workload: &str, scale: usize, look: &str) {
        let start = Instant::now();
        let (lines, ended) = run_apart(self.subject, workload, scale, look);
        self.spent += start.elapsed();
        self.lines.extend(lines);
        if let Err(why) = ended {
            eprintln!("  {}: {why}", self.shown);
            self.failed = Some(why);
        }
    }

    /// Metrics with their units, in the order in which they were first told, and all their values.
    fn figures(&self) -> Vec<(&str, &str, Vec<f64>)> {
        let mut figures: Vec<(&str, &str, Vec<f64>)> = Vec::new();
        for line in &self.lines {
            let Line::Figure { metric, unit, value } = line else { continue };
            match figures.iter_mut().find(|figure| (figure.0, figure.1) == (metric, unit)) {
                Some(figure) => figure.2.push(*value),
                None => figures.push((metric, unit, vec![*value])),
            }
        }
        figures
    }

    fn answers(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| matches!(line, Line::Answer(..)))
    }

    /// Drops the figures of who does not come to the answer.
    fn check(&mut self, answer: &Line) {
        if self.answers().any(|given| given != answer) {
            self.lines.clear();
            self.failed = Some("a wrong answer".to_owned());
        }
    }
}

fn measure(workload: &str, name: &str, scale: usize) -> Vec<Row> {
    let mut all: Vec<Runs> = SUBJECTS
        .iter()
        .map(|&(subject, shown)| Runs {
            subject,
            shown,
            lines: Vec::new(),
            spent: Duration::ZERO,
            failed: None,
        })
        .collect();
    for runs in &mut all {
        runs.run(workload, scale, "sizes");
        runs.spent = Duration::ZERO;
    }
    for _ in 0..ROUNDS {
        for runs in all.iter_mut().filter(|runs| runs.failed.is_none() && runs.spent < ENOUGH) {
            runs.run(workload, scale, "times");
        }
    }
    let floor = all.iter().find(|runs| runs.subject == "floor");
    if let Some(answer) = floor.and_then(|floor| floor.answers().next()).cloned() {
        all.iter_mut().for_each(|runs| runs.check(&answer));
    }
    rows(name, &all)
}

/// Of who failed, what the others were measured by is told as missing.
fn rows(workload: &str, all: &[Runs]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for runs in all {
        let figures = runs.figures().into_iter();
        rows.extend(
            figures.map(|(metric, unit, values)| Row::of(workload, metric, unit, runs.shown, values)),
        );
    }
    let known: Vec<(String, String)> =
        rows.iter().map(|row| (row.metric.clone(), row.unit.clone())).collect();
    for runs in all {
        let Some(why) = &runs.failed else { continue };
        for (metric, unit) in &known {
            let told =
                |row: &Row| (row.subject.as_str(), &row.metric, &row.unit) == (runs.shown, metric, unit);
            if !rows.iter().any(told) {
                rows.push(Row::missing(workload, metric, unit, runs.shown, why));
            }
        }
    }
    rows
}

/// What a process said, and how it ended.
fn run_apart(subject: &str, workload: &str, scale: usize, look: &str) -> (Vec<Line>, Result<(), String>) {
    let arguments = ["crdt", "one", subject, workload, &scale.to_string(), look];
    let child = std::env::current_exe().and_then(|program| {
        Command::new(program).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    });
    let mut child = match child {
        Ok(child) => child,
        Err(cause) => return (Vec::new(), Err(cause.to_string())),
    };
    let (said, complained) = (listen(child.stdout.take()), listen(child.stderr.take()));
    let ended = wait(&mut child);
    let said = said.join().unwrap_or_default();
    let complained = complained.join().unwrap_or_default();
    let ended = ended.map_err(|why| {
        let complaint = complained.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        format!("{why} {complaint}").trim_end().to_owned()
    });
    // A line cut off by the end of the process says nothing.
    (said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(), ended)
}

/// Reads all that comes, beside who waits.
fn listen(from: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before it failed counts.
        let _ = from.map(|mut from| from.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match child.try_wait().map_err(|cause| cause.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(status.to_string()),
            None if start.elapsed() > PATIENCE => {
                child.kill().and_then(|()| child.wait()).map_err(|cause| cause.to_string())?;
                return Err(format!("not finished in {} s", PATIENCE.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(shown: &'static str, lines: Vec<Line>, failed: Option<&str>) -> Runs {
        Runs { subject: shown, shown, lines, spent: Duration::ZERO, failed: failed.map(str::to_owned) }
    }

    fn figure(metric: &str, value: f64) -> Line {
        Line::Figure { metric: metric.to_owned(), unit: "ms".to_owned(), value }
    }

    #[test]
    fn values_of_all_processes_make_one_row() {
        let lines = vec![figure("a", 5.0), figure("b", 1.0), figure("a", 7.0), figure("a", 6.0)];
        let rows = rows("w", &[runs("x", lines, None)]);
        let told: Vec<_> = rows.iter().map(|row| (row.metric.as_str(), row.value, row.runs)).collect();
        assert_eq!(told, [("a", Some(6.0), 3), ("b", Some(1.0), 1)]);
    }

    #[test]
    fn who_is_stopped_keeps_what_it_said_and_lacks_the_rest_with_a_reason() {
        let whole = runs("x", vec![figure("a", 1.0), figure("b", 1.0)], None);
        let stopped = runs("y", vec![figure("a", 2.0)], Some("not finished"));
        let rows = rows("w", &[whole, stopped]);
        let told: Vec<_> = rows
            .iter()
            .filter(|row| row.subject == "y")
            .map(|row| (row.metric.as_str(), row.value, row.why.as_deref()))
            .collect();
        assert_eq!(told, [("a", Some(2.0), None), ("b", None, Some("not finished"))]);
    }

    #[test]
    fn a_wrong_answer_costs_all_figures() {
        let mut wrong = runs("x", vec![figure("a", 1.0), Line::Answer(3, 4)], None);
        wrong.check(&Line::Answer(3, 4));
        assert_eq!(wrong.lines.len(), 2);
        wrong.check(&Line::Answer(3, 5));
        assert!(wrong.lines.is_empty() && wrong.failed.is_some());
    }
}
