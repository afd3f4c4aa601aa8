//! A client: documents by name that are edited at once, kept, and synced whenever there is a connection. Without I/O.
//!
//! The native client and the browser are thin shells over this. **Do what [`poll`](Client::poll) says until it says
//! [`Action::Wait`].** The promise it keeps: an edit leaves only after the shell has stored it (for shells that
//! store), so that a crash cannot make one replica give one dot to two edits; and what is stored counts as *on the
//! server* only when the server has said that it is on its disk.

use crate::document::{EditError, Transaction};
use crate::session::{Code, Event, Input, Limits, Output, Session, Token, Violation};
use crate::{Change, Delta, Document, Lattice, ReplicaId, Time, VersionVector};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// The first wait before connecting again, in milliseconds; it doubles with every failure.
const BACKOFF_FIRST_MILLIS: u64 = 250;
/// A connection that lasted so long, in milliseconds, was no failure.
const STABLE_MILLIS: u64 = 10_000;
/// The longest wait before connecting again, in milliseconds.
const BACKOFF_MAX_MILLIS: u64 = 15_000;
/// How long after a document was unavailable it is asked for again, in milliseconds.
const UNAVAILABLE_MILLIS: u64 = 5_000;
/// How long after edits were refused for their times it is looked whether the clock has been set, in milliseconds.
const CLOCK_SKEW_MILLIS: u64 = 5_000;
/// How long after a document was too large for an edit it is sent again, in milliseconds.
const FULL_MILLIS: u64 = 5_000;

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send these bytes as one message.
    Send(Bytes),
    /// Open a connection, with a token that is valid now if the server asks for one; then call [`Client::connected`]
    /// or [`Client::disconnected`].
    Connect,
    /// Close the connection; it is no longer of use.
    Disconnect,
    /// Tell whoever is interested.
    Notify(Notice),
    /// Nothing, until that time or until something happens.
    Wait(Time),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A document changed, and not by a call of [`Client::edit`] here.
    Changed {
        /// Which.
        name: String,
        /// Where.
        changes: Vec<Change>,
        /// The delta's bytes, to be stored.
        delta: Bytes,
        /// Of an edit that the client made itself: the version to report as [stored](Client::stored).
        version: Option<VersionVector>,
    },
    /// A document's [status](Client::status) changed.
    Status {
        /// Which document.
        name: String,
    },
    /// Another peer's ephemeral state; empty when it has gone.
    Presence {
        /// In which document.
        name: String,
        /// Whose.
        peer: u64,
        /// The state.
        state: Bytes,
    },
    /// The server refused a document, or edits of it, which are kept. Until that changes,
    /// [`Client::refusal`] tells of it.
    Refused {
        /// Which document.
        name: String,
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        message: String,
    },
    /// The connection ended because one side broke the protocol, or the server said so.
    Failed(Violation),
}

/// What a local edit did.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    /// Where the document changed.
    pub changes: Vec<Change>,
    /// The delta's bytes, to be stored; empty if nothing changed.
    pub delta: Bytes,
    /// The version to report as [stored](Client::stored).
    pub version: VersionVector,
}

/// Why the server does not take a document's edits, or does not open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
}

/// Where a document's edits are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the server has opened the document on the present connection.
    pub live: bool,
    /// Edits that the shell has not stored yet.
    pub not_on_device: u64,
    /// Edits that the server has not acknowledged as durable yet.
    pub not_on_server: u64,
    /// Why the server refuses the document, or edits of it; they are kept.
    pub refused: Option<Code>,
}

#[derive(Debug)]
struct Entry {
    document: Document,
    on_device: VersionVector,
    on_server: VersionVector,
    channel: Option<u32>,
    /// When to ask again for a document that the server could not read.
    ask_again: Option<Time>,
    /// When to look whether the clock that the server refused has been set.
    look_at_clock: Option<Time>,
    refusal: Option<Refusal>,
    hold: Hold,
    presence: Bytes,
    reported: Status,
}

