//! yrs: one document of linked items per client, state vectors, no change history.
//!
//! Counter = root map client id -> count (yrs has no counter type; each client overwrites
//! its own key, the value is the sum). Set = `MapRef` key -> true. Registers = `MapRef`.
//! Feature = nested `MapRef` with a nested map for tags and one for votes.
//!
//! `V2` selects the lib0 v2 (columnar) encoding. Deleted content is dropped at commit, as is its default.

use crate::crdt::peer::{Digest, Op, Part, Peer};
use ::yrs::updates::decoder::Decode;
use ::yrs::updates::encoder::Encode;
use ::yrs::{
    Any, ClientID, Doc, In, Map, MapPrelim, MapRef, Options, Out, ReadTxn, StateVector, Transact,
    TransactionMut, Update, merge_updates_v1, merge_updates_v2,
};

pub struct Yrs<const V2: bool> {
    actor: String,
    doc: Doc,
    counter: MapRef,
    set: MapRef,
    map: MapRef,
    features: MapRef,
    count: i64,
}

impl<const V2: bool> Yrs<V2> {
    fn apply(&mut self, txn: &mut TransactionMut<'_>, ops: &[Op<'_>]) {
        for op in ops {
            match *op {
                Op::Inc(n) => {
                    self.count += n as i64;
                    self.counter.insert(txn, self.actor.as_str(), self.count);
                }
                Op::Add(k) => {
                    self.set.insert(txn, k, true);
                }
                Op::Remove(k) => {
                    self.set.remove(txn, k);
                }
                Op::Put(k, v) => {
                    self.map.insert(txn, k, v);
                }
                Op::Delete(k) => {
                    self.map.remove(txn, k);
                }
                Op::Feature(f) => {
                    let tags: MapPrelim = f.tags.iter().map(|t| (t.as_str(), true)).collect();
                    let votes = MapPrelim::from([(self.actor.as_str(), f.votes as i64)]);
                    self.features.insert(
                        txn,
                        f.id.as_str(),
                        MapPrelim::from([
                            ("name", In::from(f.name.as_str())),
                            ("geometry", In::from(f.geometry.clone())),
                            ("tags", In::from(tags)),
                            ("votes", In::from(votes)),
                        ]),
                    );
                }
                Op::Geometry(id, g) => {
                    let Some(Out::YMap(f)) = self.features.get(txn, id) else { panic!() };
                    f.insert(txn, "geometry", In::from(g.to_vec()));
                }
            }
        }
    }

    fn full(&self) -> Vec<u8> {
        let txn = self.doc.transact();
        let sv = StateVector::default();
        if V2 { txn.encode_state_as_update_v2(&sv) } else { txn.encode_state_as_update_v1(&sv) }
    }
}

impl<const V2: bool> Peer for Yrs<V2> {
    fn new(actor: u64) -> Self {
        let doc = Doc::with_options(Options::with_client_id(ClientID::new(actor)));
        Yrs {
            actor: actor.to_string(),
            counter: doc.get_or_insert_map("counter"),
            set: doc.get_or_insert_map("set"),
            map: doc.get_or_insert_map("map"),
            features: doc.get_or_insert_map("features"),
            doc,
            count: 0,
        }
    }

    fn commit(&mut self, ops: &[Op<'_>]) {
        let doc = self.doc.clone();
        let mut txn = doc.transact_mut();
        self.apply(&mut txn, ops);
    }

    fn commit_and_emit(&mut self, ops: &[Op<'_>]) -> Option<Vec<u8>> {
        let doc = self.doc.clone();
        let mut txn = doc.transact_mut();
        self.apply(&mut txn, ops);
        Some(if V2 { txn.encode_update_v2() } else { txn.encode_update_v1() })
    }

    fn save(&mut self) -> Vec<u8> {
        self.full()
    }

    fn load(actor: u64, bytes: &[u8]) -> Self {
        let mut p = Self::new(actor);
        p.merge(bytes);
        let key = p.actor.clone();
        let count = p.counter.get(&p.doc.transact(), &key);
        if let Some(Out::Any(Any::Number(n))) = count {
            p.count = n.as_i64().unwrap();
        }
        p
    }

    fn version(&mut self) -> Vec<u8> {
        self.doc.transact().state_vector().encode_v1()
    }

    fn diff(&mut self, version: &[u8]) -> Vec<u8> {
        let sv = if version.is_empty() {
            StateVector::default()
        } else {
            StateVector::decode_v1(version).unwrap()
        };
        let txn = self.doc.transact();
        if V2 { txn.encode_diff_v2(&sv) } else { txn.encode_diff_v1(&sv) }
    }

    fn merge(&mut self, update: &[u8]) {
        let u = if V2 { Update::decode_v2(update) } else { Update::decode_v1(update) };
        self.doc.transact_mut().apply_update(u.unwrap()).unwrap();
    }

    fn merge_batch(&mut self, updates: &[Vec<u8>]) {
        let merged = if V2 { merge_updates_v2(updates) } else { merge_updates_v1(updates) };
        self.merge(&merged.unwrap());
    }

    fn read_all(&self, part: Part) -> Digest {
        let mut d = Digest::default();
        let txn = self.doc.transact();
        let sum = |m: &MapRef| -> u64 {
            m.iter(&txn)
                .map(|(_, v)| match v {
                    Out::Any(Any::Number(n)) => n.as_i64().unwrap() as u64,
                    other => panic!("{other:?}"),
                })
                .sum()
        };
        match part {
            Part::Counter => d.n = sum(&self.counter),
            Part::Set => {
                for (k, _) in self.set.iter(&txn) {
                    d.entry(&[k.as_bytes()]);
                }
            }
            Part::Map => {
                for (k, v) in self.map.iter(&txn) {
                    let Out::Any(Any::String(s)) = v else { panic!() };
                    d.entry(&[k.as_bytes(), s.as_bytes()]);
                }
            }
            Part::Features => {
                for (k, v) in self.features.iter(&txn) {
                    let Out::YMap(f) = v else { panic!() };
                    let Some(Out::Any(Any::String(name))) = f.get(&txn, "name") else { panic!() };
                    let Some(Out::Any(Any::Buffer(g))) = f.get(&txn, "geometry") else { panic!() };
                    let Some(Out::YMap(tags)) = f.get(&txn, "tags") else { panic!() };
                    let Some(Out::YMap(votes)) = f.get(&txn, "votes") else { panic!() };
                    let mut t = Digest::default();
                    for (k, _) in tags.iter(&txn) {
                        t.entry(&[k.as_bytes()]);
                    }
                    let votes = sum(&votes).to_le_bytes();
                    d.entry(&[k.as_bytes(), name.as_bytes(), &g, &t.hash.to_le_bytes(), &votes]);
                }
            }
        }
        d
    }
}
