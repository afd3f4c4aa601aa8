//! Who waits for an answer that costs much: much of the document to encode, or much room on its way to a peer.
//!
//! The one idea: **the document's task hands over, and goes on.** An answer first waits for [room](crate::outgoing) among all
//! that is being sent; then the document, as it is at that moment, is encoded by another thread, and whoever edits it
//! meanwhile edits a copy. What becomes of it comes back as a request, and so in order with joins, edits and
//! failures. By then the document may have gone on; whoever is answered is then told the rest as any who lags.
//!
//! ```text
//!   CatchUp ─▶ in line ─▶ Request::Room ─▶ encoded elsewhere ─▶ Request::Encoded ─▶ answered
//! ```

#[cfg(test)]
mod tests;

use super::answers::known;
use super::{GuestId, Request, Room};
use crate::mailbox::{Answer, Group};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use watersmeet_crdt::VersionVector;
use watersmeet_crdt::session::Code;

/// Events that the document's task encodes itself: that takes some two milliseconds, less than to hand it over would.
const EVENTS_AT_ONCE: u64 = 4_096;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Line {
    /// What they have.
    waiting: BTreeMap<GuestId, VersionVector>,
    /// Whether room is waited for, or something is being encoded: one answer at a time.
    is_moving: bool,
}

impl Line {
    pub(super) fn leave(&mut self, guest: GuestId) {
        self.waiting.remove(&guest);
    }
}

impl Room {
    /// What whoever has `has` lacks, if that can be told without waiting.
    pub(super) fn group_at_once(&mut self, has: &VersionVector) -> Option<Arc<Group>> {
        let has = known(has, self.document.version());
        if let Some(kept) = self.answers.find(&has) {
            return kept.try_send(&self.outgoing);
        }
        if self.document.version().events_beyond(&has) > EVENTS_AT_ONCE {
            return None;
        }
        let delta = self.document.since(&has);
        let group = Group::new(self.channel, &delta, &delta.encode());
        self.metrics.encoded_answers.inc();
        self.answers.keep(has, group, self.limits.mailbox_bytes).try_send(&self.outgoing)
    }

    /// Tells a guest all that it lacks who has `has`, now or when it is its turn.
    pub(super) fn tell_since(&mut self, id: GuestId, has: &VersionVector) {
        match self.group_at_once(has) {
            Some(group) => {
                if let Some(guest) = self.guests.get(&id) {
                    guest.mailbox.answer(Answer::CaughtUp(group));
                }
            }
            None => {
                self.line.waiting.insert(id, known(has, self.document.version()));
                self.wait_for_room();
            }
        }
    }

    /// Whether whoever has `has` has everything with a group.
    fn is_all(&self, has: &VersionVector, group: &Group) -> bool {
        self.document.version().beyond(has).beyond(&group.to).is_empty()
    }

    /// Has room waited for, for whoever is first in line.
    fn wait_for_room(&mut self) {
        let Some(has) = self.line.waiting.values().next().filter(|_| !self.line.is_moving) else { return };
        let encoded = self.answers.find(has).map(|kept| kept.group.frame.len());
        // An encoding is not larger than what the document was read from, and gives back what it does not need.
        let bytes = encoded.unwrap_or(self.tail.state_bytes_at_most());
        self.line.is_moving = true;
        let (outgoing, queue) = (self.outgoing.clone(), self.queue.clone());
        tokio::spawn(async move {
            let Some(room) = outgoing.room(bytes).await else { return };
            if let Some(queue) = queue.upgrade() {
                // A room that has ended needs none.
                let _ = queue.send(Request::Room { room }).await;
            }
        });
    }

    /// There is room: what the first in line lacks is told, and encoded before if it is not by now.
    pub(super) fn take_room(&mut self, room: OwnedSemaphorePermit) {
        self.line.is_moving = false;
        let Some(has) = self.line.waiting.values().next().cloned() else { return };
        if let Some(kept) = self.answers.find(&has) {
            let group = kept.send(&self.outgoing, room);
            return self.tell_those(&has, &group);
        }
        self.line.is_moving = true;
        let (document, channel, queue) = (self.document.clone(), self.channel, self.queue.clone());
        let renderings = self.renderings.clone();
        tokio::spawn(async move {
            let _turn = renderings.acquire().await;
            let encoding = tokio::task::spawn_blocking(move || {
                let delta = document.since(&has);
                let group = Group::new(channel, &delta, &delta.encode());
                (has, group)
            });
            // It ends early only by a panic, which has been printed.
            let encoded = encoding.await.ok();
            if let Some(queue) = queue.upgrade() {
                let _ = queue.send(Request::Encoded { encoded, room }).await;
            }
        });
    }

    /// Something was encoded: it is told to all who lack it, and kept if the document is still so.
    pub(super) fn take_encoded(
        &mut self,
        encoded: Option<(VersionVector, Arc<Group>)>,
        room: OwnedSemaphorePermit,
    ) {
        self.line.is_moving = false;
        let Some((has, group)) = encoded else {
            for id in std::mem::take(&mut self.line.waiting).into_keys() {
                if let Some(guest) = self.guests.get(&id) {
                    guest.mailbox.end(Code::Unavailable, format!("{:?} cannot be read now", self.name));
                }
            }
            return;
        };
        self.metrics.encoded_answers.inc();
        let group = match self.is_all(&has, &group) {
            true => {
                self.answers.keep(has.clone(), group, self.limits.mailbox_bytes).send(&self.outgoing, room)
            }
            false => self.outgoing.send(group, room),
        };
        self.tell_those(&has, &group);
    }

    /// Tells a group to all in line who have `has`, and has the next one moved on.
    fn tell_those(&mut self, has: &VersionVector, group: &Arc<Group>) {
        let (told, left) =
            std::mem::take(&mut self.line.waiting).into_iter().partition(|(_, had)| had == has);
        self.line.waiting = left;
        let told: BTreeMap<_, _> = told;
        let is_all = self.is_all(has, group);
        for guest in told.keys().filter_map(|id| self.guests.get(id)) {
            guest.mailbox.answer(Answer::CaughtUp(group.clone()));
            if !is_all {
                guest.mailbox.lag(self.channel);
            }
        }
        self.wait_for_room();
    }
}
