//! Worlds of clients and a hub: connections that break anywhere, clients and a hub that crash and lose what they had
//! not stored, clocks that are minutes apart, one that runs days ahead until it is set, clients that come late or are
//! away for long. Each world ends with equal hashes, and nobody ever believes in an edit that could still be lost.

use crate::DOCUMENT;
use crate::common::worlds::{Clock, Seen, play_all};
use crate::common::{Rng, random_ops};
use crate::hub::{Hub, PART_BYTES};
use std::collections::VecDeque;
use watersmeet_crdt::client::{Action, Client, Notice};
use watersmeet_crdt::session::{Code, Frame, Input, Limits, Token, Violation};
use watersmeet_crdt::{Delta, Lattice, ReplicaId, Time, VersionVector};

/// As many as [`MUST`] asks for; `WORLDS` says how many more.
const WORLDS: u64 = 1_000;
const STEPS: usize = 200;
/// With the hub, 3 to 8 peers.
const CLIENTS_MIN: usize = 2;
const CLIENTS_MAX: usize = 7;
/// The right time at the start, in milliseconds.
const START: u64 = 1_700_000_000_000;

/// What must have happened in a thousand worlds, or they prove less than they claim.
const MUST: [&str; 11] = [
    "a connection broke",
    "the hub lost what it had not acknowledged",
    "the hub cut its log",
    "a client lost edits in a crash",
    "a client came late",
    "a client went away",
    "a clock ran ahead",
    "a clock was refused",
    "edits of a wrong clock were written again",
    "edits that came too fast were asked for",
    "a large delta went in parts",
];

/// How a world goes wrong, in percent of its steps; each world has its own.
struct Odds {
    edit: usize,
    store: usize,
    commit: usize,
    cut: usize,
    hub_crash: usize,
    crash: usize,
    cut_log: usize,
    join: usize,
    away: usize,
    clock: usize,
    throttle: usize,
}

impl Odds {
    fn draw(rng: &mut Rng) -> Self {
        Odds {
            edit: 10 + rng.below(30),
            store: 10 + rng.below(50),
            commit: 5 + rng.below(60),
            cut: rng.below(6),
            hub_crash: rng.below(3),
            crash: rng.below(4),
            cut_log: rng.below(6),
            join: rng.below(4),
            away: rng.below(5),
            clock: rng.below(4),
            throttle: rng.below(8),
        }
    }
}

/// A client and what a shell is to it: a store that takes its time, and a clock.
struct Shell {
    client: Client,
    stores: bool,
    clock: Clock,
    /// Deltas under way to the store, with the version of those that are edits.
    storing: VecDeque<(Vec<u8>, Option<VersionVector>)>,
    stored: Vec<Vec<u8>>,
    /// What the store knows the hub to have.
    on_server: VersionVector,
    away: bool,
}

struct World {
    rng: Rng,
    odds: Odds,
    now: Time,
    hub: Hub,
    shells: Vec<Shell>,
    seen: Seen,
}

/// Much goes in parts.
fn limits() -> Limits {
    Limits { part_bytes: PART_BYTES, ..Limits::default() }
}

impl Shell {
    fn new(replica: ReplicaId, stores: bool, clock: Clock) -> Self {
        let mut client = Client::with_limits(replica, stores, limits());
        client.open(DOCUMENT);
        Shell {
            client,
            stores,
            clock,
            storing: VecDeque::new(),
            stored: Vec::new(),
            on_server: VersionVector::default(),
            away: false,
        }
    }

    /// The next delta arrives in the store.
    fn store(&mut self) {
        let Some((delta, edited)) = self.storing.pop_front() else { return };
        if !self.stores {
            return;
        }
        self.stored.push(delta);
        self.on_server = self.client.on_server(DOCUMENT).unwrap().clone();
        if let Some(version) = edited {
            self.client.stored(DOCUMENT, version);
        }
    }

    /// Memory is lost, and the store is found again; a client without one begins anew, as somebody else. Answers with
    /// whether edits were lost.
    fn crash(&mut self, another: ReplicaId) -> bool {
        let replica = if self.stores { self.client.replica() } else { another };
        self.client = Client::new(replica, self.stores);
        let stored = self.stored.iter().map(|bytes| Delta::decode(bytes).expect("what was stored"));
        let missing = self.client.restore(DOCUMENT, stored, self.on_server.clone());
        assert_eq!(missing, 0, "what was stored in order has no gap");
        std::mem::take(&mut self.storing).iter().any(|(_, edited)| edited.is_some())
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let odds = Odds::draw(&mut rng);
        let now = Time::from_millis(START);
        let mut world = World { rng, odds, now, hub: Hub::new(), shells: Vec::new(), seen: Seen::default() };
        for _ in 0..CLIENTS_MIN + world.rng.below(CLIENTS_MAX - CLIENTS_MIN + 1) {
            world.join();
        }
        world
    }