/// Whether edits are held back because the server refused some: it would refuse the next too, or not look at them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    No,
    /// Until that time.
    Until(Time),
    /// Until it says what it lacks, or there is another connection.
    UntilAsked,
}

/// Whether there is a connection, or when there will be.
#[derive(Debug)]
enum Link {
    /// None is wanted.
    Offline,
    /// One is to be tried at that time.
    Waiting { until: Time },
    /// The shell is opening one.
    Connecting,
    /// There is one.
    Online(Box<Session>),
}

/// Documents and the connection that syncs them. See the [module](self).
#[derive(Debug)]
pub struct Client {
    replica: ReplicaId,
    stores: bool,
    limits: Limits,
    link: Link,
    failures: u32,
    connected_at: Time,
    entries: BTreeMap<String, Entry>,
    actions: VecDeque<Action>,
}

impl Client {
    /// A client that edits as `replica`. If it `stores`, its shell stores every delta and says so by
    /// [`stored`](Self::stored), and edits leave only then.
    pub fn new(replica: ReplicaId, stores: bool) -> Self {
        Client {
            replica,
            stores,
            limits: Limits { frame_bytes: 256 << 20, ..Limits::default() },
            link: Link::Offline,
            failures: 0,
            connected_at: Time::default(),
            entries: BTreeMap::new(),
            actions: VecDeque::new(),
        }
    }

    /// Who edits here.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// Opens a document, and keeps it synced from now on.
    pub fn open(&mut self, name: &str) {
        self.insert(name, Document::new(self.replica), VersionVector::default());
    }

    /// Opens a document from what was stored: its deltas in the order they were stored, and what the server was
    /// known to have. Answers with how many deltas could not be applied, because what comes before them is missing.
    /// Whoever stored them in order and finds any has a damaged store, and should neither edit nor delete.
    pub fn restore(
        &mut self,
        name: &str,
        stored: impl IntoIterator<Item = Delta>,
        on_server: VersionVector,
    ) -> usize {
        let mut document = Document::new(self.replica);
        let missing = stored.into_iter().filter_map(|delta| document.apply(delta).err()).count();
        self.insert(name, document, on_server);
        missing
    }

    fn insert(&mut self, name: &str, mut document: Document, on_server: VersionVector) {
        if self.entries.contains_key(name) {
            return;
        }
        document.watch();
        let on_device = document.version().clone();
        if let Link::Online(session) = &mut self.link {
            session.open(name, document.version().clone());
        }
        let entry = Entry {
            document,
            on_device,
            on_server,
            channel: None,
            ask_again: None,
            look_at_clock: None,
            refusal: None,
            hold: Hold::No,
            presence: Bytes::new(),
            reported: Status::default(),
        };
        self.entries.insert(name.to_owned(), entry);
        self.report(name);
    }

    /// Closes a document: it is no longer synced, and no longer here.
    pub fn close(&mut self, name: &str) {
        let Some(entry) = self.entries.remove(name) else { return };
        if let (Link::Online(session), Some(channel)) = (&mut self.link, entry.channel) {
            session.close(channel);
        }
    }

    /// An open document.
    pub fn document(&self, name: &str) -> Option<&Document> {
        self.entries.get(name).map(|entry| &entry.document)
    }

