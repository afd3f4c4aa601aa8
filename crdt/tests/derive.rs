//! Derived structs go through the law checker as the types they are made of do.

use quickcheck::{Arbitrary, Gen, quickcheck};
use std::collections::BTreeMap;
use watersmeet_crdt::causal::{Counter, OrMap, OrSet, Register, RwMap, Sequence};
use watersmeet_crdt::laws::{self, Broken, CausalSubject, History, Subject};
use watersmeet_crdt::plain::{GCounter, GSet, Max};
use watersmeet_crdt::store::Causal;
use watersmeet_crdt::{Dot, DotStore, Lattice, Stamp};

#[derive(Clone, Debug, Default, PartialEq, Lattice)]
struct Sightings<T>
where
    T: Ord + Clone,
{
    species: GSet<T>,
    last: Max<u8>,
    by_place: BTreeMap<u8, Tuple<GCounter>>,
    nothing: Unit,
}

#[derive(Clone, Debug, Default, PartialEq, Lattice)]
struct Tuple<L>(L, Max<u8>);

#[derive(Clone, Debug, Default, PartialEq, Lattice, DotStore)]
struct Unit;

impl Subject for Sightings<u8> {
    type Op = (u8, u8);

    fn mutate(&mut self, dot: Dot, _: Stamp, (which, what): &(u8, u8)) -> Self {
        let delta = match which % 4 {
            0 => Sightings { species: self.species.insert(*what), ..Self::default() },
            1 => Sightings { last: Max::of(*what), ..Self::default() },
            2 => {
                let counted = self.by_place.entry(what % 3).or_default().0.increment(dot.replica, 1);
                Sightings {
                    by_place: BTreeMap::from([(what % 3, Tuple(counted, Max::default()))]),
                    ..Self::default()
                }
            }
            _ => Sightings {
                by_place: BTreeMap::from([(what % 3, Tuple(GCounter::default(), Max::of(*what)))]),
                ..Self::default()
            },
        };
        self.merge(delta.clone());
        delta
    }
}

#[derive(Clone, Debug, Default, PartialEq, DotStore)]
struct Place<T: Ord + Clone> {
    name: Register<T>,
    tags: OrSet<T>,
    votes: Counter,
    ring: Sequence<T>,
}

#[derive(Clone, Debug, Default, PartialEq, DotStore)]
struct Atlas(OrMap<u8, Place<u8>>, RwMap<u8, Place<u8>>, Unit);

#[derive(Clone, Debug)]
enum Edit {
    Name(u8),
    Tag(u8),
    Untag(u8),
    Vote(i8),
    Vertex(usize, u8),
    NoVertex(usize),
    Clear,
}

impl Arbitrary for Edit {
    fn arbitrary(g: &mut Gen) -> Self {
        let (what, at) = (u8::arbitrary(g) % 4, usize::from(u8::arbitrary(g) % 4));
        match u8::arbitrary(g) % 12 {
            0 => Edit::Clear,
            1..=2 => Edit::Name(what),
            3..=4 => Edit::Tag(what),
            5..=6 => Edit::Untag(what),
            7..=8 => Edit::Vote(i8::arbitrary(g)),
            9 => Edit::NoVertex(at),
            _ => Edit::Vertex(at, what),
        }
    }
}

impl CausalSubject for Place<u8> {
    type Op = Edit;

    fn delta(&self, dot: Dot, stamp: Stamp, op: &Edit) -> Causal<Self> {
        let named = |name| Place { name, ..Self::default() };
        let tagged = |tags| Place { tags, ..Self::default() };
        let ringed = |ring| Place { ring, ..Self::default() };
        match *op {
            Edit::Name(name) => self.name.set(dot, stamp, name).within(named),
            Edit::Tag(tag) => self.tags.insert(dot, tag).within(tagged),
            Edit::Untag(tag) => self.tags.remove(dot, tag).within(tagged),
            Edit::Vote(by) => {
                self.votes.add(dot, i64::from(by)).within(|votes| Place { votes, ..Self::default() })
            }
            Edit::Vertex(at, to) => self.ring.insert(dot, stamp, at, to).within(ringed),
            Edit::NoVertex(at) => match self.ring.remove(dot, at) {
                Some(delta) => delta.within(ringed),
                None => self.ring.clear(dot).within(ringed),
            },
            Edit::Clear => self.name.clear(dot).within(named),
        }
    }
}

impl CausalSubject for Atlas {
    type Op = (u8, Edit);

    fn delta(&self, dot: Dot, stamp: Stamp, (which, op): &(u8, Edit)) -> Causal<Self> {
        let key = which % 2;
        let left = |map| Atlas(map, RwMap::default(), Unit);
        let right = |map| Atlas(OrMap::default(), map, Unit);
        match which / 2 % 8 {
            0 => self.0.remove(dot, key).within(left),
            1 => self.1.remove(dot, key).within(right),
            2..=4 => self.0.update(key, |place| place.delta(dot, stamp, op)).within(left),
            _ => self.1.update(dot, key, |place| place.delta(dot, stamp, op)).within(right),
        }
    }
}

quickcheck! {
    fn a_struct_of_lattices(history: History<(u8, u8)>) -> Result<(), Broken> {
        laws::check::<Sightings<u8>>(&history)
    }
    fn a_struct_of_stores(history: History<Edit>) -> Result<(), Broken> { laws::check::<Causal<Place<u8>>>(&history) }
    fn a_tuple_of_maps_of_structs(history: History<(u8, Edit)>) -> Result<(), Broken> {
        laws::check::<Causal<Atlas>>(&history)
    }
}
