//! The first 127 bytes of an archive.
//!
//! ```text
//! 0        7 8                        96  97  98  99  100      102      118      119
//! +---------+-------------------------+---+---+---+---+---+----+--------+--------+------+-------+
//! | PMTiles | 11 numbers of 8 bytes:  | clu in- tile tile min max| west    east   | ctr   centre |
//! |    3    | places and counts       | ster|tern|com |kind zoom | south   north  | zoom  lon lat|
//! +---------+-------------------------+---+---+---+---+---+----+--------+--------+------+-------+
//! ```

use crate::compress::Encoding;
use crate::varint::{Cursor, Malformed};

/// How long a header is, in bytes.
pub(super) const HEADER_BYTES: usize = 127;

/// What an archive's tiles are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileKind {
    /// Unknown to the specification: our cells.
    Other,
    /// Mapbox vector tiles.
    Vector,
    /// A kind of image, by the specification's number.
    Image(u8),
}

/// A range of an archive's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What an archive says about itself at its beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    pub(super) root: Range,
    pub(super) metadata: Range,
    pub(super) leaves: Range,
    pub(super) tiles: Range,
    /// How many tiles can be asked for.
    pub addressed_tiles: u64,
    /// How many entries the directories have.
    pub entries: u64,
    /// How many different tiles are stored.
    pub distinct_tiles: u64,
    /// Whether the tiles' bytes lie in the order of their numbers.
    pub clustered: bool,
    /// How directories and metadata are packed; `None` when the archive does not say.
    pub internal_encoding: Option<Encoding>,
    /// How the tiles are packed; `None` when the archive does not say.
    pub tile_encoding: Option<Encoding>,
    /// What the tiles are.
    pub kind: TileKind,
    /// The shallowest zoom.
    pub min_zoom: u8,
    /// The deepest zoom.
    pub max_zoom: u8,
    /// West, south, east, north in degrees.
    pub bounds: [f64; 4],
    /// Longitude and latitude in degrees.
    pub center: [f64; 2],
    /// The zoom to show the centre at first.
    pub center_zoom: u8,
}

impl Header {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"PMTiles\x03".to_vec();
        for range in [self.root, self.metadata, self.leaves, self.tiles] {
            out.extend_from_slice(&range.offset.to_le_bytes());
            out.extend_from_slice(&range.length.to_le_bytes());
        }
        for count in [self.addressed_tiles, self.entries, self.distinct_tiles] {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.push(self.clustered.into());
        out.push(encoding_number(self.internal_encoding));
        out.push(encoding_number(self.tile_encoding));
        out.push(kind_number(self.kind));
        out.extend_from_slice(&[self.min_zoom, self.max_zoom]);
        self.bounds.iter().for_each(|degrees| out.extend_from_slice(&fixed(*degrees).to_le_bytes()));
        out.push(self.center_zoom);
        self.center.iter().for_each(|degrees| out.extend_from_slice(&fixed(*degrees).to_le_bytes()));
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor(bytes);
        if cursor.bytes(7, "the header")? != b"PMTiles" {
            return Err(Malformed::Meaningless("the beginning (it is no PMTiles archive)"));
        }
        if cursor.byte("the header")? != 3 {
            return Err(Malformed::Meaningless("the version of the PMTiles archive (only 3 is known)"));
        }
        let mut numbers = [0; 11];
        for number in &mut numbers {
            *number = u64::from_le_bytes(array(&mut cursor)?);
        }
        let range = |index: usize| Range { offset: numbers[index], length: numbers[index + 1] };
        let [clustered, internal, tile, kind, min_zoom, max_zoom] = array(&mut cursor)?;
        let [west, south, east, north] =
            [degrees(&mut cursor)?, degrees(&mut cursor)?, degrees(&mut cursor)?, degrees(&mut cursor)?];
        Ok(Self {
            root: range(0),
            metadata: range(2),
            leaves: range(4),
            tiles: range(6),
            addressed_tiles: numbers[8],
            entries: numbers[9],
            distinct_tiles: numbers[10],
            clustered: clustered == 1,
            internal_encoding: encoding(internal)?,
            tile_encoding: encoding(tile)?,
            kind: kind_of(kind),
            min_zoom,
            max_zoom,
            bounds: [west, south, east, north],
            center_zoom: cursor.byte("the header")?,
            center: [degrees(&mut cursor)?, degrees(&mut cursor)?],
        })
    }
}

