//! floor: NOT a library. A minimal delta-state store with no history, written only to show
//! what the approach can reach on the same workloads with the same checks.
//!
//! * One hash table key -> slot. A slot holds the antichain of current versions, each with
//!   its dot (actor, counter), a Lamport time and a value or "removed".
//! * Causal context = one counter per actor (deltas are causally complete, so no gaps).
//! * Per actor a log of 4 bytes per event, the slot it touched: `diff(version)` walks just
//!   the events the peer lacks. Replicas asked about versions older than their log answer
//!   with the whole state, which joins against its version vector (no tombstones kept).
//! * Wire and disk form: columns, run-length coded where constant, keys prefix-shared with
//!   the previous row, no compression.
//!
//! Registers read as last-writer-wins over the antichain; sets and nested fields are keys.

mod columns;
mod sync;

use crate::crdt::peer::{Digest, Op, Part, Peer};
use columns::put;
use hashbrown::HashTable;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::Hasher;

const NONE: u32 = u32::MAX;

#[derive(Clone)]
enum Val {
    Tomb,
    Inline(u8, [u8; 14]),
    Heap(Box<[u8]>),
}

impl Val {
    fn new(b: &[u8]) -> Self {
        if b.len() <= 14 {
            let mut a = [0; 14];
            a[..b.len()].copy_from_slice(b);
            Val::Inline(b.len() as u8, a)
        } else {
            Val::Heap(b.into())
        }
    }
    fn get(&self) -> Option<&[u8]> {
        match self {
            Val::Tomb => None,
            Val::Inline(n, a) => Some(&a[..*n as usize]),
            Val::Heap(b) => Some(b),
        }
    }
}

#[derive(Clone)]
struct Version {
    actor: u32,
    ctr: u32,
    lamport: u32,
    val: Val,
}

struct Slot {
    key_at: u32,
    key_len: u32,
    mark: u32,
    first: Version,
}

#[derive(Default)]
struct Log {
    base: u32,
    slots: Vec<u32>,
}

pub struct Floor {
    me: u32,
    actors: Vec<u64>,
    actor_of: FxHashMap<u64, u32>,
    vv: Vec<u32>,
    logs: Vec<Log>,
    lamport: u32,
    mark: u32,
    counters: FxHashMap<u64, u64>,
    keys: Vec<u8>,
    slots: Vec<Slot>,
    index: HashTable<u32>,
    siblings: FxHashMap<u32, Vec<Version>>,
}

fn hash(k: &[u8]) -> u64 {
    let mut h = FxHasher::default();
    h.write(k);
    h.finish()
}

fn key_of<'a>(keys: &'a [u8], slot: &Slot) -> &'a [u8] {
    &keys[slot.key_at as usize..][..slot.key_len as usize]
}

impl Floor {
    fn actor_index(&mut self, id: u64) -> u32 {
        *self.actor_of.entry(id).or_insert_with(|| {
            self.actors.push(id);
            self.vv.push(0);
            self.logs.push(Log::default());
            self.actors.len() as u32 - 1
        })
    }

    fn find(&self, key: &[u8]) -> Option<u32> {
        let (keys, slots) = (&self.keys, &self.slots);
        self.index.find(hash(key), |at| key_of(keys, &slots[*at as usize]) == key).copied()
    }

    fn insert_slot(&mut self, key: &[u8]) -> u32 {
        let i = self.slots.len() as u32;
        self.slots.push(Slot {
            key_at: self.keys.len() as u32,
            key_len: key.len() as u32,
            mark: 0,
            first: Version { actor: 0, ctr: 0, lamport: 0, val: Val::Tomb },
        });
        self.keys.extend_from_slice(key);
        let (keys, slots) = (&self.keys, &self.slots);
        self.index.insert_unique(hash(key), i, |at| hash(key_of(keys, &slots[*at as usize])));
        i
    }

    fn reserve(&mut self, slots: usize, key_bytes: usize) {
        self.slots.reserve(slots);
        self.keys.reserve(key_bytes + slots);
        let (keys, known) = (&self.keys, &self.slots);
        self.index.reserve(slots, |at| hash(key_of(keys, &known[*at as usize])));
    }

    fn write(&mut self, key: &[u8], val: Val) {
        let i = match self.find(key) {
            Some(i) => i,
            None if matches!(val, Val::Tomb) => return,
            None => self.insert_slot(key),
        };
        self.lamport += 1;
        let me = self.me as usize;
        self.vv[me] += 1;
        self.logs[me].slots.push(i);
        self.slots[i as usize].first =
            Version { actor: self.me, ctr: self.vv[me], lamport: self.lamport, val };
        if !self.siblings.is_empty() {
            self.siblings.remove(&i);
        }
    }

    fn live(&self, i: u32) -> Option<&[u8]> {
        let s = &self.slots[i as usize];
        let mut best = &s.first;
        if !self.siblings.is_empty() {
            for v in self.siblings.get(&i).into_iter().flatten() {
                let rank = |v: &Version| (v.val.get().is_some(), v.lamport, self.actors[v.actor as usize]);
                if rank(v) > rank(best) {
                    best = v;
                }
            }
        }
        best.val.get()
    }

