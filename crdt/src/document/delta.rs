//! What one replica tells another: its bytes, and the walk that reads them.
//!
//! The one idea: a delta *is* its bytes. They are checked once, when they are decoded, in a walk that allocates nothing
//! to speak of; applying them is a second walk, straight into the table, with no tree in between.

use super::Few;
use super::format::{
    BARE, EXPECTED, FORMAT, HEAD_BITS, LAST, SEVERAL, SHARED_MAX, SHORT_BYTES, SHORT_TEXT, SMALL_INT, SOLE,
    STAMP_EPOCH,
};
use super::kind::{Kind, Payload};
use super::limits::{
    EVENTS_MAX, KEY_BYTES_MAX, PATH_KEYS_MAX, POSITION_BYTES_MAX, VALUE_BYTES_MAX, VALUE_DEPTH_MAX,
};
use super::log::Run;
use super::once::Once;
use super::table::Name;
use crate::dot::REPLICAS_MAX;
use crate::position::is_position;
use crate::value::canonical;
use crate::wire::{Reader, unzigzag};
use crate::{Dot, ReplicaId, Stamp, Value, VersionVector};
use bytes::Bytes;
use smallvec::SmallVec;
use std::cmp::Ordering;

pub use crate::wire::DecodeError;

/// The events between two versions, as one group: which dots they removed, and what they added that is still alive.
///
/// A state is the delta from nothing: it may be applied anywhere.
#[derive(Clone, Debug)]
pub struct Delta {
    bytes: Bytes,
    from: VersionVector,
    to: VersionVector,
    latest: Stamp,
    removed: Vec<Run>,
    columns: Offsets,
}

/// Where the columns begin, and how much is in them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offsets {
    pub(crate) tree: usize,
    pub(crate) dots: usize,
    pub(crate) stamps: usize,
    pub(crate) tags: usize,
    pub(crate) values: usize,
    pub(crate) dots_count: u64,
    pub(crate) stamps_count: u64,
    /// Whether each dot is the one expected, and the column of dots absent.
    pub(crate) expected: bool,
}

impl PartialEq for Delta {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Delta {}

impl Delta {
    /// What the receiver must already have: of the replicas that the delta speaks of, how many events. It does not
    /// name others, so that one more edit among a thousand replicas does not cost a thousand numbers.
    pub fn from(&self) -> &VersionVector {
        &self.from
    }

    /// What the receiver has after it, of the replicas that the delta speaks of.
    pub fn to(&self) -> &VersionVector {
        &self.to
    }

    /// The latest stamp of the writes in it. One far in the future comes from a wrong clock.
    pub fn latest(&self) -> Stamp {
        self.latest
    }

    /// Whether it says nothing new to whoever has [`from`](Self::from).
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The dots that were removed, of those that the receiver has; ascending.
    pub(crate) fn removed(&self) -> &[Run] {
        &self.removed
    }

    /// How many events it adds.
    pub(crate) fn additions(&self) -> u64 {
        self.columns.dots_count
    }

    /// What has just been encoded.
    pub(crate) fn made(
        bytes: Bytes,
        replicas: &[Replica],
        removed: &[Run],
        latest: Stamp,
        columns: Offsets,
    ) -> Self {
        Delta {
            bytes,
            from: replicas.iter().map(|(replica, from, _)| (*replica, *from)).collect(),
            to: replicas.iter().map(|(replica, _, to)| (*replica, *to)).collect(),
            latest,
            removed: removed.to_vec(),
            columns,
        }
    }

    /// Takes in bytes from elsewhere.
    ///
    /// # Errors
    /// If the bytes are not a delta, name something out of order, or are beyond a [limit](super::limits). Allocates no
    /// more than the bytes' length warrants. Bytes that say the same otherwise, such as a long number for a short one,
    /// are taken in: what a document tells of it has one form again.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::read(Bytes::copy_from_slice(bytes))
    }

