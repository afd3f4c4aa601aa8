use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinHandle;

use super::*;
use crate::error::TileError;
use crate::render::Stopped;
use crate::set::Tile;

/// Counts its tiles, and gives each only when it is told to, or told to stop.
struct Slow {
    begun: AtomicUsize,
    stopped: AtomicUsize,
    go: Mutex<Receiver<()>>,
}

impl Slow {
    fn new() -> (Arc<Self>, Sender<()>) {
        let (go, wait) = channel();
        let (begun, stopped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        (Arc::new(Self { begun, stopped, go: Mutex::new(wait) }), go)
    }

    async fn until_begun(&self, count: usize) {
        while self.begun.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

impl Tiles for Slow {
    fn tile(&self, tile: TileCoord, stop: &dyn Fn() -> bool) -> Result<Option<Tile>, TileError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        loop {
            if stop() {
                self.stopped.fetch_add(1, Ordering::SeqCst);
                return Err(Stopped.into());
            }
            let go = self.go.lock().unwrap_or_else(PoisonError::into_inner);
            if go.recv_timeout(Duration::from_millis(1)).is_ok() {
                return Ok(Some(Tile { bytes: tile.to_string().into(), encoding: Encoding::Identity }));
            }
        }
    }
}

/// A set whose tiles take no time.
struct Quick;

impl Tiles for Quick {
    fn tile(&self, tile: TileCoord, _: &dyn Fn() -> bool) -> Result<Option<Tile>, TileError> {
        Ok(Some(Tile { bytes: tile.to_string().into(), encoding: Encoding::Identity }))
    }
}

fn kitchen(change: impl FnOnce(&mut ServeOptions)) -> Arc<Kitchen> {
    // No test waits for a time to pass but the one that says so.
    let mut options =
        ServeOptions { renders_max: 1, render_time_max: Duration::from_secs(600), ..ServeOptions::default() };
    change(&mut options);
    Kitchen::new(&options)
}

fn order(set: &str, tiles: Arc<dyn Tiles>, x: u32) -> Order {
    let version = xxhash_rust::xxh3::xxh3_64(set.as_bytes());
    Order { set: set.into(), version, tiles, tile: TileCoord::new(10, x, 0).unwrap() }
}

fn ask(
    kitchen: &Arc<Kitchen>,
    slow: &Arc<Slow>,
    x: u32,
    encoding: Encoding,
) -> JoinHandle<Result<Packed, Failure>> {
    let (kitchen, order) = (Arc::clone(kitchen), order("slow", slow.clone(), x));
    tokio::spawn(async move { kitchen.make(order, encoding).await })
}

#[tokio::test]
async fn a_tile_that_many_ask_for_in_any_encoding_is_rendered_once() {
    let (slow, go) = Slow::new();
    let kitchen = kitchen(|_| ());
    let encodings = [Encoding::Identity, Encoding::Gzip, Encoding::Brotli, Encoding::Zstd];
    let asked: Vec<_> = (0..32).map(|number| ask(&kitchen, &slow, 7, encodings[number % 4])).collect();
    slow.until_begun(1).await;
    go.send(()).unwrap();
    for asked in asked {
        let packed = asked.await.unwrap().unwrap();
        assert_eq!(unpack(&packed.bytes, packed.encoding).unwrap(), b"10/7/0");
    }
    assert_eq!(slow.begun.load(Ordering::SeqCst), 1);
    assert_eq!(kitchen.counts.packs.get(), 3, "each encoding once");
}

#[tokio::test]
async fn a_tile_goes_on_when_the_one_who_asked_first_goes_and_others_wait() {
    let (slow, go) = Slow::new();
    let kitchen = kitchen(|_| ());
    let first = ask(&kitchen, &slow, 7, Encoding::Brotli);
    slow.until_begun(1).await;
    let second = ask(&kitchen, &slow, 7, Encoding::Brotli);
    // On one thread, the second waits with the first as soon as it has been at it once.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    go.send(()).unwrap();
    let packed = second.await.unwrap().unwrap();
    assert_eq!(unpack(&packed.bytes, Encoding::Brotli).unwrap(), b"10/7/0");
    assert_eq!((slow.begun.load(Ordering::SeqCst), slow.stopped.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn a_tile_that_nobody_waits_for_any_more_is_stopped_or_never_begun() {
    let (slow, go) = Slow::new();
    let kitchen = kitchen(|_| ());
    let first = ask(&kitchen, &slow, 1, Encoding::Gzip);
    slow.until_begun(1).await;
    // These wait for their turn behind the first, and their clients go away.
    let waiting: Vec<_> = (2..50).map(|x| ask(&kitchen, &slow, x, Encoding::Gzip)).collect();
    while kitchen.lanes.waiting() < 48 {
        tokio::task::yield_now().await;
    }
    waiting.iter().for_each(JoinHandle::abort);
    first.abort();
    for gone in waiting.into_iter().chain([first]) {
        assert!(gone.await.unwrap_err().is_cancelled());
    }
    while slow.stopped.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    let last = ask(&kitchen, &slow, 60, Encoding::Identity).await.unwrap().unwrap();
    assert_eq!(last.bytes, "10/60/0");
    assert_eq!((slow.begun.load(Ordering::SeqCst), slow.stopped.load(Ordering::SeqCst)), (2, 1));
    assert_eq!(kitchen.gauges()[1..], [0, 0], "nothing is left behind");
}

/// With real sockets, since that a request is dropped when its client goes is the doing of the server below.
#[tokio::test]
async fn a_client_that_hangs_up_stops_its_tile() {
    let (slow, _go) = Slow::new();
    let kitchen = kitchen(|_| ());
    let (asked, tiles) = (Arc::clone(&kitchen), slow.clone());
    let answer = async move || match asked.make(order("slow", tiles, 1), Encoding::Gzip).await {
        Ok(packed) => packed.bytes,
        Err(failure) => panic!("{failure:?}"),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.writable().await.unwrap();
    socket.try_write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    slow.until_begun(1).await;
    drop(socket);
    while slow.stopped.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((kitchen.counts.abandoned.get(), kitchen.gauges()[2]), (1, 0));
    server.abort();
}

#[tokio::test]
async fn one_set_s_requests_never_wait_behind_another_s() {
    let (slow, go) = Slow::new();
    let kitchen = kitchen(|_| ());
    let heavy: Vec<_> = (0..200).map(|x| ask(&kitchen, &slow, x, Encoding::Identity)).collect();
    slow.until_begun(1).await;
    for x in 0..1_000 {
        let light = kitchen.make(order("light", Arc::new(Quick), x), Encoding::Brotli).await.unwrap();
        assert_eq!(unpack(&light.bytes, light.encoding).unwrap(), format!("10/{x}/0").into_bytes());
    }
    // All of the light set is served, and the heavy set is still at its first tile.
    assert_eq!(slow.begun.load(Ordering::SeqCst), 1);
    assert!(heavy.iter().all(|asked| !asked.is_finished()));
    (0..200).for_each(|_| go.send(()).unwrap());
    for asked in heavy {
        asked.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn more_than_may_wait_are_refused_at_once() {
    let (slow, go) = Slow::new();
    let kitchen = kitchen(|options| options.waiting_max = 5);
    let asked: Vec<_> = (0..6).map(|x| ask(&kitchen, &slow, x, Encoding::Identity)).collect();
    while kitchen.lanes.waiting() < 5 {
        tokio::task::yield_now().await;
    }
    let refused = ask(&kitchen, &slow, 9, Encoding::Identity).await.unwrap();
    assert!(matches!(refused, Err(Failure::NoTurn(NoTurn::Full))), "{refused:?}");
    (0..6).for_each(|_| go.send(()).unwrap());
    for asked in asked {
        asked.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_tile_that_took_too_long_is_not_tried_again_at_once() {
    let (slow, _go) = Slow::new();
    let kitchen = kitchen(|options| options.render_time_max = Duration::from_millis(5));
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Gzip] {
        let refused = ask(&kitchen, &slow, 3, encoding).await.unwrap();
        assert!(matches!(refused, Err(Failure::TooSlow)), "{refused:?}");
    }
    assert_eq!(slow.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_kept_is_bounded_in_bytes() {
    let kitchen = kitchen(|options| options.cache_bytes_max = 64 << 10);
    for x in 0..1_000 {
        kitchen.make(order("quick", Arc::new(Quick), x), Encoding::Identity).await.unwrap();
    }
    kitchen.cache.run_pending_tasks();
    let [bytes, ..] = kitchen.gauges();
    assert!((1..=64 << 10).contains(&bytes), "{bytes}");
}
