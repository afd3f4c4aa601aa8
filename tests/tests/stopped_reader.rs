//! A reader that stops reading costs the server bounded memory, delays nobody, and catches up with one group.
//!
//! It goes on saying that it is there, as a program does whose network is stuck in one direction; who says nothing is
//! given up. It stops for some seconds, or for as many as `WATERSMEET_STOPPED_SECONDS` says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use watersmeet_client::{Client, DocumentHandle};
use watersmeet_crdt::session::Frame;
use watersmeet_crdt::{Document, ReplicaId};
use watersmeet_tests::{Assembler, Raw, Server, patiently, until};

const SECONDS: u64 = 10;
/// At least so much is written while the reader is stopped.
const WRITTEN_BYTES_MIN: usize = 96 << 20;
/// The server's memory grows by less than that: what it keeps of the document, and of the log's tail, and slack.
const GROWTH_BYTES_MAX: u64 = 64 << 20;
/// What waits for the reader is less than that: what two sockets buffer, a mailbox, and the group.
const WAITING_BYTES_MAX: usize = 24 << 20;
const WRITERS: usize = 4;
/// Each writer overwrites so many values of that size.
const VALUES: usize = 50;
const VALUE_BYTES: usize = 8 << 10;
/// Edits that a writer leaves unacknowledged before it waits.
const IN_FLIGHT_MAX: u64 = 64;

#[derive(Default)]
struct Load {
    edits: AtomicUsize,
    ends: AtomicBool,
}

/// Edits as fast as the server makes durable, until the load ends.
async fn write(url: String, load: Arc<Load>) -> DocumentHandle {
    let client = Client::connect(&url).await.unwrap();
    let document = client.open("map");
    let mine = client.replica().get().to_string();
    for n in 0.. {
        if load.ends.load(Ordering::Relaxed) {
            break;
        }
        let value = format!("{n:0VALUE_BYTES$}");
        document.edit(|tx| tx.set(&[&mine, &(n % VALUES).to_string()], value)).unwrap();
        load.edits.fetch_add(1, Ordering::Relaxed);
        // Each edit leaves as a delta of its own.
        tokio::task::yield_now().await;
        if document.status().not_on_server > IN_FLIGHT_MAX {
            patiently("durable", document.durable()).await.unwrap();
        }
    }
    patiently("durable", document.durable()).await.unwrap();
    document
}

/// Says for a while that it is there, and reads nothing.
async fn stop_reading(raw: &mut Raw, load: &Load, stop: Duration) {
    let start = Instant::now();
    let enough = || load.edits.load(Ordering::Relaxed) * VALUE_BYTES >= WRITTEN_BYTES_MIN;
    patiently_for(stop, async {
        while start.elapsed() < stop || !enough() {
            raw.say(&Frame::Ping).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
}

/// A stop may be longer than what only a hang exceeds.
async fn patiently_for(least: Duration, future: impl Future<Output = ()>) {
    let patience = least + watersmeet_tests::PATIENCE;
    tokio::time::timeout(patience, future).await.expect("the load does not get on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_costs_bounded_memory_and_delays_nobody() {
    let seconds = std::env::var("WATERSMEET_STOPPED_SECONDS").ok().map_or(SECONDS, |n| n.parse().unwrap());
    let server = Server::start();
    let witness = Client::connect(&server.url()).await.unwrap();
    let witnessed = witness.open("map");
    let mut stopped = Raw::greet(&server.url(), ReplicaId::new(9)).await;
    let channel = stopped.open("map").await;

    let load = Arc::new(Load::default());
    let writers: Vec<_> = (0..WRITERS).map(|_| tokio::spawn(write(server.url(), load.clone()))).collect();
    let all_values = || load.edits.load(Ordering::Relaxed) > 2 * WRITERS * VALUES;
    until("every value has been written", all_values).await;
    let before = server.resident_bytes();
    stop_reading(&mut stopped, &load, Duration::from_secs(seconds)).await;
    load.ends.store(true, Ordering::Relaxed);

    // Nothing has been read, and everybody else has everything.
    let mut hash = 0;
    for writer in writers {
        let document = writer.await.unwrap();
        patiently("a writer is synced", document.synced()).await.unwrap();
        hash = document.read(Document::hash);
    }
    until("others' deliveries go on", || witnessed.read(Document::hash) == hash).await;
    let (edits, after) = (load.edits.load(Ordering::Relaxed), server.resident_bytes());
    if let (Some(before), Some(after)) = (before, after) {
        println!("{edits} edits of {VALUE_BYTES} B: the server's memory went from {before} to {after} B");
        assert!(after.saturating_sub(before) < GROWTH_BYTES_MAX, "from {before} to {after} B");
    }

    let caught_up = catch_up(&mut stopped, channel, hash).await;
    println!("{caught_up:?}");
    assert!(caught_up.bytes < WAITING_BYTES_MAX, "{caught_up:?}");
    assert!(caught_up.most_events > edits as u64 / 2, "one group says most of it: {caught_up:?}");
}

/// What a reader was sent that reads again.
#[derive(Debug, Default)]
struct CaughtUp {
    frames: usize,
    bytes: usize,
    /// Events that the largest group spans.
    most_events: u64,
}

/// Reads until it has what everybody has.
async fn catch_up(raw: &mut Raw, on: u32, hash: u128) -> CaughtUp {
    let mut replica = Document::new(ReplicaId::new(9));
    let mut caught_up = CaughtUp::default();
    let mut parts = Assembler::default();
    while replica.hash() != hash {
        let message = raw.next().await.expect("the connection has outlasted the stop");
        caught_up.frames += 1;
        caught_up.bytes += message.len();
        let frame = Frame::decode(&message).expect("the server sends frames");
        if let Some((channel, delta)) = parts.take_in(&frame) {
            assert_eq!(channel, on);
            caught_up.most_events = caught_up.most_events.max(delta.to().events_beyond(delta.from()));
            replica.apply(delta).expect("in order, without gaps");
        }
    }
    caught_up
}
