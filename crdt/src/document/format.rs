//! The bytes of deltas and states, drawn in `docs/wire.md`: columns, each small before any general compression.
//!
//! ```text
//!   format ▸ replicas, from, to ▸ removed dots ▸ tree ▸ dots ▸ stamps ▸ tags ▸ values
//! ```
//!
//! The tree names every entry once, depth first, each name by what it does not share with its sibling's before. The
//! entries that hold events are its *cells*; the other columns have something for each cell, in the same order, and
//! no lengths: what has been read of the tree says how much of each is to come.
//!
//! A state is the delta from nothing; there is no second format.

use super::Few;
use super::columns::Offsets;
use super::delta::{Delta, Replica};
use super::kind::{Kind, Payload};
use super::log::{Lacking, Run};
use super::table::{Events, Id, ROOT, Table, Written, first_bytes};
use crate::value::canonical;
use crate::wire::{put, put_bytes, put_id, put_signed, put_wide, zigzag};
use crate::{Dot, ReplicaId, Stamp, Value, VersionVector};

/// The number of the format that is written.
pub const FORMAT: u8 = 3;

/// Flags beside the format's number, in the first byte. There is one replica, and nothing is removed: no counts.
pub(crate) const SOLE: u8 = 0x10;
/// Nothing is added: the tree, and with it every other column, is absent.
pub(crate) const BARE: u8 = 0x20;
/// Every dot is the one expected of the sole replica: the column of dots is absent.
pub(crate) const EXPECTED: u8 = 0x40;

/// How many bytes a name may share with the one before: so that few bytes cannot stand for many.
pub(crate) const SHARED_MAX: usize = 63;
/// In the head of a run of children: whether each of them holds several events.
pub(crate) const SEVERAL: u64 = 8;
/// In the head of a run of children: whether it is the last below its parent.
pub(crate) const LAST: u64 = 16;
/// How far a head's number is shifted, to make room for kind, [`SEVERAL`] and [`LAST`].
pub(crate) const HEAD_BITS: u32 = 5;
/// Milliseconds of 2020-01-01, from which the first stamp is counted.
pub(crate) const STAMP_EPOCH: i64 = 1_577_836_800_000;
/// From these on a value's tag says its content: a small number, a short text, short bytes.
pub(crate) const SMALL_INT: u8 = 0x40;
pub(crate) const SHORT_TEXT: u8 = 0x80;
pub(crate) const SHORT_BYTES: u8 = 0xc0;
/// How many of them there are of each.
pub(crate) const SHORT: usize = 0x40;

/// The whole of `table` at `version`: the delta from nothing.
pub(crate) fn state(table: &Table, version: &VersionVector) -> Delta {
    let lacking = Lacking {
        spans: version.iter().map(|(replica, seq)| (replica, 0, seq)).collect(),
        ..Lacking::default()
    };
    encode(table, &lacking, |id| table.ordered(id))
}

/// What `lacking` says of `table`.
pub(crate) fn delta(table: &Table, lacking: &Lacking) -> Delta {
    let chosen = Chosen::new(table, lacking);
    encode(table, lacking, |id| chosen.below(id))
}

fn encode<'s>(table: &'s Table, lacking: &Lacking, below: impl Fn(Id) -> &'s [Id] + Copy) -> Delta {
    let header = Header::of(lacking);
    let mut out = Vec::with_capacity(64);
    out.push(FORMAT);
    header.encode(&lacking.removed, &mut out);
    let mut offsets = Offsets { tree: out.len(), ..Offsets::default() };
    // Straight behind the header: the tree is most of what there is.
    let mut columns = Columns::new(table, &header, out);
    if !below(ROOT).is_empty() {
        columns.children(ROOT, below);
    }
    let Columns { tree: mut out, dots, stamps, tags, values, .. } = columns;
    offsets.dots = out.len();
    (offsets.dots_count, offsets.stamps_count) = (dots.len() as u64, stamps.len() as u64);
    offsets.expected = header.expects(&dots);
    let flags =
        [(header.is_sole(&lacking.removed), SOLE), (dots.is_empty(), BARE), (offsets.expected, EXPECTED)];
    out[0] = flags.into_iter().filter(|(set, _)| *set).fold(FORMAT, |byte, (_, flag)| byte | flag);
    out.reserve(values.len() + 3 * dots.len() + stamps.len() + tags.len());
    if !offsets.expected {
        encode_dots(&dots, &header, &mut out);
    }
    offsets.stamps = out.len();
    encode_stamps(&stamps, &mut out);
    offsets.tags = out.len();
    encode_tags(&tags, &mut out);
    offsets.values = out.len();
    out.extend_from_slice(&values);
    let latest = stamps.into_iter().max().unwrap_or_default();
    Delta::made(out.into(), &header.replicas, &lacking.removed, latest, offsets)
}

