//! That no dot is given to two cells of a delta: one dot is one event, which stands in one place.
//!
//! Events are nearly as dense as their numbers, so a bit for each number is enough; where few of very many are left,
//! they are put in order instead.

use super::Few;
use super::delta::Replica;

/// How many numbers may share the memory that one dot would take in a list.
const BITS_PER_DOT: u64 = 64;

/// The dots that were met.
pub(crate) enum Once {
    /// A bit for each number, and where each replica's begin, less its first number.
    Dense { bits: Few<u64>, starts: Few<u64>, twice: bool },
    /// The dots themselves.
    Sparse(Vec<(usize, u64)>),
}

impl Once {
    /// For so many dots of some replicas.
    pub(crate) fn new(replicas: &[Replica], dots: u64) -> Self {
        let mut numbers = 0u64;
        let mut starts = Few::with_capacity(replicas.len());
        for (_, from, to) in replicas {
            // A dot's number is above `from`: it is added again before this is used.
            starts.push(numbers.wrapping_sub(from + 1));
            numbers = numbers.saturating_add(to - from);
        }
        match usize::try_from(numbers.div_ceil(64)) {
            Ok(words) if numbers <= dots.saturating_mul(BITS_PER_DOT) => {
                Once::Dense { bits: Few::from_elem(0, words), starts, twice: false }
            }
            _ => Once::Sparse(Vec::new()),
        }
    }

    /// Notes a dot by its replica's place; it lies within what the replica has.
    pub(crate) fn meet(&mut self, dot: (usize, u64)) {
        match self {
            Once::Dense { bits, starts, twice } => {
                let at = starts[dot.0].wrapping_add(dot.1);
                let (word, bit) = (usize::try_from(at >> 6).unwrap_or(0), 1 << (at & 63));
                *twice |= bits[word] & bit != 0;
                bits[word] |= bit;
            }
            Once::Sparse(dots) => dots.push(dot),
        }
    }

    /// Whether some dot was met twice.
    pub(crate) fn met_twice(self) -> bool {
        match self {
            Once::Dense { twice, .. } => twice,
            Once::Sparse(mut dots) => {
                dots.sort_unstable();
                dots.windows(2).any(|two| two[0] == two[1])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReplicaId;
    use quickcheck::quickcheck;
    use std::collections::BTreeSet;

    quickcheck! {
        fn a_dot_that_comes_twice_is_noticed_dense_or_sparse(met: Vec<(bool, u8)>, sparse: bool) -> bool {
            let replicas = [(ReplicaId::new(1), 10, 300), (ReplicaId::new(2), 0, 256)];
            let dots = if sparse { 0 } else { 1_000 };
            let mut once = Once::new(&replicas, dots);
            let all: Vec<(usize, u64)> =
                met.iter().map(|(second, n)| (usize::from(*second), u64::from(*n) + if *second { 1 } else { 11 })).collect();
            all.iter().for_each(|dot| once.meet(*dot));
            once.met_twice() == (all.iter().collect::<BTreeSet<_>>().len() < all.len())
        }
    }
}
