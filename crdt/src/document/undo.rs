//! Undo and redo of one's own edits, as new edits.
//!
//! The one idea: an edit is undone cell by cell, where a cell is what holds events: a register, a counter, a flag, an
//! item of a set, an element of a list. Of each that an edit wrote to, a [`History`] notes what stood there before and
//! which event of its own stands there since. **A cell is undone only as long as that event is still alive**, for then
//! nobody has written over it; and what is done to it is a new event, which travels like any other.
//!
//! ```text
//!   mine stands alone       what was read before is written again; if nothing was there, mine is withdrawn
//!   others' stand beside it  mine is withdrawn, and theirs stay: they were written at the same time
//!   mine is gone            nothing: somebody wrote over it, or removed it
//!   mine was a removal      what was removed is written again where it stood, unless somebody wrote there since
//!   a counter               is counted back by what the edit counted, whatever others have counted
//! ```
//!
//! Redo is the same in the other direction. An event that is written again has a new dot: [`names`] know which old one
//! it stands for, so that the edits below it can be undone after it.
//!
//! What is deliberately not here: others' edits, and edits that were made past the history; they are neither undone
//! nor written over.

mod change;
mod names;
mod turn;

use super::change::path;
use super::kind::Kind;
use super::limits::{EVENTS_MAX, HISTORY_BYTES_MAX, HISTORY_STEPS_MAX};
use super::table::{Events, Id, Table, Written};
use super::{Document, EditError, Transaction};
use crate::{Dot, Time, Value};
use change::{Cell, Change};
use names::Names;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use turn::Turn;

/// The edits of one document that can be undone, and those that can be redone.
///
/// ```
/// use watersmeet_crdt::{Document, ReplicaId, Time, Value, document::History};
/// let now = Time::from_millis(0);
/// let (mut anna, mut ben) = (Document::new(ReplicaId::new(1)), Document::new(ReplicaId::new(2)));
/// let mut history = History::default();
/// history.edit(&mut anna, now, |tx| {
///     tx.set(&["mill", "name"], "Old mill");
///     tx.increment(&["mill", "votes"], 1);
/// })?;
/// ben.apply(anna.since(ben.version()))?;
/// ben.edit(now, |tx| { tx.set(&["mill", "name"], "Water mill"); tx.increment(&["mill", "votes"], 1); })?;
/// anna.apply(ben.since(anna.version()))?;
///
/// // What Ben has written over stays his; Anna's vote is taken back, and Ben's is not.
/// assert!(history.undo(&mut anna, now)?);
/// assert_eq!(anna.register(&["mill", "name"]), Some(&Value::from("Water mill")));
/// assert_eq!(anna.counter(&["mill", "votes"]), 1);
/// assert!(history.redo(&mut anna, now)?);
/// assert_eq!(anna.counter(&["mill", "votes"]), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What is undone
/// - A register, or an element of a list that was written, reads again what it read before: of several concurrent
///   values the winner, since one person cannot write for several.
/// - An item that was added is removed again, unless somebody else has added it too; one that was removed is added.
///   So it is with flags and guards.
/// - An element that was inserted is removed, unless somebody has written it since; one that was removed comes back
///   into its place, also among what others have inserted around it.
/// - A key that was deleted comes back with all that was below it, except where others have written since. A counter
///   gets back what was counted in it; what a replica had counted only if no count of that replica is there, because
///   one that survived the deletion contains it.
///
/// All operations of an edit are undone together. If others have since written over all of an edit, it is passed over.
/// An edit that is rewritten after a clock was wrong ([`Document::restamp`]) counts as written over.
///
/// # Limits
/// The youngest [`HISTORY_STEPS_MAX`] steps are kept, and no more of them than fit in [`HISTORY_BYTES_MAX`].
#[derive(Clone, Debug, Default)]
pub struct History {
    undo: VecDeque<Step>,
    redo: VecDeque<Step>,
    names: Names,
    merge_millis: u64,
    /// When the last edit was made, if the next one may be merged with it.
    open: Option<Time>,
}

