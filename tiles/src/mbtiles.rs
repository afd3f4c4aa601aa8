//! `MBTiles` files, read as they are: a table of tiles in SQLite.
//!
//! One idea: a file that is served is never written to, so it is opened as immutable: no locks, no journal, no file
//! beside it. All connections are opened at once, so that they see the same file whatever takes its name later.
//! Rows count from the south (TMS) and are turned. Not here: writing.
//!
//! Source: <https://github.com/mapbox/mbtiles-spec/blob/master/1.3/spec.md>.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::compress::Encoding;
use crate::content::Content;
use crate::coord::TileCoord;
use crate::set::Tile;

/// So many tiles are read at once.
const CONNECTIONS: usize = 4;

/// The first bytes of gzip.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// Why an `MBTiles` file cannot be served.
#[derive(Debug, Error)]
pub enum MbTilesError {
    /// SQLite cannot read it.
    #[error("it cannot be read as an MBTiles file: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Its last changes lie in another file.
    #[error(
        "its last changes are still in NAME.mbtiles-wal; put them into the file first: sqlite3 FILE \"PRAGMA wal_checkpoint(TRUNCATE)\""
    )]
    Journal,
    /// The tiles are of no kind that is served.
    #[error("its format is {0:?}; pbf, png, jpg, webp and avif are served")]
    Format(String),
    /// There is not a single tile.
    #[error("it holds no tiles")]
    Empty,
    /// The metadata's `json` is no object of JSON.
    #[error("the row \"json\" of its metadata is no JSON object: {0}")]
    Json(serde_json::Error),
}

/// An open file.
pub(crate) struct MbTiles {
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

/// The shallowest and the deepest zoom. SQLite looks into an index for one of the two at a time; asked for both at once,
/// it reads all of it.
const ZOOMS: &str = "SELECT (SELECT min(zoom_level) FROM tiles), (SELECT max(zoom_level) FROM tiles)";

/// What the file says about itself.
pub(crate) struct Said {
    pub(crate) content: Content,
    pub(crate) zooms: [u8; 2],
    /// West, south, east, north in degrees.
    pub(crate) bounds: [f64; 4],
    pub(crate) center: [f64; 2],
    pub(crate) center_zoom: u8,
    pub(crate) metadata: Value,
}

impl MbTiles {
    /// Opens a file and reads what it says about itself.
    pub(crate) fn open(path: &Path) -> Result<(Self, Said), MbTilesError> {
        let mut journal = path.as_os_str().to_owned();
        journal.push("-wal");
        if std::fs::metadata(journal).is_ok_and(|journal| journal.len() > 0) {
            return Err(MbTilesError::Journal);
        }
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| connect(path)).collect::<Result<_, _>>()?;
        let said = said(&connections[0])?;
        let connections = connections.into_iter().map(Mutex::new).collect();
        Ok((Self { connections, next: AtomicUsize::new(0) }, said))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        let free = self.connections.iter().find_map(|connection| connection.try_lock().ok());
        free.unwrap_or_else(|| {
            let next = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
            self.connections[next].lock().unwrap_or_else(PoisonError::into_inner)
        })
    }

    /// A tile as it is stored.
    pub(crate) fn tile(&self, tile: TileCoord) -> Result<Option<Tile>, rusqlite::Error> {
        let from_the_south = (1_u32 << tile.z()) - 1 - tile.y();
        let connection = self.connection();
        let mut select = connection.prepare_cached(
            "SELECT tile_data FROM tiles WHERE zoom_level = ?1 AND tile_column = ?2 AND tile_row = ?3",
        )?;
        let blob: Option<Vec<u8>> =
            select.query_row((tile.z(), tile.x(), from_the_south), |row| row.get(0)).optional()?;
        let encoding =
            |blob: &[u8]| if blob.starts_with(&GZIP) { Encoding::Gzip } else { Encoding::Identity };
        let filled = blob.filter(|blob| !blob.is_empty());
        Ok(filled.map(|blob| Tile { encoding: encoding(&blob), bytes: Bytes::from(blob) }))
    }

    /// Hands every tile's place to the visitor; rows that are no place are passed over.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(TileCoord)) -> Result<(), rusqlite::Error> {
        let connection = self.connection();
        let mut select = connection.prepare("SELECT zoom_level, tile_column, tile_row FROM tiles")?;
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()? {
            let (z, column, row_from_south): (u8, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let rows = 1_u32.checked_shl(z.into()).unwrap_or(0);
            let y = rows.wrapping_sub(1).wrapping_sub(row_from_south);
            TileCoord::new(z, column, y).into_iter().for_each(&mut *visit);
        }
        Ok(())
    }

