//! Causal types: values that are also removed, tombstone-free, each a thin reading of a [dot store](crate::store).
//!
//! A mutation takes a fresh dot and answers with its *delta*, a small causal state to be
//! [applied](Causal::apply) here and everywhere. **Every mutation's context holds its dot, removals too**, so that a
//! version vector alone tells who lacks what.

use crate::store::{Causal, DotFun, DotMap, DotSet, DotStore};
use crate::{CausalContext, Dot, Stamp};

/// Gives a newtype over a dot store that store's join.
macro_rules! dot_store {
    ($name:ident<$($param:ident),*> where $($bound:tt)*) => {
        impl<$($param),*> DotStore for $name<$($param),*> where $($bound)* {
            fn is_bottom(&self) -> bool {
                self.0.is_bottom()
            }
            fn for_each_dot(&self, visit: &mut dyn FnMut(Dot)) {
                self.0.for_each_dot(visit);
            }
            fn join(&mut self, seen: &CausalContext, other: Self, other_seen: &CausalContext) -> bool {
                self.0.join(seen, other.0, other_seen)
            }
            fn apply(&mut self, seen: &CausalContext, delta: Self, delta_seen: &CausalContext) -> bool {
                self.0.apply(seen, delta.0, delta_seen)
            }
        }
    };
}

/// The context of a mutation: its own dot, and those of what it replaces or removes.
fn context_of(dot: Dot, replaced: &impl DotStore) -> CausalContext {
    let mut dots = vec![dot];
    replaced.for_each_dot(&mut |dot| dots.push(dot));
    dots.into_iter().collect()
}

/// The delta that empties a store: named, with nothing in it.
fn emptied<S: DotStore>(dot: Dot, store: &S) -> Causal<S> {
    Causal { store: S::default(), seen: context_of(dot, store) }
}

/// A value with the time of its writing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamped<T> {
    /// When it was written.
    pub stamp: Stamp,
    /// What was written.
    pub value: T,
}

/// A register that keeps every concurrent write, so that nothing is resolved silently.
///
/// It reads as one winner, by stamp and then by replica; [`conflicts`](Self::conflicts) has the others. The next
/// write replaces them all.
///
/// ```
/// use watersmeet_crdt::{Dot, Lattice, ReplicaId, Stamp, Time, causal::Register, store::Causal};
/// let mut anna = Causal::<Register<&str>>::default();
/// let mut ben = anna.clone();
/// let early = Stamp::default().next(Time::from_millis(1));
/// let late = Stamp::default().next(Time::from_millis(2));
/// anna.apply(anna.store.set(Dot { replica: ReplicaId::new(1), seq: 1 }, early, "mill"));
/// ben.apply(ben.store.set(Dot { replica: ReplicaId::new(2), seq: 1 }, late, "water mill"));
/// anna.merge(ben);
/// assert_eq!(anna.store.get(), Some(&"water mill"));
/// assert_eq!(anna.store.conflicts().collect::<Vec<_>>(), [&"mill"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register<T>(pub(crate) DotFun<Stamped<T>>);

impl<T> Default for Register<T> {
    fn default() -> Self {
        Register(DotFun::default())
    }
}

dot_store!(Register<T> where T: Clone + Ord);

impl<T: Clone + Ord> Register<T> {
    /// The delta of writing `value`.
    pub fn set(&self, dot: Dot, stamp: Stamp, value: T) -> Causal<Self> {
        let store = Register(DotFun::from_iter([(dot, Stamped { stamp, value })]));
        Causal { store, seen: context_of(dot, self) }
    }

    /// The delta of writing again, at another time, what the event `written` wrote. Concurrent writes stay.
    pub fn restamp(&self, dot: Dot, stamp: Stamp, written: Dot) -> Causal<Self> {
        let again = self.0.iter().find(|(d, _)| *d == written);
        let store =
            again.map(|(_, of)| (dot, Stamped { stamp, value: of.value.clone() })).into_iter().collect();
        Causal { store: Register(DotFun(store)), seen: CausalContext::from_iter([dot, written]) }
    }

    /// The delta of forgetting what is written.
    pub fn clear(&self, dot: Dot) -> Causal<Self> {
        emptied(dot, self)
    }

    /// The winner among the concurrent values: that of the latest stamp, then of the greatest replica.
    pub fn get(&self) -> Option<&T> {
        self.winner().map(|(_, written)| &written.value)
    }

