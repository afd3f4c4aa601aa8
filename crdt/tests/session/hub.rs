//! What a server does, without its tasks: a document, a disk that takes its time, acknowledgements and news once the
//! disk has it, and a line to everybody.

use crate::DOCUMENT;
use std::collections::{BTreeMap, VecDeque};
use watersmeet_crdt::session::{Code, Event, Limits, Output, Session};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, VersionVector};

pub(crate) const CHANNEL: u32 = 1;
/// Small, so that much comes in parts.
pub(crate) const PART_BYTES: usize = 300;

pub(crate) struct Hub {
    pub(crate) document: Document,
    disk: Vec<u8>,
    /// What the disk has of the document.
    pub(crate) durable: VersionVector,
    /// Whose deltas the disk does not have yet, and how far each goes.
    writing: Vec<(usize, VersionVector)>,
    limits: Limits,
    /// Whose edits are not looked at for now, and whether they have been told so.
    throttled: BTreeMap<usize, bool>,
    pub(crate) lines: BTreeMap<usize, Line>,
}

/// A connection: the hub's session, and bytes under way in both directions, in order.
pub(crate) struct Line {
    pub(crate) session: Session,
    pub(crate) to_hub: VecDeque<Vec<u8>>,
    pub(crate) to_client: VecDeque<Vec<u8>>,
    /// Whether there is news that waits for a large delta to go.
    behind: bool,
}

impl Hub {
    const REPLICA: ReplicaId = ReplicaId::new(0);

    pub(crate) fn new() -> Self {
        let document = Document::new(Self::REPLICA);
        Hub {
            disk: document.encode_state().to_vec(),
            document,
            durable: VersionVector::default(),
            writing: Vec::new(),
            limits: Limits { clock_skew_millis: 3_600_000, part_bytes: PART_BYTES, ..Limits::default() },
            throttled: BTreeMap::new(),
            lines: BTreeMap::new(),
        }
    }

    pub(crate) fn connect(&mut self, who: usize, now: Time) {
        self.throttled.remove(&who);
        let session = Session::listen(now, Self::REPLICA, self.limits.clone());
        self.lines.insert(
            who,
            Line { session, to_hub: VecDeque::new(), to_client: VecDeque::new(), behind: false },
        );
    }

    /// Drains one connection's session: everything it wants is done at once.
    pub(crate) fn serve(&mut self, who: usize) {
        loop {
            let Some(line) = self.lines.get_mut(&who) else { return };
            match line.session.poll() {
                Output::Send(bytes) => line.to_client.push_back(bytes.to_vec()),
                Output::Wait(_) => match line.session.take_part() {
                    Some(part) => line.to_client.push_back(part.to_vec()),
                    None if line.behind => {
                        line.behind = false;
                        self.commit();
                    }
                    None => return,
                },
                Output::Event(Event::Greeted { .. }) => line.session.welcome(),
                Output::Event(Event::Open { name, version }) => {
                    self.commit();
                    let Some(line) = self.lines.get_mut(&who) else { return };
                    line.session.accept(&name, CHANNEL, version.clone(), self.document.version().clone());
                    line.behind |= !line.session.send(CHANNEL, &self.document.since(&version));
                }
                Output::Event(Event::Delta { channel, delta, .. }) => self.take(who, channel, *delta),
                Output::Event(Event::Lacks { .. }) => self.commit(),
                Output::Event(_) => {}
            }
        }
    }

    /// From now on refuses somebody's edits, or asks for them again. Whether it asks for some that it refused.
    pub(crate) fn throttle_or_release(&mut self, who: usize) -> bool {
        match self.throttled.remove(&who) {
            None => {
                self.throttled.insert(who, false);
                false
            }
            Some(was_told) => {
                let line = self.lines.get_mut(&who).filter(|_| was_told);
                line.is_some_and(|line| {
                    line.session.lacks(CHANNEL, self.document.version().clone());
                    true
                })
            }
        }
    }

    pub(crate) fn release_all(&mut self) {
        for who in self.throttled.keys().copied().collect::<Vec<_>>() {
            self.throttle_or_release(who);
        }
    }

    fn take(&mut self, author: usize, channel: u32, delta: Delta) {
        if let Some(was_told) = self.throttled.get_mut(&author) {
            if let Some(line) = self.lines.get_mut(&author).filter(|_| !*was_told) {
                line.session.refuse(DOCUMENT, Code::Rate, "too fast");
                *was_told = true;
            }
            return;
        }
        let gained = delta.to().clone();
        if self.document.apply(delta).is_ok() {
            self.writing.push((author, gained));
        } else if let Some(line) = self.lines.get_mut(&author) {
            line.session.lacks(channel, self.document.version().clone());
        }
    }

    /// The disk has it: whoever sent it is told so, and all others are told what it is.
    pub(crate) fn commit(&mut self) {
        self.disk = self.document.encode_state().to_vec();
        self.durable = self.document.version().clone();
        for (author, gained) in std::mem::take(&mut self.writing) {
            if let Some(line) = self.lines.get_mut(&author) {
                line.session.acknowledge(CHANNEL, gained);
            }
        }
        self.lines.keys().copied().collect::<Vec<_>>().into_iter().for_each(|who| self.tell(who));
    }

    /// Tells somebody what there is besides.
    fn tell(&mut self, who: usize) {
        let Some(line) = self.lines.get_mut(&who) else { return };
        if let Some(has) = line.session.peer_has(CHANNEL).cloned() {
            line.behind |= !line.session.send(CHANNEL, &self.document.since(&has));
        }
    }

    /// What the disk did not have is lost; whether anything was.
    pub(crate) fn crash(&mut self) -> bool {
        self.lines.clear();
        self.document = Document::new(Self::REPLICA);
        assert!(self.document.apply(Delta::decode(&self.disk).unwrap()).is_ok(), "a state has no gap");
        !std::mem::take(&mut self.writing).is_empty()
    }
}