    /// The names of the open documents.
    pub fn names(&self) -> impl Iterator<Item = &str> + '_ {
        self.entries.keys().map(String::as_str)
    }

    /// Where an open document's edits are.
    pub fn status(&self, name: &str) -> Status {
        self.entries.get(name).map(|entry| entry.status(self.stores)).unwrap_or_default()
    }

    /// Why the server refuses an open document, or edits of it, if it does.
    pub fn refusal(&self, name: &str) -> Option<&Refusal> {
        self.entries.get(name)?.refusal.as_ref()
    }

    /// What the server is known to have of an open document, durably.
    pub fn on_server(&self, name: &str) -> Option<&VersionVector> {
        self.entries.get(name).map(|entry| &entry.on_server)
    }

    /// Edits an open document; none if no such document is open.
    ///
    /// # Errors
    /// If an operation is beyond a [limit](crate::document::limits); then nothing is changed.
    pub fn edit(
        &mut self,
        name: &str,
        now: Time,
        edit: impl Into<Transaction>,
    ) -> Result<Option<Edited>, EditError> {
        let Some(entry) = self.entries.get_mut(name) else { return Ok(None) };
        let before = entry.document.version().clone();
        entry.document.commit(now, edit)?;
        let changes = entry.document.take_changes();
        let version = entry.document.version().clone();
        let changed = version != before;
        let delta =
            if changed && self.stores { entry.document.since(&before).encode() } else { Bytes::new() };
        self.flush(name);
        self.report(name);
        Ok(Some(Edited { changes, delta, version }))
    }

    /// Takes in a delta from elsewhere on this device, such as another tab or the store; what changed, or none if
    /// the document is not open or lacks what comes before the delta.
    pub fn take_in(&mut self, name: &str, delta: Delta) -> Option<Vec<Change>> {
        let entry = self.entries.get_mut(name)?;
        entry.document.apply(delta).ok()?;
        let changes = entry.document.take_changes();
        self.flush(name);
        self.report(name);
        Some(changes)
    }

    /// Says that the shell has stored a document up to `version`.
    pub fn stored(&mut self, name: &str, version: VersionVector) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.on_device.merge(version);
        self.flush(name);
        self.report(name);
    }

    /// Shows an ephemeral state to the others who have the document open; an empty one takes it back.
    pub fn present(&mut self, name: &str, state: &[u8]) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.presence = Bytes::copy_from_slice(state);
        if let (Link::Online(session), Some(channel)) = (&mut self.link, entry.channel) {
            session.present_as(channel, self.replica.get(), state);
        }
    }
}

/// The connection.
impl Client {
    /// Wants a connection from now on.
    pub fn go_online(&mut self, now: Time) {
        if matches!(self.link, Link::Offline) {
            self.failures = 0;
            self.link = Link::Waiting { until: now };
        }
    }

    /// Wants no connection.
    pub fn go_offline(&mut self) {
        if matches!(self.link, Link::Connecting | Link::Online(_)) {
            self.actions.push_back(Action::Disconnect);
        }
        self.link = Link::Offline;
        self.unlink();
    }

    /// Tries at once instead of waiting, because the network has come back.
    pub fn hurry(&mut self, now: Time) {
        if let Link::Waiting { until } = &mut self.link {
            *until = now;
        }
    }

    /// Says that the connection is open, and by which token the server may know who calls.
    pub fn connected(&mut self, now: Time, token: Token) {
        if matches!(self.link, Link::Offline) {
            self.actions.push_back(Action::Disconnect);
            return;
        }
        self.connected_at = now;
        let mut session = Session::call(now, self.replica, token, self.limits.clone());
        for (name, entry) in &self.entries {
            session.open(name, entry.document.version().clone());
        }
        self.link = Link::Online(Box::new(session));
    }

    /// Says that the connection is closed or could not be opened. It will be tried again after a wait that doubles
    /// with each failure, of which a random share is taken, so that clients do not all come back at once.
    pub fn disconnected(&mut self, now: Time, random: u64) {
        if matches!(self.link, Link::Offline) {
            return;
        }
        let lasted = now.millis().saturating_sub(self.connected_at.millis());
        if matches!(self.link, Link::Online(_)) && lasted >= STABLE_MILLIS {
            self.failures = 0;
        }
        let longest = (BACKOFF_FIRST_MILLIS << self.failures.min(16)).min(BACKOFF_MAX_MILLIS);
        self.failures = self.failures.saturating_add(1);
        self.link = Link::Waiting { until: now.plus(random % (longest + 1)) };
        self.unlink();
    }

    /// Takes in a message from the server.
    pub fn received(&mut self, now: Time, bytes: &[u8], random: u64) {
        self.handle(now, Input::Frame(bytes), random);
    }

    /// Notes that time has passed.
    pub fn tick(&mut self, now: Time, random: u64) {
        self.handle(now, Input::Tick, random);
    }

