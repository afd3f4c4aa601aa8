//! What every answer has: who may read it, and when something is wrong, what and what to do.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Tiles are for every page: a map's style and its tiles rarely come from one place.
pub(super) fn cors() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers
        .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("ETag, Link, Retry-After"));
    headers
}

/// A request that gets no tile.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The URL names no tile.
    Malformed { error: String, hint: &'static str },
    /// There is no such thing.
    Missing { error: String, hint: &'static str },
    /// The version has no such tile, and never will.
    Outside { error: String, hint: &'static str },
    /// The version is not kept; where the current one is.
    Gone { version: String, current: String },
    /// Too much to do now.
    Busy(String),
    /// This one takes too long, and will again.
    TooSlow { error: String, again_after: Duration },
    /// The store in which the set lies does not give it. The particulars are logged, not told.
    NotFetched(String),
    /// An archive is broken. The particulars are logged, not told.
    Broken,
}

impl Refusal {
    /// In a word, for operators.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::Missing { .. } => "missing",
            Self::Outside { .. } => "outside",
            Self::Gone { .. } => "gone",
            Self::Busy(_) => "busy",
            Self::TooSlow { .. } => "too-slow",
            Self::NotFetched(_) => "not-fetched",
            Self::Broken => "broken",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed { .. } => StatusCode::BAD_REQUEST,
            Self::Missing { .. } | Self::Outside { .. } => StatusCode::NOT_FOUND,
            Self::Gone { .. } => StatusCode::GONE,
            Self::Busy(_) | Self::TooSlow { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFetched(_) => StatusCode::BAD_GATEWAY,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut headers = cors();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let (status, code) = (self.status(), self.reason());
        let mut error = match self {
            Self::Malformed { error, hint } | Self::Missing { error, hint } => {
                json!({ "message": error, "hint": hint })
            }
            Self::Outside { error, hint } => {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
                json!({ "message": error, "hint": hint })
            }
            Self::Gone { version, current } => {
                if let Ok(link) = HeaderValue::from_str(&format!("<{current}>; rel=\"latest-version\"")) {
                    headers.insert(header::LINK, link);
                }
                let error = format!("version {version} of this set is not kept");
                let hint = "fetch the set's TileJSON again, or ask for the current version of this tile";
                json!({ "message": error, "hint": hint, "current": current })
            }
            Self::Busy(error) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                json!({ "message": error, "hint": "try again in a second" })
            }
            Self::TooSlow { error, again_after } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(again_after.as_secs()));
                let hint = "whoever runs the server can render this zoom beforehand, or allow more time (tiles.render_time)";
                json!({ "message": error, "hint": hint })
            }
            Self::NotFetched(error) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
                json!({ "message": error, "hint": "try again in a few seconds; the operator finds the reason in the server's log" })
            }
            Self::Broken => {
                let hint = "the operator finds the reason in the server's log";
                json!({ "message": "the tile cannot be read or rendered", "hint": hint })
            }
        };
        error["code"] = code.into();
        (status, headers, Json(json!({ "error": error }))).into_response()
    }
}

/// Browsers ask before they send a header that is not on their short list.
pub(super) async fn preflight() -> (StatusCode, HeaderMap) {
    let mut headers = cors();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    // Whatever a page's library sends along; nothing here depends on who asks.
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, Authorization"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    (StatusCode::NO_CONTENT, headers)
}

/// Tiles are read and nothing else.
pub(super) async fn not_allowed() -> Response {
    let mut headers = cors();
    headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    let body = json!({ "error": {
        "code": "method", "message": "this method means nothing here", "hint": "ask with GET or HEAD",
    } });
    (StatusCode::METHOD_NOT_ALLOWED, headers, Json(body)).into_response()
}
