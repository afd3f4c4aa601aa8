//! What is aimed at, and the arithmetic that tells whether it is met.
//!
//! Against the best of loro, yrs and automerge in each row: three times as fast, ten times for single edits, and no more
//! bytes; and within twice the floor. Nothing here measures.

use crate::report::Row;

pub const OURS: &str = "watersmeet";
pub const FLOOR: &str = "floor";
/// Whose best we are held against.
const RIVALS: [&str; 3] = ["loro", "yrs", "automerge"];

/// How many times as fast as the best rival.
const FASTER: f64 = 3.0;
/// The same for one edit that a peer lacks.
const FASTER_EDITS: f64 = 10.0;
/// The most that the diff of one edit may take.
const EDIT_BYTES: f64 = 50.0;
/// How many times the floor.
const OF_FLOOR: f64 = 2.0;
/// What counts as no dearer, on a noisy machine.
const NOISE: f64 = 1.5;

/// What a row is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// So many times as fast as the best rival.
    Faster(f64),
    /// At most the bytes of the smallest rival.
    Smaller,
    /// Told, not judged: a part of another row, or memory.
    Told,
}

impl Aim {
    fn of(workload: &str, metric: &str, unit: &str) -> Self {
        match unit {
            _ if metric.starts_with("of which") => Aim::Told,
            "ms" | "us" if workload.starts_with("w5") => Aim::Faster(FASTER_EDITS),
            "ms" | "us" => Aim::Faster(FASTER),
            "B" => Aim::Smaller,
            _ => Aim::Told,
        }
    }
}

/// One metric of one workload, of all engines.
#[derive(Debug)]
pub struct Comparison<'a> {
    pub workload: &'a str,
    pub metric: &'a str,
    pub unit: &'a str,
    pub aim: Aim,
    figures: Vec<(&'a str, f64)>,
}

impl<'a> Comparison<'a> {
    /// One for each metric, in the order of the rows.
    pub fn all(rows: &'a [Row]) -> Vec<Self> {
        let mut all: Vec<Comparison<'a>> = Vec::new();
        for row in rows {
            let [workload, metric, unit] = [&row.workload, &row.metric, &row.unit].map(String::as_str);
            let same =
                |one: &Comparison<'_>| [one.workload, one.metric, one.unit] == [workload, metric, unit];
            let at = all.iter().position(same).unwrap_or_else(|| {
                let aim = Aim::of(workload, metric, unit);
                all.push(Comparison { workload, metric, unit, aim, figures: Vec::new() });
                all.len() - 1
            });
            all[at].figures.extend(row.value.map(|value| (row.subject.as_str(), value)));
        }
        all
    }

    pub fn figure(&self, subject: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.0 == subject).map(|figure| figure.1)
    }

    /// The best rival, and its figure.
    pub fn best(&self) -> Option<(&'a str, f64)> {
        let rivals = self.figures.iter().filter(|figure| is_rival(figure.0));
        rivals.min_by(|a, b| a.1.total_cmp(&b.1)).copied()
    }

    /// For times how many times as fast as the best rival we are; for sizes how much of the best rival's ours are.
    pub fn ratio(&self) -> Option<f64> {
        let (ours, (_, best)) = (self.figure(OURS)?, self.best()?);
        Some(if matches!(self.unit, "ms" | "us") { best / ours } else { ours / best })
    }

    /// How many times the floor ours is.
    pub fn of_floor(&self) -> Option<f64> {
        Some(self.figure(OURS)? / self.figure(FLOOR)?)
    }

    /// Whether we are as far ahead as we aim at. Where no rival came to an end, none is ahead of us.
    pub fn ahead(&self) -> Option<bool> {
        let alone = || self.best().is_none() && self.figure(OURS).is_some();
        match self.aim {
            Aim::Faster(times) => Some(self.ratio().map_or_else(alone, |ratio| ratio >= times)),
            Aim::Smaller => Some(self.ratio().map_or_else(alone, |ratio| ratio <= 1.0)),
            Aim::Told => None,
        }
    }

    /// Whether we are within twice the floor; not judged where the floor has no figure.
    pub fn near_floor(&self) -> Option<bool> {
        if self.aim == Aim::Told || self.figure(FLOOR).is_none() {
            return None;
        }
        Some(self.of_floor().is_some_and(|times| times <= OF_FLOOR))
    }
}

fn is_rival(subject: &str) -> bool {
    RIVALS.iter().any(|rival| subject.split(' ').next() == Some(rival))
}

/// An aim that is not a row's.
#[derive(Debug, PartialEq)]
pub struct Claim {
    pub text: String,
    pub met: bool,
}

