//! Local edits: operations by path, checked together, applied together, travelling as one delta.

use super::limits::{
    EDIT_BYTES_MAX, EVENTS_MAX, KEY_BYTES_MAX, PATH_KEYS_MAX, VALUE_BYTES_MAX, VALUE_DEPTH_MAX,
};
use super::tree::{Key, Kind, Map, Slot};
use crate::causal::{Counter, OrMap, OrSet, Register};
use crate::store::{Causal, DotMap, DotStore};
use crate::{CausalContext, Dot, Stamp, Value};

/// Why an edit was refused. Nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// A replica that has made as many events as one may.
    #[error(
        "this replica has made all the {EVENTS_MAX} events that one may; open the document under a new id"
    )]
    ReplicaSpent,
    /// A path without a key.
    #[error("the path is empty; name at least one key")]
    EmptyPath,
    /// A path of too many keys.
    #[error("the path {path} has more than {PATH_KEYS_MAX} keys")]
    PathTooDeep {
        /// The path, keys separated by slashes.
        path: String,
    },
    /// A key of too many bytes.
    #[error("a key of {bytes} bytes under {path} is longer than {KEY_BYTES_MAX}")]
    KeyTooLong {
        /// The path, without the key.
        path: String,
        /// The key's length.
        bytes: usize,
    },
    /// A value of too many bytes.
    #[error("the value at {path} has {bytes} bytes, more than {VALUE_BYTES_MAX}")]
    ValueTooLarge {
        /// The path.
        path: String,
        /// The length of its text or bytes.
        bytes: usize,
    },
    /// Operations of too many bytes together.
    #[error("the edit has {bytes} bytes of values, more than {EDIT_BYTES_MAX}; make it in several")]
    EditTooLarge {
        /// The bytes of its values.
        bytes: usize,
    },
    /// A list that is nested too deeply.
    #[error("the value at {path} has lists nested more than {VALUE_DEPTH_MAX} deep")]
    ValueTooDeep {
        /// The path.
        path: String,
    },
}

/// The delta of writing again, as `dot` at `stamp`, what the event `written` wrote to the register at `path`.
pub(crate) fn restamp(
    root: &Map,
    path: &[String],
    dot: Dot,
    stamp: Stamp,
    written: Dot,
) -> Option<Causal<Map>> {
    at(root, path, Kind::Register, |slot| {
        Some(of(slot, Slot::Register, |register: &Register<Value>| register.restamp(dot, stamp, written)))
    })
}

/// One operation of an edit.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Write a register.
    Set(Vec<String>, Value),
    /// Add to a counter.
    Increment(Vec<String>, i64),
    /// Add an item to a set.
    Insert(Vec<String>, Value),
    /// Remove an item from a set.
    Remove(Vec<String>, Value),
    /// Remove all that is known of a key, of whatever kinds.
    Delete(Vec<String>),
}

/// Collects the operations of one edit. It does not see its own operations: reads come from the document as it was.
#[derive(Debug, Default)]
pub struct Transaction {
    ops: Vec<Op>,
}

impl Transaction {
    /// Writes the register at `path`.
    pub fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        self.ops.push(Op::Set(owned(path), value.into()));
    }

    /// Adds `by` to the counter at `path`.
    pub fn increment(&mut self, path: &[&str], by: i64) {
        self.ops.push(Op::Increment(owned(path), by));
    }

    /// Adds `item` to the set at `path`.
    pub fn insert(&mut self, path: &[&str], item: impl Into<Value>) {
        self.ops.push(Op::Insert(owned(path), item.into()));
    }

    /// Removes `item` from the set at `path`.
    pub fn remove(&mut self, path: &[&str], item: impl Into<Value>) {
        self.ops.push(Op::Remove(owned(path), item.into()));
    }

    /// Removes all that is known under `path`, of whatever kinds.
    pub fn delete(&mut self, path: &[&str]) {
        self.ops.push(Op::Delete(owned(path)));
    }

    /// The operations so far.
    pub fn into_ops(self) -> Vec<Op> {
        self.ops
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|name| (*name).to_owned()).collect()
}

impl Op {
    fn path(&self) -> &[String] {
        match self {
            Op::Set(path, _) | Op::Increment(path, _) | Op::Insert(path, _) | Op::Remove(path, _) => path,
            Op::Delete(path) => path,
        }
    }