    fn any_id(&mut self) -> ReplicaId {
        ReplicaId::new(self.rng.next() >> 11)
    }

    fn join(&mut self) {
        let (replica, stores) = (self.any_id(), self.rng.chance(80));
        let mut shell = Shell::new(replica, stores, Clock::any(&mut self.rng));
        shell.client.go_online(shell.clock.at(self.now));
        self.shells.push(shell);
    }

    fn now_at(&self, who: usize) -> Time {
        self.shells[who].clock.at(self.now)
    }

    fn step(&mut self) {
        self.now = self.now.plus(self.rng.next() % 200);
        let who = self.rng.below(self.shells.len());
        if self.rng.chance(self.odds.edit) {
            self.edit(who);
        }
        if self.rng.chance(self.odds.store) {
            self.shells[who].store();
        }
        self.carry(who);
        if self.rng.chance(self.odds.commit) {
            self.commit();
        }
        if self.rng.chance(5) {
            let (now, random) = (self.now_at(who), self.rng.next());
            self.shells[who].client.tick(now, random);
        }
        self.drain(who);
        self.go_wrong(who);
        self.drain(who);
        self.check_promises();
    }

    fn go_wrong(&mut self, who: usize) {
        if self.rng.chance(self.odds.cut) {
            self.cut(who);
        }
        if self.rng.chance(self.odds.hub_crash) {
            if self.hub.crash() {
                self.seen.note("the hub lost what it had not acknowledged");
            }
            (0..self.shells.len()).for_each(|who| self.cut(who));
        }
        if self.rng.chance(self.odds.crash) {
            self.crash(who);
        }
        if self.rng.chance(self.odds.cut_log) {
            let stable = self.hub.durable.clone();
            self.hub.document.cut_log(&stable);
            self.seen.note("the hub cut its log");
        }
        if self.shells.len() < CLIENTS_MAX && self.rng.chance(self.odds.join) {
            self.join();
            self.seen.note("a client came late");
        }
        if self.rng.chance(self.odds.away) {
            self.leave_or_return(who);
        }
        if self.rng.chance(self.odds.clock) {
            self.meddle_with_clock(who);
        }
        if self.rng.chance(self.odds.throttle) && self.hub.throttle_or_release(who) {
            self.seen.note("edits that came too fast were asked for");
        }
    }

    fn edit(&mut self, who: usize) {
        let (now, ops) = (self.now_at(who), random_ops(&mut self.rng));
        let shell = &mut self.shells[who];
        let edited = shell.client.edit(DOCUMENT, now, ops).unwrap().unwrap();
        if !edited.delta.is_empty() {
            shell.storing.push_back((edited.delta.to_vec(), Some(edited.version)));
        }
    }

    /// Carries one frame each way.
    fn carry(&mut self, who: usize) {
        let now = self.now;
        let Some(line) = self.hub.lines.get_mut(&who) else { return };
        if let Some(frame) = line.to_hub.pop_front() {
            line.session.handle(now, Input::Frame(&frame)).expect("a client keeps the protocol");
            self.hub.serve(who);
        }
        let now = self.now_at(who);
        let Some(line) = self.hub.lines.get_mut(&who) else { return };
        if let Some(frame) = line.to_client.pop_front() {
            self.shells[who].client.received(now, &frame, 0);
        }
    }

    fn commit(&mut self) {
        self.hub.commit();
        (0..self.shells.len()).for_each(|who| self.hub.serve(who));
    }

    /// The connection breaks; what was under way is lost.
    fn cut(&mut self, who: usize) {
        if self.hub.lines.remove(&who).is_some() {
            self.seen.note("a connection broke");
        }
        let (now, random) = (self.now_at(who), self.rng.next());
        self.shells[who].client.disconnected(now, random);
    }

    fn crash(&mut self, who: usize) {
        self.hub.lines.remove(&who);
        let another = self.any_id();
        if self.shells[who].crash(another) {
            self.seen.note("a client lost edits in a crash");
        }
        self.come_online(who);
    }

    fn come_online(&mut self, who: usize) {
        let now = self.now_at(who);
        self.shells[who].away = false;
        self.shells[who].client.go_online(now);
    }

