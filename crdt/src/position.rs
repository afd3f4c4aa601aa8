//! Places in a list that never change: with them a list is a map, and needs no tombstones.
//!
//! The one idea (Weidner and Kleppmann, "The Art of the Fugue", 2023, and Weidner's position strings): a list is read
//! off a tree in order, and a [`Position`] is the path to an element of that tree, coded so that the order of the
//! *bytes* is the order of the list. Whoever inserts hangs a new node between two neighbours, by Fugue's rule:
//!
//! ```text
//!   right is below left, on its right side  →  the new node hangs on the left side of right
//!   otherwise                               →  the new node hangs on the right side of left
//! ```
//!
//! So all that one person types at a place, forward or backward, is one subtree; **what two people type at the same
//! place at once never interleaves.** A run is a *bunch*: numbered elements that share one id, so that the path of
//! the next one is no longer than that of the one before but for the digits of its number.
//!
//! ```text
//!   position := step+                        each a bunch and a number in it
//!   step     := replica seq code
//!   replica  := 0..0xDF                      that of the step so many before the step before this one, or
//!             | 0xE0+5 bits, 6 bytes         spelled out
//!   seq      := number                        of the bunch's first event, less that of the step referred to
//!   code     := signed number                 2n + 1: element n, then what hangs on its right side
//!                                             2n:     what hangs on the left side of element n
//!
//!   number:         0xxxxxxx | 10xxxxxx x | 110xxxxx x x | ..  the leading ones count the bytes that follow
//!   signed number:  10xxxxxx | 110xxxxx x | ..                 from zero up; below, all bits of !n inverted
//! ```
//!
//! Numbers are coded as shortly as they can be, so a place has one code. The last code of a position is odd, and so is
//! its last byte: that of what hangs on its left side is one less.
//!
//! What is deliberately not here: a limit on how *deep* a tree grows. Each change of the place of typing may add a
//! step of some 4 bytes; a path that would be longer than [`POSITION_BYTES_MAX`] is not made.

