//! The bytes of values: what their tags do not say. They are read, or passed over where they are only to be checked.

use super::format::{SHORT_BYTES, SHORT_TEXT, SMALL_INT};
use super::limits::{VALUE_BYTES_MAX, VALUE_DEPTH_MAX};
use crate::Value;
use crate::value::canonical;
use crate::wire::{DecodeError, Reader};

/// The tags of texts and bytes of any length.
pub(crate) const TEXT: u8 = 4;
pub(crate) const BYTES: u8 = 5;

pub(crate) fn read_bool(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.byte("value")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.invalid("value")),
    }
}

/// Reads what a value's tag does not say.
pub(crate) fn read_rest(reader: &mut Reader<'_>, tag: u8, depth: usize) -> Result<Value, DecodeError> {
    let short = usize::from(tag & 0x3f);
    match tag & 0xc0 {
        SMALL_INT => Ok(Value::Int(i64::from(tag & 0x3f))),
        SHORT_TEXT => {
            let bytes = reader.take(short, "text")?;
            std::str::from_utf8(bytes).map(Value::from).map_err(|_| reader.invalid("text"))
        }
        SHORT_BYTES => Ok(Value::from(reader.take(short, "bytes")?)),
        _ => read_content(reader, tag, depth),
    }
}

/// Reads a value of a type, by the type's tag.
pub(crate) fn read_content(reader: &mut Reader<'_>, tag: u8, depth: usize) -> Result<Value, DecodeError> {
    Ok(match tag {
        0 => Value::Null,
        1 => Value::Bool(read_bool(reader)?),
        2 => Value::Int(reader.signed("value")?),
        3 => Value::Float(read_float(reader)?),
        TEXT => Value::from(reader.text("text", VALUE_BYTES_MAX)?),
        BYTES => Value::from(reader.bytes("bytes", VALUE_BYTES_MAX)?),
        6 if depth < VALUE_DEPTH_MAX => {
            let count = reader.count("list")?;
            // Grows as it is read: an item in memory is larger than its bytes.
            let mut items = Vec::new();
            for _ in 0..count {
                let tag = reader.byte("tag")?;
                items.push(read_rest(reader, tag, depth + 1)?);
            }
            Value::from(items)
        }
        6 => return Err(DecodeError::Limit { what: "lists in lists", limit: VALUE_DEPTH_MAX }),
        _ => return Err(reader.invalid("value")),
    })
}

/// As [`read_rest`], without making the value.
pub(crate) fn skip_rest(reader: &mut Reader<'_>, tag: u8, depth: usize) -> Result<(), DecodeError> {
    let short = usize::from(tag & 0x3f);
    let text = |reader: &Reader<'_>, bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(reader.invalid("text")),
    };
    match (tag & 0xc0, tag) {
        (SMALL_INT, _) => Ok(()),
        (SHORT_TEXT, _) => {
            let bytes = reader.take(short, "text")?;
            text(reader, bytes)
        }
        (SHORT_BYTES, _) => reader.take(short, "bytes").map(drop),
        (_, TEXT) => reader.text("text", VALUE_BYTES_MAX).map(drop),
        (_, BYTES) => reader.bytes("bytes", VALUE_BYTES_MAX).map(drop),
        (_, 6) if depth < VALUE_DEPTH_MAX => {
            for _ in 0..reader.count("list")? {
                let tag = reader.byte("tag")?;
                skip_rest(reader, tag, depth + 1)?;
            }
            Ok(())
        }
        (_, tag) => read_content(reader, tag, depth).map(drop),
    }
}

fn read_float(reader: &mut Reader<'_>) -> Result<f64, DecodeError> {
    let mut bits = [0; 8];
    bits.copy_from_slice(reader.take(8, "float")?);
    let float = f64::from_le_bytes(bits);
    if canonical(float).to_bits() == float.to_bits() { Ok(float) } else { Err(reader.invalid("float")) }
}
