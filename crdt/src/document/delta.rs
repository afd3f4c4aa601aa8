//! What one replica tells another, and its bytes (drawn in `docs/wire.md`).
//!
//! A delta and a state are the same type and the same format: a state is the delta from nothing that names
//! everything. Equal states have equal bytes.

use super::limits::{EVENTS_MAX, KEY_BYTES_MAX, PATH_KEYS_MAX, VALUE_BYTES_MAX, VALUE_DEPTH_MAX};
use super::tree::{Key, Kind, Map, Slot, latest_in};
use crate::causal::{Counter, OrMap, OrSet, Register, Stamped};
use crate::dot::REPLICAS_MAX;
use crate::store::{DotFun, DotMap, DotSet, DotStore};
use crate::value::canonical;
use crate::wire::{Reader, put, put_bytes, put_signed};
use crate::{Dot, ReplicaId, Stamp, Value, VersionVector};
use std::collections::BTreeMap;

pub use crate::wire::DecodeError;

/// The number of the format that is written.
pub const FORMAT: u8 = 1;
/// Set in the byte of a key's kind when a delta names the slot as emptied.
const EMPTIED: u8 = 0x80;

/// The events between two versions, as one joined group: what the slots they touched hold now.
///
/// It may be applied where `from` is covered; a state has an empty `from` and may be applied anywhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    pub(crate) from: VersionVector,
    pub(crate) to: VersionVector,
    pub(crate) latest: Stamp,
    pub(crate) root: Map,
}

impl Delta {
    /// What the receiver must already have.
    pub fn from(&self) -> &VersionVector {
        &self.from
    }

    /// What the receiver has after it. It is also the causal context of everything in the delta.
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
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.from, &self.to, &self.root, self.root.0.whole)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If the bytes are not a delta, are not in the one form that equal deltas share, or are beyond a
    /// [limit](super::limits). Never allocates more than a small multiple of the bytes' length.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let format = reader.byte("format")?;
        if format != FORMAT {
            return Err(DecodeError::Format { found: format });
        }
        let (mut from, mut to) = (VersionVector::default(), VersionVector::default());
        let mut replicas = Vec::new();
        let count = reader.count("replicas")?;
        if count > REPLICAS_MAX {
            return Err(DecodeError::Limit { what: "replicas", limit: REPLICAS_MAX });
        }
        for index in 0..count {
            let step = reader.number("replica")?;
            let id = replicas.last().map_or(0, |last: &ReplicaId| last.get()).saturating_add(step);
            let (seq, known) = (reader.number("version")?, reader.number("version")?);
            if id > ReplicaId::MAX || (step == 0 && index > 0) || seq == 0 || seq > EVENTS_MAX || known > seq
            {
                return Err(reader.invalid("version"));
            }
            to.advance(ReplicaId::new(id), seq);
            from.advance(ReplicaId::new(id), known);
            replicas.push(ReplicaId::new(id));
        }
        let latest = reader.number("latest stamp")?;
        let mut decoder = Decoder { reader, replicas, to, latest };
        let root = decoder.map(0, false)?;
        if root.0.entries.is_empty() && from != decoder.to && !root.0.whole {
            return Err(decoder.reader.invalid("root"));
        }
        if latest_in(&root).0 != latest {
            return Err(decoder.reader.invalid("latest stamp"));
        }
        decoder.reader.end()?;
        Ok(Delta { from, to: decoder.to, latest: Stamp(latest), root })
    }
}

/// The bytes of a delta from `from` to `to`, which names all of `root` if it is `whole`.
pub(crate) fn encode(from: &VersionVector, to: &VersionVector, root: &Map, whole: bool) -> Vec<u8> {
    let mut out = vec![FORMAT];
    let latest = latest_in(root);
    encode_header(from, to, latest, &mut out);
    let replicas = to.iter().enumerate().map(|(index, (replica, _))| (replica, index as u64)).collect();
    Encoder { replicas, latest: latest.0, out: &mut out }.map(root, whole);
    out
}

/// Replicas ascending as differences, how far each has come and had come, and the latest stamp.
fn encode_header(from: &VersionVector, to: &VersionVector, latest: Stamp, out: &mut Vec<u8>) {
    put(out, to.len() as u64);
    let mut last = 0;
    for (replica, seq) in to.iter() {
        put(out, replica.get() - last);
        put(out, seq);
        put(out, from.seq(replica));
        last = replica.get();
    }
    put(out, latest.0);
}

/// The tree's half of the encoder. Dots are a replica's index in the header, and a number.
struct Encoder<'a> {
    replicas: BTreeMap<ReplicaId, u64>,
    latest: u64,
    out: &'a mut Vec<u8>,
}