use crate::{Dot, ReplicaId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Borrow;

/// No position is longer, in bytes.
pub const POSITION_BYTES_MAX: usize = 1024;

/// No step is longer: a replica, two numbers.
const STEP_BYTES_MAX: usize = 7 + 9 + 9;

/// From this length on, in bytes, [`Position::at`] looks for a shorter place, at the cost of Fugue's guarantee.
const LONG: usize = 64;

/// The first byte of a replica that is spelled out; lower ones refer to a step before.
const SPELLED: u8 = 0xE0;

/// A place in a list, between any two others: ordered as its bytes are, equal on all replicas, never reused.
///
/// ```
/// use watersmeet_crdt::{Dot, ReplicaId, position::Position};
/// let first = Position::between(None, None, Dot { replica: ReplicaId::new(1), seq: 1 });
/// let last = first.next();
/// let middle =
///     Position::between(Some(first.as_bytes()), Some(last.as_bytes()), Dot { replica: ReplicaId::new(2), seq: 1 });
/// assert!(first < middle && middle < last);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position(Box<[u8]>);

impl Position {
    /// The first element of a new bunch, strictly between two neighbours that are themselves in order; `None` is the
    /// list's end. `bunch` is an event that makes no other bunch.
    ///
    /// The neighbours may be any bytes. Where nothing fits between them (`right` is `left` and zeros, which no
    /// position is, or the path would be longer than [`POSITION_BYTES_MAX`]), the answer is a position elsewhere,
    /// near `left` if that is one. Next to bytes that are no position the answer may be none either, as
    /// [`from_bytes`](Self::from_bytes) has it: refuse those at the door.
    ///
    /// ```
    /// use watersmeet_crdt::{Dot, ReplicaId, position::Position};
    /// let dot = |replica| Dot { replica: ReplicaId::new(replica), seq: 1 };
    /// let end = Position::between(None, None, dot(1));
    /// let start = Position::between(None, Some(end.as_bytes()), dot(2));
    /// assert!(start < end);
    /// ```
    #[must_use]
    pub fn between(left: Option<&[u8]>, right: Option<&[u8]>, bunch: Dot) -> Position {
        let after_left = || right_child(left.unwrap_or_default(), bunch);
        let before_right = || right.and_then(|right| left_child(right, bunch));
        let fits = |made: &Vec<u8>| made.len() <= POSITION_BYTES_MAX && is_between(left, right, made);
        let made = if is_below(left, right) {
            before_right().filter(fits).or_else(|| Some(after_left()).filter(fits))
        } else {
            Some(after_left()).filter(fits).or_else(|| before_right().filter(fits))
        };
        Position(made.unwrap_or_else(|| elsewhere(left.or(right).unwrap_or_default(), bunch)).into())
    }

    /// The position of the one element that the event `dot` inserts: as [`between`](Self::between), but continuing,
    /// forward or backward, the run that `dot`'s replica was making there.
    ///
    /// An element's number in its bunch is then that of its event, counted from the bunch's: so without any memory no
    /// position is made twice, even where what stood there has been removed. An event that makes more than one
    /// position uses [`between`](Self::between) and [`next`](Self::next) instead, and only those.
    ///
    /// Where paths have become long, it prefers to continue a run further up in the tree. People who take turns then
    /// make no ever deeper tree, but what they type there may interleave.
    ///
    /// ```
    /// use watersmeet_crdt::{Dot, ReplicaId, position::Position};
    /// let dot = |seq| Dot { replica: ReplicaId::new(1), seq };
    /// let one = Position::at(None, None, dot(1));
    /// let two = Position::at(Some(one.as_bytes()), None, dot(2));
    /// assert!(one < two && two.as_bytes().len() == one.as_bytes().len());
    /// ```
    #[must_use]
    pub fn at(left: Option<&[u8]>, right: Option<&[u8]>, dot: Dot) -> Position {
        let fits = |made: &Vec<u8>| made.len() <= POSITION_BYTES_MAX && is_between(left, right, made);
        let made = left
            .and_then(|left| continued(left, Direction::Forward, dot, fits))
            .or_else(|| right.and_then(|right| continued(right, Direction::Backward, dot, fits)));
        made.map_or_else(|| Position::between(left, right, dot), |made| Position(made.into()))
    }

    /// The following element of the same bunch; for the bunch's creator only, and only once. It is where the bunch
    /// is: before whatever right neighbour the bunch was made for.
    ///
    /// ```
    /// use watersmeet_crdt::{Dot, ReplicaId, position::Position};
    /// let mut run = vec![Position::between(None, None, Dot { replica: ReplicaId::new(1), seq: 1 })];
    /// for _ in 1..10_000 {
    ///     run.push(run[run.len() - 1].next());
    /// }
    /// assert!(run.is_sorted());
    /// assert_eq!((run[0].as_bytes().len(), run[9_999].as_bytes().len()), (9, 11));
    /// ```
    #[must_use]
    pub fn next(&self) -> Position {
        self.beside(Direction::Forward)
    }

    /// The preceding element of the same bunch; for the bunch's creator only, and only once. It is where the bunch
    /// is: after whatever left neighbour the bunch was made for.
    ///
    /// ```
    /// use watersmeet_crdt::{Dot, ReplicaId, position::Position};
    /// let end = Position::between(None, None, Dot { replica: ReplicaId::new(1), seq: 1 });
    /// assert!(end.prev() < end && end.prev().prev() < end.prev());
    /// ```
    #[must_use]
    pub fn prev(&self) -> Position {
        self.beside(Direction::Backward)
    }

    /// Its bytes, in the order of which positions are ordered.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From bytes from elsewhere; nothing if no replica could have made them.
    ///
    /// ```
    /// use watersmeet_crdt::{Dot, ReplicaId, position::Position};
    /// let position = Position::between(None, None, Dot { replica: ReplicaId::new(1), seq: 1 });
    /// assert_eq!(Position::from_bytes(position.as_bytes()), Some(position));
    /// assert_eq!(Position::from_bytes(b"elsewhere"), None);
    /// ```
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Position> {
        is_position(bytes).then(|| Position(bytes.into()))
    }

    fn beside(&self, direction: Direction) -> Position {
        let last = RawSteps { bytes: &self.0, at: 0 }.last().flatten();
        let numbered = last.and_then(|step| {
            let code = step.code.checked_add(2 * direction.sign())?;
            Some(with_code(&self.0[..step.code_at], code))
        });
        Position(numbered.unwrap_or_else(|| self.beside_unknown(direction)).into())
    }

    /// [`beside`](Self::beside) for what [`between`](Self::between) made next to bytes that are no position: only the
    /// last byte is known to be ours.
    fn beside_unknown(&self, direction: Direction) -> Vec<u8> {
        let mut bytes = self.0.to_vec();
        match (direction, bytes.last_mut()) {
            (Direction::Forward, Some(last)) if (0x81..0xBF).contains(last) => *last += 2,
            (Direction::Backward, Some(last)) if (0x82..=0xBF).contains(last) => *last -= 2,
            (Direction::Backward, Some(last)) => {
                *last = last.saturating_sub(1);
                bytes.push(0xBF);
            }
            (Direction::Forward, _) | (_, None) => bytes.push(0x81),
        }
        bytes
    }
}

/// Whether some replica could have made a position of these bytes.
pub(crate) fn is_position(bytes: &[u8]) -> bool {
    let last = || path(bytes).and_then(|mut path| path.pop());
    bytes.len() <= POSITION_BYTES_MAX && last().is_some_and(|step| step.code % 2 != 0)
}

impl<'de> Deserialize<'de> for Position {
    /// As [`from_bytes`](Position::from_bytes): what no replica could have made is an error.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        Position::from_bytes(&bytes).ok_or_else(|| D::Error::custom("these bytes are no position"))
    }
}

