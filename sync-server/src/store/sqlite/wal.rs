//! Whether the write-ahead log has been altered where it had been synced.
//!
//! SQLite reads its log up to the first frame that is not whole, and takes that for the place where a crash interrupted
//! a commit. If it is not, but a byte that has changed since, all commits after it would be gone without a word. The two
//! can be told apart: a commit is synced before the next one begins, so a crash leaves at most one commit that is not
//! whole, and nothing behind it. The format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.
//!
//! Without its header SQLite reads nothing of a log. A crash while a log begins anew may tear the header, and then all
//! that follows it is in the database already; a byte that has changed since may hide what is nowhere else. But nobody
//! has to know which it was: **the first frame tells what its header said.** The header's checksum is where the frame's
//! began, and the sum can be run backwards; of all that it sums up only the number of the generation is unknown, which
//! follows from it. With that header put back everything that was synced is read, and what the database has already
//! is the same once more.

use crate::store::Flaw;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The first four bytes, but for the last bit, which says in which order the checksums read theirs.
const MAGIC: u32 = 0x377f_0682;
/// The one version of the format that there is.
const VERSION: u32 = 3_007_000;
/// What a disk writes whole, at least.
const SECTOR_BYTES: u64 = 512;
/// The smallest and the largest page that SQLite has.
const PAGE_BYTES_MIN: u32 = 512;
const PAGE_BYTES_MAX: u32 = 64 << 10;

/// Bytes of a log of so many pages of such a size.
pub(super) fn bytes_of(pages: u32, page_bytes: u32) -> u64 {
    HEADER_BYTES as u64 + u64::from(pages) * (FRAME_HEADER_BYTES as u64 + u64::from(page_bytes))
}

/// Puts the header of the log `file` back, durably, if it is not whole and the first frame tells what it was; whether it
/// did.
pub(super) fn mend(file: &Path) -> std::io::Result<bool> {
    let Some(mut log) = open(file)? else { return Ok(false) };
    let Found::Told(header) = find(&mut log)? else { return Ok(false) };
    let mut file = File::options().write(true).open(file)?;
    file.write_all(&header)?;
    file.sync_all()?;
    Ok(true)
}

/// What is wrong with the log `file`, if it is there and its end is not what a crash may leave.
pub(super) fn check(file: &Path) -> std::io::Result<Option<Flaw>> {
    let Some(mut log) = open(file)? else { return Ok(None) };
    match find(&mut log)? {
        Found::Whole(header) => check_frames(&mut log, &header),
        Found::Told(_) => Ok(Some(Flaw::LogHeader)),
        Found::Lost { commits: 0 } => Ok(None),
        Found::Lost { commits } => Ok(Some(Flaw::Log { at: 0, commits })),
    }
}

fn open(file: &Path) -> std::io::Result<Option<BufReader<File>>> {
    match File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        opened => Ok(Some(BufReader::new(opened?))),
    }
}

/// A log's header.
enum Found {
    /// It is as it was written.
    Whole(Header),
    /// It is not, but this is what it was.
    Told([u8; HEADER_BYTES]),
    /// Nobody can tell what it was, and so many commits are behind it.
    Lost { commits: u64 },
}

/// Looks for the header, and leaves the log behind it.
fn find(log: &mut (impl Read + Seek)) -> std::io::Result<Found> {
    let mut header = [0; HEADER_BYTES];
    if !fill(log, &mut header)? {
        return Ok(Found::Lost { commits: 0 });
    }
    if let Some(header) = Header::of(&header) {
        return Ok(Found::Whole(header));
    }
    let mut commits = 0;
    for page_bytes in (PAGE_BYTES_MIN.ilog2()..=PAGE_BYTES_MAX.ilog2()).map(|log| 1 << log) {
        for big_endian in [false, true] {
            let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
            log.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
            if !fill(log, &mut frame)? {
                continue;
            }
            if let Some(told) = header_told_by(&frame, big_endian) {
                return Ok(Found::Told(told));
            }
            commits = commits.max(commits_behind(log, frame, big_endian)?);
        }
    }
    Ok(Found::Lost { commits })
}