    /// The concurrent values that did not win, by dot.
    pub fn conflicts(&self) -> impl Iterator<Item = &T> + '_ {
        let winner = self.winner().map(|(dot, _)| dot);
        self.0.iter().filter(move |(dot, _)| Some(*dot) != winner).map(|(_, written)| &written.value)
    }

    /// The concurrent writes: dot, stamp and value, by dot.
    pub fn dots(&self) -> impl ExactSizeIterator<Item = (Dot, Stamp, &T)> + '_ {
        self.0.iter().map(|(dot, written)| (dot, written.stamp, &written.value))
    }

    fn winner(&self) -> Option<(Dot, &Stamped<T>)> {
        self.0.iter().max_by_key(|(dot, written)| (written.stamp, *dot))
    }
}

/// A counter that can be removed: per replica, one dot with that replica's subtotal.
///
/// An increment replaces its own replica's dot by one with the new subtotal. The anomaly to know: a removal that is
/// concurrent with an increment removes what other replicas had counted, but the incrementing replica's subtotal
/// stays, with all that it counted before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter(pub(crate) DotFun<i64>);

dot_store!(Counter<> where);

impl Counter {
    /// The delta of adding `by` as `dot`'s replica; a replica's subtotal stays within `i64`.
    pub fn add(&self, dot: Dot, by: i64) -> Causal<Self> {
        let own: DotFun<i64> =
            self.0.iter().filter(|(d, _)| d.replica == dot.replica).map(|(d, n)| (d, *n)).collect();
        let subtotal = own.iter().fold(by, |sum, (_, n)| sum.saturating_add(*n));
        Causal { store: Counter(DotFun::from_iter([(dot, subtotal)])), seen: context_of(dot, &own) }
    }

    /// The delta of removing all that is counted.
    pub fn clear(&self, dot: Dot) -> Causal<Self> {
        emptied(dot, self)
    }

    /// The sum, kept within `i64`.
    pub fn value(&self) -> i64 {
        let sum: i128 = self.0.iter().map(|(_, subtotal)| i128::from(*subtotal)).sum();
        i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
    }
}

/// A flag that is down at first, and up if somebody raises it while somebody else lowers it (enable-wins).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnableWinsFlag(pub(crate) DotSet);

dot_store!(EnableWinsFlag<> where);

impl EnableWinsFlag {
    /// The delta of raising it.
    pub fn enable(&self, dot: Dot) -> Causal<Self> {
        Causal { store: EnableWinsFlag(DotSet::from_iter([dot])), seen: context_of(dot, self) }
    }

    /// The delta of lowering it.
    pub fn disable(&self, dot: Dot) -> Causal<Self> {
        emptied(dot, self)
    }

    /// Whether it is up.
    pub fn is_enabled(&self) -> bool {
        !self.is_bottom()
    }
}

/// A flag that is up at first, and down if somebody lowers it while somebody else raises it (disable-wins).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisableWinsFlag(pub(crate) DotSet);

dot_store!(DisableWinsFlag<> where);

impl DisableWinsFlag {
    /// The delta of lowering it.
    pub fn disable(&self, dot: Dot) -> Causal<Self> {
        Causal { store: DisableWinsFlag(DotSet::from_iter([dot])), seen: context_of(dot, self) }
    }

    /// The delta of raising it.
    pub fn enable(&self, dot: Dot) -> Causal<Self> {
        emptied(dot, self)
    }

    /// Whether it is up.
    pub fn is_enabled(&self) -> bool {
        self.is_bottom()
    }
}

/// A set in which a removal survives a concurrent addition (remove-wins).
///
/// Per item, dots of additions and of removals; an item is in the set if it has additions and no removal. So a
/// removal is remembered, with one dot, until the item is added again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RwSet<T>(pub(crate) DotMap<T, DotFun<bool>>);

impl<T> Default for RwSet<T> {
    fn default() -> Self {
        RwSet(DotMap::default())
    }
}

dot_store!(RwSet<T> where T: Clone + Ord);

impl<T: Clone + Ord> RwSet<T> {
    /// The delta of adding `item`.
    pub fn insert(&self, dot: Dot, item: T) -> Causal<Self> {
        self.replace(dot, item, true)
    }

    /// The delta of removing `item`, of which additions that are yet to be heard of are removed too.
    pub fn remove(&self, dot: Dot, item: T) -> Causal<Self> {
        self.replace(dot, item, false)
    }

