//! Every lattice and its encoding go through the one law checker, and wrong ones are caught by it.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use quickcheck::{Arbitrary, Gen, quickcheck};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use watersmeet_crdt::causal::{
    Counter, DisableWinsFlag, EnableWinsFlag, OrMap, OrSet, Register, RwMap, RwSet, Sequence,
};
use watersmeet_crdt::laws::{self, Broken, CausalSubject, History, Step, Subject};
use watersmeet_crdt::plain::{GCounter, GSet, LwwRegister, Max, Min, PnCounter, TwoPhaseSet};
use watersmeet_crdt::store::Causal;
use watersmeet_crdt::{CausalContext, Dot, Lattice, Position, ReplicaId, Stamp, VersionVector};

/// A small key or item, so that histories collide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Small(u8);

impl Arbitrary for Small {
    fn arbitrary(g: &mut Gen) -> Self {
        Small(u8::arbitrary(g) % 4)
    }
}

#[derive(Clone, Debug)]
enum SetOp {
    Insert(Small),
    Remove(Small),
    Clear,
}

impl Arbitrary for SetOp {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 8 {
            0 => SetOp::Clear,
            1..=3 => SetOp::Remove(Small::arbitrary(g)),
            _ => SetOp::Insert(Small::arbitrary(g)),
        }
    }
}

/// Writes or, if there is nothing to write, clears.
type Write = Option<Small>;

#[derive(Clone, Debug)]
enum MapOp {
    Update(Small, SetOp),
    Remove(Small),
    Clear,
}

impl Arbitrary for MapOp {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 8 {
            0 => MapOp::Clear,
            1 => MapOp::Remove(Small::arbitrary(g)),
            _ => MapOp::Update(Small::arbitrary(g), SetOp::arbitrary(g)),
        }
    }
}

#[derive(Clone, Debug)]
enum ListOp {
    Insert(usize, Small),
    Set(usize, Small),
    Remove(usize),
    Clear,
}

impl Arbitrary for ListOp {
    fn arbitrary(g: &mut Gen) -> Self {
        let at = usize::from(u8::arbitrary(g));
        match u8::arbitrary(g) % 12 {
            0 => ListOp::Clear,
            1..=2 => ListOp::Remove(at),
            3..=5 => ListOp::Set(at, Small::arbitrary(g)),
            _ => ListOp::Insert(at, Small::arbitrary(g)),
        }
    }
}

/// The types under test, wrapped because the trait is the crate's and the types are too.
macro_rules! plain_subject {
    ($name:ident($inner:ty), $op:ty, |$this:ident, $dot:ident, $stamp:ident, $it:ident| $mutate:expr) => {
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        struct $name($inner);
        impl Lattice for $name {
            fn merge(&mut self, other: Self) -> bool {
                self.0.merge(other.0)
            }
        }
        impl Subject for $name {
            type Op = $op;
            fn mutate(&mut self, $dot: Dot, $stamp: Stamp, $it: &$op) -> Self {
                let $this = &mut self.0;
                $name($mutate)
            }
        }
    };
}

plain_subject!(Up(GCounter), u8, |it, dot, _stamp, by| it.increment(dot.replica, u64::from(*by)));
plain_subject!(UpDown(PnCounter), i8, |it, dot, _stamp, by| it.add(dot.replica, i64::from(*by)));
plain_subject!(Grow(GSet<Small>), Small, |it, _dot, _stamp, item| it.insert(item.clone()));
plain_subject!(TwoPhase(TwoPhaseSet<Small>), (bool, Small), |it, _dot, _stamp, op| match op {
    (true, item) => it.insert(item.clone()),
    (false, item) => it.remove(item.clone()),
});
plain_subject!(Last(LwwRegister<Small>), Small, |it, dot, stamp, value| it.set(
    stamp,
    dot.replica,
    value.clone()
));
plain_subject!(Highest(Max<Small>), Small, |it, _dot, _stamp, value| {
    it.merge(Max::of(value.clone()));
    Max::of(value.clone())
});
plain_subject!(Lowest(Min<Small>), Small, |it, _dot, _stamp, value| {
    it.merge(Min::of(value.clone()));
    Min::of(value.clone())
});
plain_subject!(Both((Max<Small>, BTreeMap<Small, GSet<Small>>)), (Small, Small), |it, _dot, _stamp, op| {
    it.0.merge(Max::of(op.0.clone()));
    let grown = it.1.entry(op.0.clone()).or_default().insert(op.1.clone());
    (Max::of(op.0.clone()), BTreeMap::from([(op.0.clone(), grown)]))
});
plain_subject!(Version(VersionVector), (), |it, dot, _stamp, _op| {
    it.advance(dot.replica, dot.seq);
    VersionVector::from_iter([(dot.replica, dot.seq)])
});
plain_subject!(Context(CausalContext), (), |it, dot, _stamp, _op| {
    it.insert(dot);
    CausalContext::from_iter([dot])
});

