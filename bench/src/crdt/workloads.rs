//! W1..W7, generic over the peer. Each function is one run and returns named numbers;
//! the suffix is the unit (`_ms`, `_us`, `_B`, `_n`).

use super::data::{self, Rng};
use super::mem;
use super::peer::{Exchange, Op, Part, Peer};
use std::hint::black_box;
use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Rec(pub Vec<(String, f64)>);

impl Rec {
    fn put(&mut self, name: impl Into<String>, v: f64) {
        self.0.push((name.into(), v));
    }
    fn ms<T>(&mut self, name: impl Into<String>, f: impl FnOnce() -> T) -> T {
        let t = Instant::now();
        let r = f();
        self.put(name, t.elapsed().as_secs_f64() * 1e3);
        r
    }
    fn bytes(&mut self, name: &str, b: &[u8]) {
        self.put(format!("{name}_B"), b.len() as f64);
        self.put(format!("{name}_zstd3_B"), zstd::bulk::compress(b, 3).unwrap().len() as f64);
    }
    fn live(&mut self, name: &str, before: isize) {
        if mem::enabled() {
            self.put(format!("mem.{name}_B"), (mem::live() - before) as f64);
        }
    }
}

/// 53-bit ids as yrs and loro would draw them.
pub fn actor(i: u64) -> u64 {
    Rng::new(0xac70 + i).u64() >> 11
}

/// `n` divided by the environment variable SCALE.
fn sc(n: usize) -> usize {
    static S: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    n / *S.get_or_init(|| std::env::var("SCALE").map_or(1, |s| s.parse().unwrap()))
}

/// Longest time spent committing one op at a time before the rest is skipped.
const CAP: Duration = Duration::from_secs(60);

