//! loro: one document, op log plus state, Fugue/LWW, version vectors.
//!
//! Counter = `LoroCounter` (f64). Set = `LoroMap` key -> true. Registers = `LoroMap`.
//! Feature = `LoroMap` child with a `LoroMap` for tags and a `LoroCounter` for votes.
//!
//! Its snapshots keep LZ4 in those blocks that it makes smaller, and that cannot be turned off: they stand with the
//! uncompressed forms, in its favour.

use crate::crdt::peer::{Digest, Op, Part, Peer};
use ::loro::{
    Container, ExportMode, LoroCounter, LoroDoc, LoroMap, LoroValue, Subscription, ValueOrContainer,
    VersionVector,
};
use std::sync::{Arc, Mutex};

pub struct Loro {
    doc: LoroDoc,
    counter: LoroCounter,
    set: LoroMap,
    map: LoroMap,
    features: LoroMap,
    subscription: Option<Subscription>,
    emitted: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Loro {
    fn wrap(actor: u64, doc: LoroDoc) -> Self {
        doc.set_peer_id(actor).unwrap();
        Loro {
            counter: doc.get_counter("counter"),
            set: doc.get_map("set"),
            map: doc.get_map("map"),
            features: doc.get_map("features"),
            doc,
            subscription: None,
            emitted: Arc::default(),
        }
    }

    fn feature(&self, id: &str) -> LoroMap {
        match self.features.get(id) {
            Some(ValueOrContainer::Container(Container::Map(m))) => m,
            other => panic!("no feature {id}: {other:?}"),
        }
    }
}

impl Peer for Loro {
    fn new(actor: u64) -> Self {
        Self::wrap(actor, LoroDoc::new())
    }

    fn commit(&mut self, ops: &[Op<'_>]) {
        for op in ops {
            match *op {
                Op::Inc(n) => self.counter.increment(n as f64).unwrap(),
                Op::Add(k) => self.set.insert(k, true).unwrap(),
                Op::Remove(k) => self.set.delete(k).unwrap(),
                Op::Put(k, v) => self.map.insert(k, v).unwrap(),
                Op::Delete(k) => self.map.delete(k).unwrap(),
                Op::Feature(f) => {
                    let m = self.features.insert_container(&f.id, LoroMap::new()).unwrap();
                    m.insert("name", f.name.as_str()).unwrap();
                    m.insert("geometry", f.geometry.as_slice()).unwrap();
                    let tags = m.insert_container("tags", LoroMap::new()).unwrap();
                    for t in &f.tags {
                        tags.insert(t, true).unwrap();
                    }
                    let votes = m.insert_container("votes", LoroCounter::new()).unwrap();
                    votes.increment(f.votes as f64).unwrap();
                }
                Op::Geometry(id, g) => self.feature(id).insert("geometry", g).unwrap(),
            }
        }
        self.doc.commit();
    }

    fn commit_and_emit(&mut self, ops: &[Op<'_>]) -> Option<Vec<u8>> {
        if self.subscription.is_none() {
            let emitted = self.emitted.clone();
            self.subscription = Some(self.doc.subscribe_local_update(Box::new(move |update| {
                *emitted.lock().unwrap() = Some(update.clone());
                true
            })));
        }
        self.commit(ops);
        self.emitted.lock().unwrap().take()
    }

    fn save(&mut self) -> Vec<u8> {
        self.doc.export(ExportMode::Snapshot).unwrap()
    }

    fn load(actor: u64, bytes: &[u8]) -> Self {
        let doc = LoroDoc::new();
        doc.import(bytes).unwrap();
        Self::wrap(actor, doc)
    }

    fn other_forms(&mut self) -> Vec<Vec<u8>> {
        let head = self.doc.oplog_frontiers();
        [ExportMode::shallow_snapshot(&head), ExportMode::state_only(None), ExportMode::all_updates()]
            .map(|mode| self.doc.export(mode).unwrap())
            .into()
    }

    fn version(&mut self) -> Vec<u8> {
        self.doc.oplog_vv().encode()
    }

    fn diff(&mut self, version: &[u8]) -> Vec<u8> {
        let vv = if version.is_empty() {
            VersionVector::default()
        } else {
            VersionVector::decode(version).unwrap()
        };
        self.doc.export(ExportMode::updates(&vv)).unwrap()
    }

    fn merge(&mut self, update: &[u8]) {
        let s = self.doc.import(update).unwrap();
        assert!(s.pending.is_none());
    }

    fn merge_batch(&mut self, updates: &[Vec<u8>]) {
        let s = self.doc.import_batch(updates).unwrap();
        assert!(s.pending.is_none());
    }

    fn read_all(&self, part: Part) -> Digest {
        let mut d = Digest::default();
        match part {
            Part::Counter => d.n = self.counter.get() as u64,
            Part::Set => self.set.for_each(|k, _| d.entry(&[k.as_bytes()])),
            Part::Map => self.map.for_each(|k, v| match v {
                ValueOrContainer::Value(LoroValue::String(s)) => d.entry(&[k.as_bytes(), s.as_bytes()]),
                other => panic!("{other:?}"),
            }),
            Part::Features => self.features.for_each(|k, v| {
                let ValueOrContainer::Container(Container::Map(m)) = v else { panic!() };
                let Some(ValueOrContainer::Value(LoroValue::String(name))) = m.get("name") else { panic!() };
                let Some(ValueOrContainer::Value(LoroValue::Binary(g))) = m.get("geometry") else { panic!() };
                let Some(ValueOrContainer::Container(Container::Map(tags))) = m.get("tags") else { panic!() };
                let mut t = Digest::default();
                tags.for_each(|k, _| t.entry(&[k.as_bytes()]));
                let Some(ValueOrContainer::Container(Container::Counter(c))) = m.get("votes") else {
                    panic!()
                };
                let votes = (c.get() as u64).to_le_bytes();
                d.entry(&[k.as_bytes(), name.as_bytes(), &g, &t.hash.to_le_bytes(), &votes]);
            }),
        }
        d
    }
}
