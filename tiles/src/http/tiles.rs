//! Tiles over HTTP: each rendered once, packed once per encoding, and kept while there is room.
//!
//! One idea: the cache is also the queue. Whoever asks first renders, all who ask meanwhile wait for the same result,
//! and when nobody waits any more, a render that has not begun never begins. Not here: which version is current.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use moka::future::Cache;
use tokio::sync::Semaphore;
use xxhash_rust::xxh3::xxh3_128;

use super::answer::{Refusal, cors};
use super::{ServeOptions, Server, negotiate, tilejson};
use crate::compress::{Encoding, pack, unpack};
use crate::coord::TileCoord;
use crate::set::{TileSet, Tiles};
use crate::sets::Found;

const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// How long requests wait for their turn to render, in multiples of the time that one may take.
const PATIENCE: u32 = 4;

/// A tile of a version in an encoding. The version is the tile's content, so sets need no names here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    version: Arc<str>,
    tile: TileCoord,
    /// `None` for the form in which the set gives it.
    encoding: Option<Encoding>,
}

/// A packed tile; none of its bytes when there is nothing to draw.
#[derive(Clone, Debug)]
struct Packed {
    bytes: Bytes,
    encoding: Encoding,
    etag: Arc<str>,
}

/// Why a tile is not there. Shared by all who waited for it.
#[derive(Clone, Debug)]
enum Failure {
    TooSlow,
    TooMany,
    Broken(String),
}

/// Where tiles are rendered, packed and kept.
pub(super) struct Kitchen {
    cache: Cache<Key, Packed>,
    places: Arc<Semaphore>,
    time_max: Duration,
}

pub(super) async fn answer(
    State(server): State<Arc<Server>>,
    Path([set, version, z, x, y]): Path<[String; 5]>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let tile = coordinate([&z, &x, &y])?;
    let found = match server.sets.find(&set, &version) {
        Found::Kept(found) => found,
        Found::NoSet => return Err(tilejson::no_set(&set)),
        Found::Gone(current) => return Err(gone(&server, &headers, (&set, &version), &current, tile)),
    };
    if tile.z() < found.min_zoom() || tile.z() > found.max_zoom() {
        let error = format!("zoom {} is outside of {} to {}", tile.z(), found.min_zoom(), found.max_zoom());
        return Err(Refusal::Missing { error, hint: "the set's TileJSON names its zooms" });
    }
    let packed = server.kitchen.tile(&version, found, tile, negotiate::encoding(&headers)).await?;
    Ok(served(&packed, &headers))
}

/// Reads `z`, `x` and `y.mvt`, saying which of them is wrong and why.
fn coordinate([z, x, y]: [&str; 3]) -> Result<TileCoord, Refusal> {
    let hint = "tiles are at /tiles/SET/VERSION/{z}/{x}/{y}.mvt";
    let malformed = |error: String| Refusal::Malformed { error, hint };
    let Some(y) = y.strip_suffix(".mvt") else {
        return Err(malformed(format!("{y:?} does not end in \".mvt\"")));
    };
    let number = |name: &str, text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { text.parse::<u32>().ok() } else { None };
        number.ok_or_else(|| malformed(format!("{name} is {text:?}, which is not a whole number from 0")))
    };
    let [z, x, y] = [number("z", z)?, number("x", x)?, number("y", y)?];
    let z = u8::try_from(z).unwrap_or(u8::MAX);
    TileCoord::new(z, x, y).map_err(|error| malformed(error.to_string()))
}

fn gone(
    server: &Server,
    headers: &HeaderMap,
    (set, version): (&str, &str),
    current: &TileSet,
    tile: TileCoord,
) -> Refusal {
    let well_formed = version.len() == 16 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !well_formed {
        let error = format!("{version:?} is not a version, which has 16 hexadecimal digits");
        return Refusal::Missing { error, hint: "the set's TileJSON names its current version" };
    }
    let base = tilejson::base_url(&server.options, headers);
    let [z, x, y] = [tile.z().to_string(), tile.x().to_string(), tile.y().to_string()];
    let current = tilejson::tile_url(&base, set, current.version(), [&z, &x, &y]);
    Refusal::Gone { version: version.to_owned(), current }
}

