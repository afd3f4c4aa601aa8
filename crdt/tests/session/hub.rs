//! What a server does, without its tasks: a document, a disk that takes its time, acknowledgements and news once the
//! disk has it, and a line to everybody.

use std::collections::{BTreeMap, VecDeque};
use watersmeet_crdt::session::{Event, Limits, Output, Session};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, VersionVector};

pub(crate) const CHANNEL: u32 = 1;

pub(crate) struct Hub {
    pub(crate) document: Document,
    disk: Vec<u8>,
    /// What the disk has of the document.
    pub(crate) durable: VersionVector,
    /// Whose deltas the disk does not have yet, and how far each goes.
    writing: Vec<(usize, VersionVector)>,
    limits: Limits,
    pub(crate) lines: BTreeMap<usize, Line>,
}

/// A connection: the hub's session, and bytes under way in both directions, in order.
pub(crate) struct Line {
    pub(crate) session: Session,
    pub(crate) to_hub: VecDeque<Vec<u8>>,
    pub(crate) to_client: VecDeque<Vec<u8>>,
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
            limits: Limits { clock_skew_millis: 3_600_000, ..Limits::default() },
            lines: BTreeMap::new(),
        }
    }

    pub(crate) fn connect(&mut self, who: usize, now: Time) {
        let session = Session::listen(now, Self::REPLICA, self.limits.clone());
        self.lines.insert(who, Line { session, to_hub: VecDeque::new(), to_client: VecDeque::new() });
    }

    /// Drains one connection's session: everything it wants is done at once.
    pub(crate) fn serve(&mut self, who: usize) {
        loop {
            let Some(line) = self.lines.get_mut(&who) else { return };
            match line.session.poll() {
                Output::Send(bytes) => line.to_client.push_back(bytes.to_vec()),
                Output::Wait(_) => return,
                Output::Event(Event::Greeted { .. }) => line.session.welcome(),
                Output::Event(Event::Open { name, version }) => {
                    self.commit();
                    let Some(line) = self.lines.get_mut(&who) else { return };
                    line.session.accept(&name, CHANNEL, version.clone(), self.document.version().clone());
                    line.session.send(CHANNEL, &self.document.since(&version));
                }
                Output::Event(Event::Delta { channel, delta, .. }) => self.take(who, channel, *delta),
                Output::Event(Event::Lacks { .. }) => self.commit(),
                Output::Event(_) => {}
            }
        }
    }

    fn take(&mut self, author: usize, channel: u32, delta: Delta) {
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
        for line in self.lines.values_mut() {
            if let Some(has) = line.session.peer_has(CHANNEL).cloned() {
                line.session.send(CHANNEL, &self.document.since(&has));
            }
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
