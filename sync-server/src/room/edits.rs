//! What the edits of a batch come to.

use crate::owners::Taken;
use crate::room::GuestId;
use crate::trace::Arrival;
use bytes::Bytes;
use std::collections::BTreeMap;
use watersmeet_crdt::VersionVector;

/// One author's delta, as it came.
pub(super) struct Sent {
    pub(super) from: VersionVector,
    pub(super) to: VersionVector,
    pub(super) bytes: Bytes,
}

/// What the edits of a batch brought that the document did not have.
#[derive(Default)]
pub(super) enum News {
    #[default]
    None,
    /// One delta, and the version before it.
    One(VersionVector, Sent),
    /// Several, after that version.
    Many(VersionVector),
}

impl News {
    /// How many events they are, now that the document is at `version`.
    pub(super) fn events(&self, version: &VersionVector) -> u64 {
        match self {
            News::None => 0,
            News::One(before, _) | News::Many(before) => version.events_beyond(before),
        }
    }
}

/// The edits of a batch.
#[derive(Default)]
pub(super) struct Edits {
    /// Who made some, and which.
    pub(super) authors: BTreeMap<GuestId, VersionVector>,
    /// Replicas that their authors were the first to use.
    pub(super) taken: Vec<Taken>,
    /// When each of them came in.
    pub(super) came: Vec<Arrival>,
    pub(super) news: News,
}

impl Edits {
    /// The document's version before them, if they changed it.
    pub(super) fn before(&self) -> Option<&VersionVector> {
        match &self.news {
            News::None => None,
            News::One(before, _) | News::Many(before) => Some(before),
        }
    }

    pub(super) fn add(&mut self, before: VersionVector, sent: Sent) {
        self.news = match std::mem::take(&mut self.news) {
            News::None => News::One(before, sent),
            News::One(before, _) | News::Many(before) => News::Many(before),
        };
    }
}
