//! The index by dot: of each replica, which entry each of its live events stands in, in the order of the events.
//!
//! Events come in order, so an index is a list that grows at its end. What is no longer alive stays in the list until
//! half of it is dead; whoever looks something up asks the entry whether it still holds the event.

use super::table::Id;
use crate::{Dot, ReplicaId};

/// The lists, by replica.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    lanes: Vec<(ReplicaId, Lane)>,
    /// Whether some list is not in order.
    disordered: bool,
}

#[derive(Clone, Debug, Default)]
struct Lane {
    events: Vec<(u64, Id)>,
    alive: usize,
    ordered: usize,
}

/// Below this many a list is not worth compacting.
const FEW: usize = 32;

impl Lanes {
    fn place(&self, replica: ReplicaId) -> Result<usize, usize> {
        match self.lanes.last() {
            Some((last, _)) if *last == replica => Ok(self.lanes.len() - 1),
            Some((last, _)) if *last < replica => Err(self.lanes.len()),
            _ => self.lanes.binary_search_by_key(&replica, |(id, _)| *id),
        }
    }

    /// Adds a live event.
    pub(crate) fn push(&mut self, dot: Dot, id: Id) {
        let at = self.place(dot.replica).unwrap_or_else(|at| {
            self.lanes.insert(at, (dot.replica, Lane::default()));
            at
        });
        let Lane { events, alive, ordered } = &mut self.lanes[at].1;
        if *ordered == events.len() && events.last().is_none_or(|(last, _)| *last < dot.seq) {
            *ordered += 1;
        } else {
            self.disordered = true;
        }
        events.push((dot.seq, id));
        *alive += 1;
    }

    /// Notes that an event of an entry is no longer alive; `alive` tells which still are.
    pub(crate) fn forget(&mut self, id: Id, dot: Dot, alive: impl Fn(Id, Dot) -> bool) {
        let Ok(at) = self.place(dot.replica) else { return };
        let lane = &mut self.lanes[at].1;
        lane.alive = lane.alive.saturating_sub(1);
        if lane.ordered == lane.events.len() && lane.events.last() == Some(&(dot.seq, id)) {
            // What was made last is what is replaced most often, such as a counter's subtotal.
            lane.events.pop();
            lane.ordered -= 1;
        }
        if lane.events.len() > 2 * lane.alive + FEW {
            lane.order();
            lane.events.retain(|(seq, id)| alive(*id, Dot { replica: dot.replica, seq: *seq }));
            lane.alive = lane.events.len();
            lane.ordered = lane.events.len();
            if lane.events.is_empty() {
                self.lanes.remove(at);
            }
        }
    }

    /// Brings every list into order, after additions that were not.
    pub(crate) fn settle(&mut self) {
        if std::mem::take(&mut self.disordered) {
            self.lanes.iter_mut().for_each(|(_, lane)| lane.order());
        }
    }

    /// The events of `from`'s replica from `from` on up to `end`, alive or not.
    pub(crate) fn range(&self, from: Dot, end: u64) -> impl Iterator<Item = (u64, Id)> + '_ {
        debug_assert!(!self.disordered, "settled before anybody asks");
        let events = self.place(from.replica).map_or(&[][..], |at| &self.lanes[at].1.events);
        let start = match events.last() {
            Some((last, _)) if *last < from.seq => events.len(),
            _ => events.partition_point(|(seq, _)| *seq < from.seq),
        };
        events[start..].iter().copied().take_while(move |(seq, _)| *seq <= end)
    }
}

impl Lane {
    /// Orders what was added out of order since the last time.
    fn order(&mut self) {
        let Lane { events, ordered, .. } = self;
        if *ordered == events.len() {
            return;
        }
        sort(&mut events[*ordered..]);
        // What is new is nearly always younger than all that was there.
        if *ordered > 0 && events[*ordered - 1] > events[*ordered] {
            events.sort();
        }
        *ordered = events.len();
    }
}

/// Sorts by event. What comes from one commit is dense, and is put in its place without comparing.
fn sort(events: &mut [(u64, Id)]) {
    const NONE: Id = Id::MAX;
    let (least, most) =
        events.iter().fold((u64::MAX, 0), |(least, most), (seq, _)| (least.min(*seq), most.max(*seq)));
    let span = most.saturating_sub(least);
    if events.len() < 64 || span > 4 * events.len() as u64 {
        return events.sort_unstable();
    }
    let mut places = vec![NONE; usize::try_from(span).unwrap_or(0) + 1];
    for &(seq, id) in events.iter() {
        places[usize::try_from(seq - least).unwrap_or(0)] = id;
    }
    let placed = (least..).zip(&places).filter(|(_, id)| **id != NONE).map(|(seq, id)| (seq, *id));
    if placed.clone().count() < events.len() {
        // Somebody gave one dot to two entries.
        return events.sort_unstable();
    }
    events.iter_mut().zip(placed).for_each(|(event, placed)| *event = placed);
}
