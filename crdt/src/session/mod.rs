//! One connection between two peers, without I/O: who says what, in which order, about which documents.
//!
//! **Feed it frames and the time, drain [`poll`](Session::poll) until [`Output::Wait`].** It owns no document: it
//! tells its shell what the peer wants ([`Event`]) and is told what to say. So the server (whose documents live in
//! tasks of their own), the native client, the browser and the simulator are four shells over one session.
//!
//! ```text
//!   caller                               listener
//!     │ Hello ─────────────────────────────▶ │
//!     │ Open{name, version} ───────────────▶ │   Event::Open
//!     │ ◀───────────────────────────── Hello │
//!     │ ◀──── Opened{name, channel, version} │   accept(..)
//!     │ ◀──────────────── Delta (what I lack) │   send(..)
//!     │ Delta (what you lack) ─────────────▶ │   Event::Delta
//!     │ ◀──────────── Ack (it is on my disk) │   acknowledge(..)
//! ```
//!
//! Bytes from a peer can make [`handle`](Session::handle) return a [`Violation`]. They never panic, and never
//! allocate more than a small multiple of the frame's length.

mod frame;

pub use frame::{Frame, PROTOCOL};

use crate::document::DecodeError;
use crate::{Delta, Lattice, ReplicaId, Time, VersionVector};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "watersmeet.v1";

/// Everything that a peer can fill, by name.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// Documents open on one connection.
    pub documents: usize,
    /// Bytes of a document's name.
    pub name_bytes: usize,
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
            frame_bytes: 16 << 20,
            documents: 64,
            name_bytes: 256,
            presence_bytes: 1_024,
            clock_skew_millis: 24 * 3_600_000,
            handshake_millis: 10_000,
            idle_millis: 10_000,
        }
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
    /// A frame that is larger than [`Limits::frame_bytes`].
    #[error("a frame of {bytes} bytes is larger than the limit of {limit}")]
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
    /// It wants a document, of which it has `version`. Answer by [`Session::accept`] or [`Session::refuse`].
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
        delta: Delta,
        /// As they came.
        bytes: Bytes,
    },
    /// What it was sent is on its disk.
    Acknowledged {
        /// Of which document.
        channel: u32,
        /// How far.
        version: VersionVector,
    },
    /// It lacks more than was thought: send since [`Session::peer_has`].
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

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The peer's first frame has not come.
    Greeting {
        deadline: Time,
    },
    Ready,
    Over,
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Caller,
    Listener,
}

#[derive(Clone, Debug)]
struct Channel {
    name: String,
    /// What the peer has, or will have once it reads what was sent.
    peer_has: VersionVector,
}

/// One end of one connection. See the [module](self).
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    role: Role,
    replica: ReplicaId,
    state: State,
    heard: Time,
    pinged: bool,
    /// Documents that this side asked for and the peer has not granted, or the reverse.
    opening: BTreeSet<String>,
    channels: BTreeMap<u32, Channel>,
    /// Channels that this side closed and the peer may still speak on.
    closing: BTreeSet<u32>,
    out: VecDeque<Output>,
}

impl Session {
    /// The end that called. It greets at once, and may open documents without waiting for an answer.
    pub fn call(now: Time, replica: ReplicaId, limits: Limits) -> Self {
        let mut session = Session::begin(now, replica, limits, Role::Caller);
        session.greet();
        session
    }

    /// The end that was called. It waits for a greeting.
    pub fn listen(now: Time, replica: ReplicaId, limits: Limits) -> Self {
        Session::begin(now, replica, limits, Role::Listener)
    }

    fn begin(now: Time, replica: ReplicaId, limits: Limits, role: Role) -> Self {
        Session {
            state: State::Greeting { deadline: now.plus(limits.handshake_millis) },
            limits,
            role,
            replica,
            heard: now,
            pinged: false,
            opening: BTreeSet::new(),
            channels: BTreeMap::new(),
            closing: BTreeSet::new(),
            out: VecDeque::new(),
        }
    }

    fn greet(&mut self) {
        self.say(&Frame::Hello { protocol: PROTOCOL, replica: self.replica });
    }

    /// Takes in a frame or the passing of time.
    ///
    /// # Errors
    /// If the peer broke the protocol or fell silent, or ended the connection. The session is then over: send what
    /// [`poll`](Self::poll) still has to say, and close.
    pub fn handle(&mut self, now: Time, input: Input<'_>) -> Result<(), Violation> {
        if self.state == State::Over {
            return Ok(());
        }
        let result = match input {
            Input::Frame(bytes) => self.receive(now, bytes),
            Input::Tick => self.tick(now),
        };
        if let Err(violation) = &result {
            self.end(violation.code(), &violation.to_string());
        }
        result
    }

