//! Valid inputs, made by what they are fed to; no binary files.

use super::common::{Rng, pull, random_ops};
use super::script::{Step, write};
use super::session::LIMITS;
use watersmeet_crdt::session::{Code, Event, Frame, Input, Output, PROTOCOL, Session, Token};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, VersionVector};

/// The documents' names; their lengths differ, since a channel is numbered by them.
pub const NAMES: [&str; 3] = ["a", "bb", "map"];

/// What three replicas hold after `rounds` of edits and pulls; the same in every run.
fn replicas(rounds: usize) -> Vec<Document> {
    let mut rng = Rng(11);
    let mut all: Vec<Document> = (1..=3).map(|id| Document::new(ReplicaId::new(id))).collect();
    for round in 0..rounds {
        let (who, from) = (rng.below(3), rng.below(3));
        let now = Time::from_millis(round as u64);
        all[who].commit(now, random_ops(&mut rng)).unwrap();
        let from = all[from].clone();
        pull(&mut all[who], &from);
    }
    all
}

/// A document of nothing; one with a past; one that no longer has the log of it.
pub fn histories() -> Vec<Document> {
    thread_local! {
        static MADE: Vec<Document> = {
            let [one, other, _] = &replicas(24)[..] else { unreachable!("three") };
            let mut cut = other.clone();
            cut.cut_log(&cut.version().clone());
            vec![Document::new(ReplicaId::new(1)), one.clone(), cut]
        };
    }
    MADE.with(Clone::clone)
}

/// Deltas that [`histories`] can apply or lacks something for: of few events, of many, states.
pub fn deltas() -> Vec<Vec<u8>> {
    let mut versions: Vec<VersionVector> = histories().iter().map(|each| each.version().clone()).collect();
    versions.extend(replicas(30).iter().map(|each| each.version().clone()));
    let since = |document: &Document| -> Vec<Vec<u8>> {
        versions.iter().map(|version| document.since(version).encode().to_vec()).collect()
    };
    let mut all: Vec<Vec<u8>> =
        (20..40).step_by(4).flat_map(replicas).flat_map(|each| since(&each)).collect();
    all.sort();
    all.dedup();
    all
}

/// Versions of postcard's form, of few replicas and of many.
pub fn versions() -> Vec<Vec<u8>> {
    let version = |n: u64| (1..=n).map(|id| (ReplicaId::new(id), id * 3)).collect::<VersionVector>();
    let own = histories().into_iter().map(|document| document.version().clone());
    own.chain([0, 1, 3, 40].map(version)).map(|version| postcard::to_allocvec(&version).unwrap()).collect()
}

/// Every kind of frame.
pub fn frames() -> Vec<Vec<u8>> {
    let (name, message, code) = (NAMES[2], "why", Code::Limit);
    let delta = &histories()[1].encode_state()[..];
    let packed = watersmeet_crdt::compress::pack(delta);
    let version = || histories()[1].version().clone();
    let channel = 3;
    [
        Frame::Hello { protocol: PROTOCOL, replica: ReplicaId::new(2), token: Token::default() },
        Frame::Open { name, version: version() },
        Frame::Opened { name, channel, version: version() },
        Frame::Close { channel },
        Frame::Delta { channel, delta },
        Frame::Part { channel, delta },
        Frame::Unpacks,
        Frame::Packed { channel, delta: &packed },
        Frame::Ack { channel, version: version() },
        Frame::Lacks { channel, version: version() },
        Frame::Presence { channel, peer: 5, state: &[1, 2, 3] },
        Frame::Presence { channel, peer: 5, state: &[0; LIMITS.presence_bytes + 1] },
        Frame::Ping,
        Frame::Pong,
        Frame::Refused { name, code, message },
        Frame::Refused { name, code: Code::ClockSkew, message },
        Frame::Refused { name, code: Code::Unavailable, message },
        Frame::Error { code, message },
    ]
    .iter()
    .map(Frame::encode)
    .collect()
}

/// A state of about so many bytes, in parts that end in a delta.
fn in_parts(bytes: usize) -> Vec<Vec<u8>> {
    let (channel, mut document) = (3, Document::new(ReplicaId::new(4)));
    let mut item = 0;
    while document.encode_state().len() < bytes {
        document.edit(Time::default(), |tx| tx.insert(&["s"], vec![item; 40])).unwrap();
        item += 1;
    }
    let state = document.encode_state();
    let (parts, last) = state.split_at(state.len() / 500 * 500);
    let parts = parts.chunks(500).map(|delta| Frame::Part { channel, delta });
    parts.chain([Frame::Delta { channel, delta: last }]).map(|frame| frame.encode()).collect()
}

/// Large deltas to whoever has greeted and opened by `start`: within the limit, and beyond it.
fn large(start: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let script = |bytes| {
        let parts = in_parts(bytes);
        write(start.iter().chain(&parts).map(|frame| Step::Frame(frame)))
    };
    [LIMITS.delta_bytes * 3 / 4, LIMITS.delta_bytes * 5 / 4].map(script).to_vec()
}

