//! What is aimed at, and the arithmetic that tells whether it is met. Nothing here measures.

use super::OURS;
use crate::report::Row;
use std::fmt;

/// What ours is held to in all workloads of a kind.
struct Aim {
    /// How the workload's name begins.
    workload: &'static str,
    metric: &'static str,
    held: Held,
}

#[derive(Clone, Copy)]
enum Held {
    /// So many times as good as who is called so.
    Times(f64, &'static str),
    /// At most so much.
    AtMost(f64),
}

const AIMS: [Aim; 7] = [
    Aim { workload: "build", metric: "wall", held: Held::Times(5.0, "tippecanoe") },
    Aim { workload: "build", metric: "archive", held: Held::Times(1.0, "tippecanoe") },
    Aim { workload: "render", metric: "mean", held: Held::Times(30.0, "geojson-vt") },
    Aim { workload: "render", metric: "mean", held: Held::Times(10.0, "postgis") },
    Aim { workload: "serve", metric: "requests", held: Held::Times(2.0, "martin") },
    Aim { workload: "serve", metric: "requests", held: Held::Times(0.85, "floor") },
    Aim { workload: "start", metric: "first tile", held: Held::AtMost(50.0) },
];

/// One aim in one workload.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict<'a> {
    workload: &'a str,
    metric: &'a str,
    unit: &'a str,
    ours: Option<f64>,
    /// Who it is held against and what that has; none where the aim is a figure of its own.
    other: Option<(&'a str, Option<f64>)>,
    aim: f64,
}

impl Verdict<'_> {
    /// How many times better ours is.
    fn times(&self, higher_is_better: bool) -> Option<f64> {
        let (ours, theirs) = (self.ours?, self.other?.1?);
        Some(if higher_is_better { ours / theirs } else { theirs / ours })
    }

    /// Whether the aim is met; none where ours or the other has no figure.
    fn met(&self) -> Option<bool> {
        match self.other {
            Some(_) => Some(self.times(self.higher_is_better())? >= self.aim),
            None => Some(self.ours? <= self.aim),
        }
    }

    fn higher_is_better(&self) -> bool {
        self.unit == "1/s"
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let met = match self.met() {
            Some(true) => "met",
            Some(false) => "BEHIND",
            None => "not measured",
        };
        let Self { workload, metric, unit, aim, .. } = self;
        write!(f, "{workload:<46}{:<18}{:>12}", format!("{metric} {unit}"), shown(self.ours))?;
        match self.other {
            Some((name, theirs)) => {
                let times = shown(self.times(self.higher_is_better()));
                write!(f, "{:>12} {name:<34}{times:>9} times, aim {aim:>5}: {met}", shown(theirs))
            }
            None => write!(f, "{:>12} {:<34}{:>9}        aim {aim:>5}: {met}", "", "", ""),
        }
    }
}

/// All aims of the workloads that were run, for each whom they are held against.
pub(super) fn verdicts(rows: &[Row]) -> Vec<Verdict<'_>> {
    let mut verdicts = Vec::new();
    for row in rows.iter().filter(|row| row.subject == OURS) {
        let of_row = |aim: &&Aim| row.workload.starts_with(aim.workload) && row.metric == aim.metric;
        for aim in AIMS.iter().filter(of_row) {
            let verdict = |other, aim| Verdict {
                workload: &row.workload,
                metric: &row.metric,
                unit: &row.unit,
                ours: row.value,
                other,
                aim,
            };
            match aim.held {
                Held::AtMost(most) => verdicts.push(verdict(None, most)),
                Held::Times(times, name) => {
                    let others = rows.iter().filter(|other| {
                        (&other.workload, &other.metric) == (&row.workload, &row.metric)
                            && other.subject.starts_with(name)
                    });
                    verdicts.extend(
                        others.map(|other| verdict(Some((other.subject.as_str(), other.value)), times)),
                    );
                }
            }
        }
    }
    verdicts
}

/// Prints every aim and whether it is met.
pub(super) fn print(rows: &[Row]) {
    let verdicts = verdicts(rows);
    if verdicts.is_empty() {
        return;
    }
    println!("\naims");
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    let count = |met| verdicts.iter().filter(|verdict| verdict.met() == met).count();
    println!("{} met, {} behind, {} without figures", count(Some(true)), count(Some(false)), count(None));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(workload: &str, metric: &str, unit: &str, subject: &str, value: f64) -> Row {
        Row::of(workload, metric, unit, subject, vec![value])
    }

    #[test]
    fn less_time_and_more_requests_are_better() {
        let rows = [
            row("build land", "wall", "s", OURS, 2.0),
            row("build land", "wall", "s", "tippecanoe 2", 9.0),
            row("serve land", "requests", "1/s", OURS, 90.0),
            row("serve land", "requests", "1/s", "floor (constant body)", 100.0),
        ];
        let verdicts = verdicts(&rows);
        assert_eq!(verdicts.iter().map(Verdict::met).collect::<Vec<_>>(), [Some(false), Some(true)]);
        assert_eq!(verdicts[0].times(false), Some(4.5));
    }

    #[test]
    fn what_a_peer_has_no_figure_for_is_neither_met_nor_missed() {
        let rows = [
            row("render land", "mean", "us", OURS, 2.0),
            Row::missing("render land", "mean", "us", "postgis 3", "not installed"),
        ];
        assert_eq!(verdicts(&rows).iter().map(Verdict::met).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn a_start_is_held_to_a_figure() {
        let rows = [row("start with 1 GB", "first tile", "ms", OURS, 51.0)];
        assert_eq!(verdicts(&rows)[0].met(), Some(false));
    }
}
