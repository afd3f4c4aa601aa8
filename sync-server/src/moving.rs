//! Whether what is large goes on. A large delta takes room as long as it is under way, whichever way it goes; so whoever
//! begins one and does not go on, or asks for one and does not read on, is given up in time, and not by what else it says.

use std::time::{Duration, Instant};

/// Bytes that must move in [`PERIODS`] times as long as it may stall: with the usual limit 2 KiB a second, which the
/// slowest of networks carry.
const BYTES_MIN: usize = 256 << 10;
/// Long enough for what the system keeps of a socket, which it takes by large steps.
const PERIODS: u32 = 4;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Moving {
    /// By when enough must have moved, and how much had when that was said.
    awaited: Option<(Instant, usize)>,
}

impl Moving {
    /// Notes how much has moved of what is under way; none if nothing is. Whether it goes on.
    pub(crate) fn goes_on(&mut self, moved: Option<usize>, stall: Duration, now: Instant) -> bool {
        let Some(moved) = moved else {
            self.awaited = None;
            return true;
        };
        match self.awaited {
            // Another one, if less has moved.
            Some((deadline, before)) if moved.checked_sub(before).is_some_and(|by| by < BYTES_MIN) => {
                now < deadline
            }
            _ => {
                self.awaited = Some((now + PERIODS * stall, moved));
                true
            }
        }
    }

    /// When it is to be looked at again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.awaited.map(|(deadline, _)| deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    /// How long so many bytes go on that move a second, within an hour.
    fn seconds(bytes: usize) -> usize {
        let (mut moving, begun) = (Moving::default(), Instant::now());
        let goes_on = |second: &usize| {
            let now = begun + Duration::from_secs(*second as u64);
            moving.goes_on(Some(second * bytes), STALL, now)
        };
        (0..3_600).take_while(goes_on).count()
    }

    #[test]
    fn what_hardly_moves_is_given_up_and_what_is_slow_is_not() {
        assert_eq!(seconds(0), 120);
        assert_eq!(seconds(1), 120, "a byte now and then does not help");
        assert_eq!(seconds(1 << 10), 120);
        assert_eq!(seconds(3 << 10), 3_600);
    }

    #[test]
    fn one_after_the_other_has_its_own_time() {
        let (mut moving, now) = (Moving::default(), Instant::now());
        assert!(moving.goes_on(Some(50_000), STALL, now) && moving.due().is_some());
        assert!(moving.goes_on(Some(100), STALL, now + 5 * STALL), "another");
        assert!(moving.goes_on(None, STALL, now + 10 * STALL) && moving.due().is_none());
        assert!(moving.goes_on(Some(100), STALL, now + 20 * STALL));
    }
}