impl Encoder<'_> {
    fn map(&mut self, map: &Map, whole: bool) {
        self.names(map.0.entries.len(), whole);
        for (key, slot) in map.iter() {
            put_bytes(self.out, key.name.as_bytes());
            let kind = Kind::ALL.iter().position(|kind| *kind == key.kind).unwrap_or_default();
            let emptied = if *slot == Slot::Empty { EMPTIED } else { 0 };
            self.out.push(u8::try_from(kind).unwrap_or_default() | emptied);
            self.slot(slot);
        }
    }

    fn slot(&mut self, slot: &Slot) {
        match slot {
            Slot::Empty => {}
            Slot::Register(register) => self.dot_fun(&register.0, |this, written| {
                put(this.out, this.latest - written.stamp.0);
                this.value(&written.value);
            }),
            Slot::Counter(counter) => {
                self.dot_fun(&counter.0, |this, subtotal| put_signed(this.out, *subtotal))
            }
            Slot::Set(set) => self.set(set),
            Slot::Map(map) => self.map(map, map.0.whole),
        }
    }

    fn set(&mut self, set: &OrSet<Value>) {
        self.names(set.0.entries.len(), set.0.whole);
        for (item, dots) in set.0.iter() {
            self.value(item);
            put(self.out, dots.0.len() as u64);
            dots.iter().for_each(|dot| self.dot(dot));
        }
    }

    fn dot_fun<V>(&mut self, fun: &DotFun<V>, mut value: impl FnMut(&mut Self, &V)) {
        put(self.out, fun.0.len() as u64);
        for (dot, v) in fun.iter() {
            self.dot(dot);
            value(self, v);
        }
    }

    /// How many entries a map or set names, and whether those are all.
    fn names(&mut self, count: usize, whole: bool) {
        put(self.out, (count as u64) << 1 | u64::from(whole));
    }

    fn dot(&mut self, dot: Dot) {
        put(self.out, self.replicas.get(&dot.replica).copied().unwrap_or_default());
        put(self.out, dot.seq);
    }

    fn value(&mut self, value: &Value) {
        self.out.push(value.tag());
        match value {
            Value::Null => {}
            Value::Bool(bool) => self.out.push(u8::from(*bool)),
            Value::Int(int) => put_signed(self.out, *int),
            Value::Float(float) => self.out.extend(canonical(*float).to_bits().to_le_bytes()),
            Value::Text(text) => put_bytes(self.out, text.as_bytes()),
            Value::Bytes(bytes) => put_bytes(self.out, bytes),
            Value::List(items) => {
                put(self.out, items.len() as u64);
                items.iter().for_each(|item| self.value(item));
            }
        }
    }
}

/// The tree's half of the decoder.
struct Decoder<'a> {
    reader: Reader<'a>,
    replicas: Vec<ReplicaId>,
    to: VersionVector,
    latest: u64,
}

