//! What the floor's replicas send each other: the whole state, or the rows of the events that the other lacks.

use super::columns::{In, Rows, RowsIn, put};
use super::{Floor, Log, NONE, Val, Version, hash};
use rustc_hash::FxHashMap;

/// How an update tells its context.
const DELTA: u8 = 0;
const STATE: u8 = 1;
/// As `DELTA`, but told as what differs from the asker's own vector, which is named by its stamp.
const SHORT_DELTA: u8 = 2;

/// What an update says of the sender's replicas.
struct Context {
    /// Ours for each of the sender's indices.
    actor_of: FxHashMap<u64, u32>,
    /// How far the sender is, by our index.
    seen: Vec<u32>,
}

/// What the asker has, by our index.
struct Asked {
    have: Vec<u32>,
    /// It knows replicas that we do not.
    unknown: bool,
    stamp: u64,
}

impl Floor {
    fn header(&self, full: bool, o: &mut Vec<u8>) {
        o.push(if full { STATE } else { DELTA });
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

    pub(super) fn full(&self) -> Vec<u8> {
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

    /// Everything the holder of a version lacks.
    pub(super) fn since(&mut self, version: &[u8]) -> Vec<u8> {
        let asked = self.asked(version);
        let versions = self.vv.iter().zip(&asked.have);
        let new: usize = versions.clone().map(|(ours, theirs)| ours.saturating_sub(*theirs) as usize).sum();
        let too_old =
            self.logs.iter().zip(versions).any(|(log, (ours, theirs))| theirs < ours && *theirs < log.base);
        if too_old || new >= self.slots.len().max(64) {
            return self.full();
        }
        let mut o = Vec::new();
        let short = !asked.unknown && self.actors.len() >= 16;
        if short {
            self.short_header(&asked, &mut o);
        } else {
            self.header(false, &mut o);
        }
        let rows = self.rows_since(&asked.have);
        if short {
            let used = rows.actors();
            put(&mut o, used.len() as u64);
            for actor in used {
                put(&mut o, actor);
                o.extend(self.actors[actor as usize].to_le_bytes());
            }
        }
        rows.finish(&mut o);
        o
    }

    fn asked(&self, version: &[u8]) -> Asked {
        let mut asked = Asked { have: vec![0; self.actors.len()], unknown: false, stamp: 0 };
        let mut i = In(version);
        while !i.0.is_empty() {
            let (actor, ctr) = (i.actor(), i.get() as u32);
            asked.stamp = asked.stamp.wrapping_add(Self::stamp(std::iter::once((&actor, &ctr))));
            match self.actor_of.get(&actor) {
                Some(at) => asked.have[*at as usize] = ctr,
                None => asked.unknown |= ctr > 0,
            }
        }
        asked
    }

    /// The context is the asker's own vector, except for these replicas.
    fn short_header(&self, asked: &Asked, o: &mut Vec<u8>) {
        o.push(SHORT_DELTA);
        o.extend(asked.stamp.to_le_bytes());
        let differ: Vec<usize> = (0..self.vv.len()).filter(|a| self.vv[*a] != asked.have[*a]).collect();
        put(o, differ.len() as u64);
        for a in differ {
            o.extend(self.actors[a].to_le_bytes());
            put(o, self.vv[a] as u64);
        }
    }

    /// The versions now in every slot that an event since then has touched.
    fn rows_since(&mut self, have: &[u32]) -> Rows {
        self.mark += 1;
        let mut rows = Rows::default();
        for (a, have) in have.iter().enumerate() {
            if self.vv[a] <= *have {
                continue;
            }
            let from = (have - self.logs[a].base) as usize;
            for k in from..self.logs[a].slots.len() {
                let slot = self.logs[a].slots[k];
                if slot != NONE && self.slots[slot as usize].mark != self.mark {
                    self.slots[slot as usize].mark = self.mark;
                    self.rows_of(&mut rows, slot, true);
                }
            }
        }
        rows
    }

    /// Takes in what `since` or `full` of another wrote.
    pub(super) fn join(&mut self, update: &[u8]) {
        let mut i = In(update);
        let kind = i.take(1)[0];
        let context = if kind == SHORT_DELTA { self.short_context(&mut i) } else { self.context(&mut i) };
        self.make_room_in_logs(&context.seen);
        let rows = RowsIn::new(&mut i);
        let fresh = self.slots.is_empty();
        if kind == STATE {
            self.reserve(rows.n as usize, rows.key_bytes_left());
        }
        self.mark += 1;
        self.join_rows(rows, &context, fresh);
        if kind == STATE && !fresh {
            // The sender's whole state: what it does not have but knew of is gone.
            for slot in 0..self.slots.len() as u32 {
                if self.slots[slot as usize].mark != self.mark {
                    self.join_key(slot, &mut vec![], &context.seen);
                }
            }
        }
        for (ours, seen) in self.vv.iter_mut().zip(&context.seen) {
            *ours = (*ours).max(*seen);
        }
    }

    fn short_context(&mut self, i: &mut In<'_>) -> Context {
        let stamp = i.actor();
        assert_eq!(stamp, Self::stamp(self.actors.iter().zip(&self.vv)), "ask again");
        let mut context = Context { actor_of: FxHashMap::default(), seen: self.vv.clone() };
        for _ in 0..i.get() {
            let actor = self.actor_index(i.actor());
            context.seen.resize(self.actors.len(), 0);
            context.seen[actor as usize] = i.get() as u32;
        }
        for _ in 0..i.get() {
            let theirs = i.get();
            context.actor_of.insert(theirs, self.actor_index(i.actor()));
        }
        context.seen.resize(self.actors.len(), 0);
        context
    }

    fn context(&mut self, i: &mut In<'_>) -> Context {
        let mut context = Context { actor_of: FxHashMap::default(), seen: Vec::new() };
        let n = i.get();
        for k in 0..n {
            context.actor_of.insert(k, self.actor_index(i.actor()));
        }
        context.seen = vec![0; self.actors.len()];
        for k in 0..n {
            context.seen[context.actor_of[&k] as usize] = i.get() as u32;
        }
        for _ in 0..i.get() {
            let actor = i.actor();
            let n = i.get();
            let counter = self.counters.entry(actor).or_default();
            *counter = n.max(*counter);
        }
        context
    }

    /// For the events that we are about to learn of.
    fn make_room_in_logs(&mut self, seen: &[u32]) {
        for ((log, ours), seen) in self.logs.iter_mut().zip(&self.vv).zip(seen) {
            if seen > ours {
                log.slots.resize((seen - log.base) as usize, NONE);
            }
        }
    }

    fn join_rows(&mut self, mut rows: RowsIn<'_>, context: &Context, fresh: bool) {
        let mut group: Vec<Version> = Vec::new();
        let mut slot = NONE;
        for _ in 0..rows.n {
            if rows.next_key(slot == NONE) {
                if slot != NONE {
                    self.join_key(slot, &mut group, &context.seen);
                    group.clear();
                }
                slot = match if fresh { None } else { self.find(&rows.key) } {
                    Some(known) => known,
                    None => self.insert_slot(&rows.key),
                };
                self.slots[slot as usize].mark = self.mark;
            }
            let (actor, version) = rows.version();
            let version = Version { actor: context.actor_of[&actor], ..version };
            self.lamport = self.lamport.max(version.lamport);
            if version.ctr > self.vv[version.actor as usize] {
                let log: &mut Log = &mut self.logs[version.actor as usize];
                log.slots[(version.ctr - log.base - 1) as usize] = slot;
            }
            group.push(version);
        }
        if slot != NONE {
            self.join_key(slot, &mut group, &context.seen);
        }
    }
}
