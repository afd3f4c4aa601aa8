//! TileJSON 3.0: what a map library has to know of a set. It names the current version and is short-lived.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::answer::{Refusal, cors};
use super::{ServeOptions, Server, negotiate};
use crate::compress::{Encoding, pack};
use crate::set::{Facts, TileSet};

pub(super) async fn answer(State(server): State<Arc<Server>>, request: Request) -> Result<Response, Refusal> {
    let file = request.uri().path().rsplit('/').next().unwrap_or_default();
    let found = file.strip_suffix(".json").and_then(|name| Some((name, server.sets.current(name)?)));
    let Some((name, set)) = found else { return Err(no_set(file)) };
    let base = base_url(&server.options, request.headers());
    let body = tilejson(name, &set, &base).to_string();
    Ok(short_lived(&server.options, request.headers(), "application/json", body))
}

/// An answer that names the current version, or something that follows from it.
pub(super) fn short_lived(
    options: &ServeOptions,
    headers: &HeaderMap,
    media_type: &'static str,
    body: String,
) -> Response {
    let mut out = cors();
    let age = options.tilejson_age.as_secs();
    // While it is fetched anew the old one may be used, for as long again: the version that it names is kept much longer.
    let age = format!("public, max-age={age}, stale-while-revalidate={age}");
    out.insert(
        header::CACHE_CONTROL,
        HeaderValue::try_from(age).unwrap_or(HeaderValue::from_static("no-cache")),
    );
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    let vary = match (&options.public_url, options.trust_forwarded) {
        (Some(_), _) => "Accept-Encoding",
        (None, false) => "Accept-Encoding, Host",
        (None, true) => {
            "Accept-Encoding, Host, Forwarded, X-Forwarded-Host, X-Forwarded-Prefix, X-Forwarded-Proto"
        }
    };
    out.insert(header::VARY, HeaderValue::from_static(vary));
    let encoding =
        if body.len() < PACK_FROM_BYTES { Encoding::Identity } else { quick(negotiate::encoding(headers)) };
    let Ok(packed) = pack(body.as_bytes(), encoding) else { return Refusal::Broken.into_response() };
    let etag = format!("\"{:016x}\"", xxh3_64(&packed));
    if let Ok(tag) = HeaderValue::from_str(&etag) {
        out.insert(header::ETAG, tag);
    }
    if negotiate::has_it(headers, etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, out).into_response();
    }
    if encoding != Encoding::Identity {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(negotiate::name(encoding)));
    }
    (StatusCode::OK, out, packed).into_response()
}

/// Shorter bodies fit a packet as they are.
const PACK_FROM_BYTES: usize = 1_200;

/// Packed for every request, so by what takes the least time. Who takes brotli takes gzip.
fn quick(encoding: Encoding) -> Encoding {
    if encoding == Encoding::Brotli { Encoding::Gzip } else { encoding }
}

pub(super) fn no_set(name: &str) -> Refusal {
    let error = format!("there is no set {name:?}");
    Refusal::Missing { error, hint: "a set's TileJSON is at /tiles/NAME.json" }
}

/// Where clients reach this server: what the operator says, or else what a proxy that is believed says, or else what the
/// client called it.
pub(super) fn base_url(options: &ServeOptions, headers: &HeaderMap) -> String {
    if let Some(url) = &options.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // What a proxy adds stands behind what came with the request; the first is who the client spoke to.
    let first = |name: &str| text(name).map(|list| list.split(',').next().unwrap_or_default().trim());
    let forwarded = |key: &str| {
        let pairs = first("forwarded")?.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.trim_matches('"'))
    };
    let by_proxy = |key: &str, name: &str| {
        options.trust_forwarded.then(|| forwarded(key).or_else(|| first(name))).flatten()
    };
    let host = by_proxy("host", "x-forwarded-host").or_else(|| text("host"));
    let host = host.filter(|host| !host.is_empty() && host.bytes().all(is_host_byte)).unwrap_or("localhost");
    let is_https =
        by_proxy("proto", "x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
    let scheme = if is_https { "https" } else { "http" };
    let prefix = options.trust_forwarded.then(|| first("x-forwarded-prefix")).flatten();
    let prefix = prefix.filter(|prefix| prefix.starts_with('/') && prefix.bytes().all(is_path_byte));
    format!("{scheme}://{host}{}{}", prefix.unwrap_or_default().trim_end_matches('/'), options.path_prefix)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']' | b'_')
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~')
}

/// The URL of a set's tiles, with placeholders.
pub(super) fn tiles_url(base: &str, name: &str, set: &TileSet) -> String {
    let ending = set.facts().content.ending();
    format!("{base}/tiles/{name}/{}/{{z}}/{{x}}/{{y}}.{ending}", set.version())
}

pub(super) fn tilejson(name: &str, set: &TileSet, base: &str) -> Value {
    let Facts { content, min_zoom, max_zoom, bounds, center, center_zoom, metadata } = set.facts();
    let mut json = json!({
        "tilejson": "3.0.0",
        "tiles": [tiles_url(base, name, set)],
        "vector_layers": metadata["vector_layers"].as_array().cloned().unwrap_or_default(),
        "minzoom": min_zoom,
        "maxzoom": max_zoom,
        "bounds": bounds,
        "center": [center[0], center[1], center_zoom],
        "name": metadata["name"].as_str().unwrap_or(name),
        "version": "1.0.0",
        "scheme": "xyz",
        "format": content.ending(),
    });
    for text in ["attribution", "description"] {
        if let Some(value) = metadata[text].as_str() {
            json[text] = value.into();
        }
    }
    json
}
