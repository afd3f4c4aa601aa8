//! Worlds: each is one number's doing, many are played at once, and one that fails says how to repeat it.

use super::Rng;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use watersmeet_crdt::Time;

/// From so many worlds on, everything that can happen must have happened.
const ENOUGH: u64 = 1_000;

/// How often things happened that a simulation is there for.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    pub(crate) fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    fn add(&mut self, other: Seen) {
        for (what, times) in other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }
}

/// Plays `WORLDS` worlds (or so many as given) from seed `SEED` (or 1), on every core; `SEED` alone plays one. All that
/// `must` happen has to have happened in one of them. `test` is what cargo is told to repeat a world.
pub(crate) fn play_all(test: &str, worlds: u64, must: &[&str], play: impl Fn(u64) -> Seen + Sync) {
    let env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = env("SEED").unwrap_or(1);
    let worlds = env("WORLDS").unwrap_or(if env("SEED").is_some() { 1 } else { worlds });
    let (next, seen, failed) = (AtomicU64::new(first), Mutex::new(Seen::default()), Mutex::new(None));
    let work = || {
        while failed.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Relaxed);
            if seed - first >= worlds {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| play(seed))) {
                Ok(more) => seen.lock().unwrap().add(more),
                Err(_) => *failed.lock().unwrap() = Some(seed),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    if let Some(seed) = failed.into_inner().unwrap() {
        panic!("world {seed} failed; to repeat it: SEED={seed} cargo test -p watersmeet-crdt --test {test}");
    }
    let seen = seen.into_inner().unwrap();
    println!("{worlds} worlds from seed {first}: {:#?}", seen.0);
    let missed: Vec<_> = must.iter().filter(|what| !seen.0.contains_key(**what)).collect();
    assert!(worlds < ENOUGH || missed.is_empty(), "never in {worlds} worlds: {missed:?}");
}

/// A wall clock that is minutes from the right time, and may jump.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    ahead_millis: i64,
}

impl Clock {
    const MINUTE: i64 = 60_000;

    /// Up to ten minutes off.
    pub(crate) fn any(rng: &mut Rng) -> Self {
        let seconds = i64::try_from(rng.below(1_200)).unwrap() - 600;
        Clock { ahead_millis: seconds * 1_000 }
    }

    /// What it shows when it is `right`.
    pub(crate) fn at(&self, right: Time) -> Time {
        Time::from_millis(right.millis().saturating_add_signed(self.ahead_millis))
    }

    /// To some hours before or after, to 1970, or to the year after next.
    pub(crate) fn jump(&mut self, rng: &mut Rng) {
        let hours = i64::try_from(rng.below(6)).unwrap() - 3;
        self.ahead_millis = match rng.below(6) {
            0 => i64::MIN,
            1 => Self::MINUTE * 60 * 24 * 700,
            _ => self.ahead_millis.saturating_add(Self::MINUTE * 60 * hours),
        };
    }

    /// To so many hours ahead.
    pub(crate) fn run_ahead(&mut self, hours: i64) {
        self.ahead_millis = Self::MINUTE * 60 * hours;
    }

    pub(crate) fn set_right(&mut self) {
        self.ahead_millis = 0;
    }
}
