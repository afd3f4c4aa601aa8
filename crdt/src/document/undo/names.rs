//! Which event stands for which, when one is written again.

use crate::Dot;
use std::collections::{BTreeMap, BTreeSet};

/// Which event stands for which: one that was written again has the name of the one that stood there first.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) dots: BTreeMap<Dot, Dot>,
    pub(super) names: BTreeMap<Dot, Dot>,
}

impl Names {
    pub(super) const FEW: usize = 64;

    /// The event that has a name now.
    pub(super) fn dot(&self, name: Dot) -> Dot {
        self.dots.get(&name).copied().unwrap_or(name)
    }

    /// The name of an event.
    pub(super) fn name(&self, dot: Dot) -> Dot {
        self.names.get(&dot).copied().unwrap_or(dot)
    }

    /// Gives a name to another event.
    pub(super) fn set(&mut self, name: Dot, dot: Dot) {
        if let Some(before) = self.dots.insert(name, dot) {
            self.names.remove(&before);
        }
        self.names.insert(dot, name);
    }

    /// Whether there must be many that no cell uses: a cell uses two at most.
    pub(super) fn have_outgrown(&self, cells: usize) -> bool {
        self.dots.len() > 4 * cells + Self::FEW
    }

    pub(super) fn keep(&mut self, used: &BTreeSet<Dot>) {
        self.dots.retain(|name, _| used.contains(name));
        self.names.retain(|_, name| used.contains(name));
    }
}