    /// The delta of forgetting every item, and every removal.
    pub fn clear(&self, dot: Dot) -> Causal<Self> {
        emptied(dot, self)
    }

    /// Whether `item` is in it.
    pub fn contains(&self, item: &T) -> bool {
        self.0.get(item).is_some_and(is_in)
    }

    /// The items, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.0.iter().filter(|(_, marks)| is_in(marks)).map(|(item, _)| item)
    }

    fn replace(&self, dot: Dot, item: T, added: bool) -> Causal<Self> {
        let seen = match self.0.get(&item) {
            Some(marks) => context_of(dot, marks),
            None => CausalContext::from_iter([dot]),
        };
        Causal { store: RwSet(DotMap::naming(item, DotFun::from_iter([(dot, added)]))), seen }
    }
}

fn is_in(marks: &DotFun<bool>) -> bool {
    !marks.is_bottom() && marks.iter().all(|(_, added)| *added)
}

/// A set in which an addition survives a concurrent removal (observed-remove, add-wins).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrSet<T>(pub(crate) DotMap<T, DotSet>);

impl<T> Default for OrSet<T> {
    fn default() -> Self {
        OrSet(DotMap::default())
    }
}

dot_store!(OrSet<T> where T: Clone + Ord);

impl<T: Clone + Ord> OrSet<T> {
    /// The delta of adding `item`.
    pub fn insert(&self, dot: Dot, item: T) -> Causal<Self> {
        let seen = self.context(dot, &item);
        Causal { store: OrSet(DotMap::naming(item, DotSet::from_iter([dot]))), seen }
    }

    /// The delta of removing `item`: of what has been seen of it, not of additions that are yet to be heard of.
    pub fn remove(&self, dot: Dot, item: T) -> Causal<Self> {
        let seen = self.context(dot, &item);
        Causal { store: OrSet(DotMap::naming(item, DotSet::default())), seen }
    }

    /// The delta of removing every item.
    pub fn clear(&self, dot: Dot) -> Causal<Self> {
        emptied(dot, self)
    }

    /// Whether `item` is in it.
    pub fn contains(&self, item: &T) -> bool {
        self.0.get(item).is_some()
    }

    /// The items, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> + '_ {
        self.0.iter().map(|(item, _)| item)
    }

    /// The items with the dots of their additions, by item.
    pub fn dots(&self) -> impl ExactSizeIterator<Item = (&T, &DotSet)> + '_ {
        self.0.iter()
    }

    fn context(&self, dot: Dot, item: &T) -> CausalContext {
        self.0.get(item).map_or_else(|| CausalContext::from_iter([dot]), |dots| context_of(dot, dots))
    }
}

/// A map of causal values. A write below a key survives a concurrent removal of the key (update-wins).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrMap<K, S>(pub(crate) DotMap<K, S>);

impl<K, S> Default for OrMap<K, S> {
    fn default() -> Self {
        OrMap(DotMap::default())
    }
}

dot_store!(OrMap<K, S> where K: Clone + Ord, S: DotStore);

impl<K: Clone + Ord, S: DotStore> OrMap<K, S> {
    /// The delta of a mutation of the value under `key`.
    ///
    /// ```
    /// use watersmeet_crdt::{Dot, ReplicaId, causal::{Counter, OrMap}, store::Causal};
    /// let mut votes = Causal::<OrMap<&str, Counter>>::default();
    /// let dot = Dot { replica: ReplicaId::new(1), seq: 1 };
    /// votes.apply(votes.store.update("mill", |votes| votes.add(dot, 2)));
    /// assert_eq!(votes.store.get(&"mill").map(Counter::value), Some(2));
    /// ```
    pub fn update(&self, key: K, mutate: impl FnOnce(&S) -> Causal<S>) -> Causal<Self> {
        let Causal { store, seen } = match self.0.get(&key) {
            Some(store) => mutate(store),
            None => mutate(&S::default()),
        };
        Causal { store: OrMap(DotMap::naming(key, store)), seen }
    }

    /// The delta of removing `key`, as far as it has been seen.
    pub fn remove(&self, dot: Dot, key: K) -> Causal<Self> {
        self.update(key, |store| emptied(dot, store))
    }

    /// The delta of removing every key.
    pub fn clear(&self, dot: Dot) -> Causal<Self> {
        emptied(dot, self)
    }

    /// The value under `key`.
    pub fn get(&self, key: &K) -> Option<&S> {
        self.0.get(key)
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &S)> + '_ {
        self.0.iter()
    }
}
