//! The table: every live entry of a document in one flat arena, found by key and by dot.
//!
//! ```text
//!   by key   (where it stands, kind, name) ─▶ entry     a hash table of numbers
//!   by dot   (replica, seq)                ─▶ entry     per replica a list in the order of its events
//! ```
//!
//! The one idea: an entry is found from either side in constant time, so a change costs what it changes. What is
//! removed leaves both indexes and the arena; nothing remembers it but the log.

mod events;
mod name;
mod order;

pub(crate) use events::{Events, Written};
pub(crate) use name::{Name, first_bytes};
pub(crate) use order::Children;

use super::kind::{Kind, Payload};
use super::lanes::Lanes;
use crate::{Dot, Value};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

/// The number of an entry in the arena. It is used again once the entry is gone.
pub(crate) type Id = u32;

/// The root map, which is always there.
pub(crate) const ROOT: Id = 0;

/// A key, an item of a set, or an element of a list.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The key's name, the item, or the element's position.
    pub(crate) name: Value,
    pub(crate) holds: Holds,
    pub(crate) parent: Id,
    /// Where it stands among its parent's children, unless that is a list.
    at: u32,
    hash: u32,
    /// The key's kind; that of the set or list for an item or element.
    pub(crate) kind: Kind,
}

/// What an entry holds.
#[derive(Clone, Debug)]
pub(crate) enum Holds {
    /// The lone event of something whose events say nothing; the most frequent case, and the smallest.
    Dot(Dot),
    /// Live events, by dot.
    Events(Vec<Written>),
    /// Further entries.
    Children(Box<Children>),
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    free: Vec<Id>,
    by_key: HashTable<Id>,
    pub(crate) by_dot: Lanes,
    hasher: RandomState,
    /// A list that is being filled, and the elements that have not been put into their places yet.
    filling: Option<(Id, Vec<Id>)>,
}

impl Default for Table {
    fn default() -> Self {
        let root = Entry {
            name: Value::Null,
            holds: Holds::Children(Box::default()),
            parent: ROOT,
            at: 0,
            hash: 0,
            kind: Kind::Map,
        };
        Table {
            entries: vec![root],
            free: Vec::new(),
            by_key: HashTable::new(),
            by_dot: Lanes::default(),
            hasher: RandomState::default(),
            filling: None,
        }
    }
}

impl Table {
    pub(crate) fn entry(&self, id: Id) -> &Entry {
        &self.entries[id as usize]
    }

    fn entry_mut(&mut self, id: Id) -> &mut Entry {
        &mut self.entries[id as usize]
    }

    /// How many entries are alive, the root among them.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Makes room for so many more entries.
    pub(crate) fn reserve(&mut self, more: usize) {
        let entries = &self.entries;
        self.by_key.reserve(more, |id| spread(entries[*id as usize].hash));
        self.entries.reserve(more);
    }

