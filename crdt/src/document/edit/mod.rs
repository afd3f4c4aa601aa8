//! Local edits: operations by path, checked together, applied together, travelling as one delta.

mod hand;

pub(crate) use hand::Hand;

use super::limits::{
    EDIT_BYTES_MAX, EVENTS_MAX, KEY_BYTES_MAX, PATH_KEYS_MAX, VALUE_BYTES_MAX, VALUE_DEPTH_MAX,
};
use super::{Document, Few};
use crate::Value;
use smallvec::SmallVec;
use std::collections::BTreeMap;

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
    #[error("the edit has {bytes} bytes of keys and values, more than {EDIT_BYTES_MAX}; make it in several")]
    EditTooLarge {
        /// The bytes of its keys and values, as far as they were counted.
        bytes: usize,
    },
    /// A list that is nested too deeply.
    #[error("the value at {path} has lists nested more than {VALUE_DEPTH_MAX} deep")]
    ValueTooDeep {
        /// The path.
        path: String,
    },
    /// An index beyond the end of a list.
    #[error("the list at {path} has {len} elements; {index} is beyond them")]
    BeyondTheEnd {
        /// The path.
        path: String,
        /// The index, or where the elements to be removed would end.
        index: usize,
        /// How many elements there are by then.
        len: usize,
    },
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
    /// Add an item to a remove-wins set.
    Include(Vec<String>, Value),
    /// Remove an item from a remove-wins set, and the additions that are yet to be heard of.
    Exclude(Vec<String>, Value),
    /// Raise or lower a flag; raising wins over a concurrent lowering.
    Flag(Vec<String>, bool),
    /// Raise or lower a guard; lowering wins over a concurrent raising.
    Guard(Vec<String>, bool),
    /// In a list, from an index on, remove so many elements, and insert others there.
    Splice(Vec<String>, usize, usize, Vec<Value>),
    /// Write the element of a list at an index.
    Replace(Vec<String>, usize, Value),
    /// Remove all that is known of a key, of whatever kinds.
    Delete(Vec<String>),
}

/// Collects the operations of one edit.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    steps: SmallVec<[Step; 2]>,
    /// The names of all paths, one after the other, and where each ends: a path costs no allocation of its own.
    names: String,
    ends: Few<u32>,
    bytes: usize,
    refused: Option<EditError>,
}

/// An operation, and which of the names are its path.
#[derive(Clone, Debug)]
struct Step {
    first: u32,
    keys: u32,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Set(Value),
    Increment(i64),
    Insert(Value),
    Remove(Value),
    Include(Value),
    Exclude(Value),
    Flag(bool),
    Guard(bool),
    Splice(Box<Splice>),
    Replace(Box<(usize, Value)>),
    Delete,
}

/// From an index on, so many elements go and these come.
#[derive(Clone, Debug)]
struct Splice {
    index: usize,
    remove: usize,
    insert: Vec<Value>,
}

