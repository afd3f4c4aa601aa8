//! Events and what a replica knows of them.
//!
//! A [`Dot`] names one event. A [`VersionVector`] says *which deltas have been applied*: of each replica, all events
//! up to a number. A [`CausalContext`] is any set of dots: *which events are known of*. The two are not the same: a
//! removal names other replicas' dots, so a context can know of an event whose delta never came.

use crate::Lattice;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU64;

/// Who made an event. Drawn at random by whoever creates a replica, below 2^53 so that JavaScript can hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct ReplicaId(u64);

/// A number that is too large for a replica id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a replica id: it must be below 2^53")]
pub struct NotAReplicaId(pub u64);

impl TryFrom<u64> for ReplicaId {
    type Error = NotAReplicaId;

    fn try_from(id: u64) -> Result<Self, NotAReplicaId> {
        if id <= Self::MAX { Ok(ReplicaId(id)) } else { Err(NotAReplicaId(id)) }
    }
}

impl ReplicaId {
    /// The largest id: 2^53 - 1.
    pub const MAX: u64 = (1 << 53) - 1;

    /// From a random number, of which the lower 53 bits are used.
    pub const fn new(random: u64) -> Self {
        ReplicaId(random & Self::MAX)
    }

    /// The number, below 2^53.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// One event: the `seq`-th of `replica`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dot {
    /// Who made the event.
    pub replica: ReplicaId,
    /// Which of that replica's events it is, from 1.
    #[serde(deserialize_with = "from_one")]
    pub seq: u64,
}

fn from_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    NonZeroU64::deserialize(deserializer).map(NonZeroU64::get)
}

/// Of each replica, how many of its events have been applied, without a gap.
///
/// ```
/// use watersmeet_crdt::{Lattice, ReplicaId, VersionVector};
/// let (anna, ben) = (ReplicaId::new(1), ReplicaId::new(2));
/// let mut version = VersionVector::from_iter([(anna, 3)]);
/// version.merge(VersionVector::from_iter([(anna, 2), (ben, 1)]));
/// assert_eq!((version.seq(anna), version.seq(ben)), (3, 1));
/// ```
// Sorted by replica: a thousand replicas are copied in one piece, and two versions compared in one walk. One or two,
// as most deltas speak of, take no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionVector(SmallVec<[(ReplicaId, u64); 2]>);

/// How many replicas a version from elsewhere may name.
pub const REPLICAS_MAX: usize = 10_000;

impl Serialize for VersionVector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for VersionVector {
    /// Reads the entries and stops at [`REPLICAS_MAX`], whatever number of them was announced.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = VersionVector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {REPLICAS_MAX} replicas with their numbers of events")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut version = VersionVector::default();
                while let Some((replica, seq)) = map.next_entry()? {
                    if version.len() == REPLICAS_MAX || seq == 0 {
                        return Err(A::Error::custom("too many replicas, or one without events"));
                    }
                    version.advance(replica, seq);
                }
                Ok(version)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl VersionVector {
    /// Where `replica` stands among the entries, or would.
    fn place(&self, replica: ReplicaId) -> Result<usize, usize> {
        // Most often there are one or two, or the one that was made last is asked for.
        match self.0.last() {
            Some((last, _)) if *last < replica => Err(self.0.len()),
            Some((last, _)) if *last == replica => Ok(self.0.len() - 1),
            _ => self.0.binary_search_by_key(&replica, |(id, _)| *id),
        }
    }

    /// How many events of `replica` are in it.
    pub fn seq(&self, replica: ReplicaId) -> u64 {
        self.place(replica).map_or(0, |at| self.0[at].1)
    }

    /// Whether `dot` is in it.
    pub fn contains(&self, dot: Dot) -> bool {
        dot.seq <= self.seq(dot.replica)
    }

    /// The dot that `replica`'s next event gets.
    pub fn next(&self, replica: ReplicaId) -> Dot {
        Dot { replica, seq: self.seq(replica).saturating_add(1) }
    }

    /// Extends `replica`'s events to `seq`; true exactly when it grew.
    pub fn advance(&mut self, replica: ReplicaId, seq: u64) -> bool {
        match self.place(replica) {
            Ok(at) if seq <= self.0[at].1 => return false,
            Ok(at) => self.0[at].1 = seq,
            Err(_) if seq == 0 => return false,
            Err(at) => self.0.insert(at, (replica, seq)),
        }
        true
    }

    /// Replicas and their numbers of events, by replica.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ReplicaId, u64)> + Clone + '_ {
        self.0.iter().copied()
    }

