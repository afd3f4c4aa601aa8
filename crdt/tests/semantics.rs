//! What the causal types mean, from the history alone: after any edits and merges, a replica shows what the
//! definition of its type says of the events it knows and of which of them happened before which.
//!
//! The definitions are those of Almeida, Shoker and Baquero (2016), section 7, of Bieniusa et al., "An optimized
//! conflict-free replicated set" (2012), and, where no paper has one, the type's documentation.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use quickcheck::quickcheck;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use watersmeet_crdt::causal::{
    Counter, DisableWinsFlag, EnableWinsFlag, OrMap, OrSet, Register, RwMap, RwSet, Sequence,
};
use watersmeet_crdt::laws::{History, REPLICAS, Step};
use watersmeet_crdt::store::{Causal, DotStore};
use watersmeet_crdt::{Dot, Lattice, ReplicaId, Stamp, Time};

/// A type with its definition.
trait Meaning: DotStore {
    /// A mutation.
    type Op: Clone;
    /// What a replica shows.
    type View: Clone + PartialEq + Debug;

    fn op(raw: Raw) -> Self::Op;
    fn delta(&self, dot: Dot, stamp: Stamp, op: &Self::Op) -> Causal<Self>;
    fn view(&self) -> Self::View;
    fn defined(past: &Past<Self>) -> Self::View;
}

/// A mutation as it is drawn, and shrunk: which, and of what.
type Raw = (u8, u8, u8);

struct Event<S: Meaning> {
    dot: Dot,
    stamp: Stamp,
    op: S::Op,
    /// The events that happened before it, and what its maker saw of them.
    before: BTreeSet<usize>,
    saw: S::View,
}

/// Events that a replica knows.
struct Past<'a, S: Meaning> {
    events: &'a [Event<S>],
    known: &'a BTreeSet<usize>,
}

impl<S: Meaning> Past<'_, S> {
    fn known(&self) -> impl DoubleEndedIterator<Item = (usize, &Event<S>)> {
        self.known.iter().map(|at| (*at, &self.events[*at]))
    }

    /// Whether no known event of a kind has seen the event `at`.
    fn stands(&self, at: usize, ends: impl Fn(&Event<S>) -> bool) -> bool {
        !self.known().any(|(_, later)| later.before.contains(&at) && ends(later))
    }
}

/// Plays a history; after each step compares what the replica shows with the definition.
fn means_what_it_says<S: Meaning>(history: &History<Raw>) -> bool {
    let mut events: Vec<Event<S>> = Vec::new();
    let mut replicas = vec![(Causal::<S>::default(), BTreeSet::<usize>::new()); REPLICAS];
    let (mut seqs, mut stamp) = ([0; REPLICAS], Stamp::default());
    for (who, step) in &history.steps {
        match step {
            Step::Merge(from) => {
                let (state, known) = replicas[*from].clone();
                replicas[*who].0.merge(state);
                replicas[*who].1.extend(known);
            }
            Step::Edit(raw) => {
                seqs[*who] += 1;
                stamp = if seqs[*who] % 2 == 0 { stamp.next(Time::default()) } else { stamp };
                let dot = Dot { replica: ReplicaId::new(*who as u64 + 1), seq: seqs[*who] };
                let op = S::op(*raw);
                let (state, known) = &mut replicas[*who];
                let event = Event { dot, stamp, op, before: known.clone(), saw: state.store.view() };
                state.apply(state.store.delta(dot, stamp, &event.op));
                known.insert(events.len());
                events.push(event);
            }
        }
        let (state, known) = &replicas[*who];
        assert_eq!(
            state.store.view(),
            S::defined(&Past { events: &events, known }),
            "{who} after {history:?}"
        );
    }
    true
}

macro_rules! flag {
    ($flag:ty, $winner:literal) => {
        /// The winner's events stand unless an event of the other kind has seen them.
        impl Meaning for $flag {
            type Op = bool;
            type View = bool;

            fn op(raw: Raw) -> bool {
                raw.0 % 2 == 0
            }
            fn delta(&self, dot: Dot, _: Stamp, enable: &bool) -> Causal<Self> {
                if *enable { self.enable(dot) } else { self.disable(dot) }
            }
            fn view(&self) -> bool {
                self.is_enabled()
            }
            fn defined(past: &Past<Self>) -> bool {
                let won = past
                    .known()
                    .any(|(at, event)| event.op == $winner && past.stands(at, |later| later.op != $winner));
                won == $winner
            }
        }
    };
}

flag!(EnableWinsFlag, true);
flag!(DisableWinsFlag, false);