    /// As [`decode`](Self::decode), without a copy of the bytes.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn read(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&bytes);
        let first = reader.byte("format")?;
        let (format, flags) = (first & 0x0f, first & 0xf0);
        if format != FORMAT || flags & !(SOLE | BARE | EXPECTED) != 0 {
            return Err(DecodeError::Format { found: first });
        }
        let sole = flags & SOLE != 0;
        let replicas = read_replicas(&mut reader, sole)?;
        let removed = if sole { Vec::new() } else { read_removed(&mut reader, &replicas)? };
        if flags & EXPECTED != 0 && replicas.len() != 1 {
            return Err(reader.invalid("flags"));
        }
        let mut delta = Delta {
            bytes: Bytes::new(),
            from: replicas.iter().map(|(replica, from, _)| (*replica, *from)).collect(),
            to: replicas.iter().map(|(replica, _, to)| (*replica, *to)).collect(),
            latest: Stamp::default(),
            removed,
            columns: Offsets { tree: reader.at(), expected: flags & EXPECTED != 0, ..Offsets::default() },
        };
        if flags & BARE == 0 {
            delta.columns.dots = delta.check(&mut reader, &replicas)?;
        }
        reader.end()?;
        delta.bytes = bytes;
        Ok(delta)
    }

    /// Reads every column once, and notes where each begins.
    fn check(&mut self, reader: &mut Reader<'_>, replicas: &[Replica]) -> Result<usize, DecodeError> {
        let mut cells = Cells::default();
        Walker::default().children(reader, Kind::Map, 0, &mut cells)?;
        let columns = &mut self.columns;
        (columns.dots_count, columns.stamps_count) = (cells.dots, cells.stamps);
        let dots_at = reader.at();
        let mut dots = Dots::new(reader.clone(), replicas, cells.dots, columns.expected);
        let mut once = Once::new(replicas, cells.dots);
        for run in &cells.runs {
            for _ in 0..run.cells {
                let mut last = None;
                for _ in 0..run.dots {
                    let dot @ (replica, _) = dots.next()?;
                    if last.is_some_and(|last| last >= replica) {
                        return Err(dots.reader.invalid("dot"));
                    }
                    last = Some(replica);
                    once.meet(dot);
                }
            }
        }
        if once.met_twice() {
            return Err(dots.reader.invalid("dot"));
        }
        columns.stamps = dots.reader.at();
        let mut stamps = Stamps::new(dots.reader, cells.stamps);
        for _ in 0..cells.stamps {
            self.latest = self.latest.max(stamps.next()?);
        }
        columns.tags = stamps.reader.at();
        let mut tags = Tags::new(stamps.reader, cells.stamps);
        for _ in 0..cells.stamps {
            tags.next()?;
        }
        columns.values = tags.reader.at();
        let mut values = tags.reader.clone();
        let mut tags = Tags::new(Reader::from(reader.all(), columns.tags), cells.stamps);
        for run in &cells.runs {
            for _ in 0..run.cells.saturating_mul(run.dots) {
                check_payload(&mut values, &mut tags, run.payload)?;
            }
        }
        *reader = values;
        Ok(dots_at)
    }

    /// Walks over what the delta adds.
    pub(crate) fn walk(&self, visitor: &mut impl Visitor) -> Result<(), DecodeError> {
        if self.additions() == 0 {
            return Ok(());
        }
        Walker::default().children(&mut self.reader(self.columns.tree), Kind::Map, 0, visitor)
    }

    /// Reads what the cells say, in the order of the walk.
    pub(crate) fn contents(&self) -> Contents<'_> {
        let replicas: Few<Replica> =
            self.to.beside(&self.from).map(|(replica, to, from)| (replica, from, to)).collect();
        Contents {
            dots: Dots::new(
                self.reader(self.columns.dots),
                &replicas,
                self.columns.dots_count,
                self.columns.expected,
            ),
            stamps: Stamps::new(self.reader(self.columns.stamps), self.columns.stamps_count),
            tags: Tags::new(self.reader(self.columns.tags), self.columns.stamps_count),
            values: self.reader(self.columns.values),
        }
    }

    fn reader(&self, at: usize) -> Reader<'_> {
        Reader::from(&self.bytes, at)
    }
}

