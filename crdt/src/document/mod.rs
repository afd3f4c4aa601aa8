//! A document: a tree of causal types with text keys, one version at its root, and a log of what was removed.
//!
//! ```text
//!   edit ─▶ Transaction ─┐            ┌─▶ table   every live entry, found by key and by dot
//!                        ├─▶ document ┼─▶ version which events have been applied
//!   Delta ─▶ apply ──────┘            └─▶ log     which dots were removed, by which events
//!
//!   since(version) = what the table has beyond it, by dot  +  what the log removed beyond it
//! ```
//!
//! The meaning is that of a [`Causal`](crate::store::Causal) [`OrMap`](crate::causal::OrMap) of the types in
//! [`causal`](crate::causal), which is the specification and is held against this in the tests. What is here is the
//! same mathematics with an index by dot: a delta tells what was added by key and what was removed by dot, so that
//! producing and applying one cost what is in it.
//!
//! A delta is applied only where everything it builds on has been applied: that is causal delivery, with nothing to
//! buffer. It is also why a document's context has no gaps and can serve as its version; a store without that rule
//! must keep the two apart (see [`dot`](crate::dot)).

pub mod limits;

mod change;
mod columns;
mod contradict;
mod delta;
mod edit;
mod format;
mod kind;
mod lanes;
mod log;
mod merge;
mod once;
mod read;
mod table;
mod undo;
mod values;
mod walk;

pub use change::{Change, What};
pub use delta::{DecodeError, Delta};
pub use edit::{EditError, Op, Transaction};
pub use format::FORMAT;
pub use kind::Kind;
pub use read::{ListView, MapView, RegisterView, SetView, View};
pub use undo::History;

use crate::{Dot, Lattice, ReplicaId, Stamp, Time, VersionVector};
use change::Recorder;
use edit::Hand;
use log::Log;
use std::borrow::Borrow;
use table::{Table, Written};

/// A list that is nearly always short, and then takes no allocation: one edit among a hundred thousand entries costs
/// little else.
type Few<T> = smallvec::SmallVec<[T; 8]>;

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
    table: Table,
    version: VersionVector,
    latest: Stamp,
    log: Log,
    /// What has changed since somebody asked, if anybody has said that they will.
    changes: Option<Recorder>,
}

impl Document {
    /// An empty document, to be edited as `replica`. No two replicas that are alive may share an id.
    pub fn new(replica: ReplicaId) -> Self {
        Document {
            replica,
            table: Table::default(),
            version: VersionVector::default(),
            latest: Stamp::default(),
            log: Log::default(),
            changes: None,
        }
    }

    /// Who edits this replica.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// Which events have been applied.
    pub fn version(&self) -> &VersionVector {
        &self.version
    }

