//! What a peer may fill, and why a conversation is refused or ended.

use super::{PROTOCOL, SUBPROTOCOL};
use crate::document::DecodeError;
use crate::{Delta, Time};
use serde::{Deserialize, Serialize};

/// Everything that a peer can fill, by name.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// Bytes of one delta, which may come in several frames.
    pub delta_bytes: usize,
    /// Bytes of a part: a larger delta is sent in parts. On the slowest link that is to work, one passes in less than
    /// [`idle_millis`](Self::idle_millis).
    pub part_bytes: usize,
    /// Documents open on one connection.
    pub documents: usize,
    /// Bytes of a document's name.
    pub name_bytes: usize,
    /// Bytes of a caller's token.
    pub token_bytes: usize,
    /// Bytes of a presence state.
    pub presence_bytes: usize,
    /// How far ahead of ours a caller's clock may be, in milliseconds.
    pub clock_skew_millis: u64,
    /// How long to wait for the peer's first frame, in milliseconds.
    pub handshake_millis: u64,
    /// How long a connection may be silent before a sign of life is asked for, in milliseconds. After twice as long
    /// it is given up.
    pub idle_millis: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            frame_bytes: 1 << 20,
            delta_bytes: 128 << 20,
            part_bytes: 32 << 10,
            documents: 64,
            name_bytes: 256,
            token_bytes: 8 << 10,
            presence_bytes: 1_024,
            clock_skew_millis: 24 * 3_600_000,
            handshake_millis: 10_000,
            idle_millis: 10_000,
        }
    }
}

impl Limits {
    /// Whether a document can have that name.
    pub fn allows_name(&self, name: &str) -> bool {
        !name.is_empty() && name.len() <= self.name_bytes && !name.chars().any(char::is_control)
    }

    /// Which names are [allowed](Self::allows_name), for people.
    pub fn names_allowed(&self) -> String {
        format!("a document's name has 1 to {} bytes and no control characters", self.name_bytes)
    }

    /// Whether the clock of a delta's author is too far ahead of `now`; then what to tell them.
    pub fn is_ahead(&self, now: Time, delta: &Delta) -> Option<String> {
        let ahead = delta.latest().time().millis().saturating_sub(now.millis());
        (ahead > self.clock_skew_millis).then(|| {
            format!("the sender's clock is {} s ahead; set it, and the edits will be sent", ahead / 1_000)
        })
    }
}

/// Why something was refused or ended, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Code {
    /// Bytes that are no frame, or no delta.
    Malformed,
    /// Larger than a named limit.
    TooLarge,
    /// A frame that must not come here or now.
    OutOfOrder,
    /// A protocol that is not spoken here.
    Incompatible,
    /// Nothing was heard for too long.
    Silent,
    /// More than a named limit allows.
    Limit,
    /// A name that no document can have.
    Name,
    /// A clock that is too far ahead.
    ClockSkew,
    /// The document cannot be read or written now.
    Unavailable,
    /// The server is going down; connect again.
    Shutdown,
    /// There is no token, or none that this server accepts.
    Unauthenticated,
    /// The token has expired; connect again with another.
    Expired,
    /// The token gives no right to that.
    Forbidden,
    /// Events of a replica that belongs to somebody else.
    Author,
    /// An event that the server has with another content.
    Equivocation,
    /// Too many edits in too short a time. The server says what it lacks when it takes more.
    Rate,
    /// The document would become larger than it may be.
    Full,
}

impl Code {
    /// Whether it passes without anybody's doing, so that waiting helps.
    pub fn passes(self) -> bool {
        matches!(self, Code::Unavailable | Code::Rate | Code::Shutdown | Code::Silent)
    }

    /// Its name in logs, metrics and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Code::Malformed => "malformed",
            Code::TooLarge => "too-large",
            Code::OutOfOrder => "out-of-order",
            Code::Incompatible => "incompatible",
            Code::Silent => "silent",
            Code::Limit => "limit",
            Code::Name => "name",
            Code::ClockSkew => "clock-skew",
            Code::Unavailable => "unavailable",
            Code::Shutdown => "shutdown",
            Code::Unauthenticated => "unauthenticated",
            Code::Expired => "expired",
            Code::Forbidden => "forbidden",
            Code::Author => "author",
            Code::Equivocation => "equivocation",
            Code::Rate => "rate",
            Code::Full => "full",
        }
    }
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Bytes that are not a frame.
    #[error("these bytes are not a frame of {SUBPROTOCOL}")]
    NotAFrame,
    /// A delta that cannot be decoded.
    #[error("malformed delta: {0}")]
    Malformed(#[from] DecodeError),
    /// A frame that is larger than [`Limits::frame_bytes`], or a delta than [`Limits::delta_bytes`].
    #[error("a frame or delta of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// The frame's length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A frame that must not come here or now.
    #[error("a frame of kind {frame} must not come {when}")]
    OutOfOrder {
        /// The frame's kind.
        frame: &'static str,
        /// What was wrong about its place.
        when: &'static str,
    },
    /// Another protocol.
    #[error("the peer speaks protocol {theirs}, this is {PROTOCOL}")]
    Incompatible {
        /// The peer's protocol.
        theirs: u16,
    },
    /// Nothing was heard for too long.
    #[error("nothing was heard for {millis} ms")]
    Silent {
        /// How long.
        millis: u64,
    },
    /// More than a limit allows.
    #[error("more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The peer ended the connection and said why.
    #[error("the peer ended the connection: {message}")]
    Ended {
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        message: String,
    },
}

impl Violation {
    /// The code that the peer is told.
    pub fn code(&self) -> Code {
        match self {
            Violation::NotAFrame | Violation::Malformed(_) => Code::Malformed,
            Violation::TooLarge { .. } => Code::TooLarge,
            Violation::OutOfOrder { .. } => Code::OutOfOrder,
            Violation::Incompatible { .. } => Code::Incompatible,
            Violation::Silent { .. } => Code::Silent,
            Violation::Limit { .. } => Code::Limit,
            Violation::Ended { code, .. } => *code,
        }
    }
}