/// A replica that a delta speaks of: from where, and up to where.
pub(crate) type Replica = (ReplicaId, u64, u64);

fn read_replicas(reader: &mut Reader<'_>, sole: bool) -> Result<Few<Replica>, DecodeError> {
    let count = if sole { 1 } else { reader.count("replicas")? };
    if count > REPLICAS_MAX {
        return Err(DecodeError::Limit { what: "replicas", limit: REPLICAS_MAX });
    }
    let mut replicas: Few<Replica> = Few::new();
    let mut last = 0u64;
    for index in 0..count {
        let step = reader.id("replica")?;
        let (from, gained) = (reader.number("version")?, reader.number("version")?);
        let (id, to) = (last.saturating_add(step), from.saturating_add(gained));
        if id > ReplicaId::MAX || (step == 0 && index > 0) || to == 0 || to > EVENTS_MAX {
            return Err(reader.invalid("version"));
        }
        replicas.push((ReplicaId::new(id), from, to));
        last = id;
    }
    Ok(replicas)
}

fn read_removed(reader: &mut Reader<'_>, replicas: &[Replica]) -> Result<Vec<Run>, DecodeError> {
    let mut removed = Vec::new();
    let (mut place, mut end) = (0usize, 0u64);
    for _ in 0..reader.count("removed")? {
        let head = reader.number("removed")?;
        if head > 1 {
            place = place.saturating_add(usize::try_from(head >> 1).unwrap_or(usize::MAX));
            end = 0;
        }
        let first = end.saturating_add(reader.number("removed")?).saturating_add(1);
        let more = if head & 1 == 1 { reader.number("removed")?.saturating_add(1) } else { 0 };
        end = first.saturating_add(more);
        match replicas.get(place) {
            Some((replica, from, _)) if end <= *from => {
                removed.push(Run { first: Dot { replica: *replica, seq: first }, last: end });
            }
            _ => return Err(reader.invalid("removed")),
        }
    }
    Ok(removed)
}

