//! The conversation: clients and a hub over connections that break anywhere, a hub that crashes, and strangers who
//! say the wrong thing.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod common;

use common::{Rng, random_ops};
use quickcheck::quickcheck;
use std::collections::{BTreeMap, VecDeque};
use watersmeet_crdt::client::{Action, Client, Notice};
use watersmeet_crdt::document::Op;
use watersmeet_crdt::session::{Code, Event, Frame, Input, Limits, Output, PROTOCOL, Session, Violation};
use watersmeet_crdt::{Delta, Document, Lattice, ReplicaId, Time, Value, VersionVector};

const DOCUMENT: &str = "map";

/// What a server does, without its tasks: rooms, a disk, acknowledgements after the write, fan-out after that.
struct Hub {
    document: Document,
    disk: Vec<u8>,
    lines: BTreeMap<usize, Line>,
}

/// A connection: the hub's session, and bytes under way in both directions, in order.
struct Line {
    session: Session,
    to_hub: VecDeque<Vec<u8>>,
    to_client: VecDeque<Vec<u8>>,
}

struct World {
    rng: Rng,
    now: Time,
    hub: Hub,
    clients: Vec<Client>,
    /// Versions that clients edited and have yet to store, as an asynchronous store would.
    storing: Vec<VecDeque<VersionVector>>,
}

impl Hub {
    fn new() -> Self {
        let document = Document::new(ReplicaId::new(0));
        Hub { disk: document.state().encode(), document, lines: BTreeMap::new() }
    }

    /// Drains one connection's session: everything it wants is done at once, as one commit.
    fn serve(&mut self, who: usize) {
        loop {
            let Some(line) = self.lines.get_mut(&who) else { return };
            match line.session.poll() {
                Output::Send(bytes) => line.to_client.push_back(bytes.to_vec()),
                Output::Wait(_) => return,
                Output::Event(Event::Open { name, version }) => {
                    line.session.accept(&name, 1, version.clone(), self.document.version().clone());
                    line.session.send(1, &self.document.since(&version));
                }
                Output::Event(Event::Delta { channel, delta, .. }) => self.take(who, channel, delta),
                Output::Event(Event::Lacks { channel }) => {
                    let has = line.session.peer_has(channel).unwrap().clone();
                    line.session.send(channel, &self.document.since(&has));
                }
                Output::Event(_) => {}
            }
        }
    }

    fn take(&mut self, author: usize, channel: u32, delta: Delta) {
        let gained = delta.to().clone();
        if self.document.apply(delta).is_err() {
            let has = self.document.version().clone();
            return self.lines.get_mut(&author).unwrap().session.lacks(channel, has);
        }
        self.disk = self.document.state().encode();
        for (who, line) in &mut self.lines {
            if *who == author {
                line.session.acknowledge(channel, gained.clone());
            } else if let Some(has) = line.session.peer_has(channel).cloned() {
                line.session.send(channel, &self.document.since(&has));
            }
        }
        let others: Vec<usize> = self.lines.keys().copied().filter(|who| *who != author).collect();
        others.into_iter().for_each(|who| self.serve(who));
    }

    fn crash(&mut self) {
        self.lines.clear();
        self.document = Document::new(ReplicaId::new(0));
        self.document.apply(Delta::decode(&self.disk).unwrap()).unwrap();
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let n = 2 + rng.below(3);
        let mut clients: Vec<Client> =
            (0..n).map(|n| Client::new(ReplicaId::new(n as u64 + 1), true)).collect();
        for client in &mut clients {
            client.open(DOCUMENT);
            client.go_online(Time::default());
        }
        World { rng, now: Time::default(), hub: Hub::new(), clients, storing: vec![VecDeque::new(); n] }
    }

