//! Worlds of documents: replicas that gossip in a mesh or through a hub, over a network that drops, duplicates,
//! reorders and partitions, with clocks that are minutes apart and jump, on machines that crash and lose what they had
//! not stored; some come late. Each world ends with equal hashes.
//!
//! `WORLDS=100000` plays more of them; `SEED=17` repeats one.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::worlds::{Clock, Seen, play_all};
use common::{Rng, random_ops};
use watersmeet_crdt::{Delta, Document, Lattice, ReplicaId, Time, VersionVector};

const WORLDS: u64 = 7_000;
const STEPS: usize = 150;
const PEERS_MIN: usize = 3;
const PEERS_MAX: usize = 8;
/// The right time at the start, in milliseconds.
const START: u64 = 1_700_000_000_000;

/// What must have happened in a thousand worlds, or they prove less than they claim.
const MUST: [&str; 12] = [
    "a mesh",
    "a hub",
    "a letter was dropped",
    "a letter came twice",
    "a letter stopped at a partition",
    "a delta came before what it follows",
    "a state was sent to one who has something",
    "a crash lost edits",
    "a crash lost what others had sent",
    "a crashed peer came back under its own id",
    "a peer came late",
    "a clock jumped",
];

/// How a world goes wrong, in percent of its steps or letters. Each world has its own: some know nothing of a fault,
/// others little else.
struct Odds {
    drop: usize,
    duplicate: usize,
    partition: usize,
    heal: usize,
    store: usize,
    crash: usize,
    cut_log: usize,
    join: usize,
    jump: usize,
}

impl Odds {
    fn draw(rng: &mut Rng) -> Self {
        Odds {
            drop: rng.below(30),
            duplicate: rng.below(30),
            partition: rng.below(8),
            heal: 2 + rng.below(15),
            store: 5 + rng.below(60),
            crash: rng.below(6),
            cut_log: rng.below(6),
            join: rng.below(4),
            jump: rng.below(4),
        }
    }
}

/// Who has a line to whom.
#[derive(Clone, Copy, PartialEq)]
enum Topology {
    /// Everybody to everybody.
    Mesh,
    /// Everybody to the first.
    Hub,
}

/// What a peer finds again after a crash: a state, and deltas in the order they came. Those beyond `stored` are still
/// on their way to it.
#[derive(Default)]
struct Disk {
    state: Option<Vec<u8>>,
    journal: Vec<Entry>,
    stored: usize,
}

struct Entry {
    delta: Vec<u8>,
    /// Whether it is an edit made here, and so may not be told before it is stored.
    own: bool,
}

struct Peer {
    document: Document,
    disk: Disk,
    clock: Clock,
    /// The side of the partition it is on; letters do not cross.
    side: bool,
}

enum Message {
    /// "This is what I have; what do I lack?"
    Has(VersionVector),
    /// A delta's bytes.
    Delta(Vec<u8>),
}

struct Letter {
    from: usize,
    to: usize,
    message: Message,
}

struct World {
    rng: Rng,
    odds: Odds,
    topology: Topology,
    now: Time,
    peers: Vec<Peer>,
    mail: Vec<Letter>,
    /// What was stored by somebody, and so must never be lost.
    promised: VersionVector,
    seen: Seen,
}

impl Disk {
    fn write(&mut self, delta: Vec<u8>, own: bool) {
        self.journal.push(Entry { delta, own });
    }

    /// Whether every edit made here would be found again.
    fn has_own_edits(&self) -> bool {
        self.journal[self.stored..].iter().all(|entry| !entry.own)
    }

    /// Forgets what was not stored; answers with whether an edit and whether something received is among it.
    fn crash(&mut self) -> (bool, bool) {
        let lost = self.journal.split_off(self.stored);
        (lost.iter().any(|entry| entry.own), lost.iter().any(|entry| !entry.own))
    }

    fn restore(&self, replica: ReplicaId) -> Document {
        let mut document = Document::new(replica);
        for bytes in self.state.iter().chain(self.journal.iter().map(|entry| &entry.delta)) {
            let delta = Delta::decode(bytes).expect("what was stored");
            assert!(document.apply(delta).is_ok(), "what was stored in order has no gap");
        }
        document
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let odds = Odds::draw(&mut rng);
        let topology = rng.pick(&[Topology::Mesh, Topology::Hub]);
        let mut world = World {
            rng,
            odds,
            topology,
            now: Time::from_millis(START),
            peers: Vec::new(),
            mail: Vec::new(),
            promised: VersionVector::default(),
            seen: Seen::default(),
        };
        world.seen.note(if topology == Topology::Mesh { "a mesh" } else { "a hub" });
        for _ in 0..PEERS_MIN + world.rng.below(PEERS_MAX - PEERS_MIN + 1) {
            world.join();
        }
        world
    }