/// What is told of each entry of a delta's tree. Answering with an error ends the walk.
pub(crate) trait Visitor {
    /// A map, set or list begins.
    fn enter(&mut self, kind: Kind, name: Name<'_>) -> Result<(), DecodeError>;
    /// It ends.
    fn leave(&mut self);
    /// An entry with so many events, one or more.
    fn cell(&mut self, kind: Kind, name: Name<'_>, events: u64) -> Result<(), DecodeError>;
}

/// Walks over the tree column.
#[derive(Default)]
struct Walker<'a> {
    levels: SmallVec<[Level<'a>; 4]>,
}

/// The name that was read last on a level of the tree.
#[derive(Default)]
struct Level<'a> {
    /// The kind of a key, or the tag of an item; none before the first.
    what: Option<u8>,
    /// Text or bytes, if they shared nothing with those before: they need not be copied.
    read: Option<&'a [u8]>,
    /// Else what they were put together to.
    made: Vec<u8>,
    /// Any other item.
    scalar: Value,
}

const TEXT: u8 = 4;
const BYTES: u8 = 5;

impl<'a> Walker<'a> {
    fn children(
        &mut self,
        reader: &mut Reader<'a>,
        parent: Kind,
        depth: usize,
        visitor: &mut impl Visitor,
    ) -> Result<(), DecodeError> {
        if self.levels.len() <= depth {
            self.levels.push(Level::default());
        }
        // Put aside while the levels below are read.
        let mut level = std::mem::take(&mut self.levels[depth]);
        (level.what, level.read) = (None, None);
        level.made.clear();
        let mut last = false;
        while !last {
            let head = reader.number("kind")?;
            last = head & LAST != 0;
            let (what, several) = ((head & 7) as u8, head & SEVERAL != 0);
            let kind = match parent {
                Kind::Map => Kind::ALL[usize::from(what)],
                parent => parent,
            };
            let run = usize::try_from(head >> HEAD_BITS).unwrap_or(usize::MAX).saturating_add(1);
            for _ in 0..run {
                level.read(reader, parent, what)?;
                let name = level.name(parent, what).ok_or(reader.invalid("key"))?;
                if parent == Kind::Map && kind.is_container() {
                    if several {
                        return Err(reader.invalid("kind"));
                    }
                    if depth + usize::from(kind == Kind::Map) >= PATH_KEYS_MAX {
                        return Err(DecodeError::Limit { what: "keys in a path", limit: PATH_KEYS_MAX });
                    }
                    visitor.enter(kind, name)?;
                    self.children(reader, kind, depth + 1, visitor)?;
                    visitor.leave();
                } else {
                    let events = if several { reader.number("dots")?.saturating_add(2) } else { 1 };
                    visitor.cell(kind, name, events)?;
                }
            }
        }
        self.levels[depth] = level;
        Ok(())
    }
}

impl<'a> Level<'a> {
    /// Reads the next name, which must come after the last.
    fn read(&mut self, reader: &mut Reader<'a>, parent: Kind, what: u8) -> Result<(), DecodeError> {
        let (tag, max) = match parent {
            Kind::Map => (TEXT, KEY_BYTES_MAX),
            Kind::List => (BYTES, POSITION_BYTES_MAX),
            _ => (what, VALUE_BYTES_MAX),
        };
        let same = match parent {
            Kind::Map | Kind::List => self.what.is_some(),
            _ => self.what == Some(what),
        };
        let ascends = match tag {
            TEXT | BYTES => {
                let order = self.read_bytes(reader, same, max)?;
                order.is_gt() || order.is_eq() && parent == Kind::Map && self.what < Some(what)
            }
            2 if same => {
                let step = reader.number("item")?.cast_signed();
                let last = self.scalar.int().unwrap_or_default();
                self.scalar = Value::Int(last.wrapping_add(step));
                self.scalar.int() > Some(last)
            }
            _ => {
                let item = read_content(reader, tag, 0)?;
                let ascends = !same || self.scalar < item;
                self.scalar = item;
                ascends
            }
        };
        let ascends = ascends && (same || self.what.is_none_or(|last| last < what));
        self.what = Some(what);
        if ascends { Ok(()) } else { Err(reader.invalid("order of keys")) }
    }

    /// Reads text or bytes by what they do not share with the last; answers with how they compare to it.
    fn read_bytes(
        &mut self,
        reader: &mut Reader<'a>,
        same: bool,
        max: usize,
    ) -> Result<Ordering, DecodeError> {
        let last = self.bytes();
        let head = if same { reader.number("key")? } else { 1 };
        let shared = usize::try_from(head >> 1).unwrap_or(usize::MAX);
        if shared > SHARED_MAX.min(last.len()) {
            return Err(reader.invalid("key"));
        }
        let rest = match head & 1 {
            1 => reader.bytes("key", max)?,
            _ => reader.take(last.len() - shared, "key")?,
        };
        if shared + rest.len() > max {
            return Err(DecodeError::Limit { what: "key", limit: max });
        }
        let order = if same { rest.cmp(&last[shared..]) } else { Ordering::Greater };
        if shared == 0 {
            self.read = Some(rest);
        } else {
            if let Some(read) = self.read.take() {
                self.made.clear();
                self.made.extend_from_slice(&read[..shared]);
            }
            self.made.truncate(shared);
            self.made.extend_from_slice(rest);
        }
        Ok(order)
    }

    /// The text or bytes.
    fn bytes(&self) -> &[u8] {
        self.read.unwrap_or(&self.made)
    }

