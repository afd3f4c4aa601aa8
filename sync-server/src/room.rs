//! One document and everybody who has it open. One task owns both, so there are no locks around documents.
//!
//! A room takes requests in batches, and does first things first:
//!
//! ```text
//!   take a batch ─▶ apply its edits ─▶ commit them as one delta ─▶ acknowledge the authors
//!                                                               ─▶ send the delta to everybody else
//!                                                               ─▶ answer who wants to join, or lags behind
//! ```
//!
//! **What leaves the room has been committed**: nobody ever sees, or is told to be safe, an edit that a crash could
//! take back. If a commit fails, the document in memory has edits that may not be on disk; it is thrown away and
//! loaded again. While the store fails the document is read as before and edits of it are refused; once the store works
//! again, those who were refused are asked for everything that is lacking.

mod admit;
mod answers;
mod edits;
mod feed;
mod keep;
mod line;
#[cfg(test)]
mod tests;

use crate::Limits;
use crate::access::Subject;
use crate::committer::Committer;
use crate::compactor::Compactor;
use crate::mailbox::{Answer, Group, Mailbox};
use crate::metrics::Metrics;
use crate::outgoing::Outgoing;
use crate::owners::{Owners, Taken};
use crate::replay::Tail;
use crate::rights::Refused;
use crate::rooms::Door;
use crate::store::{Appended, Record, Store, StoreError};
use crate::trace::{self, Arrival};
use admit::Size;
use answers::Answers;
use bytes::Bytes;
use edits::{Edits, News, Sent};
use feed::Feed;
use keep::{Compacting, Loaded, load};
use line::Line;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use watersmeet_crdt::session::Code;
use watersmeet_crdt::{Delta, Document, Lattice, VersionVector};

/// Readers who are sent a delta before others have a turn. The runtime lets a task write no more than twice as often in one
/// turn of its own.
const SENT_AT_ONCE: usize = 64;

/// The number of a connection, never given twice by one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GuestId(pub(crate) u64);

/// What a connection wants of a room.
#[derive(Debug)]
pub(crate) enum Request {
    /// To open the document, of which its peer has `has`.
    Join { guest: GuestId, mailbox: Arc<Mailbox>, has: VersionVector },
    /// To ask or edit, without being told what there is.
    Visit { guest: GuestId, mailbox: Arc<Mailbox> },
    /// To be told what changes in it, from `has` on; the whole state first if nobody knows what its peer has.
    Follow { guest: GuestId, mailbox: Arc<Mailbox>, has: Option<VersionVector> },
    /// To have it open no longer.
    Leave { guest: GuestId },
    /// To edit it.
    Edit(Edit),
    /// To hear what it lacks, since edits of it were not looked at for a while.
    Recall { guest: GuestId },
    /// What a peer lacks that has only `has`.
    CatchUp { guest: GuestId, has: VersionVector },
    /// To be told when all that was asked before has been done.
    Settle { settled: oneshot::Sender<()> },
    /// To show the others an ephemeral state; an empty one takes it back.
    Present { guest: GuestId, state: Bytes },
    /// There is room for an answer to whoever is first in line.
    Room { room: OwnedSemaphorePermit },
    /// What those lack who have that was encoded, and there is room for it; none by a defect.
    Encoded { encoded: Option<(VersionVector, Arc<Group>)>, room: OwnedSemaphorePermit },
    /// To fail as a defect would.
    #[cfg(test)]
    Panic,
}

impl Request {
    /// Who comes in by it, if somebody does, and where their post goes.
    pub(crate) fn arrival(&self) -> Option<(GuestId, Arc<Mailbox>)> {
        match self {
            Request::Join { guest, mailbox, .. }
            | Request::Visit { guest, mailbox }
            | Request::Follow { guest, mailbox, .. } => Some((*guest, mailbox.clone())),
            _ => None,
        }
    }
}

/// A delta that came in.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) guest: GuestId,
    /// As whom it is brought; none if anybody may bring anything.
    pub(crate) author: Option<Subject>,
    pub(crate) delta: Box<Delta>,
    pub(crate) bytes: Bytes,
    /// When it came.
    pub(crate) came: Arrival,
    /// Stands for its bytes among all that wait in the server.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// What all rooms share.
