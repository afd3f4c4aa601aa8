//! What the server counts, for whoever watches over it: `GET /metrics`, in OpenMetrics' text.
//!
//! The one idea: **a count is an increment where the thing happens**, never a walk over what there is. What a scrape
//! costs does not depend on the number of documents or connections, and no label names a document or a person, so that
//! the series stay few and say nothing about anybody.

use crate::Companion;
use crate::store::Record;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The media type of what [`Metrics::encode`] writes.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where a room stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoomState {
    /// Its document is being read from the store.
    Loading,
    /// Somebody has it open.
    Open,
    /// It is in memory, and nobody has it open.
    Idle,
}

impl RoomState {
    fn label(self) -> InState {
        let state = match self {
            RoomState::Loading => "loading",
            RoomState::Open => "open",
            RoomState::Idle => "idle",
        };
        InState { state }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct For {
    reason: &'static str,
}

/// See the [module](self). Times are in seconds.
pub(crate) struct Metrics {
    registry: Registry,
    /// Open sockets.
    sockets: Gauge,
    /// Open WebSockets.
    pub(crate) connections: Gauge,
    /// Bytes of frames that were read from WebSockets, and that were given to them.
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    /// Deltas that peers sent, and that were sent to them, a group being one.
    pub(crate) received_deltas: Counter,
    pub(crate) sent_deltas: Counter,
    /// How often what waited for a connection on a channel was too much, and was forgotten.
    pub(crate) queue_drops: Counter,
    /// Documents that were read from the store.
    pub(crate) documents_loaded: Counter,
    /// Answers to those who lacked something that had to be encoded, since nobody had just lacked the same.
    pub(crate) encoded_answers: Counter,
    /// Snapshots that took the place of a log.
    pub(crate) compactions: Counter,
    /// 1 while the store cannot be written to, else 0.
    pub(crate) store_failing: Gauge,
    /// Events that became durable, each once.
    pub(crate) committed_events: Counter,
    rooms: Family<InState, Gauge>,
    refusals: Family<For, Counter>,
    commits: Counter,
    failed_commits: Counter,
    committed_bytes: Counter,
    batch_records: Histogram,
    fsync: Histogram,
    acknowledgement: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("watersmeet");
        let r = &mut registry;
        let rooms: Family<InState, Gauge> = named(r, "rooms", "Documents in memory", Family::default());
        // None is a number too.
        for state in [RoomState::Loading, RoomState::Open, RoomState::Idle] {
            drop(rooms.get_or_create(&state.label()));
        }
        Arc::new(Metrics {
            rooms,
            sockets: named(r, "sockets", "Open sockets, of WebSockets and of others", Gauge::default()),
            connections: named(r, "connections", "Open WebSockets", Gauge::default()),
            received_bytes: bytes(r, "received", "Frames read from WebSockets"),
            sent_bytes: bytes(r, "sent", "Frames given to WebSockets"),
            received_deltas: counter(r, "received_deltas", "Deltas that peers sent"),
            sent_deltas: counter(r, "sent_deltas", "Deltas sent to peers"),
            queue_drops: counter(r, "queue_drops", "Queues of slow readers that were forgotten"),
            documents_loaded: counter(r, "documents_loaded", "Documents read from the store"),
            encoded_answers: counter(
                r,
                "encoded_answers",
                "Answers to those who lacked something that had to be encoded",
            ),
            compactions: counter(r, "compactions", "Snapshots that took the place of a log"),
            store_failing: named(
                r,
                "store_failing",
                "Whether the store cannot be written to: 1 if so, else 0",
                Gauge::default(),
            ),
            committed_events: counter(r, "committed_events", "Events that became durable"),
            refusals: named(r, "refusals", "Refused requests, frames and connections", Family::default()),
            commits: counter(r, "commits", "Synced transactions"),
            failed_commits: counter(r, "failed_commits", "Transactions that failed"),
            committed_bytes: bytes(r, "committed", "Deltas that became durable"),
            batch_records: named(
                r,
                "commit_batch_records",
                "Deltas in one transaction",
                Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            ),
            fsync: seconds(r, "fsync", "How long a transaction took, its sync included"),
            acknowledgement: seconds(
                r,
                "acknowledgement",
                "From a delta's coming in until it is durable and its author is told",
            ),
            registry,
        })
    }

    /// Everything, as OpenMetrics' text, and what `more` adds to it.
    ///
    /// # Errors
    /// Never, as far as is known: a `String` takes any text.
    pub(crate) fn encode(&self, more: Option<&dyn Companion>) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        more.map_or(Ok(()), |more| more.write_metrics(&mut text))?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    /// Counts something that a peer was refused: `reason` is the code that it was told.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&For { reason }).inc();
    }

    /// Counts a transaction that took so long.
    pub(crate) fn committed(&self, records: &[Record], took: Duration) {
        self.commits.inc();
        self.committed_bytes.inc_by(records.iter().map(|record| record.delta.len() as u64).sum());
        #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^52")]
        self.batch_records.observe(records.len() as f64);
        self.fsync.observe(took.as_secs_f64());
    }

    /// Counts a transaction that failed.
    pub(crate) fn commit_failed(&self) {
        self.failed_commits.inc();
    }

    /// Counts a delta whose author was told, so long after it came, that it is durable.
    pub(crate) fn acknowledged(&self, after: Duration) {
        self.acknowledgement.observe(after.as_secs_f64());
    }

    /// Counts a socket for as long as what is returned is kept.
    pub(crate) fn socket(&self) -> CountedSocket {
        self.sockets.inc();
        CountedSocket(self.sockets.clone())
    }

    /// Counts a room for as long as what is returned is kept.
    pub(crate) fn room(self: &Arc<Self>) -> CountedRoom {
        self.rooms.get_or_create(&RoomState::Loading.label()).inc();
        CountedRoom { metrics: self.clone(), state: RoomState::Loading }
    }
}

/// An open socket. Dropped, it is counted no more.
pub(crate) struct CountedSocket(Gauge);

impl Drop for CountedSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A room among the rooms of its state. Dropped, it is counted no more, however its room ended.
pub(crate) struct CountedRoom {
    metrics: Arc<Metrics>,
    state: RoomState,
}

impl CountedRoom {
    /// Counts the room as being in `state` from now on.
    pub(crate) fn is(&mut self, state: RoomState) {
        if self.state != state {
            self.metrics.rooms.get_or_create(&self.state.label()).dec();
            self.metrics.rooms.get_or_create(&state.label()).inc();
            self.state = state;
        }
    }
}

impl Drop for CountedRoom {
    fn drop(&mut self) {
        self.metrics.rooms.get_or_create(&self.state.label()).dec();
    }
}

fn named<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    named(registry, name, help, Counter::default())
}

fn bytes(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register_with_unit(name, help, Unit::Bytes, counter.clone());
    counter
}

/// From 100 us to 26 s: a fast disk syncs within the first buckets, and whoever waits longer has gone.
fn seconds(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::new(exponential_buckets(100e-6, 2.0, 19));
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}
