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