#[derive(Clone)]
pub(crate) struct Needs {
    pub(crate) limits: Arc<Limits>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) owners: Arc<Owners>,
    pub(crate) committer: Committer,
    pub(crate) compactor: Compactor,
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) renderings: Arc<Semaphore>,
    pub(crate) metrics: Arc<Metrics>,
}

/// The document cannot be served any more; the room must end.
#[derive(Debug)]
pub(crate) struct Lost;

struct Guest {
    mailbox: Arc<Mailbox>,
    /// Whether it is told changes, and not deltas.
    follows: bool,
    /// What it shows to the others, under the number of its connection: a number of its own choice could be another's.
    presence: Option<Bytes>,
}

/// See the [module](self).
pub(crate) struct Room {
    name: Arc<str>,
    channel: u32,
    limits: Arc<Limits>,
    store: Arc<dyn Store>,
    owners: Arc<Owners>,
    committer: Committer,
    metrics: Arc<Metrics>,
    outgoing: Arc<Outgoing>,
    renderings: Arc<Semaphore>,
    /// What becomes of what was handed over comes back by it.
    queue: mpsc::WeakSender<Request>,
    /// Shared with who encodes it; what is edited meanwhile is a copy.
    document: Arc<Document>,
    size: Size,
    tail: Tail,
    /// What other servers append.
    following: Option<mpsc::Receiver<Appended>>,
    guests: BTreeMap<GuestId, Guest>,
    /// Who comes in by the batch that is being served: should that be lost, they must hear of it.
    arriving: Vec<(GuestId, Arc<Mailbox>)>,
    /// Whose edits were refused because the store failed: they are asked for them once it works again.
    refused: BTreeSet<GuestId>,
    compactor: Compactor,
    /// A snapshot that is being made, and what it is made of.
    compacting: Option<Compacting>,
    /// What the last snapshot contains.
    compacted: VersionVector,
    /// What changes, if anybody wants to know.
    feed: Option<Feed>,
    /// What was answered to those who lacked something.
    answers: Answers,
    line: Line,
}

impl Room {
    /// Loads the document and opens the room.
    pub(crate) async fn open(door: &Door, needs: &Needs) -> Result<Self, StoreError> {
        let (name, channel, queue) = (door.name.clone(), door.channel, door.requests.downgrade());
        let Loaded { document, tail, following } = load(needs.store.clone(), name.clone()).await?;
        needs.metrics.documents_loaded.inc();
        Ok(Room {
            name,
            channel,
            limits: needs.limits.clone(),
            store: needs.store.clone(),
            owners: needs.owners.clone(),
            committer: needs.committer.clone(),
            metrics: needs.metrics.clone(),
            outgoing: needs.outgoing.clone(),
            renderings: needs.renderings.clone(),
            queue,
            document: Arc::new(document),
            size: Size::at_most(tail.state_bytes_at_most()),
            tail,
            following,
            guests: BTreeMap::new(),
            arriving: Vec::new(),
            refused: BTreeSet::new(),
            compactor: needs.compactor.clone(),
            compacting: None,
            compacted: VersionVector::default(),
            feed: None,
            answers: Answers::default(),
            line: Line::default(),
        })
    }

