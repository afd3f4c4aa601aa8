//! automerge: hash-linked changes over a columnar op set, full history always kept.
//!
//! Counter = `ScalarValue::Counter`. Set = map key -> true. Registers = map.
//! Feature = nested map with a nested map for tags and a `Counter` for votes.
//!
//! Every replica starts from the same one-change document that creates the root objects
//! (the documented way to let replicas share a schema). `version` is the heads; `diff` is
//! `save_after`, which is exact only if our document contains those heads. Diverged
//! replicas therefore use the Bloom-filter sync protocol in `exchange`, whose messages it compresses.

use crate::crdt::peer::{Digest, Exchange, Op, Part, Peer};
use ::automerge::sync::{self, SyncDoc};
use ::automerge::transaction::{CommitOptions, Transactable};
use ::automerge::{
    ActorId, Automerge as Doc, ChangeHash, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, ScalarValueRef, Value,
    ValueRef,
};
use std::sync::LazyLock;
use std::time::Instant;

pub struct Automerge {
    doc: Doc,
    set: ObjId,
    map: ObjId,
    features: ObjId,
}

static SCHEMA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut doc = Doc::new().with_actor(ActorId::from([0u8; 16]));
    let mut tx = doc.transaction();
    tx.put(ROOT, "counter", ScalarValue::counter(0)).unwrap();
    tx.put_object(ROOT, "set", ObjType::Map).unwrap();
    tx.put_object(ROOT, "map", ObjType::Map).unwrap();
    tx.put_object(ROOT, "features", ObjType::Map).unwrap();
    tx.commit_with(CommitOptions::default().with_time(0));
    doc.save()
});

impl Automerge {
    fn wrap(actor: u64, mut doc: Doc) -> Self {
        let mut id = [0u8; 16];
        // Spread the bits: real actor ids are 16 random bytes.
        id[..8].copy_from_slice(&actor.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        id[8..].copy_from_slice(&actor.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes());
        doc.set_actor(ActorId::from(id));
        let obj = |k: &str| doc.get(ROOT, k).unwrap().unwrap().1;
        Automerge { set: obj("set"), map: obj("map"), features: obj("features"), doc }
    }

    fn heads(bytes: &[u8]) -> Vec<ChangeHash> {
        bytes.chunks(32).map(|c| ChangeHash(c.try_into().unwrap())).collect()
    }

    /// One message of the sync protocol, if there is one to send.
    fn send_sync(
        &mut self,
        state: &mut sync::State,
        to: &mut Self,
        to_state: &mut sync::State,
        x: &mut Exchange,
    ) -> bool {
        let start = Instant::now();
        let message = self.doc.generate_sync_message(state).map(|message| message.encode());
        x.produce += start.elapsed();
        let Some(message) = message else { return false };
        x.payload.extend_from_slice(&message);
        let start = Instant::now();
        let message = sync::Message::decode(&message).unwrap();
        to.doc.receive_sync_message(to_state, message).unwrap();
        x.apply += start.elapsed();
        true
    }

    fn fields(&self, obj: &ObjId, key: &str) -> (Value<'_>, ObjId) {
        self.doc.get(obj, key).unwrap().unwrap()
    }
}

impl Peer for Automerge {
    fn new(actor: u64) -> Self {
        Self::wrap(actor, Doc::load(&SCHEMA).unwrap())
    }