/// Conversations that a caller may have with a listener.
pub fn to_listener() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..8).map(a_caller_says).collect();
    all.extend(large(&[hello(), open(NAMES[2])]));
    all.extend(frames().iter().map(|frame| {
        let start = [hello(), open(NAMES[2])];
        let steps = start.iter().chain([frame]).map(|bytes| Step::Frame(bytes));
        write(steps)
    }));
    all
}

fn hello() -> Vec<u8> {
    Frame::Hello { protocol: PROTOCOL, replica: ReplicaId::new(2), token: Token::default() }.encode()
}

fn open(name: &str) -> Vec<u8> {
    Frame::Open { name, version: VersionVector::default() }.encode()
}

/// What a real caller says to a real listener, with what happens in between.
fn a_caller_says(seed: u64) -> Vec<u8> {
    let mut rng = Rng(seed);
    let (name, now) = (NAMES[2], Time::default());
    let mut document = replicas(28).swap_remove(2);
    let mut session = Session::call(now, ReplicaId::new(2), Token::default(), LIMITS);
    session.open(name, document.version().clone());
    let mut said = sends(&mut session);
    let granted = Frame::Opened { name, channel: 3, version: histories()[2].version().clone() };
    for frame in [hello(), granted.encode()] {
        session.handle(now, Input::Frame(&frame)).unwrap();
    }
    for _ in 0..4 {
        let has = session.peer_has(3).unwrap().clone();
        session.send(3, &document.since(&has));
        document.commit(now, random_ops(&mut rng)).unwrap();
        if rng.chance(30) {
            session.present_as(3, 2, b"here");
        }
        said.extend(sends(&mut session));
    }
    session.close(3);
    said.extend(sends(&mut session));
    between(&mut rng, &said)
}

fn sends(session: &mut Session) -> Vec<Vec<u8>> {
    session.hurry();
    std::iter::from_fn(|| Some(session.poll()))
        .take_while(|output| !matches!(output, Output::Wait(_)))
        .filter_map(|output| if let Output::Send(bytes) = output { Some(bytes.to_vec()) } else { None })
        .collect()
}

/// A script of `frames`, with time and acts of the shell between them.
fn between(rng: &mut Rng, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut steps = Vec::new();
    for frame in frames {
        steps.push(Step::Frame(frame));
        if rng.chance(40) {
            steps.push(Step::Act(u8::try_from(rng.below(32)).unwrap()));
        }
        if rng.chance(20) {
            steps.push(Step::Pass(rng.next() % 12_000));
        }
    }
    write(steps)
}

/// Conversations that a listener may have with a caller.
pub fn to_caller() -> Vec<Vec<u8>> {
    let opened = Frame::Opened { name: NAMES[2], channel: 3, version: VersionVector::default() }.encode();
    let start = [hello(), opened];
    let mut all: Vec<Vec<u8>> = (0..8).map(a_listener_says).collect();
    all.extend(large(&start));
    all.extend(frames().iter().map(|frame| {
        let steps = start.iter().chain([frame]).map(|bytes| Step::Frame(bytes));
        write(steps)
    }));
    all
}

/// Conversations that a server may have with a client.
pub fn to_client() -> Vec<Vec<u8>> {
    to_caller()
}

/// What a real listener says to a real caller, with what happens in between.
fn a_listener_says(seed: u64) -> Vec<u8> {
    let mut rng = Rng(seed);
    let now = Time::default();
    let mut document = replicas(28).swap_remove(1);
    let mut session = Session::listen(now, ReplicaId::new(2), LIMITS);
    session.handle(now, Input::Frame(&hello())).unwrap();
    for name in NAMES {
        session.handle(now, Input::Frame(&open(name))).unwrap();
    }
    let mut said = Vec::new();
    loop {
        match session.poll() {
            Output::Wait(_) => break,
            Output::Send(bytes) => said.push(bytes.to_vec()),
            Output::Event(Event::Greeted { .. }) => session.welcome(),
            Output::Event(Event::Open { name, .. }) => {
                let channel = u32::try_from(name.len()).unwrap();
                let has = histories()[name.len() - 1].version().clone();
                session.accept(&name, channel, has.clone(), document.version().clone());
                session.send(channel, &document.since(&has));
                session.hurry();
            }
            Output::Event(_) => {}
        }
    }
    for _ in 0..6 {
        let channel = 1 + u32::try_from(rng.below(3)).unwrap();
        document.commit(now, random_ops(&mut rng)).unwrap();
        let has = session.peer_has(channel).unwrap().clone();
        session.send(channel, &document.since(&has));
        match rng.below(4) {
            0 => session.acknowledge(channel, document.version().clone()),
            1 => session.present_as(channel, 9, b"there"),
            2 => session.lacks(channel, VersionVector::default()),
            _ => session.refuse(NAMES[0], Code::ClockSkew, "set it"),
        }
        said.extend(sends(&mut session));
    }
    said.push(Frame::Delta { channel: 3, delta: &Delta::encode(&document.state()) }.encode());
    between(&mut rng, &said)
}