/// Writes or, with nothing, clears. Those stand that no later one has seen; the last by stamp, then by replica, wins.
impl Meaning for Register<u8> {
    type Op = Option<u8>;
    type View = (Option<u8>, BTreeSet<u8>);

    fn op(raw: Raw) -> Option<u8> {
        (!raw.0.is_multiple_of(4)).then_some(raw.1)
    }
    fn delta(&self, dot: Dot, stamp: Stamp, op: &Option<u8>) -> Causal<Self> {
        op.map_or_else(|| self.clear(dot), |value| self.set(dot, stamp, value))
    }
    fn view(&self) -> Self::View {
        (self.get().copied(), self.get().into_iter().chain(self.conflicts()).copied().collect())
    }
    fn defined(past: &Past<Self>) -> Self::View {
        let standing = || past.known().filter(|(at, event)| event.op.is_some() && past.stands(*at, |_| true));
        let winner = standing().max_by_key(|(_, event)| (event.stamp, event.dot));
        (winner.and_then(|(_, event)| event.op), standing().filter_map(|(_, event)| event.op).collect())
    }
}

/// Adds or, with nothing, clears. What a replica added counts while the last of it stands: back to where that replica
/// had seen it cleared.
impl Meaning for Counter {
    type Op = Option<i8>;
    type View = i64;