/// Single edits: few bytes, and no dearer for what the document has been through.
pub fn claims(all: &[Comparison<'_>]) -> Vec<Claim> {
    let ours = |workload: &str, metric: &str| {
        let found =
            all.iter().find(|one| one.workload.split('/').next() == Some(workload) && one.metric == metric);
        found.and_then(|found| found.figure(OURS))
    };
    let mut claims = Vec::new();
    for workload in ["w5", "w5removals", "w5overwrites"] {
        if let Some(bytes) = ours(workload, "by version: diff") {
            let text = format!("{workload}: the diff of one edit takes {bytes} bytes, at most {EDIT_BYTES}");
            claims.push(Claim { text, met: bytes <= EDIT_BYTES });
        }
    }
    let metric = "by version: edit + diff + apply";
    for workload in ["w5removals", "w5overwrites"] {
        if let (Some(fresh), Some(worn)) = (ours("w5", metric), ours(workload, metric)) {
            let times = worn / fresh;
            let text =
                format!("{workload}: one edit takes {times:.2} times as long as in w5, at most {NOISE}");
            claims.push(Claim { text, met: times <= NOISE });
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(workload: &str, metric: &str, unit: &str, figures: &[(&str, f64)]) -> Vec<Row> {
        figures
            .iter()
            .map(|(subject, value)| Row::of(workload, metric, unit, subject, vec![*value]))
            .collect()
    }

    fn check(
        workload: &str,
        unit: &str,
        figures: &[(&str, f64)],
    ) -> (Option<f64>, Option<bool>, Option<f64>, Option<bool>) {
        let rows = rows(workload, "m", unit, figures);
        let all = Comparison::all(&rows);
        assert_eq!(all.len(), 1);
        (all[0].ratio(), all[0].ahead(), all[0].of_floor(), all[0].near_floor())
    }

    #[test]
    fn three_times_as_fast_as_the_best_rival_within_twice_the_floor() {
        let met = [("watersmeet", 2.0), ("floor", 1.0), ("loro 1.17", 6.0), ("automerge 0.12", 90.0)];
        assert_eq!(check("w2", "ms", &met), (Some(3.0), Some(true), Some(2.0), Some(true)));
        let missed = [("watersmeet", 2.1), ("floor", 1.0), ("yrs 0.28 v2", 6.0), ("loro 1.17", 7.0)];
        let (ratio, ahead, of_floor, near_floor) = check("w2", "ms", &missed);
        assert!(ratio.is_some_and(|ratio| (ratio - 6.0 / 2.1).abs() < 1e-12));
        assert_eq!((ahead, of_floor, near_floor), (Some(false), Some(2.1), Some(false)));
    }

    #[test]
    fn single_edits_are_to_be_ten_times_as_fast() {
        let figures = [("watersmeet", 2.0), ("loro 1.17", 19.0)];
        assert_eq!(check("w5removals", "us", &figures).1, Some(false));
        assert_eq!(check("w6", "us", &figures).1, Some(true));
        assert_eq!(check("w5/50", "us", &[("watersmeet", 2.0), ("loro 1.17", 20.0)]).1, Some(true));
    }

    #[test]
    fn bytes_are_at_most_the_smallest_rivals() {
        let equal = [("watersmeet", 80.0), ("yrs 0.28 v1", 80.0), ("loro 1.17", 100.0)];
        assert_eq!(check("w2", "B", &equal).1, Some(true));
        let more = [("watersmeet", 81.0), ("yrs 0.28 v1", 80.0)];
        assert_eq!(check("w2", "B", &more).0, Some(81.0 / 80.0));
        assert_eq!(check("w2", "B", &more).1, Some(false));
    }

    #[test]
    fn time_and_bytes_of_one_thing_are_two_comparisons() {
        let mut both = rows("w7", "diff", "ms", &[("watersmeet", 1.0)]);
        both.extend(rows("w7", "diff", "B", &[("watersmeet", 500.0)]));
        let all = Comparison::all(&both);
        assert_eq!(all.iter().map(|one| one.figure(OURS)).collect::<Vec<_>>(), [Some(1.0), Some(500.0)]);
    }

    #[test]
    fn crdts_and_the_floor_are_no_rivals() {
        let figures = [("watersmeet", 2.0), ("floor", 1.0), ("crdts 7.3", 0.1), ("loro 1.17", 6.0)];
        let rows = rows("w2", "add", "ms", &figures);
        assert_eq!(Comparison::all(&rows)[0].best(), Some(("loro 1.17", 6.0)));
    }

    #[test]
    fn memory_and_parts_are_told_and_not_judged() {
        let figures = [("watersmeet", 9.0), ("floor", 1.0), ("loro 1.17", 1.0)];
        assert_eq!(check("w2", "B/entry", &figures), (Some(9.0), None, Some(9.0), None));
        assert_eq!(Aim::of("w5", "of which edit", "us"), Aim::Told);
    }

    #[test]
    fn who_alone_comes_to_an_end_is_ahead_and_who_does_not_is_not() {
        let missing = Row::missing("w6", "m", "ms", "yrs 0.28 v1", "slow");
        let mut alone = rows("w6", "m", "ms", &[("watersmeet", 1.0)]);
        alone.push(missing.clone());
        assert_eq!(Comparison::all(&alone)[0].ahead(), Some(true));
        assert_eq!(Comparison::all(&[missing])[0].ahead(), Some(false));
        assert_eq!(
            check("w6", "ms", &[("floor", 1.0), ("loro 1.17", 6.0)]),
            (None, Some(false), None, Some(false))
        );
    }

    #[test]
    fn one_edit_is_small_and_no_dearer_for_the_past() {
        let metric = "by version: edit + diff + apply";
        let mut measured = rows("w5", metric, "us", &[("watersmeet", 2.0)]);
        measured.extend(rows("w5removals", metric, "us", &[("watersmeet", 2.9)]));
        measured.extend(rows("w5overwrites", metric, "us", &[("watersmeet", 3.2)]));
        measured.extend(rows("w5", "by version: diff", "B", &[("watersmeet", 51.0)]));
        let claims = claims(&Comparison::all(&measured));
        assert_eq!(claims.iter().map(|claim| claim.met).collect::<Vec<_>>(), [false, true, false]);
        assert!(claims[2].text.contains("1.60 times"));
    }
}
