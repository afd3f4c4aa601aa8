//! Where to connect when a server that went down has named another.
//!
//! The other may not be there yet, or not let us in, and the one that went down may be back. So both are tried in turn,
//! the other first, until one lets us in or too often in vain; from then on it is the usual one again.

use crate::session::redirect::may_follow;

/// Attempts, at both together, before the server that was named is forgotten.
const ATTEMPTS_MAX: u32 = 16;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Redirects {
    /// The usual server's URL; none if no other is to be gone to.
    own: Option<String>,
    named: Option<String>,
    /// Attempts since it was named.
    attempts: u32,
}

impl Redirects {
    pub(super) fn of(own: Option<&str>) -> Self {
        Redirects { own: own.map(str::to_owned), ..Redirects::default() }
    }

    /// Another server was named.
    pub(super) fn name(&mut self, url: String) {
        if self.own.as_ref().is_some_and(|own| may_follow(own, &url)) {
            (self.named, self.attempts) = (Some(url), 0);
        }
    }

    /// A server has let us in.
    pub(super) fn forget(&mut self) {
        self.named = None;
    }

    /// Where the next attempt goes; none if to the usual server.
    pub(super) fn next(&mut self) -> Option<String> {
        let attempt = self.attempts;
        self.attempts = self.attempts.saturating_add(1);
        if attempt >= ATTEMPTS_MAX {
            self.named = None;
        }
        self.named.clone().filter(|_| attempt.is_multiple_of(2))
    }
}