/// The answer with a tile. The server takes the body away again when only the head was asked for.
fn served(packed: &Packed, headers: &HeaderMap) -> Response {
    let mut out = cors();
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    out.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if packed.bytes.is_empty() {
        return (StatusCode::NO_CONTENT, out).into_response();
    }
    if let Ok(tag) = HeaderValue::from_str(&packed.etag) {
        out.insert(header::ETAG, tag);
    }
    if negotiate::has_it(headers, &packed.etag) {
        return (StatusCode::NOT_MODIFIED, out).into_response();
    }
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.mapbox-vector-tile"));
    if packed.encoding != Encoding::Identity {
        let name = negotiate::name(packed.encoding);
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    (StatusCode::OK, out, Body::from(packed.bytes.clone())).into_response()
}

impl Kitchen {
    pub(super) fn new(options: &ServeOptions) -> Self {
        let weigh = |_: &Key, packed: &Packed| u32::try_from(packed.bytes.len() + 256).unwrap_or(u32::MAX);
        Self {
            cache: Cache::builder().max_capacity(options.cache_bytes_max).weigher(weigh).build(),
            places: Arc::new(Semaphore::new(options.renders_max.max(1))),
            time_max: options.render_time_max,
        }
    }

    /// A tile of the version that `set` is, in an encoding.
    async fn tile(
        &self,
        version: &str,
        set: Arc<dyn Tiles>,
        tile: TileCoord,
        encoding: Encoding,
    ) -> Result<Packed, Refusal> {
        let key = Key { version: version.into(), tile, encoding: None };
        let as_given = self.cache.try_get_with(key.clone(), self.render(set, tile)).await;
        let as_given = as_given.map_err(|failure| refusal(&failure, tile))?;
        if as_given.encoding == encoding || as_given.bytes.is_empty() {
            return Ok(as_given);
        }
        let key = Key { encoding: Some(encoding), ..key };
        let packed = self.cache.try_get_with(key, self.repack(as_given, encoding)).await;
        packed.map_err(|failure| refusal(&failure, tile))
    }

    async fn render(&self, set: Arc<dyn Tiles>, tile: TileCoord) -> Result<Packed, Failure> {
        let time_max = self.time_max;
        let work = move || {
            let deadline = Instant::now() + time_max;
            let found = set.tile(tile, &|| Instant::now() > deadline).map_err(|error| {
                if error.is_stopped() { Failure::TooSlow } else { Failure::Broken(error.to_string()) }
            })?;
            Ok(match found {
                Some(found) => packed(found.bytes, found.encoding),
                None => packed(Bytes::new(), Encoding::Identity),
            })
        };
        self.in_turn(work).await
    }

    async fn repack(&self, given: Packed, encoding: Encoding) -> Result<Packed, Failure> {
        let work = move || {
            let broken = |error: crate::compress::CompressError| Failure::Broken(error.to_string());
            let plain = unpack(&given.bytes, given.encoding).map_err(broken)?;
            Ok(packed(pack(&plain, encoding).map_err(broken)?.into(), encoding))
        };
        self.in_turn(work).await
    }

    /// Works off the async threads, a few at a time. Work whose client has gone before its turn is never begun.
    async fn in_turn(
        &self,
        work: impl FnOnce() -> Result<Packed, Failure> + Send + 'static,
    ) -> Result<Packed, Failure> {
        let turn = Arc::clone(&self.places).acquire_owned();
        let Ok(turn) = tokio::time::timeout(self.time_max * PATIENCE, turn).await else {
            return Err(Failure::TooMany);
        };
        let done = tokio::task::spawn_blocking(move || {
            let _held_until_done = turn;
            work()
        });
        done.await.unwrap_or_else(|error| Err(Failure::Broken(error.to_string())))
    }
}

/// The tag is the hash of these very bytes, so it differs by encoding as a strong tag has to.
fn packed(bytes: Bytes, encoding: Encoding) -> Packed {
    let etag = format!("\"{:016x}\"", xxh3_128(&bytes) >> 64).into();
    Packed { bytes, encoding, etag }
}

fn refusal(failure: &Failure, tile: TileCoord) -> Refusal {
    match failure {
        Failure::TooSlow => Refusal::Busy(format!("tile {tile} took too long to render")),
        Failure::TooMany => Refusal::Busy("too many tiles are being rendered".to_owned()),
        Failure::Broken(error) => {
            tracing::error!(%tile, error, "a tile cannot be given");
            Refusal::Broken
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::error::TileError;
    use crate::set::Tile;

    /// Counts its tiles, and gives each only when it is told to.
    struct Slow {
        begun: AtomicUsize,
        go: Mutex<Receiver<()>>,
    }

    impl Slow {
        fn new() -> (Arc<Self>, Sender<()>) {
            let (go, wait) = channel();
            (Arc::new(Self { begun: AtomicUsize::new(0), go: Mutex::new(wait) }), go)
        }
    }

    impl Tiles for Slow {
        fn tile(&self, tile: TileCoord, _: &dyn Fn() -> bool) -> Result<Option<Tile>, TileError> {
            self.begun.fetch_add(1, Ordering::SeqCst);
            let _ = self.go.lock().unwrap_or_else(PoisonError::into_inner).recv();
            Ok(Some(Tile { bytes: tile.to_string().into(), encoding: Encoding::Identity }))
        }
    }

    fn kitchen() -> Arc<Kitchen> {
        Arc::new(Kitchen::new(&ServeOptions { renders_max: 1, ..ServeOptions::default() }))
    }

    fn ask(kitchen: &Arc<Kitchen>, slow: &Arc<Slow>, x: u32) -> tokio::task::JoinHandle<Bytes> {
        let (kitchen, slow) = (Arc::clone(kitchen), Arc::clone(slow));
        let tile = TileCoord::new(10, x, 0).unwrap();
        tokio::spawn(async move { kitchen.tile("v", slow, tile, Encoding::Identity).await.unwrap().bytes })
    }

    #[tokio::test]
    async fn a_tile_that_many_ask_for_is_rendered_once() {
        let (slow, go) = Slow::new();
        let kitchen = kitchen();
        let asked: Vec<_> = (0..32).map(|_| ask(&kitchen, &slow, 7)).collect();
        while slow.begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        go.send(()).unwrap();
        for asked in asked {
            assert_eq!(asked.await.unwrap(), "10/7/0");
        }
        assert_eq!(slow.begun.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_tile_that_nobody_waits_for_any_more_is_never_begun() {
        let (slow, go) = Slow::new();
        let kitchen = kitchen();
        let first = ask(&kitchen, &slow, 1);
        while slow.begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // These wait for their turn behind the first, and their clients go away.
        let abandoned: Vec<_> = (2..50).map(|x| ask(&kitchen, &slow, x)).collect();
        tokio::task::yield_now().await;
        abandoned.iter().for_each(tokio::task::JoinHandle::abort);
        for abandoned in abandoned {
            assert!(abandoned.await.unwrap_err().is_cancelled());
        }
        let last = ask(&kitchen, &slow, 60);
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(first.await.unwrap(), "10/1/0");
        assert_eq!(last.await.unwrap(), "10/60/0");
        assert_eq!(slow.begun.load(Ordering::SeqCst), 2);
    }
}
