//! Tiles over HTTP: what a URL names, and the answer with a tile.
//!
//! One idea: what is at hand is answered without a detour, from bytes and headers that were made once. Not here: how
//! tiles are made and kept (see [`kitchen`](super::kitchen)).

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::{Refusal, cors};
use super::kitchen::{Failure, Order, Packed, TOO_SLOW_KEPT};
use super::lanes::NoTurn;
use super::{Server, negotiate, tilejson};
use crate::compress::Encoding;
use crate::content::Content;
use crate::coord::TileCoord;
use crate::set::TileSet;
use crate::sets::{Found, Served};

const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What a URL says, before it is known whether there is such a thing.
struct Named<'a> {
    set: Cow<'a, str>,
    version: Cow<'a, str>,
    zxy: [&'a str; 3],
}

pub(super) async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (asked, _) = request.into_parts();
    match tile(&server, asked.uri.path(), &asked.headers).await {
        Ok(response) => response,
        Err(refusal) => {
            server.kitchen.counts.refused(refusal.reason());
            refusal.into_response()
        }
    }
}

async fn tile(server: &Server, path: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    let named = named(path)
        .ok_or_else(|| Refusal::Malformed { error: "this path is no tile's".to_owned(), hint: HINT })?;
    let found = match server.sets.find(&named.set, &named.version) {
        Found::Kept(found) => found,
        Found::NoSet => return Err(tilejson::no_set(&named.set)),
        Found::NoVersion => return Err(no_version(&named.version)),
        Found::Gone(current) => return Err(gone(server, headers, &named, &current)),
    };
    let tile = coordinate(named.zxy, found.set.facts().content)?;
    let (min, max) = (found.set.min_zoom(), found.set.max_zoom());
    if !(min..=max).contains(&tile.z()) {
        let error = format!("zoom {} is outside of {min} to {max}", tile.z());
        return Err(Refusal::Outside { error, hint: "the set's TileJSON names its zooms" });
    }
    let packed = packed(server, &found, tile, headers).await?;
    if packed.bytes.is_empty() && !found.set.covers(tile) {
        let error = format!("tile {tile} is outside of the set's bounds");
        return Err(Refusal::Outside { error, hint: "the set's TileJSON names its bounds" });
    }
    server.kitchen.counts.requested(tile);
    found.hot.count(tile);
    Ok(served(&packed, found.set.facts().content, headers))
}

async fn packed(
    server: &Server,
    found: &Served,
    tile: TileCoord,
    headers: &HeaderMap,
) -> Result<Packed, Refusal> {
    let is_compressible = found.set.facts().content.is_compressible();
    let encoding = if is_compressible { negotiate::encoding(headers) } else { Encoding::Identity };
    let version = found.set.version_number();
    if let Some(packed) = server.kitchen.at_hand(version, tile, encoding) {
        return Ok(packed);
    }
    let order = Order { set: Arc::clone(&found.name), version, tiles: found.set.clone(), tile };
    // In a box, so that an answer that is at hand carries nothing of it.
    let made = Box::pin(server.kitchen.make(order, encoding)).await;
    made.map_err(|failure| refusal(&failure, &found.name, tile))
}

const HINT: &str =
    "tiles are at /tiles/SET/VERSION/{z}/{x}/{y}.mvt, or with the ending that the set's TileJSON names";

/// What `/tiles/SET/VERSION/Z/X/Y` says.
fn named(path: &str) -> Option<Named<'_>> {
    let mut segments = path.strip_prefix("/tiles/")?.split('/');
    let [set, version, z, x, y] = [(); 5].map(|()| segments.next());
    if segments.next().is_some() {
        return None;
    }
    Some(Named { set: plain(set?)?, version: plain(version?)?, zxy: [z?, x?, y?] })
}

/// A segment without its escapes.
pub(super) fn plain(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(segment.into());
    }
    let mut parts = segment.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    Some(String::from_utf8(bytes).ok()?.into())
}

/// Reads `z`, `x` and `y.mvt`, saying which of them is wrong and why.
fn coordinate([z, x, y]: [&str; 3], content: Content) -> Result<TileCoord, Refusal> {
    let malformed = |error: String| Refusal::Malformed { error, hint: HINT };
    let (y, ending) = y.rsplit_once('.').unwrap_or((y, ""));
    if ending != content.ending() {
        let dot = content.ending();
        return Err(malformed(format!("the ending is {ending:?}, but this set's tiles end in \".{dot}\"")));
    }
    let number = |name: &str, text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { text.parse::<u32>().ok() } else { None };
        number.ok_or_else(|| malformed(format!("{name} is {text:?}, which is not a whole number from 0")))
    };
    let [z, x, y] = [number("z", z)?, number("x", x)?, number("y", y)?];
    let z = u8::try_from(z).unwrap_or(u8::MAX);
    TileCoord::new(z, x, y).map_err(|error| malformed(error.to_string()))
}

fn no_version(version: &str) -> Refusal {
    let error = format!("{version:?} is not a version, which has 16 hexadecimal digits in small letters");
    Refusal::Missing { error, hint: "the set's TileJSON names its current version" }
}

/// Another version's tile may not even have numbers that the current one knows, so they are passed on as they are.
fn gone(server: &Server, headers: &HeaderMap, named: &Named<'_>, current: &TileSet) -> Refusal {
    if let Err(refusal) = coordinate(named.zxy, current.facts().content) {
        return refusal;
    }
    let base = tilejson::base_url(&server.options, headers);
    let [z, x, y] = named.zxy;
    let current = format!("{base}/tiles/{}/{}/{z}/{x}/{y}", named.set, current.version());
    Refusal::Gone { version: named.version.to_string(), current }
}

/// The answer with a tile. The server takes the body away again when only the head was asked for.
fn served(packed: &Packed, content: Content, headers: &HeaderMap) -> Response {
    let mut out = cors();
    out.insert(header::CACHE_CONTROL, FOR_EVER);
    if content.is_compressible() {
        out.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if packed.bytes.is_empty() {
        return (StatusCode::NO_CONTENT, out).into_response();
    }
    out.insert(header::ETAG, packed.etag.clone());
    if negotiate::has_it(headers, packed.etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, out).into_response();
    }
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(content.media_type()));
    if packed.encoding != Encoding::Identity {
        let name = negotiate::name(packed.encoding);
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    let mut response = Response::new(Body::from(packed.bytes.clone()));
    *response.headers_mut() = out;
    response
}

fn refusal(failure: &Failure, set: &str, tile: TileCoord) -> Refusal {
    match failure {
        Failure::TooSlow => Refusal::TooSlow {
            error: format!("tile {tile} takes too long to render"),
            again_after: TOO_SLOW_KEPT,
        },
        Failure::NoTurn(NoTurn::Full) => Refusal::Busy(format!("too many tiles of {set:?} wait already")),
        Failure::NoTurn(NoTurn::TooLong) => {
            Refusal::Busy(format!("too many tiles of {set:?} are being rendered"))
        }
        Failure::NotFetched(error) => {
            tracing::warn!(set, %tile, %error, "a tile cannot be fetched");
            Refusal::NotFetched(format!("the place where {set:?} lies does not give this tile's bytes"))
        }
        // Fetched before it gets here.
        Failure::Absent(_) => Refusal::Broken,
        Failure::Broken(error) => {
            tracing::error!(set, %tile, %error, "a tile cannot be given");
            Refusal::Broken
        }
    }
}