    fn op(raw: Raw) -> Option<i8> {
        (!raw.0.is_multiple_of(4)).then_some(raw.1.cast_signed())
    }
    fn delta(&self, dot: Dot, _: Stamp, op: &Option<i8>) -> Causal<Self> {
        op.map_or_else(|| self.clear(dot), |by| self.add(dot, i64::from(by)))
    }
    fn view(&self) -> i64 {
        self.value()
    }
    fn defined(past: &Past<Self>) -> i64 {
        let subtotal = |replica: usize| -> i64 {
            let replica = ReplicaId::new(replica as u64 + 1);
            let mut next = past.known;
            let own =
                past.known().rev().filter(|(_, event)| event.dot.replica == replica && event.op.is_some());
            own.take_while(|(at, event)| {
                // What the replica knew when it went on from this addition; at last, what is known now.
                let knew = Past { events: past.events, known: std::mem::replace(&mut next, &event.before) };
                knew.stands(*at, |later| later.op.is_none())
            })
            .filter_map(|(_, event)| event.op.map(i64::from))
            .sum()
        };
        (0..REPLICAS).map(subtotal).sum()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum SetOp {
    Insert(u8),
    Remove(u8),
    Clear,
}

impl SetOp {
    fn from_raw(raw: Raw) -> Self {
        match raw.0 % 8 {
            0 => SetOp::Clear,
            1..=3 => SetOp::Remove(raw.2 % 3),
            _ => SetOp::Insert(raw.2 % 3),
        }
    }

    fn ends(self, item: u8) -> bool {
        self == SetOp::Clear || self == SetOp::Remove(item)
    }
}

fn set_delta(set: &OrSet<u8>, dot: Dot, op: SetOp) -> Causal<OrSet<u8>> {
    match op {
        SetOp::Insert(item) => set.insert(dot, item),
        SetOp::Remove(item) => set.remove(dot, item),
        SetOp::Clear => set.clear(dot),
    }
}

/// An item is in it if an addition stands.
impl Meaning for OrSet<u8> {
    type Op = SetOp;
    type View = BTreeSet<u8>;

    fn op(raw: Raw) -> SetOp {
        SetOp::from_raw(raw)
    }
    fn delta(&self, dot: Dot, _: Stamp, op: &SetOp) -> Causal<Self> {
        set_delta(self, dot, *op)
    }
    fn view(&self) -> BTreeSet<u8> {
        self.iter().copied().collect()
    }
    fn defined(past: &Past<Self>) -> BTreeSet<u8> {
        let added = past.known().filter_map(|(at, event)| match event.op {
            SetOp::Insert(item) if past.stands(at, |later| later.op.ends(item)) => Some(item),
            _ => None,
        });
        added.collect()
    }
}

/// An item is in it if it was added, and each removal was seen by an addition; of what no clearing has seen.
impl Meaning for RwSet<u8> {
    type Op = SetOp;
    type View = BTreeSet<u8>;

    fn op(raw: Raw) -> SetOp {
        SetOp::from_raw(raw)
    }
    fn delta(&self, dot: Dot, _: Stamp, op: &SetOp) -> Causal<Self> {
        match *op {
            SetOp::Insert(item) => self.insert(dot, item),
            SetOp::Remove(item) => self.remove(dot, item),
            SetOp::Clear => self.clear(dot),
        }
    }
    fn view(&self) -> BTreeSet<u8> {
        self.iter().copied().collect()
    }
    fn defined(past: &Past<Self>) -> BTreeSet<u8> {
        let kept = |op: SetOp| {
            past.known().filter(move |(at, event)| {
                event.op == op && past.stands(*at, |later| later.op == SetOp::Clear)
            })
        };
        let added = |item: &u8| {
            let item = *item;
            kept(SetOp::Insert(item)).next().is_some()
                && kept(SetOp::Remove(item))
                    .all(|(at, _)| kept(SetOp::Insert(item)).any(|(_, later)| later.before.contains(&at)))
        };
        (0..3).filter(added).collect()
    }
}

#[derive(Clone, Copy)]
enum MapOp {
    Update(u8, SetOp),
    Remove(u8),
    Clear,
}

impl MapOp {
    fn from_raw(raw: Raw) -> Self {
        match raw.1 % 16 {
            0 => MapOp::Clear,
            at @ 1..=4 => MapOp::Remove(at % 2),
            at => MapOp::Update(at % 2, SetOp::from_raw(raw)),
        }
    }

    fn ends(self, key: u8, item: u8) -> bool {
        match self {
            MapOp::Clear => true,
            MapOp::Remove(of) => of == key,
            MapOp::Update(of, op) => of == key && op.ends(item),
        }
    }
}

type Sets = BTreeMap<u8, BTreeSet<u8>>;

/// An item is under a key if an addition of it stands.
impl Meaning for OrMap<u8, OrSet<u8>> {
    type Op = MapOp;
    type View = Sets;

    fn op(raw: Raw) -> MapOp {
        MapOp::from_raw(raw)
    }
    fn delta(&self, dot: Dot, _: Stamp, op: &MapOp) -> Causal<Self> {
        match *op {
            MapOp::Update(key, op) => self.update(key, |set| set_delta(set, dot, op)),
            MapOp::Remove(key) => self.remove(dot, key),
            MapOp::Clear => self.clear(dot),
        }
    }
    fn view(&self) -> Sets {
        self.iter().map(|(key, set)| (*key, set.view())).collect()
    }
    fn defined(past: &Past<Self>) -> Sets {
        let mut sets = Sets::new();
        for (at, event) in past.known() {
            let MapOp::Update(key, SetOp::Insert(item)) = event.op else { continue };
            if past.stands(at, |later| later.op.ends(key, item)) {
                sets.entry(key).or_default().insert(item);
            }
        }
        sets
    }
}

/// As the other map, but a key is not there while a removal of it stands: one that no write below the key has seen.
/// And a write below a key that is not there ends all that was under it.
impl Meaning for RwMap<u8, OrSet<u8>> {
    type Op = MapOp;
    type View = Sets;

    fn op(raw: Raw) -> MapOp {
        MapOp::from_raw(raw)
    }
    fn delta(&self, dot: Dot, _: Stamp, op: &MapOp) -> Causal<Self> {
        match *op {
            MapOp::Update(key, op) => self.update(dot, key, |set| set_delta(set, dot, op)),
            MapOp::Remove(key) => self.remove(dot, key),
            MapOp::Clear => self.clear(dot),
        }
    }
    fn view(&self) -> Sets {
        self.iter().map(|(key, set)| (*key, set.view())).collect()
    }
    fn defined(past: &Past<Self>) -> Sets {
        let writes = |event: &Event<Self>, key: u8| matches!(event.op, MapOp::Update(of, _) if of == key);
        let removes = |event: &Event<Self>, key: u8| match event.op {
            MapOp::Clear => true,
            MapOp::Remove(of) => of == key,
            MapOp::Update(..) => false,
        };
        let mut sets = Sets::new();
        for (at, event) in past.known() {
            let MapOp::Update(key, SetOp::Insert(item)) = event.op else { continue };
            let anew = |later: &Event<Self>| writes(later, key) && !later.saw.contains_key(&key);
            if past.stands(at, |later| later.op.ends(key, item) || anew(later)) {
                sets.entry(key).or_default().insert(item);
            }
        }
        sets.retain(|key, _| {
            !past.known().any(|(at, event)| {
                matches!(event.op, MapOp::Remove(of) if of == *key)
                    && past.stands(at, |later| writes(later, *key) || removes(later, *key))
            })
        });
        sets
    }
}

#[derive(Clone, Copy)]
enum ListOp {
    Insert(usize),
    Set(usize),
    Remove(usize),
    Clear,
}

/// The elements by their standing writes, in order. The definition says which there are; of the order, only that a new
/// element is where its maker put it, and that all who see two elements see them in one order.
#[derive(Clone, Debug)]
struct Elements(Vec<BTreeSet<Dot>>);

impl PartialEq for Elements {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |Elements(list): &Self| list.iter().cloned().collect::<BTreeSet<_>>();
        sorted(self) == sorted(other) && self.0.len() == other.0.len()
    }
}

impl ListOp {
    /// Which element of those its maker saw it is about.
    fn about(self, saw: &Elements) -> Option<&BTreeSet<Dot>> {
        match self {
            ListOp::Set(at) | ListOp::Remove(at) => saw.0.get(at % saw.0.len().max(1)),
            ListOp::Insert(_) | ListOp::Clear => None,
        }
    }
}

/// An element is there if a write of it stands: one that no later write, removal or clearing has seen.
impl Meaning for Sequence<u8> {
    type Op = ListOp;
    type View = Elements;

