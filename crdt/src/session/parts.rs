//! Deltas under way: whole in one frame if they are small, in parts if they are large.
//!
//! **One large delta at a time goes each way.** While it does, everything else goes between its parts: signs of life,
//! acknowledgements, small deltas of other documents. What comes up meanwhile of its own document waits there, merged, and
//! is sent as what the peer then [lacks](Session::peer_has).
//!
//! Parts are packed for whoever [unpacks](Frame::Unpacks), each by itself: so packing goes on while the parts before are
//! under way, and takes no more memory than a part.

use super::{Event, Frame, Output, Packed, Session, Violation, packed};
use crate::{Delta, Lattice, Time, VersionVector};
use bytes::Bytes;

/// A large delta that is being sent.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) channel: u32,
    delta: Bytes,
    /// How much of it has been taken.
    taken: usize,
    packed: Packed,
}

/// A large delta that is being received.
#[derive(Debug)]
pub(super) struct Coming {
    pub(super) channel: u32,
    bytes: Vec<u8>,
    /// Whether nobody wants it.
    skipped: bool,
}

/// Sending.
impl Session {
    /// Sends events, if the peer lacks any of them. False if that must wait: see [`send_encoded`](Self::send_encoded).
    pub fn send(&mut self, channel: u32, delta: &Delta) -> bool {
        if self.peer_has(channel).is_none_or(|has| has.covers(delta.to())) {
            return true;
        }
        let frame = Frame::Delta { channel, delta: &delta.encode() }.encode().into();
        self.send_encoded(channel, delta.from(), delta.to(), frame, &Packed::default())
    }

    /// Sends the frame of a delta that was encoded once for many peers; in parts if it is large. False if this peer lacks
    /// what comes before it, or if a large delta is [under way](Self::is_sending) that it must not overtake or join: then
    /// send since [`peer_has`](Self::peer_has), once that is done.
    pub fn send_encoded(
        &mut self,
        channel: u32,
        from: &VersionVector,
        to: &VersionVector,
        frame: Bytes,
        packed: &Packed,
    ) -> bool {
        let Some(open) = self.channels.get(&channel) else { return true };
        let delta = self.in_parts(&frame);
        if !open.peer_has.covers(from)
            || self.is_sending_on(channel)
            || (delta.is_some() && self.is_sending())
        {
            return false;
        }
        let Some(open) = self.channels.get_mut(&channel) else { return true };
        if open.peer_has.merge(to.clone()) {
            match delta {
                Some(delta) => {
                    let sending = Sending { channel, delta, taken: 0, packed: packed.clone() };
                    self.sending = Some(Box::new(sending));
                }
                None => self.out.push_back(Output::Send(frame)),
            }
        }
        true
    }

    /// The delta in a frame, if it is too large for one.
    fn in_parts(&self, frame: &Bytes) -> Option<Bytes> {
        if frame.len() <= self.limits.part_bytes {
            return None;
        }
        match Frame::decode(frame) {
            Some(Frame::Delta { delta, .. }) if delta.len() > self.limits.part_bytes => {
                Some(frame.slice_ref(delta))
            }
            _ => None,
        }
    }

    /// Whether a large delta is being sent.
    pub fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Whether one is being sent on that channel.
    pub fn is_sending_on(&self, channel: u32) -> bool {
        self.sending.as_ref().is_some_and(|sending| sending.channel == channel)
    }

    /// How much of a large delta has been taken, if one is being sent.
    pub fn sent_bytes(&self) -> Option<usize> {
        self.sending.as_ref().map(|sending| sending.taken)
    }

    /// The next frame of a large delta that is being sent, if one is. Take it when [`poll`](Self::poll) has nothing more to
    /// send and the socket has taken what there was: what is said meanwhile goes before the part after it.
    pub fn take_part(&mut self) -> Option<Bytes> {
        let Sending { channel, delta, taken, packed } = *self.sending.take()?;
        let (at, end) = (taken, taken + self.limits.part_bytes);
        if end >= delta.len() {
            return Some(Frame::Delta { channel, delta: &delta[at..] }.encode().into());
        }
        let part = &delta[at..end];
        let small = if self.unpacks { packed.part(at, part) } else { None };
        let frame = match &small {
            Some(delta) => Frame::Packed { channel, delta },
            None => Frame::Part { channel, delta: part },
        };
        let frame = frame.encode();
        self.sending = Some(Box::new(Sending { channel, delta, taken: end, packed }));
        Some(frame.into())
    }

    /// Queues what is left of a large delta, for whoever cannot wait.
    pub fn hurry(&mut self) {
        while let Some(part) = self.take_part() {
            self.out.push_back(Output::Send(part));
        }
    }
}

/// Receiving.
impl Session {
    /// Nobody wants the large delta that comes on a channel: what is left of it is let pass.
    pub fn skip(&mut self, channel: u32) {
        if let Some(coming) = self.coming.as_mut().filter(|coming| coming.channel == channel) {
            **coming = Coming { channel, bytes: Vec::new(), skipped: true };
        }
    }

    /// Bytes of a large delta that are here while the rest of it is under way.
    pub fn coming_bytes(&self) -> usize {
        self.coming.as_ref().map_or(0, |coming| coming.bytes.len())
    }

    /// The channel on which a large delta comes that is wanted.
    pub fn coming_on(&self) -> Option<u32> {
        self.coming.as_ref().filter(|coming| !coming.skipped).map(|coming| coming.channel)
    }

    /// Unpacks a part, of which no more comes out than a frame may hold.
    pub(super) fn packed_part(&mut self, channel: u32, bytes: &[u8]) -> Result<(), Violation> {
        self.channel(channel, "Packed")?;
        let part = packed::unpack(bytes, self.limits.frame_bytes)?;
        self.part(channel, &part)
    }

    /// Keeps the beginning of a large delta.
    pub(super) fn part(&mut self, channel: u32, bytes: &[u8]) -> Result<(), Violation> {
        self.channel(channel, "Part")?;
        match &self.coming {
            Some(coming) if coming.channel == channel => {}
            Some(_) => {
                let when = "within a delta of another channel";
                return Err(Violation::OutOfOrder { frame: "Part", when });
            }
            None => {
                self.coming = Some(Box::new(Coming { channel, bytes: Vec::new(), skipped: false }));
                self.tell(Event::Begun { channel });
            }
        }
        self.keep(bytes)?;
        // Who sends would not know that it is heard: what it asks waits behind all that the system has taken of its parts.
        self.say(&Frame::Pong);
        Ok(())
    }

    /// The whole of a delta, or the end of one that came in parts.
    pub(super) fn delta(&mut self, now: Time, channel: u32, bytes: &[u8]) -> Result<(), Violation> {
        if self.coming.as_ref().is_none_or(|coming| coming.channel != channel) {
            return self.whole_delta(now, channel, Bytes::copy_from_slice(bytes));
        }
        self.keep(bytes)?;
        match self.coming.take().map(|coming| *coming) {
            Some(Coming { bytes, skipped: false, .. }) => self.whole_delta(now, channel, bytes.into()),
            _ => Ok(()),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let Some(coming) = self.coming.as_mut().filter(|coming| !coming.skipped) else { return Ok(()) };
        let (total, limit) = (coming.bytes.len() + bytes.len(), self.limits.delta_bytes);
        if total > limit {
            return Err(Violation::TooLarge { bytes: total, limit });
        }
        coming.bytes.extend_from_slice(bytes);
        Ok(())
    }
}