/// Of each replica that a delta speaks of: after which event it starts, and up to which it goes.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) replicas: Few<Replica>,
}

impl Header {
    /// Besides the replicas of which something is lacking, those of which something is removed: the receiver must
    /// have heard of that.
    fn of(lacking: &Lacking) -> Self {
        let of_replica = |a: &Run, b: &Run| a.first.replica == b.first.replica;
        let removed = lacking.removed.chunk_by(of_replica).filter_map(<[Run]>::last);
        let builds_on = lacking.builds_on.iter().copied().filter(|(_, seq)| *seq > 0);
        let mut replicas = lacking.spans.clone();
        for (replica, seq) in builds_on.chain(removed.map(|run| (run.first.replica, run.last))) {
            if let Err(at) = replicas.binary_search_by_key(&replica, |(replica, ..)| *replica) {
                replicas.insert(at, (replica, seq, seq));
            }
        }
        Header { replicas }
    }

    fn place(&self, replica: ReplicaId) -> Option<usize> {
        self.replicas.binary_search_by_key(&replica, |(id, ..)| *id).ok()
    }

    /// Whether one replica is all that there is to tell of.
    fn is_sole(&self, removed: &[Run]) -> bool {
        self.replicas.len() == 1 && removed.is_empty()
    }

    /// Whether each dot is the one expected of a sole replica, that after the one before.
    fn expects(&self, dots: &[(usize, u64)]) -> bool {
        match self.replicas[..] {
            [(_, from, _)] => {
                !dots.is_empty() && dots.iter().zip(from + 1..).all(|((_, seq), next)| *seq == next)
            }
            _ => false,
        }
    }

    /// Replicas ascending, as differences; then the removed dots in runs.
    fn encode(&self, removed: &[Run], out: &mut Vec<u8>) {
        let sole = self.is_sole(removed);
        if !sole {
            put(out, self.replicas.len() as u64);
        }
        let mut last = 0;
        for (replica, from, to) in &self.replicas {
            put_id(out, replica.get() - last);
            put(out, *from);
            put(out, to - from);
            last = replica.get();
        }
        if sole {
            return;
        }
        put(out, removed.len() as u64);
        let (mut place, mut end) = (0, 0);
        for Run { first, last } in removed {
            let at = self.place(first.replica).unwrap_or_default();
            if at > place {
                end = 0;
            }
            // Whether another replica's runs begin, and whether the run is longer than one.
            let more = last - first.seq;
            put(out, (at - place) as u64 * 2 + u64::from(more > 0));
            put(out, first.seq - end - 1);
            if more > 0 {
                put(out, more - 1);
            }
            (place, end) = (at, *last);
        }
    }
}

/// The columns of a delta as they grow.
struct Columns<'a> {
    table: &'a Table,
    header: &'a Header,
    /// The place of the replica that was met last.
    replica: usize,
    tree: Vec<u8>,
    dots: Vec<(usize, u64)>,
    stamps: Vec<Stamp>,
    tags: Vec<u8>,
    values: Vec<u8>,
}

