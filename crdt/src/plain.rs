//! Lattices that need no dots: they only grow, or keep the last write.
//!
//! After Shapiro, Preguiça, Baquero and Zawirski, "A comprehensive study of convergent and commutative replicated
//! data types" (2011). For values that are also removed, see [`causal`](crate::causal).

use crate::{Lattice, ReplicaId, Stamp};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

/// The greatest value that anybody saw; nothing, at first.
///
/// ```
/// use watersmeet_crdt::{Lattice, plain::Max};
/// let mut highest = Max::of(3);
/// assert!(highest.merge(Max::of(5)) && !highest.merge(Max::of(4)));
/// assert_eq!(highest.get(), Some(&5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Max<T>(Option<T>);

impl<T> Max<T> {
    /// Of one value.
    pub fn of(value: T) -> Self {
        Max(Some(value))
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T> Default for Max<T> {
    fn default() -> Self {
        Max(None)
    }
}

impl<T: Ord + Clone> Lattice for Max<T> {
    fn merge(&mut self, other: Self) -> bool {
        let grew = self.0 < other.0;
        if grew {
            *self = other;
        }
        grew
    }
}

/// The least value that anybody saw; nothing, at first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Min<T>(Option<T>);

impl<T> Min<T> {
    /// Of one value.
    pub fn of(value: T) -> Self {
        Min(Some(value))
    }

    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T> Default for Min<T> {
    fn default() -> Self {
        Min(None)
    }
}

impl<T: Ord + Clone> Lattice for Min<T> {
    fn merge(&mut self, other: Self) -> bool {
        let grew = match (&self.0, &other.0) {
            (Some(ours), Some(theirs)) => theirs < ours,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if grew {
            *self = other;
        }
        grew
    }
}

/// A map of lattices grows where its values grow. A value at bottom is absent, and is never stored.
impl<K: Ord + Clone, V: Lattice> Lattice for BTreeMap<K, V> {
    fn merge(&mut self, other: Self) -> bool {
        let mut grew = false;
        for (key, theirs) in other.into_iter().filter(|(_, theirs)| *theirs != V::default()) {
            grew |= self.entry(key).or_default().merge(theirs);
        }
        grew
    }
}

macro_rules! tuple_lattice {
    ($($name:ident $at:tt),*) => {
        /// A tuple of lattices grows where one of them grows.
        impl<$($name: Lattice),*> Lattice for ($($name,)*) {
            fn merge(&mut self, other: Self) -> bool {
                false $(| self.$at.merge(other.$at))*
            }
        }
    };
}

tuple_lattice!(A 0, B 1);
tuple_lattice!(A 0, B 1, C 2);
tuple_lattice!(A 0, B 1, C 2, D 3);

/// A counter that only counts up: per replica, how far it counted.
///
/// ```
/// use watersmeet_crdt::{Lattice, ReplicaId, plain::GCounter};
/// let mut anna = GCounter::default();
/// let mut ben = anna.clone();
/// anna.increment(ReplicaId::new(1), 2);
/// ben.increment(ReplicaId::new(2), 3);
/// anna.merge(ben);
/// assert_eq!(anna.value(), 5);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GCounter(#[serde(deserialize_with = "counts")] BTreeMap<ReplicaId, u64>);

/// Reads counts, none of which is zero.
fn counts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<ReplicaId, u64>, D::Error> {
    let counts = BTreeMap::<ReplicaId, NonZeroU64>::deserialize(deserializer)?;
    Ok(counts.into_iter().map(|(replica, count)| (replica, count.get())).collect())
}

impl GCounter {
    /// Counts `by` up as `replica`, and answers with the delta. A replica's count stops at `u64::MAX`.
    pub fn increment(&mut self, replica: ReplicaId, by: u64) -> Self {
        if by == 0 {
            return GCounter::default();
        }
        let count = self.0.entry(replica).or_default();
        *count = count.saturating_add(by);
        GCounter(BTreeMap::from([(replica, *count)]))
    }

    /// The sum of all replicas' counts.
    pub fn value(&self) -> u128 {
        self.0.values().map(|count| u128::from(*count)).sum()
    }
}

impl Lattice for GCounter {
    fn merge(&mut self, other: Self) -> bool {
        let mut grew = false;
        // A count of zero is bottom, and bottom is never stored.
        for (replica, theirs) in other.0.into_iter().filter(|(_, count)| *count > 0) {
            let ours = self.0.entry(replica).or_default();
            grew |= *ours < theirs;
            *ours = theirs.max(*ours);
        }
        grew
    }
}

/// A counter that counts up and down: two [`GCounter`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PnCounter {
    up: GCounter,
    down: GCounter,
}

impl PnCounter {
    /// Adds `by`, which may be negative, as `replica`, and answers with the delta.
    pub fn add(&mut self, replica: ReplicaId, by: i64) -> Self {
        let steps = by.unsigned_abs();
        if by >= 0 {
            PnCounter { up: self.up.increment(replica, steps), ..Self::default() }
        } else {
            PnCounter { down: self.down.increment(replica, steps), ..Self::default() }
        }
    }

    /// What was counted up less what was counted down, kept within `i128`.
    pub fn value(&self) -> i128 {
        let clamp = |count: u128| i128::try_from(count).unwrap_or(i128::MAX);
        clamp(self.up.value()) - clamp(self.down.value())
    }
}

impl Lattice for PnCounter {
    fn merge(&mut self, other: Self) -> bool {
        self.up.merge(other.up) | self.down.merge(other.down)
    }
}

/// A set that only grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Ord + Deserialize<'de>"))]
pub struct GSet<T>(BTreeSet<T>);

impl<T: Ord + Clone> GSet<T> {
    /// Adds `item`, and answers with the delta.
    pub fn insert(&mut self, item: T) -> Self {
        self.0.insert(item.clone());
        GSet(BTreeSet::from([item]))
    }

    /// Whether `item` is in it.
    pub fn contains(&self, item: &T) -> bool {
        self.0.contains(item)
    }

    /// The items, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> + '_ {
        self.0.iter()
    }
}

impl<T> Default for GSet<T> {
    fn default() -> Self {
        GSet(BTreeSet::new())
    }
}

impl<T: Ord> FromIterator<T> for GSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        GSet(items.into_iter().collect())
    }
}

