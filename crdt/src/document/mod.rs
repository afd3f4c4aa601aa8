//! A document: a tree of causal types with text keys, one causal context at its root, and a log of what was touched.
//!
//! It changes in exactly two places, [`commit`](Document::commit) and [`apply`](Document::apply), and both go through
//! one private method. A delta is applied only where everything before it has been applied: that is causal delivery,
//! with nothing to buffer. It is also why a document's context has no gaps and can serve as its version; a store
//! without that rule must keep the two apart (see [`dot`](crate::dot)).

pub mod limits;

mod delta;
mod edit;
mod log;
mod tree;

pub use delta::{DecodeError, Delta, FORMAT};
pub use edit::{EditError, Op, Transaction};
pub use tree::{Key, Kind, Map, Slot};

use crate::causal::OrMap;
use crate::store::Causal;
use crate::{Dot, Lattice, ReplicaId, Stamp, Time, Value, VersionVector};
use log::Log;
use tree::{Contexts, Touched, latest_in, merge_map};

/// A leaf of the tree that changed, and of what kind it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The keys from the root down.
    pub path: Vec<String>,
    /// What stands, or stood, there.
    pub kind: Kind,
}

/// A delta that cannot be applied yet: events before it are missing. Ask for `since(have)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{missing} earlier events are missing; ask for what there is since this document's version")]
pub struct Gap {
    /// How many events, at least.
    pub missing: u64,
}

/// A replica of a document.
///
/// ```
/// use watersmeet_crdt::{Document, ReplicaId, Time};
/// let mut document = Document::new(ReplicaId::new(7));
/// document.edit(Time::from_millis(0), |tx| {
///     tx.set(&["places", "mill", "name"], "Old mill");
///     tx.insert(&["places", "mill", "tags"], "water");
///     tx.increment(&["places", "mill", "votes"], 2);
/// })?;
/// assert_eq!(document.counter(&["places", "mill", "votes"]), 2);
/// # Ok::<(), watersmeet_crdt::document::EditError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Document {
    replica: ReplicaId,
    tree: Causal<Map>,
    latest: Stamp,
    log: Log,
}

impl Document {
    /// An empty document, to be edited as `replica`. No two replicas that are alive may share an id.
    pub fn new(replica: ReplicaId) -> Self {
        Document { replica, tree: Causal::default(), latest: Stamp::default(), log: Log::default() }
    }

    /// Who edits this replica.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// Which events have been applied.
    pub fn version(&self) -> &VersionVector {
        self.tree.seen.vector()
    }

    /// Edits the document at wall-clock time `now`; answers with what changed.
    ///
    /// # Errors
    /// If an operation is beyond a [limit](limits); then nothing is changed.
    pub fn edit(
        &mut self,
        now: Time,
        build: impl FnOnce(&mut Transaction),
    ) -> Result<Vec<Change>, EditError> {
        let mut transaction = Transaction::default();
        build(&mut transaction);
        self.commit(now, transaction.into_ops())
    }

    /// Applies `ops` together, as [`edit`](Self::edit) does.
    ///
    /// # Errors
    /// If an operation is beyond a [limit](limits); then nothing is changed.
    pub fn commit(&mut self, now: Time, ops: Vec<Op>) -> Result<Vec<Change>, EditError> {
        ops.iter().try_for_each(Op::check)?;
        let bytes = ops.iter().map(Op::bytes).sum();
        if bytes > limits::EDIT_BYTES_MAX {
            return Err(EditError::EditTooLarge { bytes });
        }
        let before = self.version().seq(self.replica);
        if before.saturating_add(ops.len() as u64) > limits::EVENTS_MAX {
            return Err(EditError::ReplicaSpent);
        }
        let (mut changes, mut touched) = (Vec::new(), Touched::none());
        for op in ops {
            let dot = self.tree.seen.next(self.replica);
            let stamp = self.latest.next(now);
            let Some(delta) = op.delta(&self.tree.store, dot, stamp) else { continue };
            self.latest = stamp;
            touched.add(&Touched::of_map(&delta.store));
            self.merge(delta, &mut changes);
        }
        let seq = self.version().seq(self.replica);
        if seq > before {
            self.log.record(VersionVector::from_iter([(self.replica, seq)]), &touched);
        }
        Ok(changes)
    }

    /// Writes again what this replica wrote at times after `now`, because its clock was wrong then, as far as `known`
    /// does not have it; answers with what changed. From then on the clock goes by `now` again.
    pub fn restamp(&mut self, now: Time, known: &VersionVector) -> Vec<Change> {
        let mut wrong = Vec::new();
        tree::for_each_register(&self.tree.store, &mut Vec::new(), &mut |path, register| {
            let unknown = |dot: &Dot| dot.replica == self.replica && !known.contains(*dot);
            let own = register.dots().filter(|(dot, stamp, _)| unknown(dot) && stamp.time() > now);
            wrong.extend(own.map(|(dot, _, _)| (path.to_vec(), dot)));
        });
        let (mut changes, mut touched) = (Vec::new(), Touched::none());
        self.latest = Stamp::default();
        for (path, written) in &wrong {
            let dot = self.tree.seen.next(self.replica);
            self.latest = self.latest.next(now);
            let Some(delta) = edit::restamp(&self.tree.store, path, dot, self.latest, *written) else {
                continue;
            };
            touched.add(&Touched::of_map(&delta.store));
            self.merge(delta, &mut changes);
        }
        if !wrong.is_empty() {
            let seq = self.version().seq(self.replica);
            self.log.record(VersionVector::from_iter([(self.replica, seq)]), &touched);
        }
        self.latest = self.latest.max(latest_in(&self.tree.store));
        changes
    }

