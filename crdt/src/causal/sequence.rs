//! A list whose elements are inserted, rewritten and removed one by one.

use super::{Register, dot_store, emptied};
use crate::store::{Causal, DotMap, DotStore};
use crate::{CausalContext, Dot, Position, Stamp};
use serde::{Deserialize, Serialize};

/// A list that many edit at once: of places to write at, each a [`Register`].
///
/// What several people insert at one place at once does not interleave ([`Position`]). An element is written again
/// where it stands, so two who move different vertices of one ring both keep their work; two who move the same one
/// meet in its register. **A write survives a concurrent removal of its element** (update-wins): the element stays,
/// with what was written. A removed element leaves nothing behind.
///
/// Each event makes one mutation. An index costs a walk over the elements before it; a delta costs the logarithm of
/// their number wherever it is applied.
///
/// ```
/// use watersmeet_crdt::{Dot, Lattice, ReplicaId, Stamp, causal::Sequence, store::Causal};
/// let dot = |replica, seq| Dot { replica: ReplicaId::new(replica), seq };
/// let at = Stamp::default();
/// let mut anna = Causal::<Sequence<(i32, i32)>>::default();
/// for (n, vertex) in [(0, 0), (4, 0), (4, 4)].into_iter().enumerate() {
///     anna.apply(anna.store.insert(dot(1, n as u64 + 1), at, n, vertex));
/// }
/// let mut ben = anna.clone();
///
/// // Apart: Anna moves one vertex, Ben moves another and adds one before it.
/// anna.apply(anna.store.set(dot(1, 4), at, 0, (-1, 0)).unwrap());
/// ben.apply(ben.store.set(dot(2, 1), at, 2, (5, 5)).unwrap());
/// ben.apply(ben.store.insert(dot(2, 2), at, 2, (6, 2)));
///
/// anna.merge(ben);
/// assert_eq!(anna.store.iter().collect::<Vec<_>>(), [&(-1, 0), &(4, 0), &(6, 2), &(5, 5)]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence<T>(pub(crate) DotMap<Position, Register<T>>);

impl<T> Default for Sequence<T> {
    fn default() -> Self {
        Sequence(DotMap::default())
    }
}

dot_store!(Sequence<T> where T: Clone + Ord);

impl<T: Clone + Ord> Sequence<T> {
    /// The delta of inserting `value` before the element at `index`, or at the end if there is none.
    ///
    /// Where paths are at their [limit](crate::position::POSITION_BYTES_MAX), which takes hundreds of insertions each
    /// between the two before it, the element goes nearby instead.
    pub fn insert(&self, dot: Dot, stamp: Stamp, index: usize, value: T) -> Causal<Self> {
        let mut around = self.0.iter().map(|(position, _)| position.as_bytes()).skip(index.saturating_sub(1));
        let left = if index == 0 { None } else { around.next().or_else(|| self.last()) };
        let position = Position::at(left, around.next(), dot);
        self.mutate(position, |element| element.set(dot, stamp, value))
    }

    /// The delta of writing `value` over the element at `index`; nothing if there is none.
    pub fn set(&self, dot: Dot, stamp: Stamp, index: usize, value: T) -> Option<Causal<Self>> {
        let (position, _) = self.0.iter().nth(index)?;
        Some(self.mutate(position.clone(), |element| element.set(dot, stamp, value)))
    }

    /// The delta of removing the element at `index`, as far as it has been seen; nothing if there is none.
    pub fn remove(&self, dot: Dot, index: usize) -> Option<Causal<Self>> {
        let (position, _) = self.0.iter().nth(index)?;
        Some(self.mutate(position.clone(), |element| element.clear(dot)))
    }

    /// The delta of removing every element.
    pub fn clear(&self, dot: Dot) -> Causal<Self> {
        emptied(dot, self)
    }

    /// The element at `index`: the winner, if it has been written several times at once.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.iter().nth(index)
    }

    /// The elements, in order: of each the winner, if it has been written several times at once.
    pub fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.0.iter().filter_map(|(_, element)| element.get())
    }

    /// The elements with their places, which stay as they are while indices change, and with all concurrent writes.
    pub fn elements(&self) -> impl ExactSizeIterator<Item = (&Position, &Register<T>)> + '_ {
        self.0.iter()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn last(&self) -> Option<&[u8]> {
        self.0.entries.last_key_value().map(|(position, _)| position.as_bytes())
    }

    fn mutate(&self, at: Position, write: impl FnOnce(&Register<T>) -> Causal<Register<T>>) -> Causal<Self> {
        let Causal { store, seen } = match self.0.get(&at) {
            Some(element) => write(element),
            None => write(&Register::default()),
        };
        Causal { store: Sequence(DotMap::naming(at, store)), seen }
    }
}
