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

use crate::crdt::peer::{Digest, Op, Part, Peer};
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

fn put(o: &mut Vec<u8>, mut v: u64) {
    while v >= 128 {
        o.push(v as u8 | 128);
        v >>= 7;
    }
    o.push(v as u8);
}

fn zig(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

fn zag(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    #[inline]
    fn get(&mut self) -> u64 {
        let (mut v, mut s) = (0u64, 0);
        loop {
            let b = self.0[0];
            self.0 = &self.0[1..];
            v |= ((b & 127) as u64) << s;
            if b < 128 {
                return v;
            }
            s += 7;
        }
    }
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (a, b) = self.0.split_at(n);
        self.0 = b;
        a
    }
    fn column(&mut self) -> In<'a> {
        let n = self.get() as usize;
        In(self.take(n))
    }
}

/// Run-length coded column of small numbers.
#[derive(Default)]
struct Rle {
    out: Vec<u8>,
    last: u64,
    run: u64,
}

impl Rle {
    #[inline]
    fn push(&mut self, v: u64) {
        if self.run > 0 && v == self.last {
            self.run += 1;
        } else {
            self.flush();
            self.last = v;
            self.run = 1;
        }
    }
    fn flush(&mut self) {
        if self.run > 0 {
            put(&mut self.out, self.last);
            put(&mut self.out, self.run);
        }
        self.run = 0;
    }
}

struct RleIn<'a> {
    src: In<'a>,
    last: u64,
    run: u64,
}

impl<'a> RleIn<'a> {
    fn new(src: In<'a>) -> Self {
        RleIn { src, last: 0, run: 0 }
    }
    #[inline]
    fn get(&mut self) -> u64 {
        if self.run == 0 {
            self.last = self.src.get();
            self.run = self.src.get();
        }
        self.run -= 1;
        self.last
    }
}

#[derive(Default)]
struct Rows {
    n: u64,
    actor: Rle,
    ctr: Rle,
    lamport: Rle,
    shared: Rle,
    suffix: Rle,
    len: Rle,
    key_bytes: Vec<u8>,
    val_bytes: Vec<u8>,
    last_key: (usize, usize),
    last: [i64; 2],
}

impl Rows {
    fn push(&mut self, keys: &[u8], s: &Slot, v: &Version) {
        self.n += 1;
        self.actor.push(v.actor as u64);
        self.ctr.push(zig(v.ctr as i64 - self.last[0]));
        let skew = v.lamport as i64 - v.ctr as i64;
        self.lamport.push(zig(skew - self.last[1]));
        self.last = [v.ctr as i64, skew];
        let key = &keys[s.key_at as usize..][..s.key_len as usize];
        let prev = &keys[self.last_key.0..][..self.last_key.1];
        let shared = key.iter().zip(prev).take_while(|(a, b)| a == b).count();
        // A chance match of a random byte would only break the run.
        let shared = if shared < 3 && shared != key.len() { shared.min(1) } else { shared };
        self.shared.push(shared as u64);
        self.suffix.push((key.len() - shared) as u64);
        self.key_bytes.extend_from_slice(&key[shared..]);
        self.last_key = (s.key_at as usize, key.len());
        match v.val.get() {
            None => self.len.push(0),
            Some(b) => {
                self.len.push(b.len() as u64 + 1);
                self.val_bytes.extend_from_slice(b);
            }
        }
    }

    fn finish(mut self, o: &mut Vec<u8>) {
        put(o, self.n);
        for r in [
            &mut self.actor,
            &mut self.ctr,
            &mut self.lamport,
            &mut self.shared,
            &mut self.suffix,
            &mut self.len,
        ] {
            r.flush();
            put(o, r.out.len() as u64);
            o.extend_from_slice(&r.out);
        }
        for b in [&self.key_bytes, &self.val_bytes] {
            put(o, b.len() as u64);
            o.extend_from_slice(b);
        }
    }
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
        self.index
            .find(hash(key), |i| {
                let s = &slots[*i as usize];
                &keys[s.key_at as usize..][..s.key_len as usize] == key
            })
            .copied()
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
        self.index.insert_unique(hash(key), i, |j| {
            let s = &slots[*j as usize];
            hash(&keys[s.key_at as usize..][..s.key_len as usize])
        });
        i
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

