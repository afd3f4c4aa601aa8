//! Two maps, by who wins when a key is removed and written under at once.

use super::{context_of, dot_store, emptied};
use crate::store::{Causal, DotMap, DotSet, DotStore};
use crate::{CausalContext, Dot, Lattice};
use serde::{Deserialize, Serialize};

/// A map of causal values. A write below a key survives a concurrent removal of the key (update-wins).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + Deserialize<'de>, S: Deserialize<'de>"))]
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

/// A map of causal values in which a removal of a key beats concurrent writes below it (remove-wins): the sibling of
/// [`OrMap`].
///
/// Per key, its value and the removals that stand. The semantics, exactly:
///
/// - A key is there if something is alive under it and no removal of it stands.
/// - A removal stands until somebody who has seen it writes below the key, or [clears](Self::clear) the map. It
///   empties what it has seen; what it has not seen, it hides.
/// - A write to a key that is not there first forgets, with the removals, all that it has seen hidden.
///
/// The anomalies to know: a removal is remembered, with one dot, until the key is written again. And a write that was
/// hidden by a removal comes to light if somebody writes the key anew who has seen the removal but not that write.
///
/// ```
/// use watersmeet_crdt::{Dot, Lattice, ReplicaId, causal::{Counter, RwMap}, store::Causal};
/// let dot = |replica, seq| Dot { replica: ReplicaId::new(replica), seq };
/// let mut anna = Causal::<RwMap<&str, Counter>>::default();
/// anna.apply(anna.store.update(dot(1, 1), "mill", |votes| votes.add(dot(1, 1), 2)));
/// let mut ben = anna.clone();
/// anna.apply(anna.store.remove(dot(1, 2), "mill"));
/// ben.apply(ben.store.update(dot(2, 1), "mill", |votes| votes.add(dot(2, 1), 1)));
///
/// anna.merge(ben);
/// assert_eq!(anna.store.get(&"mill"), None);
/// anna.apply(anna.store.update(dot(1, 3), "mill", |votes| votes.add(dot(1, 3), 5)));
/// assert_eq!(anna.store.get(&"mill").map(Counter::value), Some(5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + Deserialize<'de>, S: Deserialize<'de>"))]
pub struct RwMap<K, S>(DotMap<K, Removable<S>>);

impl<K, S> Default for RwMap<K, S> {
    fn default() -> Self {
        RwMap(DotMap::default())
    }
}

dot_store!(RwMap<K, S> where K: Clone + Ord, S: DotStore);

impl<K: Clone + Ord, S: DotStore> RwMap<K, S> {
    /// The delta of a mutation, by the event `dot`, of the value under `key`; of an empty one, if `key` is not there.
    pub fn update(&self, dot: Dot, key: K, mutate: impl FnOnce(&S) -> Causal<S>) -> Causal<Self> {
        let entry = self.0.get(&key);
        let hidden = entry.filter(|entry| !entry.is_there());
        let Causal { store, mut seen } = match entry {
            Some(entry) if hidden.is_none() => mutate(&entry.store),
            _ => mutate(&S::default()),
        };
        if let Some(hidden) = hidden {
            seen.merge(context_of(dot, hidden));
        }
        Self::naming(key, Removable { store, whole: hidden.is_some(), ..Removable::default() }, seen)
    }

    /// The delta of removing `key`, with writes below it that are yet to be heard of.
    pub fn remove(&self, dot: Dot, key: K) -> Causal<Self> {
        let seen =
            self.0.get(&key).map_or_else(|| CausalContext::from_iter([dot]), |entry| context_of(dot, entry));
        Self::naming(
            key,
            Removable { removals: DotSet::from_iter([dot]), whole: true, ..Removable::default() },
            seen,
        )
    }

    /// The delta of forgetting every key and every removal that has been seen. What is written at once survives.
    pub fn clear(&self, dot: Dot) -> Causal<Self> {
        emptied(dot, self)
    }

    /// The value under `key`.
    pub fn get(&self, key: &K) -> Option<&S> {
        self.0.get(key).filter(|entry| entry.is_there()).map(|entry| &entry.store)
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &S)> + '_ {
        self.0.iter().filter(|(_, entry)| entry.is_there()).map(|(key, entry)| (key, &entry.store))
    }

    fn naming(key: K, entry: Removable<S>, seen: CausalContext) -> Causal<Self> {
        Causal { store: RwMap(DotMap::naming(key, entry)), seen }
    }
}

/// A value and the removals of it that stand. No event is in both: the context of one could not spare the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Removable<S> {
    removals: DotSet,
    store: S,
    /// Of a delta: what `store` does not hold has been emptied. A state is never marked.
    whole: bool,
}

impl<S: DotStore> Removable<S> {
    fn is_there(&self) -> bool {
        self.removals.is_bottom() && !self.store.is_bottom()
    }
}

impl<S: DotStore> DotStore for Removable<S> {
    fn is_bottom(&self) -> bool {
        self.removals.is_bottom() && self.store.is_bottom()
    }

    fn for_each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.removals.for_each_dot(visit);
        self.store.for_each_dot(visit);
    }

    fn join(&mut self, seen: &CausalContext, other: Self, other_seen: &CausalContext) -> bool {
        let removals = self.removals.join(seen, other.removals, other_seen);
        self.store.join(seen, other.store, other_seen) | removals
    }

    fn apply(&mut self, seen: &CausalContext, delta: Self, delta_seen: &CausalContext) -> bool {
        if delta.whole {
            return self.join(seen, delta, delta_seen);
        }
        let removals = self.removals.join(seen, delta.removals, delta_seen);
        self.store.apply(seen, delta.store, delta_seen) | removals
    }
}
