//! The columns of a delta beside its tree, read cell by cell in the order of the tree.

use super::Few;
use super::delta::Replica;
use super::format::STAMP_EPOCH;
use super::kind::{Kind, Payload};
use super::once::Once;
use super::table::Name;
use super::values::{read_bool, read_rest, skip_rest};
use super::walk::{Visitor, Walker};
use crate::wire::{DecodeError, Reader, unzigzag};
use crate::{Stamp, Value};

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

/// Reads the tree and every column once; answers with where each begins, and the latest stamp.
pub(crate) fn check(
    reader: &mut Reader<'_>,
    replicas: &[Replica],
    expected: bool,
) -> Result<(Offsets, Stamp), DecodeError> {
    let mut columns = Offsets { tree: reader.at(), expected, ..Offsets::default() };
    let mut cells = Cells::default();
    Walker::default().children(reader, Kind::Map, 0, &mut cells)?;
    (columns.dots_count, columns.stamps_count) = (cells.dots, cells.stamps);
    columns.dots = reader.at();
    let mut dots = Dots::new(reader.clone(), replicas, cells.dots, expected);
    check_dots(&mut dots, &cells, replicas)?;
    columns.stamps = dots.reader.at();
    let mut stamps = Stamps::new(dots.reader, cells.stamps);
    let mut latest = Stamp::default();
    for _ in 0..cells.stamps {
        latest = latest.max(stamps.next()?);
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
    Ok((columns, latest))
}

/// Each cell has one event of a replica at most, and each event stands in one cell.
fn check_dots(dots: &mut Dots<'_>, cells: &Cells, replicas: &[Replica]) -> Result<(), DecodeError> {
    // A tree can claim more dots than it has bytes for; then they will not be there.
    let mut once = Once::new(replicas, cells.dots.min(dots.reader.all().len() as u64));
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
    if once.met_twice() { Err(dots.reader.invalid("dot")) } else { Ok(()) }
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

impl<'a> Contents<'a> {
    /// Those of a delta that was checked.
    pub(crate) fn new(bytes: &'a [u8], columns: &Offsets, replicas: &[Replica]) -> Self {
        let reader = |at| Reader::from(bytes, at);
        Contents {
            dots: Dots::new(reader(columns.dots), replicas, columns.dots_count, columns.expected),
            stamps: Stamps::new(reader(columns.stamps), columns.stamps_count),
            tags: Tags::new(reader(columns.tags), columns.stamps_count),
            values: reader(columns.values),
        }
    }

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
            (self.block, self.run) = (more, run.then_some(tag));
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