    /// How many tiles each zoom has, of how many bytes, and which is the largest.
    pub(crate) fn zooms(&self) -> Result<Vec<ZoomRow>, rusqlite::Error> {
        let connection = self.connection();
        // SQLite takes the bare columns from the row that has the maximum.
        let mut select = connection.prepare(
            "SELECT zoom_level, count(*), sum(length(tile_data)), max(length(tile_data)), tile_column, tile_row
             FROM tiles GROUP BY zoom_level ORDER BY zoom_level",
        )?;
        let rows = select.query_map((), |row| {
            let (z, column, row_from_south): (u8, u32, u32) = (row.get(0)?, row.get(4)?, row.get(5)?);
            let rows = 1_u32.checked_shl(z.into()).unwrap_or(0);
            let y = rows.wrapping_sub(1).wrapping_sub(row_from_south);
            Ok(ZoomRow {
                zoom: z,
                tiles: row.get::<_, i64>(1)?.cast_unsigned(),
                bytes: row.get::<_, i64>(2)?.cast_unsigned(),
                largest: TileCoord::new(z, column, y).ok().zip(row.get(3)?),
            })
        })?;
        rows.collect()
    }
}

/// The tiles of one zoom.
pub(crate) struct ZoomRow {
    pub(crate) zoom: u8,
    pub(crate) tiles: u64,
    pub(crate) bytes: u64,
    pub(crate) largest: Option<(TileCoord, u32)>,
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(byte);
    let path = path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") });
    let uri = format!("file:{}?immutable=1", path.collect::<String>());
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri, flags)
}

fn said(connection: &Connection) -> Result<Said, MbTilesError> {
    let text = |name: &str| -> Result<Option<String>, rusqlite::Error> {
        // The column need not have a type: a name may be a number. What is NULL is not said.
        let mut select =
            connection.prepare_cached("SELECT CAST(value AS TEXT) FROM metadata WHERE name = ?1")?;
        Ok(select.query_row([name], |row| row.get(0)).optional()?.flatten())
    };
    let format = text("format")?.unwrap_or_else(|| "pbf".to_owned());
    let content = Content::of_format(&format).ok_or(MbTilesError::Format(format))?;
    let found: (Option<u8>, Option<u8>) =
        connection.query_row(ZOOMS, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(min), Some(max)) = found else { return Err(MbTilesError::Empty) };
    let mut metadata: Map<String, Value> = match text("json")? {
        Some(json) => serde_json::from_str(&json).map_err(MbTilesError::Json)?,
        None => Map::new(),
    };
    for name in ["name", "attribution", "description", "generator"] {
        if let Some(value) = text(name)? {
            metadata.insert(name.to_owned(), value.into());
        }
    }
    let bounds =
        text("bounds")?.and_then(|text| numbers(&text)).unwrap_or([-180.0, -85.051_13, 180.0, 85.051_13]);
    let middle = [(bounds[0] + bounds[2]) / 2.0, (bounds[1] + bounds[3]) / 2.0];
    let center: Option<[f64; 3]> = text("center")?.and_then(|text| numbers(&text));
    let [longitude, latitude, zoom] = center.unwrap_or([middle[0], middle[1], f64::from(min)]);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to zooms")]
    let center_zoom = zoom.clamp(f64::from(min), f64::from(max)) as u8;
    let (center, metadata) = ([longitude, latitude], Value::Object(metadata));
    Ok(Said { content, zooms: [min, max], bounds, center, center_zoom, metadata })
}

/// Exactly so many finite numbers with commas between them.
fn numbers<const N: usize>(text: &str) -> Option<[f64; N]> {
    let numbers: Vec<f64> =
        text.split(',').map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
    numbers.iter().all(|number| number.is_finite()).then_some(())?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

    use super::*;

    #[test]
    fn the_zooms_are_looked_up_and_not_gathered() {
        let file = Connection::open_in_memory().unwrap();
        file.execute_batch(
            "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB);
             CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row);",
        )
        .unwrap();
        let mut explained = file.prepare(&format!("EXPLAIN QUERY PLAN {ZOOMS}")).unwrap();
        let steps = explained.query_map((), |row| row.get("detail")).unwrap();
        let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        assert_eq!(steps.iter().filter(|step| step.starts_with("SEARCH tiles")).count(), 2, "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN tiles")), "{steps:?}");
    }
}