impl Decoder<'_> {
    /// `told` says that all of it is told already, because something above it is whole.
    fn map(&mut self, depth: usize, told: bool) -> Result<Map, DecodeError> {
        if depth > PATH_KEYS_MAX {
            return Err(DecodeError::Limit { what: "keys in a path", limit: PATH_KEYS_MAX });
        }
        let (count, whole) = self.names("map", told)?;
        let told = told || whole;
        let mut entries: Vec<(Key, Slot)> = Vec::new();
        for _ in 0..count {
            let name = self.reader.text("key", KEY_BYTES_MAX)?;
            let kind_byte = self.reader.byte("kind")?;
            let kind = Kind::ALL.get(usize::from(kind_byte & !EMPTIED)).ok_or(self.reader.invalid("kind"))?;
            let slot = match kind_byte & EMPTIED {
                0 => self.slot(*kind, depth, told)?,
                _ if told => return Err(self.reader.invalid("kind")),
                _ => Slot::Empty,
            };
            let key = Key { name, kind: *kind };
            self.ascending(entries.last().map(|(last, _)| last), &key, "key")?;
            entries.push((key, slot));
        }
        // Built at once from what is in order, the map takes a fraction of the time of insertions.
        Ok(OrMap(DotMap { entries: entries.into_iter().collect(), whole }))
    }

    /// A slot that holds something: an empty one is told as emptied, or not at all.
    fn slot(&mut self, kind: Kind, depth: usize, told: bool) -> Result<Slot, DecodeError> {
        let slot = match kind {
            Kind::Register => Slot::Register(Register(self.dot_fun(Self::stamped)?)),
            Kind::Counter => Slot::Counter(Counter(self.dot_fun(|this| this.reader.signed("subtotal"))?)),
            Kind::Set => Slot::Set(self.set(told)?),
            Kind::Map => Slot::Map(self.map(depth + 1, told)?),
        };
        if slot.is_bottom() { Err(self.reader.invalid("slot")) } else { Ok(slot) }
    }

    fn stamped(&mut self) -> Result<Stamped<Value>, DecodeError> {
        let before = self.reader.number("stamp")?;
        let stamp = Stamp(self.latest.checked_sub(before).ok_or(self.reader.invalid("stamp"))?);
        Ok(Stamped { stamp, value: self.value(0)? })
    }

    fn set(&mut self, told: bool) -> Result<OrSet<Value>, DecodeError> {
        let (count, whole) = self.names("set", told)?;
        let mut entries: Vec<(Value, DotSet)> = Vec::new();
        for _ in 0..count {
            let item = self.value(0)?;
            self.ascending(entries.last().map(|(last, _)| last), &item, "item")?;
            let dots = self.dot_fun(|_| Ok(()))?;
            if dots.0.is_empty() && (told || whole) {
                return Err(self.reader.invalid("item"));
            }
            entries.push((item, DotSet(dots.0.into_keys().collect())));
        }
        Ok(OrSet(DotMap { entries: entries.into_iter().collect(), whole }))
    }

    fn dot_fun<V>(
        &mut self,
        mut value: impl FnMut(&mut Self) -> Result<V, DecodeError>,
    ) -> Result<DotFun<V>, DecodeError> {
        let mut entries = BTreeMap::new();
        for _ in 0..self.reader.count("dots")? {
            let dot = self.dot()?;
            self.ascending(entries.last_key_value().map(|(last, _)| last), &dot, "dot")?;
            let value = value(self)?;
            entries.insert(dot, value);
        }
        Ok(DotFun(entries))
    }

    /// How many names follow, and whether those are all; which is not said again within what is whole.
    fn names(&mut self, what: &'static str, told: bool) -> Result<(usize, bool), DecodeError> {
        let n = self.reader.number(what)?;
        let whole = n & 1 == 1;
        if whole && told {
            return Err(self.reader.invalid(what));
        }
        Ok((self.reader.fits(n >> 1, what)?, whole))
    }

    /// A dot that the delta's version contains: nothing is stored that has not been seen.
    fn dot(&mut self) -> Result<Dot, DecodeError> {
        let index = usize::try_from(self.reader.number("dot")?).unwrap_or(usize::MAX);
        let replica = *self.replicas.get(index).ok_or(self.reader.invalid("dot"))?;
        let dot = Dot { replica, seq: self.reader.number("dot")? };
        if dot.seq == 0 || !self.to.contains(dot) {
            return Err(self.reader.invalid("dot"));
        }
        Ok(dot)
    }

    fn value(&mut self, depth: usize) -> Result<Value, DecodeError> {
        Ok(match self.reader.byte("value")? {
            0 => Value::Null,
            1 => match self.reader.byte("value")? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return Err(self.reader.invalid("value")),
            },
            2 => Value::Int(self.reader.signed("value")?),
            3 => Value::Float(self.float()?),
            4 => Value::Text(self.reader.text("text", VALUE_BYTES_MAX)?),
            5 => Value::Bytes(self.reader.bytes("bytes", VALUE_BYTES_MAX)?.to_vec()),
            6 if depth < VALUE_DEPTH_MAX => {
                let count = self.reader.count("list")?;
                // Grows as it is read: an item in memory is larger than its bytes.
                let mut items = Vec::new();
                for _ in 0..count {
                    items.push(self.value(depth + 1)?);
                }
                Value::List(items)
            }
            6 => return Err(DecodeError::Limit { what: "lists in lists", limit: VALUE_DEPTH_MAX }),
            _ => return Err(self.reader.invalid("value")),
        })
    }

    fn float(&mut self) -> Result<f64, DecodeError> {
        let mut bits = [0; 8];
        bits.copy_from_slice(self.reader.take(8, "float")?);
        let float = f64::from_le_bytes(bits);
        if canonical(float).to_bits() == float.to_bits() {
            Ok(float)
        } else {
            Err(self.reader.invalid("float"))
        }
    }

    fn ascending<T: Ord>(&self, last: Option<&T>, next: &T, what: &'static str) -> Result<(), DecodeError> {
        if last.is_none_or(|last| last < next) { Ok(()) } else { Err(self.reader.invalid(what)) }
    }
}
