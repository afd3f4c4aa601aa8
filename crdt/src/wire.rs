//! Reading and writing bytes: little-endian base-128 numbers, as postcard has them, and lengths checked before use.
//!
//! The one idea: a reader never believes a length. What it says is held against the bytes that are left before
//! anything is allocated, so no frame can cost more than its own length warrants.

/// What is wrong with bytes that were to be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end in the middle of something.
    #[error("the bytes end at {at} in the middle of {what}")]
    Truncated {
        /// Offset in bytes.
        at: usize,
        /// What was being read.
        what: &'static str,
    },
    /// The bytes go on after the end.
    #[error("{left} bytes are left over after the end")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// A format that this version does not know.
    #[error("format {found} is not known here; it was written by another version of this software")]
    Format {
        /// The format's number.
        found: u8,
    },
    /// A value outside its range, or not in the one order or form that equal states share.
    #[error("at {at}: {what} is not valid")]
    Invalid {
        /// Offset in bytes.
        at: usize,
        /// What was being read.
        what: &'static str,
    },
    /// More than a named limit allows.
    #[error("{what} is beyond the limit of {limit}")]
    Limit {
        /// The limit's name.
        what: &'static str,
        /// Its value.
        limit: usize,
    },
}

/// Appends `n` as a base-128 number of 1 to 10 bytes.
pub(crate) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push((n & 0x7f) as u8);
}

/// Appends a number of up to 128 bits, as [`put`] does.
pub(crate) fn put_wide(out: &mut Vec<u8>, mut n: u128) {
    loop {
        match u64::try_from(n) {
            Ok(rest) => return put(out, rest),
            Err(_) => out.push((n & 0x7f) as u8 | 0x80),
        }
        n >>= 7;
    }
}

/// Appends a number below 2^53 in as many whole bytes as it needs, 7 at most; the lowest three bits tell how many.
/// Large ones, such as a random replica's id, take a byte less than by [`put`].
pub(crate) fn put_id(out: &mut Vec<u8>, n: u64) {
    let more = (n >> 5).checked_ilog2().map_or(0, |bits| bits / 8 + 1);
    out.extend_from_slice(&(n << 3 | u64::from(more)).to_le_bytes()[..=more as usize]);
}

/// Appends a signed number, small ones of either sign in few bytes.
pub(crate) fn put_signed(out: &mut Vec<u8>, n: i64) {
    put(out, zigzag(n));
}

/// Small numbers of either sign as small numbers.
pub(crate) fn zigzag(n: i64) -> u64 {
    (n.cast_unsigned() << 1) ^ (n >> 63).cast_unsigned()
}

/// What [`zigzag`] was made of.
pub(crate) fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

/// Appends `bytes` behind their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the functions above wrote.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// Reads on from an offset.
    pub(crate) fn from(bytes: &'a [u8], at: usize) -> Self {
        Reader { bytes, at: at.min(bytes.len()) }
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(self.take(1, what)?[0])
    }

    pub(crate) fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let left = &self.bytes[self.at..];
        if n > left.len() {
            return Err(DecodeError::Truncated { at: self.bytes.len(), what });
        }
        self.at += n;
        Ok(&left[..n])
    }

    pub(crate) fn number(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => u64::try_from(self.wide(what)?).map_err(|_| self.invalid(what)),
        }
    }

    pub(crate) fn wide(&mut self, what: &'static str) -> Result<u128, DecodeError> {
        let mut n = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u128::from(byte & 0x7f);
            if shift == 126 && bits > 3 {
                break;
            }
            n |= bits << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(self.invalid(what))
    }

    /// What [`put_id`] wrote.
    pub(crate) fn id(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let first = self.byte(what)?;
        let rest = self.take(usize::from(first & 7), what)?;
        let high = rest.iter().rev().fold(0, |high, byte| high << 8 | u64::from(*byte));
        Ok(high << 5 | u64::from(first >> 3))
    }

    pub(crate) fn signed(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        self.number(what).map(unzigzag)
    }

    /// How many items follow, of which each takes at least one byte.
    pub(crate) fn count(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let n = self.number(what)?;
        self.fits(n, what)
    }

    /// `n` as a count of items that are still to come, of which each takes at least one byte.
    pub(crate) fn fits(&self, n: u64, what: &'static str) -> Result<usize, DecodeError> {
        let left = self.bytes.len() - self.at;
        usize::try_from(n)
            .ok()
            .filter(|n| *n <= left)
            .ok_or(DecodeError::Truncated { at: self.bytes.len(), what })
    }

    pub(crate) fn bytes(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let n = self.count(what)?;
        if n > max {
            return Err(DecodeError::Limit { what, limit: max });
        }
        self.take(n, what)
    }

    pub(crate) fn text(&mut self, what: &'static str, max: usize) -> Result<&'a str, DecodeError> {
        let bytes = self.bytes(what, max)?;
        std::str::from_utf8(bytes).map_err(|_| self.invalid(what))
    }

    /// All the bytes, those that have been read too.
    pub(crate) fn all(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many bytes have been read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { left }),
        }
    }

    pub(crate) fn invalid(&self, what: &'static str) -> DecodeError {
        DecodeError::Invalid { at: self.at, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    quickcheck! {
        fn numbers_come_back(n: u64, m: i64, text: String) -> bool {
            let mut out = Vec::new();
            put(&mut out, n);
            put_signed(&mut out, m);
            put_bytes(&mut out, text.as_bytes());
            put_id(&mut out, n >> 11);
            let mut reader = Reader::new(&out);
            reader.number("n") == Ok(n)
                && reader.signed("m") == Ok(m)
                && reader.text("text", usize::MAX) == Ok(text.as_str())
                && reader.id("id") == Ok(n >> 11)
                && reader.end() == Ok(())
        }
    }

    #[test]
    fn an_id_takes_as_many_bytes_as_it_needs() {
        let bytes = |n| {
            let mut out = Vec::new();
            put_id(&mut out, n);
            assert_eq!(Reader::new(&out).id("id"), Ok(n));
            out.len()
        };
        let sizes = [0, 31, 32, (1 << 13) - 1, 1 << 13, 1 << 45, (1 << 53) - 1].map(bytes);
        assert_eq!(sizes, [1, 1, 2, 2, 3, 7, 7]);
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused() {
        assert!(Reader::new(&[0xff; 20]).number("n").is_err());
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).number("n"),
            Ok(u64::MAX)
        );
        assert!(Reader::new(&[0xff; 3]).number("n").is_err());
    }

    #[test]
    fn a_length_is_held_against_the_bytes_that_are_left() {
        let mut out = Vec::new();
        put(&mut out, u64::MAX);
        assert!(matches!(Reader::new(&out).bytes("b", usize::MAX), Err(DecodeError::Truncated { .. })));
    }
}
