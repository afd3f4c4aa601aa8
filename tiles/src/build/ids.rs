//! How many features of a layer have an id that another has.
//!
//! One idea: all ids are counted until there are too many, and from then on only those whose hash ends in a zero bit, in
//! two, in three; an id is either counted from the first feature to the last or not at all. So the number is exact for
//! most data and an estimate beyond, in memory that does not grow, and the order of features leaves no trace.
//!
//! Source: M. Wegman's adaptive sampling (P. Flajolet, *On adaptive sampling*, 1990).

use std::collections::HashMap;

use foldhash::fast::RandomState;
use xxhash_rust::xxh3::xxh3_64;

/// So many ids are held at a time, in some 16 MB.
const IDS_MAX: usize = 1 << 19;

/// The ids of a layer, or a share of them.
#[derive(Default)]
pub(super) struct Ids {
    /// How many features have each id.
    counts: HashMap<u64, u32, RandomState>,
    /// How many bits at the end of an id's hash are zero if it is counted.
    zero_bits: u32,
}

impl Ids {
    pub(super) fn add(&mut self, id: u64) {
        self.add_within(id, IDS_MAX);
    }

    fn add_within(&mut self, id: u64, most: usize) {
        if !is_counted(id, self.zero_bits) {
            return;
        }
        *self.counts.entry(id).or_default() += 1;
        while self.counts.len() > most {
            self.zero_bits += 1;
            self.counts.retain(|id, _| is_counted(*id, self.zero_bits));
        }
    }

    /// How many features came after another one of their id; about so many, where there are too many ids to count.
    pub(super) fn repeated(&self) -> u64 {
        let counted: u64 = self.counts.values().map(|count| u64::from(count - 1)).sum();
        counted << self.zero_bits
    }
}

fn is_counted(id: u64, zero_bits: u32) -> bool {
    xxh3_64(&id.to_le_bytes()).trailing_zeros() >= zero_bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_counted_exactly_while_there_are_few() {
        let mut ids = Ids::default();
        [7, 8, 7, 9, 7, 9].into_iter().for_each(|id| ids.add(id));
        assert_eq!(ids.repeated(), 3);
    }

    #[test]
    fn many_ids_are_estimated_in_any_order_alike() {
        // Every fourth id is there twice.
        let all: Vec<u64> = (0..40_000).chain((0..40_000).step_by(4)).collect();
        let repeated = |ids: &mut dyn Iterator<Item = u64>| {
            let mut counted = Ids::default();
            ids.for_each(|id| counted.add_within(id, 4_000));
            assert!(counted.counts.len() <= 4_000 && counted.zero_bits > 2);
            counted.repeated()
        };
        let number = repeated(&mut all.iter().copied());
        assert!((9_000..11_000).contains(&number), "{number}");
        assert_eq!(repeated(&mut all.iter().rev().copied()), number);
    }
}
