//! The order of siblings. A list is kept in order, for its indexes; maps and sets are put in order when somebody asks.

use super::name::first_bytes;
use super::{Id, Table};
use crate::document::kind::Kind;
use std::cmp::Ordering;
use std::sync::OnceLock;

/// The entries below one.
#[derive(Clone, Debug)]
pub(crate) struct Children {
    pub(super) ids: Vec<Id>,
    /// Whether `ids` are in the order of their names. A list's always are.
    pub(super) ordered: bool,
    /// `ids` in the order of their names, once somebody has asked for it.
    pub(super) order: OnceLock<Box<[Id]>>,
}

impl Default for Children {
    fn default() -> Self {
        Children { ids: Vec::new(), ordered: true, order: OnceLock::new() }
    }
}

impl Children {
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

impl Table {
    /// Puts a new entry among its siblings.
    pub(super) fn place_child(&mut self, parent: Id, id: Id) {
        let ids = &self.children(parent).ids;
        let follows = ids.last().is_none_or(|last| self.in_order(*last, id) == Ordering::Less);
        if self.entry(parent).kind == Kind::List {
            let at = if follows { ids.len() } else { self.index_in_list(id) };
            self.children_mut(parent).ids.insert(at, id);
        } else {
            let at = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            let children = self.children_mut(parent);
            children.ids.push(id);
            children.ordered &= follows;
            self.entry_mut(id).at = at;
        }
    }

    /// Lets new elements of a list wait, so that many of them are put into their places at once.
    pub(crate) fn fill(&mut self, list: Id) {
        self.filling = Some((list, Vec::new()));
    }

    /// Puts into their places the elements that have been made since [`fill`](Self::fill).
    pub(crate) fn filled(&mut self) {
        const FEW: usize = 32;
        let Some((list, waiting)) = self.filling.take() else { return };
        if waiting.len() < FEW {
            return waiting.into_iter().for_each(|id| self.place_child(list, id));
        }
        let mut ids = std::mem::take(&mut self.children_mut(list).ids);
        ids.extend(waiting);
        // Two ascending runs, which this sort merges.
        ids.sort_by(|a, b| self.in_order(*a, *b));
        self.children_mut(list).ids = ids;
    }

    /// Removes the elements of a list that hold nothing, all at once, and the list if that leaves it empty.
    pub(crate) fn sweep(&mut self, list: Id) {
        let ids = std::mem::take(&mut self.children_mut(list).ids);
        let (gone, left): (Vec<Id>, Vec<Id>) = ids.into_iter().partition(|id| self.is_bottom(*id));
        self.children_mut(list).ids = left;
        gone.into_iter().for_each(|id| self.forget_entry(id));
        self.prune(list);
    }

    /// What stands below an entry, by name and then by kind.
    pub(crate) fn ordered(&self, id: Id) -> &[Id] {
        let Children { ids, ordered, order } = self.children(id);
        if *ordered { ids } else { order.get_or_init(|| self.sorted(ids)) }
    }

    /// The ids by name and kind. Most names differ in their first eight bytes, which are compared without a visit.
    fn sorted(&self, ids: &[Id]) -> Box<[Id]> {
        let mut keyed: Vec<(u64, Id)> =
            ids.iter().map(|id| (first_bytes(&self.entry(*id).name), *id)).collect();
        keyed.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| self.in_order(*x, *y)));
        keyed.into_iter().map(|(_, id)| id).collect()
    }

    /// The order of siblings.
    pub(crate) fn in_order(&self, a: Id, b: Id) -> Ordering {
        let (a, b) = (self.entry(a), self.entry(b));
        a.name.cmp(&b.name).then(a.kind.cmp(&b.kind))
    }

    /// Where an element stands in its list.
    pub(crate) fn index_in_list(&self, id: Id) -> usize {
        let entry = self.entry(id);
        let ids = &self.children(entry.parent).ids;
        ids.partition_point(|sibling| self.entry(*sibling).name < entry.name)
    }
}