    fn leave_or_return(&mut self, who: usize) {
        if self.shells[who].away {
            return self.come_online(who);
        }
        self.shells[who].away = true;
        self.shells[who].client.go_offline();
        self.seen.note("a client went away");
    }

    /// A clock is put two days ahead, or set again.
    fn meddle_with_clock(&mut self, who: usize) {
        if self.rng.chance(50) {
            return self.shells[who].clock.set_right();
        }
        self.shells[who].clock.run_ahead(48);
        self.seen.note("a clock ran ahead");
    }

    fn drain(&mut self, who: usize) {
        let now = self.now_at(who);
        loop {
            match self.shells[who].client.poll(now) {
                Action::Wait(_) => match self.shells[who].client.take_part() {
                    Some(part) => self.send(who, &part),
                    None => return,
                },
                Action::Connect { .. } => {
                    self.hub.connect(who, self.now);
                    self.shells[who].client.connected(now, Token::default());
                }
                Action::Send(bytes) => self.send(who, &bytes),
                Action::Disconnect => drop(self.hub.lines.remove(&who)),
                Action::Notify(notice) => self.notice(who, notice),
            }
        }
    }

    fn send(&mut self, who: usize, frame: &[u8]) {
        if matches!(Frame::decode(frame), Some(Frame::Part { .. } | Frame::Packed { .. })) {
            self.seen.note("a large delta went in parts");
        }
        if let Some(line) = self.hub.lines.get_mut(&who) {
            line.to_hub.push_back(frame.to_vec());
        }
    }

    fn notice(&mut self, who: usize, notice: Notice) {
        match notice {
            Notice::Changed { delta, version, .. } => {
                if version.is_some() {
                    self.seen.note("edits of a wrong clock were written again");
                }
                self.shells[who].storing.push_back((delta.to_vec(), version));
            }
            Notice::Refused { code: Code::ClockSkew, .. } => self.seen.note("a clock was refused"),
            Notice::Refused { code: Code::Rate, .. } => {}
            Notice::Refused { message, .. } => panic!("the hub refuses nothing else, yet: {message}"),
            Notice::Failed(Violation::Silent { .. }) => {}
            Notice::Failed(violation) => panic!("the hub keeps the protocol, yet: {violation}"),
            Notice::Status { .. } | Notice::Presence { .. } => {}
        }
    }

    /// What a client believes to be on the hub's disk is there; what is there of its edits is in its store.
    fn check_promises(&self) {
        for Shell { client, storing, stores, .. } in &self.shells {
            let believed = client.on_server(DOCUMENT).unwrap();
            assert!(
                self.hub.durable.covers(believed),
                "a client believes in edits that the disk does not have"
            );
            let replica = client.replica();
            let waiting = storing.iter().find_map(|(_, edited)| edited.as_ref()).filter(|_| *stores);
            if let Some(first) = waiting {
                let told = self.hub.document.version().seq(replica);
                assert!(told < first.seq(replica), "an edit was sent before it was stored");
            }
        }
    }

    /// Clocks are set, everybody is there, and connections hold: until all have everything, and have heard that the disk
    /// has it.
    fn settle(&mut self) {
        for who in 0..self.shells.len() {
            self.shells[who].clock.set_right();
            self.come_online(who);
        }
        self.hub.release_all();
        for _ in 0..400 {
            self.now = self.now.plus(1_000);
            for who in 0..self.shells.len() {
                while !self.shells[who].storing.is_empty() {
                    self.shells[who].store();
                }
                let now = self.now_at(who);
                self.shells[who].client.tick(now, 0);
                self.drain(who);
                (0..8).for_each(|_| self.carry(who));
                self.drain(who);
            }
            self.commit();
            if self.shells.iter().all(|shell| self.is_settled(&shell.client)) {
                break;
            }
        }
    }

    fn is_settled(&self, client: &Client) -> bool {
        client.document(DOCUMENT).unwrap().version() == self.hub.document.version()
            && client.status(DOCUMENT).not_on_server == 0
    }

    fn check(&self) {
        let hash = self.hub.document.hash();
        for Shell { client, .. } in &self.shells {
            assert!(client.status(DOCUMENT).not_on_server == 0, "an edit never arrived");
            assert_eq!(client.status(DOCUMENT).refused, None, "what arrived is shown as refused");
            assert!(client.document(DOCUMENT).unwrap().hash() == hash, "a client differs from the hub");
        }
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
fn clients_converge_through_cut_connections_and_crashes() {
    play_all("session clients_converge", WORLDS, &MUST, play);
}
