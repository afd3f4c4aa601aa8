//! Ours: one document. Counter and set at the root; registers in a map; a feature is a map of two registers, a set
//! and a counter.

use crate::crdt::peer::{Digest, Op, Part, Peer};
use watersmeet_crdt::document::{Key, Kind, Op as Edit, Slot};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, Value, VersionVector};
pub struct Watersmeet(Document);
fn path(a: &[&str]) -> Vec<String> {
    a.iter().map(|s| s.to_string()).collect()
}
fn ops(ops: &[Op<'_>]) -> Vec<Edit> {
    let mut v = Vec::with_capacity(ops.len());
    for op in ops {
        match *op {
            Op::Inc(n) => v.push(Edit::Increment(path(&["c"]), n.into())),
            Op::Add(k) => v.push(Edit::Insert(path(&["s"]), Value::from(k))),
            Op::Remove(k) => v.push(Edit::Remove(path(&["s"]), Value::from(k))),
            Op::Put(k, x) => v.push(Edit::Set(path(&["m", k]), Value::from(x))),
            Op::Delete(k) => v.push(Edit::Delete(path(&["m", k]))),
            Op::Feature(f) => {
                v.push(Edit::Set(path(&["f", &f.id, "n"]), Value::from(f.name.as_str())));
                v.push(Edit::Set(path(&["f", &f.id, "g"]), Value::from(f.geometry.clone())));
                for t in &f.tags {
                    v.push(Edit::Insert(path(&["f", &f.id, "t"]), Value::from(t.as_str())));
                }
                v.push(Edit::Increment(path(&["f", &f.id, "v"]), f.votes.into()));
            }
            Op::Geometry(id, g) => v.push(Edit::Set(path(&["f", id, "g"]), Value::from(g.to_vec()))),
        }
    }
    v
}
fn decode_version(bytes: &[u8]) -> VersionVector {
    postcard::from_bytes(bytes).unwrap()
}

impl Peer for Watersmeet {
    fn new(actor: u64) -> Self {
        Watersmeet(Document::new(ReplicaId::new(actor)))
    }
    fn commit(&mut self, o: &[Op<'_>]) {
        self.0.commit(Time::from_millis(1_700_000_000_000), ops(o)).unwrap();
    }
    fn commit_and_emit(&mut self, o: &[Op<'_>]) -> Option<Vec<u8>> {
        let v = self.0.version().clone();
        self.commit(o);
        Some(self.0.since(&v).encode())
    }
    fn save(&mut self) -> Vec<u8> {
        self.0.encode_state()
    }
    fn load(actor: u64, b: &[u8]) -> Self {
        let mut m = Self::new(actor);
        m.merge(b);
        m
    }
    fn version(&mut self) -> Vec<u8> {
        postcard::to_allocvec(self.0.version()).unwrap()
    }
    fn diff(&mut self, v: &[u8]) -> Vec<u8> {
        self.0.since(&decode_version(v)).encode()
    }
    fn merge(&mut self, b: &[u8]) {
        self.0.apply(Delta::decode(b).unwrap()).unwrap();
    }
    fn read_all(&self, part: Part) -> Digest {
        let mut d = Digest::default();
        match part {
            Part::Counter => d.n = self.0.counter(&["c"]) as u64,
            Part::Set => {
                for i in self.0.items(&["s"]) {
                    d.entry(&[i.text().unwrap().as_bytes()])
                }
            }
            Part::Map => {
                for (k, s) in self.0.map(&["m"]).into_iter().flat_map(|m| m.iter()) {
                    if let Slot::Register(r) = s {
                        d.entry(&[k.name.as_bytes(), r.get().unwrap().text().unwrap().as_bytes()])
                    }
                }
            }
            Part::Features => {
                for (k, s) in self.0.map(&["f"]).into_iter().flat_map(|m| m.iter()) {
                    if let Slot::Map(f) = s {
                        let g = |n: &str, kind| f.get(&Key { name: n.into(), kind });
                        let Some(Slot::Register(n)) = g("n", Kind::Register) else { panic!() };
                        let Some(Slot::Register(geo)) = g("g", Kind::Register) else { panic!() };
                        let Some(Slot::Set(t)) = g("t", Kind::Set) else { panic!() };
                        let Some(Slot::Counter(v)) = g("v", Kind::Counter) else { panic!() };
                        let mut td = Digest::default();
                        for i in t.iter() {
                            td.entry(&[i.text().unwrap().as_bytes()])
                        }
                        let Some(Value::Bytes(gb)) = geo.get() else { panic!() };
                        d.entry(&[
                            k.name.as_bytes(),
                            n.get().unwrap().text().unwrap().as_bytes(),
                            gb,
                            &td.hash.to_le_bytes(),
                            &(v.value() as u64).to_le_bytes(),
                        ]);
                    }
                }
            }
        }
        d
    }
}
