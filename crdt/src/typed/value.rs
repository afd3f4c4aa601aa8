//! Which Rust types are written as which values, and read from them.

use super::Path;
use crate::Value;

/// A type that a value can be read as.
///
/// | type | reads |
/// |---|---|
/// | [`Value`] | anything |
/// | `bool`, `i64`, `String` | that |
/// | `i32` | a whole number that fits |
/// | `f64` | a floating-point number, and a whole one that it holds exactly: a peer without integers may write `13` |
/// | `Vec<u8>` | bytes |
/// | `[T; N]`, `Vec<T>` | a list of `N`, or of any number, of what `T` reads |
/// | `Option<T>` | null as `None`, otherwise what `T` reads |
///
/// ```
/// use watersmeet_crdt::{Value, typed::FromValue};
/// let at = Value::from(vec![Value::from(13), Value::from(52.5)]);
/// assert_eq!(<[f64; 2]>::from_value(&at), Some([13.0, 52.5]));
/// assert_eq!(<[f64; 3]>::from_value(&at), None);
/// ```
pub trait FromValue: Sized {
    /// What `value` is as this type; none if it is nothing of the sort.
    fn from_value(value: &Value) -> Option<Self>;
}

/// What can be written where a `T` is read: a `T`, and for texts and bytes also a borrowed one.
///
/// What is written is read again as what it was; only an `Option<Option<T>>` has one null for two nothings.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot be written where `{T}` is read")]
pub trait IntoValue<T> {
    /// The value to write.
    fn into_value(self) -> Value;
}

/// A value that somebody wrote where a handle reads another type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value at {path} is {}, which does not read as {expected}", sort(.found))]
pub struct Mismatch {
    /// The path of the register, set or list.
    pub path: Path,
    /// The name of the type that was to be read.
    pub expected: &'static str,
    /// What is there.
    pub found: Value,
}

impl Path {
    /// A value that stands here, read as a type.
    pub(super) fn read<T: FromValue>(&self, value: &Value) -> Result<T, Mismatch> {
        T::from_value(value).ok_or_else(|| Mismatch {
            path: self.clone(),
            expected: std::any::type_name::<T>(),
            found: value.clone(),
        })
    }
}

fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Int(_) => "a whole number",
        Value::Float(_) => "a floating-point number",
        Value::Text(_) => "a text",
        Value::Bytes(_) => "bytes",
        Value::List(_) => "a list",
    }
}

/// The types that become a value by themselves.
macro_rules! values {
    ($($type:ty: |$value:ident| $read:expr),* $(,)?) => {$(
        impl FromValue for $type {
            fn from_value($value: &Value) -> Option<Self> {
                $read
            }
        }

        impl IntoValue<$type> for $type {
            fn into_value(self) -> Value {
                self.into()
            }
        }
    )*};
}

values! {
    Value: |value| Some(value.clone()),
    bool: |value| if let Value::Bool(it) = value { Some(*it) } else { None },
    i64: |value| value.int(),
    i32: |value| value.int()?.try_into().ok(),
    f64: |value| value.float().or_else(|| exactly(value.int()?)),
    String: |value| value.text().map(str::to_owned),
    Vec<u8>: |value| if let Value::Bytes(it) = value { Some(it.to_vec()) } else { None },
}

/// A whole number as a floating-point number, if it is one of those that have no neighbour in between.
fn exactly(whole: i64) -> Option<f64> {
    (whole.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS).then_some(whole as f64)
}

impl IntoValue<String> for &str {
    fn into_value(self) -> Value {
        self.into()
    }
}

impl IntoValue<String> for &String {
    fn into_value(self) -> Value {
        self.as_str().into()
    }
}

impl IntoValue<Vec<u8>> for &[u8] {
    fn into_value(self) -> Value {
        self.into()
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value) -> Option<Self> {
        value.list()?.iter().map(T::from_value).collect()
    }
}

impl<T: IntoValue<T>> IntoValue<Vec<T>> for Vec<T> {
    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(T::into_value).collect())
    }
}

/// The items have a default so that an array is filled in place, without a list beside it.
impl<T: FromValue + Default, const N: usize> FromValue for [T; N] {
    fn from_value(value: &Value) -> Option<Self> {
        let items: &[Value; N] = value.list()?.try_into().ok()?;
        let mut array = std::array::from_fn(|_| T::default());
        for (place, item) in array.iter_mut().zip(items) {
            *place = T::from_value(item)?;
        }
        Some(array)
    }
}

impl<T: IntoValue<T>, const N: usize> IntoValue<[T; N]> for [T; N] {
    fn into_value(self) -> Value {
        Value::List(self.map(T::into_value).into())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Null = value { Some(None) } else { T::from_value(value).map(Some) }
    }
}

impl<T: IntoValue<T>> IntoValue<Option<T>> for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }
}
