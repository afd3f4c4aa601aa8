//! Three stores of dots, from which every causal type is made.
//!
//! After Almeida, Shoker and Baquero, "Delta state replicated data types" (2016), section 7, and Rinberg et al.,
//! "DSON" (2022): a state is a store of dots and the context of all dots seen. **A dot that is seen but not stored
//! has been removed.** Each join below is the paper's equation, with `s, c` for this side and `s', c'` for the other.
//!
//! [`DotStore::join`] is the specification and visits the whole store. [`DotStore::apply`] does the same for a delta
//! and visits only what the delta names. That is right because of one rule for deltas:
//!
//! **A delta names every key that its context touches.** A key that it empties is named with an empty store; a
//! subtree that it cleared before filling it again is marked [whole](DotMap::mark_whole).
//!
//! All of them can be encoded with `serde`, in a format whose maps have keys of any kind, such as `postcard`. Empty
//! stores and marks are kept, since a delta needs them; so what is decoded is merged, and not taken for a state.

use crate::{CausalContext, Dot, Lattice};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A store of dots: half of a causal state, the other half being the context of what has been seen.
pub trait DotStore: Clone + Default + PartialEq {
    /// Whether no dot is stored.
    fn is_bottom(&self) -> bool;

    /// Visits every stored dot.
    fn for_each_dot(&self, visit: &mut dyn FnMut(Dot));

    /// Joins the state `other`, seen under `other_seen`, into `self`, seen under `seen`; true exactly when the store
    /// changed.
    fn join(&mut self, seen: &CausalContext, other: Self, other_seen: &CausalContext) -> bool;

    /// As [`join`](Self::join) for a delta, at the cost of what the delta names. For a store that deltas always name
    /// as a whole, the two are one.
    fn apply(&mut self, seen: &CausalContext, delta: Self, delta_seen: &CausalContext) -> bool {
        self.join(seen, delta, delta_seen)
    }
}

/// A causal state; a delta is one too, only small.
///
/// Its contract: every dot in `store` is in `seen`. What breaks it is not decoded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Told<S>", bound(deserialize = "S: DotStore + Deserialize<'de>"))]
pub struct Causal<S> {
    /// What is alive.
    pub store: S,
    /// Every event known of.
    pub seen: CausalContext,
}

/// A causal state from elsewhere.
#[derive(Deserialize)]
struct Told<S> {
    store: S,
    seen: CausalContext,
}

impl<S: DotStore> TryFrom<Told<S>> for Causal<S> {
    type Error = &'static str;

    fn try_from(Told { store, seen }: Told<S>) -> Result<Self, Self::Error> {
        let mut all_seen = true;
        store.for_each_dot(&mut |dot| all_seen &= seen.contains(dot));
        if all_seen { Ok(Causal { store, seen }) } else { Err("a dot is stored that was not seen") }
    }
}

impl<S: DotStore> Causal<S> {
    /// As [`merge`](Lattice::merge) for a delta that names every key its context touches, at the cost of the delta.
    pub fn apply(&mut self, delta: Self) -> bool {
        let changed = self.store.apply(&self.seen, delta.store, &delta.seen);
        self.seen.merge(delta.seen) | changed
    }
}

impl<S: DotStore> Lattice for Causal<S> {
    fn merge(&mut self, other: Self) -> bool {
        let changed = self.store.join(&self.seen, other.store, &other.seen);
        self.seen.merge(other.seen) | changed
    }
}

/// A set of dots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DotSet(pub(crate) BTreeSet<Dot>);

impl DotSet {
    /// The dots.
    pub fn iter(&self) -> impl Iterator<Item = Dot> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Dot> for DotSet {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        DotSet(dots.into_iter().collect())
    }
}

impl DotStore for DotSet {
    fn is_bottom(&self) -> bool {
        self.0.is_empty()
    }

    fn for_each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.iter().for_each(visit);
    }

    /// `(s ∩ s') ∪ (s \ c') ∪ (s' \ c)`. Informally: what both store; what one stores and the other never saw.
    fn join(&mut self, seen: &CausalContext, other: Self, other_seen: &CausalContext) -> bool {
        let before = self.0.len();
        self.0.retain(|dot| other.0.contains(dot) || !other_seen.contains(*dot));
        let mut changed = self.0.len() < before;
        for dot in other.0 {
            changed |= !seen.contains(dot) && self.0.insert(dot);
        }
        changed
    }
}

/// A map from dot to value.
///
/// One dot is one event, so it has one value. Should a faulty replica give a dot twice, the greater value wins
/// everywhere: replicas still converge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DotFun<V>(pub(crate) BTreeMap<Dot, V>);

impl<V> Default for DotFun<V> {
    fn default() -> Self {
        DotFun(BTreeMap::new())
    }
}