    /// The entry of that name and kind below `parent`.
    pub(crate) fn find<'a>(&self, parent: Id, kind: Kind, name: impl Into<Name<'a>>) -> Option<Id> {
        let name = name.into();
        self.find_hashed(self.hash(parent, kind, name), parent, kind, name)
    }

    fn find_hashed(&self, hash: u32, parent: Id, kind: Kind, name: Name<'_>) -> Option<Id> {
        let is = |id: &Id| {
            let entry = self.entry(*id);
            entry.hash == hash && entry.parent == parent && entry.kind == kind && name.is(&entry.name)
        };
        self.by_key.find(spread(hash), is).copied()
    }

    /// As [`find`](Self::find); makes the entry if it is not there, empty. Whoever makes it fills it, or
    /// [prunes](Self::prune) it.
    pub(crate) fn find_or_make<'a>(&mut self, parent: Id, kind: Kind, name: impl Into<Name<'a>>) -> Id {
        let name = name.into();
        let hash = self.hash(parent, kind, name);
        self.find_hashed(hash, parent, kind, name)
            .unwrap_or_else(|| self.make(hash, parent, kind, name.into_value()))
    }

    /// As [`find_or_make`](Self::find_or_make), keeping `name` if it is made.
    pub(crate) fn find_or_keep(&mut self, parent: Id, kind: Kind, name: Value) -> Id {
        let hash = self.hash(parent, kind, Name::from(&name));
        self.find_hashed(hash, parent, kind, Name::from(&name))
            .unwrap_or_else(|| self.make(hash, parent, kind, name))
    }

    fn make(&mut self, hash: u32, parent: Id, kind: Kind, name: Value) -> Id {
        // An item or element has the kind of what it stands in.
        let in_collection = !matches!(self.entry(parent).kind, Kind::Map);
        let holds = match kind.is_container() && !in_collection {
            true => Holds::Children(Box::default()),
            false => Holds::Events(Vec::new()),
        };
        let entry = Entry { name, holds, parent, at: 0, hash, kind };
        let id = match self.free.pop() {
            Some(id) => {
                *self.entry_mut(id) = entry;
                id
            }
            None => {
                self.entries.push(entry);
                // Four thousand million entries do not fit into memory.
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        match &mut self.filling {
            Some((list, waiting)) if *list == parent => waiting.push(id),
            _ => self.place_child(parent, id),
        }
        let entries = &self.entries;
        self.by_key.insert_unique(spread(hash), id, |id| spread(entries[*id as usize].hash));
        id
    }

    /// What stands below an entry, in no order.
    pub(crate) fn children(&self, id: Id) -> &Children {
        static NONE: Children = Children { ids: Vec::new(), ordered: true, order: OnceLock::new() };
        if let Holds::Children(children) = &self.entry(id).holds { children } else { &NONE }
    }

    fn children_mut(&mut self, id: Id) -> &mut Children {
        let holds = &mut self.entry_mut(id).holds;
        if !matches!(holds, Holds::Children(_)) {
            *holds = Holds::Children(Box::default());
        }
        match holds {
            Holds::Children(children) => {
                children.order = OnceLock::new();
                children
            }
            Holds::Dot(_) | Holds::Events(_) => unreachable!("made to hold children just now"),
        }
    }

    /// The live events of an entry, by dot.
    pub(crate) fn events(&self, id: Id) -> Events<'_> {
        match &self.entry(id).holds {
            Holds::Dot(dot) => Events::Dot(*dot),
            Holds::Events(events) => Events::Written(events),
            Holds::Children(_) => Events::Written(&[]),
        }
    }

    /// Adds an event to an entry. Of each replica an entry holds one event, the youngest: answers with an older one
    /// that was there.
    pub(crate) fn put(&mut self, id: Id, written: Written) -> Option<Dot> {
        let dot = written.dot;
        let older = self.events(id).dots().find(|other| other.replica == dot.replica);
        if older.is_some_and(|older| older.seq >= dot.seq) {
            return None;
        }
        if let Some(older) = older {
            self.take(id, older);
        }
        self.by_dot.push(dot, id);
        let entry = self.entry_mut(id);
        let bare = entry.kind.payload() == Payload::Nothing;
        match &mut entry.holds {
            Holds::Events(events) if bare && events.is_empty() => entry.holds = Holds::Dot(dot),
            Holds::Events(events) => {
                let at = events.partition_point(|event| event.dot < dot);
                if events.is_empty() {
                    events.reserve_exact(1);
                }
                events.insert(at, written);
            }
            Holds::Dot(other) => {
                let mut both = vec![Written::bare(*other), written];
                both.sort_unstable_by_key(|event| event.dot);
                entry.holds = Holds::Events(both);
            }
            Holds::Children(_) => debug_assert!(false, "a container holds no events"),
        }
        older
    }

    /// The entry that holds a live event.
    pub(crate) fn holder(&self, dot: Dot) -> Option<Id> {
        self.alive(dot, dot.seq).map(|(_, id)| id).next()
    }

    /// Puts an event in place of all those of an entry, and tells of each.
    pub(crate) fn write(&mut self, id: Id, written: Written, mut replaced: impl FnMut(Dot)) {
        let dot = written.dot;
        let entry = self.entry_mut(id);
        let bare = entry.kind.payload() == Payload::Nothing;
        match &mut entry.holds {
            Holds::Dot(only) => {
                let older = std::mem::replace(only, dot);
                self.forget(id, older);
                replaced(older);
            }
            Holds::Events(events) if !bare && events.len() == 1 => {
                let older = std::mem::replace(&mut events[0], written).dot;
                self.forget(id, older);
                replaced(older);
            }
            Holds::Events(events) => {
                let older = std::mem::take(events);
                entry.holds = if bare { Holds::Dot(dot) } else { Holds::Events(vec![written]) };
                for event in older {
                    self.forget(id, event.dot);
                    replaced(event.dot);
                }
            }
            Holds::Children(_) => debug_assert!(false, "a container holds no events"),
        }
        self.by_dot.push(dot, id);
    }

    /// What an entry's event `dot` says, to be replaced.
    pub(crate) fn event_mut(&mut self, id: Id, dot: Dot) -> Option<&mut Written> {
        match &mut self.entry_mut(id).holds {
            Holds::Events(events) => events.iter_mut().find(|event| event.dot == dot),
            Holds::Dot(_) | Holds::Children(_) => None,
        }
    }

    /// Takes an event out of an entry; whether it was there. Whoever empties an entry [prunes](Self::prune) it.
    pub(crate) fn take(&mut self, id: Id, dot: Dot) -> bool {
        let holds = &mut self.entry_mut(id).holds;
        let there = match holds {
            Holds::Dot(only) if *only == dot => {
                *holds = Holds::Events(Vec::new());
                true
            }
            Holds::Events(events) => {
                let before = events.len();
                events.retain(|event| event.dot != dot);
                events.len() < before
            }
            Holds::Dot(_) | Holds::Children(_) => false,
        };
        if there {
            self.forget(id, dot);
        }
        there
    }

    /// Takes every event out of an entry, and tells of each.
    pub(crate) fn take_all(&mut self, id: Id, mut taken: impl FnMut(Dot)) {
        match std::mem::replace(&mut self.entry_mut(id).holds, Holds::Events(Vec::new())) {
            Holds::Dot(dot) => {
                self.forget(id, dot);
                taken(dot);
            }
            Holds::Events(events) => {
                for event in events {
                    self.forget(id, event.dot);
                    taken(event.dot);
                }
            }
            children @ Holds::Children(_) => self.entry_mut(id).holds = children,
        }
    }

    /// The entries with events of their own, from one down.
    pub(crate) fn leaves(&self, id: Id) -> Vec<Id> {
        let (mut leaves, mut open) = (Vec::new(), vec![id]);
        while let Some(id) = open.pop() {
            match &self.entry(id).holds {
                Holds::Children(children) => open.extend_from_slice(&children.ids),
                Holds::Dot(_) | Holds::Events(_) => leaves.push(id),
            }
        }
        leaves
    }

    /// Visits every event of registers and elements of lists.
    pub(crate) fn each_written(&self, mut visit: impl FnMut(Id, &Written)) {
        for (id, entry) in (0..).zip(&self.entries) {
            if let (Holds::Events(events), Payload::Written) = (&entry.holds, entry.kind.payload()) {
                events.iter().for_each(|event| visit(id, event));
            }
        }
    }

    /// Notes in the index by dot that one is no longer alive.
    fn forget(&mut self, id: Id, dot: Dot) {
        let Table { entries, by_dot, .. } = self;
        by_dot.forget(id, dot, |id, dot| holds(&entries[id as usize], dot));
    }

    /// The entries that hold live events of `dot`'s replica, from `dot` on up to `end`, each with its event.
    pub(crate) fn alive(&self, dot: Dot, end: u64) -> impl Iterator<Item = (u64, Id)> + '_ {
        let of = dot.replica;
        self.by_dot
            .range(dot, end)
            .filter(move |(seq, id)| holds(self.entry(*id), Dot { replica: of, seq: *seq }))
    }

    /// Whether an entry is a map, a set or a list.
    pub(crate) fn is_container(&self, id: Id) -> bool {
        matches!(self.entry(id).holds, Holds::Children(_))
    }

    /// Whether an entry holds nothing.
    pub(crate) fn is_bottom(&self, id: Id) -> bool {
        match &self.entry(id).holds {
            Holds::Dot(_) => false,
            Holds::Events(events) => events.is_empty(),
            Holds::Children(children) => children.ids.is_empty(),
        }
    }

    /// Removes an entry that holds nothing, and what it leaves empty above it: bottom is never stored.
    pub(crate) fn prune(&mut self, id: Id) {
        let mut id = id;
        loop {
            let above = self.entry(id).parent;
            if !self.prune_one(id) {
                return;
            }
            id = above;
        }
    }

    /// Removes an entry if it holds nothing; whether it did.
    pub(crate) fn prune_one(&mut self, id: Id) -> bool {
        let gone = id != ROOT && self.is_bottom(id);
        if gone {
            self.remove(id);
        }
        gone
    }

    fn remove(&mut self, id: Id) {
        let parent = self.entry(id).parent;
        if self.entry(parent).kind == Kind::List {
            let at = self.index_in_list(id);
            self.children_mut(parent).ids.remove(at);
        } else {
            let at = self.entry(id).at as usize;
            let children = self.children_mut(parent);
            children.ids.swap_remove(at);
            children.ordered &= at == children.ids.len();
            let moved = children.ids.get(at).copied();
            if let Some(moved) = moved {
                self.entry_mut(moved).at = u32::try_from(at).unwrap_or(u32::MAX);
            }
        }
        self.forget_entry(id);
    }

    /// Gives up an entry that stands below no other any more.
    fn forget_entry(&mut self, id: Id) {
        let hash = self.entry(id).hash;
        if let Ok(found) = self.by_key.find_entry(spread(hash), |other| *other == id) {
            found.remove();
        }
        let entry = self.entry_mut(id);
        entry.name = Value::Null;
        entry.holds = Holds::Events(Vec::new());
        // No entry stands below itself but the root: nothing finds it any more.
        entry.parent = id;
        self.free.push(id);
    }

    fn hash(&self, parent: Id, kind: Kind, name: Name<'_>) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(u64::from(parent) << 8 | u64::from(kind as u8));
        name.hash(&mut hasher);
        let hash = hasher.finish();
        u32::try_from((hash ^ hash >> 32) & u64::from(u32::MAX)).unwrap_or_default()
    }
}

fn holds(entry: &Entry, dot: Dot) -> bool {
    match &entry.holds {
        Holds::Dot(only) => *only == dot,
        Holds::Events(events) => events.iter().any(|event| event.dot == dot),
        Holds::Children(_) => false,
    }
}

/// The table wants 64 bits, of which it uses the upper 7 and the lower ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
