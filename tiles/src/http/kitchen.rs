//! Where tiles are rendered, packed and kept: each rendered once, packed once per encoding, and kept while there is room.
//!
//! One idea: a request is a future, and dropping it drops what was done for it. Whoever asks first begins, all who ask
//! meanwhile wait for the same result, and when nobody waits any more, a render that has not begun never begins, and
//! one that has begun is told to stop. Not here: which version is current.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use bytes::Bytes;
use foldhash::fast::RandomState;
use moka::sync::Cache;
use xxhash_rust::xxh3::xxh3_128;

use super::ServeOptions;
use super::counts::Counts;
use super::lanes::{Lanes, NoTurn};
use crate::compress::{CompressError, Encoding, pack, unpack};
use crate::coord::TileCoord;
use crate::error::TileError;
use crate::flights::Flights;
use crate::reader::{Absent, FETCHES_MAX};
use crate::set::Tiles;

/// How long requests wait for their turn to render, in multiples of the time that one may take.
const PATIENCE: u32 = 4;

/// How long it is remembered that a tile took too long, so that to ask again costs nothing.
pub(super) const TOO_SLOW_KEPT: Duration = Duration::from_secs(30);

/// For so many tiles.
const TOO_SLOW_MAX: u64 = 4_096;

/// What a tile in memory takes besides its bytes, about.
const OVERHEAD_BYTES: usize = 256;

/// The forms in which a tile may be kept; those first of which others are made at the least cost.
const FORMS: [Option<Encoding>; 5] =
    [None, Some(Encoding::Identity), Some(Encoding::Zstd), Some(Encoding::Gzip), Some(Encoding::Brotli)];

/// A tile of a version in an encoding. The version is the tile's content, so sets need no names here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    version: u64,
    tile: TileCoord,
    /// `None` for the form in which the set gives it.
    encoding: Option<Encoding>,
}

/// A packed tile; none of its bytes when there is nothing to draw.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) bytes: Bytes,
    pub(super) encoding: Encoding,
    pub(super) etag: HeaderValue,
}

/// Why a tile is not there. Shared by all who waited for it.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    TooSlow,
    NoTurn(NoTurn),
    Broken(Arc<str>),
    /// Bytes that lie elsewhere did not come.
    NotFetched(Arc<str>),
    /// Bytes that lie elsewhere have to be fetched first.
    Absent(Absent),
}

/// What is asked for.
#[derive(Clone)]
pub(super) struct Order {
    /// In whose lane it waits.
    pub(super) set: Arc<str>,
    pub(super) version: u64,
    pub(super) tiles: Arc<dyn Tiles>,
    pub(super) tile: TileCoord,
}

/// See the [module](self).
pub(super) struct Kitchen {
    cache: Cache<Key, Packed, RandomState>,
    too_slow: Cache<Key, ()>,
    flights: Flights<Key, Result<Packed, Failure>>,
    lanes: Lanes,
    time_max: Duration,
    pub(super) counts: Counts,
}

impl Kitchen {
    pub(super) fn new(options: &ServeOptions) -> Arc<Self> {
        let weigh =
            |_: &Key, packed: &Packed| u32::try_from(packed.bytes.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX);
        let time_max = options.render_time_max;
        Arc::new(Self {
            cache: Cache::builder()
                .max_capacity(options.cache_bytes_max)
                .weigher(weigh)
                .build_with_hasher(RandomState::default()),
            too_slow: Cache::builder().max_capacity(TOO_SLOW_MAX).time_to_live(TOO_SLOW_KEPT).build(),
            flights: Flights::new(),
            lanes: Lanes::new(options.renders_max, options.waiting_max, time_max * PATIENCE),
            time_max,
            counts: Counts::new(),
        })
    }

    /// A tile that is in memory in the form in which it is asked for.
    pub(super) fn at_hand(&self, version: u64, tile: TileCoord, encoding: Encoding) -> Option<Packed> {
        let found = self.cache.get(&Key { version, tile, encoding: Some(encoding) });
        let count = if found.is_some() { &self.counts.hits } else { &self.counts.misses };
        count.inc();
        found
    }

    /// A tile in an encoding; in none if it is empty.
    pub(super) async fn make(self: &Arc<Self>, order: Order, encoding: Encoding) -> Result<Packed, Failure> {
        let key = Key { version: order.version, tile: order.tile, encoding: Some(encoding) };
        let kitchen = Arc::clone(self);
        let work = async move {
            // A tag names bytes, so those of the file are given whichever encoding was asked for before.
            let given = if order.tiles.stored_as(order.tile) == Some(encoding) {
                kitchen.render(order.clone(), encoding).await?
            } else {
                kitchen.given(order.clone(), encoding).await?
            };
            if given.encoding == encoding || given.bytes.is_empty() {
                return Ok(given);
            }
            kitchen.pack(&order.set, given, encoding).await
        };
        let made = self.once(key, work).await;
        // From now on it is made of the form that is kept.
        self.cache.invalidate(&Key { encoding: None, ..key });
        made
    }

