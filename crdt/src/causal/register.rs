//! One value, or as many as were written at once.

use super::{context_of, dot_store, emptied};
use crate::store::{Causal, DotFun, DotStore};
use crate::{CausalContext, Dot, Stamp};
use serde::{Deserialize, Serialize};

/// A value with the time of its writing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