/// One commit per op. Returns how many ops fitted under the cap.
fn commit_each<P: Peer>(p: &mut P, ops: &[Op<'_>]) -> usize {
    let t = Instant::now();
    for (i, op) in ops.iter().enumerate() {
        p.commit(std::slice::from_ref(op));
        if i % 256 == 255 && t.elapsed() > CAP {
            return i + 1;
        }
    }
    ops.len()
}

fn commit_by<P: Peer>(p: &mut P, ops: &[Op<'_>], each: bool) -> usize {
    if each {
        commit_each(p, ops)
    } else {
        p.commit(ops);
        ops.len()
    }
}

/// save / load / load+read / merge into an empty replica.
fn persist<P: Peer>(r: &mut Rec, pre: &str, p: &mut P, part: Part) -> Vec<u8> {
    let bytes = r.ms(format!("{pre}.encode_ms"), || p.save());
    r.bytes(&format!("{pre}.snapshot"), &bytes);
    let before = mem::live();
    let q = r.ms(format!("{pre}.load_ms"), || P::load(actor(900), &bytes));
    r.live(&format!("{pre}.loaded"), before);
    let d = r.ms(format!("{pre}.read_all_ms"), || q.read_all(part));
    assert_eq!(d, p.read_all(part), "load lost data");
    drop(q);
    let mut e = P::new(actor(901));
    let v = e.version();
    let diff = r.ms(format!("{pre}.full_diff_ms"), || p.diff(&v));
    r.bytes(&format!("{pre}.full_diff"), &diff);
    r.ms(format!("{pre}.merge_into_empty_ms"), || e.merge(&diff));
    assert_eq!(d, e.read_all(part), "merge lost data");
    bytes
}

fn forms<P: Peer>(r: &mut Rec, pre: &str, p: &mut P, part: Part) {
    let want = p.read_all(part);
    for i in 0.. {
        let t = Instant::now();
        let Some(f) = p.form(i) else { break };
        let ms = t.elapsed().as_secs_f64() * 1e3;
        let name = format!("{pre}.form[{}{}]", f.name, if f.syncs { "" } else { ", cannot sync" });
        r.put(format!("{name}.encode_ms"), ms);
        r.bytes(&name, &f.bytes);
        let q = r.ms(format!("{name}.load_ms"), || P::load_form(actor(902), i, &f.bytes));
        assert_eq!(q.read_all(part), want, "{name}");
    }
}

pub fn w1<P: Peer>() -> Rec {
    let mut r = Rec::default();
    let n = sc(100_000);
    let ops = vec![Op::Inc(1); n];
    for (pre, each) in [("batch", false), ("each", true)] {
        let before = mem::live();
        let mut a = P::new(actor(1));
        let done = r.ms(format!("{pre}.apply_ms"), || commit_by(&mut a, &ops, each));
        r.live(&format!("{pre}.after"), before);
        if done < n {
            r.put(format!("{pre}.ops_done_n"), done as f64);
        }
        assert_eq!(a.read_all(Part::Counter).n, done as u64);
        persist(&mut r, pre, &mut a, Part::Counter);
    }
    r
}

pub fn w2<P: Peer>(each: bool) -> Rec {
    let mut r = Rec::default();
    let pre = if each { "each" } else { "batch" };
    let keys = data::keys(2, sc(100_000));
    let adds: Vec<Op> = keys.iter().map(|k| Op::Add(k)).collect();
    let mut idx: Vec<usize> = (0..keys.len()).collect();
    Rng::new(22).shuffle(&mut idx);
    let before = mem::live();
    let mut a = P::new(actor(1));
    let done = r.ms(format!("{pre}.add_ms"), || commit_by(&mut a, &adds, each));
    r.live(&format!("{pre}.added"), before);
    if done < adds.len() {
        r.put(format!("{pre}.adds_done_n"), done as f64);
    }
    let rms: Vec<Op> =
        idx.iter().filter(|i| **i < done).take(done / 2).map(|i| Op::Remove(&keys[*i])).collect();
    let removed = r.ms(format!("{pre}.remove_ms"), || commit_by(&mut a, &rms, each));
    r.live(&format!("{pre}.removed"), before);
    if removed < rms.len() {
        r.put(format!("{pre}.removes_done_n"), removed as f64);
    }
    assert_eq!(a.read_all(Part::Set).n as usize, done - removed);
    persist(&mut r, pre, &mut a, Part::Set);
    forms(&mut r, pre, &mut a, Part::Set);
    r
}

pub fn w3<P: Peer>(each: bool) -> Rec {
    let mut r = Rec::default();
    let pre = if each { "each" } else { "batch" };
    let keys = data::keys(3, sc(10_000));
    let mut rng = Rng::new(33);
    let writes: Vec<(usize, String)> = (0..sc(210_000))
        .map(|i| (if i < keys.len() { i } else { rng.below(keys.len()) }, data::word(&mut rng, 8)))
        .collect();
    let ops: Vec<Op> = writes.iter().map(|(k, v)| Op::Put(&keys[*k], v)).collect();
    let before = mem::live();
    let mut a = P::new(actor(1));
    a.commit(&ops[..keys.len()]);
    r.live(&format!("{pre}.initial"), before);
    let ops = &ops[keys.len()..];
    let done = r.ms(format!("{pre}.overwrite_ms"), || commit_by(&mut a, ops, each));
    r.live(&format!("{pre}.after"), before);
    if done < ops.len() {
        r.put(format!("{pre}.ops_done_n"), done as f64);
    }
    persist(&mut r, pre, &mut a, Part::Map);
    forms(&mut r, pre, &mut a, Part::Map);
    r
}

fn put_exchange(r: &mut Rec, pre: &str, x: &Exchange) {
    r.put(format!("{pre}.rounds_n"), x.rounds as f64);
    r.put(format!("{pre}.version_B"), x.version_bytes as f64);
    r.put(format!("{pre}.payload_a_to_b_B"), x.payload_a_to_b as f64);
    r.put(format!("{pre}.payload_b_to_a_B"), x.payload_b_to_a as f64);
    r.put(format!("{pre}.total_B"), (x.version_bytes + x.payload_a_to_b + x.payload_b_to_a) as f64);
    r.put(format!("{pre}.produce_ms"), x.produce_ns as f64 / 1e6);
    r.put(format!("{pre}.apply_ms"), x.apply_ns as f64 / 1e6);
}

pub fn w4<P: Peer>(part: Part, each: bool) -> Rec {
    let mut r = Rec::default();
    let pre = match (part, each) {
        (Part::Map, false) => "map.batch",
        (Part::Map, true) => "map.each",
        (_, false) => "set.batch",
        (_, true) => "set.each",
    };
    let keys = data::keys(4, sc(50_000));
    let vals = data::keys(41, sc(50_000));
    let base_ops: Vec<Op> = keys
        .iter()
        .zip(&vals)
        .map(|(k, v)| if part == Part::Map { Op::Put(k, &v[..8]) } else { Op::Add(k) })
        .collect();
    let mut base = P::new(actor(1));
    base.commit(&base_ops);
    let bytes = base.save();
    let base_version = base.version();

    let fresh = [data::keys(42, sc(5_000)), data::keys(43, sc(5_000))];
    let newv = [data::keys(44, sc(10_000)), data::keys(45, sc(10_000))];
    let plan = |i: usize| -> Vec<Op<'_>> {
        let mut idx: Vec<usize> = (0..keys.len()).collect();
        let mut rng = Rng::new(46 + i as u64);
        rng.shuffle(&mut idx);
        let mut v = Vec::new();
        if part == Part::Map {
            let (n, third) = (sc(10_000), sc(10_000) / 3);
            for j in 0..n - 2 * third {
                v.push(Op::Put(&fresh[i][j], &newv[i][j][..8]));
            }
            v.extend(idx[..third].iter().map(|k| Op::Delete(&keys[*k])));
            for (k, w) in idx[third..2 * third].iter().zip(newv[i].iter().rev()) {
                v.push(Op::Put(&keys[*k], &w[..8]));
            }
        } else {
            v.extend(fresh[i].iter().map(|k| Op::Add(k)));
            v.extend(idx[..sc(5000)].iter().map(|k| Op::Remove(&keys[*k])));
        }
        rng.shuffle(&mut v);
        assert_eq!(v.len(), sc(10_000));
        v
    };
    let mut a = P::load(actor(2), &bytes);
    let mut b = P::load(actor(3), &bytes);
    let n = r.ms(format!("{pre}.edit_20k_ms"), || {
        commit_by(&mut a, &plan(0), each) + commit_by(&mut b, &plan(1), each)
    });
    assert_eq!(n, 2 * sc(10_000));

    // A peer that remembers which version the other had.
    let mut b2 = P::load(actor(4), &b.save());
    let known = r.ms(format!("{pre}.known_base.produce_ms"), || a.diff(&base_version));
    r.bytes(&format!("{pre}.known_base.payload_a_to_b"), &known);
    r.ms(format!("{pre}.known_base.apply_ms"), || b2.merge(&known));

    let x = P::exchange(&mut a, &mut b);
    put_exchange(&mut r, pre, &x);
    let d = a.read_all(part);
    assert_eq!(d, b.read_all(part), "replicas differ");
    assert_eq!(d, b2.read_all(part), "replicas differ");
    r.put(format!("{pre}.entries_n"), d.n as f64);
    let s = a.save();
    r.bytes(&format!("{pre}.snapshot"), &s);
    r
}

fn median(v: &mut [f64]) -> f64 {
    v.sort_by(f64::total_cmp);
    v[v.len() / 2]
}

/// Edit, ask, diff, merge, over and over; per-step medians.
fn round_trips<P: Peer>(r: &mut Rec, pre: &str, a: &mut P, b: &mut P, ops: &[Op<'_>]) {
    let names = ["edit_us", "version_us", "diff_us", "merge_us", "total_us", "payload_B", "version_B"];
    let mut cols: [Vec<f64>; 7] = Default::default();
    let start = Instant::now();
    for op in ops {
        let t0 = Instant::now();
        a.commit(std::slice::from_ref(op));
        let t1 = Instant::now();
        let v = b.version();
        let t2 = Instant::now();
        let d = a.diff(&v);
        let t3 = Instant::now();
        b.merge(&d);
        let t4 = Instant::now();
        let us = |d: Duration| d.as_secs_f64() * 1e6;
        let row =
            [us(t1 - t0), us(t2 - t1), us(t3 - t2), us(t4 - t3), us(t4 - t0), d.len() as f64, v.len() as f64];
        for (c, x) in cols.iter_mut().zip(row) {
            c.push(x);
        }
        if start.elapsed() > Duration::from_secs(4) {
            break;
        }
    }
    r.put(format!("{pre}.trips_n"), cols[0].len() as f64);
    for (n, c) in names.iter().zip(&mut cols) {
        r.put(format!("{pre}.{n}"), median(c));
    }
}

/// The same through the library's own event / transaction update.
fn emitted_trips<P: Peer>(r: &mut Rec, pre: &str, a: &mut P, b: &mut P, ops: &[Op<'_>]) {
    let (mut edit, mut merge, mut total, mut size) = (vec![], vec![], vec![], vec![]);
    let start = Instant::now();
    for op in ops {
        let t0 = Instant::now();
        let Some(u) = a.commit_and_emit(std::slice::from_ref(op)) else {
            return;
        };
        let t1 = Instant::now();
        b.merge(&u);
        let t2 = Instant::now();
        edit.push((t1 - t0).as_secs_f64() * 1e6);
        merge.push((t2 - t1).as_secs_f64() * 1e6);
        total.push((t2 - t0).as_secs_f64() * 1e6);
        size.push(u.len() as f64);
        if start.elapsed() > Duration::from_secs(4) {
            break;
        }
    }
    r.put(format!("{pre}.edit_and_encode_us"), median(&mut edit));
    r.put(format!("{pre}.merge_us"), median(&mut merge));
    r.put(format!("{pre}.total_us"), median(&mut total));
    r.put(format!("{pre}.payload_B"), median(&mut size));
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

pub fn w5<P: Peer>(past: Past) -> Rec {
    let mut r = Rec::default();
    let n = match past {
        Past::Fresh => sc(100_000),
        Past::Removals => sc(150_000),
        Past::Overwrites => sc(10_000),
    };
    let mut keys = data::keys(5, n);
    let vals = data::keys(51, 200_000);
    let base: Vec<Op> = keys.iter().zip(&vals).map(|(k, v)| Op::Put(k, &v[..8])).collect();
    let mut a = P::new(actor(1));
    a.commit(&base);
    let mut rng = Rng::new(52);
    match past {
        Past::Fresh => {}
        Past::Removals => {
            rng.shuffle(&mut keys);
            let gone = keys.split_off(sc(100_000));
            a.commit(&gone.iter().map(|k| Op::Delete(k)).collect::<Vec<_>>());
        }
        Past::Overwrites => {
            for c in vals[..sc(200_000)].chunks(100) {
                let ops: Vec<Op> = c.iter().map(|v| Op::Put(&keys[rng.below(n)], &v[8..])).collect();
                a.commit(&ops);
            }
        }
    }
    let mut b = P::load(actor(2), &a.save());
    black_box(b.read_all(Part::Map));
    let ops: Vec<Op> =
        vals[198_000..].iter().map(|v| Op::Put(&keys[rng.below(keys.len())], &v[4..12])).collect();
    round_trips(&mut r, "by_version", &mut a, &mut b, &ops[..1000]);
    emitted_trips(&mut r, "by_event", &mut a, &mut b, &ops[1000..]);
    assert_eq!(a.read_all(Part::Map), b.read_all(Part::Map));
    r
}

pub fn w6<P: Peer>() -> Rec {
    let mut r = Rec::default();
    let keys = data::keys(6, 20_200);
    let empty = P::new(actor(600)).version();
    let t = Instant::now();
    let updates: Vec<Vec<u8>> = (0..sc(1000))
        .map(|i| {
            let mut p = P::new(actor(10_000 + i as u64));
            let ops: Vec<Op> = keys[i * 20..i * 20 + 20].iter().map(|k| Op::Add(k)).collect();
            p.commit(&ops);
            p.diff(&empty)
        })
        .collect();
    r.put("make_1000_replicas_ms", t.elapsed().as_secs_f64() * 1e3);
    r.put("updates_total_B", updates.iter().map(Vec::len).sum::<usize>() as f64);
    let before = mem::live();
    let mut a = P::new(actor(601));
    r.ms("merge_sequential_ms", || updates.iter().for_each(|u| a.merge(u)));
    r.live("merged", before);
    let mut b = P::new(actor(602));
    r.ms("merge_batch_ms", || b.merge_batch(&updates));
    let d = a.read_all(Part::Set);
    assert_eq!(d.n as usize, sc(1000) * 20);
    assert_eq!(d, b.read_all(Part::Set));
    r.put("version_B", a.version().len() as f64);
    persist(&mut r, "merged", &mut a, Part::Set);
    forms(&mut r, "merged", &mut a, Part::Set);
    let ops: Vec<Op> = keys[20_000..].iter().map(|k| Op::Add(k)).collect();
    round_trips(&mut r, "one_add_1000_actors", &mut a, &mut b, &ops);
    r
}

pub fn w7<P: Peer>() -> Rec {
    let mut r = Rec::default();
    let fs = data::features(7, sc(20_000));
    r.put("raw_B", fs.iter().map(|f| f.raw_len()).sum::<usize>() as f64);
    let ops: Vec<Op> = fs.iter().map(Op::Feature).collect();
    let before = mem::live();
    let mut a = P::new(actor(1));
    r.ms("build_ms", || a.commit(&ops));
    r.live("built", before);
    assert_eq!(a.read_all(Part::Features).n as usize, fs.len());
    let bytes = persist(&mut r, "built", &mut a, Part::Features);
    forms(&mut r, "built", &mut a, Part::Features);
    let mut b = P::load(actor(2), &bytes);
    black_box(b.read_all(Part::Features));
    let mut rng = Rng::new(77);
    let geo: Vec<(usize, Vec<u8>)> =
        (0..sc(1000)).map(|_| (rng.below(fs.len()), data::geometry(&mut rng))).collect();
    let ops: Vec<Op> = geo.iter().map(|(i, g)| Op::Geometry(&fs[*i].id, g)).collect();
    for (pre, each) in [("update1000.batch", false), ("update1000.each", true)] {
        r.ms(format!("{pre}.edit_ms"), || commit_by(&mut a, &ops, each));
        let v = b.version();
        let d = r.ms(format!("{pre}.diff_ms"), || a.diff(&v));
        r.bytes(&format!("{pre}.payload"), &d);
        r.ms(format!("{pre}.merge_ms"), || b.merge(&d));
    }
    assert_eq!(a.read_all(Part::Features), b.read_all(Part::Features));
    r
}