/// The causal types, each under a trait of this file so that the crate's trait can be implemented for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Probe<S>(S);

macro_rules! causal_subject {
    ($inner:ty, $op:ty, |$this:ident, $dot:ident, $stamp:ident, $it:ident| $delta:expr) => {
        impl watersmeet_crdt::store::DotStore for Probe<$inner> {
            fn is_bottom(&self) -> bool {
                self.0.is_bottom()
            }
            fn for_each_dot(&self, visit: &mut dyn FnMut(Dot)) {
                self.0.for_each_dot(visit);
            }
            fn join(&mut self, seen: &CausalContext, other: Self, other_seen: &CausalContext) -> bool {
                self.0.join(seen, other.0, other_seen)
            }
            fn apply(&mut self, seen: &CausalContext, delta: Self, delta_seen: &CausalContext) -> bool {
                self.0.apply(seen, delta.0, delta_seen)
            }
        }
        impl CausalSubject for Probe<$inner> {
            type Op = $op;
            fn delta(&self, $dot: Dot, $stamp: Stamp, $it: &$op) -> Causal<Self> {
                let $this = &self.0;
                let Causal { store, seen } = $delta;
                Causal { store: Probe(store), seen }
            }
        }
    };
}

fn set_delta(set: &OrSet<Small>, dot: Dot, op: &SetOp) -> Causal<OrSet<Small>> {
    match op {
        SetOp::Insert(item) => set.insert(dot, item.clone()),
        SetOp::Remove(item) => set.remove(dot, item.clone()),
        SetOp::Clear => set.clear(dot),
    }
}

type Nested = OrMap<Small, OrSet<Small>>;
type Deep = OrMap<Small, Nested>;

fn nested_delta(map: &Nested, dot: Dot, op: &MapOp) -> Causal<Nested> {
    match op {
        MapOp::Update(key, op) => map.update(key.clone(), |set| set_delta(set, dot, op)),
        MapOp::Remove(key) => map.remove(dot, key.clone()),
        MapOp::Clear => map.clear(dot),
    }
}

type RwNested = RwMap<Small, OrSet<Small>>;

fn rw_delta(map: &RwNested, dot: Dot, op: &MapOp) -> Causal<RwNested> {
    match op {
        MapOp::Update(key, op) => map.update(dot, key.clone(), |set| set_delta(set, dot, op)),
        MapOp::Remove(key) => map.remove(dot, key.clone()),
        MapOp::Clear => map.clear(dot),
    }
}

causal_subject!(Register<Small>, Write, |it, dot, stamp, op| match op {
    Some(value) => it.set(dot, stamp, value.clone()),
    None => it.clear(dot),
});
causal_subject!(Counter, Option<i8>, |it, dot, _stamp, op| match op {
    Some(by) => it.add(dot, i64::from(*by)),
    None => it.clear(dot),
});
causal_subject!(OrSet<Small>, SetOp, |it, dot, _stamp, op| set_delta(it, dot, op));
causal_subject!(EnableWinsFlag, bool, |it, dot, _stamp, up| if *up {
    it.enable(dot)
} else {
    it.disable(dot)
});
causal_subject!(DisableWinsFlag, bool, |it, dot, _stamp, up| if *up {
    it.enable(dot)
} else {
    it.disable(dot)
});
causal_subject!(RwSet<Small>, SetOp, |it, dot, _stamp, op| match op {
    SetOp::Insert(item) => it.insert(dot, item.clone()),
    SetOp::Remove(item) => it.remove(dot, item.clone()),
    SetOp::Clear => it.clear(dot),
});
causal_subject!(Nested, MapOp, |it, dot, _stamp, op| nested_delta(it, dot, op));
causal_subject!(Deep, (Small, MapOp), |it, dot, _stamp, op| match op {
    (Small(0), MapOp::Remove(key)) => it.remove(dot, key.clone()),
    (Small(0), MapOp::Clear) => it.clear(dot),
    (key, op) => it.update(key.clone(), |map| nested_delta(map, dot, op)),
});

