//! The specification of a document, in the words of the papers: a set of events. Each puts a value into a cell, or
//! removes the events that its author had seen there; what is alive at a version is what its events put and none of
//! them removed. It knows no index, no delta and no log, and is as slow as it looks.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::collections::{BTreeMap, BTreeSet};
use watersmeet_crdt::document::{Kind, MapView, Op, View};
use watersmeet_crdt::position::Position;
use watersmeet_crdt::{Document, Dot, ReplicaId, Value, VersionVector};

/// Where a value stands: a path, a kind, and in a set or a list which item or element.
type Cell = (Vec<String>, Kind, Option<Value>);

/// What can be read, as text, by path and kind.
pub(crate) type Leaves = BTreeMap<(Vec<String>, Kind), String>;

#[derive(Clone, Debug)]
struct Event {
    dot: Dot,
    put: Option<(Cell, u64, Value)>,
    removes: Vec<Dot>,
}

/// All events that anybody has made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    events: Vec<Event>,
}

/// The dot, the time and the value of an event that is alive.
type Written = (Dot, u64, Value);

/// What is alive in the cells.
type Alive = BTreeMap<Cell, Vec<Written>>;

/// The cells of one leaf: which item or element, and what is alive of it.
type Cells = Vec<(Option<Value>, Vec<Written>)>;

impl Spec {
    fn alive(&self, version: &VersionVector) -> Alive {
        let known = || self.events.iter().filter(|event| version.contains(event.dot));
        let removed: BTreeSet<Dot> = known().flat_map(|event| event.removes.iter().copied()).collect();
        let mut alive = Alive::new();
        for event in known().filter(|event| !removed.contains(&event.dot)) {
            if let Some((cell, time, value)) = &event.put {
                alive.entry(cell.clone()).or_default().push((event.dot, *time, value.clone()));
            }
        }
        alive.values_mut().for_each(|events| events.sort_by_key(|(dot, ..)| *dot));
        alive
    }

    /// What a replica at `version` does by an operation at a time that is later than all others.
    pub(crate) fn commit(&mut self, replica: ReplicaId, version: &VersionVector, time: u64, op: Op) {
        let mut author = Author { replica, version: version.clone(), time, spec: self };
        author.act(op);
    }

    /// What can be read at a version.
    pub(crate) fn leaves(&self, version: &VersionVector) -> Leaves {
        let mut grouped: BTreeMap<(Vec<String>, Kind), Cells> = BTreeMap::new();
        for ((path, kind, item), events) in self.alive(version) {
            grouped.entry((path, kind)).or_default().push((item, events));
        }
        grouped.into_iter().map(|((path, kind), cells)| ((path, kind), read(kind, &cells))).collect()
    }
}

fn winner(events: &[Written]) -> &Written {
    events.iter().max_by_key(|(dot, time, _)| (*time, *dot)).unwrap()
}

fn read(kind: Kind, cells: &[(Option<Value>, Vec<Written>)]) -> String {
    let events = &cells[0].1;
    match kind {
        Kind::Register => {
            let (dot, _, value) = winner(events);
            let others: Vec<&Value> =
                events.iter().filter(|(other, ..)| other != dot).map(|(.., value)| value).collect();
            format!("{:?} {others:?}", Some(value))
        }
        Kind::Counter => events.iter().filter_map(|(.., n)| n.int()).sum::<i64>().to_string(),
        Kind::Set => format!("{:?}", cells.iter().filter_map(|(item, _)| item.as_ref()).collect::<Vec<_>>()),
        Kind::RwSet => {
            let is_in = |events: &[Written]| events.iter().all(|(.., mark)| *mark == Value::Bool(true));
            let items =
                cells.iter().filter(|(_, events)| is_in(events)).filter_map(|(item, _)| item.as_ref());
            format!("{:?}", items.collect::<Vec<_>>())
        }
        Kind::List => format!("{:?}", cells.iter().map(|(_, events)| &winner(events).2).collect::<Vec<_>>()),
        Kind::Flag => "true".to_owned(),
        Kind::Guard => "false".to_owned(),
        Kind::Map => unreachable!("a map has no events of its own"),
    }
}

struct Author<'a> {
    replica: ReplicaId,
    version: VersionVector,
    time: u64,
    spec: &'a mut Spec,
}

