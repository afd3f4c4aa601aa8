//! Little-endian base-128 integers, as vector tiles, PMTiles directories and cells write them.
//!
//! One idea: reading is a cursor over a slice that checks every count against the bytes that are left before anything
//! is allocated for it. Not here: any of the formats.

use thiserror::Error;

/// Appends a number, seven bits a byte, least first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// How many bytes [`put_varint`] takes for a number.
pub(crate) fn varint_bytes(number: u64) -> usize {
    let bits = (u64::BITS - number.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

/// Small numbers of either sign to small numbers without.
pub(crate) fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The bytes end too soon.
    #[error("the bytes end in the middle of {0}")]
    Short(&'static str),
    /// A number has more than 64 bits or does not fit where it belongs.
    #[error("{0} is too large")]
    TooLarge(&'static str),
    /// A value that means nothing.
    #[error("{0} has no meaning")]
    Meaningless(&'static str),
}

/// Reads a slice from its front.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let mut number = 0;
        for (index, byte) in self.0.iter().enumerate().take(10) {
            if index == 9 && *byte > 1 {
                return Err(Malformed::TooLarge(what));
            }
            number |= u64::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Ok(number);
            }
        }
        Err(Malformed::Short(what))
    }

    pub(crate) fn narrow<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, Malformed> {
        T::try_from(self.varint(what)?).map_err(|_| Malformed::TooLarge(what))
    }

    pub(crate) fn signed(&mut self, what: &'static str) -> Result<i64, Malformed> {
        self.varint(what).map(unzigzag)
    }

    /// A count of things that take at least `bytes_each` bytes: never more than the bytes left can hold.
    pub(crate) fn count(&mut self, bytes_each: usize, what: &'static str) -> Result<usize, Malformed> {
        let count: usize = self.narrow(what)?;
        if count > self.0.len() / bytes_each {
            return Err(Malformed::Short(what));
        }
        Ok(count)
    }

    pub(crate) fn bytes(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed::Short(what))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let length = self.count(1, what)?;
        std::str::from_utf8(self.bytes(length, what)?).map_err(|_| Malformed::Meaningless(what))
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, Malformed> {
        self.bytes(1, what).map(|bytes| bytes[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    #[test]
    fn known_numbers_have_known_bytes() {
        let mut out = Vec::new();
        [0, 127, 300, u64::MAX].into_iter().for_each(|number| put_varint(&mut out, number));
        assert_eq!(out[..4], [0, 127, 0xAC, 2]);
        assert_eq!(out[4..], [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]);
    }

    quickcheck! {
        fn numbers_come_back(numbers: Vec<u64>) -> bool {
            let mut out = Vec::new();
            numbers.iter().for_each(|number| put_varint(&mut out, *number));
            let mut cursor = Cursor(&out);
            numbers.iter().all(|number| cursor.varint("it") == Ok(*number)) && cursor.0.is_empty()
        }

        fn lengths_are_known(number: u64, shift: u8) -> bool {
            let mut out = Vec::new();
            put_varint(&mut out, number >> (shift % 64));
            out.len() == varint_bytes(number >> (shift % 64))
        }

        fn signs_come_back(number: i64) -> bool {
            unzigzag(zigzag(number)) == number
        }

        fn no_bytes_panic(bytes: Vec<u8>) -> bool {
            let mut cursor = Cursor(&bytes);
            while cursor.varint("it").is_ok() {}
            let _ = Cursor(&bytes).text("it");
            true
        }
    }
}
