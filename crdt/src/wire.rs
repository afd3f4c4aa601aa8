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
    #[error("format {found} is not known here; this is written by a newer version")]
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

/// Appends a signed number, small ones of either sign in few bytes.
pub(crate) fn put_signed(out: &mut Vec<u8>, n: i64) {
    put(out, (n.cast_unsigned() << 1) ^ (n >> 63).cast_unsigned());
}

/// Appends `bytes` behind their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the functions above wrote.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
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
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            n |= bits << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(self.invalid(what))
    }

    pub(crate) fn signed(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        let n = self.number(what)?;
        Ok((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
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

    pub(crate) fn text(&mut self, what: &'static str, max: usize) -> Result<String, DecodeError> {
        let bytes = self.bytes(what, max)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.invalid(what))
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
            let mut reader = Reader::new(&out);
            reader.number("n") == Ok(n)
                && reader.signed("m") == Ok(m)
                && reader.text("text", usize::MAX) == Ok(text)
                && reader.end() == Ok(())
        }
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused() {
        assert!(Reader::new(&[0xff; 10]).number("n").is_err());
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
