//! The frames of `watersmeet.v1`, one WebSocket message each, coded by postcard; drawn in `docs/wire.md`.

use super::{Code, Token};
use crate::{ReplicaId, VersionVector};
use serde::{Deserialize, Serialize, Serializer};

/// The number of the protocol spoken here.
pub const PROTOCOL: u16 = 3;

/// What the two ends of a connection say to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Frame<'a> {
    /// The first frame of either side, the caller's first.
    Hello {
        /// The protocol's number.
        protocol: u16,
        /// Who speaks.
        replica: ReplicaId,
        /// What proves it, if anything does. The end that was called has none.
        token: Token,
    },
    /// Asks for a document, of which the sender has `version`.
    Open {
        /// The document's name.
        name: &'a str,
        /// What of it the sender has.
        version: VersionVector,
    },
    /// Grants it: from here on it is called `channel`.
    Opened {
        /// The document's name.
        name: &'a str,
        /// Its number, the same for everybody who opens it at this server.
        channel: u32,
        /// What of it the granter has, durably.
        version: VersionVector,
    },
    /// Closes a channel.
    Close {
        /// Which.
        channel: u32,
    },
    /// Events, as [`crate::Delta::encode`] wrote them.
    Delta {
        /// Of which document.
        channel: u32,
        /// The delta's bytes.
        #[serde(serialize_with = "at_once")]
        delta: &'a [u8],
    },
    /// Says that what a delta brought is on disk.
    Ack {
        /// Of which document.
        channel: u32,
        /// How far it extended the version.
        version: VersionVector,
    },
    /// Says that a delta could not be applied: events before it are missing.
    Lacks {
        /// Of which document.
        channel: u32,
        /// What the sender has.
        version: VersionVector,
    },
    /// A peer's ephemeral state, such as its cursor. Empty when it has gone.
    Presence {
        /// In which document.
        channel: u32,
        /// Whose.
        peer: u64,
        /// The state.
        #[serde(serialize_with = "at_once")]
        state: &'a [u8],
    },
    /// Asks for a sign of life.
    Ping,
    /// Gives one.
    Pong,
    /// Refuses something of one document; the others go on.
    Refused {
        /// The document's name.
        name: &'a str,
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        message: &'a str,
    },
    /// Ends the connection.
    Error {
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        message: &'a str,
    },
    /// Bytes of a delta that is too large for one frame; its next `Delta` has the last of them.
    Part {
        /// Of which document.
        channel: u32,
        /// Some of the delta's bytes.
        #[serde(serialize_with = "at_once")]
        delta: &'a [u8],
    },
    /// Says that parts may be packed.
    Unpacks,
    /// As `Part`, packed by itself (raw deflate, RFC 1951).
    Packed {
        /// Of which document.
        channel: u32,
        /// Some of the delta's bytes, packed.
        #[serde(serialize_with = "at_once")]
        delta: &'a [u8],
    },
    /// Names another server, to which the receiver may go when this connection ends.
    Redirect {
        /// Where that is; a URL of WebSockets.
        url: &'a str,
    },
}

impl<'a> Frame<'a> {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Postcard fails on sequences of unknown length only, and a frame has none.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads what [`encode`](Self::encode) wrote; none if it is not a frame. Of a greeting in another protocol it
    /// reads no more than which that is.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let foreign =
            |protocol| Frame::Hello { protocol, replica: ReplicaId::new(0), token: Token::default() };
        if let Some(protocol) = other_protocol(bytes) {
            return Some(foreign(protocol));
        }
        match postcard::take_from_bytes(bytes) {
            // In a longer form of the same numbers.
            Ok((Frame::Hello { protocol, .. }, [])) if protocol != PROTOCOL => Some(foreign(protocol)),
            Ok((frame, [])) => Some(frame),
            _ => None,
        }
    }

    /// The channel it is about, if it is about one.
    pub fn channel(&self) -> Option<u32> {
        match self {
            Frame::Close { channel }
            | Frame::Delta { channel, .. }
            | Frame::Part { channel, .. }
            | Frame::Packed { channel, .. }
            | Frame::Ack { channel, .. }
            | Frame::Lacks { channel, .. }
            | Frame::Presence { channel, .. } => Some(*channel),
            _ => None,
        }
    }

    /// Whether only the end that was called has it to say.
    pub fn is_an_answer(&self) -> bool {
        matches!(
            self,
            Frame::Opened { .. }
                | Frame::Ack { .. }
                | Frame::Refused { .. }
                | Frame::Packed { .. }
                | Frame::Redirect { .. }
        )
    }

    /// What kind of frame it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Frame::Hello { .. } => "Hello",
            Frame::Open { .. } => "Open",
            Frame::Opened { .. } => "Opened",
            Frame::Close { .. } => "Close",
            Frame::Delta { .. } => "Delta",
            Frame::Part { .. } => "Part",
            Frame::Unpacks => "Unpacks",
            Frame::Packed { .. } => "Packed",
            Frame::Ack { .. } => "Ack",
            Frame::Lacks { .. } => "Lacks",
            Frame::Presence { .. } => "Presence",
            Frame::Ping => "Ping",
            Frame::Pong => "Pong",
            Frame::Refused { .. } => "Refused",
            Frame::Error { .. } => "Error",
            Frame::Redirect { .. } => "Redirect",
        }
    }
}

