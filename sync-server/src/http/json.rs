//! A document as JSON, for programs that do not have the engine. Equal documents are equal texts.
//!
//! The kind is part of a key, so what stands under a name is told by kind:
//!
//! ```json
//! { "name": { "register": "Old mill", "conflicts": ["The mill"] },
//!   "votes": { "counter": 2 }, "tags": { "set": ["old", "water"] }, "banned": { "rw-set": [] },
//!   "open": { "flag": true }, "editable": { "guard": false },
//!   "steps": { "list": ["a", "b"], "list-conflicts": { "1": ["c"] } }, "place": { "map": {} } }
//! ```
//!
//! Values are what they are in JSON. Two that JSON has not are objects, which a value never is otherwise:
//! `{"bytes": "base64"}` and `{"float": "NaN"}` (or `"Infinity"`, `"-Infinity"`). A whole number has no point, a float
//! always has one or an exponent.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use watersmeet_crdt::document::{Kind, ListView, MapView, RegisterView, SetView, View};
use watersmeet_crdt::{Document, Value};

/// A document's name, version and content.
#[derive(Serialize)]
pub(super) struct Whole<'a> {
    document: &'a str,
    version: String,
    root: Tree<'a>,
}

impl<'a> Whole<'a> {
    pub(super) fn of(name: &'a str, document: &'a Document) -> Self {
        let version = super::version::to_text(document.version());
        Whole { document: name, version, root: Tree(document.root()) }
    }
}

pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Register => "register",
        Kind::Counter => "counter",
        Kind::Set => "set",
        Kind::Map => "map",
        Kind::RwSet => "rw-set",
        Kind::Flag => "flag",
        Kind::Guard => "guard",
        Kind::List => "list",
    }
}

/// A map: what stands under each name.
struct Tree<'a>(MapView<'a>);

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        let mut entries = self.0.iter().peekable();
        let mut kinds = Vec::new();
        while let Some((name, kind, view)) = entries.next() {
            kinds.push((kind, view));
            if entries.peek().is_none_or(|(next, ..)| *next != name) {
                map.serialize_entry(name, &Slots(&kinds))?;
                kinds.clear();
            }
        }
        map.end()
    }
}

/// What stands under one name, by kind.
struct Slots<'a, 'v>(&'a [(Kind, View<'v>)]);

impl Serialize for Slots<'_, '_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for (kind, view) in self.0 {
            let key = kind_name(*kind);
            match view {
                View::Register(register) => register_entries(*register, key, &mut map)?,
                View::Counter(value) => map.serialize_entry(key, value)?,
                View::Set(set) => map.serialize_entry(key, &Items(*set))?,
                View::Map(below) => map.serialize_entry(key, &Tree(*below))?,
                View::Flag(up) => map.serialize_entry(key, up)?,
                View::List(list) => list_entries(*list, key, &mut map)?,
            }
        }
        map.end()
    }
}

fn register_entries<M: SerializeMap>(
    register: RegisterView<'_>,
    key: &'static str,
    map: &mut M,
) -> Result<(), M::Error> {
    map.serialize_entry(key, &register.get().map(Plain))?;
    let conflicts: Vec<_> = register.conflicts().map(Plain).collect();
    if conflicts.is_empty() { Ok(()) } else { map.serialize_entry("conflicts", &conflicts) }
}

fn list_entries<M: SerializeMap>(list: ListView<'_>, key: &'static str, map: &mut M) -> Result<(), M::Error> {
    map.serialize_entry(key, &Elements(list))?;
    let conflicts = ListConflicts(list);
    if conflicts.iter().next().is_none() { Ok(()) } else { map.serialize_entry("list-conflicts", &conflicts) }
}

struct Items<'a>(SetView<'a>);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(Plain))
    }
}

struct Elements<'a>(ListView<'a>);

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(Plain))
    }
}

/// The concurrent values of elements, by index, where there are some.
struct ListConflicts<'a>(ListView<'a>);

impl<'a> ListConflicts<'a> {
    fn iter(&self) -> impl Iterator<Item = (usize, Vec<Plain<'a>>)> {
        let list = self.0;
        (0..list.len()).filter_map(move |index| {
            let conflicts: Vec<_> = list.get(index)?.conflicts().map(Plain).collect();
            (!conflicts.is_empty()).then_some((index, conflicts))
        })
    }
}

