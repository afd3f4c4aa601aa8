//! A timer that is set at every turn of a connection and rings hardly ever. To set it later than it is set costs nothing:
//! it rings too early then, and is set again.

use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// Never is too far away for a clock; so it rings now and then for nothing.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// See the [module](self).
pub(crate) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    set_to: Option<Instant>,
}

impl Alarm {
    /// One that is not set.
    pub(crate) fn new() -> Self {
        Alarm { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), set_to: None }
    }

    /// Sees to it that it rings after `wait`, or before.
    pub(crate) fn set(&mut self, wait: Duration) {
        let to = Instant::now() + wait.min(LONGEST);
        if self.set_to.is_none_or(|set_to| to < set_to) {
            self.set_to = Some(to);
            self.sleep.as_mut().reset(to.into());
        }
    }

    /// Waits until it rings. Nothing is lost if it is dropped while it waits.
    pub(crate) async fn ring(&mut self) {
        self.sleep.as_mut().await;
        self.set_to = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_no_later_than_the_earliest_it_was_set_to() {
        let mut alarm = Alarm::new();
        for wait in [Duration::MAX, Duration::ZERO, Duration::from_secs(2_000)] {
            alarm.set(wait);
        }
        alarm.ring().await;
        assert_eq!(alarm.set_to, None);
        alarm.set(Duration::ZERO);
        alarm.ring().await;
    }
}
