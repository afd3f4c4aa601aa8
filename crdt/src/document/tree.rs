//! The tree: what stands under a key, and the walk that merges it and tells what changed.

use crate::causal::{Counter, OrMap, OrSet, Register};
use crate::store::{DotMap, DotSet, DotStore};
use crate::{CausalContext, Dot, Stamp, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The kinds of value that can stand under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A value that is written as a whole; concurrent writes are kept.
    Register,
    /// A number that is added to.
    Counter,
    /// A set of values; adding wins over a concurrent removal.
    Set,
    /// More keys.
    Map,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Register, Kind::Counter, Kind::Set, Kind::Map];
}

/// A key of a map: a name, and the kind of what stands there.
///
/// The kind is part of the key, so that two peers who create a map and a set under one name at once lose neither.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The name.
    pub name: String,
    /// What kind of value stands there.
    pub kind: Kind,
}

/// A map of the tree. Its root is one.
pub type Map = OrMap<Key, Slot>;

/// What stands under a [`Key`].
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Slot {
    /// Nothing: bottom, of every kind. In a delta it says that the slot was emptied; a state never holds it.
    #[default]
    Empty,
    /// Under a key of [`Kind::Register`].
    Register(Register<Value>),
    /// Under a key of [`Kind::Counter`].
    Counter(Counter),
    /// Under a key of [`Kind::Set`].
    Set(OrSet<Value>),
    /// Under a key of [`Kind::Map`].
    Map(Map),
}

/// Where a merge is in the tree, as a chain of keys on the stack.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    above: Option<&'a Path<'a>>,
    key: &'a Key,
}

impl Path<'_> {
    pub(crate) fn kind(&self) -> Kind {
        self.key.kind
    }

    /// The names from the root down.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = self.above.map(Path::names).unwrap_or_default();
        names.push(self.key.name.clone());
        names
    }
}

impl Slot {
    pub(crate) fn bottom(kind: Kind) -> Self {
        match kind {
            Kind::Register => Slot::Register(Register::default()),
            Kind::Counter => Slot::Counter(Counter::default()),
            Kind::Set => Slot::Set(OrSet::default()),
            Kind::Map => Slot::Map(Map::default()),
        }
    }

    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Slot::Empty => None,
            Slot::Register(_) => Some(Kind::Register),
            Slot::Counter(_) => Some(Kind::Counter),
            Slot::Set(_) => Some(Kind::Set),
            Slot::Map(_) => Some(Kind::Map),
        }
    }

    /// This slot, or the bottom of `other`'s kind if it is empty, so that the two can be merged.
    fn in_shape_of(self, other: &Self) -> Self {
        match (self, other.kind()) {
            (Slot::Empty, Some(kind)) => Slot::bottom(kind),
            (slot, _) => slot,
        }
    }
}

/// One side's causal contexts in a merge, ours and theirs.
#[derive(Clone, Copy)]
pub(crate) struct Contexts<'a> {
    pub(crate) ours: &'a CausalContext,
    pub(crate) theirs: &'a CausalContext,
}