impl Borrow<[u8]> for Position {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Position {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Forward,
    Backward,
}

impl Direction {
    fn sign(self) -> i64 {
        match self {
            Direction::Forward => 1,
            Direction::Backward => -1,
        }
    }
}

fn is_between(left: Option<&[u8]>, right: Option<&[u8]>, made: &[u8]) -> bool {
    left.is_none_or(|left| left < made) && right.is_none_or(|right| made < right)
}

/// Whether `right` is below `left` in the tree, on its right side. In a bunch, element n + 1 counts as the right child
/// of element n from 0 on, and element n as the left child of n + 1 before that.
fn is_below(left: Option<&[u8]>, right: Option<&[u8]>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return left.is_none() };
    let in_bunch = || {
        let step = RawSteps { bytes: left, at: 0 }.last().flatten()?;
        Some(step.code >= 0 && right.starts_with(&left[..step.code_at]))
    };
    right.starts_with(left) || in_bunch().unwrap_or(false)
}

/// The first element of a bunch on the right side of `parent`.
fn right_child(parent: &[u8], bunch: Dot) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parent.len() + STEP_BYTES_MAX);
    bytes.extend_from_slice(parent);
    push_step(&mut bytes, bunch);
    bytes
}

/// The first element of a bunch on the left side of `parent`; if there is one, for bytes that are no position.
fn left_child(parent: &[u8], bunch: Dot) -> Option<Vec<u8>> {
    let last = parent.iter().rposition(|byte| *byte > 0)?;
    let mut bytes = Vec::with_capacity(last + 1 + STEP_BYTES_MAX);
    bytes.extend_from_slice(&parent[..=last]);
    bytes[last] -= 1;
    push_step(&mut bytes, bunch);
    Some(bytes)
}

