//! General compression of whole states, for where they lie still or travel once: snapshots at rest, first joins.
//!
//! A state is small before this: its format says what is alike once ([`document`](crate::document)). What is left to a
//! general compression is what the values themselves repeat. Whether that is worth its time depends on them, so
//! [`pack`] tries, and keeps the bytes as they are where it does not help:
//!
//! ```text
//!   packed := 0 bytes          as they are
//!           | 1 deflated       raw deflate (RFC 1951)
//! ```
//!
//! The [session](crate::session) packs the parts of large deltas, and nothing that is small. A packed state is not canonical: equal states have equal bytes
//! before they are packed, not after, since another release of the compressor may pack otherwise.

#[cfg(feature = "compress")]
use flate2::{Compression, bufread::DeflateEncoder};
use flate2::{Decompress, FlushDecompress, Status};
#[cfg(feature = "compress")]
use std::io::Read;

const RAW: u8 = 0;
const DEFLATED: u8 = 1;

/// The level of [`pack_fast`]: the least that makes codes of its own for what is packed.
#[cfg(feature = "compress")]
const FAST: u32 = 2;

/// At least so many bytes are inflated at a time.
const CHUNK_BYTES: usize = 4 << 10;

/// Why bytes cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// There are none.
    #[error("nothing is packed in no bytes")]
    Empty,
    /// The first byte is of another format.
    #[error("the first byte is {0}, not 0 or 1: these bytes were not packed here")]
    UnknownForm(u8),
    /// They would be more bytes than the caller takes.
    #[error("it unpacks to more than the {max} bytes that are taken here")]
    TooLarge {
        /// How many are taken.
        max: usize,
    },
    /// They are no deflate stream, or are cut off.
    #[error("what is packed is damaged, or cut off")]
    Damaged,
    /// They go on after the end.
    #[error("{bytes} bytes follow the end of what is packed")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

/// Packs bytes: deflated if that makes them fewer, else as they are. At most one byte is added.
///
/// ```
/// use watersmeet_crdt::{Delta, Document, ReplicaId, Time, compress};
/// let mut document = Document::new(ReplicaId::new(1));
/// document.edit(Time::from_millis(0), |tx| {
///     for at in 0..100 {
///         tx.set(&["places", &at.to_string(), "note"], "Nobody has been here for a long time.");
///     }
/// })?;
/// let state = document.encode_state();
/// let packed = compress::pack(&state);
/// assert!(packed.len() < state.len());
///
/// let unpacked = compress::unpack(&packed, 1 << 20)?;
/// let mut again = Document::new(ReplicaId::new(2));
/// again.apply(Delta::decode(&unpacked)?)?;
/// assert_eq!(again.hash(), document.hash());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "compress")]
#[must_use]
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    pack_at(Compression::default(), bytes)
}

/// As [`pack`], in less time and to more bytes: for what somebody waits for.
#[cfg(feature = "compress")]
#[must_use]
pub fn pack_fast(bytes: &[u8]) -> Vec<u8> {
    pack_at(Compression::new(FAST), bytes)
}

#[cfg(feature = "compress")]
fn pack_at(level: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![DEFLATED];
    let deflated = DeflateEncoder::new(bytes, level).read_to_end(&mut packed);
    if deflated.is_err() || packed.len() > bytes.len() {
        packed.clear();
        packed.push(RAW);
        packed.extend_from_slice(bytes);
    }
    packed
}

/// Unpacks what [`pack`] packed, to at most `max` bytes.
///
/// Memory is taken as bytes come out: at most about a thousand times as many as went in, and about twice `max`.
/// Whatever they are made to unpack to, they are refused as soon as `max` is exceeded.
///
/// # Errors
/// If they were not packed by [`pack`], have been damaged, or unpack to more.
pub fn unpack(packed: &[u8], max: usize) -> Result<Vec<u8>, UnpackError> {
    match packed.split_first().ok_or(UnpackError::Empty)? {
        (&RAW, bytes) if bytes.len() > max => Err(UnpackError::TooLarge { max }),
        (&RAW, bytes) => Ok(bytes.to_vec()),
        (&DEFLATED, deflated) => inflate(deflated, max),
        (other, _) => Err(UnpackError::UnknownForm(*other)),
    }
}