/// Bytes are written together: serde would write a slice of them one by one.
fn at_once<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// The protocol of a greeting, if it is another than this. Every protocol greets by a zero and its number, from 1; what
/// follows is its own affair.
fn other_protocol(bytes: &[u8]) -> Option<u16> {
    let ((0u8, protocol), _) = postcard::take_from_bytes::<(u8, u16)>(bytes).ok()? else { return None };
    (protocol != 0 && protocol != PROTOCOL).then_some(protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden bytes: the protocol does not change unnoticed. They are explained in `docs/wire.md`.
    #[test]
    fn the_frames_hold_still() {
        let version = VersionVector::from_iter([(ReplicaId::new(5), 300)]);
        let state = &[7, 8][..];
        let hello = |token: &str| Frame::Hello {
            protocol: PROTOCOL,
            replica: ReplicaId::new(5),
            token: token.into(),
        };
        let frames: [(Frame<'_>, &[u8]); 17] = [
            (hello(""), &[0, 3, 5, 0]),
            (hello("jwt"), &[0, 3, 5, 3, b'j', b'w', b't']),
            (Frame::Open { name: "map", version: version.clone() }, &[1, 3, b'm', b'a', b'p', 1, 5, 0xac, 2]),
            (
                Frame::Opened { name: "m", channel: 9, version: version.clone() },
                &[2, 1, b'm', 9, 1, 5, 0xac, 2],
            ),
            (Frame::Close { channel: 9 }, &[3, 9]),
            (Frame::Delta { channel: 9, delta: state }, &[4, 9, 2, 7, 8]),
            (Frame::Ack { channel: 9, version: version.clone() }, &[5, 9, 1, 5, 0xac, 2]),
            (Frame::Lacks { channel: 9, version }, &[6, 9, 1, 5, 0xac, 2]),
            (Frame::Presence { channel: 9, peer: 5, state }, &[7, 9, 5, 2, 7, 8]),
            (Frame::Ping, &[8]),
            (Frame::Pong, &[9]),
            (Frame::Refused { name: "m", code: Code::Name, message: "no" }, &[10, 1, b'm', 6, 2, b'n', b'o']),
            (Frame::Error { code: Code::Malformed, message: "no" }, &[11, 0, 2, b'n', b'o']),
            (Frame::Part { channel: 9, delta: state }, &[12, 9, 2, 7, 8]),
            (Frame::Unpacks, &[13]),
            (Frame::Packed { channel: 9, delta: state }, &[14, 9, 2, 7, 8]),
            (Frame::Redirect { url: "ws://b" }, &[15, 6, b'w', b's', b':', b'/', b'/', b'b']),
        ];
        for (frame, bytes) in frames {
            assert_eq!(frame.encode(), bytes, "{}", frame.kind());
            assert_eq!(Frame::decode(bytes), Some(frame));
        }
    }

    #[test]
    fn a_greeting_in_another_protocol_is_the_same_in_any_form() {
        let foreign = Frame::decode(&[0, 63, 0, 0]);
        assert!(matches!(foreign, Some(Frame::Hello { protocol: 63, .. })));
        assert_eq!(Frame::decode(&[0x80, 0, 63, 63, 0]), foreign);
    }

    #[test]
    fn a_frame_with_an_impossible_replica_is_none() {
        let beyond = postcard::to_allocvec(&(0u8, PROTOCOL, u64::MAX, "")).expect("plain numbers");
        assert_eq!(Frame::decode(&beyond), None);
    }

    /// Older and newer peers greet in their own ways, and are to hear that it is the protocol that is wrong.
    #[test]
    fn a_greeting_in_another_protocol_is_understood_as_such() {
        for (bytes, theirs) in
            [(&[0, 1, 5][..], 1), (&[0, 4, 5, 0, 0, 7, 7], 4), (&[0, 0xff, 0xff, 3], 0xffff)]
        {
            match Frame::decode(bytes) {
                Some(Frame::Hello { protocol, .. }) => assert_eq!(protocol, theirs),
                other => panic!("{bytes:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let hello = Frame::Hello { protocol: PROTOCOL, replica: ReplicaId::new(5), token: "secret".into() };
        assert!(!format!("{hello:?}").contains("secret"));
    }
}