impl<T: Ord + Clone> Lattice for GSet<T> {
    fn merge(&mut self, other: Self) -> bool {
        other.0.into_iter().fold(false, |grew, item| self.0.insert(item) | grew)
    }
}

/// A set from which an item can be removed once, and for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Ord + Deserialize<'de>"))]
pub struct TwoPhaseSet<T> {
    added: GSet<T>,
    removed: GSet<T>,
}

impl<T: Ord + Clone> TwoPhaseSet<T> {
    /// Adds `item` unless it has been removed, and answers with the delta.
    pub fn insert(&mut self, item: T) -> Self {
        TwoPhaseSet { added: self.added.insert(item), removed: GSet::default() }
    }

    /// Removes `item` for ever, and answers with the delta.
    pub fn remove(&mut self, item: T) -> Self {
        TwoPhaseSet { added: GSet::default(), removed: self.removed.insert(item) }
    }

    /// Whether `item` was added and never removed.
    pub fn contains(&self, item: &T) -> bool {
        self.added.contains(item) && !self.removed.contains(item)
    }

    /// The items added and never removed, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.added.iter().filter(|item| !self.removed.contains(item))
    }
}

impl<T> Default for TwoPhaseSet<T> {
    fn default() -> Self {
        TwoPhaseSet { added: GSet::default(), removed: GSet::default() }
    }
}

impl<T: Ord + Clone> Lattice for TwoPhaseSet<T> {
    fn merge(&mut self, other: Self) -> bool {
        self.added.merge(other.added) | self.removed.merge(other.removed)
    }
}

/// A register in which the write with the latest stamp wins, then that of the greater replica, then the greater value.
///
/// A losing write is gone without a trace; where that is not wanted, see [`causal::Register`](crate::causal::Register).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LwwRegister<T>(Option<(Stamp, ReplicaId, T)>);

impl<T: Ord + Clone> LwwRegister<T> {
    /// Writes `value` at `stamp` as `replica`, if that is later than what is there; answers with the delta.
    pub fn set(&mut self, stamp: Stamp, replica: ReplicaId, value: T) -> Self {
        let delta = LwwRegister(Some((stamp, replica, value)));
        self.merge(delta.clone());
        delta
    }

    /// The value of the latest write.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, _, value)| value)
    }
}

impl<T> Default for LwwRegister<T> {
    fn default() -> Self {
        LwwRegister(None)
    }
}

impl<T: Ord + Clone> Lattice for LwwRegister<T> {
    fn merge(&mut self, other: Self) -> bool {
        let grew = self.0 < other.0;
        if grew {
            *self = other;
        }
        grew
    }
}
