//! What every answer has: who may read it, and when something is wrong, what and what to do.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Tiles are for every page: a map's style and its tiles rarely come from one place.
pub(super) fn cors() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("ETag, Link"));
    headers
}

/// A request that gets no tile.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The URL names no tile.
    Malformed { error: String, hint: &'static str },
    /// There is no such thing.
    Missing { error: String, hint: &'static str },
    /// The version is not kept; where the current one is.
    Gone { version: String, current: String },
    /// Too much to do now.
    Busy(String),
    /// An archive is broken. The particulars are logged, not told.
    Broken,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut headers = cors();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let (status, body) = match self {
            Self::Malformed { error, hint } => {
                (StatusCode::BAD_REQUEST, json!({ "error": error, "hint": hint }))
            }
            Self::Missing { error, hint } => (StatusCode::NOT_FOUND, json!({ "error": error, "hint": hint })),
            Self::Gone { version, current } => {
                if let Ok(link) = HeaderValue::from_str(&format!("<{current}>; rel=\"latest-version\"")) {
                    headers.insert(header::LINK, link);
                }
                let error = format!("version {version} of this set is not kept");
                let hint = "fetch the set's TileJSON again, or ask for the current version of this tile";
                (StatusCode::GONE, json!({ "error": error, "hint": hint, "current": current }))
            }
            Self::Busy(error) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                (StatusCode::SERVICE_UNAVAILABLE, json!({ "error": error, "hint": "try again in a second" }))
            }
            Self::Broken => {
                let hint = "the operator finds the reason in the server's log";
                let error = "the tile cannot be read or rendered";
                (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": error, "hint": hint }))
            }
        };
        (status, headers, Json(body)).into_response()
    }
}
