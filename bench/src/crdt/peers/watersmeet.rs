//! Ours: one document. Counter and set at the root; registers in a map; a feature is a map of two registers, a set
//! and a counter.

use crate::crdt::peer::{Digest, Op, Part, Peer};
use watersmeet_crdt::document::{MapView, RegisterView, SetView, Transaction};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, Value, VersionVector};

pub struct Watersmeet(Document);

const NOW: Time = Time::from_millis(1_700_000_000_000);

fn write(tx: &mut Transaction, op: &Op<'_>) {
    match *op {
        Op::Inc(n) => tx.increment(&["c"], n.into()),
        Op::Add(k) => tx.insert(&["s"], k),
        Op::Remove(k) => tx.remove(&["s"], k),
        Op::Put(k, x) => tx.set(&["m", k], x),
        Op::Delete(k) => tx.delete(&["m", k]),
        Op::Feature(f) => {
            tx.set(&["f", &f.id, "n"], f.name.as_str());
            tx.set(&["f", &f.id, "g"], f.geometry.as_slice());
            f.tags.iter().for_each(|t| tx.insert(&["f", &f.id, "t"], t.as_str()));
            tx.increment(&["f", &f.id, "v"], f.votes.into());
        }
        Op::Geometry(id, g) => tx.set(&["f", id, "g"], g),
    }
}

fn text(v: &Value) -> &[u8] {
    v.text().unwrap().as_bytes()
}

fn written<'a>(r: Option<RegisterView<'a>>) -> &'a Value {
    r.and_then(RegisterView::get).unwrap()
}

fn feature(id: &str, f: MapView<'_>, d: &mut Digest) {
    let Value::Bytes(geometry) = written(f.register("g")) else { panic!() };
    let mut tags = Digest::default();
    f.set("t").into_iter().flat_map(SetView::iter).for_each(|t| tags.entry(&[text(t)]));
    d.entry(&[
        id.as_bytes(),
        text(written(f.register("n"))),
        geometry,
        &tags.hash.to_le_bytes(),
        &(f.counter("v") as u64).to_le_bytes(),
    ]);
}

impl Peer for Watersmeet {
    fn new(actor: u64) -> Self {
        Watersmeet(Document::new(ReplicaId::new(actor)))
    }
    fn commit(&mut self, ops: &[Op<'_>]) {
        self.0.edit(NOW, |tx| ops.iter().for_each(|op| write(tx, op))).unwrap();
    }
    fn commit_and_emit(&mut self, ops: &[Op<'_>]) -> Option<Vec<u8>> {
        let v = self.0.version().clone();
        self.commit(ops);
        Some(self.0.since(&v).encode().into())
    }
    fn save(&mut self) -> Vec<u8> {
        self.0.encode_state().into()
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
        let version: VersionVector = postcard::from_bytes(v).unwrap();
        self.0.since(&version).encode().into()
    }
    fn merge(&mut self, b: &[u8]) {
        self.0.apply(Delta::decode(b).unwrap()).unwrap();
    }
    fn read_all(&self, part: Part) -> Digest {
        let mut d = Digest::default();
        let map = |name| self.0.map(&[name]).into_iter().flat_map(MapView::iter);
        match part {
            Part::Counter => d.n = self.0.counter(&["c"]) as u64,
            Part::Set => {
                let set = self.0.root().set("s");
                set.into_iter().flat_map(SetView::iter).for_each(|i| d.entry(&[text(i)]));
            }
            Part::Map => {
                use watersmeet_crdt::document::View;
                for (k, _, v) in map("m") {
                    if let View::Register(r) = v {
                        d.entry(&[k.as_bytes(), text(r.get().unwrap())]);
                    }
                }
            }
            Part::Features => {
                use watersmeet_crdt::document::View;
                for (id, _, v) in map("f") {
                    if let View::Map(f) = v {
                        feature(id, f, &mut d);
                    }
                }
            }
        }
        d
    }
}
