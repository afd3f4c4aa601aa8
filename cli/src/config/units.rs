//! Durations and sizes as people write them: `"90s"`, `"16MiB"`, or a plain number of seconds or bytes.

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// A value of a limit, as it is configured.
pub(crate) trait Unit {
    /// As the libraries hold it.
    type Raw;
    fn of(raw: Self::Raw) -> Self;
    fn raw(&self) -> Self::Raw;
}

macro_rules! plain {
    ($($number:ty),*) => {$(
        impl Unit for $number {
            type Raw = $number;
            fn of(raw: $number) -> Self {
                raw
            }
            fn raw(&self) -> $number {
                *self
            }
        }
    )*};
}
plain!(usize, u32);

/// A time span: `"250ms"`, `"10s"`, `"5m"`, `"24h"`, `"7d"`, several of them (`"1m30s"`), or a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// A [`Span`] that the libraries count in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Millis(Span);

impl Unit for Span {
    type Raw = Duration;
    fn of(raw: Duration) -> Self {
        Span(raw)
    }
    fn raw(&self) -> Duration {
        self.0
    }
}

impl Unit for Millis {
    type Raw = u64;
    fn of(raw: u64) -> Self {
        Millis(Span(Duration::from_millis(raw)))
    }
    fn raw(&self) -> u64 {
        // A span is read as a `u64` of milliseconds.
        u64::try_from(self.0.0.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The units of time in milliseconds, the largest first.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

fn span(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_millis(seconds.checked_mul(1_000)?));
    }
    let (mut rest, mut millis) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let (_, factor) = TIMES.iter().find(|(name, _)| *name == unit.trim())?;
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(Duration::from_millis(millis))
}

impl fmt::Display for Span {
    /// In the largest unit that gives a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = Millis(*self).raw();
        let (unit, factor) =
            TIMES.iter().find(|(_, factor)| millis.is_multiple_of(*factor)).unwrap_or(&TIMES[4]);
        match millis {
            0 => f.write_str("0s"),
            _ => write!(f, "{}{unit}", millis / factor),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a duration, such as \"250ms\", \"10s\", \"5m\" or \"24h\", or a number of seconds",
                )
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                span(text).map(Span).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
            fn visit_i64<E: Error>(self, seconds: i64) -> Result<Span, E> {
                let seconds = u64::try_from(seconds)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(seconds), &self))?;
                Ok(Span(Duration::from_secs(seconds)))
            }
        }
        from.deserialize_any(Text)
    }
}

/// A size: `"512KiB"`, `"16MiB"`, `"1GiB"`, in thousands as `"500kB"`, `"10MB"`, `"1GB"`, or a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size<T>(T);

impl<T: Copy> Unit for Size<T> {
    type Raw = T;
    fn of(raw: T) -> Self {
        Size(raw)
    }
    fn raw(&self) -> T {
        self.0
    }
}

/// The units of size; those that sizes are printed in come first, the largest first.
const SIZES: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// The place of the unit that every size can be printed in.
const BYTES: usize = 4;

fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = if unit.is_empty() { "B" } else { unit.trim_start() };
    let (_, factor) = SIZES.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

impl<T: Copy + TryInto<u64>> Serialize for Size<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let bytes: u64 = self.0.try_into().unwrap_or(u64::MAX);
        let (unit, factor) =
            SIZES[..=BYTES].iter().find(|(_, factor)| bytes.is_multiple_of(*factor)).unwrap_or(&SIZES[BYTES]);
        to.collect_str(&format_args!("{}{unit}", bytes / factor))
    }
}

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Size<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);
        impl<T: TryFrom<u64>> Visitor<'_> for Text<T> {
            type Value = Size<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size, such as \"512KiB\", \"16MiB\" or \"1GB\", or a number of bytes")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Size<T>, E> {
                let bytes = size(text).and_then(|bytes| bytes.try_into().ok());
                bytes.map(Size).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
            fn visit_i64<E: Error>(self, bytes: i64) -> Result<Size<T>, E> {
                let size = u64::try_from(bytes).ok().and_then(|bytes| bytes.try_into().ok());
                size.map(Size).ok_or_else(|| E::invalid_value(Unexpected::Signed(bytes), &self))
            }
        }
        from.deserialize_any(Text(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_it_is_printed() {
        assert_eq!(SIZES[BYTES], ("B", 1));
        for bytes in
            [0, 1, 5, 256, 1_000, 1_023, 1_024, 1_500, 10_000, 3 << 20, (1 << 20) + 1, 16 << 40, u64::MAX]
        {
            let printed = toml::Value::try_from(Size(bytes)).unwrap();
            assert_eq!(size(printed.as_str().unwrap()), Some(bytes), "{printed}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let millis = |text| span(text).map(|span| span.as_millis());
        for (text, expected) in [
            ("10s", 10_000),
            ("250ms", 250),
            ("1m30s", 90_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("3", 3_000),
            ("0s", 0),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for wrong in ["", "s", "10 parsecs", "10sm", "-1s", "1.5s", "99999999999999999999s", "300000000000d"]
        {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
        for (millis, text) in [(90_000, "90s"), (86_400_000, "1d"), (250, "250ms"), (0, "0s"), (60_000, "1m")]
        {
            assert_eq!(Span(Duration::from_millis(millis)).to_string(), text);
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("16MiB", 16 << 20), ("16 MiB", 16 << 20), ("500kB", 500_000), ("7B", 7), ("12", 12)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for wrong in ["", "MiB", "16mib", "16M", "1.5GiB", "-1", "99999999999GiB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