    fn handle(&mut self, now: Time, input: Input<'_>, random: u64) {
        let Link::Online(session) = &mut self.link else { return };
        if let Err(violation) = session.handle(now, input) {
            self.drain_session(now);
            self.actions.push_back(Action::Notify(Notice::Failed(violation)));
            self.actions.push_back(Action::Disconnect);
            self.disconnected(now, random);
        }
    }

    /// What to do next.
    pub fn poll(&mut self, now: Time) -> Action {
        let due = self.look_at_clock(now).min(self.ask_again(now)).min(self.send_again(now));
        let session_deadline = self.drain_session(now).min(due);
        if let Some(action) = self.actions.pop_front() {
            return action;
        }
        match &mut self.link {
            // A clock that was set back does not make the wait longer.
            Link::Waiting { until } if *until > now.plus(BACKOFF_MAX_MILLIS) => {
                *until = now.plus(BACKOFF_MAX_MILLIS);
                Action::Wait(*until)
            }
            Link::Waiting { until } if *until <= now => {
                self.link = Link::Connecting;
                Action::Connect
            }
            Link::Waiting { until } => Action::Wait(*until),
            _ => Action::Wait(session_deadline),
        }
    }

    /// Asks again for documents that were unavailable; answers with when the next is due.
    fn ask_again(&mut self, now: Time) -> Time {
        let Link::Online(session) = &mut self.link else { return Time::from_millis(u64::MAX) };
        for (name, entry) in &mut self.entries {
            if entry.ask_again.take_if(|due| *due <= now).is_some() {
                session.open(name, entry.document.version().clone());
            }
        }
        self.entries.values().filter_map(|entry| entry.ask_again).min().unwrap_or(Time::from_millis(u64::MAX))
    }