/// Merges `delta` into `map`, as [`DotStore::apply`] or, if `whole`, as [`DotStore::join`] does.
///
/// `watch` is told the path of each leaf that changed.
pub(crate) fn merge_map(
    map: &mut Map,
    delta: Map,
    seen: Contexts<'_>,
    whole: bool,
    path: Option<&Path<'_>>,
    watch: &mut dyn FnMut(&Path<'_>),
) -> bool {
    let whole = whole || delta.0.names_all();
    map.0.merge_entries(delta.0, whole, |key, ours, theirs| {
        merge_slot(ours, theirs, seen, whole, Some(&Path { above: path, key }), watch)
    })
}

fn merge_slot(
    ours: &mut Slot,
    theirs: Slot,
    seen: Contexts<'_>,
    whole: bool,
    path: Option<&Path<'_>>,
    watch: &mut dyn FnMut(&Path<'_>),
) -> bool {
    *ours = std::mem::take(ours).in_shape_of(&theirs);
    let theirs = theirs.in_shape_of(ours);
    let changed = match (ours, theirs) {
        (Slot::Map(ours), Slot::Map(theirs)) => return merge_map(ours, theirs, seen, whole, path, watch),
        (Slot::Register(ours), Slot::Register(theirs)) => ours.join(seen.ours, theirs, seen.theirs),
        (Slot::Counter(ours), Slot::Counter(theirs)) => ours.join(seen.ours, theirs, seen.theirs),
        (Slot::Set(ours), Slot::Set(theirs)) if whole => ours.join(seen.ours, theirs, seen.theirs),
        (Slot::Set(ours), Slot::Set(theirs)) => ours.apply(seen.ours, theirs, seen.theirs),
        // Both empty; a key's kind keeps any other pair from meeting.
        _ => false,
    };
    if let (true, Some(path)) = (changed, path) {
        watch(path);
    }
    changed
}

impl DotStore for Slot {
    fn is_bottom(&self) -> bool {
        match self {
            Slot::Empty => true,
            Slot::Register(register) => register.is_bottom(),
            Slot::Counter(counter) => counter.is_bottom(),
            Slot::Set(set) => set.is_bottom(),
            Slot::Map(map) => map.is_bottom(),
        }
    }

    fn for_each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        match self {
            Slot::Empty => {}
            Slot::Register(register) => register.for_each_dot(visit),
            Slot::Counter(counter) => counter.for_each_dot(visit),
            Slot::Set(set) => set.for_each_dot(visit),
            Slot::Map(map) => map.for_each_dot(visit),
        }
    }

    fn join(&mut self, seen: &CausalContext, other: Self, other_seen: &CausalContext) -> bool {
        merge_slot(self, other, Contexts { ours: seen, theirs: other_seen }, true, None, &mut |_| {})
    }

    fn apply(&mut self, seen: &CausalContext, delta: Self, delta_seen: &CausalContext) -> bool {
        merge_slot(self, delta, Contexts { ours: seen, theirs: delta_seen }, false, None, &mut |_| {})
    }
}

/// The latest stamp of a write that is alive in `map`.
pub(crate) fn latest_in(map: &Map) -> Stamp {
    let of_slot = |slot: &Slot| match slot {
        Slot::Register(register) => register.dots().map(|(_, stamp, _)| stamp).max(),
        Slot::Map(map) => Some(latest_in(map)),
        Slot::Empty | Slot::Counter(_) | Slot::Set(_) => None,
    };
    map.iter().filter_map(|(_, slot)| of_slot(slot)).max().unwrap_or_default()
}

/// Visits every register with the names that lead to it.
pub(crate) fn for_each_register(
    map: &Map,
    path: &mut Vec<String>,
    visit: &mut dyn FnMut(&[String], &Register<Value>),
) {
    for (key, slot) in map.iter() {
        path.push(key.name.clone());
        match slot {
            Slot::Register(register) => visit(path, register),
            Slot::Map(map) => for_each_register(map, path, visit),
            Slot::Empty | Slot::Counter(_) | Slot::Set(_) => {}
        }
        path.pop();
    }
}

/// One thing that an event touched: a slot as a whole, or an item of a set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    path: Box<[Key]>,
    item: Option<Value>,
}

impl Place {
    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let names: usize = self.path.iter().map(|key| size_of::<Key>() + key.name.len()).sum();
        size_of::<Place>() + names + self.item.as_ref().map_or(0, Value::bytes)
    }
}

/// Which slots some events touched: the shape of their deltas without the contents. It is a lattice too.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Touched {
    /// Everything below: the slot as it is now says it all, what it does not hold is gone.
    Whole,
    /// These slots of a map.
    Slots(BTreeMap<Key, Touched>),
    /// These items of a set.
    Items(BTreeSet<Value>),
}