impl<'a> Columns<'a> {
    /// Empty ones; the tree grows behind what is in `out`.
    fn new(table: &'a Table, header: &'a Header, out: Vec<u8>) -> Self {
        Columns {
            table,
            header,
            replica: 0,
            tree: out,
            dots: Vec::new(),
            stamps: Vec::new(),
            tags: Vec::new(),
            values: Vec::with_capacity(64),
        }
    }

    /// In runs of one kind and number of events: the head of the run, and each child.
    fn children<'s>(&mut self, parent: Id, below: impl Fn(Id) -> &'s [Id] + Copy) {
        let (table, ids) = (self.table, below(parent));
        let mut last: Option<&Value> = None;
        let mut ids = ids;
        while let Some(first) = ids.first() {
            let head = self.head(parent, *first);
            let run = ids.iter().take_while(|id| self.head(parent, **id) == head).count();
            let end = if run == ids.len() { LAST } else { 0 };
            put(&mut self.tree, ((run as u64 - 1) << HEAD_BITS) | end | head);
            for id in &ids[..run] {
                let entry = table.entry(*id);
                encode_name(&entry.name, last, &mut self.tree);
                last = Some(&entry.name);
                match table.is_container(*id) {
                    true => self.children(*id, below),
                    false => self.cell(*id, head & SEVERAL != 0),
                }
            }
            ids = &ids[run..];
        }
    }

    /// Of a key its kind, of an item its value's tag; and whether it has several events to tell of.
    fn head(&self, parent: Id, id: Id) -> u64 {
        let entry = self.table.entry(id);
        let what = match self.table.entry(parent).kind {
            Kind::Map => entry.kind as u8,
            Kind::List => 0,
            _ => entry.name.tag(),
        };
        let several = match self.table.events(id) {
            Events::Dot(_) => false,
            Events::Written(events) if events.len() < 2 => false,
            events => events.dots().filter(|dot| self.header.tells_of(*dot)).count() > 1,
        };
        u64::from(what) | if several { SEVERAL } else { 0 }
    }

    /// The events of a cell that the receiver lacks.
    fn cell(&mut self, id: Id, several: bool) {
        if several {
            let count = self.table.events(id).dots().filter(|dot| self.header.tells_of(*dot)).count();
            put(&mut self.tree, count as u64 - 2);
        }
        let payload = self.table.entry(id).kind.payload();
        match self.table.events(id) {
            Events::Dot(dot) => self.dot(dot),
            Events::Written(events) => {
                for event in events {
                    if events.len() == 1 || self.header.tells_of(event.dot) {
                        self.event(event, payload);
                    }
                }
            }
        }
    }

    fn event(&mut self, event: &Written, payload: Payload) {
        self.dot(event.dot);
        match (payload, &event.value) {
            (Payload::Written, value) => {
                self.stamps.push(event.stamp);
                self.tags.push(tag_of(value));
                encode_rest(value, &mut self.values);
            }
            (Payload::Subtotal, Value::Int(subtotal)) => put_signed(&mut self.values, *subtotal),
            (Payload::Mark, Value::Bool(mark)) => self.values.push(u8::from(*mark)),
            _ => {}
        }
    }

    fn dot(&mut self, dot: Dot) {
        if self.header.replicas.get(self.replica).is_none_or(|(replica, ..)| *replica != dot.replica) {
            self.replica = self.header.place(dot.replica).unwrap_or_default();
        }
        self.dots.push((self.replica, dot.seq));
    }
}

impl Header {
    /// Whether the receiver lacks an event.
    fn tells_of(&self, dot: Dot) -> bool {
        self.place(dot.replica).is_some_and(|at| {
            let (_, from, to) = self.replicas[at];
            from < dot.seq && dot.seq <= to
        })
    }
}

/// The part of the table that a delta tells of: the entries with events that are lacking, and what leads to them.
struct Chosen {
    children: Few<Id>,
    /// The entries that have some of those children, ascending, and where those stand.
    below: Few<(Id, std::ops::Range<usize>)>,
}

