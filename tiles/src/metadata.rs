//! What archives say about themselves beyond their header, and the hash that names their content.
//!
//! One idea: archive and cells carry the same content hash and options, so that a server can tell that they belong
//! together and continue the pipeline as it was begun. Not here: TileJSON (see the HTTP module).

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use crate::archive::{Archive, TileKind};
use crate::build::layers::LayerSummary;
use crate::build::walk::CELL_ENCODING;
use crate::cells;
use crate::compress::Encoding;
use crate::coord::{Bounds, Point, WORLD, WORLD_BITS};
use crate::options::{BuildOptions, RenderOptions};
use crate::project::degrees;
use crate::reader::ByteReader;
use crate::render::RENDERER_REVISION;

/// The member of the metadata that is ours.
pub(crate) const OURS: &str = "watersmeet";

/// What we write into the metadata for ourselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ours {
    /// Hash of content and options, hexadecimal.
    pub(crate) content: String,
    /// The last zoom that is rendered beforehand.
    pub(crate) archive_zoom: u8,
    /// What decides a tile's bytes.
    pub(crate) render: RenderOptions,
    /// How the cells' bytes are laid out.
    #[serde(default = "unsaid_revision")]
    pub(crate) cells: u8,
}

/// The revision of the cells of archives that do not say theirs: the last one before they did.
fn unsaid_revision() -> u8 {
    2
}

/// What both files of a set say about it.
pub(crate) struct About {
    name: String,
    description: Option<String>,
    attribution: Option<String>,
    archive_zoom: u8,
    render: RenderOptions,
    layers: Value,
    bounds: Bounds,
}

impl About {
    pub(crate) fn new(layers: &[LayerSummary], options: &BuildOptions, out: &Path) -> Self {
        let mut bounds = Bounds::EMPTY;
        layers.iter().for_each(|layer| bounds.join(&layer.bounds));
        let stem = || out.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            name: options.name.clone().unwrap_or_else(stem),
            description: options.description.clone(),
            attribution: options.attribution.clone(),
            archive_zoom: options.last_archived_zoom(),
            render: options.render.clone(),
            layers: layers.iter().map(|layer| vector_layer(layer, &options.render)).collect(),
            bounds: on_the_square(bounds),
        }
    }

    pub(crate) fn archive(&self, content: &str) -> crate::archive::About {
        self.container(content, TileKind::Vector, Encoding::Gzip, [self.render.min_zoom, self.archive_zoom])
    }

    pub(crate) fn cells(&self, content: &str, deepest: u8) -> crate::archive::About {
        self.container(content, TileKind::Other, CELL_ENCODING, [self.archive_zoom, deepest])
    }

    fn container(
        &self,
        content: &str,
        kind: TileKind,
        tile_encoding: Encoding,
        [min_zoom, max_zoom]: [u8; 2],
    ) -> crate::archive::About {
        let [west, north] = degrees(self.bounds.min);
        let [east, south] = degrees(self.bounds.max);
        let half = |low: i32, high: i32| low + (high - low) / 2;
        let (min, max) = (self.bounds.min, self.bounds.max);
        crate::archive::About {
            kind,
            tile_encoding,
            min_zoom,
            max_zoom,
            bounds: [west, south, east, north],
            center: degrees(Point { x: half(min.x, max.x), y: half(min.y, max.y) }),
            center_zoom: self.first_zoom(),
            metadata: self.metadata(content),
        }
    }

    /// The zoom at which all of the data is about as wide as a screen.
    fn first_zoom(&self) -> u8 {
        let side = self.bounds.longer_side().max(1);
        let zoom = u8::try_from(side.leading_zeros()).unwrap_or(0).saturating_sub(31 - WORLD_BITS);
        zoom.clamp(self.render.min_zoom, self.archive_zoom)
    }

    fn metadata(&self, content: &str) -> Value {
        let ours = Ours {
            content: content.to_owned(),
            archive_zoom: self.archive_zoom,
            render: self.render.clone(),
            cells: cells::REVISION,
        };
        let mut metadata = json!({
            "name": self.name,
            "version": content,
            "format": "pbf",
            "type": "overlay",
            "generator": concat!("watersmeet ", env!("CARGO_PKG_VERSION")),
            "vector_layers": self.layers,
            OURS: ours,
        });
        for (key, text) in [("attribution", &self.attribution), ("description", &self.description)] {
            if let Some(text) = text {
                metadata[key] = json!(text);
            }
        }
        metadata
    }
}

/// Without what hangs over the world's edges.
fn on_the_square(bounds: Bounds) -> Bounds {
    let clamp = |point: Point| Point { x: point.x.clamp(0, WORLD), y: point.y.clamp(0, WORLD) };
    Bounds { min: clamp(bounds.min), max: clamp(bounds.max) }
}

fn vector_layer(layer: &LayerSummary, render: &RenderOptions) -> Value {
    json!({
        "id": layer.name,
        "fields": layer.fields.iter().map(|(key, kind)| (key.to_string(), json!(kind))).collect::<serde_json::Map<_, _>>(),
        "minzoom": layer.min_zoom().max(render.min_zoom),
        "maxzoom": layer.max_zoom.min(render.max_zoom),
    })
}

/// The name of a set's content: the bytes of all tiles and cells, the layers, and the options that decide the tiles
/// that are not rendered yet; but not how the files are compressed. 16 hexadecimal digits.
pub(crate) fn content(hashes: impl Iterator<Item = (u64, u128)>, about: &About) -> String {
    let mut hasher = Xxh3::new();
    let decided = json!([about.layers, about.render, about.archive_zoom]);
    hasher.update(decided.to_string().as_bytes());
    for (number, hash) in hashes {
        hasher.update(&number.to_le_bytes());
        hasher.update(&hash.to_le_bytes());
    }
    short(hasher.digest128())
}

/// The version under which a set is served: its content, the code that renders the rest of it, and which of its tiles
/// the archive has: of two archives of one build, one may be an extract.
pub(crate) fn version<R: ByteReader>(content: &str, archive: &Archive<R>) -> String {
    let mut hasher = Xxh3::new();
    hasher.update(format!("{content} rendered by revision {RENDERER_REVISION}").as_bytes());
    archive.hash_contents(&mut hasher);
    short(hasher.digest128())
}

fn short(hash: u128) -> String {
    format!("{:016x}", hash >> 64)
}
