//! JavaScript values to ours and back. Nothing here panics: what does not fit is an error that names the path.

use js_sys::{Array, BigInt, Error, Float64Array, Object, RangeError, Reflect, TypeError, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use watersmeet_crdt::document::limits::VALUE_DEPTH_MAX;
use watersmeet_crdt::document::{Kind, MapView, View, What};
use watersmeet_crdt::{Change, ReplicaId, Time, Value, VersionVector};

const WHAT_A_VALUE_IS: &str =
    "a value is null, a boolean, a number, a 64-bit bigint, a string, a Uint8Array, or an array of those";

pub(crate) fn error(message: impl ToString) -> JsValue {
    Error::new(&message.to_string()).into()
}

pub(crate) fn range_error(message: impl ToString) -> JsValue {
    RangeError::new(&message.to_string()).into()
}

pub(crate) fn type_error(message: &str) -> JsValue {
    TypeError::new(message).into()
}

/// Milliseconds since the epoch; what is not a time is the epoch.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate")]
pub(crate) fn time(millis: f64) -> Time {
    Time::from_millis(millis as u64)
}

#[expect(clippy::cast_precision_loss, reason = "times, counts and replica ids are below 2^53")]
pub(crate) fn number(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and in range"
)]
pub(crate) fn natural(n: f64) -> Option<u64> {
    let is_natural = n.fract() == 0.0 && (0.0..=number(ReplicaId::MAX)).contains(&n);
    is_natural.then_some(n as u64)
}

pub(crate) fn whole(n: f64, what: &str) -> Result<u64, JsValue> {
    // The number itself is left out: the code that formats floats is larger than this crate.
    natural(n).ok_or_else(|| type_error(&format!("{what} is a whole number from 0 to 2^53 - 1")))
}

/// A version as `[replica, events, replica, events, ...]`.
pub(crate) fn version_to_js(version: &VersionVector) -> Float64Array {
    let flat: Vec<f64> =
        version.iter().flat_map(|(replica, seq)| [number(replica.get()), number(seq)]).collect();
    Float64Array::from(flat.as_slice())
}

pub(crate) fn version_from_js(version: &Float64Array) -> Result<VersionVector, JsValue> {
    version
        .to_vec()
        .chunks(2)
        .map(|pair| match pair {
            [replica, seq] => {
                Ok((ReplicaId::new(whole(*replica, "a replica id")?), whole(*seq, "a version")?))
            }
            _ => Err(type_error("a version has an even number of entries")),
        })
        .collect()
}

pub(crate) fn path_from_js(path: &JsValue) -> Result<Vec<String>, JsValue> {
    if !Array::is_array(path) {
        return Err(type_error("a path is an array of strings"));
    }
    let path = Array::from(path);
    path.iter()
        .enumerate()
        .map(|(index, key)| {
            key.as_string().ok_or_else(|| {
                type_error(&format!("a path is an array of strings; its entry {index} is {}", kind_of(&key)))
            })
        })
        .collect()
}

pub(crate) fn value_from_js(value: &JsValue, path: &[String], depth: usize) -> Result<Value, JsValue> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    if let Some(value) = value.as_bool() {
        return Ok(Value::Bool(value));
    }
    if let Some(value) = value.as_f64() {
        return Ok(number_from_js(value));
    }
    if let Some(value) = value.as_string() {
        return Ok(Value::from(value));
    }
    if let Some(bytes) = value.dyn_ref::<Uint8Array>() {
        return Ok(Value::from(bytes.to_vec()));
    }
    if let Some(whole) = value.dyn_ref::<BigInt>().and_then(|big| i64::try_from(big.clone()).ok()) {
        return Ok(Value::Int(whole));
    }
    if !Array::is_array(value) {
        return Err(type_error(&format!(
            "{}: {WHAT_A_VALUE_IS}; this is {}",
            path.join("/"),
            kind_of(value)
        )));
    }
    if depth >= VALUE_DEPTH_MAX {
        let message = format!("{}: arrays are nested more than {VALUE_DEPTH_MAX} deep", path.join("/"));
        return Err(type_error(&message));
    }
    let items = Array::from(value);
    items.iter().map(|item| value_from_js(&item, path, depth + 1)).collect::<Result<_, _>>().map(Value::List)
}

/// Whole numbers that JavaScript holds exactly are integers, all others floats.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
fn number_from_js(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() <= number(ReplicaId::MAX) { Value::Int(n as i64) } else { Value::Float(n) }
}

/// What a value is, in a word: its type, or its class.
pub(crate) fn kind_of(value: &JsValue) -> String {
    if !value.is_object() {
        return value.js_typeof().as_string().unwrap_or_default();
    }
    let constructor = Reflect::get(value, &"constructor".into()).unwrap_or_default();
    let name = Reflect::get(&constructor, &"name".into()).unwrap_or_default();
    format!("of type {}", name.as_string().as_deref().unwrap_or("object"))
}

