//! The figures for people: a table a workload, a line a metric, a column an engine, and what is met of the aims.

use super::SUBJECTS;
use super::aims::{self, Aim, Claim, Comparison};
use crate::report::{Report, Row};

pub struct Table<'a> {
    titles: &'a [(String, &'static str)],
    all: Vec<Comparison<'a>>,
    missing: Vec<&'a Row>,
}

impl<'a> Table<'a> {
    pub fn new(report: &'a Report, titles: &'a [(String, &'static str)]) -> Self {
        let missing = report.rows.iter().filter(|row| row.why.is_some()).collect();
        Table { titles, all: Comparison::all(&report.rows), missing }
    }

    pub fn print(&self) {
        self.titles.iter().for_each(|(workload, title)| self.print_workload(workload, title));
        self.print_aims();
    }

    fn print_workload(&self, workload: &str, title: &str) {
        println!("\n{workload}: {title}");
        print!("{:<46}", "");
        SUBJECTS.iter().for_each(|(_, shown)| print!("{:>15}", shown));
        println!("  {:<15}{:>8} {:<5}{:>8} {:<4}", "best", "ratio", "aim", "floor x", "aim");
        for units in [&["ms", "us"][..], &["B"], &["B/entry"]] {
            let of_these = |one: &&Comparison<'_>| one.workload == workload && units.contains(&one.unit);
            self.all.iter().filter(of_these).for_each(print_line);
        }
        for (_, subject) in SUBJECTS {
            let why = self.missing.iter().find(|row| row.workload == workload && row.subject == subject);
            if let Some(why) = why.and_then(|row| row.why.as_deref()) {
                println!("{subject}: {why}");
            }
        }
    }

    /// How many aims are met, and which are not.
    fn print_aims(&self) {
        let claims = aims::claims(&self.all);
        let ahead = self.all.iter().filter_map(Comparison::ahead);
        let near = self.all.iter().filter_map(Comparison::near_floor);
        println!(
            "\naims: ratio is best / ours for times (aim: 3, for W5 10), ours / best for sizes (aim: at most 1)"
        );
        println!("{}", tally("ahead of the best of loro, yrs and automerge", ahead));
        println!("{}", tally("within twice the floor", near));
        println!("{}", tally("single edits", claims.iter().map(|claim| claim.met)));
        for one in self.all.iter().filter(|one| one.ahead() == Some(false)) {
            let ratio = one.ratio().map_or("nothing".to_owned(), shown);
            println!("  behind: {} {} {}: {ratio}, aim {}", one.workload, one.metric, one.unit, aim(one.aim));
        }
        for one in self.all.iter().filter(|one| one.near_floor() == Some(false)) {
            let times = one.of_floor().map_or("nothing".to_owned(), shown);
            println!("  above the floor: {} {} {}: {times} times", one.workload, one.metric, one.unit);
        }
        for Claim { text, met } in &claims {
            println!("  {}: {text}", if *met { "met" } else { "missed" });
        }
    }
}

fn print_line(one: &Comparison<'_>) {
    print!("{:<46}", format!("{} {}", one.metric, one.unit));
    SUBJECTS.iter().for_each(|(_, subject)| print!("{:>15}", dash(one.figure(subject))));
    print!("  {:<15}{:>8} {:<5}", one.best().map_or("-", |best| best.0), dash(one.ratio()), met(one.ahead()));
    println!("{:>8} {}", dash(one.of_floor()), met(one.near_floor()));
}

fn tally(what: &str, met: impl Iterator<Item = bool>) -> String {
    let met: Vec<bool> = met.collect();
    format!("{what}: {} of {} met", met.iter().filter(|met| **met).count(), met.len())
}

fn aim(aim: Aim) -> String {
    match aim {
        Aim::Faster(times) => format!("{times}"),
        Aim::Smaller => "at most 1".to_owned(),
        Aim::Told => "none".to_owned(),
    }
}

fn met(met: Option<bool>) -> &'static str {
    met.map_or("", |met| if met { "yes" } else { "NO" })
}

fn dash(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), shown)
}

/// Three digits that count, and no fraction above a hundred.
fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        v if v >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_the_digits_that_count() {
        let told = [0.0, 0.00042, 0.25, 2.5, 25.0, 250.4, 4_760_000.0].map(shown);
        assert_eq!(told, ["0", "0.00042", "0.250", "2.50", "25.0", "250", "4760000"]);
    }

    #[test]
    fn aims_are_counted() {
        assert_eq!(tally("fast", [true, false, true].into_iter()), "fast: 2 of 3 met");
    }
}