    fn step(&mut self) {
        self.now = self.now.plus(self.rng.next() % 200);
        let who = self.rng.below(self.clients.len());
        match self.rng.below(100) {
            0..25 => self.edit(who),
            25..45 => self.store(who),
            45..90 => self.carry(who),
            90..94 => self.cut(who),
            94..96 => {
                self.hub.crash();
                (0..self.clients.len()).for_each(|who| self.cut(who));
            }
            _ => self.clients[who].tick(self.now, self.rng.next()),
        }
        self.drain(who);
        self.check_promise();
    }

    fn edit(&mut self, who: usize) {
        let ops = random_ops(&mut self.rng);
        let edited = self.clients[who].edit(DOCUMENT, self.now, ops).unwrap().unwrap();
        if !edited.delta.is_empty() {
            self.storing[who].push_back(edited.version);
        }
    }

    fn store(&mut self, who: usize) {
        if let Some(version) = self.storing[who].pop_front() {
            self.clients[who].stored(DOCUMENT, version);
        }
    }

    /// Carries one frame each way.
    fn carry(&mut self, who: usize) {
        let Some(line) = self.hub.lines.get_mut(&who) else { return };
        if let Some(frame) = line.to_hub.pop_front() {
            line.session.handle(self.now, Input::Frame(&frame)).expect("a client keeps the protocol");
            self.hub.serve(who);
        }
        let Some(line) = self.hub.lines.get_mut(&who) else { return };
        if let Some(frame) = line.to_client.pop_front() {
            self.clients[who].received(self.now, &frame, 0);
        }
    }

    /// The connection breaks; what was under way is lost.
    fn cut(&mut self, who: usize) {
        self.hub.lines.remove(&who);
        self.clients[who].disconnected(self.now, self.rng.next());
    }

    fn drain(&mut self, who: usize) {
        loop {
            match self.clients[who].poll(self.now) {
                Action::Wait(_) => return,
                Action::Connect => {
                    let session = Session::listen(self.now, ReplicaId::new(0), Limits::default());
                    let line = Line { session, to_hub: VecDeque::new(), to_client: VecDeque::new() };
                    self.hub.lines.insert(who, line);
                    self.clients[who].connected(self.now);
                }
                Action::Send(bytes) => {
                    if let Some(line) = self.hub.lines.get_mut(&who) {
                        line.to_hub.push_back(bytes.to_vec());
                    }
                }
                Action::Disconnect => drop(self.hub.lines.remove(&who)),
                Action::Notify(Notice::Failed(Violation::Silent { .. })) => {}
                Action::Notify(Notice::Failed(violation)) => {
                    panic!("the hub keeps the protocol, yet: {violation}")
                }
                Action::Notify(_) => {}
            }
        }
    }

