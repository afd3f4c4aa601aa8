//! Names of entries: how they are looked for, hashed and compared.

use crate::Value;
use crate::value::canonical;
use std::hash::Hasher;

/// A name to look for, without a copy of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Value(&'a Value),
}

impl<'a> From<&'a Value> for Name<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Text(text) => Name::Text(text),
            Value::Bytes(bytes) => Name::Bytes(bytes),
            value => Name::Value(value),
        }
    }
}

impl Name<'_> {
    pub(super) fn is(self, value: &Value) -> bool {
        match (self, value) {
            (Name::Text(ours), Value::Text(theirs)) => *ours == **theirs,
            (Name::Bytes(ours), Value::Bytes(theirs)) => *ours == **theirs,
            (Name::Value(ours), theirs) => ours == theirs,
            _ => false,
        }
    }

    pub(super) fn into_value(self) -> Value {
        match self {
            Name::Text(text) => Value::from(text),
            Name::Bytes(bytes) => Value::from(bytes),
            Name::Value(value) => value.clone(),
        }
    }

    pub(super) fn hash(self, hasher: &mut impl Hasher) {
        match self {
            Name::Text(text) => hasher.write(text.as_bytes()),
            Name::Bytes(bytes) => hasher.write(bytes),
            Name::Value(value) => hash_value(value, hasher),
        }
    }
}

fn hash_value(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Null => hasher.write_u8(0),
        Value::Bool(bool) => hasher.write_u8(1 + u8::from(*bool)),
        Value::Int(int) => hasher.write_i64(*int),
        Value::Float(float) => hasher.write_u64(canonical(*float).to_bits()),
        Value::Text(text) => hasher.write(text.as_bytes()),
        Value::Bytes(bytes) => hasher.write(bytes),
        Value::List(items) => items.iter().for_each(|item| hash_value(item, hasher)),
    }
}

/// A number in the order of the values, as far as it goes: the tag, and the first seven bytes.
pub(crate) fn first_bytes(value: &Value) -> u64 {
    const SIGN: u64 = 1 << 63;
    let first = |bytes: &[u8]| {
        let mut first = [0; 8];
        let n = bytes.len().min(8);
        first[..n].copy_from_slice(&bytes[..n]);
        u64::from_be_bytes(first)
    };
    let first = match value {
        Value::Text(text) => first(text.as_bytes()),
        Value::Bytes(bytes) => first(bytes),
        Value::Int(int) => int.cast_unsigned() ^ SIGN,
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) => 0,
    };
    u64::from(value.tag()) << 56 | first >> 8
}