/// A position that has room, as far down the path `near` as there is some.
fn elsewhere(near: &[u8], bunch: Dot) -> Vec<u8> {
    let path = path(near).unwrap_or_default();
    let with_room = path.iter().rev().find(|step| step.end + STEP_BYTES_MAX <= POSITION_BYTES_MAX);
    right_child(&near[..with_room.map_or(0, |step| step.end)], bunch)
}

/// The element of event `dot` in a bunch of its replica, if `neighbour` is in one and the element `fits`; in a bunch
/// further up if the path is long.
fn continued(
    neighbour: &[u8],
    direction: Direction,
    dot: Dot,
    fits: impl Fn(&Vec<u8>) -> bool,
) -> Option<Vec<u8>> {
    let path = path(neighbour)?;
    let (innermost, above) = path.split_last()?;
    let above = if neighbour.len() > LONG { above } else { &[] };
    // On from an element before 0 there may be others' insertions, on its right side.
    let open = |step: &&Step| step.code >= 0 || matches!(direction, Direction::Backward);
    let mine = |step: &&Step| step.bunch.replica == dot.replica;
    std::iter::once(innermost).chain(above).filter(mine).filter(open).find_map(|step| {
        let number = i64::try_from(dot.seq.checked_sub(step.bunch.seq)?).ok().filter(|number| *number > 0)?;
        let code = number.checked_mul(2 * direction.sign())?.checked_add(1)?;
        Some(with_code(&neighbour[..step.code_at], code)).filter(&fits)
    })
}

/// A step of a path, and where it stands.
struct Step {
    bunch: Dot,
    code: i64,
    code_at: usize,
    end: usize,
}

/// A step as it is written: its replica perhaps only referred to.
struct RawStep {
    replica: Replica,
    seq: u64,
    code: i64,
    code_at: usize,
    end: usize,
}

enum Replica {
    Back(usize),
    Spelled(u64),
}

/// The steps of a path as they are written; `None` where it is malformed, and after that no more.
struct RawSteps<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for RawSteps<'_> {
    type Item = Option<RawStep>;

    fn next(&mut self) -> Option<Option<RawStep>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let step = read_step(self.bytes, self.at);
        self.at = step.as_ref().map_or(self.bytes.len(), |step| step.end);
        Some(step)
    }
}

fn read_step(bytes: &[u8], at: usize) -> Option<RawStep> {
    let first = *bytes.get(at)?;
    let (replica, seq_at) = if first < SPELLED {
        (Replica::Back(usize::from(first)), at + 1)
    } else {
        (Replica::Spelled(big_endian(first - SPELLED, bytes.get(at + 1..at + 7)?)), at + 7)
    };
    let (seq, code_at) = read_number(bytes, seq_at, 0, 0)?;
    let flip = if bytes.get(code_at)? < &0x80 { 0xFF } else { 0 };
    let (magnitude, end) = read_number(bytes, code_at, 1, flip)?;
    let magnitude = i64::try_from(magnitude).ok()?;
    Some(RawStep { replica, seq, code: if flip == 0 { magnitude } else { !magnitude }, code_at, end })
}

/// The steps of a path; nothing unless it is written as [`push_step`] and [`push_code`] write it.
fn path(bytes: &[u8]) -> Option<Vec<Step>> {
    let mut path: Vec<Step> = Vec::with_capacity(4);
    for step in (RawSteps { bytes, at: 0 }) {
        let RawStep { replica, seq, code, code_at, end } = step?;
        let bunch = match replica {
            Replica::Back(back) => {
                let referred = path.get(path.len().checked_sub(1 + back)?)?.bunch;
                Dot { replica: referred.replica, seq: referred.seq.wrapping_add(seq) }
            }
            Replica::Spelled(id) => Dot { replica: ReplicaId::try_from(id).ok()?, seq },
        };
        let nearest = nearest(&path, bunch.replica).map(|(back, _)| back);
        if nearest != (if let Replica::Back(back) = replica { Some(back) } else { None }) {
            return None;
        }
        path.push(Step { bunch, code, code_at, end });
    }
    Some(path)
}

