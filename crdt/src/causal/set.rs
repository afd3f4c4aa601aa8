//! Two sets, by who wins when an item is added and removed at once.

use super::{context_of, dot_store, emptied};
use crate::store::{Causal, DotFun, DotMap, DotSet, DotStore};
use crate::{CausalContext, Dot};
use serde::{Deserialize, Serialize};

/// A set in which a removal survives a concurrent addition (remove-wins).
///
/// Per item, dots of additions and of removals; an item is in the set if it has additions and no removal. So a
/// removal is remembered, with one dot, until the item is added again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Ord + Deserialize<'de>"))]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Ord + Deserialize<'de>"))]
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