    /// Writes again what the server refused, once the clock has been set; answers with when to look next.
    fn look_at_clock(&mut self, now: Time) -> Time {
        let due = |entry: &Entry| {
            // A clock that was set back does not make the wait longer.
            entry.look_at_clock.is_some_and(|due| due <= now || due > now.plus(CLOCK_SKEW_MILLIS))
        };
        let names: Vec<String> =
            self.entries.iter().filter(|(_, entry)| due(entry)).map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.restamp(now, name));
        self.entries
            .values()
            .filter_map(|entry| entry.look_at_clock)
            .min()
            .unwrap_or(Time::from_millis(u64::MAX))
    }

    /// Moves what the session wants into actions; answers with when it wants to be woken.
    fn drain_session(&mut self, now: Time) -> Time {
        loop {
            let Link::Online(session) = &mut self.link else { return Time::from_millis(u64::MAX) };
            match session.poll() {
                Output::Send(bytes) => self.actions.push_back(Action::Send(bytes)),
                Output::Wait(until) => return until,
                Output::Event(event) => self.on_event(now, event),
            }
        }
    }

    fn on_event(&mut self, now: Time, event: Event) {
        match event {
            Event::Opened { name, channel, version } => self.on_opened(&name, channel, version),
            Event::Delta { channel, delta, bytes } => self.on_delta(channel, &delta, bytes),
            Event::Acknowledged { channel, version } => {
                let Some(name) = self.name_of(channel) else { return };
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.on_server.merge(version);
                    entry.forget_refusal_if_done();
                }
                self.report(&name);
            }
            Event::Lacks { channel } => {
                let Some(name) = self.name_of(channel) else { return };
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.hold = Hold::No;
                    entry.refusal.take_if(|refusal| refusal.code.passes());
                }
                self.flush(&name);
                self.report(&name);
            }
            Event::Presence { channel, peer, state } => {
                if let Some(name) = self.name_of(channel) {
                    self.notify(Notice::Presence { name, peer, state });
                }
            }
            Event::Refused { name, code, message } => self.on_refused(now, name, Refusal { code, message }),
            Event::Closed { channel } => {
                let Some(name) = self.name_of(channel) else { return };
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.channel = None;
                }
                self.report(&name);
            }
            // The end that calls is never asked for a document.
            Event::Open { .. } | Event::Greeted { .. } => {}
        }
    }

    /// The server does not open a document, or does not take edits of it. What it does not take is kept.
    fn on_refused(&mut self, now: Time, name: String, refusal: Refusal) {
        let code = refusal.code;
        if let (Some(entry), Link::Online(session)) = (self.entries.get_mut(&name), &mut self.link) {
            entry.refusal = Some(refusal.clone());
            match (entry.channel, code) {
                (None, Code::Unavailable | Code::Limit) => {
                    entry.ask_again = Some(now.plus(UNAVAILABLE_MILLIS));
                }
                (Some(channel), Code::Full) => {
                    // Everything together next time: what was removed since may make room for the rest.
                    session.believe(channel, entry.on_server.clone());
                    entry.hold = Hold::Until(now.plus(FULL_MILLIS));
                }
                (
                    Some(_),
                    Code::Unavailable | Code::Rate | Code::Forbidden | Code::Author | Code::Equivocation,
                ) => {
                    entry.hold = Hold::UntilAsked;
                }
                _ => {}
            }
        }
        if code == Code::ClockSkew {
            self.restamp(now, &name);
        }
        let Refusal { code, message } = refusal;
        self.notify(Notice::Refused { name: name.clone(), code, message });
        self.report(&name);
    }

    /// Sends once more what was refused a while ago; answers with when the next is due.
    fn send_again(&mut self, now: Time) -> Time {
        // A clock that was set back does not make the wait longer.
        let is_due = |hold| matches!(hold, Hold::Until(due) if due <= now || due > now.plus(FULL_MILLIS));
        let due = self.entries.iter().filter(|(_, entry)| is_due(entry.hold));
        for name in due.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.hold = Hold::No;
            }
            self.flush(&name);
        }
        let next = self.entries.values().filter_map(|entry| match entry.hold {
            Hold::Until(due) => Some(due),
            _ => None,
        });
        next.min().unwrap_or(Time::from_millis(u64::MAX))
    }

    /// The server refused what was written by a clock that was ahead. If that clock has been set since, what it wrote
    /// is written again; if not, it is looked at again.
    fn restamp(&mut self, now: Time, name: &str) {
        let (Link::Online(session), Some(entry)) = (&mut self.link, self.entries.get_mut(name)) else {
            return;
        };
        let before = entry.document.version().clone();
        entry.document.restamp(now, &entry.on_server);
        let changes = entry.document.take_changes();
        let wrong = *entry.document.version() == before && !entry.on_server.covers(&before);
        entry.look_at_clock = wrong.then(|| now.plus(CLOCK_SKEW_MILLIS));
        if *entry.document.version() == before {
            return;
        }
        if let Some(channel) = entry.channel {
            session.believe(channel, entry.on_server.clone());
        }
        let (delta, version) = (entry.document.since(&before).encode(), entry.document.version().clone());
        self.notify(Notice::Changed { name: name.to_owned(), changes, delta, version: Some(version) });
        self.flush(name);
        self.report(name);
    }

    fn on_opened(&mut self, name: &str, channel: u32, version: VersionVector) {
        let Link::Online(session) = &mut self.link else { return };
        let Some(entry) = self.entries.get_mut(name) else { return session.close(channel) };
        entry.channel = Some(channel);
        // Not merged: should the server have lost something, it will be sent again.
        entry.on_server = version;
        (entry.refusal, entry.hold) = (None, Hold::No);
        if !entry.presence.is_empty() {
            session.present_as(channel, self.replica.get(), &entry.presence);
        }
        self.flush(name);
        self.report(name);
    }

    fn on_delta(&mut self, channel: u32, delta: &Delta, bytes: Bytes) {
        let Some(name) = self.name_of(channel) else { return };
        let (Link::Online(session), Some(entry)) = (&mut self.link, self.entries.get_mut(&name)) else {
            return;
        };
        let sent = delta.to().clone();
        match entry.document.apply(delta) {
            Ok(_) => {
                let changes = entry.document.take_changes();
                // The server sends only what is on its disk.
                entry.on_server.merge(sent);
                entry.forget_refusal_if_done();
                self.notify(Notice::Changed { name: name.clone(), changes, delta: bytes, version: None });
                self.report(&name);
            }
            Err(_) => session.lacks(channel, entry.document.version().clone()),
        }
    }

    /// Sends what the server lacks, once it is stored here.
    fn flush(&mut self, name: &str) {
        let (Link::Online(session), Some(entry)) = (&mut self.link, self.entries.get(name)) else { return };
        let Some(channel) = entry.channel.filter(|_| entry.hold == Hold::No) else { return };
        if self.stores && entry.not_on_device(self.replica) > 0 {
            return;
        }
        let delta = session
            .peer_has(channel)
            .filter(|has| !has.covers(entry.document.version()))
            .map(|has| entry.document.since(has));
        if let Some(delta) = delta {
            session.send(channel, &delta);
        }
    }

    /// Tells when a document's status has changed.
    fn report(&mut self, name: &str) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let status = entry.status(self.stores);
        if status != entry.reported {
            entry.reported = status;
            self.notify(Notice::Status { name: name.to_owned() });
        }
    }

    fn unlink(&mut self) {
        for entry in self.entries.values_mut() {
            entry.channel = None;
            (entry.ask_again, entry.look_at_clock, entry.hold) = (None, None, Hold::No);
        }
        let names: Vec<String> = self.entries.keys().cloned().collect();
        names.iter().for_each(|name| self.report(name));
    }

    fn name_of(&self, channel: u32) -> Option<String> {
        let Link::Online(session) = &self.link else { return None };
        session.name(channel).map(str::to_owned)
    }

    fn notify(&mut self, notice: Notice) {
        self.actions.push_back(Action::Notify(notice));
    }
}