    /// What a client believes to be on the server's disk is on the server's disk.
    fn check_promise(&self) {
        let disk = Delta::decode(&self.hub.disk).unwrap();
        for client in &self.clients {
            let believed = client.on_server(DOCUMENT).unwrap();
            assert!(disk.to().covers(believed), "a client believes in edits that the disk does not have");
        }
        for (who, storing) in self.storing.iter().enumerate() {
            if !storing.is_empty() {
                let sent = disk.to().seq(self.clients[who].replica());
                assert!(
                    sent < storing.back().unwrap().seq(self.clients[who].replica()),
                    "sent before it was stored"
                );
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..400 {
            self.now = self.now.plus(1_000);
            for who in 0..self.clients.len() {
                while !self.storing[who].is_empty() {
                    self.store(who);
                }
                self.clients[who].tick(self.now, 0);
                self.drain(who);
                (0..8).for_each(|_| self.carry(who));
                self.drain(who);
            }
            // Until all have everything, and have heard that the disk has it.
            let version = self.hub.document.version();
            let settled = |client: &Client| {
                client.document(DOCUMENT).unwrap().version() == version
                    && client.status(DOCUMENT).not_on_server == 0
            };
            if self.clients.iter().all(settled) {
                break;
            }
        }
    }
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    (0..150).for_each(|_| world.step());
    world.settle();
    let hash = world.hub.document.hash();
    for client in &world.clients {
        assert_eq!(
            client.document(DOCUMENT).unwrap().hash(),
            hash,
            "seed {seed}: a client differs from the hub"
        );
        assert_eq!(client.status(DOCUMENT).not_on_server, 0, "seed {seed}: an edit never arrived");
    }
}

#[test]
fn clients_converge_through_cut_connections_and_a_crashing_hub() {
    let env =
        |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (first, worlds) = (env("SEED", 1), env("WORLDS", 1_000));
    println!("worlds from seed {first}, {worlds} of them; repeat one with SEED=n WORLDS=1");
    (first..first + worlds).for_each(play);
}

fn greeted() -> Session {
    let mut session = Session::listen(Time::default(), ReplicaId::new(0), Limits::default());
    session.handle(Time::default(), Input::Frame(&hello(PROTOCOL))).unwrap();
    session
}

fn hello(protocol: u16) -> Vec<u8> {
    Frame::Hello { protocol, replica: ReplicaId::new(1) }.encode()
}

/// A session with the document open on channel 1.
fn open() -> Session {
    let mut session = greeted();
    let frame = Frame::Open { name: DOCUMENT, version: VersionVector::default() };
    session.handle(Time::default(), Input::Frame(&frame.encode())).unwrap();
    session.accept(DOCUMENT, 1, VersionVector::default(), VersionVector::default());
    session
}

fn outputs(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| Some(session.poll()))
        .take_while(|output| !matches!(output, Output::Wait(_)))
        .collect()
}

/// The violation, after checking that the peer is told its code and that the session then falls silent.
fn violation(session: &mut Session, bytes: &[u8]) -> Violation {
    outputs(session);
    let violation =
        session.handle(Time::default(), Input::Frame(bytes)).expect_err("this breaks the protocol");
    let said = outputs(session);
    let [Output::Send(error)] = &said[..] else { panic!("one error frame was expected, not {said:?}") };
    assert!(matches!(Frame::decode(error), Some(Frame::Error { code, .. }) if code == violation.code()));
    assert_eq!(session.handle(Time::default(), Input::Frame(bytes)), Ok(()));
    assert!(outputs(session).is_empty());
    violation
}

#[test]
fn whoever_breaks_the_protocol_is_told_how() {
    let version = VersionVector::default;
    let open_frame = Frame::Open { name: DOCUMENT, version: version() }.encode();
    let mut listening = Session::listen(Time::default(), ReplicaId::new(0), Limits::default());
    assert!(matches!(violation(&mut listening, &open_frame), Violation::OutOfOrder { frame: "Open", .. }));
    let mut listening = Session::listen(Time::default(), ReplicaId::new(0), Limits::default());
    assert_eq!(violation(&mut listening, &hello(9)), Violation::Incompatible { theirs: 9 });
    assert!(matches!(
        violation(&mut greeted(), &hello(PROTOCOL)),
        Violation::OutOfOrder { frame: "Hello", .. }
    ));
    assert_eq!(violation(&mut greeted(), &[250, 1, 2]), Violation::NotAFrame);
    assert_eq!(violation(&mut greeted(), &[]), Violation::NotAFrame);
    assert_eq!(violation(&mut greeted(), &[&Frame::Ping.encode()[..], &[0]].concat()), Violation::NotAFrame);
    assert!(matches!(violation(&mut open(), &open_frame), Violation::OutOfOrder { frame: "Open", .. }));
    let delta = Frame::Delta { channel: 2, delta: &[] }.encode();
    assert!(matches!(violation(&mut open(), &delta), Violation::OutOfOrder { frame: "Delta", .. }));
    let delta = Frame::Delta { channel: 1, delta: &[7, 7] }.encode();
    assert!(matches!(violation(&mut open(), &delta), Violation::Malformed(_)));
    let answers = [
        Frame::Opened { name: "other", channel: 3, version: version() },
        Frame::Ack { channel: 1, version: version() },
        Frame::Refused { name: DOCUMENT, code: Code::Limit, message: "" },
    ];
    for answer in answers {
        let found = violation(&mut open(), &answer.encode());
        assert!(matches!(found, Violation::OutOfOrder { when: "from the end that called", .. }), "{found}");
    }
    let loud = Frame::Presence { channel: 1, peer: 1, state: &[0; 2_000] }.encode();
    assert!(matches!(violation(&mut open(), &loud), Violation::Limit { .. }));
}

#[test]
fn a_document_too_many_is_refused_and_the_others_go_on() {
    let limits = Limits { documents: 2, ..Limits::default() };
    let mut session = Session::listen(Time::default(), ReplicaId::new(0), limits);
    session.handle(Time::default(), Input::Frame(&hello(PROTOCOL))).unwrap();
    for name in ["a", "b"] {
        let frame = Frame::Open { name, version: VersionVector::default() };
        session.handle(Time::default(), Input::Frame(&frame.encode())).unwrap();
    }
    outputs(&mut session);
    let third = Frame::Open { name: "c", version: VersionVector::default() }.encode();
    session.handle(Time::default(), Input::Frame(&third)).unwrap();
    let said = outputs(&mut session);
    let [Output::Send(refused)] = &said[..] else { panic!("{said:?}") };
    assert!(matches!(Frame::decode(refused), Some(Frame::Refused { name: "c", code: Code::Limit, .. })));
    session.handle(Time::default(), Input::Frame(&Frame::Ping.encode())).unwrap();
    assert_eq!(outputs(&mut session), [Output::Send(Frame::Pong.encode().into())]);
}

#[test]
fn a_frame_beyond_the_limit_ends_the_session() {
    let mut session =
        Session::listen(Time::default(), ReplicaId::new(0), Limits { frame_bytes: 10, ..Limits::default() });
    assert_eq!(violation(&mut session, &[0; 11]), Violation::TooLarge { bytes: 11, limit: 10 });
}

#[test]
fn a_bad_name_and_a_fast_clock_are_refused_and_the_rest_goes_on() {
    let mut session = open();
    outputs(&mut session);
    let long = "n".repeat(257);
    for name in ["", "a\nb", long.as_str()] {
        let frame = Frame::Open { name, version: VersionVector::default() };
        session.handle(Time::default(), Input::Frame(&frame.encode())).unwrap();
        let said = outputs(&mut session);
        let [Output::Send(refused)] = &said[..] else { panic!("{said:?}") };
        assert!(matches!(Frame::decode(refused), Some(Frame::Refused { code: Code::Name, .. })));
    }
    let mut document = Document::new(ReplicaId::new(1));
    document.edit(Time::from_millis(48 * 3_600_000), |tx| tx.set(&["x"], 1)).unwrap();
    let frame = Frame::Delta { channel: 1, delta: &document.state().encode() }.encode();
    session.handle(Time::default(), Input::Frame(&frame)).unwrap();
    let said = outputs(&mut session);
    let [Output::Send(refused)] = &said[..] else { panic!("{said:?}") };
    assert!(matches!(Frame::decode(refused), Some(Frame::Refused { code: Code::ClockSkew, .. })));
    session.handle(Time::default(), Input::Frame(&Frame::Ping.encode())).unwrap();
    assert_eq!(outputs(&mut session), [Output::Send(Frame::Pong.encode().into())]);
}

#[test]
fn a_silent_peer_is_asked_and_then_given_up() {
    let mut session = greeted();
    outputs(&mut session);
    let Output::Wait(idle) = session.poll() else { panic!("nothing is left to say") };
    session.handle(idle, Input::Tick).unwrap();
    assert_eq!(outputs(&mut session), [Output::Send(Frame::Ping.encode().into())]);
    let Output::Wait(end) = session.poll() else { panic!("nothing is left to say") };
    assert!(matches!(session.handle(end, Input::Tick), Err(Violation::Silent { .. })));

    let mut never_greeted = Session::listen(Time::default(), ReplicaId::new(0), Limits::default());
    let Output::Wait(deadline) = never_greeted.poll() else { panic!("it waits for a greeting") };
    assert!(matches!(never_greeted.handle(deadline, Input::Tick), Err(Violation::Silent { .. })));
}

#[test]
fn what_is_said_on_a_channel_just_closed_is_let_pass() {
    let mut session = open();
    session.close(1);
    outputs(&mut session);
    for frame in [Frame::Delta { channel: 1, delta: &[9] }, Frame::Close { channel: 1 }] {
        session.handle(Time::default(), Input::Frame(&frame.encode())).unwrap();
    }
    assert!(outputs(&mut session).is_empty());
    let late = Frame::Delta { channel: 1, delta: &[] }.encode();
    assert!(matches!(violation(&mut session, &late), Violation::OutOfOrder { .. }));
}

#[test]
fn a_clock_that_jumps_costs_a_question_and_not_the_connection() {
    let mut session = greeted();
    outputs(&mut session);
    let day = Time::default().plus(24 * 3_600_000);
    session.handle(day, Input::Tick).unwrap();
    assert_eq!(outputs(&mut session), [Output::Send(Frame::Ping.encode().into())]);
    session.handle(day, Input::Frame(&Frame::Pong.encode())).unwrap();
    // Set back: the silence that follows is noticed as any other.
    session.handle(Time::default(), Input::Tick).unwrap();
    let Output::Wait(idle) = session.poll() else { panic!("nothing is left to say") };
    assert!(idle <= Time::default().plus(Limits::default().idle_millis));
}

#[test]
fn a_large_delta_comes_in_parts() {
    let mut document = Document::new(ReplicaId::new(1));
    for n in 0..3 {
        document.edit(Time::default(), |tx| tx.set(&[&format!("k{n}")], vec![n; 4 << 20])).unwrap();
    }
    let mut sender = Session::call(Time::default(), ReplicaId::new(1), Limits::default());
    sender.handle(Time::default(), Input::Frame(&hello(PROTOCOL))).unwrap();
    sender.open(DOCUMENT, document.version().clone());
    let granted = Frame::Opened { name: DOCUMENT, channel: 1, version: VersionVector::default() }.encode();
    sender.handle(Time::default(), Input::Frame(&granted)).unwrap();
    outputs(&mut sender);
    sender.send(1, &document.state());
    let frames: Vec<_> = outputs(&mut sender)
        .into_iter()
        .map(|output| if let Output::Send(bytes) = output { bytes } else { panic!("{output:?}") })
        .collect();
    assert!(frames.len() == 4 && frames.iter().all(|frame| frame.len() <= (4 << 20) + 16));
    let mut receiver = open();
    outputs(&mut receiver);
    for frame in &frames {
        receiver.handle(Time::default(), Input::Frame(frame)).unwrap();
    }
    let events = outputs(&mut receiver);
    let [Output::Event(Event::Delta { delta, .. })] = &events[..] else { panic!("{} events", events.len()) };
    assert_eq!(*delta, document.state());

    let limits = Limits { delta_bytes: 6 << 20, ..Limits::default() };
    let mut receiver = Session::listen(Time::default(), ReplicaId::new(0), limits);
    receiver.handle(Time::default(), Input::Frame(&hello(PROTOCOL))).unwrap();
    let wish = Frame::Open { name: DOCUMENT, version: VersionVector::default() }.encode();
    receiver.handle(Time::default(), Input::Frame(&wish)).unwrap();
    receiver.accept(DOCUMENT, 1, VersionVector::default(), VersionVector::default());
    receiver.handle(Time::default(), Input::Frame(&frames[0])).unwrap();
    assert!(matches!(violation(&mut receiver, &frames[1]), Violation::TooLarge { .. }));
}

/// A client with the document open on channel 1, where the server has `version` of it; what it sends.
fn online(client: &mut Client, now: Time, version: VersionVector) -> Vec<Vec<u8>> {
    client.go_online(now);
    let first =
        std::iter::from_fn(|| Some(client.poll(now))).find(|action| !matches!(action, Action::Notify(_)));
    assert_eq!(first, Some(Action::Connect));
    client.connected(now);
    client.received(now, &hello(PROTOCOL), 0);
    client.received(now, &Frame::Opened { name: DOCUMENT, channel: 1, version }.encode(), 0);
    sent(client, now)
}

/// The frames that a client wants to send now.
fn sent(client: &mut Client, now: Time) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        match client.poll(now) {
            Action::Send(bytes) => frames.push(bytes.to_vec()),
            Action::Notify(_) => {}
            Action::Wait(_) => return frames,
            other => panic!("{other:?}"),
        }
    }
}

