//! Time as an argument, and the hybrid logical clock that orders writes of one register.
//!
//! The one idea (Kulkarni et al., "Logical Physical Clocks", 2014): a [`Stamp`] is wall-clock time as long as
//! clocks behave, and a logical counter when they do not, so it never runs backwards and stays readable.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, as told by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// From milliseconds since the Unix epoch; beyond the year 10889 it stays there.
    pub const fn from_millis(millis: u64) -> Self {
        Time(if millis > u64::MAX >> Stamp::COUNTER_BITS { u64::MAX >> Stamp::COUNTER_BITS } else { millis })
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// This time, `millis` later.
    #[must_use]
    pub const fn plus(self, millis: u64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }
}

/// A hybrid logical time: 48 bits of milliseconds, 16 bits of counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp(pub(crate) u64);

impl Stamp {
    const COUNTER_BITS: u32 = 16;

    /// The wall-clock part.
    pub const fn time(self) -> Time {
        Time(self.0 >> Self::COUNTER_BITS)
    }

    /// The counter's part.
    pub(crate) const fn counter(self) -> u64 {
        self.0 & ((1 << Self::COUNTER_BITS) - 1)
    }

    /// From milliseconds and a counter, each within its bits.
    pub(crate) const fn from_parts(millis: u64, counter: u64) -> Option<Self> {
        if millis >> (u64::BITS - Self::COUNTER_BITS) == 0 && counter >> Self::COUNTER_BITS == 0 {
            Some(Stamp(millis << Self::COUNTER_BITS | counter))
        } else {
            None
        }
    }

    /// The next stamp of a clock that last gave `self`, at wall-clock time `now`: later than both.
    #[must_use]
    pub fn next(self, now: Time) -> Self {
        Stamp((now.0 << Self::COUNTER_BITS).max(self.0.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_never_runs_backwards() {
        let noon = Stamp::default().next(Time::from_millis(1_000));
        let set_back = noon.next(Time::from_millis(10));
        assert!(set_back > noon);
        assert_eq!(set_back.time(), Time::from_millis(1_000));
        assert!(set_back.next(Time::from_millis(2_000)).time() == Time::from_millis(2_000));
        assert_eq!(Stamp(u64::MAX).next(Time::from_millis(u64::MAX)), Stamp(u64::MAX));
    }
}