fn inflate(deflated: &[u8], max: usize) -> Result<Vec<u8>, UnpackError> {
    let mut inflate = Decompress::new(false);
    let (mut rest, mut bytes) = (deflated, Vec::new());
    loop {
        bytes.reserve(CHUNK_BYTES);
        let (read, written) = (inflate.total_in(), bytes.len());
        let status = inflate.decompress_vec(rest, &mut bytes, FlushDecompress::None);
        let read = usize::try_from(inflate.total_in() - read).unwrap_or(rest.len());
        rest = rest.get(read..).unwrap_or_default();
        match status.map_err(|_| UnpackError::Damaged)? {
            _ if bytes.len() > max => return Err(UnpackError::TooLarge { max }),
            Status::StreamEnd if rest.is_empty() => return Ok(bytes),
            Status::StreamEnd => return Err(UnpackError::Trailing { bytes: rest.len() }),
            // It waits for more, and there is no more.
            Status::Ok | Status::BufError if read == 0 && bytes.len() == written => {
                return Err(UnpackError::Damaged);
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

#[cfg(all(test, feature = "compress"))]
mod tests {
    use super::*;
    use crate::{Document, ReplicaId, Time, Value};
    use quickcheck::quickcheck;

    const MAX: usize = 1 << 16;

    quickcheck! {
        fn what_is_packed_unpacks(bytes: Vec<u8>, times: u8) -> bool {
            let bytes = bytes.repeat(usize::from(times));
            let packed = pack(&bytes);
            packed.len() <= bytes.len() + 1
                && unpack(&packed, bytes.len()) == Ok(bytes.clone())
                && (bytes.is_empty() || unpack(&packed, bytes.len() - 1) == Err(UnpackError::TooLarge { max: bytes.len() - 1 }))
        }

        fn hostile_bytes_are_refused_or_kept_within_bounds(bytes: Vec<u8>, max: u16) -> bool {
            let deflated = [&[DEFLATED], bytes.as_slice()].concat();
            let bounded = |packed: &[u8]| unpack(packed, max.into()).is_ok_and(|bytes| bytes.len() > max.into());
            !bounded(&bytes) && !bounded(&deflated)
        }

        fn damage_is_refused_or_unpacks_within_bounds(bytes: Vec<u8>, at: usize, to: u8) -> bool {
            let mut packed = pack(&bytes.repeat(20));
            let at = at % packed.len();
            packed[at] = to;
            unpack(&packed, MAX).map_or(true, |bytes| bytes.len() <= MAX)
        }

        fn what_is_cut_off_is_refused(bytes: Vec<u8>, at: usize) -> bool {
            let packed = pack(&[bytes, vec![7; 500]].concat());
            assert_eq!(packed[0], DEFLATED);
            let at = at % packed.len();
            unpack(&packed[..at], MAX) == Err(if at == 0 { UnpackError::Empty } else { UnpackError::Damaged })
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_goes_off() {
        let bomb = pack(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(unpack(&bomb, MAX), Err(UnpackError::TooLarge { max: MAX }));
        assert_eq!(
            unpack(&bomb, MAX).unwrap_err().to_string(),
            "it unpacks to more than the 65536 bytes that are taken here"
        );
    }

    #[test]
    fn what_does_not_deflate_is_kept_as_it_is() {
        assert_eq!(pack(b""), [RAW]);
        assert_eq!(pack(b"otter"), *b"\0otter");
        assert_eq!(unpack(&[RAW], 0), Ok(Vec::new()));
    }

    #[test]
    fn other_bytes_are_told_apart() {
        assert_eq!(unpack(&[], MAX), Err(UnpackError::Empty));
        assert_eq!(unpack(&[2, 0], MAX), Err(UnpackError::UnknownForm(2)));
        assert_eq!(unpack(&[DEFLATED], MAX), Err(UnpackError::Damaged));
        let longer = [pack(&[7; 500]), vec![1, 2, 3]].concat();
        assert_eq!(unpack(&longer, MAX), Err(UnpackError::Trailing { bytes: 3 }));
    }

    #[test]
    fn a_state_of_texts_deflates() {
        let mut document = Document::new(ReplicaId::new(1));
        let write = |tx: &mut crate::document::Transaction| {
            for at in 0..1_000 {
                let key = at.to_string();
                tx.set(&["places", &key, "name"], format!("The old mill at the {key}th weir"));
                tx.set(
                    &["places", &key, "at"],
                    vec![Value::from(13.0 + f64::from(at) / 1e3), Value::from(52.5)],
                );
            }
        };
        document.edit(Time::from_millis(1_700_000_000_000), write).unwrap();
        let state = document.encode_state();
        let packed = pack(&state);
        println!("a state of {} bytes packs to {}", state.len(), packed.len());
        assert!(packed.len() < state.len() / 2);
    }
}