    /// About the bytes that it takes to write the document down.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.tail.state_bytes_at_most()
    }

    /// Whether nobody has the document open.
    pub(crate) fn is_empty(&self) -> bool {
        self.guests.is_empty()
    }

    /// Does what a batch of requests asks.
    pub(crate) async fn serve(&mut self, batch: Vec<Request>) -> Result<(), Lost> {
        self.arriving = batch.iter().filter_map(Request::arrival).collect();
        let mut edits = Edits::default();
        let mut others = Vec::new();
        for request in batch {
            match request {
                Request::Edit(edit) => match self.committer.is_sound() {
                    true => self.apply(edit, &mut edits).await,
                    false => self.refuse(edit.guest),
                },
                // At once, so that it hears of the edits that follow.
                Request::Visit { guest, mailbox } => {
                    self.guests.insert(guest, Guest { mailbox, presence: None, follows: false });
                }
                other => others.push(other),
            }
        }
        if self.settle(&edits).await.is_err() {
            self.recover(&edits).await?;
        }
        others.into_iter().for_each(|request| self.answer(request));
        self.arriving.clear();
        self.compact_if_long();
        Ok(())
    }

    /// Applies an edit, if nothing is wrong with it. If something is, its author is told, and keeps it.
    async fn apply(&mut self, edit: Edit, edits: &mut Edits) {
        let Edit { guest, author, delta, bytes, came, permit: _permit } = edit;
        let before = self.document.version().clone();
        let (from, to) = (delta.from().clone(), delta.to().clone());
        if before.covers(&from) {
            match self.admit(&delta, bytes.len(), author.as_ref()).await {
                Ok(taken) => edits.taken.extend(taken),
                Err(refused) => return self.turn_down(guest, refused),
            }
        }
        match Arc::make_mut(&mut self.document).apply(delta) {
            Ok(_) => {
                edits.authors.entry(guest).or_default().merge(to.beyond(&from));
                edits.came.push(came);
                if before != *self.document.version() {
                    edits.add(before, Sent { from, to, bytes });
                }
            }
            Err(_gap) => {
                if let Some(guest) = self.guests.get(&guest) {
                    guest.mailbox.lacks(self.channel, before);
                }
            }
        }
    }

    /// Commits what was applied, then acknowledges it and shows it to the others.
    async fn settle(&mut self, edits: &Edits) -> Result<(), Arc<StoreError>> {
        if let Some((delta, group)) = self.delta_of(edits) {
            let bytes = delta.len();
            let claims = edits.taken.iter().flat_map(Taken::claims).collect();
            let record = Record { document: self.name.clone(), delta, claims };
            let span = trace::commit(&self.name, &edits.came, bytes);
            let number = self.committer.append(record, span).await?;
            edits.taken.iter().for_each(Taken::written);
            self.tail.add(number, bytes);
            self.metrics.committed_events.inc_by(edits.news.events(self.document.version()));
            self.answers.clear();
            self.acknowledge(edits);
            // A sole author needs no copy of what it said.
            let mut authors = edits.authors.keys().copied();
            let sole = authors.next().filter(|_| authors.next().is_none());
            self.fan_out(group, sole).await;
            self.tell();
        } else {
            self.acknowledge(edits);
        }
        Ok(())
    }

    /// Tells authors that what they said is on the disk.
    fn acknowledge(&self, edits: &Edits) {
        for (guest, version) in &edits.authors {
            if let Some(guest) = self.guests.get(guest) {
                guest.mailbox.ack(self.channel, version.clone());
            }
        }
        edits.came.iter().for_each(|came| self.metrics.acknowledged(came.elapsed()));
    }

    /// What the batch brought, as one delta: as it came if it is one, and joined if it is several.
    fn delta_of(&self, edits: &Edits) -> Option<(Bytes, Arc<Group>)> {
        match &edits.news {
            News::None => None,
            News::One(_, Sent { from, to, bytes }) => {
                let group = Group::of(self.channel, from.clone(), to.clone(), bytes);
                Some((bytes.clone(), group))
            }
            News::Many(before) => {
                let delta = self.document.since(before);
                let bytes = delta.encode();
                Some((bytes.clone(), Group::new(self.channel, &delta, &bytes)))
            }
        }
    }

    /// Sends a delta to everybody but one. Those for whom there is no room now are told when it is their turn.
    async fn fan_out(&mut self, group: Arc<Group>, but: Option<GuestId>) {
        let group = self.outgoing.try_send(group);
        let readers = self.guests.iter().filter(|(id, guest)| Some(**id) != but && !guest.follows);
        for (count, (_, guest)) in readers.enumerate() {
            // Each takes the system some microseconds, and others wait for their turns.
            if count % SENT_AT_ONCE == SENT_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            match &group {
                Some(group) => guest.mailbox.delta(group.clone()),
                None => guest.mailbox.lag(self.channel),
            }
        }
    }

    /// Tells a guest, once, that its edits are not taken for now.
    fn refuse(&mut self, id: GuestId) {
        if self.guests.contains_key(&id) && self.refused.insert(id) {
            let message = "the server cannot store edits now; keep them, it will ask for them";
            self.tell_refused(id, Refused::new(Code::Unavailable, message));
        }
    }

    fn tell_refused(&self, id: GuestId, refused: Refused) {
        self.metrics.refused(refused.code.name());
        if let Some(guest) = self.guests.get(&id) {
            guest.mailbox.refuse(self.channel, refused);
        }
    }

    /// Tells the author of an edit that was not let in.
    fn turn_down(&self, id: GuestId, refused: Refused) {
        match self.guests.get(&id) {
            // It could not be judged, and nobody would ask for it again: the next connection brings it.
            Some(guest) if refused.code.passes() => guest.mailbox.end(refused.code, refused.message),
            _ => self.tell_refused(id, refused),
        }
    }

    /// Whether some are to be asked again, once the store works.
    pub(crate) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Tells those whose edits were refused what is here, of which they may not have been told, and asks them for
    /// everything that is lacking.
    pub(crate) fn ask_again(&mut self) {
        for id in std::mem::take(&mut self.refused) {
            if let Some(guest) = self.guests.get(&id) {
                guest.mailbox.ack(self.channel, self.document.version().clone());
                guest.mailbox.lacks(self.channel, self.document.version().clone());
            }
        }
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Join { guest, mailbox, has } => self.join(guest, mailbox, has),
            Request::Follow { guest, mailbox, has } => self.follow(guest, mailbox, has.as_ref()),
            Request::Visit { .. } | Request::Edit(_) => {}
            Request::Leave { guest } => {
                self.refused.remove(&guest);
                self.line.leave(guest);
                if let Some(left) = self.guests.remove(&guest) {
                    self.show_absence(guest, &left);
                    left.mailbox.forget(self.channel);
                }
            }
            Request::CatchUp { guest, has } => self.catch_up(guest, &has),
            Request::Present { guest, state } => self.present(guest, state),
            Request::Room { room } => self.take_room(room),
            Request::Encoded { encoded, room } => self.take_encoded(encoded, room),
            #[cfg(test)]
            Request::Panic => panic!("as a test asked for"),
            // Whoever does not wait any more needs no answer.
            Request::Settle { settled } => drop(settled.send(())),
            Request::Recall { guest } => {
                if let Some(guest) = self.guests.get(&guest) {
                    guest.mailbox.lacks(self.channel, self.document.version().clone());
                }
            }
        }
    }

    fn join(&mut self, id: GuestId, mailbox: Arc<Mailbox>, has: VersionVector) {
        // What waits is asked for by who is in.
        let group = self.group_at_once(&has);
        let (name, channel, version) = (self.name.clone(), self.channel, self.document.version().clone());
        mailbox.answer(Answer::Opened { name, channel, has, version, group });
        for (other, guest) in &self.guests {
            if let Some(state) = &guest.presence {
                mailbox.presence(channel, *other, state.clone());
            }
        }
        self.guests.insert(id, Guest { mailbox, presence: None, follows: false });
    }

    fn catch_up(&mut self, id: GuestId, has: &VersionVector) {
        match self.guests.get(&id) {
            Some(guest) if guest.follows => self.tell_follower(id, Some(has)),
            Some(_) => self.tell_since(id, has),
            None => {}
        }
    }

    fn present(&mut self, id: GuestId, state: Bytes) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        guest.presence = (!state.is_empty()).then(|| state.clone());
        self.show(id, &state);
    }

    fn show_absence(&self, id: GuestId, gone: &Guest) {
        if gone.presence.is_some() {
            self.show(id, &Bytes::new());
        }
    }

    /// Shows a state to everybody but the one whose it is.
    fn show(&self, whose: GuestId, state: &Bytes) {
        for (_, guest) in self.guests.iter().filter(|(id, _)| **id != whose) {
            guest.mailbox.presence(self.channel, whose, state.clone());
        }
    }
}
