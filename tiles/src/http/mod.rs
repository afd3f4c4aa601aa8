//! HTTP: tiles behind URLs that may be kept for ever, and the TileJSON that names them.
//!
//! One idea: a tile's URL holds the version of its set, and a version means the same bytes for ever, so nothing that
//! anyone has cached is ever wrong. Only the TileJSON grows old, and it is short-lived. Not here: who may ask.
//!
//! | request | answer |
//! |---|---|
//! | `/tiles/` | a page that shows every set; for programs, their list |
//! | `/tiles/{set}.json` | TileJSON 3.0 with the current version's URL |
//! | `/tiles/{set}/style.json` | a style for map libraries |
//! | `/tiles/fonts/{fontstack}/{range}.pbf` | glyphs, where there are fonts |
//! | `/tiles/{set}/{version}/{z}/{x}/{y}.mvt` | 200 with the tile, 204 when there is nothing to draw, 304 |
//! | a version that is well-formed but not kept | 410 with the current one: what is not kept cannot be told from what never was |
//! | no such set, a zoom or a place that the set does not have | 404 |
//! | numbers that name no tile | 400 that says which and why |
//! | a tile that takes too long, or too many at once | 503, and when to try again |
//!
//! What is told of all this to others: `docs/tiles-http.md`.

mod answer;
mod counts;
mod fonts;
mod kitchen;
mod lanes;
mod negotiate;
mod page;
mod style;
mod tilejson;
mod tiles;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{MethodRouter, get};

use crate::sets::Sets;

/// How tiles are served.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where clients reach this server, as in `https://maps.example.org/base`; `None` takes the request's `Host`.
    pub public_url: Option<String>,
    /// The path below which the router is served, such as `/maps`, where `public_url` does not say it; empty for none.
    pub path_prefix: String,
    /// Whether `Forwarded` and `X-Forwarded-*` are believed: only behind a proxy that sets them itself.
    pub trust_forwarded: bool,
    /// Packed tiles of all sets may take so many bytes of memory.
    pub cache_bytes_max: u64,
    /// A tile may take so long to render.
    pub render_time_max: Duration,
    /// So many tiles of one set are rendered at once; others wait.
    pub renders_max: usize,
    /// So many tiles of one set may wait; more are refused.
    pub waiting_max: usize,
    /// How long a TileJSON may be kept before it is asked for again.
    pub tilejson_age: Duration,
    /// The folder that holds glyphs, `FONT/0-255.pbf` and so on.
    pub fonts: Option<PathBuf>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            public_url: None,
            path_prefix: String::new(),
            trust_forwarded: false,
            cache_bytes_max: 256 << 20,
            render_time_max: Duration::from_secs(5),
            renders_max: std::thread::available_parallelism().map_or(1, usize::from),
            waiting_max: 1_024,
            tilejson_age: Duration::from_secs(60),
            fonts: None,
        }
    }
}

/// What all requests share.
struct Server {
    sets: Sets,
    options: ServeOptions,
    kitchen: Arc<kitchen::Kitchen>,
    glyphs: fonts::Kept,
}

/// Serves sets; what it counts can be asked for. Clones are the same server.
#[derive(Clone)]
pub struct TileServer(Arc<Server>);

impl TileServer {
    /// The sets may change while they are served.
    #[must_use]
    pub fn new(sets: Sets, options: ServeOptions) -> Self {
        let kitchen = kitchen::Kitchen::new(&options);
        Self(Arc::new(Server { sets, options, kitchen, glyphs: fonts::Kept::new() }))
    }

    /// The routes, all below `/tiles/`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/tiles", asked(get(page::without_slash)))
            .route("/tiles/", asked(get(page::answer)))
            .route("/tiles/assets/{release}/{file}", asked(get(page::asset)))
            .route("/tiles/fonts/{fontstack}/{range}", asked(get(fonts::answer)))
            .route("/tiles/{file}", asked(get(tilejson::answer)))
            .route("/tiles/{set}/{file}", asked(get(style::answer)))
            // Few parameters, which are not looked at: to take five out of a path costs more than to find a tile.
            .route("/tiles/{set}/{version}/{*tile}", asked(get(tiles::answer)))
            .with_state(Arc::clone(&self.0))
    }

    /// Appends what is counted, in OpenMetrics' text without its last line; `failing` is how many sets lie there that
    /// cannot be served.
    ///
    /// # Errors
    /// Never, as far as is known: a `String` takes any text.
    pub fn write_metrics(&self, out: &mut String, failing: usize) -> fmt::Result {
        let [cached, waiting, under_way] = self.0.kitchen.gauges();
        let sets = self.0.sets.names().len() as u64;
        self.0.kitchen.counts.encode(out, [cached, waiting, under_way, sets, failing as u64])
    }
}

/// Serves the sets below `/tiles/`. The sets may change while they are served.
pub fn router(sets: Sets, options: ServeOptions) -> Router {
    TileServer::new(sets, options).router()
}

/// A route that is read, by pages from anywhere.
fn asked(read: MethodRouter<Arc<Server>>) -> MethodRouter<Arc<Server>> {
    read.options(answer::preflight).fallback(answer::not_allowed)
}
