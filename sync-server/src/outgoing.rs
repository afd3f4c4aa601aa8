//! What is large and on its way to peers, counted in bytes over all connections.
//!
//! The one idea: **the bytes themselves hold their room.** It is let go of with the last who holds them, wherever that is: in
//! a mailbox, in a session, in a socket. So what is sent to many counts once, and nobody has to say when it has been sent.
//! What is small, which is what fits into one frame, is not counted: there is little of it for each connection.

use crate::Limits;
use crate::mailbox::Group;
use bytes::Bytes;
use std::sync::{Arc, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Outgoing {
    room: Arc<Semaphore>,
    bytes_max: u32,
    small_bytes: usize,
}

/// Bytes, and the room that they take.
struct Held {
    bytes: Bytes,
    _room: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Outgoing {
    pub(crate) fn new(limits: &Limits) -> Self {
        let room = Arc::new(Semaphore::new(limits.outgoing_bytes as usize));
        Outgoing { room, bytes_max: limits.outgoing_bytes, small_bytes: limits.session.part_bytes }
    }

    /// One that is larger than all that there may be can be sent alone.
    fn weight(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max)
    }

    /// Waits in line for room for so many bytes; none only if there will never be any again.
    pub(crate) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_many_owned(self.weight(bytes)).await.ok()
    }

    /// The group to be sent; none if there is no room for it now, or others are in line.
    pub(crate) fn try_send(&self, group: Arc<Group>) -> Option<Arc<Group>> {
        Sendable::from(group).try_send(self)
    }

    /// The group to be sent, which takes as much of `room` as it needs.
    pub(crate) fn send(&self, group: Arc<Group>, room: OwnedSemaphorePermit) -> Arc<Group> {
        Sendable::from(group).send(self, room)
    }
}

/// A group that can be sent again and again, and whose room there is once while anybody is being sent it.
#[derive(Debug)]
pub(crate) struct Sendable {
    pub(crate) group: Arc<Group>,
    room: Weak<OwnedSemaphorePermit>,
}

impl From<Arc<Group>> for Sendable {
    fn from(group: Arc<Group>) -> Self {
        Sendable { group, room: Weak::new() }
    }
}

impl Sendable {
    /// See [`Outgoing::try_send`].
    pub(crate) fn try_send(&mut self, outgoing: &Outgoing) -> Option<Arc<Group>> {
        if self.group.frame.len() <= outgoing.small_bytes {
            return Some(self.group.clone());
        }
        if let Some(room) = self.room.upgrade() {
            return Some(self.held(room));
        }
        let room = outgoing.room.clone().try_acquire_many_owned(outgoing.weight(self.group.frame.len()));
        Some(self.send(outgoing, room.ok()?))
    }

    /// See [`Outgoing::send`].
    pub(crate) fn send(&mut self, outgoing: &Outgoing, mut room: OwnedSemaphorePermit) -> Arc<Group> {
        let needed = outgoing.weight(self.group.frame.len()) as usize;
        drop(room.split(room.num_permits().saturating_sub(needed)));
        let room = Arc::new(room);
        self.room = Arc::downgrade(&room);
        self.held(room)
    }

    fn held(&self, room: Arc<OwnedSemaphorePermit>) -> Arc<Group> {
        let held = Held { bytes: self.group.frame.clone(), _room: room };
        Arc::new(Group { frame: Bytes::from_owner(held), ..Group::clone(&self.group) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watersmeet_crdt::VersionVector;

    fn outgoing() -> Outgoing {
        Outgoing::new(&Limits { outgoing_bytes: 100_000, ..Limits::default() })
    }

    fn group(bytes: usize) -> Arc<Group> {
        Group::of(1, VersionVector::default(), VersionVector::default(), &vec![0; bytes])
    }

    #[test]
    fn what_is_sent_to_many_takes_room_once_and_as_long_as_anybody_has_some_of_it() {
        let outgoing = outgoing();
        let mut state = Sendable::from(group(60_000));
        let sent: Vec<_> = (0..100).map(|_| state.try_send(&outgoing).unwrap()).collect();
        assert!(outgoing.try_send(group(60_000)).is_none(), "there is no room for another");
        assert!(outgoing.try_send(group(1_000)).is_some(), "what is small is not counted");
        let part = sent[7].delta().unwrap().slice(59_000..);
        drop((sent, state));
        assert!(outgoing.try_send(group(60_000)).is_none(), "some of it is still to be sent");
        drop(part);
        assert!(outgoing.try_send(group(60_000)).is_some());
        assert!(outgoing.try_send(group(1_000_000)).is_some(), "one of any size can be sent alone");
    }

    #[tokio::test]
    async fn room_that_is_not_needed_is_given_back() {
        let outgoing = outgoing();
        let room = outgoing.room(90_000).await.unwrap();
        let first = outgoing.send(group(50_000), room);
        assert!(outgoing.try_send(group(40_000)).is_some());
        drop(first);
    }
}
