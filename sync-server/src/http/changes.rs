//! `GET /docs/{name}/changes`: what happens to a document, as server-sent events, from any version on.
//!
//! Each event leads to a version, which is also its id: who was cut off sends it as `Last-Event-ID`, as browsers do by
//! themselves, and goes on from there without a gap. There are two forms: deltas for whoever has the engine, and changes
//! as JSON for whoever has not. A reader that is slow costs what a slow socket costs: the mailbox's bounds, and then one
//! group, or one state, that says it all.

use super::docs::{named, rendered};
use super::refusal::Refusal;
use super::sending;
use super::version;
use super::visitor::{Purpose, Visitor};
use crate::hub::Hub;
use crate::mailbox::{Answer, Group, Letters, Told};
use crate::pump::now;
use crate::room::Request;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use watersmeet_crdt::{Lattice, VersionVector};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// A version; nothing, if it is left out.
    #[serde(default)]
    since: String,
    #[serde(default)]
    form: Form,
}

/// As what it is told what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// For those who have the engine.
    #[default]
    Delta,
    /// For those who have not.
    Json,
}

/// What an event says: a delta,
#[derive(Serialize)]
struct Said<'a> {
    /// What a reader has that has applied the delta.
    version: &'a str,
    /// Base64.
    delta: String,
}

/// or changes.
#[derive(Serialize)]
struct Changed<'a> {
    version: &'a str,
    changes: &'a RawValue,
}

pub(super) async fn follow(
    State(hub): State<Arc<Hub>>,
    name: Result<Path<String>, PathRejection>,
    from: Result<Query<From>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let name = named(name)?;
    let Query(from) = from.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let (form, begin) = (from.form, begin(&from.since, &headers)?);
    let is_lost = begin.is_none();
    let has = begin.clone().unwrap_or_default();
    let purpose = match form {
        Form::Delta => Purpose::Join(has.clone()),
        Form::Json => Purpose::Follow(begin),
    };
    let visitor = Visitor::enter(&hub, &headers, &name, purpose).await?;
    let first = visitor.answered().await?;
    // One event waits for the socket; the rest stays in the mailbox, where it is merged.
    let (events, queue) = mpsc::channel(1);
    let follower = Follower { name, visitor, has, is_lost, events, asked: false, form };
    hub.tasks.spawn(follower.run(first));
    let events = stream::unfold((queue, None), async |(mut queue, before)| {
        // The socket has taken the event before.
        drop::<Option<OwnedSemaphorePermit>>(before);
        let Weighed { event, room } = queue.recv().await?;
        Some((Ok::<_, Infallible>(event), (queue, Some(room))))
    });
    let signs_of_life = KeepAlive::new().interval(Duration::from_millis(hub.limits.session.idle_millis));
    Ok(Sse::new(events).keep_alive(signs_of_life).into_response())
}

/// The version to begin after; none if that is not known. Who comes back says where it was, whatever it once began with.
fn begin(since: &str, headers: &HeaderMap) -> Result<Option<VersionVector>, Refusal> {
    let read = |text: &str| {
        version::from_text(text).ok_or_else(|| {
            Refusal::bad_request(format!(
                "{text:?} is no version, which is REPLICA:EVENTS,... as events say it"
            ))
        })
    };
    let since = read(since)?;
    match headers.get("last-event-id").map(|last| last.to_str().unwrap_or("unreadable")) {
        None => Ok(Some(since)),
        Some(version::UNKNOWN) => Ok(None),
        Some(last) => read(last).map(Some),
    }
}

/// An event, and its bytes among all that are being sent.
struct Weighed {
    event: Event,
    room: OwnedSemaphorePermit,
}

/// Passes on what comes to a mailbox, as fast as the reader takes it.
struct Follower {
    name: String,
    visitor: Visitor,
    /// What the reader has, or will have.
    has: VersionVector,
    /// Whether the reader has something, and nobody knows what: only the state helps it.
    is_lost: bool,
    events: mpsc::Sender<Weighed>,
    /// Whether the room was asked for all that the reader lacks.
    asked: bool,
    form: Form,
}

/// The reader has gone, or must go.
struct Over;

impl Follower {
    async fn run(mut self, first: Letters) {
        let stop = self.visitor.hub.stop.clone();
        let expired = until(self.visitor.rights.due(now()));
        let revoked = self.visitor.rights.revoked().cloned().unwrap_or_default();
        tokio::select! {
            _ = self.follow(first) => {}
            () = stop.cancelled() => {}
            () = expired => {}
            () = revoked.cancelled() => {}
        }
    }

