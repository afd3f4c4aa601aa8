//! An edit's way from the socket to the disk, as spans for whoever traces.
//!
//! ```text
//!   edit ────────────────────────────┐  from its coming in until its author is told that it is durable
//!    └─ commit ───────────────────┐  │  a room's batch: child of its first edit, and follows from the others
//!        └─ transaction ───────┐  │  │  the committer's batch: child of its first commit, and follows from the others
//! ```
//!
//! Batches join edits of many, so a trace is one edit's, and links lead from it to the others. The spans `connection` and
//! `document` stand apart, as long as those live; log lines of theirs are in them. All are of the level `debug`: where
//! nobody asks for it, a span costs a comparison.

use crate::room::GuestId;
use std::time::{Duration, Instant};
use tracing::{Span, debug_span};

/// When an edit came, and its span, which lasts as long as this.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    at: Instant,
    span: Span,
}

impl Arrival {
    /// Of an edit that comes now.
    pub(crate) fn now(guest: GuestId, document: &str, bytes: usize) -> Self {
        let span = debug_span!(parent: None, "edit", connection = guest.0, document, bytes);
        Arrival { at: Instant::now(), span }
    }

    /// How long ago that was.
    pub(crate) fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }
}

/// The span of a commit of a room's batch.
pub(crate) fn commit(document: &str, arrivals: &[Arrival], bytes: usize) -> Span {
    let edits = arrivals.len();
    let parent = arrivals.first().and_then(|first| first.span.id());
    let span = debug_span!(parent: parent, "commit", document, edits, bytes);
    for arrival in arrivals.iter().skip(1) {
        span.follows_from(&arrival.span);
    }
    span
}

/// The span of a transaction with the commits of such spans.
pub(crate) fn transaction(commits: &[Span]) -> Span {
    let parent = commits.first().and_then(Span::id);
    let span = debug_span!(parent: parent, "transaction", commits = commits.len());
    for commit in commits.iter().skip(1) {
        span.follows_from(commit);
    }
    span
}
