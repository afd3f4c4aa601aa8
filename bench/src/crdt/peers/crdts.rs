//! crdts (rust-crdt): plain state types with clocks; no document, no history, no wire
//! format, no "what do you lack" query.
//!
//! Counter = `GCounter`. Set = `Orswot`. Registers = `Map<_, MVReg>` (`LWWReg` cannot be a
//! `Map` value in 7.3: it has no `ResetRemove`). Feature = a struct of `MVReg`, `MVReg`,
//! `Orswot`, `PNCounter` that implements the traits `Map` asks of its values.
//!
//! State-based: `diff` is the whole state (bincode), `merge` is `CvRDT::merge`. Its operations could be logged and sent
//! instead, but that log, and who lacks what of it, the library leaves to the application.

use crate::crdt::peer::{Digest, Op, Part, Peer};
use ::crdts::ctx::AddCtx;
use ::crdts::{CmRDT, CvRDT, GCounter, MVReg, Map, Orswot, PNCounter, ResetRemove, VClock};
use ::crdts::{mvreg, orswot, pncounter};
use serde::{Deserialize, Serialize};

type Actor = u64;
type RegMap = Map<String, MVReg<String, Actor>, Actor>;
type FeatureMap = Map<String, Feature, Actor>;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Feature {
    name: MVReg<String, Actor>,
    geometry: MVReg<Vec<u8>, Actor>,
    tags: Orswot<String, Actor>,
    votes: PNCounter<Actor>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum FeatureOp {
    Name(mvreg::Op<String, Actor>),
    Geometry(mvreg::Op<Vec<u8>, Actor>),
    Tags(orswot::Op<String, Actor>),
    Votes(pncounter::Op<Actor>),
    /// All fields under one dot of the surrounding map.
    Init(Box<InitOps>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct InitOps {
    name: mvreg::Op<String, Actor>,
    geometry: mvreg::Op<Vec<u8>, Actor>,
    tags: orswot::Op<String, Actor>,
    votes: pncounter::Op<Actor>,
}

impl CmRDT for Feature {
    type Op = FeatureOp;
    type Validation = std::convert::Infallible;
    fn validate_op(&self, _: &FeatureOp) -> Result<(), Self::Validation> {
        Ok(())
    }
    fn apply(&mut self, op: FeatureOp) {
        match op {
            FeatureOp::Name(o) => self.name.apply(o),
            FeatureOp::Geometry(o) => self.geometry.apply(o),
            FeatureOp::Tags(o) => self.tags.apply(o),
            FeatureOp::Votes(o) => self.votes.apply(o),
            FeatureOp::Init(init) => {
                self.name.apply(init.name);
                self.geometry.apply(init.geometry);
                self.tags.apply(init.tags);
                self.votes.apply(init.votes);
            }
        }
    }
}

impl CvRDT for Feature {
    type Validation = std::convert::Infallible;
    fn validate_merge(&self, _: &Self) -> Result<(), Self::Validation> {
        Ok(())
    }
    fn merge(&mut self, other: Self) {
        self.name.merge(other.name);
        self.geometry.merge(other.geometry);
        self.tags.merge(other.tags);
        self.votes.merge(other.votes);
    }
}

impl ResetRemove<Actor> for Feature {
    fn reset_remove(&mut self, clock: &VClock<Actor>) {
        self.name.reset_remove(clock);
        self.geometry.reset_remove(clock);
        self.tags.reset_remove(clock);
        self.votes.reset_remove(clock);
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct State {
    counter: GCounter<Actor>,
    set: Orswot<String, Actor>,
    map: RegMap,
    features: FeatureMap,
}

enum AnyOp {
    Counter(::crdts::Dot<Actor>),
    Set(orswot::Op<String, Actor>),
    Map(::crdts::map::Op<String, MVReg<String, Actor>, Actor>),
    Feature(::crdts::map::Op<String, Feature, Actor>),
}

pub struct Crdts {
    actor: Actor,
    state: State,
}

impl State {
    fn make(&self, actor: Actor, op: &Op<'_>) -> AnyOp {
        match *op {
            Op::Inc(n) => AnyOp::Counter(self.counter.inc_many(actor, n as u64)),
            Op::Add(k) => {
                let ctx = self.set.read_ctx().derive_add_ctx(actor);
                AnyOp::Set(self.set.add(k.to_owned(), ctx))
            }
            Op::Remove(k) => {
                let k = k.to_owned();
                let ctx = self.set.contains(&k).derive_rm_ctx();
                AnyOp::Set(self.set.rm(k, ctx))
            }
            Op::Put(k, v) => {
                let ctx = self.map.read_ctx().derive_add_ctx(actor);
                AnyOp::Map(self.map.update(k, ctx, |r, c| r.write(v.to_owned(), c)))
            }
            Op::Delete(k) => {
                let k = k.to_owned();
                let ctx = self.map.get(&k).derive_rm_ctx();
                AnyOp::Map(self.map.rm(k, ctx))
            }
            Op::Feature(f) => {
                let ctx = self.features.read_ctx().derive_add_ctx(actor);
                AnyOp::Feature(self.features.update(f.id.as_str(), ctx, |v, c| {
                    let again = || AddCtx { clock: c.clock.clone(), dot: c.dot };
                    FeatureOp::Init(Box::new(InitOps {
                        name: v.name.write(f.name.clone(), again()),
                        geometry: v.geometry.write(f.geometry.clone(), again()),
                        tags: v.tags.add_all(f.tags.iter().cloned(), again()),
                        votes: v.votes.inc_many(actor, f.votes as u64),
                    }))
                }))
            }
            Op::Geometry(id, g) => {
                let ctx = self.features.read_ctx().derive_add_ctx(actor);
                AnyOp::Feature(
                    self.features
                        .update(id, ctx, |v, c| FeatureOp::Geometry(v.geometry.write(g.to_vec(), c))),
                )
            }
        }
    }

    fn apply(&mut self, op: AnyOp) {
        match op {
            AnyOp::Counter(o) => self.counter.apply(o),
            AnyOp::Set(o) => self.set.apply(o),
            AnyOp::Map(o) => self.map.apply(o),
            AnyOp::Feature(o) => self.features.apply(o),
        }
    }
}

impl Peer for Crdts {
    fn new(actor: u64) -> Self {
        Crdts { actor, state: State::default() }
    }

    fn commit(&mut self, ops: &[Op<'_>]) {
        for op in ops {
            let op = self.state.make(self.actor, op);
            self.state.apply(op);
        }
    }

    fn commit_and_emit(&mut self, _ops: &[Op<'_>]) -> Option<Vec<u8>> {
        None
    }

    fn save(&mut self) -> Vec<u8> {
        bincode::serialize(&self.state).unwrap()
    }

    fn load(actor: u64, bytes: &[u8]) -> Self {
        Crdts { actor, state: bincode::deserialize(bytes).unwrap() }
    }

    /// The clock exists, but nothing can be asked with it; shown for its size.
    fn version(&mut self) -> Vec<u8> {
        bincode::serialize(&self.state.set.clock()).unwrap()
    }

    fn diff(&mut self, _version: &[u8]) -> Vec<u8> {
        self.save()
    }

    fn merge(&mut self, update: &[u8]) {
        let theirs: State = bincode::deserialize(update).unwrap();
        self.state.counter.merge(theirs.counter);
        self.state.set.merge(theirs.set);
        self.state.map.merge(theirs.map);
        self.state.features.merge(theirs.features);
    }

    fn read_all(&self, part: Part) -> Digest {
        let mut d = Digest::default();
        match part {
            Part::Counter => d.n = u64::try_from(self.state.counter.read()).unwrap(),
            Part::Set => {
                for i in self.state.set.iter() {
                    d.entry(&[i.val.as_bytes()]);
                }
            }
            Part::Map => {
                for i in self.state.map.iter() {
                    let (k, r) = i.val;
                    let mut v = r.read().val;
                    v.sort();
                    d.entry(&[k.as_bytes(), v.join("\0").as_bytes()]);
                }
            }
            Part::Features => {
                for i in self.state.features.iter() {
                    let (k, f) = i.val;
                    let mut t = Digest::default();
                    for tag in f.tags.iter() {
                        t.entry(&[tag.val.as_bytes()]);
                    }
                    let votes = u64::try_from(f.votes.read()).unwrap().to_le_bytes();
                    d.entry(&[
                        k.as_bytes(),
                        f.name.read().val[0].as_bytes(),
                        &f.geometry.read().val[0],
                        &t.hash.to_le_bytes(),
                        &votes,
                    ]);
                }
            }
        }
        d
    }
}