    fn name(&self, parent: Kind, what: u8) -> Option<Name<'_>> {
        match (parent, what) {
            (Kind::List, _) => is_position(self.bytes()).then(|| Name::Bytes(self.bytes())),
            (Kind::Map, _) | (_, TEXT) => std::str::from_utf8(self.bytes()).ok().map(Name::Text),
            (_, BYTES) => Some(Name::Bytes(self.bytes())),
            _ => Some(Name::Value(&self.scalar)),
        }
    }
}

/// The cells of a tree, as runs of like ones: what the other columns hold.
#[derive(Default)]
struct Cells {
    runs: Few<CellRun>,
    dots: u64,
    stamps: u64,
}

#[derive(Clone, Copy)]
struct CellRun {
    payload: Payload,
    dots: u64,
    cells: u64,
}

impl Visitor for Cells {
    fn enter(&mut self, _: Kind, _: Name<'_>) -> Result<(), DecodeError> {
        Ok(())
    }

    fn leave(&mut self) {}

    fn cell(&mut self, kind: Kind, _: Name<'_>, dots: u64) -> Result<(), DecodeError> {
        let payload = kind.payload();
        self.dots = self.dots.saturating_add(dots);
        if payload == Payload::Written {
            self.stamps = self.stamps.saturating_add(dots);
        }
        match self.runs.last_mut() {
            Some(run) if run.payload == payload && run.dots == dots => run.cells += 1,
            _ => self.runs.push(CellRun { payload, dots, cells: 1 }),
        }
        Ok(())
    }
}

/// What the cells of a delta say, column by column.
pub(crate) struct Contents<'a> {
    dots: Dots<'a>,
    stamps: Stamps<'a>,
    tags: Tags<'a>,
    values: Reader<'a>,
}

impl Contents<'_> {
    /// The next event: the place of its replica in the delta, its number, and whatever it says.
    pub(crate) fn next(&mut self, payload: Payload) -> Result<(usize, u64, Stamp, Value), DecodeError> {
        let (replica, seq) = self.dots.next()?;
        let (mut stamp, mut value) = (Stamp::default(), Value::Null);
        match payload {
            Payload::Written => {
                stamp = self.stamps.next()?;
                value = read_rest(&mut self.values, self.tags.next()?, 0)?;
            }
            Payload::Subtotal => value = Value::Int(self.values.signed("subtotal")?),
            Payload::Mark => value = Value::Bool(read_bool(&mut self.values)?),
            Payload::Nothing => {}
        }
        Ok((replica, seq, stamp, value))
    }
}

/// Reads the column of dots.
struct Dots<'a> {
    reader: Reader<'a>,
    /// Of each replica the event after the last that was read, the first, and the last that may come.
    replicas: Few<(u64, u64, u64)>,
    left: u64,
    /// How many more dots are in this block.
    block: u64,
    /// The replica of which this block is a run.
    run: Option<usize>,
}

impl<'a> Dots<'a> {
    /// Where each dot is the one expected of the sole replica they are a run that nothing is told of.
    fn new(reader: Reader<'a>, replicas: &[Replica], left: u64, expected: bool) -> Self {
        let replicas = replicas.iter().map(|(_, from, to)| (from + 1, from + 1, *to)).collect();
        let (block, run) = if expected { (left, Some(0)) } else { (0, None) };
        Dots { reader, replicas, left, block, run }
    }

    fn next(&mut self) -> Result<(usize, u64), DecodeError> {
        if self.block == 0 {
            return self.begin();
        }
        self.block -= 1;
        self.left = self.left.saturating_sub(1);
        match self.run {
            Some(replica) => self.advance(replica, 0),
            None => self.literal(),
        }
    }

    /// Begins a block, and reads its first dot.
    fn begin(&mut self) -> Result<(usize, u64), DecodeError> {
        let (more, run) = begin_block(&mut self.reader, self.left)?;
        self.left -= 1;
        self.block = more;
        let first = self.literal()?;
        self.run = run.then_some(first.0);
        Ok(first)
    }