/// A whole number beyond 2^53 becomes a bigint rather than another number.
#[expect(clippy::cast_precision_loss, reason = "checked to be in range")]
pub(crate) fn int_to_js(int: i64) -> JsValue {
    if int.unsigned_abs() <= ReplicaId::MAX { JsValue::from(int as f64) } else { BigInt::from(int).into() }
}

pub(crate) fn value_to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => int_to_js(*value),
        Value::Float(value) => (*value).into(),
        Value::Text(value) => (&**value).into(),
        Value::Bytes(value) => Uint8Array::from(&**value).into(),
        Value::List(items) => items.iter().map(value_to_js).collect::<Array>().into(),
    }
}

pub(crate) fn values_to_js(values: &[&Value]) -> JsValue {
    values.iter().map(|value| value_to_js(value)).collect::<Array>().into()
}

/// Maps as objects, registers as their winners, counters as numbers, sets and lists as arrays, flags as booleans.
/// Under a name of several kinds the first of map, list, register, set, counter, flag is shown.
pub(crate) fn map_to_js(map: MapView<'_>) -> JsValue {
    const PRECEDENCE: [Kind; 8] = [
        Kind::Map,
        Kind::List,
        Kind::Register,
        Kind::Set,
        Kind::RwSet,
        Kind::Counter,
        Kind::Flag,
        Kind::Guard,
    ];
    let rank = |kind| PRECEDENCE.iter().position(|other| *other == kind);
    let mut keys: Vec<_> = map.iter().collect();
    keys.sort_unstable_by_key(|(name, kind, _)| (*name, rank(*kind)));
    keys.dedup_by_key(|(name, ..)| *name);
    let entries: Array =
        keys.iter().map(|(name, _, view)| Array::of2(&(*name).into(), &view_to_js(*view))).collect();
    // Unlike setting them one by one, this makes a key named __proto__ a key like any other.
    Object::from_entries(&entries).map_or(JsValue::UNDEFINED, Into::into)
}

fn view_to_js(view: View<'_>) -> JsValue {
    match view {
        View::Register(register) => register.get().map_or(JsValue::UNDEFINED, value_to_js),
        View::Counter(value) => int_to_js(value),
        View::Set(set) => set.iter().map(value_to_js).collect::<Array>().into(),
        View::List(list) => list.iter().map(value_to_js).collect::<Array>().into(),
        View::Map(map) => map_to_js(map),
        View::Flag(up) => up.into(),
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Register => "register",
        Kind::Counter => "counter",
        Kind::Set => "set",
        Kind::Map => "map",
        Kind::RwSet => "rwset",
        Kind::Flag => "flag",
        Kind::Guard => "guard",
        Kind::List => "list",
    }
}

pub(crate) fn changes_to_js(changes: &[Change]) -> JsValue {
    changes.iter().map(change_to_js).collect::<Array>().into()
}

fn change_to_js(change: &Change) -> JsValue {
    let path: Array = change.path.iter().map(JsValue::from).collect();
    let what = |what: &str| {
        [("path", path.clone().into()), ("kind", kind_name(change.kind).into()), ("what", what.into())]
    };
    let with = |name: &str, fields: &[(&str, JsValue)]| fields_to_js(what(name).iter().chain(fields));
    match &change.what {
        What::Written { value, conflicts } => with(
            "written",
            &[
                ("value", value.as_ref().map_or(JsValue::UNDEFINED, value_to_js)),
                ("conflicts", number(*conflicts as u64).into()),
            ],
        ),
        What::Counted { value, by } => {
            with("counted", &[("value", int_to_js(*value)), ("by", int_to_js(*by))])
        }
        What::Added(item) => with("added", &[("item", value_to_js(item))]),
        What::Removed(item) => with("removed", &[("item", value_to_js(item))]),
        What::Raised(up) => with("raised", &[("up", (*up).into())]),
        What::Inserted { index, value } => {
            with("inserted", &[("index", number(*index as u64).into()), ("value", value_to_js(value))])
        }
        What::Replaced { index, value } => {
            with("replaced", &[("index", number(*index as u64).into()), ("value", value_to_js(value))])
        }
        What::Taken { index } => with("taken", &[("index", number(*index as u64).into())]),
    }
}

fn fields_to_js<'a>(fields: impl Iterator<Item = &'a (&'a str, JsValue)>) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // It fails on frozen objects only.
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    object.into()
}

/// An object of these fields.
pub(crate) fn object<const N: usize>(fields: [(&str, JsValue); N]) -> JsValue {
    fields_to_js(fields.iter())
}