impl Transaction {
    /// Writes the register at `path`.
    pub fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        self.push(path, Action::Set(value.into()));
    }

    /// Adds `by` to the counter at `path`.
    pub fn increment(&mut self, path: &[&str], by: i64) {
        self.push(path, Action::Increment(by));
    }

    /// Adds `item` to the set at `path`; an addition wins over a concurrent removal.
    pub fn insert(&mut self, path: &[&str], item: impl Into<Value>) {
        self.push(path, Action::Insert(item.into()));
    }

    /// Removes `item` from the set at `path`.
    pub fn remove(&mut self, path: &[&str], item: impl Into<Value>) {
        self.push(path, Action::Remove(item.into()));
    }

    /// Adds `item` to the remove-wins set at `path`.
    pub fn include(&mut self, path: &[&str], item: impl Into<Value>) {
        self.push(path, Action::Include(item.into()));
    }

    /// Removes `item` from the remove-wins set at `path`; a removal wins over a concurrent addition.
    pub fn exclude(&mut self, path: &[&str], item: impl Into<Value>) {
        self.push(path, Action::Exclude(item.into()));
    }

    /// Raises or lowers the flag at `path`, which is down until somebody raises it; raising wins.
    pub fn flag(&mut self, path: &[&str], up: bool) {
        self.push(path, Action::Flag(up));
    }

    /// Raises or lowers the guard at `path`, which is up until somebody lowers it; lowering wins.
    pub fn guard(&mut self, path: &[&str], up: bool) {
        self.push(path, Action::Guard(up));
    }

    /// In the list at `path`, from `index` on, removes `remove` elements and inserts others there. Indexes count on
    /// what this transaction has done before.
    pub fn splice<V: Into<Value>>(
        &mut self,
        path: &[&str],
        index: usize,
        remove: usize,
        insert: impl IntoIterator<Item = V>,
    ) {
        let insert = insert.into_iter().map(Into::into).collect();
        self.push(path, Action::Splice(Box::new(Splice { index, remove, insert })));
    }

    /// Writes the element at `index` of the list at `path`. Whoever moves it in the meantime does not lose it.
    pub fn replace(&mut self, path: &[&str], index: usize, value: impl Into<Value>) {
        self.push(path, Action::Replace(Box::new((index, value.into()))));
    }

    /// Removes all that is known under `path`, of whatever kinds.
    pub fn delete(&mut self, path: &[&str]) {
        self.push(path, Action::Delete);
    }

    /// Adds an operation.
    pub fn op(&mut self, op: Op) {
        let (path, action) = match op {
            Op::Set(path, value) => (path, Action::Set(value)),
            Op::Increment(path, by) => (path, Action::Increment(by)),
            Op::Insert(path, item) => (path, Action::Insert(item)),
            Op::Remove(path, item) => (path, Action::Remove(item)),
            Op::Include(path, item) => (path, Action::Include(item)),
            Op::Exclude(path, item) => (path, Action::Exclude(item)),
            Op::Flag(path, up) => (path, Action::Flag(up)),
            Op::Guard(path, up) => (path, Action::Guard(up)),
            Op::Splice(path, index, remove, insert) => {
                (path, Action::Splice(Box::new(Splice { index, remove, insert })))
            }
            Op::Replace(path, index, value) => (path, Action::Replace(Box::new((index, value)))),
            Op::Delete(path) => (path, Action::Delete),
        };
        self.push(&path, action);
    }

    fn push(&mut self, path: &[impl AsRef<str>], action: Action) {
        if self.refused.is_some() {
            return;
        }
        match check(path, &action) {
            Ok(bytes) => self.bytes = self.bytes.saturating_add(bytes),
            Err(refused) => return self.refused = Some(refused),
        }
        // Within 32 bits, as the limit on an edit's bytes sees to.
        let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        if self.names.len() + self.bytes > EDIT_BYTES_MAX {
            return self.refused = Some(EditError::EditTooLarge { bytes: self.names.len() + self.bytes });
        }
        let first = short(self.ends.len());
        for name in path {
            self.names.push_str(name.as_ref());
            self.ends.push(short(self.names.len()));
        }
        self.steps.push(Step { first, keys: short(path.len()), action });
    }

    /// The names of a step's path.
    fn path(&self, step: &Step) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator + Clone {
        let first = step.first as usize;
        (first..first + step.keys as usize).map(|at| {
            let start = if at == 0 { 0 } else { self.ends[at - 1] };
            &self.names[start as usize..self.ends[at] as usize]
        })
    }

    /// This edit, if the document can take it.
    pub(crate) fn checked(self, document: &Document) -> Result<Self, EditError> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        if self.bytes > EDIT_BYTES_MAX {
            return Err(EditError::EditTooLarge { bytes: self.bytes });
        }
        let inserted =
            |step: &Step| if let Action::Splice(splice) = &step.action { splice.insert.len() } else { 0 };
        let events: usize = self.steps.iter().map(|step| 1 + inserted(step)).sum();
        if document.version.seq(document.replica).saturating_add(events as u64) > EVENTS_MAX {
            return Err(EditError::ReplicaSpent);
        }
        self.check_indexes(document)?;
        Ok(self)
    }

    /// Follows how long each list is as the steps go by.
    fn check_indexes(&self, document: &Document) -> Result<(), EditError> {
        if !self.steps.iter().any(|step| matches!(step.action, Action::Splice(..) | Action::Replace(..))) {
            return Ok(());
        }
        let mut lens: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
        let mut deleted: Vec<Vec<&str>> = Vec::new();
        for step in &self.steps {
            let path: Vec<&str> = self.path(step).collect();
            let (index, remove, insert) = match &step.action {
                Action::Splice(splice) => (splice.index, splice.remove, splice.insert.len()),
                Action::Replace(replace) => (replace.0, 1, 1),
                Action::Delete => {
                    lens.retain(|list, _| !list.starts_with(&path));
                    deleted.push(path);
                    continue;
                }
                _ => continue,
            };
            let len = lens.entry(path.clone()).or_insert_with(|| {
                match deleted.iter().any(|gone| path.starts_with(gone)) {
                    true => 0,
                    false => document.list_len(&path),
                }
            });
            let end = index.saturating_add(remove);
            if end > *len {
                return Err(EditError::BeyondTheEnd { path: path.join("/"), index: end, len: *len });
            }
            *len = *len - remove + insert;
        }
        Ok(())
    }

    /// Applies the steps in order.
    pub(crate) fn run(mut self, hand: &mut Hand<'_>) {
        for mut step in std::mem::take(&mut self.steps) {
            let action = std::mem::replace(&mut step.action, Action::Delete);
            let mut above = self.path(&step);
            if let Some(name) = above.next_back() {
                hand.act(above, name, action);
            }
        }
    }
}

