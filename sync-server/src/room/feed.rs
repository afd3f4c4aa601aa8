//! What a document's changes are, for those who follow it without the engine: as JSON, made once for all of them.
//!
//! A change counts on what was there before: it can be told only to whoever has exactly that. So a room remembers, in
//! bounds, the latest of them, and a follower who was cut off goes on from where it was; whoever has something else is told
//! the whole state.
//!
//! A room takes note of changes from its first follower on, and no longer once nobody has followed for a while.

use super::{Guest, GuestId, Room};
use crate::http::changes_as_json;
use crate::mailbox::{Answer, Mailbox, Told};
use std::collections::VecDeque;
use std::sync::Arc;
use watersmeet_crdt::VersionVector;

/// The latest changes. See the [module](self).
#[derive(Default)]
pub(super) struct Feed {
    /// What they lead to.
    version: VersionVector,
    kept: VecDeque<Arc<Told>>,
    bytes: usize,
    /// How many there have been since somebody followed.
    unread: usize,
}

impl Feed {
    /// What is to be told to whoever has `has`; none if that is not known.
    fn since(&self, has: &VersionVector) -> Option<Vec<Arc<Told>>> {
        if *has == self.version {
            return Some(Vec::new());
        }
        let first = self.kept.iter().position(|told| told.before == *has)?;
        Some(self.kept.iter().skip(first).cloned().collect())
    }

    fn keep(&mut self, told: Arc<Told>, bytes_max: usize, count_max: usize) {
        self.bytes += told.bytes();
        self.kept.push_back(told);
        while self.bytes > bytes_max || self.kept.len() > count_max {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }
}

impl Room {
    /// Takes in a guest who is told of changes.
    pub(super) fn follow(&mut self, id: GuestId, mailbox: Arc<Mailbox>, has: Option<&VersionVector>) {
        if self.feed.is_none() {
            self.begin_feed();
        }
        self.guests.insert(id, Guest { mailbox, presence: None, follows: true });
        self.tell_follower(id, has);
    }

    /// Takes note of changes from now on: what was noted of another state of the document says nothing any more.
    fn begin_feed(&mut self) {
        Arc::make_mut(&mut self.document).watch();
        self.feed = Some(Feed { version: self.document.version().clone(), ..Feed::default() });
    }

    /// The document in memory is another one now.
    pub(super) fn begin_feed_again(&mut self) {
        if self.feed.is_some() {
            self.begin_feed();
        }
    }

    /// Brings a follower up to date who has `has`: by changes, or by the state, which is for whoever has anything.
    pub(super) fn tell_follower(&mut self, id: GuestId, has: Option<&VersionVector>) {
        let known = has.and_then(|has| self.feed.as_ref()?.since(has));
        match (known, self.guests.get(&id)) {
            (Some(told), Some(guest)) => guest.mailbox.answer(Answer::Told(told)),
            _ => self.tell_since(id, &VersionVector::default()),
        }
    }

    /// Tells followers what has changed since this was last done.
    pub(super) fn tell(&mut self) {
        let Some(feed) = &mut self.feed else { return };
        let (bytes_max, count_max) = (self.limits.mailbox_bytes, self.limits.mailbox_deltas);
        let followed = self.guests.values().any(|guest| guest.follows);
        feed.unread = if followed { 0 } else { feed.unread + 1 };
        if feed.unread > count_max {
            self.feed = None;
            return Arc::make_mut(&mut self.document).unwatch();
        }
        let changes = Arc::make_mut(&mut self.document).take_changes();
        let changes = changes_as_json(&changes, &self.document);
        let after = self.document.version().clone();
        let before = std::mem::replace(&mut feed.version, after.clone());
        let told = Arc::new(Told { channel: self.channel, before, after, changes });
        feed.keep(told.clone(), bytes_max, count_max);
        for guest in self.guests.values().filter(|guest| guest.follows) {
            guest.mailbox.tell(told.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watersmeet_crdt::ReplicaId;

    #[test]
    fn a_feed_remembers_the_latest_within_bounds() {
        let version = |seq| VersionVector::from_iter((seq > 0).then_some((ReplicaId::new(1), seq)));
        let mut feed = Feed::default();
        for n in 1..=100 {
            let (before, after) = (version(n - 1), version(n));
            let told = Told { channel: 1, before, after: after.clone(), changes: "x".repeat(100) };
            feed.keep(Arc::new(told), 5_000, 20);
            feed.version = after;
        }
        assert_eq!(feed.kept.len(), 20);
        assert_eq!(feed.since(&version(100)).map(|told| told.len()), Some(0));
        assert_eq!(feed.since(&version(99)).map(|told| told.len()), Some(1));
        assert_eq!(feed.since(&version(80)).map(|told| told.len()), Some(20));
        assert!(feed.since(&version(79)).is_none() && feed.since(&version(101)).is_none());
        feed.keep(feed.kept[0].clone(), 500, 20);
        assert!(feed.bytes <= 500 && feed.bytes == feed.kept.iter().map(|told| told.bytes()).sum::<usize>());
    }
}