impl Entry {
    fn status(&self, stores: bool) -> Status {
        let replica = self.document.replica();
        Status {
            live: self.channel.is_some(),
            not_on_device: if stores { self.not_on_device(replica) } else { 0 },
            not_on_server: self.document.version().events_beyond(&self.on_server),
            refused: self.refusal.as_ref().map(|refusal| refusal.code),
        }
    }

    /// Once the server has everything, nothing is refused any more.
    fn forget_refusal_if_done(&mut self) {
        if self.channel.is_some() && self.on_server.covers(self.document.version()) {
            (self.refusal, self.hold) = (None, Hold::No);
        }
    }

    /// Edits made here that are not stored. Others' edits need no storing before they count.
    fn not_on_device(&self, replica: ReplicaId) -> u64 {
        self.document.version().seq(replica).saturating_sub(self.on_device.seq(replica))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Frame;

    /// The names that are asked for by what the client sends until it waits, and until when it waits.
    fn asked(client: &mut Client, now: Time) -> (Vec<String>, Time) {
        let mut names = Vec::new();
        loop {
            match client.poll(now) {
                Action::Send(bytes) => {
                    if let Some(Frame::Open { name, .. }) = Frame::decode(&bytes) {
                        names.push(name.to_owned());
                    }
                }
                Action::Wait(until) => return (names, until),
                _ => {}
            }
        }
    }

    #[test]
    fn a_document_that_was_unavailable_is_asked_for_again() {
        let start = Time::from_millis(1_000);
        let mut client = Client::new(ReplicaId::new(1), false);
        client.open("map");
        client.go_online(start);
        asked(&mut client, start);
        client.connected(start, Token::default());
        assert_eq!(asked(&mut client, start).0, ["map"]);
        let hello = Frame::Hello {
            protocol: crate::session::PROTOCOL,
            replica: ReplicaId::new(2),
            token: Token::default(),
        };
        client.received(start, &hello.encode(), 0);
        let refused = Frame::Refused { name: "map", code: Code::Unavailable, message: "not now" };
        client.received(start, &refused.encode(), 0);
        let (names, until) = asked(&mut client, start);
        assert_eq!((names.len(), until), (0, start.plus(UNAVAILABLE_MILLIS)));
        assert_eq!(asked(&mut client, until).0, ["map"]);
        assert_ne!(asked(&mut client, until).1, until, "it would be polled without end");
    }
}
