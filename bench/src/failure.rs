//! Why a measurement came to nothing. The others go on; this one becomes a row without a value, and with a reason.

use std::fmt;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Failure(pub(super) String);

impl Failure {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Failure(why.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.to_string())
    }
}
