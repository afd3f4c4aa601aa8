//! TileJSON 3.0: what a map library has to know of a set. It names the current version and is short-lived.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::answer::{Refusal, cors};
use super::{ServeOptions, Server, negotiate};
use crate::set::TileSet;

pub(super) async fn answer(
    State(server): State<Arc<Server>>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let found = file.strip_suffix(".json").and_then(|name| Some((name, server.sets.current(name)?)));
    let Some((name, set)) = found else { return Err(no_set(&file)) };
    let base = base_url(&server.options, &headers);
    let body = tilejson(name, &set, &base).to_string();
    let etag = format!("\"{:016x}\"", xxh3_64(body.as_bytes()));
    let mut out = cors();
    let age = format!("public, max-age={}", server.options.tilejson_age.as_secs());
    out.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_str(&age).unwrap_or(HeaderValue::from_static("no-cache")),
    );
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    out.insert(header::VARY, HeaderValue::from_static("Host, X-Forwarded-Proto"));
    if let Ok(tag) = HeaderValue::from_str(&etag) {
        out.insert(header::ETAG, tag);
    }
    if negotiate::has_it(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, out).into_response());
    }
    Ok((StatusCode::OK, out, body).into_response())
}

pub(super) fn no_set(name: &str) -> Refusal {
    let error = format!("there is no set {name:?}");
    Refusal::Missing { error, hint: "a set's TileJSON is at /tiles/NAME.json" }
}

/// Where clients reach this server: what the operator says, or else what the client called it.
pub(super) fn base_url(options: &ServeOptions, headers: &HeaderMap) -> String {
    if let Some(url) = &options.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host").filter(|host| host.bytes().all(is_host_byte)).unwrap_or("localhost");
    let scheme = if text("x-forwarded-proto") == Some("https") { "https" } else { "http" };
    format!("{scheme}://{host}{}", options.path_prefix)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']' | b'_')
}

/// A tile's URL; the last three may be placeholders.
pub(super) fn tile_url(base: &str, name: &str, version: &str, [z, x, y]: [&str; 3]) -> String {
    format!("{base}/tiles/{name}/{version}/{z}/{x}/{y}.mvt")
}

fn tilejson(name: &str, set: &TileSet, base: &str) -> Value {
    let header = set.archive().header();
    let metadata = set.metadata();
    let mut json = json!({
        "tilejson": "3.0.0",
        "tiles": [tile_url(base, name, set.version(), ["{z}", "{x}", "{y}"])],
        "vector_layers": metadata["vector_layers"].as_array().cloned().unwrap_or_default(),
        "minzoom": set.min_zoom(),
        "maxzoom": set.max_zoom(),
        "bounds": header.bounds,
        "center": [header.center[0], header.center[1], header.center_zoom],
        "name": metadata["name"].as_str().unwrap_or(name),
        "version": "1.0.0",
        "scheme": "xyz",
        "format": "mvt",
    });
    if let Some(attribution) = metadata["attribution"].as_str() {
        json["attribution"] = attribution.into();
    }
    json
}
