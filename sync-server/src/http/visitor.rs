//! A program that comes by HTTP. To a room it is a guest like any other: it asks by the same requests and is answered
//! through the same kind of mailbox, so there is no second way to a document.

use super::refusal::Refusal;
use crate::hub::Hub;
use crate::mailbox::{Answer, Capacity, Group, Letters, Mailbox};
use crate::pump::now;
use crate::rights::Rights;
use crate::room::{GuestId, Request};
use crate::rooms::Door;
use axum::http::HeaderMap;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use watersmeet_crdt::VersionVector;
use watersmeet_crdt::session::{Code, Token};

/// What somebody comes for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// To ask or edit.
    Visit,
    /// To be told what there is beyond a version, and whatever comes.
    Join(VersionVector),
    /// The same, as changes; the whole state first if it is not known at which version it is.
    Follow(Option<VersionVector>),
}

/// See the [module](self). It leaves the room when it is dropped, as it is when its client goes away.
pub(super) struct Visitor {
    pub(super) hub: Arc<Hub>,
    pub(super) guest: GuestId,
    pub(super) mailbox: Arc<Mailbox>,
    door: Door,
    pub(super) rights: Rights,
    permit: Option<OwnedSemaphorePermit>,
}

/// What a visitor counts for, among all connections and among its subject's, until it is dropped.
pub(super) struct Stay {
    _permit: Option<OwnedSemaphorePermit>,
    _rights: Rights,
}

impl Visitor {
    /// Goes into the room of `name`, if it may.
    pub(super) async fn enter(
        hub: &Arc<Hub>,
        headers: &HeaderMap,
        name: &str,
        purpose: Purpose,
    ) -> Result<Self, Refusal> {
        if !hub.limits.session.allows_name(name) {
            return Err(Refusal::of_code(Code::Name, hub.limits.session.names_allowed()));
        }
        let rights = rights(hub, headers)?;
        rights.may_open(name).map_err(Refusal::of)?;
        if hub.stop.is_cancelled() {
            return Err(Refusal::stopping());
        }
        let (guest, permit) = hub.admit().ok_or_else(Refusal::no_connection)?;
        let limits = &hub.limits;
        let capacity = Capacity { bytes: limits.mailbox_bytes, deltas: limits.mailbox_deltas };
        let mailbox = Arc::new(Mailbox::new(capacity, hub.metrics.queue_drops.clone()));
        let door = loop {
            let Some(door) = hub.rooms.door(name) else {
                return Err(Refusal::unavailable("too many documents are open at this server"));
            };
            let mailbox = mailbox.clone();
            let request = match purpose.clone() {
                Purpose::Visit => Request::Visit { guest, mailbox },
                Purpose::Join(has) => Request::Join { guest, mailbox, has },
                Purpose::Follow(has) => Request::Follow { guest, mailbox, has },
            };
            if door.requests.send(request).await.is_ok() {
                break door;
            }
            // The room ended just now; the next one is another.
        };
        Ok(Visitor { hub: hub.clone(), guest, mailbox, door, rights, permit: Some(permit) })
    }

    /// Asks the room for something.
    pub(super) async fn ask(&self, request: Request) -> Result<(), Refusal> {
        let sent = self.door.requests.send(request).await;
        sent.map_err(|_| Refusal::unavailable("the document is not available now; try again"))
    }

    /// Waits for post.
    pub(super) async fn letters(&self) -> Result<Letters, Refusal> {
        self.mailbox.posted().await;
        let mut letters = self.mailbox.take();
        if let Some((code, message)) = letters.end.take() {
            return Err(Refusal::of_code(code, message));
        }
        if let Some(refused) = letters.refused.remove(&self.channel()) {
            // The room counts what it refuses.
            return Err(Refusal { is_counted: true, ..Refusal::of(refused) });
        }
        let refusal = letters.answers.iter_mut().find_map(|answer| match answer {
            Answer::Refused { code, message, .. } => Some(Refusal::of_code(*code, std::mem::take(message))),
            _ => None,
        });
        refusal.map_or(Ok(letters), Err)
    }

    /// Waits until the room has answered.
    pub(super) async fn answered(&self) -> Result<Letters, Refusal> {
        loop {
            let letters = self.letters().await?;
            if !letters.answers.is_empty() {
                return Ok(letters);
            }
        }
    }

    /// Waits until the room that was joined has told what there is.
    pub(super) async fn opened(&self) -> Result<Arc<Group>, Refusal> {
        loop {
            for answer in self.letters().await?.answers {
                match answer {
                    Answer::Opened { group: Some(group), .. } | Answer::CaughtUp(group) => return Ok(group),
                    // What is large has its turn.
                    Answer::Opened { group: None, has, .. } => {
                        self.ask(Request::CatchUp { guest: self.guest, has }).await?;
                    }
                    _ => {}
                }
            }
        }
    }

    /// What it counts for, which thus may last longer than its visit.
    pub(super) fn stay(&mut self) -> Stay {
        Stay { _permit: self.permit.take(), _rights: std::mem::take(&mut self.rights) }
    }

    /// The room's number in its groups and acknowledgements.
    pub(super) fn channel(&self) -> u32 {
        self.door.channel
    }
}

/// What whoever sent such headers may do.
pub(super) fn rights(hub: &Hub, headers: &HeaderMap) -> Result<Rights, Refusal> {
    let mut rights = Rights::of(hub, headers, now()).map_err(Refusal::of)?;
    // Who shows no token is nobody, who may do everything where everybody may.
    rights.greeted(hub, &Token::default(), now()).map_err(Refusal::of)?;
    Ok(rights)
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let (requests, leave) = (self.door.requests.clone(), Request::Leave { guest: self.guest });
        // A room that has ended has no guests.
        self.hub.tasks.spawn(async move { requests.send(leave).await });
    }
}