    async fn follow(&mut self, first: Letters) -> Result<(), Over> {
        self.deliver(first).await?;
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
            self.asked = false;
            match answer {
                Answer::CaughtUp(state) if self.form == Form::Json => self.show(&state).await?,
                Answer::Opened { group: Some(group), .. } | Answer::CaughtUp(group) => {
                    self.pass_on(&group).await?;
                }
                Answer::Opened { group: None, .. } => self.catch_up().await?,
                Answer::Told(changes) => self.tell_all(&changes).await?,
                // That has ended the visit.
                Answer::Refused { .. } => return Err(Over),
            }
        }
        for group in letters.deltas {
            self.pass_on(&group).await?;
        }
        self.tell_all(&letters.told).await?;
        if letters.lagging.is_empty() { Ok(()) } else { self.catch_up().await }
    }

    async fn pass_on(&mut self, group: &Group) -> Result<(), Over> {
        if !self.has.covers(&group.from) {
            return self.catch_up().await;
        }
        if !self.has.merge(group.to.clone()) {
            return Ok(());
        }
        let (delta, version) = (group.delta().ok_or(Over)?, version::to_text(&self.has));
        let room = self.room(delta.len().div_ceil(3) * 4 + version.len()).await?;
        let delta = BASE64_STANDARD.encode(delta);
        let said = Said { version: &version, delta };
        let event = Event::default().event("delta").json_data(said).map_err(|_| Over)?;
        self.send(Weighed { event, room }, version).await
    }

    async fn tell_all(&mut self, changes: &[Arc<Told>]) -> Result<(), Over> {
        for told in changes {
            self.tell(told).await?;
        }
        Ok(())
    }

    /// Changes are right for whoever has what was there before them.
    async fn tell(&mut self, told: &Told) -> Result<(), Over> {
        if self.has != told.before {
            return if self.has.covers(&told.after) { Ok(()) } else { self.catch_up().await };
        }
        self.has = told.after.clone();
        let version = version::to_text(&self.has);
        let room = self.room(told.changes.len() + version.len()).await?;
        let changes: &RawValue = serde_json::from_str(&told.changes).map_err(|_| Over)?;
        let said = Changed { version: &version, changes };
        let event = Event::default().event("changes").json_data(said).map_err(|_| Over)?;
        self.send(Weighed { event, room }, version).await
    }

    /// Tells the whole state, in place of whatever the reader has.
    async fn show(&mut self, state: &Group) -> Result<(), Over> {
        let before = std::mem::replace(&mut self.has, state.to.clone());
        let was_lost = std::mem::take(&mut self.is_lost);
        // Nothing was ever written to it.
        if self.has.is_empty() && before.is_empty() && !was_lost {
            return Ok(());
        }
        let (room, json) = self.render(state).await?;
        let event = Event::default().event("state").data(str::from_utf8(&json).map_err(|_| Over)?);
        self.send(Weighed { event, room }, version::to_text(&self.has)).await
    }

    /// A state as JSON, and room for it. How large it is shows when it has been made; if there is no room for so much,
    /// it is made again when there is, since who waits must hold nothing.
    async fn render(&self, state: &Group) -> Result<(OwnedSemaphorePermit, Bytes), Over> {
        let hub = &self.visitor.hub;
        let mut bytes = state.frame.len();
        loop {
            let mut room = self.room(bytes).await?;
            let delta = state.delta().ok_or(Over)?;
            let json = rendered(hub, self.name.clone(), delta).await.map_err(|_| Over)?;
            if json.len() <= bytes {
                return Ok((room, json));
            }
            if let Some(more) = sending::more_room(hub, bytes, json.len()) {
                room.merge(more);
                return Ok((room, json));
            }
            bytes = json.len();
        }
    }

    /// Waits until the event before is on its way, and there is room for one of so many bytes.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Over> {
        drop(self.events.reserve().await.map_err(|_| Over)?);
        sending::room(&self.visitor.hub, bytes).await.map_err(|_| Over)
    }

    /// Changes are right only after the version of the event before: so none of them is without an id, or who was cut off
    /// would say an earlier one and be told twice. Deltas do no harm twice.
    async fn send(&mut self, Weighed { mut event, room }: Weighed, version: String) -> Result<(), Over> {
        if version.len() <= version::HEADER_BYTES_MAX {
            event = event.id(version);
        } else if self.form == Form::Json {
            event = event.id(version::UNKNOWN);
        }
        self.visitor.hub.metrics.sent_deltas.inc();
        self.events.send(Weighed { event, room }).await.map_err(|_| Over)
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