/// The nearest step that a step of `replica` at the end of `path` can refer to: how many before the last, and its seq.
fn nearest(path: &[Step], replica: ReplicaId) -> Option<(usize, u64)> {
    let before = path.iter().rev().take(usize::from(SPELLED)).enumerate();
    before.filter(|(_, step)| step.bunch.replica == replica).map(|(back, step)| (back, step.bunch.seq)).next()
}

/// Writes the step to element 0 of `bunch` at the end of a path.
fn push_step(bytes: &mut Vec<u8>, bunch: Dot) {
    let nearest = path(bytes).and_then(|path| nearest(&path, bunch.replica));
    if let Some((Ok(back), seq)) = nearest.map(|(back, seq)| (u8::try_from(back), seq)) {
        bytes.push(back);
        push_number(bytes, bunch.seq.wrapping_sub(seq), 0, 0);
    } else {
        let [_, id @ ..] = bunch.replica.get().to_be_bytes();
        bytes.extend_from_slice(&id);
        let first = bytes.len() - id.len();
        bytes[first] |= SPELLED;
        push_number(bytes, bunch.seq, 0, 0);
    }
    push_code(bytes, 1);
}

fn with_code(bunch: &[u8], code: i64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bunch.len() + 9);
    bytes.extend_from_slice(bunch);
    push_code(&mut bytes, code);
    bytes
}

fn push_code(bytes: &mut Vec<u8>, code: i64) {
    let (magnitude, flip) = if code < 0 { (!code, 0xFF) } else { (code, 0) };
    push_number(bytes, magnitude.unsigned_abs(), 1, flip);
}

/// How many bytes follow the first one of a number, of which `lead` bits are ones whatever follows.
fn bytes_following(number: u64, lead: u32) -> u32 {
    let bits = u64::BITS - number.leading_zeros();
    (0..=7 - lead).find(|following| bits <= 7 - lead + 7 * following).unwrap_or(8)
}

/// Writes a number so that the order of bytes is that of numbers, and none begins another.
fn push_number(bytes: &mut Vec<u8>, number: u64, lead: u32, flip: u8) {
    let following = bytes_following(number, lead);
    let start = bytes.len();
    if following == 8 {
        bytes.push(0xFF);
        bytes.extend_from_slice(&number.to_be_bytes());
    } else {
        let digits = number.to_be_bytes();
        bytes.extend_from_slice(&digits[7 - following as usize..]);
        bytes[start] |= !ones_below(8 - lead - following);
    }
    bytes[start..].iter_mut().for_each(|byte| *byte ^= flip);
}

/// Reads what [`push_number`] wrote, and says where it ends; nothing if a shorter code would have done.
fn read_number(bytes: &[u8], at: usize, lead: u32, flip: u8) -> Option<(u64, usize)> {
    let first = bytes.get(at)? ^ flip;
    let ones = first.leading_ones();
    let following = if ones == 8 { 8 } else { ones.checked_sub(lead)? };
    let end = at + 1 + following as usize;
    let mut digits = [0; 8];
    let given = bytes.get(at + 1..end)?;
    digits[..given.len()].copy_from_slice(given);
    digits.iter_mut().for_each(|digit| *digit ^= flip);
    let number = big_endian(if ones == 8 { 0 } else { first & ones_below(7 - ones) }, &digits[..given.len()]);
    (bytes_following(number, lead) == following).then_some((number, end))
}

/// A byte with its lower `bits` set, of 8 at most.
fn ones_below(bits: u32) -> u8 {
    0xFF_u8.checked_shr(8 - bits).unwrap_or(0)
}

fn big_endian(first: u8, rest: &[u8]) -> u64 {
    rest.iter().fold(u64::from(first), |number, byte| number << 8 | u64::from(*byte))
}