impl History {
    /// A history in which edits that follow each other within `millis` milliseconds are undone together, as long as
    /// nobody else has written over one before the next.
    ///
    /// ```
    /// use watersmeet_crdt::{Document, ReplicaId, Time, document::History};
    /// let (mut document, mut history) = (Document::new(ReplicaId::new(1)), History::merging_within(500));
    /// for (millis, name) in [(0, "M"), (200, "Mi"), (400, "Mill")] {
    ///     history.edit(&mut document, Time::from_millis(millis), |tx| { tx.set(&["name"], name); })?;
    /// }
    /// history.undo(&mut document, Time::from_millis(600))?;
    /// assert_eq!(document.register(&["name"]), None);
    /// # Ok::<(), watersmeet_crdt::document::EditError>(())
    /// ```
    #[must_use]
    pub fn merging_within(millis: u64) -> Self {
        History { merge_millis: millis, ..History::default() }
    }

    /// The next edit is not merged with the last one, however soon it comes.
    pub fn seal(&mut self) {
        self.open = None;
    }

    /// Edits the document as [`Document::edit`] does, so that it can be undone. What was undone before can no longer
    /// be redone.
    ///
    /// # Errors
    /// If an operation is beyond a [limit](super::limits); then nothing is changed.
    pub fn edit(
        &mut self,
        document: &mut Document,
        now: Time,
        build: impl FnOnce(&mut Transaction),
    ) -> Result<bool, EditError> {
        let mut transaction = Transaction::default();
        build(&mut transaction);
        self.commit(document, now, transaction)
    }

    /// Applies operations together, as [`edit`](Self::edit) does.
    ///
    /// # Errors
    /// If an operation is beyond a [limit](super::limits); then nothing is changed.
    pub fn commit(
        &mut self,
        document: &mut Document,
        now: Time,
        edit: impl Into<Transaction>,
    ) -> Result<bool, EditError> {
        let steps = edit.into().checked(document)?;
        let mut trail = None;
        let done = document.with_hand(now, |hand| {
            hand.trail = Some(Trail::default());
            steps.run(hand);
            trail = hand.trail.take();
        });
        if done {
            self.redo.clear();
            let step = trail.unwrap_or_default().step(document, &self.names);
            self.push(step, now);
        }
        Ok(done)
    }

    fn push(&mut self, step: Step, now: Time) {
        let soon = |last: Time| {
            now.millis().checked_sub(last.millis()).is_some_and(|since| since <= self.merge_millis)
        };
        let merges = self.merge_millis > 0 && self.open.is_some_and(soon);
        self.open = Some(now);
        match self.undo.back_mut().filter(|last| merges && last.goes_on_to(&step)) {
            Some(last) => last.extend(step),
            None if step.cells.is_empty() => {}
            None => self.undo.push_back(step),
        }
        self.keep_limits();
    }

    /// Whether an edit is there to be undone. It may be that others have written over it.
    pub fn can_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    /// Whether an undone edit is there to be redone.
    pub fn can_redo(&self) -> bool {
        !self.redo.is_empty()
    }

    /// Undoes the last edit of which something is left; whether there was one.
    ///
    /// # Errors
    /// If this replica has made all the events that one may.
    pub fn undo(&mut self, document: &mut Document, now: Time) -> Result<bool, EditError> {
        let done = turn(&mut self.undo, &mut self.redo, &mut self.names, document, now);
        self.turned();
        done
    }

    /// Does again what was undone last; whether there was something.
    ///
    /// # Errors
    /// If this replica has made all the events that one may.
    pub fn redo(&mut self, document: &mut Document, now: Time) -> Result<bool, EditError> {
        let done = turn(&mut self.redo, &mut self.undo, &mut self.names, document, now);
        self.turned();
        done
    }

    fn turned(&mut self) {
        self.seal();
        self.keep_limits();
        let cells = self.steps().map(|step| step.cells.len()).sum();
        if self.names.have_outgrown(cells) {
            let used = self.steps().flat_map(Step::names).collect();
            self.names.keep(&used);
        }
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.undo.iter().chain(&self.redo)
    }

