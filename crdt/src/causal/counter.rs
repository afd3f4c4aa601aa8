//! A number that is added to.

use super::{context_of, dot_store, emptied};
use crate::store::{Causal, DotFun, DotStore};
use crate::{CausalContext, Dot};
use serde::{Deserialize, Serialize};

/// A counter that can be removed: per replica, one dot with that replica's subtotal.
///
/// An increment replaces its own replica's dot by one with the new subtotal. The anomaly to know: a removal that is
/// concurrent with an increment removes what other replicas had counted, but the incrementing replica's subtotal
/// stays, with all that it counted before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