    /// The bytes of its value.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Op::Set(_, value) | Op::Insert(_, value) | Op::Remove(_, value) => value.bytes(),
            Op::Increment(..) | Op::Delete(_) => 0,
        }
    }

    /// Refuses what a decoder elsewhere would refuse.
    pub(crate) fn check(&self) -> Result<(), EditError> {
        let path = self.path();
        let shown = || {
            path.iter()
                .take(PATH_KEYS_MAX)
                .map(|key| key.chars().take(40).collect())
                .collect::<Vec<String>>()
                .join("/")
        };
        if path.is_empty() {
            return Err(EditError::EmptyPath);
        }
        if path.len() > PATH_KEYS_MAX {
            return Err(EditError::PathTooDeep { path: shown() });
        }
        if let Some(key) = path.iter().find(|key| key.len() > KEY_BYTES_MAX) {
            return Err(EditError::KeyTooLong { path: shown(), bytes: key.len() });
        }
        if let Op::Set(_, value) | Op::Insert(_, value) | Op::Remove(_, value) = self {
            let bytes = longest(value);
            if bytes > VALUE_BYTES_MAX {
                return Err(EditError::ValueTooLarge { path: shown(), bytes });
            }
            if value.depth() > VALUE_DEPTH_MAX {
                return Err(EditError::ValueTooDeep { path: shown() });
            }
        }
        Ok(())
    }

    /// The delta of this operation on `root`; none if there is nothing to do.
    pub(crate) fn delta(self, root: &Map, dot: Dot, stamp: Stamp) -> Option<Causal<Map>> {
        match self {
            Op::Set(path, value) => at(root, &path, Kind::Register, |slot| {
                Some(of(slot, Slot::Register, |register: &Register<Value>| register.set(dot, stamp, value)))
            }),
            Op::Increment(_, 0) => None,
            Op::Increment(path, by) => at(root, &path, Kind::Counter, |slot| {
                Some(of(slot, Slot::Counter, |counter: &Counter| counter.add(dot, by)))
            }),
            Op::Insert(path, item) => at(root, &path, Kind::Set, |slot| {
                Some(of(slot, Slot::Set, |set: &OrSet<Value>| set.insert(dot, item)))
            }),
            Op::Remove(path, item) => at(root, &path, Kind::Set, |slot| match slot {
                Slot::Set(set) if set.contains(&item) => {
                    Some(of(slot, Slot::Set, |set: &OrSet<Value>| set.remove(dot, item)))
                }
                _ => None,
            }),
            Op::Delete(path) => delete(root, &path, dot),
        }
    }
}

fn longest(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(longest).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
    }
}

/// The types that stand in a slot.
trait InSlot: DotStore {
    fn in_slot(slot: &Slot) -> Option<&Self>;
}

macro_rules! in_slot {
    ($($variant:ident: $type:ty),*) => {$(
        impl InSlot for $type {
            fn in_slot(slot: &Slot) -> Option<&Self> {
                if let Slot::$variant(value) = slot { Some(value) } else { None }
            }
        }
    )*};
}

in_slot!(Register: Register<Value>, Counter: Counter, Set: OrSet<Value>);

/// A mutation of what stands in `slot`, or of its type's bottom, as a delta of the slot.
fn of<T: InSlot>(slot: &Slot, wrap: fn(T) -> Slot, mutate: impl FnOnce(&T) -> Causal<T>) -> Causal<Slot> {
    let Causal { store, seen } = match T::in_slot(slot) {
        Some(value) => mutate(value),
        None => mutate(&T::default()),
    };
    Causal { store: wrap(store), seen }
}

/// The delta of a mutation of the leaf at `path`, whose last key is of `kind`.
fn at(
    map: &Map,
    path: &[String],
    kind: Kind,
    mutate: impl FnOnce(&Slot) -> Option<Causal<Slot>>,
) -> Option<Causal<Map>> {
    let (name, below) = path.split_first()?;
    let key = Key { name: name.clone(), kind: if below.is_empty() { kind } else { Kind::Map } };
    let slot = map.get(&key).unwrap_or(&Slot::Empty);
    let Causal { store, seen } =
        if below.is_empty() { mutate(slot)? } else { below_map(slot, below, kind, mutate)? };
    Some(Causal { store: OrMap(DotMap::naming(key, store)), seen })
}

fn below_map(
    slot: &Slot,
    path: &[String],
    kind: Kind,
    mutate: impl FnOnce(&Slot) -> Option<Causal<Slot>>,
) -> Option<Causal<Slot>> {
    let mutate = Box::new(mutate) as Box<dyn FnOnce(&Slot) -> Option<Causal<Slot>> + '_>;
    let Causal { store, seen } = match slot {
        Slot::Map(map) => at(map, path, kind, mutate)?,
        _ => at(&Map::default(), path, kind, mutate)?,
    };
    Some(Causal { store: Slot::Map(store), seen })
}

/// The delta of removing the key at the end of `path`, of whatever kinds; none if nothing is there.
fn delete(map: &Map, path: &[String], dot: Dot) -> Option<Causal<Map>> {
    let (name, below) = path.split_first()?;
    if !below.is_empty() {
        let key = Key { name: name.clone(), kind: Kind::Map };
        let Some(Slot::Map(inner)) = map.get(&key) else { return None };
        let Causal { store, seen } = delete(inner, below, dot)?;
        return Some(Causal { store: OrMap(DotMap::naming(key, Slot::Map(store))), seen });
    }
    let keys = Kind::ALL.map(|kind| Key { name: name.clone(), kind });
    let mut dots = vec![dot];
    let mut delta = DotMap::default();
    for key in keys {
        if let Some(slot) = map.get(&key) {
            slot.for_each_dot(&mut |dot| dots.push(dot));
            delta.entries.insert(key, Slot::Empty);
        }
    }
    (!delta.is_empty()).then(|| Causal { store: OrMap(delta), seen: CausalContext::from_iter(dots) })
}