    fn header(&self, full: bool, o: &mut Vec<u8>) {
        o.push(full as u8);
        put(o, self.actors.len() as u64);
        for a in &self.actors {
            o.extend(a.to_le_bytes());
        }
        for c in &self.vv {
            put(o, *c as u64);
        }
        put(o, self.counters.len() as u64);
        for (a, n) in &self.counters {
            o.extend(a.to_le_bytes());
            put(o, *n);
        }
    }

    fn rows_of(&self, rows: &mut Rows, i: u32, tombs: bool) {
        let s = &self.slots[i as usize];
        if s.first.ctr != 0 && (tombs || !matches!(s.first.val, Val::Tomb)) {
            rows.push(&self.keys, s, &s.first);
        }
        if !self.siblings.is_empty() {
            for v in self.siblings.get(&i).into_iter().flatten() {
                if tombs || !matches!(v.val, Val::Tomb) {
                    rows.push(&self.keys, s, v);
                }
            }
        }
    }

    fn full(&self) -> Vec<u8> {
        let mut o = Vec::new();
        self.header(true, &mut o);
        let mut rows = Rows::default();
        for i in 0..self.slots.len() as u32 {
            self.rows_of(&mut rows, i, false);
        }
        rows.finish(&mut o);
        o
    }

    /// Fingerprint of a version vector, so that a delta can leave out the unchanged part.
    fn stamp<'a>(it: impl Iterator<Item = (&'a u64, &'a u32)>) -> u64 {
        it.filter(|(_, c)| **c > 0)
            .fold(0, |s, (a, c)| s.wrapping_add(hash(&(*a ^ (*c as u64) << 40).to_le_bytes())))
    }

    /// Join one key's versions `vs` that the sender had under context `ctx`.
    fn join_key(&mut self, i: u32, vs: &mut Vec<Version>, ctx: &[u32]) {
        let slot = &mut self.slots[i as usize];
        let sib = if self.siblings.is_empty() { None } else { self.siblings.get(&i) };
        if vs.len() == 1 && sib.is_none() {
            // The common case, without a list.
            let (l, v) = (&slot.first, &vs[0]);
            let local_survives = l.ctr != 0 && l.ctr > ctx[l.actor as usize];
            let new = v.ctr > self.vv[v.actor as usize];
            if !local_survives {
                if new {
                    slot.first = vs.pop().unwrap();
                } else if (l.actor, l.ctr) != (v.actor, v.ctr) {
                    slot.first.val = Val::Tomb; // both sides dropped the other's version
                }
                return;
            }
            if !new {
                return;
            }
        }
        let mut all = vec![slot.first.clone()];
        all.extend(self.siblings.remove(&i).into_iter().flatten());
        all.retain(|l| {
            l.ctr != 0
                && (l.ctr > ctx[l.actor as usize] || vs.iter().any(|v| (v.actor, v.ctr) == (l.actor, l.ctr)))
        });
        let vv = &self.vv;
        all.extend(vs.drain(..).filter(|v| v.ctr > vv[v.actor as usize]));
        if all.is_empty() {
            slot.first.val = Val::Tomb;
            return;
        }
        slot.first = all.pop().unwrap();
        if !all.is_empty() {
            self.siblings.insert(i, all);
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
        let s = &self.slots[i];
        &self.keys[s.key_at as usize..][..s.key_len as usize]
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
        let mut have = vec![0u32; self.actors.len()];
        let mut unknown = false; // the asker knows actors we do not
        let mut i = In(version);
        let mut stamp = 0u64;
        while !i.0.is_empty() {
            let a = u64::from_le_bytes(i.take(8).try_into().unwrap());
            let c = i.get() as u32;
            stamp = stamp.wrapping_add(Self::stamp(std::iter::once((&a, &c))));
            match self.actor_of.get(&a) {
                Some(x) => have[*x as usize] = c,
                None => unknown |= c > 0,
            }
        }
        let new: usize = self.vv.iter().zip(&have).map(|(v, h)| v.saturating_sub(*h) as usize).sum();
        let too_old = self.logs.iter().zip(&have).zip(&self.vv).any(|((l, h), v)| h < v && *h < l.base);
        if too_old || new >= self.slots.len().max(64) {
            return self.full();
        }
        let mut o = Vec::new();
        if unknown || self.actors.len() < 16 {
            self.header(false, &mut o);
        } else {
            // Context = the asker's own vector, except for these actors.
            o.push(2);
            o.extend(stamp.to_le_bytes());
            let ex: Vec<usize> = (0..self.vv.len()).filter(|a| self.vv[*a] != have[*a]).collect();
            put(&mut o, ex.len() as u64);
            for a in &ex {
                o.extend(self.actors[*a].to_le_bytes());
                put(&mut o, self.vv[*a] as u64);
            }
        }
        self.mark += 1;
        let mut rows = Rows::default();
        for a in 0..self.vv.len() {
            if self.vv[a] <= have[a] {
                continue;
            }
            let from = (have[a] - self.logs[a].base) as usize;
            for k in from..self.logs[a].slots.len() {
                let s = self.logs[a].slots[k];
                if s != NONE && self.slots[s as usize].mark != self.mark {
                    self.slots[s as usize].mark = self.mark;
                    self.rows_of(&mut rows, s, true);
                }
            }
        }
        if o[0] == 2 {
            // Rows name actors by our index: list the ones used.
            let mut used: Vec<u64> = vec![];
            let mut r = RleIn::new(In(&rows.actor.out));
            let (n, pending) = (rows.n - rows.actor.run, rows.actor.last);
            let mut k = 0;
            while k < n {
                r.get();
                k += r.run + 1;
                r.run = 0;
                used.push(r.last);
            }
            used.push(pending);
            used.sort_unstable();
            used.dedup();
            put(&mut o, used.len() as u64);
            for u in used {
                put(&mut o, u);
                o.extend(self.actors[u as usize].to_le_bytes());
            }
        }
        rows.finish(&mut o);
        o
    }

    fn merge(&mut self, update: &[u8]) {
        let mut i = In(update);
        let kind = i.take(1)[0];
        let mut map: FxHashMap<u64, u32> = FxHashMap::default();
        let mut ctx;
        if kind == 2 {
            let stamp = u64::from_le_bytes(i.take(8).try_into().unwrap());
            assert_eq!(stamp, Self::stamp(self.actors.iter().zip(&self.vv)), "ask again");
            ctx = self.vv.clone();
            for _ in 0..i.get() {
                let a = self.actor_index(u64::from_le_bytes(i.take(8).try_into().unwrap()));
                ctx.resize(self.actors.len(), 0);
                ctx[a as usize] = i.get() as u32;
            }
            for _ in 0..i.get() {
                let theirs = i.get();
                let a = self.actor_index(u64::from_le_bytes(i.take(8).try_into().unwrap()));
                map.insert(theirs, a);
            }
            ctx.resize(self.actors.len(), 0);
        } else {
            let n = i.get();
            for k in 0..n {
                let a = self.actor_index(u64::from_le_bytes(i.take(8).try_into().unwrap()));
                map.insert(k, a);
            }
            ctx = vec![0; self.actors.len()];
            for k in 0..n {
                ctx[map[&k] as usize] = i.get() as u32;
            }
            for _ in 0..i.get() {
                let a = u64::from_le_bytes(i.take(8).try_into().unwrap());
                let n = i.get();
                let c = self.counters.entry(a).or_default();
                *c = n.max(*c);
            }
        }
        // Room for the events we are about to learn of.
        for a in 0..ctx.len() {
            if ctx[a] > self.vv[a] {
                let l = &mut self.logs[a];
                l.slots.resize((ctx[a] - l.base) as usize, NONE);
            }
        }
        let n = i.get();
        let [mut actor, mut ctr, mut lamport, mut shared, mut suffix, mut len] =
            std::array::from_fn(|_| RleIn::new(i.column()));
        let (mut key_bytes, mut val_bytes) = (i.column(), i.column());
        let fresh = self.slots.is_empty();
        if kind == 1 {
            self.slots.reserve(n as usize);
            self.keys.reserve(key_bytes.0.len() + n as usize);
            let (keys, slots) = (&self.keys, &self.slots);
            self.index.reserve(n as usize, |j| {
                let s = &slots[*j as usize];
                hash(&keys[s.key_at as usize..][..s.key_len as usize])
            });
        }
        self.mark += 1;
        let mut key: Vec<u8> = Vec::new();
        let mut group: Vec<Version> = Vec::new();
        let mut group_slot = NONE;
        let mut last = [0i64; 2];
        for _ in 0..n {
            let sh = shared.get() as usize;
            let su = suffix.get() as usize;
            let same = group_slot != NONE && su == 0 && sh == key.len();
            if !same {
                if group_slot != NONE {
                    self.join_key(group_slot, &mut group, &ctx);
                    group.clear();
                }
                key.truncate(sh);
                key.extend_from_slice(key_bytes.take(su));
                group_slot = match if fresh { None } else { self.find(&key) } {
                    Some(s) => s,
                    None => self.insert_slot(&key),
                };
                self.slots[group_slot as usize].mark = self.mark;
            }
            let c = zag(ctr.get()) + last[0];
            let skew = zag(lamport.get()) + last[1];
            last = [c, skew];
            let l = len.get();
            let val = if l == 0 { Val::Tomb } else { Val::new(val_bytes.take(l as usize - 1)) };
            let v = Version { actor: map[&actor.get()], ctr: c as u32, lamport: (skew + c) as u32, val };
            self.lamport = self.lamport.max(v.lamport);
            if v.ctr > self.vv[v.actor as usize] {
                let l = &mut self.logs[v.actor as usize];
                l.slots[(v.ctr - l.base - 1) as usize] = group_slot;
            }
            group.push(v);
        }
        if group_slot != NONE {
            self.join_key(group_slot, &mut group, &ctx);
        }
        if kind == 1 && !fresh {
            // The sender's whole state: what it does not have but knew of is gone.
            for s in 0..self.slots.len() as u32 {
                if self.slots[s as usize].mark != self.mark {
                    self.join_key(s, &mut vec![], &ctx);
                }
            }
        }
        for (v, c) in self.vv.iter_mut().zip(&ctx) {
            *v = (*v).max(*c);
        }
    }

    fn read_all(&self, part: Part) -> Digest {
        let mut d = Digest::default();
        if part == Part::Counter {
            d.n = self.counters.values().sum();
            return d;
        }
        let tag = match part {
            Part::Set => b's',
            Part::Map => b'm',
            _ => b'f',
        };
        #[derive(Default)]
        struct F<'a>(&'a [u8], &'a [u8], Digest, u64);
        let mut fs: FxHashMap<&[u8], F> = FxHashMap::default();
        for i in 0..self.slots.len() {
            let k = self.key(i);
            if k[0] != tag {
                continue;
            }
            let Some(v) = self.live(i as u32) else {
                continue;
            };
            match part {
                Part::Set => d.entry(&[&k[1..]]),
                Part::Map => d.entry(&[&k[1..], v]),
                _ => {
                    let f = fs.entry(&k[1..17]).or_default();
                    match k[17] {
                        b'n' => f.0 = v,
                        b'g' => f.1 = v,
                        b't' => f.2.entry(&[&k[18..]]),
                        _ => f.3 += u32::from_le_bytes(v.try_into().unwrap()) as u64,
                    }
                }
            }
        }
        for (id, f) in fs {
            d.entry(&[id, f.0, f.1, &f.2.hash.to_le_bytes(), &f.3.to_le_bytes()]);
        }
        d
    }
}