impl From<Vec<Op>> for Transaction {
    fn from(ops: Vec<Op>) -> Self {
        let mut transaction = Transaction::default();
        ops.into_iter().for_each(|op| transaction.op(op));
        transaction
    }
}

/// Refuses what a decoder elsewhere would refuse; answers with the bytes of the values.
fn check(path: &[impl AsRef<str>], action: &Action) -> Result<usize, EditError> {
    let shown = || {
        path.iter()
            .take(PATH_KEYS_MAX)
            .map(|key| key.as_ref().chars().take(40).collect())
            .collect::<Vec<String>>()
            .join("/")
    };
    if path.is_empty() {
        return Err(EditError::EmptyPath);
    }
    if path.len() > PATH_KEYS_MAX {
        return Err(EditError::PathTooDeep { path: shown() });
    }
    if let Some(key) = path.iter().find(|key| key.as_ref().len() > KEY_BYTES_MAX) {
        return Err(EditError::KeyTooLong { path: shown(), bytes: key.as_ref().len() });
    }
    let values = match action {
        Action::Set(value) | Action::Insert(value) | Action::Remove(value) => std::slice::from_ref(value),
        Action::Include(value) | Action::Exclude(value) => std::slice::from_ref(value),
        Action::Replace(replace) => std::slice::from_ref(&replace.1),
        Action::Splice(splice) => splice.insert.as_slice(),
        Action::Increment(_) | Action::Flag(_) | Action::Guard(_) | Action::Delete => &[],
    };
    for value in values {
        let bytes = longest(value);
        if bytes > VALUE_BYTES_MAX {
            return Err(EditError::ValueTooLarge { path: shown(), bytes });
        }
        if value.depth() > VALUE_DEPTH_MAX {
            return Err(EditError::ValueTooDeep { path: shown() });
        }
    }
    Ok(values.iter().map(Value::bytes).sum())
}

fn longest(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.iter().map(longest).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
    }
}
