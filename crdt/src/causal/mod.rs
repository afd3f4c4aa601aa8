//! Causal types: values that are also removed, tombstone-free, each a thin reading of a [dot store](crate::store).
//!
//! A mutation takes a fresh dot and answers with its *delta*, a small causal state to be
//! [applied](Causal::apply) here and everywhere. **Every mutation's context holds its dot, removals too**, so that a
//! version vector alone tells who lacks what.

mod counter;
mod flag;
mod map;
mod register;
mod sequence;
mod set;

pub use counter::Counter;
pub use flag::{DisableWinsFlag, EnableWinsFlag};
pub use map::{OrMap, RwMap};
pub use register::{Register, Stamped};
pub use sequence::Sequence;
pub use set::{OrSet, RwSet};

use crate::store::{Causal, DotStore};
use crate::{CausalContext, Dot};

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

use dot_store;

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

impl<S> Causal<S> {
    /// The delta of a struct of stores, from that of one of its fields.
    ///
    /// With the feature `derive`, such a struct is a [`DotStore`], and what is in it has the types that it says:
    ///
    #[cfg_attr(feature = "derive", doc = "```")]
    #[cfg_attr(not(feature = "derive"), doc = "```ignore")]
    /// use watersmeet_crdt::causal::{Counter, OrSet, Register};
    /// use watersmeet_crdt::{Dot, DotStore, Lattice, ReplicaId, Stamp, store::Causal};
    ///
    /// #[derive(Clone, Debug, Default, PartialEq, DotStore)]
    /// struct Place {
    ///     name: Register<String>,
    ///     tags: OrSet<String>,
    ///     votes: Counter,
    /// }
    /// let dot = |replica, seq| Dot { replica: ReplicaId::new(replica), seq };
    /// let mut anna = Causal::<Place>::default();
    /// let name = anna.store.name.set(dot(1, 1), Stamp::default(), "Old mill".to_owned());
    /// anna.apply(name.within(|name| Place { name, ..Place::default() }));
    /// let mut ben = anna.clone();
    ///
    /// let tag = anna.store.tags.insert(dot(1, 2), "ruin".to_owned());
    /// anna.apply(tag.within(|tags| Place { tags, ..Place::default() }));
    /// let vote = ben.store.votes.add(dot(2, 1), 1);
    /// ben.apply(vote.within(|votes| Place { votes, ..Place::default() }));
    ///
    /// anna.merge(ben);
    /// assert!(anna.store.tags.contains(&"ruin".to_owned()));
    /// assert_eq!(anna.store.votes.value(), 1);
    /// ```
    ///
    /// One event writes to one field: the context of what it does to one could not spare what it did to the other.
    pub fn within<T>(self, place: impl FnOnce(S) -> T) -> Causal<T> {
        Causal { store: place(self.store), seen: self.seen }
    }
}