    fn commit(&mut self, ops: &[Op<'_>]) {
        let mut tx = self.doc.transaction();
        for op in ops {
            match *op {
                Op::Inc(n) => tx.increment(ROOT, "counter", n as i64).unwrap(),
                Op::Add(k) => tx.put(&self.set, k, true).unwrap(),
                Op::Remove(k) => tx.delete(&self.set, k).unwrap(),
                Op::Put(k, v) => tx.put(&self.map, k, v).unwrap(),
                Op::Delete(k) => tx.delete(&self.map, k).unwrap(),
                Op::Feature(f) => {
                    let m = tx.put_object(&self.features, f.id.as_str(), ObjType::Map).unwrap();
                    tx.put(&m, "name", f.name.as_str()).unwrap();
                    tx.put(&m, "geometry", f.geometry.clone()).unwrap();
                    let tags = tx.put_object(&m, "tags", ObjType::Map).unwrap();
                    for t in &f.tags {
                        tx.put(&tags, t.as_str(), true).unwrap();
                    }
                    tx.put(&m, "votes", ScalarValue::counter(f.votes as i64)).unwrap();
                }
                Op::Geometry(id, g) => {
                    let (_, f) = tx.get(&self.features, id).unwrap().unwrap();
                    tx.put(&f, "geometry", g.to_vec()).unwrap();
                }
            }
        }
        tx.commit();
    }

    fn commit_and_emit(&mut self, ops: &[Op<'_>]) -> Option<Vec<u8>> {
        self.commit(ops);
        Some(self.doc.get_last_local_change().unwrap().raw_bytes().to_vec())
    }

    fn save(&mut self) -> Vec<u8> {
        self.doc.save()
    }

    fn load(actor: u64, bytes: &[u8]) -> Self {
        Self::wrap(actor, Doc::load(bytes).unwrap())
    }

    fn save_uncompressed(&mut self) -> Option<Vec<u8>> {
        Some(self.doc.save_nocompress())
    }

    fn version(&mut self) -> Vec<u8> {
        self.doc.get_heads().iter().flat_map(|h| h.0).collect()
    }

    fn diff(&mut self, version: &[u8]) -> Vec<u8> {
        self.doc.save_after(&Self::heads(version))
    }

    fn merge(&mut self, update: &[u8]) {
        self.doc.load_incremental(update).unwrap();
    }

    /// Chunks may be concatenated: `load_incremental` parses all, then applies them once.
    fn merge_batch(&mut self, updates: &[Vec<u8>]) {
        self.doc.load_incremental(&updates.concat()).unwrap();
    }

    fn exchange(a: &mut Self, b: &mut Self) -> Exchange {
        let mut x = Exchange { compressed: true, ..Exchange::default() };
        let (mut state_a, mut state_b) = (sync::State::new(), sync::State::new());
        loop {
            let to_b = a.send_sync(&mut state_a, b, &mut state_b, &mut x);
            let to_a = b.send_sync(&mut state_b, a, &mut state_a, &mut x);
            if !to_b && !to_a {
                return x;
            }
        }
    }

    fn read_all(&self, part: Part) -> Digest {
        let mut d = Digest::default();
        match part {
            Part::Counter => {
                let (Value::Scalar(v), _) = self.fields(&ROOT, "counter") else { panic!() };
                let ScalarValue::Counter(c) = v.as_ref() else { panic!() };
                d.n = i64::from(c) as u64;
            }
            Part::Set => {
                for k in self.doc.keys(&self.set) {
                    d.entry(&[k.as_bytes()]);
                }
            }
            Part::Map => {
                for item in self.doc.map_range(&self.map, ..) {
                    let ValueRef::Scalar(ScalarValueRef::Str(v)) = &item.value else { panic!() };
                    d.entry(&[item.key.as_bytes(), v.as_bytes()]);
                }
            }
            Part::Features => {
                for item in self.doc.map_range(&self.features, ..) {
                    let f = item.id();
                    let (name, _) = self.fields(&f, "name");
                    let (g, _) = self.fields(&f, "geometry");
                    let (_, tags) = self.fields(&f, "tags");
                    let (Value::Scalar(votes), _) = self.fields(&f, "votes") else { panic!() };
                    let ScalarValue::Counter(votes) = votes.as_ref() else { panic!() };
                    let mut t = Digest::default();
                    for k in self.doc.keys(&tags) {
                        t.entry(&[k.as_bytes()]);
                    }
                    let votes = (i64::from(votes) as u64).to_le_bytes();
                    d.entry(&[
                        item.key.as_bytes(),
                        name.as_str().unwrap().as_bytes(),
                        g.as_bytes().unwrap(),
                        &t.hash.to_le_bytes(),
                        &votes,
                    ]);
                }
            }
        }
        d
    }
}