    /// What to do next. Drain it until [`Output::Wait`].
    pub fn poll(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| {
            let idle = self.heard.plus(self.limits.idle_millis << u32::from(self.pinged));
            Output::Wait(match self.state {
                State::Greeting { deadline } => deadline.min(idle),
                State::Ready => idle,
                State::Over => Time::from_millis(u64::MAX),
            })
        })
    }

    fn tick(&mut self, now: Time) -> Result<(), Violation> {
        let silent = now.millis().saturating_sub(self.heard.millis());
        let given_up = match self.state {
            State::Greeting { deadline } => now >= deadline,
            State::Ready | State::Over => silent >= 2 * self.limits.idle_millis,
        };
        if given_up {
            return Err(Violation::Silent { millis: silent });
        }
        if silent >= self.limits.idle_millis && !self.pinged {
            self.pinged = true;
            self.say(&Frame::Ping);
        }
        Ok(())
    }

    fn receive(&mut self, now: Time, bytes: &[u8]) -> Result<(), Violation> {
        if bytes.len() > self.limits.frame_bytes {
            return Err(Violation::TooLarge { bytes: bytes.len(), limit: self.limits.frame_bytes });
        }
        let frame = Frame::decode(bytes).ok_or(Violation::NotAFrame)?;
        (self.heard, self.pinged) = (now, false);
        match (self.state, frame) {
            (_, Frame::Error { code, message }) => {
                Err(Violation::Ended { code, message: message.to_owned() })
            }
            (State::Greeting { .. }, Frame::Hello { protocol, .. }) => self.greeted(protocol),
            (State::Greeting { .. }, frame) => Err(out_of_order(&frame, "before the greeting")),
            (_, frame) => self.converse(now, frame),
        }
    }

    fn greeted(&mut self, protocol: u16) -> Result<(), Violation> {
        if protocol != PROTOCOL {
            return Err(Violation::Incompatible { theirs: protocol });
        }
        self.state = State::Ready;
        if self.role == Role::Listener {
            self.greet();
        }
        Ok(())
    }

    fn converse(&mut self, now: Time, frame: Frame<'_>) -> Result<(), Violation> {
        match frame {
            frame if frame.channel().is_some_and(|channel| self.closing.contains(&channel)) => {
                // Said before the peer heard that the channel is closed; its own Close is the last of it.
                if let Frame::Close { channel } = frame {
                    self.closing.remove(&channel);
                }
                Ok(())
            }
            Frame::Hello { .. } => Err(out_of_order(&frame, "twice")),
            Frame::Open { name, version } => self.asked(name, version),
            Frame::Opened { name, channel, version } => self.granted(name, channel, version),
            Frame::Close { channel } => {
                self.channel(channel, "Close")?;
                self.channels.remove(&channel);
                self.say(&Frame::Close { channel });
                self.tell(Event::Closed { channel });
                Ok(())
            }
            Frame::Delta { channel, delta } => self.delta(now, channel, delta),
            Frame::Ack { channel, version } => {
                self.channel(channel, "Ack")?;
                self.tell(Event::Acknowledged { channel, version });
                Ok(())
            }
            Frame::Lacks { channel, version } => {
                self.channel(channel, "Lacks")?.peer_has = version;
                self.tell(Event::Lacks { channel });
                Ok(())
            }
            Frame::Presence { channel, peer, state } => self.present(channel, peer, state),
            Frame::Ping => {
                self.say(&Frame::Pong);
                Ok(())
            }
            Frame::Pong | Frame::Error { .. } => Ok(()),
            Frame::Refused { name, code, message } => {
                self.opening.remove(name);
                self.tell(Event::Refused { name: name.to_owned(), code, message: message.to_owned() });
                Ok(())
            }
        }
    }

    fn asked(&mut self, name: &str, version: VersionVector) -> Result<(), Violation> {
        if self.role == Role::Caller {
            return Err(Violation::OutOfOrder { frame: "Open", when: "from the end that was called" });
        }
        if self.channels.len() + self.opening.len() >= self.limits.documents {
            return Err(Violation::Limit {
                what: "documents on one connection",
                limit: self.limits.documents,
            });
        }
        if name.is_empty() || name.len() > self.limits.name_bytes || name.chars().any(char::is_control) {
            let message = format!(
                "a document's name has 1 to {} bytes and no control characters",
                self.limits.name_bytes
            );
            self.say(&Frame::Refused { name, code: Code::Name, message: &message });
            return Ok(());
        }
        if self.channels.values().any(|channel| channel.name == name) || !self.opening.insert(name.to_owned())
        {
            return Err(Violation::OutOfOrder { frame: "Open", when: "for a document that is open" });
        }
        self.tell(Event::Open { name: name.to_owned(), version });
        Ok(())
    }

    fn granted(&mut self, name: &str, channel: u32, version: VersionVector) -> Result<(), Violation> {
        if self.channels.contains_key(&channel) || !self.opening.remove(name) {
            return Err(Violation::OutOfOrder {
                frame: "Opened",
                when: "for a document that was not asked for",
            });
        }
        self.channels.insert(channel, Channel { name: name.to_owned(), peer_has: version.clone() });
        self.tell(Event::Opened { name: name.to_owned(), channel, version });
        Ok(())
    }

    fn delta(&mut self, now: Time, channel: u32, bytes: &[u8]) -> Result<(), Violation> {
        let name = self.channel(channel, "Delta")?.name.clone();
        let delta = Delta::decode(bytes)?;
        let ahead = delta.latest().time().millis().saturating_sub(now.millis());
        if self.role == Role::Listener && ahead > self.limits.clock_skew_millis {
            let message = format!("the sender's clock is {} s ahead; set it and edit again", ahead / 1_000);
            self.refuse(&name, Code::ClockSkew, &message);
            return Ok(());
        }
        self.channel(channel, "Delta")?.peer_has.merge(delta.to().clone());
        self.tell(Event::Delta { channel, delta, bytes: Bytes::copy_from_slice(bytes) });
        Ok(())
    }

    fn present(&mut self, channel: u32, peer: u64, state: &[u8]) -> Result<(), Violation> {
        self.channel(channel, "Presence")?;
        if state.len() > self.limits.presence_bytes {
            return Err(Violation::Limit { what: "bytes of presence", limit: self.limits.presence_bytes });
        }
        self.tell(Event::Presence { channel, peer, state: Bytes::copy_from_slice(state) });
        Ok(())
    }

    fn channel(&mut self, channel: u32, frame: &'static str) -> Result<&mut Channel, Violation> {
        self.channels
            .get_mut(&channel)
            .ok_or(Violation::OutOfOrder { frame, when: "on a channel that is not open" })
    }

    fn tell(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    fn say(&mut self, frame: &Frame<'_>) {
        self.out.push_back(Output::Send(frame.encode().into()));
    }
}

