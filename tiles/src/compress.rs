//! Compression: the encodings that archives and HTTP know, each with a bound on what it may unpack to.
//!
//! One idea: an encoding is a value, so that the archive's, the request's and the cache's are compared, not guessed.
//! Not here: which encoding a client wants (see the HTTP module).

use std::io::Read;

use thiserror::Error;

/// No tile, directory or cell may unpack to more than this many bytes.
pub const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// Gzip is for archives: made once, read by everything.
const GZIP_LEVEL: i32 = 6;
/// Made while a client waits.
const BROTLI_QUALITY: u32 = 5;
const BROTLI_WINDOW: u32 = 20;
const ZSTD_LEVEL: i32 = 3;

/// How bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoding {
    /// As they are.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// Bytes that cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompressError {
    /// Not what they claim to be.
    #[error("the bytes are not valid {0:?}")]
    Broken(Encoding),
    /// They unpack to more than is allowed.
    #[error("the bytes unpack to more than {max} bytes", max = .0)]
    TooLarge(usize),
}

/// Packs bytes; the same bytes always give the same result.
///
/// # Errors
/// Only when the compressor itself fails, which it does not on bytes in memory.
pub fn pack(bytes: &[u8], encoding: Encoding) -> Result<Vec<u8>, CompressError> {
    let broken = |_| CompressError::Broken(encoding);
    match encoding {
        Encoding::Identity => Ok(bytes.to_vec()),
        Encoding::Gzip => Ok(gzip(bytes)),
        Encoding::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL).map_err(broken),
        Encoding::Brotli => {
            let mut packed = Vec::new();
            let mut reader = brotli::CompressorReader::new(bytes, 4096, BROTLI_QUALITY, BROTLI_WINDOW);
            reader.read_to_end(&mut packed).map_err(broken)?;
            Ok(packed)
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let level = libdeflater::CompressionLvl::new(GZIP_LEVEL).unwrap_or_default();
    let mut compressor = libdeflater::Compressor::new(level);
    let mut packed = vec![0; compressor.gzip_compress_bound(bytes.len())];
    // The bound is the compressor's own, so there is always room.
    let length = compressor.gzip_compress(bytes, &mut packed).unwrap_or_default();
    packed.truncate(length);
    packed
}

/// Unpacks bytes from anywhere.
///
/// # Errors
/// When they are broken, or would unpack to more than [`UNPACKED_BYTES_MAX`].
pub fn unpack(bytes: &[u8], encoding: Encoding) -> Result<Vec<u8>, CompressError> {
    match encoding {
        Encoding::Identity => Ok(bytes.to_vec()),
        Encoding::Gzip => gunzip(bytes),
        Encoding::Brotli => read_bounded(brotli::Decompressor::new(bytes, 4096), encoding),
        Encoding::Zstd => {
            let reader = zstd::stream::read::Decoder::with_buffer(bytes);
            read_bounded(reader.map_err(|_| CompressError::Broken(encoding))?, encoding)
        }
    }
}

/// Doubles its room until the bytes fit: the length in the trailer is anyone's claim.
fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, CompressError> {
    use libdeflater::DecompressionError::{BadData, InsufficientSpace};
    let mut room = (bytes.len() * 4).clamp(1 << 10, UNPACKED_BYTES_MAX);
    let mut decompressor = libdeflater::Decompressor::new();
    loop {
        let mut unpacked = vec![0; room];
        match decompressor.gzip_decompress(bytes, &mut unpacked) {
            Ok(length) => {
                unpacked.truncate(length);
                return Ok(unpacked);
            }
            Err(BadData) => return Err(CompressError::Broken(Encoding::Gzip)),
            Err(InsufficientSpace) if room == UNPACKED_BYTES_MAX => {
                return Err(CompressError::TooLarge(UNPACKED_BYTES_MAX));
            }
            Err(InsufficientSpace) => room = (room * 2).min(UNPACKED_BYTES_MAX),
        }
    }
}

fn read_bounded(reader: impl Read, encoding: Encoding) -> Result<Vec<u8>, CompressError> {
    let mut unpacked = Vec::new();
    let most = UNPACKED_BYTES_MAX as u64;
    reader.take(most + 1).read_to_end(&mut unpacked).map_err(|_| CompressError::Broken(encoding))?;
    if unpacked.len() > UNPACKED_BYTES_MAX {
        return Err(CompressError::TooLarge(UNPACKED_BYTES_MAX));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    const ALL: [Encoding; 4] = [Encoding::Identity, Encoding::Gzip, Encoding::Brotli, Encoding::Zstd];

    #[test]
    fn a_bomb_is_refused() {
        let zeroes = vec![0; UNPACKED_BYTES_MAX + 1];
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let bomb = pack(&zeroes, encoding).unwrap();
            assert_eq!(unpack(&bomb, encoding), Err(CompressError::TooLarge(UNPACKED_BYTES_MAX)));
        }
    }

    quickcheck! {
        fn bytes_come_back(bytes: Vec<u8>) -> bool {
            ALL.iter().all(|encoding| unpack(&pack(&bytes, *encoding).unwrap(), *encoding).unwrap() == bytes)
        }

        fn no_bytes_panic(bytes: Vec<u8>, at: usize, byte: u8) -> bool {
            for encoding in ALL {
                let _ = unpack(&bytes, encoding);
                let mut packed = pack(&bytes, encoding).unwrap();
                if let Some(place) = packed.len().checked_sub(1).map(|last| at % (last + 1)) {
                    packed[place] = byte;
                }
                let _ = unpack(&packed, encoding);
            }
            true
        }
    }
}