impl Touched {
    pub(crate) fn none() -> Self {
        Touched::Slots(BTreeMap::new())
    }

    /// What `delta` names.
    pub(crate) fn of_map(delta: &Map) -> Self {
        if delta.0.names_all() {
            return Touched::Whole;
        }
        Touched::Slots(delta.iter().map(|(key, slot)| (key.clone(), Touched::of_slot(slot))).collect())
    }

    fn of_slot(delta: &Slot) -> Self {
        match delta {
            Slot::Map(map) => Touched::of_map(map),
            Slot::Set(set) if !set.0.names_all() => Touched::Items(set.iter().cloned().collect()),
            Slot::Set(_) | Slot::Empty | Slot::Register(_) | Slot::Counter(_) => Touched::Whole,
        }
    }

    /// What it names, one by one: the form that takes little memory when it is little.
    pub(crate) fn places(&self) -> Box<[Place]> {
        let mut places = Vec::new();
        self.walk(&mut Vec::new(), &mut places);
        places.into()
    }

    fn walk(&self, path: &mut Vec<Key>, places: &mut Vec<Place>) {
        match self {
            Touched::Whole => places.push(Place { path: path.as_slice().into(), item: None }),
            Touched::Items(items) => {
                let place = |item: &Value| Place { path: path.as_slice().into(), item: Some(item.clone()) };
                places.extend(items.iter().map(place));
            }
            Touched::Slots(slots) => {
                for (key, touched) in slots {
                    path.push(key.clone());
                    touched.walk(path, places);
                    path.pop();
                }
            }
        }
    }

    /// Adds one place.
    pub(crate) fn touch(&mut self, place: &Place) {
        let mut at = self;
        for (depth, key) in place.path.iter().enumerate() {
            let Touched::Slots(slots) = at else { return };
            let last = depth + 1 == place.path.len();
            at = slots.entry(key.clone()).or_insert_with(|| match place.item {
                Some(_) if last => Touched::Items(BTreeSet::new()),
                _ => Touched::none(),
            });
        }
        match (at, &place.item) {
            (Touched::Whole, _) => {}
            (Touched::Items(items), Some(item)) => drop(items.insert(item.clone())),
            (at, _) => *at = Touched::Whole,
        }
    }

    /// Adds what `other` names.
    pub(crate) fn add(&mut self, other: &Touched) {
        match (self, other) {
            (Touched::Slots(ours), Touched::Slots(theirs)) => {
                for (key, theirs) in theirs {
                    match ours.get_mut(key) {
                        Some(ours) => ours.add(theirs),
                        None => drop(ours.insert(key.clone(), theirs.clone())),
                    }
                }
            }
            (Touched::Items(ours), Touched::Items(theirs)) => ours.extend(theirs.iter().cloned()),
            (ours, _) => *ours = Touched::Whole,
        }
    }

    /// What `map` holds of these slots, as a delta: each is named, with what it holds now.
    pub(crate) fn of(&self, map: &Map) -> Map {
        let Touched::Slots(slots) = self else { return OrMap(map.0.clone().mark_whole()) };
        let entries = slots.iter().map(|(key, touched)| {
            let now = map.get(key).map_or(Slot::Empty, |slot| touched.of_one(slot));
            (key.clone(), now)
        });
        OrMap(DotMap { entries: entries.collect(), whole: false })
    }

    fn of_one(&self, slot: &Slot) -> Slot {
        match (self, slot) {
            (touched, Slot::Map(map)) => Slot::Map(touched.of(map)),
            (Touched::Items(items), Slot::Set(set)) => {
                let now = |item| set.0.get(item).cloned().unwrap_or_else(DotSet::default);
                let entries = items.iter().map(|item| (item.clone(), now(item))).collect();
                Slot::Set(OrSet(DotMap { entries, whole: false }))
            }
            (_, Slot::Set(set)) => Slot::Set(OrSet(set.0.clone().mark_whole())),
            (_, slot) => slot.clone(),
        }
    }
}
