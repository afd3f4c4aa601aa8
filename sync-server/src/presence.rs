//! How often one connection shows itself to the others: at most so many times a second in each document. What it says in
//! between replaces what waits, and the latest is always shown in the end.
//!
//! It is held back where it comes in, so that whoever moves a cursor fast costs those who watch no more than others do.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    channels: BTreeMap<u32, Shown>,
}

#[derive(Debug)]
struct Shown {
    /// When the next may be shown.
    next: Instant,
    waiting: Option<Bytes>,
}

impl Pace {
    pub(crate) fn new(per_second: u32) -> Self {
        Pace { interval: Duration::from_secs(1) / per_second.max(1), channels: BTreeMap::new() }
    }

    /// What to show now, if anything; else it waits.
    pub(crate) fn show(&mut self, channel: u32, state: Bytes, now: Instant) -> Option<Bytes> {
        match self.channels.get_mut(&channel) {
            Some(shown) if now < shown.next => {
                shown.waiting = Some(state);
                None
            }
            _ => {
                self.channels.insert(channel, Shown { next: now + self.interval, waiting: None });
                Some(state)
            }
        }
    }

    /// When something that waits is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.channels.values().filter(|shown| shown.waiting.is_some()).map(|shown| shown.next).min()
    }

    /// What has waited long enough, by channel.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<(u32, Bytes)> {
        let mut due = Vec::new();
        for (channel, shown) in self.channels.iter_mut().filter(|(_, shown)| shown.next <= now) {
            if let Some(state) = shown.waiting.take() {
                shown.next = now + self.interval;
                due.push((*channel, state));
            }
        }
        due
    }

    /// A channel has been closed.
    pub(crate) fn forget(&mut self, channel: u32) {
        self.channels.remove(&channel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_shown_at_its_pace_and_the_latest_in_the_end() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let state = |n: u64| Bytes::from(n.to_string());
        let mut pace = Pace::new(10);
        let mut shown = Vec::new();
        for millis in 0..1_000 {
            shown.extend(pace.take_due(at(millis)).into_iter().map(|(_, state)| state));
            shown.extend(pace.show(1, state(millis), at(millis)));
        }
        assert!(shown.len() <= 11, "{} in a second", shown.len());
        assert_eq!(shown[0], state(0), "the first is shown at once");
        let due = pace.due().expect("the latest waits");
        assert_eq!(pace.take_due(due), [(1, state(999))]);
        assert_eq!((pace.due(), pace.take_due(at(60_000)).len()), (None, 0));
        // Documents do not hold each other up.
        assert!(pace.show(1, state(1), at(60_000)).is_some() && pace.show(2, state(1), at(60_000)).is_some());
        assert!(pace.show(2, state(2), at(60_001)).is_none());
        pace.forget(2);
        assert_eq!(pace.due(), None);
    }
}
