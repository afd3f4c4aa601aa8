//! HTTP: tiles behind URLs that may be kept for ever, and the TileJSON that names them.
//!
//! One idea: a tile's URL holds the version of its set, and a version means the same bytes for ever, so nothing that
//! anyone has cached is ever wrong. Only the TileJSON grows old, and it is short-lived. Not here: who may ask.
//!
//! | request | answer |
//! |---|---|
//! | `/tiles/{set}.json` | TileJSON 3.0 with the current version's URL |
//! | `/tiles/{set}/{version}/{z}/{x}/{y}.mvt` | 200 with the tile, 204 when there is nothing to draw, 304 |
//! | a version that is well-formed but not kept | 410 with the current one: what is not kept cannot be told from what never was |
//! | no such set, a zoom the set does not have | 404 |
//! | numbers that name no tile | 400 that says which and why |
//! | a tile that takes too long, or too many at once | 503, to be tried again |

mod answer;
mod negotiate;
mod tilejson;
mod tiles;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::routing::get;

use crate::sets::Sets;

/// How tiles are served.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where clients reach this server, as in `https://maps.example.org/base`; `None` takes the request's `Host`.
    pub public_url: Option<String>,
    /// The path below which the router is served, such as `/maps`, where `public_url` does not say it; empty for none.
    pub path_prefix: String,
    /// Packed tiles may take so many bytes of memory.
    pub cache_bytes_max: u64,
    /// A tile may take so long to render.
    pub render_time_max: Duration,
    /// So many tiles are rendered at once; others wait.
    pub renders_max: usize,
    /// How long a TileJSON may be kept before it is asked for again.
    pub tilejson_age: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            public_url: None,
            path_prefix: String::new(),
            cache_bytes_max: 256 << 20,
            render_time_max: Duration::from_secs(5),
            renders_max: 2 * std::thread::available_parallelism().map_or(1, usize::from),
            tilejson_age: Duration::from_secs(60),
        }
    }
}

/// What all requests share.
struct Server {
    sets: Sets,
    options: ServeOptions,
    kitchen: tiles::Kitchen,
}

/// Serves the sets below `/tiles/`. The sets may change while they are served.
pub fn router(sets: Sets, options: ServeOptions) -> Router {
    let kitchen = tiles::Kitchen::new(&options);
    let server = Arc::new(Server { sets, options, kitchen });
    Router::new()
        .route("/tiles/{set}", get(tilejson::answer).options(preflight))
        .route("/tiles/{set}/{version}/{z}/{x}/{y}", get(tiles::answer).options(preflight))
        .with_state(server)
}

/// Browsers ask before they send a header that is not on their short list.
async fn preflight() -> (StatusCode, HeaderMap) {
    let mut headers = answer::cors();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("If-None-Match, Range"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    (StatusCode::NO_CONTENT, headers)
}