fn array<const N: usize>(cursor: &mut Cursor<'_>) -> Result<[u8; N], Malformed> {
    let mut array = [0; N];
    array.copy_from_slice(cursor.bytes(N, "the header")?);
    Ok(array)
}

fn degrees(cursor: &mut Cursor<'_>) -> Result<f64, Malformed> {
    Ok(f64::from(i32::from_le_bytes(array(cursor)?)) / 1e7)
}

#[expect(clippy::cast_possible_truncation, reason = "180 degrees times ten million fit 32 bits")]
fn fixed(degrees: f64) -> i32 {
    (degrees.clamp(-180.0, 180.0) * 1e7).round() as i32
}

fn encoding_number(encoding: Option<Encoding>) -> u8 {
    match encoding {
        None => 0,
        Some(Encoding::Identity) => 1,
        Some(Encoding::Gzip) => 2,
        Some(Encoding::Brotli) => 3,
        Some(Encoding::Zstd) => 4,
    }
}

fn encoding(number: u8) -> Result<Option<Encoding>, Malformed> {
    Ok(match number {
        0 => None,
        1 => Some(Encoding::Identity),
        2 => Some(Encoding::Gzip),
        3 => Some(Encoding::Brotli),
        4 => Some(Encoding::Zstd),
        _ => return Err(Malformed::Meaningless("the number of a compression")),
    })
}

fn kind_number(kind: TileKind) -> u8 {
    match kind {
        TileKind::Other => 0,
        TileKind::Vector => 1,
        TileKind::Image(number) => number,
    }
}

fn kind_of(number: u8) -> TileKind {
    match number {
        0 => TileKind::Other,
        1 => TileKind::Vector,
        number => TileKind::Image(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn header() -> Header {
        Header {
            root: Range { offset: 127, length: 25 },
            metadata: Range { offset: 152, length: 300 },
            leaves: Range { offset: 452, length: 0 },
            tiles: Range { offset: 452, length: 1000 },
            addressed_tiles: 3,
            entries: 2,
            distinct_tiles: 1,
            clustered: true,
            internal_encoding: Some(Encoding::Gzip),
            tile_encoding: Some(Encoding::Gzip),
            kind: TileKind::Vector,
            min_zoom: 0,
            max_zoom: 6,
            bounds: [-180.0, -85.051_128_7, 180.0, 85.0],
            center: [13.4, 52.5],
            center_zoom: 3,
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let bytes = header().to_bytes();
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(bytes[..24], *b"PMTiles\x03\x7F\0\0\0\0\0\0\0\x19\0\0\0\0\0\0\0");
        assert_eq!(bytes[72..80], 3_u64.to_le_bytes());
        assert_eq!(bytes[96..102], [1, 2, 2, 1, 0, 6]);
        assert_eq!(bytes[102..106], (-1_800_000_000_i32).to_le_bytes());
        assert_eq!(bytes[106..110], (-850_511_287_i32).to_le_bytes());
        assert_eq!(bytes[118], 3);
        assert_eq!(bytes[119..127], [134_000_000_i32.to_le_bytes(), 525_000_000_i32.to_le_bytes()].concat());
        assert_eq!(Header::from_bytes(&bytes), Ok(header()));
    }

    quickcheck! {
        fn no_bytes_panic(bytes: Vec<u8>, at: usize, byte: u8) -> bool {
            let mut mutated = header().to_bytes();
            mutated[at % HEADER_BYTES] = byte;
            let _ = (Header::from_bytes(&bytes), Header::from_bytes(&mutated));
            true
        }
    }
}