    fn literal(&mut self) -> Result<(usize, u64), DecodeError> {
        let n = self.reader.wide("dot")?;
        let count = self.replicas.len().max(1);
        let (away, replica) = match u64::try_from(n) {
            Ok(n) if count == 1 => (n, 0),
            Ok(n) => (n / count as u64, usize::try_from(n % count as u64).unwrap_or(count)),
            Err(_) => {
                let away = u64::try_from(n / count as u128).map_err(|_| self.reader.invalid("dot"))?;
                (away, usize::try_from(n % count as u128).unwrap_or(count))
            }
        };
        self.advance(replica, unzigzag(away))
    }

    /// The dot that is so far from the one expected of a replica.
    fn advance(&mut self, replica: usize, away: i64) -> Result<(usize, u64), DecodeError> {
        let Some((expected, first, last)) = self.replicas.get_mut(replica) else {
            return Err(self.reader.invalid("dot"));
        };
        let seq = expected.wrapping_add(away.cast_unsigned());
        if seq < *first || seq > *last {
            return Err(self.reader.invalid("dot"));
        }
        *expected = seq + 1;
        Ok((replica, seq))
    }
}

/// Reads the column of stamps.
struct Stamps<'a> {
    reader: Reader<'a>,
    left: u64,
    /// How many more are like the last.
    run: u64,
    millis: i64,
    stamp: Stamp,
}

impl<'a> Stamps<'a> {
    fn new(reader: Reader<'a>, left: u64) -> Self {
        Stamps { reader, left, run: 0, millis: STAMP_EPOCH, stamp: Stamp::default() }
    }

    fn next(&mut self) -> Result<Stamp, DecodeError> {
        if self.run > 0 {
            self.run -= 1;
        } else {
            self.run = if self.left > 1 { self.reader.number("stamps")? } else { 0 };
            let away = self.reader.number("stamp")?;
            self.millis = self.millis.wrapping_add(unzigzag(away >> 1));
            let counter = if away & 1 == 1 { self.reader.number("stamp")? } else { 0 };
            let stamp = u64::try_from(self.millis).ok().and_then(|millis| Stamp::from_parts(millis, counter));
            self.stamp = stamp.ok_or(self.reader.invalid("stamp"))?;
        }
        self.left = self.left.checked_sub(1).ok_or(self.reader.invalid("stamps"))?;
        if self.run > self.left {
            return Err(self.reader.invalid("stamps"));
        }
        Ok(self.stamp)
    }
}

/// Reads the column of tags.
struct Tags<'a> {
    reader: Reader<'a>,
    left: u64,
    /// How many more tags are in this block, and, if it is a run, which.
    block: u64,
    run: Option<u8>,
}

impl<'a> Tags<'a> {
    fn new(reader: Reader<'a>, left: u64) -> Self {
        Tags { reader, left, block: 0, run: None }
    }

    fn next(&mut self) -> Result<u8, DecodeError> {
        if self.block == 0 {
            let (more, run) = begin_block(&mut self.reader, self.left)?;
            let tag = self.reader.byte("tag")?;
            (self.block, self.run) = (more + 1, run.then_some(tag));
            self.block -= 1;
            self.left -= 1;
            return Ok(tag);
        }
        self.block -= 1;
        self.left -= 1;
        match self.run {
            Some(tag) => Ok(tag),
            None => self.reader.byte("tag"),
        }
    }
}

/// Reads the head of a block in a column of which so many are left: how many there are in it beyond one, and whether
/// it is a run.
fn begin_block(reader: &mut Reader<'_>, left: u64) -> Result<(u64, bool), DecodeError> {
    let (more, run) = match left {
        1 => (0, false),
        _ => {
            let head = reader.number("block")?;
            (head >> 1, head & 1 == 1)
        }
    };
    if more < left { Ok((more, run)) } else { Err(reader.invalid("block")) }
}