impl Chosen {
    fn new(table: &Table, lacking: &Lacking) -> Self {
        let mut level: Few<Id> = Few::new();
        for &(replica, start, end) in &lacking.spans {
            level.extend(table.alive(Dot { replica, seq: start + 1 }, end).map(|(_, id)| id));
        }
        let mut chosen: Few<(Id, u64, Id)> = Few::with_capacity(level.len() + 4);
        while !level.is_empty() {
            level.sort_unstable();
            level.dedup();
            chosen.extend(level.iter().map(|id| {
                let entry = table.entry(*id);
                (entry.parent, first_bytes(&entry.name), *id)
            }));
            level = level.iter().map(|id| table.entry(*id).parent).filter(|parent| *parent != ROOT).collect();
        }
        chosen.sort_unstable_by(|(p, a, x), (q, b, y)| {
            p.cmp(q).then(a.cmp(b)).then_with(|| table.in_order(*x, *y))
        });
        // One may lead to entries on several levels.
        chosen.dedup();
        let mut below: Few<(Id, std::ops::Range<usize>)> = Few::new();
        for (at, (parent, ..)) in chosen.iter().enumerate() {
            match below.last_mut() {
                Some((last, range)) if last == parent => range.end = at + 1,
                _ => below.push((*parent, at..at + 1)),
            }
        }
        Chosen { children: chosen.into_iter().map(|(.., id)| id).collect(), below }
    }

    fn below(&self, id: Id) -> &[Id] {
        let found = self.below.binary_search_by_key(&id, |(parent, _)| *parent);
        found.map_or(&[], |at| &self.children[self.below[at].1.clone()])
    }
}

/// A name, by what it does not share with its sibling's before, if that is of the same type.
fn encode_name(name: &Value, last: Option<&Value>, out: &mut Vec<u8>) {
    match (name, last) {
        (Value::Text(name), Some(Value::Text(last))) => put_shared(name.as_bytes(), last.as_bytes(), out),
        (Value::Bytes(name), Some(Value::Bytes(last))) => put_shared(name, last, out),
        (Value::Text(name), _) => put_bytes(out, name.as_bytes()),
        (Value::Bytes(name), _) => put_bytes(out, name),
        (Value::Int(int), Some(Value::Int(last))) => put(out, int.wrapping_sub(*last).cast_unsigned()),
        (Value::Int(int), _) => put_signed(out, *int),
        (value, _) => encode_content(value, out),
    }
}

/// How much is shared, and whether the length is another than that of the name before; that length; and the rest.
fn put_shared(name: &[u8], last: &[u8], out: &mut Vec<u8>) {
    let shared = name.iter().zip(last).take(SHARED_MAX).take_while(|(a, b)| a == b).count();
    let another = name.len() != last.len();
    put(out, (shared as u64) << 1 | u64::from(another));
    if another {
        put(out, (name.len() - shared) as u64);
    }
    out.extend_from_slice(&name[shared..]);
}

/// The tag of a value; a small number, or the length of a short text, is said by the tag.
fn tag_of(value: &Value) -> u8 {
    match value {
        Value::Int(int @ 0..0x40) => SMALL_INT | u8::try_from(*int).unwrap_or_default(),
        Value::Text(text) if text.len() < SHORT => SHORT_TEXT | short(text.len()),
        Value::Bytes(bytes) if bytes.len() < SHORT => SHORT_BYTES | short(bytes.len()),
        value => value.tag(),
    }
}

/// What a value's tag does not say.
fn encode_rest(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Int(0..0x40) => {}
        Value::Text(text) if text.len() < SHORT => out.extend_from_slice(text.as_bytes()),
        Value::Bytes(bytes) if bytes.len() < SHORT => out.extend_from_slice(bytes),
        value => encode_content(value, out),
    }
}

/// A length below [`SHORT`], which has room in a tag.
fn short(len: usize) -> u8 {
    u8::try_from(len).unwrap_or_default()
}

