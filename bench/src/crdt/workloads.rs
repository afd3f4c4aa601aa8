//! W1 to W7, generic over the engine. Each function is one run; what it generates beforehand is not measured.
//!
//! A metric that begins with `of which` is a part of another, told but not judged.

use super::data::{self, Rng};
use super::mem::Since;
use super::peer::{Exchange, Op, Part, Peer};
use super::record::{Look, Record, deflated};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// 53-bit ids as yrs and loro would draw them.
fn actor(i: u64) -> u64 {
    Rng::new(0xac70 + i).u64() >> 11
}

fn commit<P: Peer>(peer: &mut P, ops: &[Op<'_>], each: bool) {
    if each {
        ops.chunks(1).for_each(|op| peer.commit(op));
    } else {
        peer.commit(ops);
    }
}

/// Save and load, each checked; then what a new peer is sent, likewise.
fn persist<P: Peer>(record: &Record, peer: &mut P, part: Part) -> Vec<u8> {
    let want = peer.read_all(part);
    record.answer(want);
    let bytes = record.ms("encode", || peer.save());
    let memory = Since::now();
    let start = Instant::now();
    let loaded = P::load(actor(900), &bytes);
    let load = start.elapsed();
    let got = loaded.read_all(part);
    let both = start.elapsed();
    record.took("load and read all", both);
    record.took("of which load", load);
    record.took("of which read all", both - load);
    assert_eq!(got, want, "loading lost data");
    let entries = if part == Part::Counter { 1 } else { want.n as usize };
    record.memory("memory, loaded and read", memory.live(), entries);
    record.memory("memory, peak while loading", memory.peak(), entries);
    drop(loaded);
    if record.looks_at(Look::Sizes) {
        weigh_snapshots(record, peer, &bytes, part);
    }
    let mut empty = P::new(actor(901));
    let version = empty.version();
    let all = record.ms("all since nothing, produce", || peer.diff(&version));
    record.weigh("all since nothing", &all);
    record.ms("all since nothing, apply", || empty.merge(&all));
    assert_eq!(empty.read_all(part), want, "merging lost data");
    bytes
}

/// Uncompressed beside uncompressed, deflated beside deflated: of who compresses by itself, the better of its own and
/// ours. The smallest form is the smallest of all from which one can go on syncing.
fn weigh_snapshots<P: Peer>(record: &Record, peer: &mut P, saved: &[u8], part: Part) {
    let plain = peer.save_uncompressed();
    let own = plain.as_ref().map(|_| saved.len());
    let plain = plain.as_deref().unwrap_or(saved);
    let packed = deflated(plain).min(own.unwrap_or(usize::MAX));
    record.bytes("snapshot", plain.len());
    record.bytes("snapshot, deflated", packed);
    let others = peer.other_forms();
    for form in &others {
        assert_eq!(P::load(actor(902), form).read_all(part), peer.read_all(part), "a form lost data");
    }
    let smallest = others.iter().map(Vec::len).chain([plain.len()]).min();
    let smallest_packed = others.iter().map(|form| deflated(form)).chain([packed]).min();
    record.bytes("smallest form", smallest.unwrap());
    record.bytes("smallest form, deflated", smallest_packed.unwrap());
}

pub fn counter<P: Peer>(record: &Record, each: bool) {
    let ops = vec![Op::Inc(1); record.size(100_000)];
    let mut a = P::new(actor(1));
    record.ms("increment", || commit(&mut a, &ops, each));
    assert_eq!(a.read_all(Part::Counter).n as usize, ops.len());
    persist(record, &mut a, Part::Counter);
}

pub fn set<P: Peer>(record: &Record, each: bool) {
    let keys = data::keys(2, record.size(100_000));
    let adds: Vec<Op> = keys.iter().map(|key| Op::Add(key)).collect();
    let mut order: Vec<usize> = (0..keys.len()).collect();
    Rng::new(22).shuffle(&mut order);
    let removals: Vec<Op> = order[..keys.len() / 2].iter().map(|at| Op::Remove(&keys[*at])).collect();
    let memory = Since::now();
    let mut a = P::new(actor(1));
    record.ms("add", || commit(&mut a, &adds, each));
    record.ms("remove", || commit(&mut a, &removals, each));
    let left = adds.len() - removals.len();
    record.memory("memory, edited", memory.live(), left);
    assert_eq!(a.read_all(Part::Set).n as usize, left);
    persist(record, &mut a, Part::Set);
}

pub fn registers<P: Peer>(record: &Record, each: bool) {
    let keys = data::keys(3, record.size(10_000));
    let mut rng = Rng::new(33);
    let writes: Vec<(usize, String)> = (0..record.size(210_000))
        .map(|i| (if i < keys.len() { i } else { rng.below(keys.len()) }, data::word(&mut rng, 8)))
        .collect();
    let ops: Vec<Op> = writes.iter().map(|(at, value)| Op::Put(&keys[*at], value)).collect();
    let (initial, overwrites) = ops.split_at(keys.len());
    let memory = Since::now();
    let mut a = P::new(actor(1));
    a.commit(initial);
    record.ms("overwrite", || commit(&mut a, overwrites, each));
    record.memory("memory, edited", memory.live(), keys.len());
    persist(record, &mut a, Part::Map);
}

/// What a replica does while it is apart, from its own seed: half additions and half removals of a set's items; a third
/// each of new, deleted and overwritten keys of a map.
struct Plan {
    fresh: Vec<String>,
    values: Vec<String>,
    seed: u64,
    edits: usize,
}

impl Plan {
    fn new(replica: u64, edits: usize) -> Self {
        let fresh = data::keys(42 + replica, edits / 2);
        Plan { fresh, values: data::keys(44 + replica, edits), seed: 46 + replica, edits }
    }

    fn ops<'a>(&'a self, keys: &'a [String], part: Part) -> Vec<Op<'a>> {
        let mut rng = Rng::new(self.seed);
        let mut order: Vec<&String> = keys.iter().collect();
        rng.shuffle(&mut order);
        let mut ops: Vec<Op> = Vec::with_capacity(self.edits);
        if part == Part::Map {
            let third = self.edits / 3;
            let new = self.fresh.iter().zip(&self.values).take(self.edits - 2 * third);
            ops.extend(new.map(|(key, value)| Op::Put(key, &value[..8])));
            ops.extend(order[..third].iter().map(|key| Op::Delete(key)));
            let again = order[third..2 * third].iter().zip(self.values.iter().rev());
            ops.extend(again.map(|(key, value)| Op::Put(key, &value[..8])));
        } else {
            ops.extend(self.fresh.iter().map(|key| Op::Add(key)));
            ops.extend(order[..self.edits / 2].iter().map(|key| Op::Remove(key)));
        }
        rng.shuffle(&mut ops);
        assert_eq!(ops.len(), self.edits);
        ops
    }
}

pub fn apart<P: Peer>(record: &Record, part: Part, each: bool) {
    let keys = data::keys(4, record.size(50_000));
    let values = data::keys(41, keys.len());
    let first = keys.iter().zip(&values).map(|(key, value)| match part {
        Part::Map => Op::Put(key, &value[..8]),
        _ => Op::Add(key),
    });
    let mut base = P::new(actor(1));
    base.commit(&first.collect::<Vec<_>>());
    let (bytes, version) = (base.save(), base.version());

    let plans = [0, 1].map(|replica| Plan::new(replica, record.size(10_000)));
    let ops = [0, 1].map(|replica| plans[replica].ops(&keys, part));
    let (mut a, mut b) = (P::load(actor(2), &bytes), P::load(actor(3), &bytes));
    record.ms("edit both", || {
        commit(&mut a, &ops[0], each);
        commit(&mut b, &ops[1], each);
    });

    // A peer that remembers which version the other had.
    let mut knowing = P::load(actor(4), &b.save());
    let lacking = record.ms("base known, produce", || a.diff(&version));
    record.weigh("base known", &lacking);
    record.ms("base known, apply", || knowing.merge(&lacking));

    let exchange = P::exchange(&mut a, &mut b);
    say_exchange(record, &exchange);
    let want = a.read_all(part);
    assert_eq!(want, b.read_all(part), "replicas differ");
    assert_eq!(want, knowing.read_all(part), "replicas differ");
    record.weigh("snapshot of both", &a.save_uncompressed().unwrap_or_else(|| a.save()));
}

fn say_exchange(record: &Record, exchange: &Exchange) {
    record.took("strangers, produce", exchange.produce);
    record.took("strangers, apply", exchange.apply);
    if record.looks_at(Look::Sizes) {
        let (sent, versions) = (exchange.payload.len(), exchange.version_bytes);
        let packed = deflated(&exchange.payload);
        if exchange.compressed {
            record.bytes("strangers, both ways, deflated", versions + packed.min(sent));
        } else {
            record.bytes("strangers, both ways", versions + sent);
            record.bytes("strangers, both ways, deflated", versions + packed);
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How long single edits are repeated, at the most...
const TRIPS: Duration = Duration::from_secs(1);
/// ...but so often in any case: some engines do at the first of them what they put off when they loaded.
const TRIPS_AT_LEAST: usize = 5;

/// Edit, ask, diff, apply, over and over; the median of each step.
fn round_trips<P: Peer>(record: &Record, name: &str, a: &mut P, b: &mut P, ops: &[Op<'_>]) {
    let mut steps: [Vec<f64>; 7] = Default::default();
    let begin = Instant::now();
    for op in ops {
        let start = Instant::now();
        a.commit(std::slice::from_ref(op));
        let edited = Instant::now();
        let version = b.version();
        let asked = Instant::now();
        let diff = a.diff(&version);
        let answered = Instant::now();
        b.merge(&diff);
        let applied = Instant::now();
        let us = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1e6;
        let figures = [
            us(start, applied),
            us(start, edited),
            us(edited, asked),
            us(asked, answered),
            us(answered, applied),
            diff.len() as f64,
            version.len() as f64,
        ];
        steps.iter_mut().zip(figures).for_each(|(step, figure)| step.push(figure));
        if begin.elapsed() > TRIPS && steps[0].len() >= TRIPS_AT_LEAST {
            break;
        }
    }
    let [total, edit, ask, diff, apply, payload, version] = steps.each_mut().map(|step| median(step));
    record.us(&format!("{name}: edit + diff + apply"), total);
    record.us("of which edit", edit);
    record.us("of which ask for the version", ask);
    record.us("of which diff", diff);
    record.us("of which apply", apply);
    record.bytes(&format!("{name}: diff"), payload as usize);
    record.bytes("version", version as usize);
}

/// The same through the library's own event or transaction's update.
fn emitted_trips<P: Peer>(record: &Record, a: &mut P, b: &mut P, ops: &[Op<'_>]) {
    let (mut total, mut payload) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    for op in ops {
        let start = Instant::now();
        let Some(update) = a.commit_and_emit(std::slice::from_ref(op)) else { return };
        b.merge(&update);
        total.push(start.elapsed().as_secs_f64() * 1e6);
        payload.push(update.len() as f64);
        if begin.elapsed() > TRIPS && total.len() >= TRIPS_AT_LEAST {
            break;
        }
    }
    record.us("by event: edit + apply", median(&mut total));
    record.bytes("by event: update", median(&mut payload) as usize);
}

/// What the document has been through before the single edits.
#[derive(Clone, Copy)]
pub enum Past {
    /// 100k entries written once, in one commit.
    Fresh,
    /// 150k entries written, 50k of them removed again.
    Removals,
    /// 10k entries overwritten 200k times in 2,000 commits.
    Overwrites,
}

pub fn single_edits<P: Peer>(record: &Record, past: Past) {
    let mut keys = data::keys(
        5,
        record.size(match past {
            Past::Fresh => 100_000,
            Past::Removals => 150_000,
            Past::Overwrites => 10_000,
        }),
    );
    let values = data::keys(51, 200_000);
    let base: Vec<Op> = keys.iter().zip(&values).map(|(key, value)| Op::Put(key, &value[..8])).collect();
    let mut a = P::new(actor(1));
    a.commit(&base);
    let mut rng = Rng::new(52);
    match past {
        Past::Fresh => {}
        Past::Removals => {
            rng.shuffle(&mut keys);
            let gone = keys.split_off(record.size(100_000));
            a.commit(&gone.iter().map(|key| Op::Delete(key)).collect::<Vec<_>>());
        }
        Past::Overwrites => {
            for chunk in values[..record.size(200_000)].chunks(100) {
                let overwrites = chunk.iter().map(|value| Op::Put(&keys[rng.below(keys.len())], &value[8..]));
                a.commit(&overwrites.collect::<Vec<_>>());
            }
        }
    }
    let mut b = P::load(actor(2), &a.save());
    record.answer(b.read_all(Part::Map));
    let ops: Vec<Op> =
        values[198_000..].iter().map(|value| Op::Put(&keys[rng.below(keys.len())], &value[4..12])).collect();
    let (by_version, by_event) = ops.split_at(1000);
    round_trips(record, "by version", &mut a, &mut b, by_version);
    emitted_trips(record, &mut a, &mut b, by_event);
    assert_eq!(a.read_all(Part::Map), b.read_all(Part::Map));
}

pub fn crowd<P: Peer>(record: &Record) {
    let keys = data::keys(6, 20_200);
    let (once, more) = keys.split_at(record.size(1000) * 20);
    let nothing = P::new(actor(600)).version();
    let updates: Vec<Vec<u8>> = (10_000..)
        .zip(once.chunks(20))
        .map(|(replica, keys)| {
            let mut one = P::new(actor(replica));
            one.commit(&keys.iter().map(|key| Op::Add(key)).collect::<Vec<_>>());
            one.diff(&nothing)
        })
        .collect();
    record.weigh("all updates", &updates.concat());
    let mut a = P::new(actor(601));
    record.ms("apply in one batch", || a.merge_batch(&updates));
    assert_eq!(a.read_all(Part::Set).n as usize, once.len());
    let mut b = P::load(actor(602), &persist(record, &mut a, Part::Set));
    black_box(b.read_all(Part::Set));
    let ops: Vec<Op> = more[..200].iter().map(|key| Op::Add(key)).collect();
    round_trips(record, "one more add", &mut a, &mut b, &ops);
    if record.looks_at(Look::Times) {
        let mut c = P::new(actor(603));
        record.ms("apply one by one", || updates.iter().for_each(|update| c.merge(update)));
        assert_eq!(c.read_all(Part::Set).n as usize, once.len());
    }
}

pub fn features<P: Peer>(record: &Record) {
    let features = data::features(7, record.size(20_000));
    let ops: Vec<Op> = features.iter().map(Op::Feature).collect();
    let memory = Since::now();
    let mut a = P::new(actor(1));
    record.ms("build", || a.commit(&ops));
    record.memory("memory, edited", memory.live(), features.len());
    assert_eq!(a.read_all(Part::Features).n as usize, features.len());
    let bytes = persist(record, &mut a, Part::Features);
    let mut b = P::load(actor(2), &bytes);
    black_box(b.read_all(Part::Features));
    let mut rng = Rng::new(77);
    for (name, each) in [("1,000 geometries", false), ("1,000 geometries, a commit each", true)] {
        let geometries: Vec<(usize, Vec<u8>)> =
            (0..record.size(1000)).map(|_| (rng.below(features.len()), data::geometry(&mut rng))).collect();
        let ops: Vec<Op> =
            geometries.iter().map(|(at, geometry)| Op::Geometry(&features[*at].id, geometry)).collect();
        record.ms(&format!("{name}: edit"), || commit(&mut a, &ops, each));
        let version = b.version();
        let diff = record.ms(&format!("{name}: diff"), || a.diff(&version));
        record.weigh(&format!("{name}: diff"), &diff);
        record.ms(&format!("{name}: apply"), || b.merge(&diff));
    }
    assert_eq!(a.read_all(Part::Features), b.read_all(Part::Features));
}