fn deltas(frames: &[Vec<u8>]) -> Vec<Delta> {
    let delta = |frame: &Vec<u8>| match Frame::decode(frame) {
        Some(Frame::Delta { delta, .. }) => Some(Delta::decode(delta).unwrap()),
        _ => None,
    };
    frames.iter().filter_map(delta).collect()
}

#[test]
fn who_comes_back_is_sent_the_difference() {
    let mut client = Client::new(ReplicaId::new(1), false);
    client.open(DOCUMENT);
    let now = Time::default();
    let op = |n: i64| Op::Insert(vec!["set".into()], Value::from(n));
    client.edit(DOCUMENT, now, (0..5_000).map(op).collect()).unwrap();
    let known = client.document(DOCUMENT).unwrap().version().clone();
    client.edit(DOCUMENT, now, (5_000..5_010).map(op).collect()).unwrap();
    let [delta] = &deltas(&online(&mut client, now, known.clone()))[..] else {
        panic!("one delta was expected")
    };
    assert_eq!(delta.from(), &known);
    assert!(delta.encode().len() < 200, "{} bytes", delta.encode().len());
}

#[test]
fn waits_double_up_to_a_limit_and_a_random_share_of_them_is_taken() {
    let mut client = Client::new(ReplicaId::new(1), false);
    let mut now = Time::default();
    client.go_online(now);
    for longest in [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000] {
        assert_eq!(client.poll(now), Action::Connect);
        // The random number that makes the wait longest.
        client.disconnected(now, longest);
        assert_eq!(client.poll(now), Action::Wait(now.plus(longest)));
        now = now.plus(longest);
    }
    assert_eq!(client.poll(now), Action::Connect);
    client.disconnected(now, 7_001);
    assert_eq!(client.poll(now), Action::Wait(now.plus(7_001)), "any share of the wait may be taken");
    // A clock that is set back by a day does not make it wait for a day.
    let Action::Wait(until) = client.poll(Time::default()) else { panic!("it waits") };
    assert!(until.millis() <= 15_000);
}

