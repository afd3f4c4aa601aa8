//! What rooms have for one connection, until the connection can take it. **Posting never waits**, so a reader who is
//! slow, or stalled for good, holds up no room.
//!
//! The one idea: nearly everything that waits can be merged. Acknowledgements join; of a guest's presence only the
//! latest counts, and of one that came and left unseen nothing; and deltas, when they get too many, are forgotten altogether and their channel is marked as *lagging*:
//! once the peer can take it, it is sent `since(what it has)` as one group. So a mailbox is bounded by limits and by
//! the number of open documents and of who is in them, however long nobody looks into it.
//!
//! While nothing waits here, a delta takes the [short way](crate::wire) past it if it can.

use crate::rights::Refused;
use crate::room::GuestId;
use crate::wire::{Passed, Wire};
use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;
use watersmeet_crdt::session::{Code, Frame, Packed};
use watersmeet_crdt::{Delta, Lattice, VersionVector};

/// A delta group as a frame that is encoded once for everybody.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) channel: u32,
    pub(crate) from: VersionVector,
    pub(crate) to: VersionVector,
    pub(crate) frame: Bytes,
    pub(crate) packed: Packed,
}

impl Group {
    /// The group of `delta`, whose bytes are `bytes`.
    pub(crate) fn new(channel: u32, delta: &Delta, bytes: &[u8]) -> Arc<Self> {
        Group::of(channel, delta.from().clone(), delta.to().clone(), bytes)
    }

    /// The group of the delta between two versions, whose bytes are `bytes`.
    pub(crate) fn of(channel: u32, from: VersionVector, to: VersionVector, bytes: &[u8]) -> Arc<Self> {
        let frame = Frame::Delta { channel, delta: bytes }.encode().into();
        Arc::new(Group { channel, from, to, frame, packed: Packed::default() })
    }

    /// The delta's bytes, which are part of the frame's.
    pub(crate) fn delta(&self) -> Option<Bytes> {
        match Frame::decode(&self.frame) {
            Some(Frame::Delta { delta, .. }) => Some(self.frame.slice_ref(delta)),
            _ => None,
        }
    }
}

/// What a document's changes are, as a text in JSON that is made once for everybody.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) channel: u32,
    /// What one must have for them to be right, no less and no more; and what one has then.
    pub(crate) before: VersionVector,
    pub(crate) after: VersionVector,
    pub(crate) changes: String,
}

impl Told {
    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.changes.len() + 16 * (self.before.len() + self.after.len())
    }
}

/// A room's answer to what a connection asked. There are no more of them than questions.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The document is open; `group` is what of it a peer at `has` lacks.
    /// Without it if too much waits: then it is to be asked for.
    Opened {
        name: Arc<str>,
        channel: u32,
        has: VersionVector,
        version: VersionVector,
        group: Option<Arc<Group>>,
    },
    /// The document cannot be opened.
    Refused { name: Arc<str>, channel: u32, code: Code, message: String },
    /// What a lagging peer lacks.
    CaughtUp(Arc<Group>),
    /// The changes that a follower lacks.
    Told(Vec<Arc<Told>>),
}

/// Everything that waits, by kind; in each kind the order is kept, or does not matter.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// The connection is to end.
    pub(crate) end: Option<(Code, String)>,
    pub(crate) answers: Vec<Answer>,
    /// Of groups among the answers.
    answer_bytes: usize,
    pub(crate) deltas: VecDeque<Arc<Group>>,
    delta_bytes: usize,
    /// Channels whose deltas were forgotten.
    pub(crate) lagging: BTreeSet<u32>,
    /// Channels on which a delta could not be applied, with the version that the room has.
    pub(crate) lacks: BTreeMap<u32, VersionVector>,
    /// What changed, for whoever follows that and no deltas.
    pub(crate) told: Vec<Arc<Told>>,
    /// What was refused of a channel's edits, the latest of it.
    pub(crate) refused: BTreeMap<u32, Refused>,
    /// What has become durable, by channel.
    pub(crate) acks: BTreeMap<u32, VersionVector>,
    /// The latest state of others, by channel and guest.
    pub(crate) presence: BTreeMap<(u32, GuestId), Bytes>,
}

/// What is kept of one connection.
#[derive(Debug, Default)]
struct Kept {
    /// None while nothing waits, as in most mailboxes most of the time.
    letters: Option<Box<Letters>>,
    /// Whom the peer was shown. Only of them it needs to hear that they have gone; so who comes and goes while nobody
    /// looks leaves nothing behind.
    shown: BTreeSet<(u32, GuestId)>,
}

/// How much may wait in one mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) bytes: usize,
    pub(crate) deltas: usize,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Mailbox {
    capacity: Capacity,
    /// Counts the channels that were marked as lagging.
    drops: Counter,
    kept: Mutex<Kept>,
    posted: Notify,
    /// The connection's, if it has one, as long as it lives.
    wire: Weak<Wire>,
}

impl Mailbox {
    pub(crate) fn new(capacity: Capacity, drops: Counter) -> Self {
        Mailbox { capacity, drops, kept: Mutex::default(), posted: Notify::new(), wire: Weak::new() }
    }