/// A value without its tag.
fn encode_content(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Bool(bool) => out.push(u8::from(*bool)),
        Value::Int(int) => put_signed(out, *int),
        Value::Float(float) => out.extend(canonical(*float).to_bits().to_le_bytes()),
        Value::Text(text) => put_bytes(out, text.as_bytes()),
        Value::Bytes(bytes) => put_bytes(out, bytes),
        Value::List(items) => {
            put(out, items.len() as u64);
            for item in items {
                out.push(tag_of(item));
                encode_rest(item, out);
            }
        }
    }
}

/// Cuts a column into blocks: runs, and what stands between them one by one. Answers with where each ends, and
/// whether it is a run.
fn blocks(
    len: usize,
    run_at: impl Fn(usize) -> usize,
) -> impl Iterator<Item = (std::ops::Range<usize>, bool)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        if start == len {
            return None;
        }
        let run = run_at(start);
        at += run;
        if run >= RUN_MIN {
            return Some((start..at, true));
        }
        while at < len {
            let run = run_at(at);
            if run >= RUN_MIN {
                break;
            }
            at += run;
        }
        Some((start..at, false))
    })
}

/// From how many on a run is worth a block of its own.
const RUN_MIN: usize = 4;

/// The head of a block: how many there are in it beyond one, and whether it is a run. The last of a column, alone in
/// its block, has none.
fn put_block(block: &std::ops::Range<usize>, run: bool, len: usize, out: &mut Vec<u8>) {
    if block.start + 1 < len {
        put(out, (block.len() as u64 - 1) << 1 | u64::from(run));
    }
}

/// Blocks of dots: a run of consecutive events of one replica, of which the first is told, or dots one by one. A dot
/// is told by how far it is from the one expected of its replica, that after its last.
fn encode_dots(dots: &[(usize, u64)], header: &Header, out: &mut Vec<u8>) {
    let mut expected: Vec<u64> = header.replicas.iter().map(|(_, from, _)| from + 1).collect();
    let count = header.replicas.len() as u64;
    let mut tell = |out: &mut Vec<u8>, (replica, seq): (usize, u64), run: usize| {
        let away = zigzag(seq.wrapping_sub(expected[replica]).cast_signed());
        match away.checked_mul(count).and_then(|away| away.checked_add(replica as u64)) {
            Some(n) => put(out, n),
            None => put_wide(out, u128::from(away) * u128::from(count) + replica as u128),
        }
        expected[replica] = seq + run as u64;
    };
    let next = |(replica, seq): (usize, u64)| (replica, seq + 1);
    let run_at = |at: usize| 1 + dots[at..].windows(2).take_while(|two| next(two[0]) == two[1]).count();
    for (block, run) in blocks(dots.len(), run_at) {
        put_block(&block, run, dots.len(), out);
        if run {
            tell(out, dots[block.start], block.len());
        } else {
            dots[block].iter().for_each(|dot| tell(out, *dot, 1));
        }
    }
}

/// Blocks of tags: a run of equal ones, told once, or tags one by one.
fn encode_tags(tags: &[u8], out: &mut Vec<u8>) {
    let run_at = |at: usize| tags[at..].iter().take_while(|tag| **tag == tags[at]).count();
    for (block, run) in blocks(tags.len(), run_at) {
        put_block(&block, run, tags.len(), out);
        out.extend_from_slice(&tags[if run { block.start..block.start + 1 } else { block }]);
    }
}

/// Runs of equal stamps: how many (unless it is the last), how far its milliseconds are from those before and whether
/// it has a counter, and that.
fn encode_stamps(stamps: &[Stamp], out: &mut Vec<u8>) {
    let mut left = stamps.len();
    let mut last = STAMP_EPOCH;
    for run in stamps.chunk_by(|a, b| a == b) {
        if left > 1 {
            put(out, run.len() as u64 - 1);
        }
        left -= run.len();
        let millis = run[0].time().millis().cast_signed();
        let counter = run[0].counter();
        put(out, zigzag(millis - last) << 1 | u64::from(counter > 0));
        if counter > 0 {
            put(out, counter);
        }
        last = millis;
    }
}
