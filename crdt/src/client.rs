//! A client: documents by name that are edited at once, kept, and synced whenever there is a connection. Without I/O.
//!
//! The native client and the browser are thin shells over this. **Do what [`poll`](Client::poll) says until it says
//! [`Action::Wait`]; then, when the socket has taken all that, [take a part](Client::take_part).** The promise it keeps: an edit leaves only after the shell has stored it (for shells that
//! store), so that a crash cannot make one replica give one dot to two edits; and what is stored counts as *on the
//! server* only when the server has said that it is on its disk.

mod hear;
mod link;
mod redirect;
mod refused;

pub use refused::Refusal;

use crate::document::{EditError, Transaction};
use crate::session::{Code, Limits, Session, Violation};
use crate::{Change, Delta, Document, Lattice, ReplicaId, Time, VersionVector};
use bytes::Bytes;
use redirect::Redirects;
use refused::Hold;
use std::collections::{BTreeMap, VecDeque};

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send these bytes as one message.
    Send(Bytes),
    /// Open a connection, with a token that is valid now if the server asks for one; then call [`Client::connected`]
    /// or [`Client::disconnected`].
    Connect {
        /// Where to, this time, if not to the server that the client was set up for: the last one
        /// [named it](Client::follow_redirects).
        redirect: Option<String>,
    },
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
    redirects: Redirects,
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
        // Whatever a server holds.
        Client::with_limits(replica, stores, Limits { delta_bytes: 256 << 20, ..Limits::default() })
    }

    /// As [`new`](Self::new), with other limits of what a server may fill.
    pub fn with_limits(replica: ReplicaId, stores: bool, limits: Limits) -> Self {
        Client {
            replica,
            stores,
            limits,
            redirects: Redirects::default(),
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
        if let Link::Online(session) = &mut self.link
            && session.is_sending()
        {
            // What waited behind a large delta is said before it is too late.
            session.hurry();
            self.flush(name);
        }
        let Some(entry) = self.entries.remove(name) else { return };
        if let (Link::Online(session), Some(channel)) = (&mut self.link, entry.channel) {
            session.close(channel);
        }
        self.flush_all();
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

/// What is shared by what follows from calls and from frames.
impl Client {
    /// Sends what the server lacks, once it is stored here.
    fn flush(&mut self, name: &str) {
        let (Link::Online(session), Some(entry)) = (&mut self.link, self.entries.get(name)) else { return };
        let Some(channel) = entry.channel.filter(|_| entry.hold == Hold::No) else { return };
        if self.stores && entry.not_on_device(self.replica) > 0 {
            return;
        }
        if session.is_sending_on(channel) {
            return;
        }
        let delta = session
            .peer_has(channel)
            .filter(|has| !has.covers(entry.document.version()))
            .map(|has| entry.document.since(has));
        if let Some(delta) = delta {
            // If another large one is under way, it is sent after that.
            let _ = session.send(channel, &delta);
        }
    }

    /// Sends what waited for a large delta that is no longer under way.
    fn flush_all(&mut self) {
        let names: Vec<String> = self.entries.keys().cloned().collect();
        names.iter().for_each(|name| self.flush(name));
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

    /// Edits made here that are not stored. Others' edits need no storing before they count.
    fn not_on_device(&self, replica: ReplicaId) -> u64 {
        self.document.version().seq(replica).saturating_sub(self.on_device.seq(replica))
    }
}