    /// How many entries are alive: keys, items and elements.
    pub fn len(&self) -> usize {
        self.table.len() - 1
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Edits the document at wall-clock time `now`; whether anything was done.
    ///
    /// # Errors
    /// If an operation is beyond a [limit](limits); then nothing is changed.
    pub fn edit(&mut self, now: Time, build: impl FnOnce(&mut Transaction)) -> Result<bool, EditError> {
        let mut transaction = Transaction::default();
        build(&mut transaction);
        self.commit(now, transaction)
    }

    /// Applies operations together, as [`edit`](Self::edit) does.
    ///
    /// # Errors
    /// If an operation is beyond a [limit](limits); then nothing is changed.
    pub fn commit(&mut self, now: Time, edit: impl Into<Transaction>) -> Result<bool, EditError> {
        let steps = edit.into().checked(self)?;
        Ok(self.with_hand(now, |hand| steps.run(hand)))
    }

    /// Lets the hand write, within the limits; whether it did.
    fn with_hand(&mut self, now: Time, write: impl FnOnce(&mut Hand<'_>)) -> bool {
        let before = self.version.next(self.replica).seq - 1;
        // All that is written together is written at one time.
        let stamp = self.latest.next(now);
        let mut hand = Hand::new(self.replica, before, stamp, &mut self.table, self.changes.as_mut());
        write(&mut hand);
        let (seq, removed) = hand.done();
        if seq > before {
            self.latest = stamp;
        }
        self.advance(before, seq, &removed);
        seq > before
    }

    /// Writes again what this replica wrote at times after `now`, because its clock was wrong then, as far as `known`
    /// does not have it. From then on the clock goes by `now` again.
    pub fn restamp(&mut self, now: Time, known: &VersionVector) {
        let before = self.version.next(self.replica).seq - 1;
        let own = self.replica;
        let is_wrong = |event: &Written| {
            event.dot.replica == own && !known.contains(event.dot) && event.stamp.time() > now
        };
        let (mut wrong, mut latest) = (Vec::new(), Stamp::default());
        self.table.each_written(|id, event| match is_wrong(event) {
            true => wrong.push((id, event.dot)),
            false => latest = latest.max(event.stamp),
        });
        let stamp = Stamp::default().next(now);
        self.latest = latest.max(stamp);
        let mut hand = Hand::new(self.replica, before, stamp, &mut self.table, self.changes.as_mut());
        wrong.into_iter().for_each(|(id, dot)| hand.restamp(id, dot));
        let (seq, removed) = hand.done();
        self.advance(before, seq, &removed);
    }

    /// Notes that this replica has made events.
    fn advance(&mut self, before: u64, seq: u64, removed: &[log::Removed]) {
        if seq > before {
            self.version.advance(self.replica, seq);
            self.log.record_own(self.replica, before, seq, removed);
        }
        self.table.by_dot.settle();
    }

    /// Applies what another replica sent; whether anything in it was new. Doing so again changes nothing.
    ///
    /// # Errors
    /// If events before it are missing; then nothing is changed.
    pub fn apply(&mut self, delta: impl Borrow<Delta>) -> Result<bool, Gap> {
        let delta = delta.borrow();
        if !self.version.covers(delta.from()) {
            return Err(Gap { missing: delta.from().events_beyond(&self.version) });
        }
        let gained = delta.to().beyond(&self.version);
        if gained.is_empty() {
            return Ok(false);
        }
        let removed = merge::merge(&mut self.table, &self.version, delta, self.changes.as_mut());
        self.log.record(&gained, &self.version, &removed);
        self.version.merge(gained);
        self.latest = self.latest.max(delta.latest());
        self.table.by_dot.settle();
        Ok(true)
    }

    /// An event of a delta that is alive here and says something else here: somebody gave one dot to two events. No
    /// honest replica does; one that was copied with its id does, and goes on as two.
    ///
    /// What is no longer alive here cannot be compared. Costs nothing if nothing in the delta is known here.
    pub fn contradicts(&self, delta: &Delta) -> Option<Dot> {
        contradict::first(&self.table, &self.version, delta)
    }

    /// What a replica at version `has` lacks, as one group. It is made for that replica, or one that has more.
    pub fn since(&self, has: &VersionVector) -> Delta {
        if has.is_empty() {
            return self.state();
        }
        let alive = |dot| self.table.holder(dot).is_some();
        format::delta(&self.table, &self.log.lacking(has, &self.version, alive))
    }

    /// The whole state, to be stored, or sent to whoever has nothing: what there is since the empty version. It can
    /// always be applied.
    pub fn state(&self) -> Delta {
        format::state(&self.table, &self.version)
    }

    /// The bytes of [`state`](Self::state). Equal states have equal bytes.
    pub fn encode_state(&self) -> bytes::Bytes {
        self.state().encode()
    }

    /// The name of the state: equal for equal states, whatever their history. Not made to withstand an adversary.
    pub fn hash(&self) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&self.encode_state())
    }

    /// Forgets the log of what every replica is known to have. Who lacks more is sent more than that.
    pub fn cut_log(&mut self, stable: &VersionVector) {
        self.log.cut(stable);
    }

    /// Notes changes from now on, local and remote ones alike, for whoever [takes](Self::take_changes) them.
    pub fn watch(&mut self) {
        self.changes.get_or_insert_default();
    }

    /// Notes changes no longer.
    pub fn unwatch(&mut self) {
        self.changes = None;
    }

    /// What has changed since this was last asked, if the document is [watched](Self::watch).
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.changes.as_mut().map(|changes| changes.take(&self.table)).unwrap_or_default()
    }
}
