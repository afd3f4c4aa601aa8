//! What goes into a session and what comes out of it.

use super::{Code, Token};
use crate::{Delta, ReplicaId, Time, VersionVector};
use bytes::Bytes;

/// What comes in.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Bytes of one frame.
    Frame(&'a [u8]),
    /// Time has passed.
    Tick,
}

/// What goes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Bytes of one frame for the peer.
    Send(Bytes),
    /// Something for the shell to know or answer.
    Event(Event),
    /// Nothing more to do before that time, or before something comes in.
    Wait(Time),
}

/// What the peer said or wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It called, and greets. Answer by [`Session::welcome`](super::Session::welcome), or by
    /// [`Session::end`](super::Session::end) if it may not come in.
    Greeted {
        /// Who it says it is.
        replica: ReplicaId,
        /// What proves who it is, if anything does.
        token: Token,
    },
    /// It wants a document, of which it has `version`. Answer by [`Session::accept`](super::Session::accept) or [`Session::refuse`](super::Session::refuse).
    Open {
        /// The document's name.
        name: String,
        /// What the peer has of it.
        version: VersionVector,
    },
    /// It granted a document, of which it has `version`.
    Opened {
        /// The document's name.
        name: String,
        /// Its channel.
        channel: u32,
        /// What the peer has of it.
        version: VersionVector,
    },
    /// It closed a channel.
    Closed {
        /// Which.
        channel: u32,
    },
    /// It sent events.
    Delta {
        /// Of which document.
        channel: u32,
        /// Decoded.
        delta: Box<Delta>,
        /// As they came.
        bytes: Bytes,
    },
    /// It has begun to send a large delta, of which nothing is decoded until all of it has come. If it is not wanted,
    /// have the rest [let pass](super::Session::skip).
    Begun {
        /// Of which document.
        channel: u32,
    },
    /// What it was sent is on its disk.
    Acknowledged {
        /// Of which document.
        channel: u32,
        /// How far.
        version: VersionVector,
    },
    /// It lacks more than was thought: send since [`Session::peer_has`](super::Session::peer_has).
    Lacks {
        /// Of which document.
        channel: u32,
    },
    /// A peer's ephemeral state; empty when it has gone.
    Presence {
        /// In which document.
        channel: u32,
        /// Whose.
        peer: u64,
        /// The state.
        state: Bytes,
    },
    /// It named another server, to go to when this connection ends.
    Redirected {
        /// Where that is. It [may not be followed](super::redirect::may_follow) wherever it leads.
        url: String,
    },
    /// It refused something of a document.
    Refused {
        /// The document's name.
        name: String,
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        message: String,
    },
}
