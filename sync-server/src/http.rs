//! The HTTP surface: `GET /sync` and `GET /health`. Errors are JSON, with a code for programs and a sentence for people.

use crate::Server;
use crate::health::Health;
use crate::hub::Hub;
use crate::metrics::MEDIA_TYPE;
use crate::pump::{self, now};
use crate::rights::{Refused, Rights};
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;
use watersmeet_crdt::session::{Code, SUBPROTOCOL};

/// Bytes of a socket's buffers. The default would keep 134 KiB for each idle connection; these keep 7.
const SOCKET_BUFFER_BYTES: usize = 4_096;
/// When somebody who was turned away for lack of room may come again.
const RETRY_AFTER_SECONDS: u16 = 5;

/// The routes of `server`: `GET /sync`, a WebSocket of subprotocol `watersmeet.v1`; and for its operator `GET /health`,
/// `/ready` and `/metrics`.
pub fn router(server: Server) -> Router {
    Router::new()
        .route("/sync", get(sync))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(server.hub)
}

async fn sync(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if let Err(origin) = hub.origins.check(&headers) {
        return refuse(&hub, Refusal::origin(origin));
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.protocols([SUBPROTOCOL]),
        Err(rejection) => return refuse(&hub, Refusal::not_a_web_socket(&rejection)),
    };
    if upgrade.selected_protocol().is_none() {
        return refuse(&hub, Refusal::subprotocol());
    }
    if hub.stop.is_cancelled() {
        return refuse(&hub, Refusal::stopping());
    }
    let rights = match Rights::of(&hub, &headers, now()) {
        Ok(rights) => rights,
        Err(refused) => return refuse(&hub, Refusal::denied(refused)),
    };
    let Some((guest, permit)) = hub.admit() else { return refuse(&hub, Refusal::full()) };
    let frame_bytes = hub.limits.session.frame_bytes;
    upgrade
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        .write_buffer_size(SOCKET_BUFFER_BYTES)
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

/// Refuses a request, and counts that.
fn refuse(hub: &Hub, refusal: Refusal) -> Response {
    hub.metrics.refused(refusal.code);
    refusal.into_response()
}

/// What `/health` and `/ready` say.
#[derive(Serialize)]
struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Whether edits can be stored.
async fn health(State(hub): State<Arc<Hub>>) -> Response {
    report(Health::of(hub).await)
}

/// Whether new connections should be sent here: edits can be stored, and the server is not about to stop.
async fn ready(State(hub): State<Arc<Hub>>) -> Response {
    match hub.stop.is_cancelled() {
        true => report(Err("the server is going down".to_owned())),
        false => report(Health::of(hub).await),
    }
}

async fn metrics(State(hub): State<Arc<Hub>>) -> Response {
    match hub.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(error) => report(Err(error.to_string())),
    }
}

fn report(finding: Result<(), String>) -> Response {
    match finding {
        Ok(()) => Json(Report { status: "ok", reason: None }).into_response(),
        Err(reason) => {
            let report = Report { status: "unavailable", reason: Some(reason) };
            (StatusCode::SERVICE_UNAVAILABLE, Json(report)).into_response()
        }
    }
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

    fn origin(origin: &str) -> Self {
        let message = format!(
            "pages of {origin:?} may not sync with this server; its operator can allow them with --allow-origin"
        );
        Refusal { status: StatusCode::FORBIDDEN, code: "origin", message }
    }

    fn subprotocol() -> Self {
        let message = format!("ask for the WebSocket subprotocol {SUBPROTOCOL}");
        Refusal { status: StatusCode::BAD_REQUEST, code: "subprotocol", message }
    }

    fn full() -> Self {
        let message = "the server has as many connections as it may; try again later".to_owned();
        Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code: "full", message }
    }

    /// A token that is not accepted, or one whose subject has as many connections as it may.
    pub(crate) fn denied(refused: Refused) -> Self {
        let Refused { code, message } = refused;
        let status = match code {
            Code::Limit | Code::Rate => StatusCode::TOO_MANY_REQUESTS,
            Code::Forbidden => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        };
        Refusal { status, code: code.name(), message }
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
        let status = self.status;
        let mut response = (status, Json(Body { error: self })).into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}
