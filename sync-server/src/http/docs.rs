//! `GET /docs`, and `GET /docs/{name}`: which documents there are, and what is in one.

use super::json::Whole;
use super::negotiate::{self, Form};
use super::refusal::Refusal;
use super::sending;
use super::version;
use super::visitor::{Purpose, Visitor, rights};
use crate::hub::Hub;
use crate::rights::Rights;
use crate::store::{Store, StoreError};
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use watersmeet_crdt::{Delta, Document, ReplicaId, VersionVector};

/// The version of what is answered.
pub(super) const VERSION: HeaderName = HeaderName::from_static("watersmeet-version");

/// Names in an answer, where nothing else is asked for, and at most.
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1_000;

/// What follows which name, and how many.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    after: String,
    limit: Option<usize>,
}

/// Names of documents that may be read.
#[derive(Serialize)]
struct Listed {
    documents: Vec<String>,
    /// What to ask for next (`after`); none if that was all.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /docs`: the names of the documents that may be read, in the order of their bytes.
pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, Refusal> {
    let rights = rights(&hub, &headers)?;
    let Query(Page { after, limit }) = page.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Refusal::bad_request(format!("`limit` is from 1 to {PAGE_MAX}")));
    }
    // All names may have to be looked at to find those that may be read: for a few at a time.
    let cannot = || Refusal::unavailable("the documents cannot be listed now");
    let _permit = hub.renderings.acquire().await.map_err(|_| cannot())?;
    let store = hub.rooms.store().clone();
    let listing = tokio::task::spawn_blocking(move || readable(store.as_ref(), &rights, after, limit));
    let documents =
        listing.await.map_err(|_| cannot())?.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let next = documents.last().filter(|_| documents.len() == limit).cloned();
    let mut response = Json(Listed { documents, next }).into_response();
    set_private(response.headers_mut());
    Ok(response)
}

/// The names of so many documents after `after` that may be read. Nothing is told of the others, not even as the place
/// to go on from.
fn readable(
    store: &dyn Store,
    rights: &Rights,
    mut after: String,
    limit: usize,
) -> Result<Vec<String>, StoreError> {
    let mut readable = Vec::new();
    loop {
        let names = store.names(&after, PAGE_MAX)?;
        let last = names.last().cloned();
        readable.extend(names.into_iter().filter(|name| rights.may_open(name).is_ok()));
        match last {
            Some(last) if readable.len() < limit => after = last,
            _ => break,
        }
    }
    readable.truncate(limit);
    Ok(readable)
}

/// `GET /docs/{name}`: what is in a document, as JSON or as the engine's bytes.
pub(super) async fn read(
    State(hub): State<Arc<Hub>>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let name = named(name)?;
    let form = Form::accepted(&headers).ok_or_else(|| {
        let message = format!("a document is told as {} or {}", negotiate::JSON, negotiate::SNAPSHOT);
        Refusal::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", message)
    })?;
    let mut visitor = Visitor::enter(&hub, &headers, &name, Purpose::Join(VersionVector::default())).await?;
    let group = visitor.opened().await?;
    if group.to.is_empty() {
        let message = format!("there is no document {name:?}; it begins with the first edit");
        return Err(Refusal::new(StatusCode::NOT_FOUND, "not-found", message));
    }
    let state = group.delta().ok_or_else(|| Refusal::unavailable("the state cannot be told now"))?;
    let etag = form.etag(hash(&state));
    let mut response = if negotiate::has(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body = match form {
            Form::Snapshot => state,
            Form::Json => rendered(&hub, name, state).await?,
        };
        ([(header::CONTENT_TYPE, form.media_type())], sending::answer(&mut visitor, body)?).into_response()
    };
    let headers = response.headers_mut();
    set_private(headers);
    set_version(headers, &group.to);
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    Ok(response)
}

/// The name of a document in a path, where its slashes are written `%2F`.
pub(super) fn named(name: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    name.map(|Path(name)| name).map_err(|error| Refusal::bad_request(error.body_text()))
}

/// Not for shared caches, and to be asked for each time: who may read it is decided each time.
pub(super) fn set_private(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.append(header::VARY, HeaderValue::from_static("accept, authorization"));
}

fn set_version(headers: &mut HeaderMap, version: &VersionVector) {
    let text = version::to_text(version);
    let fits = text.len() <= version::HEADER_BYTES_MAX;
    if let Some(value) = HeaderValue::from_str(&text).ok().filter(|_| fits) {
        headers.insert(VERSION, value);
    }
}

/// What [`Document::hash`] says of a state, whose bytes these are.
fn hash(state: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(state)
}

/// The document as JSON, made where it holds up no connection, and for a few at a time.
pub(super) async fn rendered(hub: &Hub, name: String, state: Bytes) -> Result<Bytes, Refusal> {
    let cannot = || Refusal::unavailable("the document cannot be rendered now");
    let _permit = hub.renderings.acquire().await.map_err(|_| cannot())?;
    let rendering = tokio::task::spawn_blocking(move || render(&name, state));
    rendering.await.ok().flatten().map(Bytes::from).ok_or_else(cannot)
}

/// None if these bytes are no state.
fn render(name: &str, state: Bytes) -> Option<Vec<u8>> {
    let mut document = Document::new(ReplicaId::default());
    document.apply(Delta::read(state).ok()?).ok()?;
    serde_json::to_vec(&Whole::of(name, &document)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use watersmeet_crdt::Time;

    #[test]
    fn a_state_has_the_hash_of_its_document() {
        let mut document = Document::new(ReplicaId::new(1));
        document.edit(Time::from_millis(1), |tx| tx.set(&["name"], "Old mill")).unwrap();
        assert_eq!(hash(&document.encode_state()), document.hash());
    }
}