/// Passes over what an event says.
fn check_payload(values: &mut Reader<'_>, tags: &mut Tags<'_>, payload: Payload) -> Result<(), DecodeError> {
    match payload {
        Payload::Written => skip_rest(values, tags.next()?, 0),
        Payload::Subtotal => values.signed("subtotal").map(drop),
        Payload::Mark => read_bool(values).map(drop),
        Payload::Nothing => Ok(()),
    }
}

fn read_bool(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.byte("value")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.invalid("value")),
    }
}

/// Reads what a value's tag does not say.
fn read_rest(reader: &mut Reader<'_>, tag: u8, depth: usize) -> Result<Value, DecodeError> {
    let short = usize::from(tag & 0x3f);
    match tag & 0xc0 {
        SMALL_INT => Ok(Value::Int(i64::from(tag & 0x3f))),
        SHORT_TEXT => {
            let bytes = reader.take(short, "text")?;
            std::str::from_utf8(bytes).map(Value::from).map_err(|_| reader.invalid("text"))
        }
        SHORT_BYTES => Ok(Value::from(reader.take(short, "bytes")?)),
        _ => read_content(reader, tag, depth),
    }
}

/// Reads a value of a type, by the type's tag.
fn read_content(reader: &mut Reader<'_>, tag: u8, depth: usize) -> Result<Value, DecodeError> {
    Ok(match tag {
        0 => Value::Null,
        1 => Value::Bool(read_bool(reader)?),
        2 => Value::Int(reader.signed("value")?),
        3 => Value::Float(read_float(reader)?),
        TEXT => Value::from(reader.text("text", VALUE_BYTES_MAX)?),
        BYTES => Value::from(reader.bytes("bytes", VALUE_BYTES_MAX)?),
        6 if depth < VALUE_DEPTH_MAX => {
            let count = reader.count("list")?;
            // Grows as it is read: an item in memory is larger than its bytes.
            let mut items = Vec::new();
            for _ in 0..count {
                let tag = reader.byte("tag")?;
                items.push(read_rest(reader, tag, depth + 1)?);
            }
            Value::from(items)
        }
        6 => return Err(DecodeError::Limit { what: "lists in lists", limit: VALUE_DEPTH_MAX }),
        _ => return Err(reader.invalid("value")),
    })
}

/// As [`read_rest`], without making the value.
fn skip_rest(reader: &mut Reader<'_>, tag: u8, depth: usize) -> Result<(), DecodeError> {
    let short = usize::from(tag & 0x3f);
    let text = |reader: &Reader<'_>, bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(reader.invalid("text")),
    };
    match (tag & 0xc0, tag) {
        (SMALL_INT, _) => Ok(()),
        (SHORT_TEXT, _) => {
            let bytes = reader.take(short, "text")?;
            text(reader, bytes)
        }
        (SHORT_BYTES, _) => reader.take(short, "bytes").map(drop),
        (_, TEXT) => reader.text("text", VALUE_BYTES_MAX).map(drop),
        (_, BYTES) => reader.bytes("bytes", VALUE_BYTES_MAX).map(drop),
        (_, 6) if depth < VALUE_DEPTH_MAX => {
            for _ in 0..reader.count("list")? {
                let tag = reader.byte("tag")?;
                skip_rest(reader, tag, depth + 1)?;
            }
            Ok(())
        }
        (_, tag) => read_content(reader, tag, depth).map(drop),
    }
}

fn read_float(reader: &mut Reader<'_>) -> Result<f64, DecodeError> {
    let mut bits = [0; 8];
    bits.copy_from_slice(reader.take(8, "float")?);
    let float = f64::from_le_bytes(bits);
    if canonical(float).to_bits() == float.to_bits() { Ok(float) } else { Err(reader.invalid("float")) }
}
