//! Why a request was refused: JSON, with a code for programs and a sentence for people.

use crate::rights::Refused;
use axum::Json;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use watersmeet_crdt::VersionVector;
use watersmeet_crdt::session::{Code, SUBPROTOCOL};

/// When somebody who was turned away for lack of room may come again.
const RETRY_AFTER_SECONDS: u16 = 5;

/// See the [module](self).
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// What the server has, if that is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    /// Whether whoever refused it has counted it.
    #[serde(skip)]
    pub(super) is_counted: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a Refusal,
}

/// Says in an answer's extensions that it is a refusal, and its code, to whoever counts them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted(pub(super) &'static str);

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Refusal { status, code, message: message.into(), version: None, is_counted: false }
    }

    pub(super) fn not_a_web_socket(rejection: &WebSocketUpgradeRejection) -> Self {
        let message = format!("/sync is a WebSocket of subprotocol {SUBPROTOCOL}: {}", rejection.body_text());
        Refusal::new(rejection.status(), "not-a-websocket", message)
    }

    pub(super) fn origin(origin: &str) -> Self {
        let message = format!(
            "pages of {origin:?} may not sync with this server; its operator can allow them with --allow-origin"
        );
        Refusal::new(StatusCode::FORBIDDEN, "origin", message)
    }

    pub(super) fn host(host: &str) -> Self {
        let message = format!(
            "this server is open and does not go by the name {host:?}; its operator can give it that name with --public-url"
        );
        Refusal::new(StatusCode::MISDIRECTED_REQUEST, "host", message)
    }

    pub(super) fn subprotocol() -> Self {
        let message = format!("ask for the WebSocket subprotocol {SUBPROTOCOL}");
        Refusal::new(StatusCode::BAD_REQUEST, "subprotocol", message)
    }

    pub(super) fn full(message: &str) -> Self {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "full", message)
    }

    pub(super) fn no_connection() -> Self {
        Refusal::full("the server has as many connections as it may; try again later")
    }

    /// As it is written to a socket that is closed then, by whoever does not get as far as HTTP.
    pub(super) fn written(&self) -> String {
        // Texts can be written as JSON.
        let body = serde_json::to_string(&Body { error: self }).unwrap_or_default();
        let (status, bytes) = (self.status, body.len());
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\nRetry-After: {RETRY_AFTER_SECONDS}\r\nConnection: close\r\n\r\n{body}"
        )
    }

    pub(super) fn stopping() -> Self {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is going down; try again")
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable.name(), message)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }

    /// A delta that builds on events that the server does not have; it has `version`.
    pub(super) fn gap(version: &VersionVector) -> Self {
        let message = "events before this delta are missing here; send what there is since `version`";
        let version = Some(super::version::to_text(version));
        Refusal { version, ..Refusal::new(StatusCode::CONFLICT, "gap", message) }
    }

    /// What is refused by socket is refused by the same code here.
    pub(super) fn of(refused: Refused) -> Self {
        let status = match refused.code {
            Code::Malformed | Code::Name | Code::OutOfOrder | Code::Incompatible => StatusCode::BAD_REQUEST,
            Code::Unauthenticated | Code::Expired => StatusCode::UNAUTHORIZED,
            Code::Forbidden | Code::Author => StatusCode::FORBIDDEN,
            Code::Silent => StatusCode::REQUEST_TIMEOUT,
            Code::Equivocation => StatusCode::CONFLICT,
            Code::TooLarge | Code::Full => StatusCode::PAYLOAD_TOO_LARGE,
            Code::ClockSkew => StatusCode::UNPROCESSABLE_ENTITY,
            Code::Limit | Code::Rate => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable | Code::Shutdown => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refusal::new(status, refused.code.name(), refused.message)
    }

    pub(super) fn of_code(code: Code, message: impl Into<String>) -> Self {
        Refusal::of(Refused::new(code, message))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = (self.status, self.code);
        let mut response = (status, Json(Body { error: &self })).into_response();
        if !self.is_counted {
            response.extensions_mut().insert(Counted(code));
        }
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
            }
            _ => {}
        }
        response
    }
}
