//! What is counted, for operators: `GET /metrics`, in OpenMetrics' text.
//!
//! One idea: a count is an increment where the thing happens, and no label names a tile or a set, so that the series
//! stay few. Not here: which tiles are asked for most (see [`Hot`](crate::Hot)).

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::coord::{TileCoord, WORLD_BITS};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AtZoom {
    zoom: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct For {
    reason: &'static str,
}

/// See the [module](self).
pub(super) struct Counts {
    registry: Registry,
    zooms: Vec<Counter>,
    /// Tiles that were in memory as they were asked for, and those that were not.
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    /// Tiles that were read or rendered, and packed anew.
    pub(super) renders: Counter,
    pub(super) packs: Counter,
    /// Work that was given up since nobody waited for it any more.
    pub(super) abandoned: Counter,
    pub(super) rendering: Histogram,
    refusals: Family<For, Counter>,
    /// Bytes in memory, tiles that wait, tiles under way, sets, and sets that fail.
    gauges: [Gauge; 5],
}

impl Counts {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("watersmeet_tiles");
        let r = &mut registry;
        let requests: Family<AtZoom, Counter> =
            named(r, "requests", "Requests for tiles that a set has", Family::default());
        let zooms = (0..=WORLD_BITS).map(|zoom| requests.get_or_create_owned(&AtZoom { zoom })).collect();
        let counter = |r: &mut Registry, name: &str, help: &str| -> Counter {
            named(r, name, help, Counter::default())
        };
        let rendering = Histogram::new(exponential_buckets(0.000_1, 4.0, 10));
        r.register_with_unit(
            "rendering",
            "How long a tile took to read or render",
            Unit::Seconds,
            rendering.clone(),
        );
        Self {
            zooms,
            hits: counter(r, "hits", "Tiles that were in memory as they were asked for"),
            misses: counter(r, "misses", "Tiles that were not"),
            renders: counter(r, "renders", "Tiles that were read or rendered"),
            packs: counter(r, "packs", "Tiles that were packed anew for an encoding"),
            abandoned: counter(r, "abandoned", "Work given up since nobody waited for it any more"),
            rendering,
            refusals: named(r, "refusals", "Requests that got no tile", Family::default()),
            gauges: [
                named(r, "cache_bytes", "Bytes of packed tiles in memory", Gauge::default()),
                named(r, "waiting", "Tiles that wait for their turn", Gauge::default()),
                named(r, "under_way", "Tiles that are being made or wait to be", Gauge::default()),
                named(r, "sets", "Sets that are served", Gauge::default()),
                named(r, "sets_failing", "Sets whose files cannot be served", Gauge::default()),
            ],
            registry,
        }
    }

    pub(super) fn requested(&self, tile: TileCoord) {
        if let Some(counter) = self.zooms.get(usize::from(tile.z())) {
            counter.inc();
        }
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&For { reason }).inc();
    }

    /// Everything, without the line that ends OpenMetrics' text.
    pub(super) fn encode(&self, out: &mut String, now: [u64; 5]) -> fmt::Result {
        for (gauge, now) in self.gauges.iter().zip(now) {
            gauge.set(i64::try_from(now).unwrap_or(i64::MAX));
        }
        encode_registry(out, &self.registry)
    }
}

fn named<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}
