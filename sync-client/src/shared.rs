//! What the handles and the task share: the client without I/O, and who is interested in what.
//!
//! It is locked for as long as an edit, a read or a received message takes, and never while anything is waited for.

use crate::Event;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, broadcast, watch};
use watersmeet_crdt::client::{Client as Core, Notice, Status};
use watersmeet_crdt::session::Code;
use watersmeet_crdt::{ReplicaId, Time};

/// Events that may wait for one receiver before it misses the oldest.
const EVENTS_MAX: usize = 1_024;

pub(crate) struct Shared {
    state: Mutex<State>,
    /// Wakes the task: there is something to send, or to do.
    pub(crate) work: Notify,
}

pub(crate) struct State {
    pub(crate) core: Core,
    pub(crate) watched: HashMap<String, Watched>,
    /// Documents with edits that were not given out, and what is to be shown in documents: see [`give_out`](State::give_out).
    held: BTreeSet<String>,
    presence: BTreeMap<String, Bytes>,
    /// Why there is no connection, if there was a reason.
    pub(crate) trouble: Option<String>,
}

/// Who is interested in a document, and what the core does not keep of it.
pub(crate) struct Watched {
    pub(crate) handles: usize,
    pub(crate) events: broadcast::Sender<Event>,
    /// Stepped whenever something may have changed that is waited for.
    pub(crate) progress: watch::Sender<u64>,
    pub(crate) peers: BTreeMap<u64, Bytes>,
    /// What was told last.
    status: Option<Status>,
}

impl Default for Watched {
    fn default() -> Self {
        Watched {
            handles: 0,
            events: broadcast::Sender::new(EVENTS_MAX),
            progress: watch::Sender::new(0),
            peers: BTreeMap::new(),
            status: None,
        }
    }
}

impl Watched {
    /// Tells everybody who is interested, if anybody is.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
        self.progress.send_modify(|step| *step += 1);
    }
}

impl Shared {
    pub(crate) fn new(replica: ReplicaId) -> Arc<Self> {
        // To the core this is a shell that stores: that holds edits back until they are said to be stored, which here is
        // when the socket can take them.
        let state = State {
            core: Core::new(replica, true),
            watched: HashMap::new(),
            held: BTreeSet::new(),
            presence: BTreeMap::new(),
            trouble: None,
        };
        Arc::new(Shared { state: Mutex::new(state), work: Notify::new() })
    }

    /// A panic in somebody's `read` leaves it as it was.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Holds back what was edited in a document until it is given out.
    pub(crate) fn hold(&mut self, name: &str) {
        if !self.held.contains(name) {
            self.held.insert(name.to_owned());
        }
    }

    /// Holds back what is to be shown; only the latest counts.
    pub(crate) fn present(&mut self, name: &str, state: &[u8]) {
        self.presence.insert(name.to_owned(), Bytes::copy_from_slice(state));
    }

    /// Lets the core send what was held back: of each document one group, and one presence.
    pub(crate) fn give_out(&mut self) {
        for name in std::mem::take(&mut self.held) {
            self.give_out_edits(&name);
        }
        for (name, state) in std::mem::take(&mut self.presence) {
            self.core.present(&name, &state);
        }
    }

    /// Closes a document, giving out what was held back of it.
    pub(crate) fn close(&mut self, name: &str) {
        self.give_out_edits(name);
        self.held.remove(name);
        self.presence.remove(name);
        self.watched.remove(name);
        self.core.close(name);
    }

    fn give_out_edits(&mut self, name: &str) {
        if let Some(version) = self.core.document(name).map(|document| document.version().clone()) {
            self.core.stored(name, version);
        }
    }

    /// Where a document's edits are. This client stores nothing, so none waits to be stored.
    pub(crate) fn status(&self, name: &str) -> Status {
        Status { not_on_device: 0, ..self.core.status(name) }
    }

    /// Passes on what the core has to tell.
    pub(crate) fn publish(&mut self, notice: Notice) {
        match notice {
            Notice::Changed { name, changes, .. } => {
                // Others' edits, or own ones that were written again.
                self.hold(&name);
                self.tell(&name, Event::Changed { changes: changes.into(), local: false });
            }
            Notice::Status { name } => self.on_status(&name),
            Notice::Presence { name, peer, state } => self.on_presence(&name, peer, state),
            Notice::Refused { name, code, message } => self.on_refused(&name, code, message),
            Notice::Failed(violation) => {
                tracing::warn!(%violation, "the connection ended");
                self.trouble = Some(violation.to_string());
            }
        }
    }

    fn tell(&self, name: &str, event: Event) {
        if let Some(watched) = self.watched.get(name) {
            watched.tell(event);
        }
    }

    fn on_status(&mut self, name: &str) {
        let status = self.status(name);
        let Some(watched) = self.watched.get_mut(name) else { return };
        if watched.status.replace(status) == Some(status) {
            return;
        }
        if !status.live {
            // Nobody can be seen without a connection.
            for (peer, _) in std::mem::take(&mut watched.peers) {
                watched.tell(Event::Presence { peer, state: Bytes::new() });
            }
        }
        watched.tell(Event::Status(status));
    }

    fn on_presence(&mut self, name: &str, peer: u64, state: Bytes) {
        let Some(watched) = self.watched.get_mut(name) else { return };
        if state.is_empty() {
            watched.peers.remove(&peer);
        } else {
            watched.peers.insert(peer, state.clone());
        }
        watched.tell(Event::Presence { peer, state });
    }

    fn on_refused(&mut self, name: &str, code: Code, message: String) {
        tracing::warn!(document = name, ?code, message, "refused by the server");
        let Some(watched) = self.watched.get(name) else { return };
        watched.tell(Event::Refused { code, message });
    }
}

/// The wall clock, for stamps and deadlines.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A random number for the share of a wait. Without randomness the wait is a whole one, which is right for one client.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX)
}
