//! The section `[tiles]`: how tile sets are served. Where they lie is said in `[server]`.

use super::Settings;
use super::units::{Size, Span, Unit};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use watersmeet_tiles::{OLD_VERSIONS_KEPT, ServeOptions};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tiles {
    cache_bytes: Size<u64>,
    renderings: usize,
    waiting: usize,
    render_time: Span,
    pub(crate) old_versions: usize,
    pub(crate) look: Span,
    tilejson_age: Span,
    pub(crate) hot_saved: Span,
    pub(crate) fonts: Option<PathBuf>,
    pub(crate) sets: Vec<Remote>,
    trust_forwarded: bool,
}

/// A set that lies in an object store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remote {
    pub(crate) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
}

impl Default for Tiles {
    fn default() -> Self {
        let held = ServeOptions::default();
        Tiles {
            cache_bytes: Size::of(held.cache_bytes_max),
            renderings: 0,
            waiting: held.waiting_max,
            render_time: Span(held.render_time_max),
            old_versions: OLD_VERSIONS_KEPT,
            look: Span(Duration::from_secs(5)),
            tilejson_age: Span(held.tilejson_age),
            hot_saved: Span(Duration::from_secs(5 * 60)),
            fonts: held.fonts,
            sets: Vec::new(),
            trust_forwarded: held.trust_forwarded,
        }
    }
}

impl Settings {
    /// As the tile server holds them, which is reached below `path_prefix`.
    pub(crate) fn serve_options(&self, path_prefix: String) -> ServeOptions {
        let tiles = &self.tiles;
        let default = ServeOptions::default();
        ServeOptions {
            public_url: self.server.public_url.clone(),
            path_prefix,
            trust_forwarded: tiles.trust_forwarded,
            cache_bytes_max: tiles.cache_bytes.raw(),
            render_time_max: tiles.render_time.0,
            renders_max: if tiles.renderings == 0 { default.renders_max } else { tiles.renderings },
            waiting_max: tiles.waiting,
            tilejson_age: tiles.tilejson_age.0,
            fonts: tiles.fonts.clone(),
        }
    }
}
