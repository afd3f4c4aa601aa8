//! What changed in a document, as JSON, for programs that do not have the engine. Told one after the other to whoever
//! has what was there before, changes make of it what is there now.
//!
//! ```json
//! [{ "path": ["name"], "kind": "register", "op": "set", "value": "Old mill", "conflicts": ["The mill"] },
//!  { "path": ["name"], "kind": "register", "op": "unset" },
//!  { "path": ["votes"], "kind": "counter", "op": "count", "value": 3, "by": 1 },
//!  { "path": ["tags"], "kind": "set", "op": "add", "value": "water" },
//!  { "path": ["tags"], "kind": "set", "op": "remove", "value": "water" },
//!  { "path": ["open"], "kind": "flag", "op": "raise" },
//!  { "path": ["editable"], "kind": "guard", "op": "lower" },
//!  { "path": ["steps"], "kind": "list", "op": "insert", "index": 1, "value": "b" },
//!  { "path": ["steps"], "kind": "list", "op": "replace", "index": 1, "value": "c" },
//!  { "path": ["steps"], "kind": "list", "op": "delete", "index": 1 }]
//! ```

use super::json::{Plain, kind_name};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use watersmeet_crdt::document::{Change, What};
use watersmeet_crdt::{Document, Value};

/// Changes that a document has just seen, as a text.
pub(crate) fn changes_as_json(changes: &[Change], document: &Document) -> String {
    let told: Vec<_> = changes.iter().map(|change| OneChange { change, document }).collect();
    // Texts, numbers and lists of them can be written as JSON.
    serde_json::to_string(&told).unwrap_or_default()
}

struct OneChange<'a> {
    change: &'a Change,
    document: &'a Document,
}

impl Serialize for OneChange<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Change { path, kind, what } = self.change;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("path", path)?;
        map.serialize_entry("kind", kind_name(*kind))?;
        map.serialize_entry("op", op(what))?;
        match what {
            What::Written { value: Some(value), .. } => {
                map.serialize_entry("value", &Plain(value))?;
                self.conflicts(&mut map)?;
            }
            What::Counted { value, by } => {
                map.serialize_entry("value", value)?;
                map.serialize_entry("by", by)?;
            }
            What::Added(value) | What::Removed(value) => map.serialize_entry("value", &Plain(value))?,
            What::Inserted { index, value } | What::Replaced { index, value } => {
                map.serialize_entry("index", index)?;
                map.serialize_entry("value", &Plain(value))?;
            }
            What::Taken { index } => map.serialize_entry("index", index)?,
            What::Written { value: None, .. } | What::Raised(_) => {}
        }
        map.end()
    }
}

impl OneChange<'_> {
    /// Of a register: the values that did not win. A change of one tells what it reads in the end, as the document does.
    fn conflicts<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let path: Vec<&str> = self.change.path.iter().map(String::as_str).collect();
        let conflicts: Vec<&Value> = self.document.conflicts(&path);
        if conflicts.is_empty() {
            return Ok(());
        }
        map.serialize_entry("conflicts", &conflicts.into_iter().map(Plain).collect::<Vec<_>>())
    }
}

fn op(what: &What) -> &'static str {
    match what {
        What::Written { value: Some(_), .. } => "set",
        What::Written { value: None, .. } => "unset",
        What::Counted { .. } => "count",
        What::Added(_) => "add",
        What::Removed(_) => "remove",
        What::Raised(true) => "raise",
        What::Raised(false) => "lower",
        What::Inserted { .. } => "insert",
        What::Replaced { .. } => "replace",
        What::Taken { .. } => "delete",
    }
}
