//! The values that registers and sets of a document hold.

use compact_str::CompactString;
use std::cmp::Ordering;

/// A value that is written and replaced as a whole.
///
/// Equality and order are total (floats by [`f64::total_cmp`], after NaNs are made one and `-0.0` becomes `0.0`),
/// so that equal values have equal bytes.
///
/// ```
/// use watersmeet_crdt::Value;
/// let at = Value::from(vec![Value::from(13.4), Value::from(52.5)]);
/// assert_eq!(at.list().and_then(|at| at[0].float()), Some(13.4));
/// ```
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing; unlike an absent register, a value that somebody wrote.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// Text; a short one takes no allocation.
    Text(CompactString),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// Several values, such as a position; they merge as one.
    List(Box<[Value]>),
}

impl Value {
    /// The rank of the variant, which is also its tag on the wire.
    pub(crate) fn tag(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) => 2,
            Value::Float(_) => 3,
            Value::Text(_) => 4,
            Value::Bytes(_) => 5,
            Value::List(_) => 6,
        }
    }

    /// The text, if it is text.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is a whole number.
    pub fn int(&self) -> Option<i64> {
        if let Value::Int(int) = self { Some(*int) } else { None }
    }

    /// The number, if it is a floating-point number.
    pub fn float(&self) -> Option<f64> {
        if let Value::Float(float) = self { Some(*float) } else { None }
    }

    /// The items, if it is a list.
    pub fn list(&self) -> Option<&[Value]> {
        if let Value::List(items) = self { Some(items) } else { None }
    }

    /// The bytes of what it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(items) => items.iter().map(|item| size_of::<Value>() + item.bytes()).sum(),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        }
    }

    /// How deep lists are nested in it: 0 for a scalar.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Value::List(items) => 1 + items.iter().map(Value::depth).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// The one representation of a float: a single NaN, and no negative zero.
pub(crate) fn canonical(float: f64) -> f64 {
    if float.is_nan() { f64::NAN } else { float + 0.0 }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => canonical(*a).total_cmp(&canonical(*b)),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::List(a), Value::List(b)) => a.cmp(b),
            _ => self.tag().cmp(&other.tag()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

macro_rules! value_from {
    ($($from:ty => |$it:ident| $value:expr),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from($it: $from) -> Self {
                $value
            }
        }
    )*};
}

value_from! {
    bool => |it| Value::Bool(it),
    i64 => |it| Value::Int(it),
    i32 => |it| Value::Int(it.into()),
    f64 => |it| Value::Float(it),
    &str => |it| Value::Text(it.into()),
    String => |it| Value::Text(it.into()),
    &[u8] => |it| Value::Bytes(it.into()),
    Vec<u8> => |it| Value::Bytes(it.into()),
    Vec<Value> => |it| Value::List(it.into()),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_three_words() {
        assert_eq!(size_of::<Value>(), 3 * size_of::<u64>());
    }

    #[test]
    fn equality_is_total_and_agrees_with_order() {
        assert_eq!(Value::from(f64::NAN), Value::from(-f64::NAN));
        assert_eq!(Value::from(0.0), Value::from(-0.0));
        assert_ne!(Value::from(1.0), Value::from(1));
        assert!(Value::from("a") < Value::from("b"));
        assert_eq!(Value::from(vec![Value::from(vec![Value::Null])]).depth(), 2);
    }
}
