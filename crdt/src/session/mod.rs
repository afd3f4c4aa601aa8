//! One connection between two peers, without I/O: who says what, in which order, about which documents.
//!
//! **Feed it frames and the time, drain [`poll`](Session::poll) until [`Output::Wait`].** It owns no document: it
//! tells its shell what the peer wants ([`Event`]) and is told what to say. So the server (whose documents live in
//! tasks of their own), the native client, the browser and the simulator are four shells over one session.
//!
//! ```text
//!   caller                               listener
//!     │ Hello ─────────────────────────────▶ │   Event::Greeted
//!     │ Open{name, version} ───────────────▶ │   Event::Open
//!     │ ◀───────────────────────────── Hello │   welcome()
//!     │ ◀──── Opened{name, channel, version} │   accept(..)
//!     │ ◀──────────────── Delta (what I lack) │   send(..)
//!     │ Delta (what you lack) ─────────────▶ │   Event::Delta
//!     │ ◀──────────── Ack (it is on my disk) │   acknowledge(..)
//! ```
//!
//! A delta that is large travels in parts, which the shell [takes](Session::take_part) one by one as its socket takes
//! them, so that what is small and urgent never waits behind it. On a slow link it takes minutes; each part that comes is a
//! sign of life, and is answered by one.
//!
//! Bytes from a peer can make [`handle`](Session::handle) return a [`Violation`]. They never panic, and never
//! allocate more than a small multiple of the frame's length.

mod event;
mod frame;
mod limits;
mod packed;
mod parts;
pub mod redirect;
mod token;

pub use event::{Event, Input, Output};
pub use frame::{Frame, PROTOCOL};
pub use limits::{Code, Limits, Violation};
pub use packed::Packed;
pub use token::Token;

use crate::dot::REPLICAS_MAX;
use crate::{Delta, Lattice, ReplicaId, Time, VersionVector};
use bytes::Bytes;
use parts::{Coming, Sending};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "watersmeet.v1";

/// Bytes of a first frame, besides its token: a greeting, or an error with its message.
const GREETING_BYTES: usize = 1 << 10;

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
    limits: Arc<Limits>,
    role: Role,
    replica: ReplicaId,
    state: State,
    heard: Time,
    /// When a sign of life was asked for that has not come.
    pinged: Option<Time>,
    /// Documents that this side asked for and the peer has not granted, or the reverse.
    opening: BTreeSet<String>,
    /// Boxed, since a node of the map has room for eleven and most connections have one.
    channels: BTreeMap<u32, Box<Channel>>,
    /// Channels that this side closed and the peer may still speak on.
    closing: BTreeSet<u32>,
    /// The beginning of a delta that comes in several frames.
    coming: Option<Box<Coming>>,
    /// Whether the peer takes packed parts.
    unpacks: bool,
    /// What is left of one that goes out in several frames.
    sending: Option<Box<Sending>>,
    out: VecDeque<Output>,
}

impl Session {
    /// The end that called, with what proves who it is. It greets at once, and may open documents without waiting for
    /// an answer.
    pub fn call(now: Time, replica: ReplicaId, token: Token, limits: impl Into<Arc<Limits>>) -> Self {
        let mut session = Session::begin(now, replica, limits.into(), Role::Caller);
        session.greet(token);
        session
    }

    /// The end that was called. It waits for a greeting.
    pub fn listen(now: Time, replica: ReplicaId, limits: impl Into<Arc<Limits>>) -> Self {
        Session::begin(now, replica, limits.into(), Role::Listener)
    }

    fn begin(now: Time, replica: ReplicaId, limits: Arc<Limits>, role: Role) -> Self {
        Session {
            state: State::Greeting { deadline: now.plus(limits.handshake_millis) },
            limits,
            role,
            replica,
            heard: now,
            pinged: None,
            opening: BTreeSet::new(),
            channels: BTreeMap::new(),
            closing: BTreeSet::new(),
            coming: None,
            unpacks: false,
            sending: None,
            out: VecDeque::new(),
        }
    }

