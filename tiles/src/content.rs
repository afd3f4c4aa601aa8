//! What a set's tiles are, as URLs and answers name it.

use crate::archive::TileKind;

/// What a tile's bytes are. Watersmeet builds vector tiles; images are served as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A Mapbox vector tile.
    Vector,
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// AVIF.
    Avif,
}

/// Content, the ending of its URLs, its media type, its number in `PMTiles` and its name in `MBTiles`.
const KNOWN: [(Content, &str, &str, u8, &str); 5] = [
    (Content::Vector, "mvt", "application/vnd.mapbox-vector-tile", 1, "pbf"),
    (Content::Png, "png", "image/png", 2, "png"),
    (Content::Jpeg, "jpg", "image/jpeg", 3, "jpg"),
    (Content::Webp, "webp", "image/webp", 4, "webp"),
    (Content::Avif, "avif", "image/avif", 5, "avif"),
];

impl Content {
    /// That of a `PMTiles` archive; `None` when it is none of those above.
    pub(crate) fn of_kind(kind: TileKind) -> Option<Self> {
        let number = match kind {
            TileKind::Other => return None,
            TileKind::Vector => 1,
            TileKind::Image(number) => number,
        };
        KNOWN.iter().find(|known| known.3 == number).map(|known| known.0)
    }

    /// That of an `MBTiles` file, by its metadata's `format`.
    #[cfg(feature = "mbtiles")]
    pub(crate) fn of_format(format: &str) -> Option<Self> {
        let format = if format == "jpeg" { "jpg" } else { format };
        KNOWN.iter().find(|known| known.4 == format).map(|known| known.0)
    }

    /// The ending of the tiles' URLs, without the dot.
    #[must_use]
    pub fn ending(self) -> &'static str {
        KNOWN[self as usize].1
    }

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        KNOWN[self as usize].2
    }

    /// Whether compression makes it smaller: images are compressed already.
    #[must_use]
    pub fn is_compressible(self) -> bool {
        self == Self::Vector
    }
}