/// What the shell has to say.
impl Session {
    /// Asks for a document, of which this side has `version`.
    pub fn open(&mut self, name: &str, version: VersionVector) {
        if self.state != State::Over && self.opening.insert(name.to_owned()) {
            self.say(&Frame::Open { name, version });
        }
    }

    /// Grants a document that the peer asked for, having `peer_has` of it, while this side durably has `version`.
    pub fn accept(&mut self, name: &str, channel: u32, peer_has: VersionVector, version: VersionVector) {
        if self.opening.remove(name) {
            self.say(&Frame::Opened { name, channel, version });
            self.channels.insert(channel, Channel { name: name.to_owned(), peer_has });
        }
    }

    /// Refuses a document, or something of it.
    pub fn refuse(&mut self, name: &str, code: Code, message: &str) {
        self.opening.remove(name);
        self.say(&Frame::Refused { name, code, message });
    }

    /// Closes a channel.
    pub fn close(&mut self, channel: u32) {
        if self.channels.remove(&channel).is_some() {
            self.closing.insert(channel);
            self.say(&Frame::Close { channel });
        }
    }

    /// What the peer has of an open document, or will have once it reads what was sent.
    pub fn peer_has(&self, channel: u32) -> Option<&VersionVector> {
        self.channels.get(&channel).map(|channel| &channel.peer_has)
    }

    /// The name of an open document.
    pub fn name(&self, channel: u32) -> Option<&str> {
        self.channels.get(&channel).map(|channel| channel.name.as_str())
    }

    /// Sends events, if the peer lacks any of them.
    pub fn send(&mut self, channel: u32, delta: &Delta) {
        if self.peer_has(channel).is_some_and(|has| !has.covers(delta.to())) {
            let frame = Frame::Delta { channel, delta: &delta.encode() }.encode().into();
            self.send_encoded(channel, delta.from(), delta.to(), frame);
        }
    }

    /// Sends the frame of a delta that was encoded once for many peers. False if this peer lacks what comes before
    /// it: then send since [`peer_has`](Self::peer_has).
    pub fn send_encoded(
        &mut self,
        channel: u32,
        from: &VersionVector,
        to: &VersionVector,
        frame: Bytes,
    ) -> bool {
        let Some(open) = self.channels.get_mut(&channel) else { return true };
        if !open.peer_has.covers(from) {
            return false;
        }
        if open.peer_has.merge(to.clone()) {
            self.out.push_back(Output::Send(frame));
        }
        true
    }

    /// Says that events are on disk, up to `version`.
    pub fn acknowledge(&mut self, channel: u32, version: VersionVector) {
        if self.channels.contains_key(&channel) {
            self.say(&Frame::Ack { channel, version });
        }
    }

    /// Says that a delta could not be applied, since this side has only `version`.
    pub fn lacks(&mut self, channel: u32, version: VersionVector) {
        if self.channels.contains_key(&channel) {
            self.say(&Frame::Lacks { channel, version });
        }
    }

    /// Shows a peer's ephemeral state; an empty one when it has gone.
    pub fn present_as(&mut self, channel: u32, peer: u64, state: &[u8]) {
        if self.channels.contains_key(&channel) {
            self.say(&Frame::Presence { channel, peer, state });
        }
    }

    /// Ends the connection, saying why.
    pub fn end(&mut self, code: Code, message: &str) {
        if self.state != State::Over {
            self.say(&Frame::Error { code, message });
            self.state = State::Over;
            self.channels.clear();
        }
    }
}

fn out_of_order(frame: &Frame<'_>, when: &'static str) -> Violation {
    Violation::OutOfOrder { frame: frame.kind(), when }
}
