//! How a document in memory and its log in the store keep in step: loading, following what other servers append,
//! going back to the log after a failure, and having a snapshot take the place of a long one.

use super::{Edits, Lost, Room, Size};
use crate::mailbox::Group;
use crate::replay::{Replayed, Tail, replay};
use crate::rooms::turn_away;
use crate::store::{Appended, Store, StoreError};
use std::sync::Arc;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use watersmeet_crdt::document::Gap;
use watersmeet_crdt::session::Code;
use watersmeet_crdt::{Delta, Document, VersionVector};

/// A document as its log tells it, and what will be appended to that by others.
pub(super) struct Loaded {
    pub(super) document: Document,
    pub(super) tail: Tail,
    pub(super) following: Option<mpsc::Receiver<Appended>>,
}

pub(super) async fn load(store: Arc<dyn Store>, name: Arc<str>) -> Result<Loaded, StoreError> {
    let loading = tokio::task::spawn_blocking(move || {
        let Replayed { document, tail } = replay(&name, store.load(&name)?)?;
        let following = store.follow(&name, tail.last())?;
        Ok(Loaded { document, tail, following })
    });
    // It ends early only by a panic, or when the runtime goes down.
    loading.await.unwrap_or(Err(StoreError::Closed))
}

/// See [`Room::compacting`].
pub(super) struct Compacting {
    answer: oneshot::Receiver<usize>,
    tail: Tail,
    version: VersionVector,
}

impl Room {
    /// After a failed commit: back to what is on disk.
    pub(super) async fn recover(&mut self, edits: &Edits) -> Result<(), Lost> {
        edits.authors.keys().for_each(|guest| self.refuse(*guest));
        self.load_again(edits.before().cloned()).await
    }

    /// Takes what the store has in place of what is in memory, of which the guests have been told up to `told`.
    async fn load_again(&mut self, told: Option<VersionVector>) -> Result<(), Lost> {
        match load(self.store.clone(), self.name.clone()).await {
            Ok(Loaded { document, tail, following }) => {
                self.metrics.documents_loaded.inc();
                // What failed may have been written nonetheless, and nobody has been sent it.
                if told.as_ref() != Some(document.version()) {
                    self.guests.values().for_each(|guest| guest.mailbox.lag(self.channel));
                }
                self.size = Size::at_most(tail.state_bytes_at_most());
                (self.document, self.tail, self.following) = (Arc::new(document), tail, following);
                self.answers.clear();
                self.begin_feed_again();
                Ok(())
            }
            Err(error) => {
                tracing::error!(document = %self.name, %error, "the document could not be loaded again");
                self.dismiss();
                Err(Lost)
            }
        }
    }

    /// Ends everybody's connection: what they have cannot be served. Who was on the way in is turned away.
    pub(crate) fn dismiss(&mut self) {
        for (id, mailbox) in std::mem::take(&mut self.arriving) {
            if !self.guests.contains_key(&id) {
                turn_away(&mailbox, self.name.clone(), self.channel);
            }
        }
        for (_, guest) in std::mem::take(&mut self.guests) {
            guest.mailbox.end(Code::Unavailable, format!("the document {:?} cannot be read now", self.name));
        }
    }

    /// Waits for what other servers append, and takes it into `appended`; for ever if there are none. How much came:
    /// nothing if it could not be kept up with.
    pub(crate) async fn appended(&mut self, appended: &mut Vec<Appended>) -> usize {
        match &mut self.following {
            Some(following) => following.recv_many(appended, self.limits.room_batch).await,
            None => std::future::pending().await,
        }
    }

    /// Applies what other servers appended, and shows it to everybody here: it is as durable as what was appended
    /// from here. If there is nothing it was not possible to keep up, and the log is read again.
    pub(crate) async fn take_in(&mut self, appended: Vec<Appended>) -> Result<(), Lost> {
        let told = self.document.version().clone();
        if appended.is_empty() {
            return self.load_again(Some(told)).await;
        }
        for Appended { number, delta: bytes } in appended {
            let delta = match Delta::decode(&bytes) {
                Ok(delta) => delta,
                // The log is looked at again, and says what is wrong with it.
                Err(_damaged) => return self.load_again(Some(told)).await,
            };
            let group = Group::new(self.channel, &delta, &bytes);
            match Arc::make_mut(&mut self.document).apply(delta) {
                // What was appended from here.
                Ok(false) => {}
                Ok(true) => {
                    self.tail.add(number, bytes.len());
                    self.size.add(bytes.len());
                    self.answers.clear();
                    self.fan_out(group, None).await;
                    self.tell();
                }
                // What comes before it has become a snapshot, before it could be followed.
                Err(Gap { .. }) => return self.load_again(Some(told)).await,
            }
        }
        self.compact_if_long();
        Ok(())
    }

    /// Has a snapshot put in place of the log when replaying that would take long.
    pub(super) fn compact_if_long(&mut self) {
        self.note_compaction();
        if self.compacting.is_none() && self.tail.is_long(&self.limits) {
            let (tail, version) = (self.tail.clone(), self.document.version().clone());
            // If too much else is being compacted, the next batch asks again.
            let answer = self.compactor.compact(self.name.clone());
            self.compacting = answer.map(|answer| Compacting { answer, tail, version });
        }
    }

    /// Notes what became of a snapshot that was asked for.
    fn note_compaction(&mut self) {
        let Some(Compacting { answer, tail, version }) = &mut self.compacting else { return };
        match answer.try_recv() {
            Err(TryRecvError::Empty) => return,
            Ok(bytes) => {
                self.tail.compacted(tail, bytes);
                // Whoever lacks more than a whole tail is told the state, which is smaller than what the log would say
                // of it; so memory follows what is alive in a document, not how often it was edited.
                let before = std::mem::replace(&mut self.compacted, std::mem::take(version));
                Arc::make_mut(&mut self.document).cut_log(&before);
            }
            // It failed, and the log is still there.
            Err(TryRecvError::Closed) => self.tail.put_off(),
        }
        self.compacting = None;
    }
}