    /// One past which a delta can go to its peer.
    pub(crate) fn beside(self, wire: &Arc<Wire>) -> Self {
        Mailbox { wire: Arc::downgrade(wire), ..self }
    }

    /// Takes everything that waits.
    pub(crate) fn take(&self) -> Letters {
        let Kept { letters, shown } = &mut *self.kept();
        let letters = letters.take().map_or_else(Letters::default, |letters| *letters);
        for (key, state) in &letters.presence {
            if state.is_empty() {
                shown.remove(key)
            } else {
                shown.insert(*key)
            };
        }
        letters
    }

    /// Waits until something was posted since it last returned.
    pub(crate) async fn posted(&self) {
        self.posted.notified().await;
    }

    /// Posts an answer; of many documents that are opened at once, those that are large without what is in them.
    pub(crate) fn answer(&self, answer: Answer) {
        self.post(|letters| letters.add_answer(answer, self.capacity));
    }

    /// Sends a delta if that can be done at once; else posts it, or marks its channel as lagging if too much waits.
    pub(crate) fn delta(&self, group: Arc<Group>) {
        let kept = &mut *self.kept();
        let passed = match (&kept.letters, self.wire.upgrade()) {
            (None, Some(wire)) => wire.pass(&group),
            // What was posted before goes before.
            _ => Passed::No,
        };
        if passed == Passed::No && kept.letters.get_or_insert_default().add_delta(group, self.capacity) {
            self.drops.inc();
        }
        if passed != Passed::Whole {
            self.posted.notify_one();
        }
    }

    /// Posts changes, or marks their channel as lagging if too much waits.
    pub(crate) fn tell(&self, told: Arc<Told>) {
        self.post(|letters| {
            if letters.add_told(told, self.capacity) {
                self.drops.inc();
            }
        });
    }

    /// Marks a channel as lagging: its peer is to be sent what it lacks.
    pub(crate) fn lag(&self, channel: u32) {
        self.post(|letters| {
            if letters.lag(channel) {
                self.drops.inc();
            }
        });
    }

    pub(crate) fn ack(&self, channel: u32, version: VersionVector) {
        self.post(|letters| {
            letters.acks.entry(channel).or_default().merge(version);
        });
    }

    /// Says that edits on a channel are refused. They stay with their author, who is told the latest reason.
    pub(crate) fn refuse(&self, channel: u32, refused: Refused) {
        self.post(|letters| {
            letters.refused.insert(channel, refused);
        });
    }

    pub(crate) fn lacks(&self, channel: u32, version: VersionVector) {
        self.post(|letters| {
            letters.lacks.insert(channel, version);
        });
    }

    /// Posts the state that a guest shows; an empty one if it shows none any more.
    pub(crate) fn presence(&self, channel: u32, guest: GuestId, state: Bytes) {
        let Kept { letters, shown } = &mut *self.kept();
        let key = (channel, guest);
        if state.is_empty() && !shown.contains(&key) {
            letters.iter_mut().for_each(|letters| drop(letters.presence.remove(&key)));
        } else {
            letters.get_or_insert_default().presence.insert(key, state);
            self.posted.notify_one();
        }
    }

    /// Forgets who is shown on a channel, and what was to be answered to edits on it: the peer has left it, and when it
    /// comes back says everything again.
    pub(crate) fn forget(&self, channel: u32) {
        let Kept { letters, shown } = &mut *self.kept();
        if let Some(letters) = letters {
            letters.refused.remove(&channel);
            letters.lacks.remove(&channel);
            letters.presence.retain(|(on, _), _| *on != channel);
        }
        shown.retain(|(on, _)| *on != channel);
    }

    pub(crate) fn end(&self, code: Code, message: String) {
        self.post(|letters| letters.end = Some((code, message)));
    }

    fn post(&self, change: impl FnOnce(&mut Letters)) {
        change(self.kept().letters.get_or_insert_default());
        self.posted.notify_one();
    }

    /// No method leaves it half changed, so a panic elsewhere does it no harm.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Letters {
    fn add_answer(&mut self, mut answer: Answer, capacity: Capacity) {
        if let Answer::Opened { group: all @ Some(_), .. } = &mut answer {
            let bytes = all.as_ref().map_or(0, |group| group.frame.len());
            // One that is larger than all that may wait can still be sent when nothing else waits.
            if self.answer_bytes > 0 && self.answer_bytes + bytes > capacity.bytes {
                *all = None;
            } else {
                self.answer_bytes += bytes;
            }
        }
        self.answers.push(answer);
    }

    /// Whether what waits on its channel was forgotten for it.
    fn add_delta(&mut self, group: Arc<Group>, capacity: Capacity) -> bool {
        if self.lagging.contains(&group.channel) {
            return false;
        }
        let fits =
            self.delta_bytes + group.frame.len() <= capacity.bytes && self.deltas.len() < capacity.deltas;
        // A delta that is larger than all that may wait can still be sent when nothing else waits.
        if fits || self.deltas.is_empty() {
            self.delta_bytes += group.frame.len();
            self.deltas.push_back(group);
            false
        } else {
            self.lag(group.channel)
        }
    }