    /// How many replicas it names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is the version of an empty document.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The replicas of `self`, each with its number here and that in `other`: one walk over both.
    pub(crate) fn beside<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (ReplicaId, u64, u64)> + 'a {
        let mut theirs = other.0.iter().peekable();
        self.0.iter().map(move |&(replica, seq)| {
            while theirs.next_if(|(id, _)| *id < replica).is_some() {}
            let other = theirs.next_if(|(id, _)| *id == replica).map_or(0, |(_, seq)| *seq);
            (replica, seq, other)
        })
    }

    /// What of `self` is beyond `other`: the replicas that are ahead, with their numbers here.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        let ahead = self.beside(other).filter(|(_, ours, theirs)| ours > theirs);
        VersionVector(ahead.map(|(replica, ours, _)| (replica, ours)).collect())
    }

    /// How many events are in `self` and not in `other`.
    pub fn events_beyond(&self, other: &Self) -> u64 {
        self.beside(other)
            .fold(0, |sum: u64, (_, ours, theirs)| sum.saturating_add(ours.saturating_sub(theirs)))
    }
}

impl FromIterator<(ReplicaId, u64)> for VersionVector {
    fn from_iter<I: IntoIterator<Item = (ReplicaId, u64)>>(entries: I) -> Self {
        let mut version = VersionVector::default();
        for (replica, seq) in entries {
            version.advance(replica, seq);
        }
        version
    }
}

impl Lattice for VersionVector {
    fn merge(&mut self, other: Self) -> bool {
        other.iter().fold(false, |grew, (replica, seq)| self.advance(replica, seq) | grew)
    }

    fn covers(&self, other: &Self) -> bool {
        other.beside(self).all(|(_, theirs, ours)| theirs <= ours)
    }
}

/// Any set of dots, kept canonical: a vector of what is known without a gap, and a cloud of the rest.
///
/// ```
/// use watersmeet_crdt::{CausalContext, Dot, ReplicaId};
/// let anna = ReplicaId::new(1);
/// let mut seen = CausalContext::from_iter([Dot { replica: anna, seq: 2 }]);
/// assert!(seen.vector().is_empty());  // a gap: event 1 is not known
/// seen.insert(Dot { replica: anna, seq: 1 });
/// assert_eq!(seen.vector().seq(anna), 2);
/// ```
///
/// Decoded, it is canonical whatever came in, and names at most [`REPLICAS_MAX`] replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Told")]
pub struct CausalContext {
    vector: VersionVector,
    cloud: BTreeSet<Dot>,
}

/// A context from elsewhere, perhaps not canonical.
#[derive(Deserialize)]
struct Told {
    vector: VersionVector,
    cloud: BTreeSet<Dot>,
}

impl TryFrom<Told> for CausalContext {
    type Error = &'static str;

    fn try_from(Told { vector, cloud }: Told) -> Result<Self, Self::Error> {
        // Told apart before they are absorbed: each new one moves those that come after it.
        let mut in_cloud: Vec<ReplicaId> = cloud.iter().map(|dot| dot.replica).collect();
        in_cloud.dedup();
        let only_there = in_cloud.iter().filter(|replica| vector.seq(**replica) == 0).count();
        if vector.len() + only_there > REPLICAS_MAX {
            return Err("too many replicas");
        }
        let mut context = CausalContext { vector, cloud };
        context.absorb_cloud();
        Ok(context)
    }
}

impl CausalContext {
    /// Whether `dot` is in it.
    pub fn contains(&self, dot: Dot) -> bool {
        self.vector.contains(dot) || self.cloud.contains(&dot)
    }

    /// Adds one dot; true exactly when it was not there.
    pub fn insert(&mut self, dot: Dot) -> bool {
        if self.contains(dot) {
            return false;
        }
        self.cloud.insert(dot);
        self.absorb_cloud();
        true
    }

