//! What a token allows.

use super::Pattern;
use super::jwt::Verified;
use std::fmt;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use watersmeet_crdt::Time;

/// What can be done to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Open it, and hear of every edit from then on.
    Read,
    /// Edit it. Who may write may read.
    Write,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::Read => "read",
            Right::Write => "write",
        })
    }
}

/// Whom a token was made for (`sub`): a user, a device or a program, as whoever makes tokens calls it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The subject of that name.
    pub fn new(name: &str) -> Self {
        Subject(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody may do, and until when. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Grant {
    /// None if everybody may do everything.
    held: Option<Arc<Held>>,
}

#[derive(Debug)]
struct Held {
    subject: Subject,
    read: Vec<Pattern>,
    write: Vec<Pattern>,
    expires: Time,
    revoked: CancellationToken,
}

impl Grant {
    /// Everything, for nobody in particular and for ever.
    pub(super) fn everything() -> Self {
        Grant { held: None }
    }

    pub(super) fn of(claims: Verified, expires: Time) -> Self {
        let Verified { subject, read, write, revoked, .. } = claims;
        Grant { held: Some(Arc::new(Held { subject, read, write, expires, revoked })) }
    }

    /// Whether that may be done to the document of that name.
    pub fn may(&self, right: Right, document: &str) -> bool {
        let Some(held) = &self.held else { return true };
        let named = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(document));
        named(&held.write) || (right == Right::Read && named(&held.read))
    }

    /// Who it is; none where everybody may do everything.
    pub fn subject(&self) -> Option<&Subject> {
        self.held.as_ref().map(|held| &held.subject)
    }

    /// From when on it is void; none if it lasts.
    pub fn expires(&self) -> Option<Time> {
        self.held.as_ref().map(|held| held.expires)
    }

    /// Cancelled when the key that vouches for it is taken away; none if it lasts.
    pub fn revoked(&self) -> Option<&CancellationToken> {
        self.held.as_ref().map(|held| &held.revoked)
    }

    /// Why something may not be done, for people.
    pub fn lacks(&self, right: Right, document: &str) -> String {
        let who = self.subject().map_or("nobody", Subject::as_str);
        format!("{who:?} has no right to {right} the document {document:?}")
    }
}
