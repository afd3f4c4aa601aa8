//! One column of a table: what one subject found in one workload, over several rounds.

use crate::failure::Failure;
use crate::figures::{Figure, Figures};
use crate::report::Row;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Column {
    /// Ours, a peer with its version, or `floor`.
    name: String,
    found: Vec<Figure>,
    failed: Option<String>,
}

impl Column {
    /// Without figures yet.
    pub(crate) fn of(name: impl Into<String>) -> Self {
        Column { name: name.into(), found: Vec::new(), failed: None }
    }

    /// Takes what one round found.
    pub(crate) fn take(&mut self, measured: Result<Figures, Failure>) {
        match measured {
            Ok(figures) => self.found.extend(figures.0),
            Err(failure) => {
                eprintln!("  {}: {failure}", self.name);
                self.failed = Some(failure.0);
            }
        }
    }

    /// One of its figures; none if it was never asked for it.
    fn row(&self, workload: &str, figure: &Figure) -> Option<Row> {
        let of_it = |other: &&Figure| other.metric == figure.metric;
        let values: Vec<f64> = self.found.iter().filter(of_it).map(|other| other.value).collect();
        let mut row = match &self.failed {
            Some(why) if values.is_empty() => {
                Row::missing(workload, &figure.metric, figure.unit, &self.name, why)
            }
            None if values.is_empty() => return None,
            _ => Row::of(workload, &figure.metric, figure.unit, &self.name, values),
        };
        if figure.higher_is_better {
            "higher".clone_into(&mut row.better);
        }
        Some(row)
    }
}

/// The rows of a workload: each column's figures, and for a column without any why it has none.
pub(crate) fn rows(workload: &str, columns: &[Column]) -> Vec<Row> {
    let known = metrics(columns.iter().flat_map(|column| &column.found));
    let of_column = |column| known.iter().filter_map(move |figure| Column::row(column, workload, figure));
    let mut rows: Vec<Row> = columns.iter().flat_map(of_column).collect();
    if known.is_empty() {
        let failed = columns.iter().filter_map(|column| Some((&column.name, column.failed.as_ref()?)));
        rows.extend(failed.map(|(name, why)| Row::missing(workload, "all", "", name, why)));
    }
    rows
}

/// One figure for each metric, in the order in which they were first told.
fn metrics<'a>(figures: impl Iterator<Item = &'a Figure>) -> Vec<&'a Figure> {
    let mut metrics: Vec<&Figure> = Vec::new();
    for figure in figures {
        if !metrics.iter().any(|known| known.metric == figure.metric) {
            metrics.push(figure);
        }
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_failed_has_a_reason_wherever_others_have_a_figure() {
        let mut figures = Figures::default();
        figures.gain("edits", "1/s", 7.0);
        let mut columns = [Column::of("a"), Column::of("b"), Column::of("c")];
        columns[0].take(Ok(figures));
        columns[1].take(Err(Failure::new("not installed")));
        let rows = rows("w", &columns);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].value, rows[0].better.as_str()), (Some(7.0), "higher"));
        assert_eq!((rows[1].value, rows[1].why.as_deref()), (None, Some("not installed")));
    }

    #[test]
    fn a_workload_that_nobody_could_run_is_told_all_the_same() {
        let mut column = Column::of("a");
        column.take(Err(Failure::new("slow")));
        assert_eq!(rows("w", &[column])[0].why.as_deref(), Some("slow"));
    }
}