    /// A tile in the form in which the set gives it to who wants this encoding.
    async fn given(self: &Arc<Self>, order: Order, wanted: Encoding) -> Result<Packed, Failure> {
        let key = Key { version: order.version, tile: order.tile, encoding: None };
        if let Some(found) = FORMS.iter().find_map(|form| self.cache.get(&Key { encoding: *form, ..key })) {
            return Ok(found);
        }
        if self.too_slow.contains_key(&key) {
            return Err(Failure::TooSlow);
        }
        let kitchen = Arc::clone(self);
        let given = self.once(key, async move { kitchen.render(order, wanted).await }).await;
        if matches!(given, Err(Failure::TooSlow)) {
            self.too_slow.insert(key, ());
        }
        given
    }

    /// The result of `work`, which is done once for all who ask for `key` now, and kept.
    async fn once(
        self: &Arc<Self>,
        key: Key,
        work: impl Future<Output = Result<Packed, Failure>> + Send + 'static,
    ) -> Result<Packed, Failure> {
        let kitchen = Arc::clone(self);
        let kept = || self.cache.get(&key).map(Ok);
        let work = || async move {
            let made = work.await;
            if let Ok(packed) = &made {
                kitchen.cache.insert(key, packed.clone());
            }
            made
        };
        let made = self.flights.join(&key, kept, work).await;
        made.unwrap_or_else(|| Err(Failure::Broken("rendering it ended in a panic".into())))
    }

    /// Reads or renders a tile. Of one that lies elsewhere, bytes are fetched between turns: nobody who has a turn waits
    /// for a network.
    async fn render(&self, order: Order, wanted: Encoding) -> Result<Packed, Failure> {
        for _ in 0..FETCHES_MAX {
            match self.render_now(order.clone(), wanted).await {
                Err(Failure::Absent(absent)) => {
                    absent.fetch().await.map_err(|error| Failure::NotFetched(error.to_string().into()))?;
                }
                done => return done,
            }
        }
        Err(Failure::NotFetched("what was fetched did not stay in memory".into()))
    }

    async fn render_now(&self, order: Order, wanted: Encoding) -> Result<Packed, Failure> {
        let time_max = self.time_max;
        let rendering = self.counts.rendering.clone();
        let Order { set, tiles, tile, .. } = order;
        let renders = self.counts.renders.clone();
        self.in_turn(&set, move |abandoned| {
            let begun = Instant::now();
            let found = tiles.tile_as(tile, wanted, &|| abandoned() || begun.elapsed() > time_max);
            if let Some(absent) = found.as_ref().err().and_then(TileError::absent) {
                return Err(Failure::Absent(absent));
            }
            renders.inc();
            rendering.observe(begun.elapsed().as_secs_f64());
            match found {
                Ok(Some(found)) => Ok(packed(found.bytes, found.encoding)),
                Ok(None) => Ok(packed(Bytes::new(), Encoding::Identity)),
                Err(error) if error.is_stopped() => Err(Failure::TooSlow),
                Err(error) => Err(Failure::Broken(error.to_string().into())),
            }
        })
        .await
    }

    async fn pack(&self, set: &Arc<str>, given: Packed, encoding: Encoding) -> Result<Packed, Failure> {
        let packs = self.counts.packs.clone();
        self.in_turn(set, move |_| {
            packs.inc();
            let broken = |error: CompressError| Failure::Broken(error.to_string().into());
            let plain = unpack(&given.bytes, given.encoding).map_err(broken)?;
            Ok(packed(pack(&plain, encoding).map_err(broken)?.into(), encoding))
        })
        .await
    }

    /// Works off the async threads, a few at a time. Work whose clients have gone before its turn is never begun; when
    /// they go later, it is told so.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        set: &Arc<str>,
        work: impl FnOnce(&dyn Fn() -> bool) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = self.lanes.turn(set).await.map_err(Failure::NoTurn)?;
        let mut here = Abandoned { flag: Arc::default(), counts: Some(&self.counts) };
        let flag = Arc::clone(&here.flag);
        let done = tokio::task::spawn_blocking(move || {
            let _held_until_done = turn;
            work(&|| flag.load(Ordering::Relaxed))
        });
        let done = done.await;
        here.counts = None;
        done.unwrap_or_else(|error| Err(Failure::Broken(error.to_string().into())))
    }

    /// Bytes in memory, tiles that wait for their turn, and those under way.
    pub(super) fn gauges(&self) -> [u64; 3] {
        [self.cache.weighted_size(), self.lanes.waiting() as u64, self.flights.count() as u64]
    }
}

/// Says when it is dropped that nobody waits any more, unless the work is done.
struct Abandoned<'a> {
    flag: Arc<AtomicBool>,
    counts: Option<&'a Counts>,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if let Some(counts) = self.counts {
            self.flag.store(true, Ordering::Relaxed);
            counts.abandoned.inc();
        }
    }
}

/// The tag is the hash of these very bytes, so it differs by encoding as a strong tag has to.
fn packed(bytes: Bytes, encoding: Encoding) -> Packed {
    let etag = format!("\"{:016x}\"", xxh3_128(&bytes) >> 64);
    // Hexadecimal digits and quotes fit any header.
    let etag = HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\""));
    Packed { bytes, encoding, etag }
}

#[cfg(test)]
mod tests;