    fn greet(&mut self, token: Token) {
        self.say(&Frame::Hello { protocol: PROTOCOL, replica: self.replica, token });
        // Only the end that called: a few packed bytes of a stranger would make a server hold many.
        if packed::UNPACKS && self.role == Role::Caller {
            self.say(&Frame::Unpacks);
        }
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
            let idle = self.pinged.unwrap_or(self.heard).plus(self.limits.idle_millis);
            Output::Wait(match self.state {
                State::Greeting { deadline } => deadline.min(idle),
                State::Ready => idle,
                State::Over => Time::from_millis(u64::MAX),
            })
        })
    }

    /// Whether [`poll`](Self::poll) has anything but a wait.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// A peer is given up when it was asked for a sign of life and gave none in time. So a clock that jumps, or a
    /// machine that slept, costs a question and not the connection.
    fn tick(&mut self, now: Time) -> Result<(), Violation> {
        self.bear_clock_set_back(now);
        let since = |then: Time| now.millis().saturating_sub(then.millis());
        let given_up = match (self.state, self.pinged) {
            (State::Greeting { deadline }, _) => now >= deadline,
            (_, Some(asked)) => since(asked) >= self.limits.idle_millis,
            (_, None) => false,
        };
        if given_up {
            return Err(Violation::Silent { millis: since(self.heard) });
        }
        if self.pinged.is_none() && since(self.heard) >= self.limits.idle_millis {
            self.pinged = Some(now);
            self.say(&Frame::Ping);
        }
        Ok(())
    }

    /// No time that was noted may lie in the future.
    fn bear_clock_set_back(&mut self, now: Time) {
        self.heard = self.heard.min(now);
        self.pinged = self.pinged.map(|asked| asked.min(now));
        if let State::Greeting { deadline } = &mut self.state {
            *deadline = (*deadline).min(now.plus(self.limits.handshake_millis));
        }
    }

    fn receive(&mut self, now: Time, bytes: &[u8]) -> Result<(), Violation> {
        let limit = match self.state {
            State::Greeting { .. } => self.limits.frame_bytes.min(self.limits.token_bytes + GREETING_BYTES),
            _ => self.limits.frame_bytes,
        };
        if bytes.len() > limit {
            return Err(Violation::TooLarge { bytes: bytes.len(), limit });
        }
        let frame = Frame::decode(bytes).ok_or(Violation::NotAFrame)?;
        (self.heard, self.pinged) = (now, None);
        match (self.state, frame) {
            (_, Frame::Error { code, message }) => {
                Err(Violation::Ended { code, message: message.to_owned() })
            }
            (State::Greeting { .. }, Frame::Hello { protocol, replica, token }) => {
                self.greeted(protocol, replica, token)
            }
            (State::Greeting { .. }, frame) => Err(out_of_order(&frame, "before the greeting")),
            (_, frame) => self.converse(now, frame),
        }
    }

    fn greeted(&mut self, protocol: u16, replica: ReplicaId, token: Token) -> Result<(), Violation> {
        if protocol != PROTOCOL {
            return Err(Violation::Incompatible { theirs: protocol });
        }
        if token.len() > self.limits.token_bytes {
            return Err(Violation::Limit { what: "bytes of a token", limit: self.limits.token_bytes });
        }
        self.state = State::Ready;
        if self.role == Role::Listener {
            self.tell(Event::Greeted { replica, token });
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
            frame if self.role == Role::Listener && frame.is_an_answer() => {
                Err(out_of_order(&frame, "from the end that called"))
            }
            Frame::Open { .. } if self.role == Role::Caller => {
                Err(out_of_order(&frame, "from the end that was called"))
            }
            Frame::Open { name, version } => self.asked(name, version),
            Frame::Opened { name, channel, version } => self.granted(name, channel, version),
            Frame::Close { channel } => {
                self.channel(channel, "Close")?;
                self.forget(channel);
                self.say(&Frame::Close { channel });
                self.tell(Event::Closed { channel });
                Ok(())
            }
            Frame::Part { channel, delta } => self.part(channel, delta),
            Frame::Packed { channel, delta } => self.packed_part(channel, delta),
            Frame::Unpacks => {
                self.unpacks = true;
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
            Frame::Redirect { url } => {
                self.tell(Event::Redirected { url: url.to_owned() });
                Ok(())
            }
            Frame::Refused { name, code, message } => {
                self.opening.remove(name);
                self.tell(Event::Refused { name: name.to_owned(), code, message: message.to_owned() });
                Ok(())
            }
        }
    }

    fn asked(&mut self, name: &str, version: VersionVector) -> Result<(), Violation> {
        if self.channels.values().any(|channel| channel.name == name) || self.opening.contains(name) {
            return Err(Violation::OutOfOrder { frame: "Open", when: "for a document that is open" });
        }
        if let Some((code, message)) = self.refusal(name) {
            self.say(&Frame::Refused { name, code, message: &message });
            return Ok(());
        }
        self.opening.insert(name.to_owned());
        self.tell(Event::Open { name: name.to_owned(), version });
        Ok(())
    }

    /// Why a document may not be opened, if so.
    fn refusal(&self, name: &str) -> Option<(Code, String)> {
        let documents = self.limits.documents;
        if !self.limits.allows_name(name) {
            return Some((Code::Name, self.limits.names_allowed()));
        }
        let open = self.channels.len() + self.opening.len();
        (open >= documents)
            .then(|| (Code::Limit, format!("a connection may have {documents} documents open; close one")))
    }

    fn granted(&mut self, name: &str, channel: u32, version: VersionVector) -> Result<(), Violation> {
        if self.channels.contains_key(&channel) || !self.opening.remove(name) {
            return Err(Violation::OutOfOrder {
                frame: "Opened",
                when: "for a document that was not asked for",
            });
        }
        let open = Channel { name: name.to_owned(), peer_has: version.clone() };
        self.channels.insert(channel, Box::new(open));
        self.tell(Event::Opened { name: name.to_owned(), channel, version });
        Ok(())
    }

    fn whole_delta(&mut self, now: Time, channel: u32, bytes: Bytes) -> Result<(), Violation> {
        let name = self.channel(channel, "Delta")?.name.clone();
        let delta = Delta::decode(&bytes)?;
        if self.role == Role::Listener
            && let Some(message) = self.limits.is_ahead(now, &delta)
        {
            self.refuse(&name, Code::ClockSkew, &message);
            return Ok(());
        }
        let peer_has = &mut self.channel(channel, "Delta")?.peer_has;
        // What a peer claims to have is kept before anybody has judged it.
        let more = delta.to().iter().filter(|(replica, _)| peer_has.seq(*replica) == 0).count();
        if peer_has.len() + more > REPLICAS_MAX {
            return Err(Violation::Limit { what: "replicas in a document", limit: REPLICAS_MAX });
        }
        peer_has.merge(delta.to().clone());
        self.tell(Event::Delta { channel, delta: Box::new(delta), bytes });
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
            .map(Box::as_mut)
            .ok_or(Violation::OutOfOrder { frame, when: "on a channel that is not open" })
    }

    /// Nothing more comes or goes on a channel.
    fn forget(&mut self, channel: u32) {
        self.channels.remove(&channel);
        self.coming.take_if(|coming| coming.channel == channel);
        self.sending.take_if(|sending| sending.channel == channel);
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
    /// Lets a caller in who has [greeted](Event::Greeted), by greeting back. Whoever hears no greeting is not in.
    pub fn welcome(&mut self) {
        if self.state == State::Ready {
            self.greet(Token::default());
        }
    }

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
            self.channels.insert(channel, Box::new(Channel { name: name.to_owned(), peer_has }));
        }
    }

    /// Refuses a document, or something of it.
    pub fn refuse(&mut self, name: &str, code: Code, message: &str) {
        self.opening.remove(name);
        self.say(&Frame::Refused { name, code, message });
    }

    /// Closes a channel.
    pub fn close(&mut self, channel: u32) {
        if self.channels.contains_key(&channel) {
            if self.is_sending_on(channel) {
                self.hurry();
            }
            self.forget(channel);
            self.closing.insert(channel);
            self.say(&Frame::Close { channel });
        }
    }

    /// What the peer has of an open document, or will have once it reads what was sent.
    pub fn peer_has(&self, channel: u32) -> Option<&VersionVector> {
        self.channels.get(&channel).map(|channel| &channel.peer_has)
    }

    /// Corrects what the peer is thought to have, because it refused some of what was sent.
    pub fn believe(&mut self, channel: u32, peer_has: VersionVector) {
        if let Some(open) = self.channels.get_mut(&channel) {
            open.peer_has = peer_has;
        }
    }

    /// The name of an open document.
    pub fn name(&self, channel: u32) -> Option<&str> {
        self.channels.get(&channel).map(|channel| channel.name.as_str())
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

    /// Names another server, to go to when this connection ends.
    pub fn redirect(&mut self, url: &str) {
        if self.state == State::Ready {
            self.say(&Frame::Redirect { url });
        }
    }

    /// Ends the connection, saying why.
    pub fn end(&mut self, code: Code, message: &str) {
        if self.state != State::Over {
            self.say(&Frame::Error { code, message });
            self.state = State::Over;
            self.channels.clear();
            (self.coming, self.sending) = (None, None);
        }
    }
}

fn out_of_order(frame: &Frame<'_>, when: &'static str) -> Violation {
    Violation::OutOfOrder { frame: frame.kind(), when }
}