    fn any_id(&mut self) -> ReplicaId {
        ReplicaId::new(self.rng.next() >> 11)
    }

    fn join(&mut self) {
        let document = Document::new(self.any_id());
        let clock = Clock::any(&mut self.rng);
        self.peers.push(Peer { document, disk: Disk::default(), clock, side: false });
    }

    fn step(&mut self) {
        self.now = self.now.plus(self.rng.next() % 2_000);
        let who = self.rng.below(self.peers.len());
        match self.rng.below(100) {
            0..25 => self.edit(who),
            25..45 => self.gossip(who),
            _ => self.deliver_any(),
        }
        if self.rng.chance(self.odds.store) {
            self.store(who);
        }
        self.go_wrong(who);
    }

    fn go_wrong(&mut self, who: usize) {
        if self.rng.chance(self.odds.partition) {
            self.peers[who].side ^= true;
        }
        if self.rng.chance(self.odds.heal) {
            self.peers.iter_mut().for_each(|peer| peer.side = false);
        }
        if self.rng.chance(self.odds.crash) {
            self.crash(who);
        }
        if self.rng.chance(self.odds.cut_log) {
            let other = self.rng.below(self.peers.len());
            let version = self.peers[other].document.version().clone();
            self.peers[who].document.cut_log(&version);
        }
        if self.peers.len() < PEERS_MAX && self.rng.chance(self.odds.join) {
            self.join();
            self.seen.note("a peer came late");
        }
        if self.rng.chance(self.odds.jump) {
            self.peers[who].clock.jump(&mut self.rng);
            self.seen.note("a clock jumped");
        }
    }

    fn edit(&mut self, who: usize) {
        let ops = random_ops(&mut self.rng);
        let Peer { document, disk, clock, .. } = &mut self.peers[who];
        let before = document.version().clone();
        document.commit(clock.at(self.now), ops).expect("within limits");
        if *document.version() != before {
            disk.write(document.since(&before).encode().to_vec(), true);
        }
    }

    /// Some of what is under way to the disk arrives; what was edited is told when all of it has.
    fn store(&mut self, who: usize) {
        let disk = &mut self.peers[who].disk;
        let waiting = disk.journal.len() - disk.stored;
        if waiting == 0 {
            // Time to tidy up: one state instead of all the deltas.
            let document = &self.peers[who].document;
            self.peers[who].disk = Disk { state: Some(document.encode_state().to_vec()), ..Disk::default() };
            return;
        }
        let from = disk.stored;
        disk.stored += 1 + self.rng.below(waiting);
        for entry in &disk.journal[from..disk.stored] {
            self.promised.merge(Delta::decode(&entry.delta).expect("what is stored").to().clone());
        }
        if disk.has_own_edits() && disk.journal[from..].iter().any(|entry| entry.own) {
            let first = Delta::decode(&disk.journal[from].delta).expect("what is stored");
            self.tell_all(who, &first.from().clone());
        }
    }

    fn linked(&self, one: usize, other: usize) -> bool {
        one != other && (self.topology == Topology::Mesh || one == 0 || other == 0)
    }

    /// Sends what there is since a version to all that there is a line to.
    fn tell_all(&mut self, who: usize, since: &VersionVector) {
        let delta = self.peers[who].document.since(since).encode();
        for to in 0..self.peers.len() {
            self.post(who, to, Message::Delta(delta.to_vec()));
        }
    }

    fn gossip(&mut self, who: usize) {
        let to = self.rng.below(self.peers.len());
        let has = self.peers[who].document.version().clone();
        self.post(who, to, Message::Has(has));
    }

    fn post(&mut self, from: usize, to: usize, message: Message) {
        if !self.linked(from, to) {
            return;
        }
        if self.rng.chance(self.odds.drop) {
            return self.seen.note("a letter was dropped");
        }
        self.mail.push(Letter { from, to, message });
    }