impl Author<'_> {
    fn event(&mut self, put: Option<(Cell, Value)>, removes: Vec<Dot>) {
        let dot = self.version.next(self.replica);
        self.version.advance(dot.replica, dot.seq);
        let put = put.map(|(cell, value)| (cell, self.time, value));
        self.spec.events.push(Event { dot, put, removes });
    }

    fn dots(&self, of: impl Fn(&Cell) -> bool) -> Vec<Dot> {
        let alive = self.spec.alive(&self.version);
        alive
            .iter()
            .filter(|(cell, _)| of(cell))
            .flat_map(|(_, events)| events.iter().map(|(dot, ..)| *dot))
            .collect()
    }

    /// Puts a value in place of all that is seen in a cell.
    fn put(&mut self, cell: Cell, value: Value) {
        let removes = self.dots(|other| *other == cell);
        self.event(Some((cell, value)), removes);
    }

    /// Removes all that is seen in some cells, if anything is.
    fn remove(&mut self, of: impl Fn(&Cell) -> bool) {
        let removes = self.dots(of);
        if !removes.is_empty() {
            self.event(None, removes);
        }
    }

    fn elements(&self, path: &[String]) -> Vec<Cell> {
        let alive = self.spec.alive(&self.version);
        alive.into_keys().filter(|(at, kind, _)| at == path && *kind == Kind::List).collect()
    }

    fn insert_at(&mut self, path: &[String], index: usize, value: Value) {
        let elements = self.elements(path);
        let position = |at: Option<usize>| match at.and_then(|at| elements.get(at)) {
            Some((_, _, Some(Value::Bytes(bytes)))) => Some(&**bytes),
            _ => None,
        };
        let dot = self.version.next(self.replica);
        let at = Position::at(position(index.checked_sub(1)), position(Some(index)), dot);
        self.event(Some(((path.to_vec(), Kind::List, Some(Value::from(at.as_bytes()))), value)), Vec::new());
    }

    fn act(&mut self, op: Op) {
        match op {
            Op::Set(path, value) => self.put((path, Kind::Register, None), value),
            Op::Increment(_, 0) => {}
            Op::Increment(path, by) => {
                let cell = (path, Kind::Counter, None);
                let alive = self.spec.alive(&self.version);
                let own =
                    alive.get(&cell).into_iter().flatten().find(|(dot, ..)| dot.replica == self.replica);
                let subtotal = own.and_then(|(.., n)| n.int()).unwrap_or(0) + by;
                let removes = own.map(|(dot, ..)| *dot).into_iter().collect();
                self.event(Some((cell, Value::Int(subtotal))), removes);
            }
            Op::Insert(path, item) => self.put((path, Kind::Set, Some(item)), Value::Null),
            Op::Remove(path, item) => {
                self.remove(|cell| *cell == (path.clone(), Kind::Set, Some(item.clone())))
            }
            Op::Include(path, item) => self.put((path, Kind::RwSet, Some(item)), Value::Bool(true)),
            Op::Exclude(path, item) => self.put((path, Kind::RwSet, Some(item)), Value::Bool(false)),
            Op::Flag(path, true) => self.put((path, Kind::Flag, None), Value::Null),
            Op::Flag(path, false) => self.remove(|cell| *cell == (path.clone(), Kind::Flag, None)),
            Op::Guard(path, false) => self.put((path, Kind::Guard, None), Value::Null),
            Op::Guard(path, true) => self.remove(|cell| *cell == (path.clone(), Kind::Guard, None)),
            Op::Splice(path, index, remove, insert) => {
                let first = index + insert.len();
                for (at, value) in (index..).zip(insert) {
                    self.insert_at(&path, at, value);
                }
                let gone: Vec<Cell> = self.elements(&path).into_iter().skip(first).take(remove).collect();
                self.remove(|cell| gone.contains(cell));
            }
            Op::Replace(path, index, value) => {
                if let Some(cell) = self.elements(&path).into_iter().nth(index) {
                    self.put(cell, value);
                }
            }
            Op::Delete(path) => self.remove(|(at, ..)| at.starts_with(&path)),
        }
    }
}

/// What can be read of a document.
pub(crate) fn leaves(document: &Document) -> Leaves {
    fn walk(map: MapView<'_>, above: &[String], into: &mut Leaves) {
        for (name, kind, view) in map.iter() {
            let path = [above, &[name.to_owned()]].concat();
            let shown = match view {
                View::Map(map) => {
                    assert!(!map.is_empty(), "a state holds an empty map at {path:?}");
                    walk(map, &path, into);
                    continue;
                }
                View::Register(register) => {
                    format!("{:?} {:?}", register.get(), register.conflicts().collect::<Vec<_>>())
                }
                View::Counter(counter) => counter.to_string(),
                View::Set(set) => format!("{:?}", set.iter().collect::<Vec<_>>()),
                View::List(list) => format!("{:?}", list.iter().collect::<Vec<_>>()),
                View::Flag(up) => up.to_string(),
            };
            into.insert((path, kind), shown);
        }
    }
    let mut into = Leaves::new();
    walk(document.root(), &[], &mut into);
    into
}
