//! The figures for people: a block a workload, a line a metric, a column a subject.

use crate::report::Row;

/// Prints all rows.
pub(crate) fn print(rows: &[Row]) {
    for workload in distinct(rows.iter().map(|row| row.workload.as_str())) {
        let of_it: Vec<&Row> = rows.iter().filter(|row| row.workload == workload).collect();
        let subjects = distinct(of_it.iter().map(|row| row.subject.as_str()));
        println!("\n{workload}");
        print!("{:<40}", "");
        let width = |subject: &str| subject.len().max(20) + 2;
        subjects.iter().for_each(|subject| print!("{subject:>0$}", width(subject)));
        println!();
        for metric in distinct(of_it.iter().map(|row| row.metric.as_str())) {
            let of_metric = || of_it.iter().filter(|row| row.metric == metric);
            let unit = of_metric().next().map_or("", |row| row.unit.as_str());
            print!("{:<40}", format!("{metric} {unit}"));
            for subject in &subjects {
                let value = of_metric().find(|row| row.subject == *subject).and_then(|row| row.value);
                print!("{:>1$}", value.map_or("-".to_owned(), shown), width(subject));
            }
            println!();
        }
        for subject in &subjects {
            let why = of_it.iter().find(|row| row.subject == *subject).and_then(|row| row.why.as_deref());
            if let Some(why) = why {
                println!("{subject}: {why}");
            }
        }
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    names.for_each(|name| {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    });
    distinct
}

fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