    fn key(&self, i: usize) -> &[u8] {
        key_of(&self.keys, &self.slots[i])
    }
}

/// A feature, gathered from the slots of its fields.
#[derive(Default)]
struct Feature<'a> {
    name: &'a [u8],
    geometry: &'a [u8],
    tags: Digest,
    votes: u64,
}

fn read_features<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>, digest: &mut Digest) {
    let mut features: FxHashMap<&[u8], Feature<'_>> = FxHashMap::default();
    for (key, value) in fields {
        let feature = features.entry(&key[1..17]).or_default();
        match key[17] {
            b'n' => feature.name = value,
            b'g' => feature.geometry = value,
            b't' => feature.tags.entry(&[&key[18..]]),
            _ => feature.votes += u32::from_le_bytes(value.try_into().unwrap()) as u64,
        }
    }
    for (id, feature) in features {
        let (tags, votes) = (feature.tags.hash.to_le_bytes(), feature.votes.to_le_bytes());
        digest.entry(&[id, feature.name, feature.geometry, &tags, &votes]);
    }
}

fn cat<'a>(buf: &'a mut Vec<u8>, parts: &[&[u8]]) -> &'a [u8] {
    buf.clear();
    for p in parts {
        buf.extend_from_slice(p);
    }
    buf
}

impl Peer for Floor {
    fn new(actor: u64) -> Self {
        let mut f = Floor {
            me: 0,
            actors: vec![],
            actor_of: FxHashMap::default(),
            vv: vec![],
            logs: vec![],
            lamport: 0,
            mark: 0,
            counters: FxHashMap::default(),
            keys: vec![],
            slots: vec![],
            index: HashTable::new(),
            siblings: FxHashMap::default(),
        };
        f.me = f.actor_index(actor);
        f
    }

    fn commit(&mut self, ops: &[Op<'_>]) {
        let b = &mut Vec::with_capacity(64);
        for op in ops {
            match *op {
                Op::Inc(n) => *self.counters.entry(self.actors[self.me as usize]).or_default() += n as u64,
                Op::Add(k) => self.write(cat(b, &[b"s", k.as_bytes()]), Val::new(b"")),
                Op::Remove(k) => self.write(cat(b, &[b"s", k.as_bytes()]), Val::Tomb),
                Op::Put(k, v) => self.write(cat(b, &[b"m", k.as_bytes()]), Val::new(v.as_bytes())),
                Op::Delete(k) => self.write(cat(b, &[b"m", k.as_bytes()]), Val::Tomb),
                Op::Feature(f) => {
                    let id = f.id.as_bytes();
                    self.write(cat(b, &[b"f", id, b"n"]), Val::new(f.name.as_bytes()));
                    self.write(cat(b, &[b"f", id, b"g"]), Val::new(&f.geometry));
                    for t in &f.tags {
                        self.write(cat(b, &[b"f", id, b"t", t.as_bytes()]), Val::new(b""));
                    }
                    let me = self.actors[self.me as usize].to_le_bytes();
                    self.write(cat(b, &[b"f", id, b"v", &me]), Val::new(&f.votes.to_le_bytes()));
                }
                Op::Geometry(id, g) => self.write(cat(b, &[b"f", id.as_bytes(), b"g"]), Val::new(g)),
            }
        }
    }

    fn commit_and_emit(&mut self, ops: &[Op<'_>]) -> Option<Vec<u8>> {
        let v = self.version();
        self.commit(ops);
        Some(self.diff(&v))
    }

    fn save(&mut self) -> Vec<u8> {
        self.full()
    }

    fn load(actor: u64, bytes: &[u8]) -> Self {
        let mut f = Self::new(actor);
        f.merge(bytes);
        // What came from disk is not in the log.
        for (l, c) in f.logs.iter_mut().zip(&f.vv) {
            *l = Log { base: *c, slots: vec![] };
        }
        f
    }

    fn version(&mut self) -> Vec<u8> {
        let mut o = Vec::with_capacity(self.actors.len() * 10);
        for (a, c) in self.actors.iter().zip(&self.vv) {
            o.extend(a.to_le_bytes());
            put(&mut o, *c as u64);
        }
        o
    }

    fn diff(&mut self, version: &[u8]) -> Vec<u8> {
        self.since(version)
    }

    fn merge(&mut self, update: &[u8]) {
        self.join(update);
    }

    fn read_all(&self, part: Part) -> Digest {
        let mut d = Digest::default();
        let of_part = |tag: u8| {
            let slots = (0..self.slots.len()).map(|i| (self.key(i), i as u32));
            slots.filter(move |(key, _)| key[0] == tag).filter_map(|(key, i)| Some((key, self.live(i)?)))
        };
        match part {
            Part::Counter => d.n = self.counters.values().sum(),
            Part::Set => of_part(b's').for_each(|(key, _)| d.entry(&[&key[1..]])),
            Part::Map => of_part(b'm').for_each(|(key, value)| d.entry(&[&key[1..], value])),
            Part::Features => read_features(of_part(b'f'), &mut d),
        }
        d
    }
}
