//! Whether the write-ahead log has been altered where it had been synced.
//!
//! SQLite reads its log up to the first frame that is not whole, and takes that for the place where a crash interrupted
//! a commit. If it is not, but a byte that has changed since, all commits after it would be gone without a word. The two
//! can be told apart: a commit is synced before the next one begins, so a crash leaves at most one commit that is not
//! whole, and nothing behind it. The format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use crate::store::Flaw;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The first four bytes, but for the last bit, which says in which order the checksums read theirs.
const MAGIC: u32 = 0x377f_0682;
/// What a disk writes whole, at least.
const SECTOR_BYTES: u64 = 512;
/// The largest page that SQLite has.
const PAGE_BYTES_MAX: u32 = 64 << 10;

/// What is wrong with the log `file`, if it is there and its end is not what a crash may leave.
pub(super) fn check(file: &Path) -> std::io::Result<Option<Flaw>> {
    let mut log = match File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => BufReader::new(opened?),
    };
    let mut header = [0; HEADER_BYTES];
    let Some(Header { page_bytes, salts, mut sum }) =
        fill(&mut log, &mut header)?.then(|| Header::of(&header)).flatten()
    else {
        return Ok(None);
    };
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    let (mut at, mut broken, mut commits) = (HEADER_BYTES as u64, None, 0);
    while fill(&mut log, &mut frame)? {
        // What is of an earlier generation of the log was there before.
        let is_of_this_generation = frame[8..16] == salts;
        // A frame's checksum goes on from that of the frame before, and each is written down: so frames behind one that
        // is broken can still be told from those that a crash left half written.
        let is_whole = sum.over(&frame[..8]).over(&frame[FRAME_HEADER_BYTES..]).is(&frame[16..24]);
        let is_first_broken = broken.is_none() && !(is_whole && is_of_this_generation);
        if is_first_broken {
            broken = Some(at);
        }
        // A crash may leave the one half of a frame's header as it was, where a sector ends.
        let is_one_piece = (at + 8) % SECTOR_BYTES != 0;
        let is_commit = is_of_this_generation && frame[4..8] != [0; 4];
        let counts = broken.is_some() && is_commit && (is_whole || is_first_broken && is_one_piece);
        commits += u64::from(counts);
        sum = sum.written_down(&frame[16..24]);
        at += frame.len() as u64;
    }
    // One may be what a crash interrupted.
    Ok(broken.filter(|_| commits > 1).map(|at| Flaw::Log { at, commits }))
}

/// Fills the buffer; false if the file ends before.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match log.read_exact(buffer) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

struct Header {
    page_bytes: usize,
    salts: [u8; 8],
    sum: Sum,
}

impl Header {
    /// None if it is not whole, as after a crash that interrupted the beginning of a log: then the database has
    /// everything.
    fn of(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (magic, page_bytes) = (number(0), number(8));
        if magic & !1 != MAGIC || page_bytes > PAGE_BYTES_MAX {
            return None;
        }
        let sum = Sum { big_endian: magic & 1 == 1, sums: (0, 0) }.over(&bytes[..24]);
        let salts = bytes[16..24].try_into().ok()?;
        sum.is(&bytes[24..]).then_some(Header { page_bytes: page_bytes as usize, salts, sum })
    }
}

/// The running checksum of a log.
#[derive(Clone, Copy)]
struct Sum {
    big_endian: bool,
    sums: (u32, u32),
}

impl Sum {
    fn over(mut self, bytes: &[u8]) -> Self {
        let number = |word: &[u8]| match (word.try_into(), self.big_endian) {
            (Ok(word), true) => u32::from_be_bytes(word),
            (Ok(word), false) => u32::from_le_bytes(word),
            // Chunks of eight are twice four.
            (Err(_), _) => 0,
        };
        let (mut first, mut second) = self.sums;
        for pair in bytes.chunks_exact(8) {
            first = first.wrapping_add(number(&pair[..4])).wrapping_add(second);
            second = second.wrapping_add(number(&pair[4..])).wrapping_add(first);
        }
        self.sums = (first, second);
        self
    }

    /// As a frame says that it is.
    fn written_down(self, bytes: &[u8]) -> Self {
        let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Sum { sums: (number(0), number(4)), ..self }
    }

    fn is(self, bytes: &[u8]) -> bool {
        [self.sums.0.to_be_bytes(), self.sums.1.to_be_bytes()].concat() == bytes
    }
}