causal_subject!(RwNested, MapOp, |it, dot, _stamp, op| rw_delta(it, dot, op));
causal_subject!(OrMap<Small, RwNested>, (Small, MapOp), |it, dot, _stamp, op| match op {
    (Small(0), MapOp::Remove(key)) => it.remove(dot, key.clone()),
    (key, op) => it.update(key.clone(), |map| rw_delta(map, dot, op)),
});
causal_subject!(RwMap<Small, Nested>, (Small, MapOp), |it, dot, _stamp, op| match op {
    (key @ Small(0), MapOp::Remove(_)) => it.remove(dot, key.clone()),
    (key, op) => it.update(dot, key.clone(), |map| nested_delta(map, dot, op)),
});
causal_subject!(Sequence<Small>, ListOp, |it, dot, stamp, op| match op {
    ListOp::Insert(at, value) => it.insert(dot, stamp, at % (it.len() + 1), value.clone()),
    ListOp::Set(at, value) =>
        it.set(dot, stamp, at % it.len().max(1), value.clone()).unwrap_or_else(|| it.clear(dot)),
    ListOp::Remove(at) => it.remove(dot, at % it.len().max(1)).unwrap_or_else(|| it.clear(dot)),
    ListOp::Clear => it.clear(dot),
});

fn encode<S: Serialize>(value: &S) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap()
}

fn decode<S: DeserializeOwned>(bytes: &[u8]) -> Option<S> {
    postcard::from_bytes(bytes).ok()
}

/// Whether a type keeps every law, and its encoding too.
fn check<S: Subject + Serialize + DeserializeOwned>(history: &History<S::Op>) -> Result<(), Broken> {
    laws::check::<S>(history)?;
    laws::check_codec::<S>(history, encode, decode)
}

quickcheck! {
    fn sequence(history: History<ListOp>) -> Result<(), Broken> { check::<Causal<Probe<Sequence<Small>>>>(&history) }
    fn rw_map(history: History<MapOp>) -> Result<(), Broken> { check::<Causal<Probe<RwNested>>>(&history) }
    fn rw_map_in_or_map(history: History<(Small, MapOp)>) -> Result<(), Broken> { check::<Causal<Probe<OrMap<Small, RwNested>>>>(&history) }
    fn or_map_in_rw_map(history: History<(Small, MapOp)>) -> Result<(), Broken> { check::<Causal<Probe<RwMap<Small, Nested>>>>(&history) }
    fn g_counter(history: History<u8>) -> Result<(), Broken> { check::<Up>(&history) }
    fn pn_counter(history: History<i8>) -> Result<(), Broken> { check::<UpDown>(&history) }
    fn g_set(history: History<Small>) -> Result<(), Broken> { check::<Grow>(&history) }
    fn two_phase_set(history: History<(bool, Small)>) -> Result<(), Broken> { check::<TwoPhase>(&history) }
    fn lww_register(history: History<Small>) -> Result<(), Broken> { check::<Last>(&history) }
    fn max(history: History<Small>) -> Result<(), Broken> { check::<Highest>(&history) }
    fn min(history: History<Small>) -> Result<(), Broken> { check::<Lowest>(&history) }
    fn tuple_and_map(history: History<(Small, Small)>) -> Result<(), Broken> { check::<Both>(&history) }
    fn enable_wins_flag(history: History<bool>) -> Result<(), Broken> { check::<Causal<Probe<EnableWinsFlag>>>(&history) }
    fn disable_wins_flag(history: History<bool>) -> Result<(), Broken> { check::<Causal<Probe<DisableWinsFlag>>>(&history) }
    fn rw_set(history: History<SetOp>) -> Result<(), Broken> { check::<Causal<Probe<RwSet<Small>>>>(&history) }
    fn version_vector(history: History<()>) -> Result<(), Broken> { check::<Version>(&history) }
    fn causal_context(history: History<()>) -> Result<(), Broken> { check::<Context>(&history) }
    fn register(history: History<Write>) -> Result<(), Broken> { check::<Causal<Probe<Register<Small>>>>(&history) }
    fn counter(history: History<Option<i8>>) -> Result<(), Broken> { check::<Causal<Probe<Counter>>>(&history) }
    fn or_set(history: History<SetOp>) -> Result<(), Broken> { check::<Causal<Probe<OrSet<Small>>>>(&history) }
    fn or_map(history: History<MapOp>) -> Result<(), Broken> { check::<Causal<Probe<Nested>>>(&history) }
    fn or_map_of_maps(history: History<(Small, MapOp)>) -> Result<(), Broken> { check::<Causal<Probe<Deep>>>(&history) }
}

