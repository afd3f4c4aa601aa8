//! Asks now and then whether to stop, in the midst of a long ring as well.
//!
//! One idea: asking costs a look at a clock or at a flag that others write, so it is done once per so many vertices.

use thiserror::Error;

/// Whether to stop is asked once per so many vertices or features.
const ASK_EVERY: usize = 4096;

/// Rendering was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the tile took too long to render")]
pub struct Stopped;

/// Counts work, and asks.
pub(crate) struct Watch<'a> {
    stop: &'a dyn Fn() -> bool,
    left: usize,
}

impl<'a> Watch<'a> {
    /// Asks for the first time when work begins.
    pub(crate) fn new(stop: &'a dyn Fn() -> bool) -> Self {
        Self { stop, left: 0 }
    }

    /// So much more was done.
    ///
    /// # Errors
    /// When it is enough.
    #[inline]
    pub(crate) fn worked(&mut self, count: usize) -> Result<(), Stopped> {
        match self.left.checked_sub(count) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => self.ask(),
        }
    }

    /// # Errors
    /// When it is enough.
    pub(crate) fn ask(&mut self) -> Result<(), Stopped> {
        self.left = ASK_EVERY;
        if (self.stop)() { Err(Stopped) } else { Ok(()) }
    }
}
