//! The HTTP surface. Errors are JSON, with a code for programs and a sentence for people ([`refusal`]).
//!
//! | route | file |
//! |---|---|
//! | `/sync`, `/health`, `/ready`, `/metrics` | here |
//! | `/openapi.json` | `openapi.json`: all of them, for programs that read it; tests hold it to the routes |
//! | `GET /docs`, `GET /docs/{name}` | `docs`, `json`: the form; `negotiate`: which form, and 304 |
//! | `POST /docs/{name}/deltas` | `deltas` |
//! | `GET /docs/{name}/changes` | `changes` |
//!
//! A name's slashes are written `%2F`, so that a name is one segment of a path whatever follows it.
//! What is told of all this to others: `docs/http.md`.

mod changes;
mod deltas;
mod docs;
mod json;
mod json_changes;
mod negotiate;
mod origins;
mod refusal;
mod sending;
mod version;
mod visitor;

use crate::Server;
use crate::health::Health;
use crate::hub::Hub;
use crate::metrics::MEDIA_TYPE;
use crate::pump::{self, now};
use crate::rights::Rights;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
pub(crate) use json_changes::changes_as_json;
use refusal::{Counted, Refusal};
use serde::Serialize;
use std::sync::Arc;
use watersmeet_crdt::session::SUBPROTOCOL;

/// Bytes of a WebSocket's buffers. That for reading is kept by each idle connection, where the default would take 128 KiB; its
/// stream reads more at once. That for writing is as large as what is written.
const READ_BUFFER_BYTES: usize = 512;
const WRITE_BUFFER_BYTES: usize = 4_096;

const OPENAPI: &str = include_str!("openapi.json");

/// The routes of `server`: `GET /sync`, a WebSocket of subprotocol `watersmeet.v1`; and for its operator `GET /health`,
/// `/ready` and `/metrics`.
pub fn router(server: Server) -> Router {
    Router::new()
        .route("/sync", get(sync))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .method_not_allowed_fallback(not_allowed)
        .merge(documents(server.hub.clone()))
        .layer(middleware::from_fn_with_state(server.hub.clone(), only_own_names))
        .layer(middleware::map_response_with_state(server.hub.clone(), count))
        .with_state(server.hub)
}

/// What somebody is told for whom there is no socket, as it is written to one.
pub(crate) fn full() -> String {
    Refusal::full("all of the server's sockets are taken; try again later").written()
}

/// The routes of documents, for programs and for pages that may sync.
fn documents(hub: Arc<Hub>) -> Router<Arc<Hub>> {
    Router::new()
        .route("/docs", get(docs::list))
        .route("/docs/{name}", get(docs::read))
        .route("/docs/{name}/deltas", post(deltas::post))
        .route("/docs/{name}/changes", get(changes::follow))
        .route("/docs/", any(not_found))
        .route("/docs/{name}/{what}", any(not_found))
        .route("/docs/{name}/{what}/{*rest}", any(not_found))
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(hub, origins::ask))
}

async fn not_found() -> Refusal {
    let message = "there is no such path below /docs; a slash in a document's name is written %2F";
    Refusal::new(StatusCode::NOT_FOUND, "no-such-path", message)
}

async fn not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this method means nothing here")
}

/// See [`crate::Hosts`].
async fn only_own_names(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    match hub.hosts.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(host) => Refusal::host(host).into_response(),
    }
}

/// Counts what is refused, by its code.
async fn count(State(hub): State<Arc<Hub>>, response: Response) -> Response {
    if let Some(Counted(code)) = response.extensions().get() {
        hub.metrics.refused(code);
    }
    response
}

async fn sync(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if let Err(origin) = hub.origins.check(&headers) {
        return Refusal::origin(origin).into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.protocols([SUBPROTOCOL]),
        Err(rejection) => return Refusal::not_a_web_socket(&rejection).into_response(),
    };
    if upgrade.selected_protocol().is_none() {
        return Refusal::subprotocol().into_response();
    }
    if hub.stop.is_cancelled() {
        return Refusal::stopping().into_response();
    }
    let rights = match Rights::of(&hub, &headers, now()) {
        Ok(rights) => rights,
        Err(refused) => return Refusal::of(refused).into_response(),
    };
    let Some((guest, permit)) = hub.admit() else { return Refusal::no_connection().into_response() };
    let frame_bytes = hub.limits.session.frame_bytes;
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(frame_bytes)
        .max_frame_size(frame_bytes)
        .on_upgrade(async move |socket| {
            let tasks = hub.tasks.clone();
            // In the tracker, so that a stop waits for it.
            let served = tasks.track_future(pump::serve(socket, hub, guest, rights));
            Box::pin(served).await;
            drop(permit);
        })
}

/// What `/health` and `/ready` say.
#[derive(Serialize)]
struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What an operator should see to, though the server does its work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
}

/// Whether edits can be stored.
async fn health(State(hub): State<Arc<Hub>>) -> Response {
    report(Health::of(hub).await, Vec::new())
}

/// Whether new connections should be sent here: edits can be stored, and the server is not about to stop.
async fn ready(State(hub): State<Arc<Hub>>) -> Response {
    let notices = hub.companion.get().map(|companion| companion.notices()).unwrap_or_default();
    match hub.is_leaving() {
        true => report(Err("the server is going down".to_owned()), notices),
        false => report(Health::of(hub).await, notices),
    }
}

async fn metrics(State(hub): State<Arc<Hub>>) -> Response {
    match hub.metrics.encode(hub.companion.get().map(AsRef::as_ref)) {
        Ok(text) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(error) => report(Err(error.to_string()), Vec::new()),
    }
}

/// What there is here, for programs.
async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

fn report(finding: Result<(), String>, notices: Vec<String>) -> Response {
    match finding {
        Ok(()) => Json(Report { status: "ok", reason: None, notices }).into_response(),
        Err(reason) => {
            let report = Report { status: "unavailable", reason: Some(reason), notices };
            (StatusCode::SERVICE_UNAVAILABLE, Json(report)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OPENAPI;
    use std::collections::BTreeSet;

    /// Every route is documented but the WebSocket, which OpenAPI has no words for, and nothing else is. That each
    /// answers as it is documented, `cargo xtask schemathesis` sees.
    #[test]
    fn the_documented_routes_are_the_routes() {
        let documented: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let documented: BTreeSet<&str> =
            documented["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let routes = include_str!("mod.rs").lines().filter_map(|line| {
            let (path, handler) = line.trim().strip_prefix(".route(\"")?.split_once('"')?;
            (!handler.contains("any(not_found)") && path != "/sync").then_some(path)
        });
        assert_eq!(routes.collect::<BTreeSet<_>>(), documented);
    }
}
