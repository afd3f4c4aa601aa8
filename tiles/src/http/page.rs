//! `/tiles/`: a page that shows every set on a map, and says what is in it. The map library is served from here too, so
//! that it works without any other server.
//!
//! One idea: the page is files that never change beside a list of sets that does; everything is named relative to the
//! page, so that it works below any path. Programs that ask for JSON get the list alone.

use std::io::Read;
use std::sync::{Arc, OnceLock};

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::answer::{Refusal, cors};
use super::tilejson::{base_url, short_lived};
use super::{Server, negotiate};
use crate::compress::Encoding;

const PAGE: &str = include_str!("page/index.html");

/// What the page is allowed: this server's files, and tiles from wherever a TileJSON says they are.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src * data: blob:; connect-src *; \
                      worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'";

struct Asset {
    name: &'static str,
    media_type: &'static str,
    /// By brotli.
    packed: &'static [u8],
    plain: OnceLock<Vec<u8>>,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const SHEET: &str = "text/css; charset=utf-8";

const fn packed(name: &'static str, media_type: &'static str, bytes: &'static [u8]) -> Asset {
    Asset { name, media_type, packed: bytes, plain: OnceLock::new() }
}

static ASSETS: [Asset; 3] = [
    packed("maplibre-gl.mjs", SCRIPT, include_bytes!("page/vendor/maplibre-gl.mjs.br")),
    packed("maplibre-gl-worker.mjs", SCRIPT, include_bytes!("page/vendor/maplibre-gl-worker.mjs.br")),
    packed("maplibre-gl.css", SHEET, include_bytes!("page/vendor/maplibre-gl.css.br")),
];

static OWN: [(&str, &str, &str); 2] =
    [("page.mjs", SCRIPT, include_str!("page/page.mjs")), ("page.css", SHEET, include_str!("page/page.css"))];

impl Asset {
    fn plain(&'static self) -> &'static [u8] {
        self.plain.get_or_init(|| {
            let mut plain = Vec::new();
            // Our own bytes; a test unpacks them.
            let _ = brotli::Decompressor::new(self.packed, 4096).read_to_end(&mut plain);
            plain
        })
    }
}

/// Names all files of the page by what is in them.
fn release() -> &'static str {
    static RELEASE: OnceLock<String> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let mut all: Vec<u8> = OWN.iter().flat_map(|(.., text)| text.bytes()).collect();
        ASSETS.iter().for_each(|asset| all.extend(asset.packed));
        format!("{:016x}", xxh3_64(&all))
    })
}

/// `/tiles` without the last slash, from which relative names would lead elsewhere.
pub(super) async fn without_slash() -> Redirect {
    Redirect::permanent("tiles/")
}

pub(super) async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    let list = list(&server, request.headers());
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let mut response = if accepts.is_some_and(|accept| accept.contains("text/html")) {
        // A list in a page must not end the script it stands in.
        let list = list.to_string().replace('<', "\\u003c");
        let page = PAGE.replace("RELEASE", release()).replace("SETS", &list);
        let mut page = short_lived(&server.options, request.headers(), "text/html; charset=utf-8", page);
        page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        page
    } else {
        short_lived(&server.options, request.headers(), "application/json", list.to_string())
    };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn list(server: &Server, headers: &HeaderMap) -> Value {
    let base = base_url(&server.options, headers);
    let sets = server.sets.names().into_iter().filter_map(|name| {
        let set = server.sets.current(&name)?;
        let facts = set.facts();
        Some(json!({
            "id": name,
            "name": facts.metadata["name"].as_str().unwrap_or(&name),
            "tilejson": format!("{base}/tiles/{name}.json"),
            "style": format!("{base}/tiles/{name}/style.json"),
            "version": set.version(),
            "format": facts.content.ending(),
            "minzoom": facts.min_zoom,
            "maxzoom": facts.max_zoom,
            "archive_zoom": set.archive_zoom(),
            "bounds": facts.bounds,
        }))
    });
    sets.collect()
}

pub(super) async fn asset(
    Path((asked, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let missing = || Refusal::Missing {
        error: "there is no such file".to_owned(),
        hint: "it may be one of another release; load the page again",
    };
    if asked != release() {
        return Err(missing());
    }
    let mut out = cors();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some((_, media_type, text)) = OWN.iter().find(|(name, ..)| *name == file) {
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        return Ok((StatusCode::OK, out, *text).into_response());
    }
    let asset = ASSETS.iter().find(|asset| asset.name == file).ok_or_else(missing)?;
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    out.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if negotiate::encoding(&headers) == Encoding::Brotli {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        return Ok((StatusCode::OK, out, asset.packed).into_response());
    }
    Ok((StatusCode::OK, out, asset.plain()).into_response())
}