    /// Whether what waits on its channel was forgotten for it.
    fn add_told(&mut self, told: Arc<Told>, capacity: Capacity) -> bool {
        if self.lagging.contains(&told.channel) {
            return false;
        }
        let bytes: usize = self.told.iter().map(|told| told.bytes()).sum();
        let fits = bytes + told.bytes() <= capacity.bytes && self.told.len() < capacity.deltas;
        if fits || self.told.is_empty() {
            self.told.push(told);
            false
        } else {
            self.lag(told.channel)
        }
    }

    /// Forgets what waits of a channel: one group will say it all. Whether that is news.
    fn lag(&mut self, channel: u32) -> bool {
        let news = self.lagging.insert(channel);
        self.deltas.retain(|group| group.channel != channel);
        self.told.retain(|told| told.channel != channel);
        self.delta_bytes = self.deltas.iter().map(|group| group.frame.len()).sum();
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watersmeet_crdt::ReplicaId;

    fn group(channel: u32, bytes: usize) -> Arc<Group> {
        let (from, to) = Default::default();
        Arc::new(Group { channel, from, to, frame: vec![0; bytes].into(), packed: Packed::default() })
    }

    #[test]
    fn a_mailbox_that_nobody_empties_stays_bounded() {
        let mailbox = Mailbox::new(Capacity { bytes: 1_000, deltas: 8 }, Counter::default());
        let version = |seq| VersionVector::from_iter([(ReplicaId::new(1), seq)]);
        for n in 0..100_000_u64 {
            mailbox.delta(group(u32::try_from(n % 3).unwrap(), 300));
            mailbox.ack(1, version(n));
            mailbox.presence(1, GuestId(n % 5), Bytes::from_static(b"here"));
        }
        let letters = mailbox.take();
        assert_eq!(
            mailbox.drops.get(),
            letters.lagging.len() as u64,
            "each channel's queue is forgotten once"
        );
        assert!(letters.delta_bytes <= 1_000 && letters.deltas.len() <= 8);
        assert!(!letters.lagging.is_empty());
        assert!(letters.deltas.iter().all(|group| !letters.lagging.contains(&group.channel)));
        assert_eq!(letters.acks, BTreeMap::from([(1, version(99_999))]));
        assert_eq!(letters.presence.len(), 5);
    }

    #[test]
    fn who_comes_and_goes_unseen_leaves_nothing_behind() {
        let mailbox = Mailbox::new(Capacity { bytes: 1_000, deltas: 8 }, Counter::default());
        let here = || Bytes::from_static(b"here");
        mailbox.presence(1, GuestId(0), here());
        assert_eq!(mailbox.take().presence, BTreeMap::from([((1, GuestId(0)), here())]));
        for n in 1..100_000 {
            mailbox.presence(1, GuestId(n), here());
            mailbox.presence(1, GuestId(n), Bytes::new());
        }
        mailbox.presence(1, GuestId(0), Bytes::new());
        let gone = BTreeMap::from([((1, GuestId(0)), Bytes::new())]);
        assert_eq!(mailbox.take().presence, gone, "who was seen is seen to leave, once");
        assert!(mailbox.take().presence.is_empty() && mailbox.kept().shown.is_empty());
    }

    #[test]
    fn a_channel_that_was_left_is_forgotten() {
        let mailbox = Mailbox::new(Capacity { bytes: 1_000, deltas: 8 }, Counter::default());
        let show = |guest| {
            [1, 2].map(|channel| mailbox.presence(channel, GuestId(guest), Bytes::from_static(b"here")))
        };
        show(0);
        mailbox.take();
        show(1);
        mailbox.forget(2);
        assert_eq!(mailbox.kept().shown, BTreeSet::from([(1, GuestId(0))]));
        mailbox.forget(1);
        assert!(mailbox.kept().shown.is_empty() && mailbox.take().presence.is_empty());
    }

    /// Who opens many large documents at once holds one of them.
    #[test]
    fn answers_that_nobody_takes_stay_bounded() {
        let mailbox = Mailbox::new(Capacity { bytes: 1_000, deltas: 8 }, Counter::default());
        for channel in 0..64 {
            let (has, version) = Default::default();
            let group = Some(group(channel, 5_000));
            mailbox.answer(Answer::Opened { name: "map".into(), channel, has, version, group });
        }
        let letters = mailbox.take();
        let with = |answer: &&Answer| matches!(answer, Answer::Opened { group: Some(_), .. });
        assert_eq!((letters.answers.len(), letters.answers.iter().filter(with).count()), (64, 1));
    }

    #[test]
    fn one_delta_of_any_size_passes() {
        let mailbox = Mailbox::new(Capacity { bytes: 10, deltas: 8 }, Counter::default());
        mailbox.delta(group(1, 5_000));
        mailbox.delta(group(2, 5));
        let letters = mailbox.take();
        assert_eq!((letters.deltas.len(), letters.lagging), (1, BTreeSet::from([2])));
    }
}
