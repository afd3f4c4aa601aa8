//! The HTTP surface: `GET /sync` and `GET /health`. Errors are JSON, with a code for programs and a sentence for people.

use crate::hub::Hub;
use crate::{Server, pump};
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;
use watersmeet_crdt::session::SUBPROTOCOL;

/// Bytes of a socket's buffers. The default would keep 134 KiB for each idle connection; these keep 7.
const SOCKET_BUFFER_BYTES: usize = 4_096;

/// The routes of `server`: `GET /sync`, a WebSocket of subprotocol `watersmeet.v1`, and `GET /health`.
pub fn router(server: Server) -> Router {
    Router::new().route("/sync", get(sync)).route("/health", get(health)).with_state(server.hub)
}

async fn sync(
    State(hub): State<Arc<Hub>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
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
    let Some((guest, permit)) = hub.admit() else { return Refusal::full().into_response() };
    let frame_bytes = hub.limits.session.frame_bytes;
    upgrade
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        .write_buffer_size(SOCKET_BUFFER_BYTES)
        .max_message_size(frame_bytes)
        .max_frame_size(frame_bytes)
        .on_upgrade(async move |socket| {
            let tasks = hub.tasks.clone();
            // In the tracker, so that a stop waits for it.
            let served = tasks.track_future(pump::serve(socket, hub, guest));
            Box::pin(served).await;
            drop(permit);
        })
}

/// What `/health` says.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

async fn health(State(hub): State<Arc<Hub>>) -> Response {
    let reason = match tokio::time::timeout(hub.limits.health, hub.committer.check()).await {
        Ok(Ok(())) => return Json(Health { status: "ok", reason: None }).into_response(),
        Ok(Err(error)) => error.to_string(),
        Err(_elapsed) => "the store does not answer".to_owned(),
    };
    let health = Health { status: "unavailable", reason: Some(reason) };
    (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response()
}

/// Why a request was refused.
#[derive(Serialize)]
struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn not_a_web_socket(rejection: &WebSocketUpgradeRejection) -> Self {
        let message = format!("/sync is a WebSocket of subprotocol {SUBPROTOCOL}: {}", rejection.body_text());
        Refusal { status: rejection.status(), code: "not-a-websocket", message }
    }

    fn subprotocol() -> Self {
        let message = format!("ask for the WebSocket subprotocol {SUBPROTOCOL}");
        Refusal { status: StatusCode::BAD_REQUEST, code: "subprotocol", message }
    }

    fn full() -> Self {
        let message = "the server has as many connections as it may; try again later".to_owned();
        Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code: "full", message }
    }

    fn stopping() -> Self {
        let message = "the server is going down; try again".to_owned();
        Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code: "stopping", message }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: Refusal,
        }
        (self.status, Json(Body { error: self })).into_response()
    }
}
