//! `POST /docs/{name}/deltas`: an edit by a program that holds no socket.
//!
//! It is idempotent by its dots: what comes again brings nothing new and is answered the same. The answer comes when
//! the delta is on disk, not before.

use super::docs::named;
use super::negotiate::DELTA;
use super::refusal::Refusal;
use super::version;
use super::visitor::{Purpose, Visitor};
use crate::hub::Hub;
use crate::pump::now;
use crate::rights::Verdict;
use crate::room::{Edit, Request};
use crate::trace::Arrival;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use std::sync::Arc;
use watersmeet_crdt::session::Code;
use watersmeet_crdt::{Delta, Lattice, VersionVector};

/// What is on disk now.
#[derive(Serialize)]
struct Acknowledged {
    document: String,
    /// The events of the delta, of each of its replicas up to which.
    acknowledged: String,
}

pub(super) async fn post(
    State(hub): State<Arc<Hub>>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let name = named(name)?;
    let mut visitor = Visitor::enter(&hub, &headers, &name, Purpose::Visit).await?;
    may_edit(&mut visitor, &name)?;
    is_a_delta(&headers)?;
    let bytes = read(&hub, body).await?;
    let delta = decoded(&hub, &bytes)?;
    let events = delta.to().beyond(delta.from());
    commit(&visitor, &name, delta, bytes, &events).await?;
    Ok(Json(Acknowledged { document: name, acknowledged: version::to_text(&events) }).into_response())
}

/// Whether it may edit, now.
fn may_edit(visitor: &mut Visitor, name: &str) -> Result<(), Refusal> {
    let channel = visitor.channel();
    match visitor.rights.judge(&visitor.hub, channel, name) {
        Verdict::Refuse(refused) => Err(Refusal::of(refused)),
        // Ignored is only what follows a refusal.
        Verdict::Take | Verdict::Ignore => Ok(()),
    }
}

fn is_a_delta(headers: &HeaderMap) -> Result<(), Refusal> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or(DELTA);
    let media_type = said.split(';').next().unwrap_or_default().trim();
    match [DELTA, "application/octet-stream"].iter().any(|known| media_type.eq_ignore_ascii_case(known)) {
        true => Ok(()),
        false => {
            let message = format!("the body is a delta, {DELTA}, and not {media_type}");
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", message))
        }
    }
}

/// The body, within its limits.
async fn read(hub: &Hub, body: Body) -> Result<Bytes, Refusal> {
    let limit = hub.limits.upload_bytes;
    match tokio::time::timeout(hub.limits.upload, axum::body::to_bytes(body, limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Too long, or broken off; then nobody reads the answer.
        Ok(Err(_)) => {
            Err(Refusal::of_code(Code::TooLarge, format!("a delta has at most {limit} bytes here")))
        }
        Err(_elapsed) => Err(Refusal::of_code(Code::Silent, "the body did not come in time".to_owned())),
    }
}

fn decoded(hub: &Hub, bytes: &Bytes) -> Result<Box<Delta>, Refusal> {
    let delta = Delta::read(bytes.clone())
        .map_err(|error| Refusal::of_code(Code::Malformed, format!("malformed delta: {error}")))?;
    match hub.limits.session.is_ahead(now(), &delta) {
        Some(message) => Err(Refusal::of_code(Code::ClockSkew, message)),
        None => Ok(Box::new(delta)),
    }
}

/// Has the room commit the delta; done when all of it is on disk.
async fn commit(
    visitor: &Visitor,
    name: &str,
    delta: Box<Delta>,
    bytes: Bytes,
    events: &VersionVector,
) -> Result<(), Refusal> {
    let (hub, came) = (&visitor.hub, Arrival::now(visitor.guest, name, bytes.len()));
    hub.metrics.received_deltas.inc();
    let weight = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(hub.limits.inbound_bytes);
    let permit = hub.inbound.clone().acquire_many_owned(weight).await;
    let permit = permit.map_err(|_| Refusal::stopping())?;
    // The body may have been long in coming.
    visitor.rights.is_valid().map_err(Refusal::of)?;
    let author = visitor.rights.author();
    let edit = Edit { guest: visitor.guest, author, delta, bytes, came, permit };
    visitor.ask(Request::Edit(edit)).await?;
    loop {
        let mut letters = visitor.letters().await?;
        if let Some(version) = letters.lacks.remove(&visitor.channel()) {
            return Err(Refusal::gap(&version));
        }
        if letters.acks.get(&visitor.channel()).is_some_and(|acknowledged| acknowledged.covers(events)) {
            return Ok(());
        }
    }
}