    fn deliver_any(&mut self) {
        if self.mail.is_empty() {
            return;
        }
        let letter = self.mail.swap_remove(self.rng.below(self.mail.len()));
        if self.peers[letter.from].side != self.peers[letter.to].side {
            return self.seen.note("a letter stopped at a partition");
        }
        if self.rng.chance(self.odds.duplicate) {
            let message = match &letter.message {
                Message::Has(version) => Message::Has(version.clone()),
                Message::Delta(bytes) => Message::Delta(bytes.clone()),
            };
            self.mail.push(Letter { from: letter.from, to: letter.to, message });
            self.seen.note("a letter came twice");
        }
        match letter.message {
            Message::Has(version) => self.asked(letter.from, letter.to, &version),
            Message::Delta(bytes) => self.told(letter.from, letter.to, bytes),
        }
    }

    /// `who` is asked what `from` lacks; it does not tell what it might yet lose and make again otherwise.
    fn asked(&mut self, from: usize, who: usize, has: &VersionVector) {
        let Peer { document, disk, .. } = &self.peers[who];
        if has.covers(document.version()) || !disk.has_own_edits() {
            return;
        }
        let delta = document.since(has);
        if delta.from().is_empty() && !has.is_empty() {
            self.seen.note("a state was sent to one who has something");
        }
        self.post(who, from, Message::Delta(delta.encode().to_vec()));
    }

    fn told(&mut self, from: usize, who: usize, bytes: Vec<u8>) {
        let delta = Delta::decode(&bytes).expect("the network does not change bytes");
        let Peer { document, disk, .. } = &mut self.peers[who];
        let before = document.version().clone();
        let news = !before.covers(delta.to());
        if document.apply(delta).is_err() {
            self.seen.note("a delta came before what it follows");
            assert!(*document.version() == before, "a delta that was refused changes the version");
            return self.post(who, from, Message::Has(before));
        }
        if !news {
            return;
        }
        disk.write(bytes, false);
        if self.topology == Topology::Hub && who == 0 && disk.has_own_edits() {
            self.tell_all(who, &before);
        }
    }

    /// A peer loses its memory and finds its disk. It goes on under its own id, whose unstored edits nobody has heard of,
    /// or under another, as a page does that is opened again.
    fn crash(&mut self, who: usize) {
        let another = self.any_id();
        let Peer { document, disk, .. } = &mut self.peers[who];
        let (edits, received) = disk.crash();
        let same = self.rng.chance(60);
        *document = disk.restore(if same { document.replica() } else { another });
        for (what, happened) in [
            ("a crash lost edits", edits),
            ("a crash lost what others had sent", received),
            ("a crashed peer came back under its own id", same),
        ] {
            if happened {
                self.seen.note(what);
            }
        }
    }

    /// The network is whole again: twice, everybody asks everybody that there is a line to.
    fn settle(&mut self) {
        self.mail.clear();
        for _ in 0..2 {
            for to in 0..self.peers.len() {
                let lines: Vec<usize> = (0..self.peers.len()).filter(|from| self.linked(to, *from)).collect();
                for from in lines {
                    let has = self.peers[to].document.version().clone();
                    let bytes = self.peers[from].document.since(&has).encode();
                    let delta = Delta::decode(&bytes).expect("the network does not change bytes");
                    let told = self.peers[to].document.apply(delta);
                    assert!(told.is_ok(), "a delta since one's own version has no gap");
                }
            }
        }
    }

    /// Everybody has the same, and all that was ever stored.
    fn check(&self) {
        let first = &self.peers[0].document;
        let (hash, version) = (first.hash(), first.version());
        assert!(version.covers(&self.promised), "something stored is lost");
        for Peer { document, .. } in &self.peers {
            assert!(document.version() == version, "somebody still lacks something");
            assert!(document.hash() == hash, "replicas differ");
            assert!(first.since(document.version()).is_empty());
        }
        let mut late = Document::new(ReplicaId::new(0));
        assert!(late.apply(first.state()).is_ok());
        assert!(late.hash() == hash, "who comes last of all differs");
    }
}

fn play(seed: u64) -> Seen {
    let mut world = World::new(seed);
    (0..STEPS).for_each(|_| world.step());
    world.settle();
    world.check();
    world.seen
}

#[test]
fn every_world_converges() {
    play_all("simulation every_world_converges", WORLDS, &MUST, play);
}