impl Serialize for ListConflicts<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter())
    }
}

/// A value.
pub(super) struct Plain<'a>(pub(super) &'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => to.serialize_unit(),
            Value::Bool(value) => to.serialize_bool(*value),
            Value::Int(value) => to.serialize_i64(*value),
            Value::Float(value) if value.is_finite() => to.serialize_f64(*value),
            Value::Float(value) => escaped(to, "float", special(*value)),
            Value::Text(text) => to.serialize_str(text),
            Value::Bytes(bytes) => escaped(to, "bytes", &BASE64_STANDARD.encode(bytes)),
            Value::List(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(&Plain(item)))?;
                list.end()
            }
        }
    }
}

fn special(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

fn escaped<S: Serializer>(to: S, key: &'static str, text: &str) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry(key, text)?;
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use watersmeet_crdt::{ReplicaId, Time};

    fn edited(replica: u64, edit: impl FnOnce(&mut watersmeet_crdt::document::Transaction)) -> Document {
        let mut document = Document::new(ReplicaId::new(replica));
        document.edit(Time::from_millis(replica), edit).unwrap();
        document
    }

    fn json(document: &Document) -> String {
        serde_json::to_string(&Whole::of("map", document)).unwrap()
    }

    /// Every kind and every value, two kinds under one name, and conflicts: the form that is documented, to the letter.
    #[test]
    fn every_kind_and_value_has_its_place() {
        let mut document = edited(1, |tx| {
            tx.set(&["name"], "Old mill");
            tx.set(&["both"], 1_i64);
            tx.increment(&["both"], 2);
            tx.insert(&["tags"], "water");
            tx.insert(&["tags"], 7_i64);
            tx.flag(&["open"], true);
            tx.guard(&["editable"], false);
            tx.include(&["banned"], "x");
            tx.set(
                &["values"],
                Value::from(vec![
                    Value::Null,
                    true.into(),
                    1_i64.into(),
                    1.0.into(),
                    1e300.into(),
                    f64::NAN.into(),
                    f64::NEG_INFINITY.into(),
                    "\"é\n".into(),
                    Value::from(&[0, 255][..]),
                    Value::from(Vec::<Value>::new()),
                ]),
            );
            tx.splice(&["steps"], 0, 0, ["a", "b"]);
            tx.set(&["deep", "er"], true);
        });
        let mut other = Document::new(ReplicaId::new(2));
        other.apply(document.state()).unwrap();
        let replace = |document: &mut Document, value: &str, name: &str| {
            document.edit(Time::from_millis(9), |tx| tx.replace(&["steps"], 1, value)).unwrap();
            document.edit(Time::from_millis(9), |tx| tx.set(&["name"], name)).unwrap();
        };
        replace(&mut other, "c", "The mill");
        replace(&mut document, "d", "Old mill");
        document.apply(other.state()).unwrap();
        let expected = concat!(
            r#"{"document":"map","version":"1:14,2:2","root":{"banned":{"rw-set":["x"]},"#,
            r#""both":{"register":1,"counter":2},"deep":{"map":{"er":{"register":true}}},"#,
            r#""editable":{"guard":false},"name":{"register":"The mill","conflicts":["Old mill"]},"#,
            r#""open":{"flag":true},"steps":{"list":["a","c"],"list-conflicts":{"1":["d"]}},"tags":{"set":[7,"water"]},"#,
            r#""values":{"register":[null,true,1,1.0,1e+300,{"float":"NaN"},{"float":"-Infinity"},"\"é\n","#,
            r#"{"bytes":"AP8="},[]]}}}"#,
        );
        assert_eq!(json(&document), expected);
    }

    #[test]
    fn equal_documents_are_equal_texts_whatever_their_history() {
        let (a, b) = (edited(1, |tx| tx.set(&["a"], 1_i64)), edited(2, |tx| tx.increment(&["b"], 1)));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.apply(b.state()).unwrap();
        ba.apply(a.state()).unwrap();
        assert_eq!(json(&ab), json(&ba));
    }
}
