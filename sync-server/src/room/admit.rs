//! What an edit is held against before it is applied, and so before anybody is shown it: whose events it brings, whether
//! it says something else of events that are here, and how large it would make the document.
//!
//! What is refused here is refused whole, stays with its author, and harms nothing else on its connection.

use super::Room;
use crate::access::Subject;
use crate::owners::{Others, Taken};
use crate::rights::Refused;
use std::time::{Duration, Instant};
use watersmeet_crdt::session::Code;
use watersmeet_crdt::{Delta, Document, ReplicaId, VersionVector};

/// How large a document is, at most.
#[derive(Debug)]
pub(super) struct Size {
    /// Its state is not larger: every delta since it was measured is counted whole.
    at_most: usize,
    /// How large it was when it was measured last, and when that was.
    state: usize,
    measured: Option<Instant>,
}

/// To measure costs as much as the document is large. Where this part of it has come since the last time, that is little
/// beside what the edits cost, and no edit is refused only because nobody looked.
const PART_WORTH_MEASURING: usize = 8;

impl Size {
    /// Of a document that was read from so many bytes.
    pub(super) fn at_most(bytes: usize) -> Self {
        Size { at_most: bytes, state: bytes, measured: None }
    }

    /// Counts a delta that others have let in.
    pub(super) fn add(&mut self, bytes: usize) {
        self.at_most = self.at_most.saturating_add(bytes);
    }

    /// Whether `delta`, of so many bytes, leaves the document within `limit`. What it removes may make room for what it
    /// adds, so at the limit it is tried out; that costs as much as the document is large, and is not done again before
    /// `holds` has passed or much has come.
    fn takes(
        &mut self,
        document: &Document,
        delta: &Delta,
        bytes: usize,
        limit: usize,
        holds: Duration,
    ) -> bool {
        let at_most = self.at_most.saturating_add(bytes);
        if delta.additions() == 0 || at_most <= limit {
            self.at_most = at_most;
            return true;
        }
        let much_has_come = self.at_most - self.state.min(self.at_most) > self.state / PART_WORTH_MEASURING;
        if !much_has_come && self.measured.is_some_and(|at| at.elapsed() < holds) {
            return false;
        }
        let (now, then) = (state_bytes(document), bytes_after(document, delta));
        let fits = then <= limit.max(now);
        let state = if fits { then } else { now };
        *self = Size { at_most: state, state, measured: Some(Instant::now()) };
        fits
    }
}

fn state_bytes(document: &Document) -> usize {
    document.encode_state().len()
}

/// How large a document would be. A delta that cannot be applied changes nothing.
fn bytes_after(document: &Document, delta: &Delta) -> usize {
    let mut tried = document.clone();
    let _ = tried.apply(delta);
    state_bytes(&tried)
}

impl Room {
    /// Whether a delta of so many bytes that builds on what is here may be applied; if so, the replicas to be claimed with
    /// it. `author` is who brings it, unless anybody may bring anything.
    pub(super) async fn admit(
        &mut self,
        delta: &Delta,
        bytes: usize,
        author: Option<&Subject>,
    ) -> Result<Option<Taken>, Refused> {
        if let Some(dot) = self.document.contradicts(delta) {
            let (name, replica, seq) = (&self.name, dot.replica.get(), dot.seq);
            let message = format!(
                "the document {name:?} has another event {seq} of replica {replica}; a replica that was copied must take a new id"
            );
            return Err(Refused::new(Code::Equivocation, message));
        }
        // What is known already changes nothing, whoever says it again.
        let gained = delta.to().beyond(self.document.version());
        if gained.is_empty() {
            return Ok(None);
        }
        self.check_replicas(&gained)?;
        let taken = match author {
            Some(author) => {
                let replicas: Vec<ReplicaId> = gained.iter().map(|(replica, _)| replica).collect();
                Some(self.claim(&replicas, author).await?)
            }
            None => None,
        };
        self.check_size(delta, bytes)?;
        Ok(taken)
    }

    /// A document of more replicas than a version can name could be written, and never be read again.
    fn check_replicas(&self, gained: &VersionVector) -> Result<(), Refused> {
        let (version, limit) = (self.document.version(), self.limits.document_replicas);
        let more = gained.iter().filter(|(replica, _)| version.seq(*replica) == 0).count();
        if more == 0 || version.len() + more <= limit {
            return Ok(());
        }
        let name = &self.name;
        let message = format!("the document {name:?} may be edited under {limit} replica ids, and has been");
        Err(Refused::new(Code::Full, message))
    }

    fn check_size(&mut self, delta: &Delta, bytes: usize) -> Result<(), Refused> {
        let (limit, holds) = (self.limits.document_bytes, self.limits.measured);
        if self.size.takes(&self.document, delta, bytes, limit, holds) {
            return Ok(());
        }
        let message = format!(
            "the document {:?} may have {limit} bytes, and would have more with these {bytes}; remove something",
            self.name
        );
        Err(Refused::new(Code::Full, message))
    }

    /// Takes replicas of which there are new events for `author`, if none of them is another's.
    async fn claim(&self, replicas: &[ReplicaId], author: &Subject) -> Result<Taken, Refused> {
        match self.owners.take(replicas, author).await {
            Ok(Ok(taken)) => Ok(taken),
            Ok(Err(Others(replica))) => {
                let message = format!(
                    "the document {:?} takes new events of replica {} from the subject that first used it, not from {:?}",
                    self.name,
                    replica.get(),
                    author.as_str()
                );
                Err(Refused::new(Code::Author, message))
            }
            Err(error) => {
                tracing::error!(document = %self.name, %error, "whose a replica is could not be read");
                Err(Refused::new(Code::Unavailable, "the server cannot check edits now; keep them"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watersmeet_crdt::Time;

    const LIMIT: usize = 64 << 10;
    /// Longer than the test.
    const HOLDS: Duration = Duration::from_secs(3_600);

    /// Writes a text under a key as often as is said, as long as it is let in; how often it was.
    fn write(size: &mut Size, document: &mut Document, times: usize, key: impl Fn(usize) -> String) -> usize {
        let value = |n: usize| format!("{n:01000}");
        let mut took = 0;
        for n in 0..times {
            let mut author = document.clone();
            let before = author.version().clone();
            author.edit(Time::default(), |tx| tx.set(&[&key(n)], value(n))).unwrap();
            let delta = author.since(&before);
            if size.takes(document, &delta, delta.encode().len(), LIMIT, HOLDS) {
                document.apply(delta).unwrap();
                took += 1;
            }
        }
        took
    }

    /// Far more is written in no time than the document may have, and nearly nothing of it stays.
    #[test]
    fn what_is_overwritten_does_not_count_however_fast_it_comes() {
        let mut document = Document::new(ReplicaId::new(1));
        let mut size = Size::at_most(0);
        assert_eq!(write(&mut size, &mut document, 500, |n| format!("{}", n % 4)), 500);
    }

    #[test]
    fn a_full_document_is_not_measured_for_every_edit() {
        let mut document = Document::new(ReplicaId::new(1));
        let mut size = Size::at_most(0);
        let took = write(&mut size, &mut document, 200, |n| n.to_string());
        assert!((LIMIT / 1_100..=LIMIT / 1_000).contains(&took), "{took} texts of 1,000 bytes");
        let measured = size.measured;
        assert_eq!(write(&mut size, &mut document, 100, |n| format!("more {n}")), 0);
        assert_eq!(size.measured, measured);
    }
}
