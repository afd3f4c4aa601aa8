//! A server that says anything at any time. The client keeps what it promises its user: no edit of theirs is lost,
//! none leaves before it is stored, and the client always comes to rest.

use super::common::{Rng, random_ops};
use super::decoders::check_sound;
use super::script::{Step, steps};
use super::seeds::{NAMES, histories};
use std::collections::{BTreeMap, VecDeque};
use watersmeet_crdt::client::{Action, Client, Notice};
use watersmeet_crdt::session::{Frame, Token};
use watersmeet_crdt::{Delta, Document, Lattice, ReplicaId, Time, VersionVector};

/// More than any one frame may make a client do.
const ACTIONS_MAX: usize = 200;
const REPLICA: ReplicaId = ReplicaId::new(1);

/// Who connects is told anything.
pub fn client(data: &[u8]) {
    let mut shell = Shell::new();
    shell.drain();
    for step in steps(data) {
        match step {
            Step::Frame(bytes) if shell.connected => shell.client.received(shell.now, bytes, 1),
            Step::Frame(_) => {}
            Step::Pass(millis) => {
                shell.now = shell.now.plus(millis);
                shell.client.tick(shell.now, millis);
            }
            Step::Act(what) => shell.act(what),
        }
        shell.drain();
        shell.check();
    }
    for name in NAMES {
        shell.client.document(name).into_iter().for_each(check_sound);
    }
}

struct Shell {
    client: Client,
    now: Time,
    rng: Rng,
    connected: bool,
    /// Edits that are to be stored, and the last that was, by document.
    storing: VecDeque<(String, VersionVector)>,
    stored: BTreeMap<String, u64>,
    edited: BTreeMap<String, u64>,
    /// Bytes of a delta that comes in parts.
    parts: Vec<u8>,
}

impl Shell {
    fn new() -> Self {
        let mut client = Client::new(REPLICA, true);
        let (mut stored, mut edited) = (BTreeMap::new(), BTreeMap::new());
        for (name, document) in NAMES.into_iter().zip(histories()) {
            let kept = [Delta::decode(&document.encode_state()).unwrap()];
            assert_eq!(client.restore(name, kept, VersionVector::default()), 0);
            stored.insert(name.to_owned(), document.version().seq(REPLICA));
            edited.insert(name.to_owned(), document.version().seq(REPLICA));
        }
        client.go_online(Time::default());
        Shell {
            client,
            now: Time::default(),
            rng: Rng(5),
            connected: false,
            storing: VecDeque::new(),
            stored,
            edited,
            parts: Vec::new(),
        }
    }

    fn drain(&mut self) {
        for _ in 0..ACTIONS_MAX {
            match self.client.poll(self.now) {
                Action::Wait(_) => match self.client.take_part() {
                    Some(part) => self.sent(&part),
                    None => return,
                },
                Action::Connect { .. } => {
                    assert!(!self.connected, "it has a connection");
                    self.connected = true;
                    self.client.connected(self.now, Token::default());
                }
                Action::Disconnect => {
                    self.connected = false;
                    self.parts.clear();
                }
                Action::Send(bytes) => self.sent(&bytes),
                Action::Notify(Notice::Changed { name, version: Some(version), .. }) => {
                    self.storing.push_back((name, version));
                }
                Action::Notify(Notice::Changed { delta, .. }) => {
                    Delta::decode(&delta).expect("what is to be stored can be found again");
                }
                Action::Notify(_) => {}
            }
        }
        panic!("a client that does not come to rest");
    }

    /// What is sent is what a client has to say, and nothing that is not stored.
    fn sent(&mut self, bytes: &[u8]) {
        let frame = Frame::decode(bytes).expect("a client says frames");
        assert!(!frame.is_an_answer(), "{frame:?} from a client");
        match frame {
            Frame::Part { delta, .. } => self.parts.extend_from_slice(delta),
            Frame::Delta { delta, .. } => {
                self.parts.extend_from_slice(delta);
                let delta = Delta::decode(&std::mem::take(&mut self.parts)).expect("a client sends deltas");
                assert!(self.is_stored(delta.to()), "an edit is sent before it is stored");
            }
            _ => {}
        }
    }

    /// Whether a document has been stored up to this version, as far as it was edited here. A delta goes up to the latest
    /// edit of its document, and names no replica that it does not speak of.
    fn is_stored(&self, version: &VersionVector) -> bool {
        let own = version.seq(REPLICA);
        self.stored.iter().any(|(name, seq)| {
            let is_of = |document: &Document| {
                document.version().covers(version) && document.version().seq(REPLICA) == own
            };
            own <= *seq && self.client.document(name).is_some_and(is_of)
        })
    }

    fn check(&self) {
        for (name, seq) in &self.edited {
            if let Some(document) = self.client.document(name) {
                assert!(document.version().seq(REPLICA) >= *seq, "an edit is lost");
                self.client.status(name);
            }
        }
    }

    fn act(&mut self, what: u8) {
        let name = NAMES[usize::from(what >> 3) % NAMES.len()];
        match what & 7 {
            0 | 1 => {
                let ops = random_ops(&mut self.rng);
                // Refused only when a stranger has claimed all the events that there are.
                let Ok(Some(edited)) = self.client.edit(name, self.now, ops) else { return };
                self.edited.insert(name.to_owned(), edited.version.seq(REPLICA));
                if !edited.delta.is_empty() {
                    Delta::decode(&edited.delta).expect("what is to be stored can be found again");
                    self.storing.push_back((name.to_owned(), edited.version));
                }
            }
            2 | 3 => {
                if let Some((name, version)) = self.storing.pop_front() {
                    let seq = self.stored.entry(name.clone()).or_default();
                    *seq = (*seq).max(version.seq(REPLICA));
                    self.client.stored(&name, version);
                }
            }
            4 => self.client.present(name, &[3]),
            5 if self.connected => {
                self.connected = false;
                self.client.disconnected(self.now, u64::from(what));
            }
            5 => self.client.hurry(self.now),
            6 => {
                self.client.go_offline();
                self.drain();
                self.client.go_online(self.now);
            }
            _ => {
                self.client.close(name);
                self.edited.remove(name);
                self.client.open(name);
            }
        }
    }
}
