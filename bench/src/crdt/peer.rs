//! The one interface every library is adapted to.
//!
//! A replica holds four root values, because these are the shapes the workloads need:
//! a counter, an observed-remove set of strings, a map of registers, and a map of
//! nested "features". A library that keeps one document stores all four in it; a
//! library of separate types keeps four values side by side.

use super::data::FeatureData;
use std::time::{Duration, Instant};

/// One local mutation. Keys are borrowed, so that generating them is not measured.
#[derive(Clone, Copy)]
pub enum Op<'a> {
    /// Counter += n.
    Inc(u32),
    /// Set add.
    Add(&'a str),
    /// Set remove (observed).
    Remove(&'a str),
    /// Register write: `map[key] = value`.
    Put(&'a str, &'a str),
    /// Register key removal.
    Delete(&'a str),
    /// Insert a nested feature.
    Feature(&'a FeatureData),
    /// Overwrite the geometry of an existing feature.
    Geometry(&'a str, &'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Counter,
    Set,
    Map,
    Features,
}

/// Order-independent summary of one part, obtained by reading every entry of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Digest {
    pub n: u64,
    pub hash: u64,
}

impl Digest {
    pub fn entry(&mut self, parts: &[&[u8]]) {
        let mut h = 0xcbf2_9ce4_8422_2325u64;
        for p in parts {
            for chunk in p.chunks(8) {
                let mut w = [0u8; 8];
                w[..chunk.len()].copy_from_slice(chunk);
                h = (h.rotate_left(5) ^ u64::from_le_bytes(w)).wrapping_mul(0x517c_c1b7_2722_0a95);
            }
            h = (h ^ 0xff).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.n += 1;
        self.hash = self.hash.wrapping_add(h);
    }
}

/// What it took two diverged replicas to become equal.
#[derive(Default)]
pub struct Exchange {
    /// What they told each other they have.
    pub version_bytes: usize,
    /// All messages, in both directions.
    pub payload: Vec<u8>,
    /// Whether the library has compressed the messages.
    pub compressed: bool,
    pub produce: Duration,
    pub apply: Duration,
}

pub trait Peer: Sized {
    /// A fresh, empty replica.
    fn new(actor: u64) -> Self;

    /// Apply `ops` locally as ONE transaction / commit.
    fn commit(&mut self, ops: &[Op<'_>]);

    /// Apply `ops` as one commit and hand back the update the library's own event or
    /// transaction API gives for exactly this commit, where it has such an API.
    fn commit_and_emit(&mut self, ops: &[Op<'_>]) -> Option<Vec<u8>>;

    /// The form the library recommends for persistence.
    fn save(&mut self) -> Vec<u8>;

    /// Restore what `save` wrote, to be edited further by `actor`.
    fn load(actor: u64, bytes: &[u8]) -> Self;

    /// What `save` would have written without compression, if it compresses; `load` takes both.
    fn save_uncompressed(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Other persisted forms that `load` takes, and after which one can go on syncing with old peers.
    fn other_forms(&mut self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Encoded version (state vector, heads, ...): what a replica tells its peer it has.
    fn version(&mut self) -> Vec<u8>;

    /// Everything the holder of `version` lacks.
    fn diff(&mut self, version: &[u8]) -> Vec<u8>;

    /// Apply what `diff`, `commit_and_emit` or `save` of another replica produced.
    fn merge(&mut self, update: &[u8]);

    /// Apply many updates, with the library's batch API where it has one.
    fn merge_batch(&mut self, updates: &[Vec<u8>]) {
        for u in updates {
            self.merge(u);
        }
    }

    /// Bring two diverged replicas together with no prior knowledge of each other.
    /// Default: swap versions, then swap diffs.
    fn exchange(a: &mut Self, b: &mut Self) -> Exchange {
        let start = Instant::now();
        let (version_a, version_b) = (a.version(), b.version());
        let (a_to_b, b_to_a) = (a.diff(&version_b), b.diff(&version_a));
        let produce = start.elapsed();
        let start = Instant::now();
        b.merge(&a_to_b);
        a.merge(&b_to_a);
        Exchange {
            version_bytes: version_a.len() + version_b.len(),
            payload: [a_to_b, b_to_a].concat(),
            compressed: false,
            produce,
            apply: start.elapsed(),
        }
    }

    /// Read every entry of `part` through the public API.
    fn read_all(&self, part: Part) -> Digest;
}
