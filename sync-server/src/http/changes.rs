//! `GET /docs/{name}/changes`: what happens to a document, as server-sent events, from any version on.
//!
//! Each event carries a delta and the version that it leads to, which is also its id: who was cut off sends it as
//! `Last-Event-ID`, as browsers do by themselves, and goes on from there without a gap. A reader that is slow costs what
//! a slow socket costs: the mailbox's bounds, and then one group that says it all.

use super::docs::named;
use super::refusal::Refusal;
use super::version;
use super::visitor::Visitor;
use crate::hub::Hub;
use crate::mailbox::{Answer, Group, Letters};
use crate::pump::now;
use crate::room::Request;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use watersmeet_crdt::{Lattice, VersionVector};

#[derive(Deserialize)]
pub(super) struct From {
    /// A version; nothing, if it is left out.
    #[serde(default)]
    since: String,
}

/// What an event says.
#[derive(Serialize)]
struct Said<'a> {
    /// What a reader has that has applied the delta.
    version: &'a str,
    /// Base64.
    delta: String,
}

pub(super) async fn follow(
    State(hub): State<Arc<Hub>>,
    name: Result<Path<String>, PathRejection>,
    from: Result<Query<From>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let name = named(name)?;
    let has = begin(from, &headers)?;
    let visitor = Visitor::enter(&hub, &headers, &name, Some(has.clone())).await?;
    let (group, _) = visitor.opened().await?;
    // One event waits for the socket; the rest stays in the mailbox, where it is merged.
    let (events, queue) = mpsc::channel(1);
    let follower = Follower { visitor, has, events, asked: false };
    hub.tasks.spawn(follower.run(group));
    let events = stream::unfold(queue, async |mut queue: mpsc::Receiver<Event>| {
        queue.recv().await.map(|event| (Ok::<_, Infallible>(event), queue))
    });
    let signs_of_life = KeepAlive::new().interval(Duration::from_millis(hub.limits.session.idle_millis));
    Ok(Sse::new(events).keep_alive(signs_of_life).into_response())
}

/// The version to begin after. Who comes back says where it was, whatever it once began with.
fn begin(from: Result<Query<From>, QueryRejection>, headers: &HeaderMap) -> Result<VersionVector, Refusal> {
    let Query(From { since }) = from.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let last = headers.get("last-event-id").map(|last| last.to_str().unwrap_or("unreadable").to_owned());
    let text = last.unwrap_or(since);
    version::from_text(&text).ok_or_else(|| {
        Refusal::bad_request(format!("{text:?} is no version, which is REPLICA:EVENTS,... as events say it"))
    })
}

/// Passes on what comes to a mailbox, as fast as the reader takes it.
struct Follower {
    visitor: Visitor,
    /// What the reader has, or will have.
    has: VersionVector,
    events: mpsc::Sender<Event>,
    /// Whether the room was asked for all that the reader lacks.
    asked: bool,
}

/// The reader has gone, or must go.
struct Over;

impl Follower {
    async fn run(mut self, first: Arc<Group>) {
        let stop = self.visitor.hub.stop.clone();
        let expired = until(self.visitor.rights.due(now()));
        tokio::select! {
            _ = self.follow(first) => {}
            () = stop.cancelled() => {}
            () = expired => {}
        }
    }

    async fn follow(&mut self, first: Arc<Group>) -> Result<(), Over> {
        self.pass_on(&first).await?;
        loop {
            // Not before there is room for an event.
            drop(self.events.reserve().await.map_err(|_| Over)?);
            let letters = tokio::select! {
                letters = self.visitor.letters() => letters.map_err(|_| Over)?,
                () = self.events.closed() => return Err(Over),
            };
            self.deliver(letters).await?;
        }
    }

    async fn deliver(&mut self, letters: Letters) -> Result<(), Over> {
        for answer in letters.answers {
            if let Answer::CaughtUp(group) = answer {
                self.asked = false;
                self.pass_on(&group).await?;
            }
        }
        for group in letters.deltas {
            self.pass_on(&group).await?;
        }
        if letters.lagging.is_empty() { Ok(()) } else { self.catch_up().await }
    }

    async fn pass_on(&mut self, group: &Group) -> Result<(), Over> {
        if !self.has.covers(&group.from) {
            return self.catch_up().await;
        }
        if !self.has.merge(group.to.clone()) {
            return Ok(());
        }
        let delta = group.delta().ok_or(Over)?;
        let version = version::to_text(&self.has);
        let said = Said { version: &version, delta: BASE64_STANDARD.encode(delta) };
        let mut event = Event::default().event("delta").json_data(said).map_err(|_| Over)?;
        if version.len() <= version::HEADER_BYTES_MAX {
            event = event.id(version);
        }
        self.visitor.hub.metrics.sent_deltas.inc();
        self.events.send(event).await.map_err(|_| Over)
    }

    /// Asks the room, once, for all that the reader lacks.
    async fn catch_up(&mut self) -> Result<(), Over> {
        if std::mem::replace(&mut self.asked, true) {
            return Ok(());
        }
        let (guest, has) = (self.visitor.guest, self.has.clone());
        self.visitor.ask(Request::CatchUp { guest, has }).await.map_err(|_| Over)
    }
}

/// Done at a time of the wall clock.
async fn until(due: watersmeet_crdt::Time) {
    let left = due.millis().saturating_sub(now().millis());
    tokio::time::sleep(Duration::from_millis(left)).await;
}