    /// The dot that `replica`'s next event gets: after all of its dots, gaps or not.
    pub fn next(&self, replica: ReplicaId) -> Dot {
        let ends = Dot { replica, seq: 0 }..=Dot { replica, seq: u64::MAX };
        let in_cloud = self.cloud.range(ends).next_back().map_or(0, |dot| dot.seq);
        Dot { replica, seq: self.vector.seq(replica).max(in_cloud).saturating_add(1) }
    }

    /// What is known without a gap.
    pub fn vector(&self) -> &VersionVector {
        &self.vector
    }

    /// Moves dots from the cloud into the vector wherever they close the gap.
    fn absorb_cloud(&mut self) {
        let vector = &mut self.vector;
        self.cloud.retain(|dot| {
            if dot.seq == vector.seq(dot.replica).saturating_add(1) {
                vector.advance(dot.replica, dot.seq);
            }
            !vector.contains(*dot)
        });
    }
}

impl From<VersionVector> for CausalContext {
    fn from(vector: VersionVector) -> Self {
        CausalContext { vector, cloud: BTreeSet::new() }
    }
}

impl FromIterator<Dot> for CausalContext {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut context = CausalContext { cloud: dots.into_iter().collect(), ..Self::default() };
        context.absorb_cloud();
        context
    }
}

impl Lattice for CausalContext {
    fn merge(&mut self, other: Self) -> bool {
        let mut grew = other
            .cloud
            .into_iter()
            .fold(false, |grew, dot| grew | (!self.contains(dot) && self.cloud.insert(dot)));
        grew |= self.vector.merge(other.vector);
        self.absorb_cloud();
        grew
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn dots(raw: &[(u8, u8)]) -> Vec<Dot> {
        raw.iter()
            .map(|(r, s)| Dot { replica: ReplicaId::new(u64::from(r % 3)), seq: u64::from(s % 9) + 1 })
            .collect()
    }

    #[test]
    fn a_decoded_context_is_canonical_and_bounded() {
        type Parts = (Vec<(u64, u64)>, Vec<(u64, u64)>);
        let decode = |parts: Parts| {
            postcard::from_bytes::<CausalContext>(&postcard::to_allocvec(&parts).expect("parts are encoded"))
        };
        // Dots that are in the vector, that extend it, that are beyond a gap; in any order, and twice.
        let told = decode((vec![(2, 1), (1, 2)], vec![(1, 4), (1, 3), (1, 3), (2, 1), (2, 5), (3, 1)]));
        let canonical = CausalContext {
            vector: [(1, 4), (2, 1), (3, 1)].map(|(id, seq)| (ReplicaId::new(id), seq)).into_iter().collect(),
            cloud: BTreeSet::from([Dot { replica: ReplicaId::new(2), seq: 5 }]),
        };
        assert_eq!(told, Ok(canonical));

        let max = REPLICAS_MAX as u64;
        assert!(decode((vec![(0, 1)], (0..max).map(|id| (id, 9)).collect())).is_ok());
        assert!(decode((vec![(max, 1)], (0..max).map(|id| (id, 9)).collect())).is_err());
        assert!(decode((vec![], (0..3 * max).map(|seq| (7, 2 * seq + 2)).collect())).is_ok());
        assert!(decode((vec![], vec![(1, 0)])).is_err(), "no event is the zeroth");
        assert!(decode((vec![], vec![(1 << 53, 1)])).is_err(), "no replica");
    }

    quickcheck! {
        fn a_context_is_the_set_of_its_dots(a: Vec<(u8, u8)>, b: Vec<(u8, u8)>) -> bool {
            let (a, b) = (dots(&a), dots(&b));
            let union: BTreeSet<Dot> = a.iter().chain(&b).copied().collect();
            let mut merged = CausalContext::from_iter(a.iter().copied());
            merged.merge(CausalContext::from_iter(b.iter().copied()));
            let mut inserted = CausalContext::default();
            b.iter().chain(&a).for_each(|dot| { inserted.insert(*dot); });
            let all = (0..3).flat_map(|r| (1..=9).map(move |seq| Dot { replica: ReplicaId::new(r), seq }));
            merged == inserted
                && merged == CausalContext::from_iter(union.iter().copied())
                && all.into_iter().all(|dot| merged.contains(dot) == union.contains(&dot))
        }
    }
}
