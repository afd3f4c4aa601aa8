//! One open document.

use crate::shared::{State, now};
use crate::{Client, Error};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};
use watersmeet_crdt::client::{Refusal, Status};
use watersmeet_crdt::document::Transaction;
use watersmeet_crdt::session::Code;
use watersmeet_crdt::{Change, Document, Lattice, VersionVector};

/// What happened to a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It changed.
    Changed {
        /// Where.
        changes: Arc<[Change]>,
        /// Whether by an edit made here.
        local: bool,
    },
    /// Its [status](DocumentHandle::status) changed.
    Status(Status),
    /// Another peer shows itself, or has gone if the state is empty.
    Presence {
        /// Whose.
        peer: u64,
        /// The state.
        state: Bytes,
    },
    /// The server refused something.
    Refused {
        /// Why, for programs.
        code: Code,
        /// Why, for people.
        message: String,
    },
}

/// An open document: edited and read at once, synced whenever there is a connection.
///
/// When the last handle is dropped the document is closed, and what is [not on the
/// server](Status::not_on_server) then is sent at best; wait for [`durable`](Self::durable) first.
#[derive(Clone, Debug)]
pub struct DocumentHandle {
    opened: Arc<Opened>,
}

#[derive(Debug)]
struct Opened {
    client: Client,
    name: String,
    events: broadcast::Sender<Event>,
    progress: watch::Receiver<u64>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.client.release(&self.name);
    }
}

impl DocumentHandle {
    pub(crate) fn new(
        client: Client,
        name: &str,
        events: broadcast::Sender<Event>,
        progress: watch::Receiver<u64>,
    ) -> Self {
        DocumentHandle { opened: Arc::new(Opened { client, name: name.to_owned(), events, progress }) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.opened.name
    }

    /// Edits the document, here and now; the edit is sent in the background. `build` collects operations and must
    /// not use this client.
    ///
    /// # Errors
    /// If an operation is beyond a [limit](watersmeet_crdt::document::limits); then nothing is changed.
    pub fn edit(&self, build: impl FnOnce(&mut Transaction)) -> Result<Arc<[Change]>, Error> {
        let mut transaction = Transaction::default();
        build(&mut transaction);
        let mut state = self.lock();
        let edited = state.core.edit(self.name(), now(), transaction)?;
        state.hold(self.name());
        let changes: Arc<[Change]> = edited.map(|edited| edited.changes).unwrap_or_default().into();
        if let Some(watched) = state.watched.get(self.name()).filter(|_| !changes.is_empty()) {
            watched.tell(Event::Changed { changes: changes.clone(), local: true });
        }
        drop(state);
        self.opened.client.wake();
        Ok(changes)
    }

    /// Reads the document. `read` must not use this client.
    pub fn read<T>(&self, read: impl FnOnce(&Document) -> T) -> T {
        let state = self.lock();
        match state.core.document(self.name()) {
            Some(document) => read(document),
            // A document stays open as long as it has a handle.
            None => read(&Document::new(state.core.replica())),
        }
    }

    /// Why the server refuses the document, or edits of it, if it does. The edits are kept.
    pub fn refusal(&self) -> Option<Refusal> {
        self.lock().core.refusal(self.name()).cloned()
    }

    /// Where this document's edits are.
    pub fn status(&self) -> Status {
        self.lock().status(self.name())
    }

    /// Which events the server is known to have on its disk.
    pub fn on_server(&self) -> VersionVector {
        self.lock().core.on_server(self.name()).cloned().unwrap_or_default()
    }

    /// Waits until everything that was edited here so far is on the server's disk.
    ///
    /// # Errors
    /// If the server refuses the document or the edits, or the client has stopped.
    pub async fn durable(&self) -> Result<(), Error> {
        let replica = self.opened.client.replica();
        let edits = self.read(|document| document.version().seq(replica));
        self.wait_until(|core, name| core.on_server(name).is_some_and(|has| has.seq(replica) >= edits)).await
    }

    /// Waits until this replica has everything that the server has, and the server everything that was edited here.
    ///
    /// # Errors
    /// If the server refuses the document or the edits, or the client has stopped.
    pub async fn synced(&self) -> Result<(), Error> {
        self.wait_until(|core, name| {
            let ours = core.document(name).map(Document::version);
            let theirs = core.on_server(name).filter(|_| core.status(name).live);
            matches!((ours, theirs), (Some(ours), Some(theirs)) if ours.covers(theirs) && theirs.covers(ours))
        })
        .await
    }

    /// What happens from now on. A receiver that falls far behind misses the oldest events and is told so; it should
    /// then [read](Self::read) afresh.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.opened.events.subscribe()
    }

    /// Shows an ephemeral state, such as a cursor, to the others who have the document open; an empty one takes it
    /// back.
    pub fn present(&self, state: &[u8]) {
        self.lock().present(self.name(), state);
        self.opened.client.wake();
    }

    /// What the others show, by peer.
    pub fn peers(&self) -> BTreeMap<u64, Bytes> {
        self.lock().watched.get(self.name()).map(|watched| watched.peers.clone()).unwrap_or_default()
    }

    async fn wait_until(
        &self,
        done: impl Fn(&watersmeet_crdt::client::Client, &str) -> bool,
    ) -> Result<(), Error> {
        let mut progress = self.opened.progress.clone();
        loop {
            progress.mark_unchanged();
            {
                let state = self.lock();
                if done(&state.core, self.name()) {
                    return Ok(());
                }
                self.check_refused(&state)?;
            }
            tokio::select! {
                changed = progress.changed() => changed.map_err(|_| Error::Stopped)?,
                () = self.opened.client.stopped() => return Err(Error::Stopped),
            }
        }
    }

    /// What passes by itself is waited for.
    fn check_refused(&self, state: &State) -> Result<(), Error> {
        match state.core.refusal(self.name()).filter(|refusal| !refusal.code.passes()) {
            Some(Refusal { code, message }) => Err(Error::Refused {
                document: self.name().to_owned(),
                code: *code,
                message: message.clone(),
            }),
            None => Ok(()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.opened.client.lock()
    }
}