    /// Applies what another replica sent; answers with what changed. Doing so again changes nothing.
    ///
    /// # Errors
    /// If events before it are missing; then nothing is changed.
    pub fn apply(&mut self, delta: Delta) -> Result<Vec<Change>, Gap> {
        if !self.version().covers(&delta.from) {
            return Err(Gap { missing: delta.from.events_beyond(self.version()) });
        }
        let gained = delta.to.beyond(self.version());
        let mut changes = Vec::new();
        if gained.is_empty() {
            return Ok(changes);
        }
        let touched = Touched::of_map(&delta.root);
        self.latest = self.latest.max(delta.latest);
        self.merge(Causal { store: delta.root, seen: delta.to.into() }, &mut changes);
        match touched {
            // A whole state: nobody who lacks it can be told less.
            Touched::Whole => self.log.skip(gained),
            touched => self.log.record(gained, &touched),
        }
        Ok(changes)
    }

    /// The one way in: merges a delta into the tree and notes what changed.
    fn merge(&mut self, delta: Causal<Map>, changes: &mut Vec<Change>) {
        let seen = Contexts { ours: &self.tree.seen, theirs: &delta.seen };
        merge_map(&mut self.tree.store, delta.store, seen, false, None, &mut |path| {
            changes.push(Change { path: path.names(), kind: path.kind() });
        });
        self.tree.seen.merge(delta.seen);
    }

    /// What a replica at version `has` lacks, as one joined group; the whole state if the log no longer tells.
    pub fn since(&self, has: &VersionVector) -> Delta {
        let version = self.version();
        if has.is_empty() {
            return self.state();
        }
        let Some(touched) = self.log.touched_since(has, version) else { return self.state() };
        let from = version.iter().map(|(replica, seq)| (replica, seq.min(has.seq(replica)))).collect();
        let root = if version.beyond(has).is_empty() { Map::default() } else { touched.of(&self.tree.store) };
        Delta { from, to: version.clone(), latest: latest_in(&root), root }
    }

    /// The whole state, to be stored, or sent to whoever is too far behind. It can always be applied.
    pub fn state(&self) -> Delta {
        let root = Touched::Whole.of(&self.tree.store);
        Delta { from: VersionVector::default(), to: self.version().clone(), latest: latest_in(&root), root }
    }

    /// The bytes of [`state`](Self::state), without a copy of it.
    pub fn encode_state(&self) -> Vec<u8> {
        delta::encode(&VersionVector::default(), self.version(), &self.tree.store, true)
    }

    /// The name of the state: equal for equal states, whatever their history. Not made to withstand an adversary.
    pub fn hash(&self) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&self.encode_state())
    }

    /// Forgets the log of what every replica is known to have. Who lacks more is sent the whole state.
    pub fn cut_log(&mut self, stable: &VersionVector) {
        self.log.cut(stable);
    }

    /// The tree.
    pub fn root(&self) -> &Map {
        &self.tree.store
    }

    /// What stands at `path` of the given kind.
    pub fn slot(&self, path: &[&str], kind: Kind) -> Option<&Slot> {
        let (last, above) = path.split_last()?;
        self.map(above)?.get(&Key { name: (*last).to_owned(), kind })
    }

    /// The map at `path`; the root for an empty path.
    pub fn map(&self, path: &[&str]) -> Option<&Map> {
        path.iter().try_fold(self.root(), |map, name| {
            match map.get(&Key { name: (*name).to_owned(), kind: Kind::Map }) {
                Some(Slot::Map(map)) => Some(map),
                _ => None,
            }
        })
    }

    /// The value of the register at `path`: the winner, if there were concurrent writes.
    pub fn register(&self, path: &[&str]) -> Option<&Value> {
        match self.slot(path, Kind::Register) {
            Some(Slot::Register(register)) => register.get(),
            _ => None,
        }
    }

    /// The concurrent values of the register at `path` that did not win.
    pub fn conflicts(&self, path: &[&str]) -> Vec<&Value> {
        match self.slot(path, Kind::Register) {
            Some(Slot::Register(register)) => register.conflicts().collect(),
            _ => Vec::new(),
        }
    }

    /// The value of the counter at `path`; 0 if there is none.
    pub fn counter(&self, path: &[&str]) -> i64 {
        match self.slot(path, Kind::Counter) {
            Some(Slot::Counter(counter)) => counter.value(),
            _ => 0,
        }
    }

    /// The items of the set at `path`, in order.
    pub fn items(&self, path: &[&str]) -> Vec<&Value> {
        match self.slot(path, Kind::Set) {
            Some(Slot::Set(set)) => set.iter().collect(),
            _ => Vec::new(),
        }
    }

    /// The names of the keys of the map at `path`, in order, each once.
    pub fn keys(&self, path: &[&str]) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.map(path).into_iter().flat_map(OrMap::iter).map(|(key, _)| key.name.as_str()).collect();
        names.dedup();
        names
    }
}