/// A server that takes the connection and drops it at once does not start the waits anew; a stable one does.
#[test]
fn a_connection_that_lasted_was_no_failure() {
    let mut client = Client::new(ReplicaId::new(1), false);
    client.open(DOCUMENT);
    let mut now = Time::default();
    for (lasted, longest) in [(10, 250), (10, 500), (10, 1_000), (60_000, 250)] {
        online(&mut client, now, VersionVector::default());
        now = now.plus(lasted);
        client.disconnected(now, longest);
        let waits =
            std::iter::from_fn(|| Some(client.poll(now))).find(|action| !matches!(action, Action::Notify(_)));
        assert_eq!(waits, Some(Action::Wait(now.plus(longest))));
        now = now.plus(longest);
    }
}

#[test]
fn edits_of_a_fast_clock_arrive_once_the_clock_is_set() {
    let (now, ahead) = (Time::from_millis(1), Time::from_millis(1).plus(48 * 3_600_000));
    let mut client = Client::new(ReplicaId::new(1), true);
    client.open(DOCUMENT);
    let edited =
        client.edit(DOCUMENT, ahead, vec![Op::Set(vec!["x".into()], Value::from(1))]).unwrap().unwrap();
    client.stored(DOCUMENT, edited.version);
    assert_eq!(deltas(&online(&mut client, ahead, VersionVector::default())).len(), 1);
    let refused = Frame::Refused { name: DOCUMENT, code: Code::ClockSkew, message: "" }.encode();
    client.received(ahead, &refused, 0);
    assert!(deltas(&sent(&mut client, ahead)).is_empty(), "the clock is still wrong");
    client.received(now, &refused, 0);
    let mut to_store = None;
    loop {
        match client.poll(now) {
            Action::Notify(Notice::Changed { version, delta, .. }) if !delta.is_empty() => to_store = version,
            Action::Notify(_) => {}
            Action::Wait(_) => break,
            other => panic!("{other:?} before it is stored"),
        }
    }
    client.stored(DOCUMENT, to_store.expect("an edit of the client's own is to be stored"));
    let [delta] = &deltas(&sent(&mut client, now))[..] else { panic!("one delta was expected") };
    assert!(delta.latest().time() <= now);
    let mut server = Document::new(ReplicaId::new(0));
    server.apply(delta.clone()).unwrap();
    assert_eq!(server.register(&["x"]), Some(&Value::from(1)));
}

