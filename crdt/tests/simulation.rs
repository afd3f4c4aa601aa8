//! Worlds: replicas that gossip over a network that drops, duplicates, reorders and partitions, each world from one
//! printed seed. `WORLDS=100000` plays more of them; `SEED=17 WORLDS=1` repeats one.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::{Rng, random_ops};
use watersmeet_crdt::{Delta, Document, Lattice, ReplicaId, Time, VersionVector};

/// The network's faults, in percent.
struct Odds {
    drop: usize,
    duplicate: usize,
    partition: usize,
    heal: usize,
    crash: usize,
    cut_log: usize,
}

const ODDS: Odds = Odds { drop: 15, duplicate: 15, partition: 4, heal: 10, crash: 2, cut_log: 2 };
const STEPS: usize = 120;

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
    time: u64,
    replicas: Vec<Document>,
    /// What each replica finds again after a crash.
    disks: Vec<Vec<u8>>,
    mail: Vec<Letter>,
    /// The side of the partition each replica is on; letters do not cross.
    side: Vec<bool>,
    ids: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let n = 3 + rng.below(4);
        let replicas: Vec<Document> = (0..n).map(|id| Document::new(ReplicaId::new(id as u64 + 1))).collect();
        let disks = replicas.iter().map(|replica| replica.state().encode()).collect();
        World { rng, time: 0, replicas, disks, mail: Vec::new(), side: vec![false; n], ids: n as u64 }
    }

    fn step(&mut self) {
        self.time += self.rng.next() % 20;
        let who = self.rng.below(self.replicas.len());
        match self.rng.below(100) {
            0..30 => self.edit(who),
            30..50 => self.gossip(who),
            _ => self.deliver_any(),
        }
        if self.rng.chance(ODDS.partition) {
            self.side[who] ^= true;
        }
        if self.rng.chance(ODDS.heal) {
            self.side.fill(false);
        }
        if self.rng.chance(ODDS.crash) {
            self.crash(who);
        }
        if self.rng.chance(ODDS.cut_log) {
            let version = self.replicas[self.rng.below(self.side.len())].version().clone();
            self.replicas[who].cut_log(&version);
        }
    }

    /// Clocks are up to a second apart.
    fn edit(&mut self, who: usize) {
        let now = Time::from_millis(self.time + 300 * who as u64);
        let before = self.replicas[who].version().clone();
        let ops = random_ops(&mut self.rng);
        self.replicas[who].commit(now, ops).expect("within limits");
        // A replica stores its own edits before anybody hears of them.
        self.disks[who] = self.replicas[who].state().encode();
        let delta = self.replicas[who].since(&before).encode();
        for to in 0..self.replicas.len() {
            self.post(who, to, Message::Delta(delta.clone()));
        }
    }

    fn gossip(&mut self, who: usize) {
        let to = self.rng.below(self.replicas.len());
        let has = self.replicas[who].version().clone();
        self.post(who, to, Message::Has(has));
    }

    fn post(&mut self, from: usize, to: usize, message: Message) {
        if from != to && !self.rng.chance(ODDS.drop) {
            self.mail.push(Letter { from, to, message });
        }
    }

    fn deliver_any(&mut self) {
        if self.mail.is_empty() {
            return;
        }
        let letter = self.mail.swap_remove(self.rng.below(self.mail.len()));
        if self.side[letter.from] != self.side[letter.to] {
            return;
        }
        if self.rng.chance(ODDS.duplicate) {
            let message = match &letter.message {
                Message::Has(version) => Message::Has(version.clone()),
                Message::Delta(bytes) => Message::Delta(bytes.clone()),
            };
            self.mail.push(Letter { from: letter.from, to: letter.to, message });
        }
        self.deliver(letter);
    }

    fn deliver(&mut self, Letter { from, to, message }: Letter) {
        match message {
            Message::Has(version) => {
                if !version.covers(self.replicas[to].version()) {
                    let delta = self.replicas[to].since(&version).encode();
                    self.post(to, from, Message::Delta(delta));
                }
            }
            Message::Delta(bytes) => {
                let delta = Delta::decode(&bytes).expect("the network does not change bytes");
                if self.replicas[to].apply(delta).is_err() {
                    let has = self.replicas[to].version().clone();
                    self.post(to, from, Message::Has(has));
                }
            }
        }
    }

    /// A replica loses its memory, finds its disk, and goes on under a new name, as a reloaded page may.
    fn crash(&mut self, who: usize) {
        self.ids += 1;
        let mut again = Document::new(ReplicaId::new(self.ids));
        again
            .apply(Delta::decode(&self.disks[who]).expect("what was stored"))
            .expect("a state always merges");
        self.replicas[who] = again;
    }

    /// The network is whole again: everybody asks everybody until nobody lacks anything. Panics if that has no end.
    fn settle(&mut self) {
        self.mail.clear();
        for _round in 0..2 {
            for to in 0..self.replicas.len() {
                for from in 0..self.replicas.len() {
                    let delta = self.replicas[from].since(self.replicas[to].version());
                    self.replicas[to].apply(delta).expect("a delta since one's own version has no gap");
                }
            }
        }
    }
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    (0..STEPS).for_each(|_| world.step());
    world.settle();
    let first = world.replicas[0].state().encode();
    for replica in &world.replicas {
        assert!(
            world.replicas[0].since(replica.version()).is_empty(),
            "seed {seed}: somebody still lacks something"
        );
        assert!(replica.state().encode() == first, "seed {seed}: replicas differ");
    }
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn every_world_converges() {
    let (first, worlds) = (from_env("SEED", 1), from_env("WORLDS", 2_000));
    println!("worlds from seed {first}, {worlds} of them; repeat one with SEED=n WORLDS=1");
    (first..first + worlds).for_each(play);
}
