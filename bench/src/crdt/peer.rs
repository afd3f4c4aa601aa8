//! The one interface every library is adapted to.
//!
//! A replica holds four root values, because these are the shapes the workloads need:
//! a counter, an observed-remove set of strings, a map of registers, and a map of
//! nested "features". A library that keeps one document stores all four in it; a
//! library of separate types keeps four values side by side.

use super::data::FeatureData;

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

/// A smaller persisted form some libraries offer next to the normal one.
pub struct Form {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    /// True if a replica loaded from it can still exchange diffs with old peers.
    pub syncs: bool,
}

/// What it took two diverged replicas to become equal.
#[derive(Default, Clone, Debug)]
pub struct Exchange {
    pub rounds: u32,
    pub version_bytes: usize,
    pub payload_a_to_b: usize,
    pub payload_b_to_a: usize,
    pub produce_ns: u128,
    pub apply_ns: u128,
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

    /// Other persisted forms, encoded now, one at a time by index.
    fn form(&mut self, _index: usize) -> Option<Form> {
        None
    }

    /// Restore what `form(index)` wrote.
    fn load_form(actor: u64, _index: usize, bytes: &[u8]) -> Self {
        Self::load(actor, bytes)
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
        use std::time::Instant;
        let mut x = Exchange { rounds: 2, ..Default::default() };
        let t = Instant::now();
        let va = a.version();
        let vb = b.version();
        let ab = a.diff(&vb);
        let ba = b.diff(&va);
        x.produce_ns = t.elapsed().as_nanos();
        x.version_bytes = va.len() + vb.len();
        x.payload_a_to_b = ab.len();
        x.payload_b_to_a = ba.len();
        let t = Instant::now();
        b.merge(&ab);
        a.merge(&ba);
        x.apply_ns = t.elapsed().as_nanos();
        x
    }

    /// Read every entry of `part` through the public API.
    fn read_all(&self, part: Part) -> Digest;
}
