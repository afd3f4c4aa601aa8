//! What the server knows of each subject while it matters: how many connections it has, and how fast it edits.
//!
//! Its pace is a token bucket: it fills at a steady rate up to a burst, and each edit takes one out. A subject without
//! connections is kept until its bucket is full again, so that to connect anew is no way to edit faster.

use crate::access::Subject;
use crate::limits::Rate;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Subjects that are known before it is looked for those that need not be.
const SWEEP_AT: usize = 1_024;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Subjects {
    connections_max: usize,
    edits: Rate,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    subjects: HashMap<Subject, One>,
    sweep_at: usize,
}

#[derive(Debug)]
struct One {
    connections: usize,
    bucket: Bucket,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    subjects: Arc<Subjects>,
    subject: Subject,
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(one) = self.subjects.known().subjects.get_mut(&self.subject) {
            one.connections = one.connections.saturating_sub(1);
        }
    }
}

impl Subjects {
    pub(crate) fn new(connections_max: usize, edits: Rate) -> Arc<Self> {
        let known = Known { subjects: HashMap::new(), sweep_at: SWEEP_AT };
        Arc::new(Subjects { connections_max, edits, known: Mutex::new(known) })
    }

    /// Counts one more connection; none if the subject has as many as it may.
    pub(crate) fn connect(self: &Arc<Self>, subject: &Subject, now: Instant) -> Option<Counted> {
        let mut known = self.known();
        let one = known.of(subject, self.edits, now);
        if one.connections >= self.connections_max {
            return None;
        }
        one.connections += 1;
        Some(Counted { subjects: self.clone(), subject: subject.clone() })
    }

    /// Counts one more edit.
    ///
    /// # Errors
    /// With how long to wait, if there have been too many.
    pub(crate) fn edit(&self, subject: &Subject, now: Instant) -> Result<(), Duration> {
        self.known().of(subject, self.edits, now).bucket.take(self.edits, now)
    }

    /// No method leaves it half changed.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn of(&mut self, subject: &Subject, edits: Rate, now: Instant) -> &mut One {
        if self.subjects.len() >= self.sweep_at && !self.subjects.contains_key(subject) {
            self.subjects.retain(|_, one| one.connections > 0 || !one.bucket.is_full(edits, now));
            self.sweep_at = SWEEP_AT.max(2 * self.subjects.len());
        }
        self.subjects
            .entry(subject.clone())
            .or_insert_with(|| One { connections: 0, bucket: Bucket::full(edits, now) })
    }
}

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, now: Instant) -> Self {
        Bucket { tokens: f64::from(rate.burst), at: now }
    }

    /// Takes a token out; if there is none, says how long until there is.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        (self.tokens, self.at) = (self.tokens_at(rate, now), now);
        if self.tokens < 1.0 {
            let missing = (1.0 - self.tokens) / f64::from(rate.per_second.max(1));
            return Err(Duration::from_secs_f64(missing));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    fn tokens_at(&self, rate: Rate, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + since * f64::from(rate.per_second)).min(f64::from(rate.burst))
    }

    fn is_full(&self, rate: Rate, now: Instant) -> bool {
        self.tokens_at(rate, now) >= f64::from(rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(RATE, start);
        (0..3).for_each(|_| assert_eq!(bucket.take(RATE, start), Ok(())));
        let wait = bucket.take(RATE, start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(bucket.take(RATE, start + wait / 2).is_err(), "asking costs nothing and brings nothing");
        assert_eq!(bucket.take(RATE, start + wait), Ok(()));
        let later = start + Duration::from_secs(3_600);
        let taken = (0..10).filter(|_| bucket.take(RATE, later).is_ok()).count();
        assert_eq!(taken, 3, "an hour of silence saves up a burst and no more");
    }

    #[test]
    fn a_subject_has_so_many_connections_and_one_pace_over_all() {
        let subjects = Subjects::new(2, RATE);
        let [alice, bob] = ["alice", "bob"].map(Subject::new);
        let now = Instant::now();
        let first = subjects.connect(&alice, now);
        let second = subjects.connect(&alice, now);
        assert!(first.is_some() && second.is_some());
        assert!(subjects.connect(&alice, now).is_none());
        assert!(subjects.connect(&bob, now).is_some(), "another's connections are not counted");
        (0..3).for_each(|_| assert!(subjects.edit(&alice, now).is_ok()));
        drop((first, second));
        let _again = subjects.connect(&alice, now).unwrap();
        assert!(subjects.edit(&alice, now).is_err(), "to connect anew is no way to edit faster");
        assert!(subjects.edit(&bob, now).is_ok());
    }

    #[test]
    fn subjects_that_have_gone_are_forgotten() {
        let subjects = Subjects::new(2, RATE);
        let now = Instant::now();
        let stays = subjects.connect(&Subject::new("stays"), now);
        for n in 0..100_000_u32 {
            // Each comes ten minutes after the one before, edits, and goes.
            let (subject, at) = (Subject::new(&n.to_string()), now + Duration::from_secs(600) * n);
            let _counted = subjects.connect(&subject, at);
            subjects.edit(&subject, at).unwrap();
        }
        let known = subjects.known();
        assert!(known.subjects.len() <= 2 * SWEEP_AT && known.subjects.contains_key(&Subject::new("stays")));
        drop((known, stays));
    }
}