impl<V> DotFun<V> {
    /// Dots and values, by dot.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Dot, &V)> + '_ {
        self.0.iter().map(|(dot, value)| (*dot, value))
    }
}

impl<V> FromIterator<(Dot, V)> for DotFun<V> {
    fn from_iter<I: IntoIterator<Item = (Dot, V)>>(entries: I) -> Self {
        DotFun(entries.into_iter().collect())
    }
}

impl<V: Clone + Ord> DotStore for DotFun<V> {
    fn is_bottom(&self) -> bool {
        self.0.is_empty()
    }

    fn for_each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.0.keys().copied().for_each(visit);
    }

    /// `{d ↦ max(s(d), s'(d)) | d ∈ s ∩ s'} ∪ (s \ c') ∪ (s' \ c)`. Informally: as a set of dots, with their values.
    fn join(&mut self, seen: &CausalContext, other: Self, other_seen: &CausalContext) -> bool {
        let before = self.0.len();
        self.0.retain(|dot, _| other.0.contains_key(dot) || !other_seen.contains(*dot));
        let mut changed = self.0.len() < before;
        for (dot, theirs) in other.0 {
            match self.0.get_mut(&dot) {
                Some(ours) if *ours < theirs => {
                    *ours = theirs;
                    changed = true;
                }
                Some(_) => {}
                None if seen.contains(dot) => {}
                None => {
                    self.0.insert(dot, theirs);
                    changed = true;
                }
            }
        }
        changed
    }
}

/// A map from key to store. In a state an empty store is absent; a delta names with one what it empties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + Deserialize<'de>, S: Deserialize<'de>"))]
pub struct DotMap<K, S> {
    pub(crate) entries: BTreeMap<K, S>,
    pub(crate) whole: bool,
}

impl<K, S> Default for DotMap<K, S> {
    fn default() -> Self {
        DotMap { entries: BTreeMap::new(), whole: false }
    }
}

impl<K: Ord + Clone, S: DotStore> DotMap<K, S> {
    /// The store under `key`.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&S>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.entries.get(key)
    }

    /// Keys and stores, by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &S)> + '_ {
        self.entries.iter()
    }

    /// How many keys have something alive.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key has anything alive.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A delta that names one key: with what it now holds, or with an empty store if it was emptied.
    pub fn naming(key: K, store: S) -> Self {
        DotMap { entries: BTreeMap::from([(key, store)]), whole: false }
    }

    /// Marks a delta as naming *all* keys: those it does not hold have been emptied. A state is never marked.
    #[must_use]
    pub fn mark_whole(mut self) -> Self {
        self.whole = true;
        self
    }

    /// Whether this delta names all keys: it is marked so, or names none, which can only mean that all are emptied.
    pub(crate) fn names_all(&self) -> bool {
        self.whole || self.entries.is_empty()
    }

    /// The walk behind `join` and `apply`, kept once: merges each entry of `delta` into ours by `merge`, and, if
    /// `all`, an empty store into each of ours that `delta` does not hold.
    pub(crate) fn merge_entries(
        &mut self,
        mut delta: Self,
        all: bool,
        mut merge: impl FnMut(&K, &mut S, S) -> bool,
    ) -> bool {
        let mut changed = false;
        if all {
            self.entries.retain(|key, ours| {
                changed |= merge(key, ours, delta.entries.remove(key).unwrap_or_default());
                !ours.is_bottom()
            });
        }
        for (key, theirs) in delta.entries {
            let mut ours = self.entries.remove(&key).unwrap_or_default();
            changed |= merge(&key, &mut ours, theirs);
            if !ours.is_bottom() {
                self.entries.insert(key, ours);
            }
        }
        changed
    }
}

impl<K: Ord + Clone, S: DotStore> DotStore for DotMap<K, S> {
    fn is_bottom(&self) -> bool {
        self.entries.is_empty()
    }

    fn for_each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.entries.values().for_each(|store| store.for_each_dot(visit));
    }

    /// `{k ↦ join(s(k), s'(k)) | k ∈ dom s ∪ dom s', join(..) ≠ ⊥}`. Informally: key by key; absent means empty.
    fn join(&mut self, seen: &CausalContext, other: Self, other_seen: &CausalContext) -> bool {
        self.merge_entries(other, true, |_, ours, theirs| ours.join(seen, theirs, other_seen))
    }

    fn apply(&mut self, seen: &CausalContext, delta: Self, delta_seen: &CausalContext) -> bool {
        if delta.names_all() {
            return self.join(seen, delta, delta_seen);
        }
        self.merge_entries(delta, false, |_, ours, theirs| ours.apply(seen, theirs, delta_seen))
    }
}