#[test]
fn a_client_tells_where_its_edits_are() {
    let mut client = Client::new(ReplicaId::new(1), true);
    client.open(DOCUMENT);
    let edited = client
        .edit(DOCUMENT, Time::default(), vec![Op::Set(vec!["x".into()], Value::from(1))])
        .unwrap()
        .unwrap();
    let status = client.status(DOCUMENT);
    assert_eq!((status.not_on_device, status.not_on_server, status.live), (1, 1, false));
    client.stored(DOCUMENT, edited.version.clone());
    assert_eq!(client.status(DOCUMENT).not_on_device, 0);
    let mut again = Client::new(ReplicaId::new(2), true);
    let stored = || Delta::decode(&edited.delta).unwrap();
    assert_eq!(again.restore(DOCUMENT, [stored()], VersionVector::default()), 0);
    assert_eq!(again.status(DOCUMENT).not_on_server, 1);
    assert_eq!(again.restore("other", [stored()], edited.version), 0);
    assert_eq!(again.status("other").not_on_server, 0);
    // A damaged store is told of: the second delta lacks the first.
    let op = Op::Set(vec!["x".into()], Value::from(2));
    let second = client.edit(DOCUMENT, Time::default(), vec![op]).unwrap().unwrap();
    let second = Delta::decode(&second.delta).unwrap();
    assert_eq!(again.restore("gap", [second.clone()], VersionVector::default()), 1);
    assert_eq!(again.restore("whole", [stored(), second], VersionVector::default()), 0);
}

quickcheck! {
    /// Any bytes: an answer or an error, never a panic.
    fn a_session_survives_any_bytes(frames: Vec<Vec<u8>>, flips: Vec<(u8, u8)>) -> bool {
        let mut document = Document::new(ReplicaId::new(1));
        document.edit(Time::default(), |tx| tx.set(&["x"], "y")).unwrap();
        let mut near_miss = Frame::Delta { channel: 1, delta: &document.state().encode() }.encode();
        for (at, byte) in flips {
            let at = usize::from(at) % near_miss.len();
            near_miss[at] = byte;
        }
        let mut frames = frames;
        frames.push(near_miss);
        frames.iter().all(|bytes| {
            let mut session = open();
            outputs(&mut session);
            let handled = session.handle(Time::default(), Input::Frame(bytes));
            let said = outputs(&mut session);
            handled.is_ok() || said.len() == 1
        })
    }
}