/// The header under which a log's first frame was written, if the frame is whole.
fn header_told_by(frame: &[u8], big_endian: bool) -> Option<[u8; HEADER_BYTES]> {
    let page_bytes = u32::try_from(frame.len() - FRAME_HEADER_BYTES).ok()?;
    let begin = Sum { big_endian, sums: (0, 0) };
    let end =
        begin.written_down(&frame[16..24]).back_over(&frame[FRAME_HEADER_BYTES..]).back_over(&frame[..8]);
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&(MAGIC | u32::from(big_endian)).to_be_bytes());
    header[4..8].copy_from_slice(&VERSION.to_be_bytes());
    header[8..12].copy_from_slice(&page_bytes.to_be_bytes());
    header[16..24].copy_from_slice(&frame[8..16]);
    header[24..].copy_from_slice(&end.bytes());
    // Of what is summed up between these two only the second word is not known.
    let (before, after) = (begin.over(&header[..8]).sums, end.back_over(&header[16..24]).sums);
    let generation = after.1.wrapping_sub(before.1).wrapping_sub(after.0);
    header[12..16].copy_from_slice(&if big_endian {
        generation.to_be_bytes()
    } else {
        generation.to_le_bytes()
    });
    Header::of(&header).map(|_| header)
}

/// How many commits follow a first frame that cannot be relied on: frames that go on from the one before them.
fn commits_behind(log: &mut impl Read, mut frame: Vec<u8>, big_endian: bool) -> std::io::Result<u64> {
    let mut sum = Sum { big_endian, sums: (0, 0) }.written_down(&frame[16..24]);
    let mut commits = 0;
    while fill(log, &mut frame)? {
        let is_whole = sum.over(&frame[..8]).over(&frame[FRAME_HEADER_BYTES..]).is(&frame[16..24]);
        // Zeros go on from zeros.
        commits += u64::from(is_whole && frame[4..8] != [0; 4]);
        sum = sum.written_down(&frame[16..24]);
    }
    Ok(commits)
}

fn check_frames(log: &mut impl Read, header: &Header) -> std::io::Result<Option<Flaw>> {
    let Header { page_bytes, salts, mut sum } = *header;
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    let (mut at, mut broken, mut commits) = (HEADER_BYTES as u64, None, 0);
    while fill(log, &mut frame)? {
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
    /// None if it is not whole.
    fn of(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let number = |at: usize| big_endian(&bytes[at..]);
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
        let (mut first, mut second) = self.sums;
        for pair in bytes.chunks_exact(8) {
            first = first.wrapping_add(self.word(&pair[..4])).wrapping_add(second);
            second = second.wrapping_add(self.word(&pair[4..])).wrapping_add(first);
        }
        self.sums = (first, second);
        self
    }

    /// What it was before [`over`](Self::over).
    fn back_over(mut self, bytes: &[u8]) -> Self {
        let (mut first, mut second) = self.sums;
        for pair in bytes.chunks_exact(8).rev() {
            second = second.wrapping_sub(self.word(&pair[4..])).wrapping_sub(first);
            first = first.wrapping_sub(self.word(&pair[..4])).wrapping_sub(second);
        }
        self.sums = (first, second);
        self
    }

    fn word(self, bytes: &[u8]) -> u32 {
        let word = big_endian(bytes);
        if self.big_endian { word } else { word.swap_bytes() }
    }

    /// As a frame says that it is.
    fn written_down(self, bytes: &[u8]) -> Self {
        Sum { sums: (big_endian(bytes), big_endian(&bytes[4..])), ..self }
    }

    fn bytes(self) -> [u8; 8] {
        ((u64::from(self.sums.0) << 32) | u64::from(self.sums.1)).to_be_bytes()
    }

    fn is(self, bytes: &[u8]) -> bool {
        self.bytes() == bytes
    }
}

/// The number in the first four bytes.
fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| (number << 8) | u32::from(*byte))
}