/// Concurrent edits, by what the papers say should win.
#[test]
fn who_wins_when_two_edit_at_once() {
    fn meet<S: watersmeet_crdt::store::DotStore>(base: Causal<S>, one: Causal<S>, other: Causal<S>) -> S {
        let (mut left, mut right) = (base.clone(), base);
        left.apply(one.clone());
        left.apply(other.clone());
        right.apply(other);
        right.apply(one);
        assert!(left == right, "order matters");
        left.store
    }
    let dot = |replica, seq| Dot { replica: ReplicaId::new(replica), seq };
    let empty = Causal::<EnableWinsFlag>::default();
    assert!(meet(empty.clone(), empty.store.enable(dot(1, 1)), empty.store.disable(dot(2, 1))).is_enabled());
    let empty = Causal::<DisableWinsFlag>::default();
    assert!(empty.store.is_enabled());
    assert!(!meet(empty.clone(), empty.store.enable(dot(1, 1)), empty.store.disable(dot(2, 1))).is_enabled());
    let empty = Causal::<OrSet<u8>>::default();
    assert!(
        meet(empty.clone(), empty.store.insert(dot(1, 1), 7), empty.store.remove(dot(2, 1), 7)).contains(&7)
    );
    let empty = Causal::<RwSet<u8>>::default();
    let set = meet(empty.clone(), empty.store.insert(dot(1, 1), 7), empty.store.remove(dot(2, 1), 7));
    assert!(!set.contains(&7) && set.iter().next().is_none());
    // The counter's anomaly, as its documentation names it: what the incrementing replica had counted stays.
    let mut base = Causal::<Counter>::default();
    base.apply(base.store.add(dot(1, 1), 10));
    base.apply(base.store.add(dot(2, 1), 20));
    let (one, other) = (base.store.add(dot(1, 2), 1), base.store.clear(dot(3, 1)));
    assert_eq!(meet(base, one, other).value(), 11);
}

/// Types that are almost lattices, each breaking one law.
mod wrong {
    use super::*;

    macro_rules! wrong {
        ($name:ident, |$this:ident, $other:ident| $merge:expr, |$state:ident, $op:ident| $mutate:expr) => {
            #[derive(Clone, Debug, Default, PartialEq)]
            pub(super) struct $name(Vec<u8>);
            impl Lattice for $name {
                fn merge(&mut self, $other: Self) -> bool {
                    let $this = self;
                    $merge
                }
            }
            impl Subject for $name {
                type Op = u8;
                fn mutate(&mut self, _: Dot, _: Stamp, $op: &u8) -> Self {
                    let $state = self;
                    $mutate
                }
            }
        };
    }

    fn union(ours: &mut Vec<u8>, theirs: Vec<u8>) -> bool {
        let before = ours.clone();
        ours.extend(theirs);
        ours.sort_unstable();
        ours.dedup();
        *ours != before
    }

    fn add(state: &mut Vec<u8>, op: u8) -> Vec<u8> {
        union(state, vec![op]);
        vec![op]
    }

    wrong!(KeepsOwn, |this, other| this.0.is_empty() && union(&mut this.0, other.0), |s, op| KeepsOwn(add(
        &mut s.0, *op
    )));
    wrong!(
        Appends,
        |this, other| {
            this.0.extend(&other.0);
            this.0.sort_unstable();
            !other.0.is_empty()
        },
        |s, op| Appends(add(&mut s.0, *op))
    );
    wrong!(
        Boasts,
        |this, other| {
            union(&mut this.0, other.0);
            true
        },
        |s, op| Boasts(add(&mut s.0, *op))
    );
    wrong!(
        Silent,
        |this, other| {
            union(&mut this.0, other.0);
            false
        },
        |s, op| Silent(add(&mut s.0, *op))
    );
    wrong!(ForgetsDelta, |this, other| union(&mut this.0, other.0), |s, op| {
        add(&mut s.0, *op);
        ForgetsDelta::default()
    });
    wrong!(
        Capped,
        |this, other| {
            let grew = union(&mut this.0, other.0);
            this.0.truncate(2);
            grew
        },
        |s, op| Capped(add(&mut s.0, *op))
    );
}