    fn op(raw: Raw) -> ListOp {
        let at = usize::from(raw.1);
        match raw.0 % 12 {
            0 => ListOp::Clear,
            1..=2 => ListOp::Remove(at),
            3..=5 => ListOp::Set(at),
            _ => ListOp::Insert(at),
        }
    }
    fn delta(&self, dot: Dot, stamp: Stamp, op: &ListOp) -> Causal<Self> {
        let len = self.len().max(1);
        let delta = match *op {
            ListOp::Insert(at) => {
                let at = at % (self.len() + 1);
                let delta = self.insert(dot, stamp, at, 0);
                let before: Vec<_> = self.elements().map(|(position, _)| position).collect();
                let made = delta.store.elements().map(|(position, _)| position.clone()).next().unwrap();
                assert!(before[..at].iter().all(|left| **left < made), "it is not where it was put");
                assert!(before[at..].iter().all(|right| made < **right), "it is not where it was put");
                Some(delta)
            }
            ListOp::Set(at) => self.set(dot, stamp, at % len, 0),
            ListOp::Remove(at) => self.remove(dot, at % len),
            ListOp::Clear => None,
        };
        delta.unwrap_or_else(|| self.clear(dot))
    }
    fn view(&self) -> Elements {
        Elements(
            self.elements().map(|(_, element)| element.dots().map(|(dot, _, _)| dot).collect()).collect(),
        )
    }
    fn defined(past: &Past<Self>) -> Elements {
        // The insertion that each write goes back to.
        let mut origins: BTreeMap<Dot, Dot> = BTreeMap::new();
        for event in past.events {
            match event.op {
                ListOp::Insert(_) => drop(origins.insert(event.dot, event.dot)),
                ListOp::Set(_) if !event.saw.0.is_empty() => {
                    let about = event.op.about(&event.saw).and_then(BTreeSet::first);
                    origins.insert(event.dot, origins[about.unwrap()]);
                }
                _ => {}
            }
        }
        let about = |event: &Event<Self>| {
            event.op.about(&event.saw).and_then(BTreeSet::first).map(|written| origins[written])
        };
        let clears = |event: &Event<Self>| match event.op {
            ListOp::Insert(_) => false,
            ListOp::Clear => true,
            ListOp::Set(_) | ListOp::Remove(_) => event.saw.0.is_empty(),
        };
        let mut elements: BTreeMap<Dot, BTreeSet<Dot>> = BTreeMap::new();
        for (at, event) in past.known() {
            let Some(origin) = origins.get(&event.dot) else { continue };
            if past.stands(at, |later| clears(later) || about(later) == Some(*origin)) {
                elements.entry(*origin).or_default().insert(event.dot);
            }
        }
        Elements(elements.into_values().collect())
    }
}

quickcheck! {
    fn enable_wins_flag(history: History<Raw>) -> bool { means_what_it_says::<EnableWinsFlag>(&history) }
    fn disable_wins_flag(history: History<Raw>) -> bool { means_what_it_says::<DisableWinsFlag>(&history) }
    fn register(history: History<Raw>) -> bool { means_what_it_says::<Register<u8>>(&history) }
    fn counter(history: History<Raw>) -> bool { means_what_it_says::<Counter>(&history) }
    fn or_set(history: History<Raw>) -> bool { means_what_it_says::<OrSet<u8>>(&history) }
    fn rw_set(history: History<Raw>) -> bool { means_what_it_says::<RwSet<u8>>(&history) }
    fn or_map(history: History<Raw>) -> bool { means_what_it_says::<OrMap<u8, OrSet<u8>>>(&history) }
    fn rw_map(history: History<Raw>) -> bool { means_what_it_says::<RwMap<u8, OrSet<u8>>>(&history) }
    fn sequence(history: History<Raw>) -> bool { means_what_it_says::<Sequence<u8>>(&history) }
}
