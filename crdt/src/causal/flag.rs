//! Yes or no: two flags, by who wins when they are raised and lowered at once.

use super::{context_of, dot_store, emptied};
use crate::store::{Causal, DotSet, DotStore};
use crate::{CausalContext, Dot};
use serde::{Deserialize, Serialize};

/// A flag that is down at first, and up if somebody raises it while somebody else lowers it (enable-wins).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnableWinsFlag(pub(crate) DotSet);

dot_store!(EnableWinsFlag<> where);

impl EnableWinsFlag {
    /// The delta of raising it.
    pub fn enable(&self, dot: Dot) -> Causal<Self> {
        Causal { store: EnableWinsFlag(DotSet::from_iter([dot])), seen: context_of(dot, self) }
    }

    /// The delta of lowering it.
    pub fn disable(&self, dot: Dot) -> Causal<Self> {
        emptied(dot, self)
    }

    /// Whether it is up.
    pub fn is_enabled(&self) -> bool {
        !self.is_bottom()
    }
}

/// A flag that is up at first, and down if somebody lowers it while somebody else raises it (disable-wins).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisableWinsFlag(pub(crate) DotSet);

dot_store!(DisableWinsFlag<> where);

impl DisableWinsFlag {
    /// The delta of lowering it.
    pub fn disable(&self, dot: Dot) -> Causal<Self> {
        Causal { store: DisableWinsFlag(DotSet::from_iter([dot])), seen: context_of(dot, self) }
    }

    /// The delta of raising it.
    pub fn enable(&self, dot: Dot) -> Causal<Self> {
        emptied(dot, self)
    }

    /// Whether it is up.
    pub fn is_enabled(&self) -> bool {
        self.is_bottom()
    }
}