#[test]
fn the_checker_catches_what_is_not_a_lattice() {
    fn law_broken_by<S: Subject<Op = u8>>() -> &'static str {
        let step = |who, op| (who, Step::Edit(op));
        let steps = vec![
            step(0, 1),
            step(1, 2),
            (2, Step::Merge(0)),
            step(2, 3),
            step(1, 4),
            (0, Step::Merge(2)),
            (0, Step::Merge(1)),
        ];
        laws::check::<S>(&History { steps, seed: 7 }).expect_err("this type is wrong").law
    }
    assert_eq!(law_broken_by::<wrong::KeepsOwn>(), "merging the delta is the mutation");
    assert_eq!(law_broken_by::<wrong::Appends>(), "merge is idempotent");
    assert_eq!(law_broken_by::<wrong::Boasts>(), "merge tells whether it grew");
    assert_eq!(law_broken_by::<wrong::Silent>(), "merge tells whether it grew");
    assert_eq!(law_broken_by::<wrong::ForgetsDelta>(), "merging the delta is the mutation");
    assert!(!law_broken_by::<wrong::Capped>().is_empty());
}

/// Codecs that are almost right, each breaking one law.
#[test]
fn the_checker_catches_a_wrong_codec() {
    type Map = Causal<Probe<Nested>>;
    let insert = |item| MapOp::Update(Small(0), SetOp::Insert(Small(item)));
    let steps = vec![
        (0, Step::Edit(insert(1))),
        (1, Step::Merge(0)),
        (1, Step::Edit(MapOp::Remove(Small(0)))),
        (0, Step::Edit(insert(2))),
    ];
    let history = History { steps, seed: 7 };
    assert!(laws::check_codec::<Map>(&history, encode, decode).is_ok());

    // Of states only: it forgets what a delta names as emptied.
    let states_only = |value: &Map| {
        let mut state = Map::default();
        state.merge(value.clone());
        encode(&state)
    };
    let broken = laws::check_codec(&history, states_only, decode).unwrap_err();
    assert_eq!(broken.law, "a value comes back from its bytes");

    // It forgets what has been seen and removed.
    let no_context =
        |value: &Map| encode(&Causal::<Probe<Nested>> { seen: CausalContext::default(), ..value.clone() });
    let broken = laws::check_codec(&history, no_context, decode).unwrap_err();
    assert_eq!(broken.law, "a value comes back from its bytes");

    // It does not write the same value alike twice.
    let written = std::cell::Cell::new(0);
    let numbered = |value: &Map| [encode(value), vec![written.replace(written.get() + 1)]].concat();
    let broken = laws::check_codec(&history, numbered, decode).unwrap_err();
    assert_eq!(broken.law, "equal values have equal bytes");

    // It forgets what equality does not look at, and a merge does.
    #[derive(Clone, Debug, Default)]
    struct Muted(GSet<Small>, bool);
    impl PartialEq for Muted {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Lattice for Muted {
        fn merge(&mut self, other: Self) -> bool {
            !other.1 && self.0.merge(other.0)
        }
    }
    impl Subject for Muted {
        type Op = Small;
        fn mutate(&mut self, _: Dot, _: Stamp, item: &Small) -> Self {
            Muted(self.0.insert(item.clone()), false)
        }
    }
    let history = History { steps: vec![(0, Step::Edit(Small(1)))], seed: 7 };
    let mutes = |bytes: &[u8]| Some(Muted(decode(bytes)?, true));
    let broken = laws::check_codec(&history, |value: &Muted| encode(&value.0), mutes).unwrap_err();
    assert_eq!(broken.law, "a decoded delta does what the delta does");
}

/// What no replica could have written is not read.
#[test]
fn what_breaks_an_invariant_is_not_decoded() {
    let dot = Dot { replica: ReplicaId::new(1), seq: 1 };
    let unseen =
        Causal { store: OrSet::<u8>::default().insert(dot, 7).store, seen: CausalContext::default() };
    assert!(decode::<Causal<OrSet<u8>>>(&encode(&unseen)).is_none());
    assert!(decode::<GCounter>(&encode(&BTreeMap::from([(1, 0)]))).is_none());
    assert!(decode::<Dot>(&encode(&(1, 0))).is_none());
    assert!(decode::<Position>(&encode(&b"elsewhere".as_slice())).is_none());
}