    /// Forgets what is farthest from now.
    fn keep_limits(&mut self) {
        let mut bytes: usize = self.steps().map(|step| step.bytes).sum();
        while bytes > HISTORY_BYTES_MAX || self.undo.len() + self.redo.len() > HISTORY_STEPS_MAX {
            let Some(oldest) = self.undo.pop_front().or_else(|| self.redo.pop_front()) else { return };
            bytes -= oldest.bytes;
        }
    }
}

/// Turns the last step of `from` of which something is left, and puts what turns it back onto `to`.
fn turn(
    from: &mut VecDeque<Step>,
    to: &mut VecDeque<Step>,
    names: &mut Names,
    document: &mut Document,
    now: Time,
) -> Result<bool, EditError> {
    while let Some(step) = from.pop_back() {
        // Each cell takes an event at most, and all that is withdrawn one more.
        let events = step.cells.len() as u64 + 1;
        if document.version.seq(document.replica).saturating_add(events) > EVENTS_MAX {
            from.push_back(step);
            return Err(EditError::ReplicaSpent);
        }
        let mut cells = BTreeMap::new();
        document.with_hand(now, |hand| {
            let mut turn = Turn::new(hand, names);
            let turned = step.cells.into_iter().filter_map(|(cell, change)| {
                let reverse = turn.cell(&cell, change)?;
                Some((cell, reverse))
            });
            cells = turned.collect();
        });
        if !cells.is_empty() {
            to.push_back(Step::of(cells));
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is undone, or redone, together.
#[derive(Clone, Debug, Default)]
struct Step {
    cells: BTreeMap<Cell, Change>,
    bytes: usize,
}

impl Step {
    fn of(cells: BTreeMap<Cell, Change>) -> Self {
        let mut bytes = 0;
        let mut above: Option<&Arc<[String]>> = None;
        for (cell, change) in &cells {
            let item = cell.item.as_ref().map_or(0, Value::bytes);
            bytes += size_of::<(Cell, Change)>() + item + change.bytes();
            if above.is_none_or(|above| !Arc::ptr_eq(above, &cell.path)) {
                bytes += cell.path.iter().map(|name| size_of::<String>() + name.len()).sum::<usize>();
            }
            above = Some(&cell.path);
        }
        Step { cells, bytes }
    }

    fn goes_on_to(&self, later: &Step) -> bool {
        let goes_on = |(cell, later)| self.cells.get(cell).is_none_or(|change| change.goes_on_to(later));
        later.cells.iter().all(goes_on)
    }

    fn extend(&mut self, later: Step) {
        for (cell, change) in later.cells {
            match self.cells.get_mut(&cell) {
                Some(earlier) => earlier.extend(change),
                None => drop(self.cells.insert(cell, change)),
            }
        }
        self.cells.retain(|_, change| !change.is_idle());
        // About: what both hold counts twice.
        self.bytes += later.bytes;
    }

    fn names(&self) -> impl Iterator<Item = Dot> {
        self.cells.values().flat_map(Change::names)
    }
}

/// What stood in the cells that an edit writes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    before: BTreeMap<Cell, Vec<Written>>,
    /// The last path, to be shared.
    path: Arc<[String]>,
}

impl Trail {
    /// To be told before a change of an entry.
    pub(crate) fn before(&mut self, table: &Table, id: Id) {
        let entry = table.entry(id);
        let is_item = table.entry(entry.parent).kind != Kind::Map;
        let path = path(table, if is_item { entry.parent } else { id });
        if path != *self.path {
            self.path = path.into();
        }
        let item = is_item.then(|| entry.name.clone());
        let cell = Cell { path: Arc::clone(&self.path), kind: entry.kind, item };
        self.before.entry(cell).or_insert_with(|| match table.events(id) {
            Events::Dot(dot) => vec![Written::bare(dot)],
            Events::Written(events) => events.to_vec(),
        });
    }

    /// What undoes the edit.
    fn step(self, document: &Document, names: &Names) -> Step {
        let table = &document.table;
        let changes = self.before.into_iter().filter_map(|(cell, before)| {
            let after = cell.find(table).map_or(Events::Written(&[]), |id| table.events(id));
            let change = Change::back(cell.kind, &before, after, document.replica, names)?;
            Some((cell, change))
        });
        Step::of(changes.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReplicaId;
    use crate::document::Op;
    use crate::document::table::ROOT;
    use quickcheck::quickcheck;
    use std::collections::BTreeSet;

    const NOW: Time = Time::from_millis(1_000);

    /// Two replicas at once, each with its history.
    struct World {
        documents: [Document; 2],
        histories: [History; 2],
    }

    impl World {
        fn new() -> Self {
            let document = |id| Document::new(ReplicaId::new(id));
            World { documents: [document(1), document(2)], histories: Default::default() }
        }

        fn act(&mut self, (who, what, a, b): (bool, u8, u8, u8)) {
            let who = usize::from(who);
            let (document, history) = (&mut self.documents[who], &mut self.histories[who]);
            match what % 16 {
                0..9 => drop(history.commit(document, NOW, vec![op(document, what % 16, a, b)])),
                9..11 => drop(document.commit(NOW, vec![op(document, a % 9, a, b)])),
                11..14 => self.pull(who),
                14 => self.turn(who, History::undo),
                _ => self.turn(who, History::redo),
            }
        }

        fn turn(
            &mut self,
            who: usize,
            turn: fn(&mut History, &mut Document, Time) -> Result<bool, EditError>,
        ) {
            let document = &mut self.documents[who];
            let before = of_others(document);
            turn(&mut self.histories[who], document, NOW).expect("events are left");
            assert_eq!(of_others(document), before, "an event of another is gone");
        }

        fn pull(&mut self, who: usize) {
            let [first, second] = &mut self.documents;
            let (to, from) = if who == 0 { (first, second) } else { (second, first) };
            to.apply(from.since(to.version())).expect("no gap");
        }
    }

    fn op(document: &Document, what: u8, a: u8, b: u8) -> Op {
        let path = ["a", "b", "c"][usize::from(a % 3)];
        let key = vec!["m".to_owned(), path.to_owned()];
        let value = Value::from(i32::from(b % 4));
        let len = document.list(&["m", path]).len();
        let index = usize::from(b) % (len + 1);
        match what {
            0 => Op::Set(key, value),
            1 => Op::Increment(key, i64::from(b % 7) - 3),
            2 => Op::Insert(key, value),
            3 => Op::Remove(key, value),
            4 if a > 127 => Op::Include(key, value),
            4 => Op::Exclude(key, value),
            5 if a > 127 => Op::Flag(key, b > 100),
            5 => Op::Guard(key, b > 100),
            6 if index < len && a > 127 => Op::Replace(key, index, value),
            6 => Op::Splice(key, index, (len - index).min(1), Vec::new()),
            7 => Op::Splice(key, index, 0, vec![value.clone(), value]),
            _ => Op::Delete(key[..1 + usize::from(a > 40)].to_vec()),
        }
    }

    fn of_others(document: &Document) -> BTreeSet<Dot> {
        let dots = document.table.leaves(ROOT).into_iter().flat_map(|id| document.table.events(id).dots());
        dots.filter(|dot| dot.replica != document.replica).collect()
    }

    quickcheck! {
        fn no_event_of_another_is_touched(acts: Vec<(bool, u8, u8, u8)>) -> bool {
            let mut world = World::new();
            acts.into_iter().for_each(|act| world.act(act));
            (0..2).for_each(|who| world.pull(who));
            world.documents[0].hash() == world.documents[1].hash()
        }
    }

    #[test]
    fn names_do_not_grow_with_the_number_of_turns() {
        let (mut document, mut history) = (Document::new(ReplicaId::new(1)), History::default());
        for value in 0..1_000 {
            history.edit(&mut document, NOW, |tx| tx.set(&["a"], value)).unwrap();
            history.edit(&mut document, NOW, |tx| tx.set(&["a"], -value)).unwrap();
            history.undo(&mut document, NOW).unwrap();
            if value % 2 == 0 {
                history.undo(&mut document, NOW).unwrap();
            }
        }
        let cells: usize = history.steps().map(|step| step.cells.len()).sum();
        assert!(history.names.dots.len() <= 4 * cells + Names::FEW);
        assert_eq!(history.names.dots.len(), history.names.names.len());
    }
}
