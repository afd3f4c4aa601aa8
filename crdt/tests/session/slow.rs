//! A slow link: 1 Mbit/s each way, 100 ms long, in virtual time and under the limits that everybody has.

use crate::DOCUMENT;
use crate::common::Rng;
use std::collections::VecDeque;
use watersmeet_crdt::session::{Event, Input, Limits, Output, Session, Token};
use watersmeet_crdt::{Document, ReplicaId, Time, VersionVector};

/// 1 Mbit/s.
const BYTES_PER_MILLI: usize = 125;
const LATENCY_MILLIS: u64 = 100;
/// What the system takes from a socket's owner before it says that it is full.
const BUFFER_BYTES: usize = 4 << 20;
/// It is on its way for more than a minute.
const LARGE_BYTES: usize = 10 << 20;
const SMALL: &str = "small";

/// One direction: bytes leave in order at the link's rate.
#[derive(Default)]
struct Wire {
    waiting: VecDeque<(usize, Vec<u8>)>,
    flying: VecDeque<(Time, Vec<u8>)>,
}

impl Wire {
    fn is_open(&self) -> bool {
        self.waiting.iter().map(|(left, _)| left).sum::<usize>() < BUFFER_BYTES
    }

    fn push(&mut self, frame: &[u8]) {
        self.waiting.push_back((frame.len(), frame.to_vec()));
    }

    /// A millisecond passes; what arrives.
    fn pass(&mut self, now: Time) -> Vec<Vec<u8>> {
        let mut room = BYTES_PER_MILLI;
        while let Some((left, _)) = self.waiting.front_mut() {
            let gone = room.min(*left);
            (*left, room) = (*left - gone, room - gone);
            if *left > 0 {
                break;
            }
            self.flying.extend(self.waiting.pop_front().map(|(_, frame)| (now.plus(LATENCY_MILLIS), frame)));
        }
        let here = self.flying.iter().take_while(|(at, _)| *at <= now).count();
        self.flying.drain(..here).map(|(_, frame)| frame).collect()
    }
}

/// An end with what it has: a large document, or an empty one, and a small one.
struct End {
    session: Session,
    large: Document,
    small: Document,
    out: Wire,
    next: Time,
}

impl End {
    fn new(session: Session, large: Document, small: Document) -> Self {
        End { session, large, small, out: Wire::default(), next: Time::default() }
    }

    fn document(&mut self, channel: u32) -> &mut Document {
        if channel == 1 { &mut self.large } else { &mut self.small }
    }

    /// Does what the session says; it may give up, which fails.
    fn drain(&mut self) {
        loop {
            match self.session.poll() {
                Output::Send(frame) => self.out.push(&frame),
                Output::Event(event) => self.answer(event),
                Output::Wait(until) => {
                    self.next = until;
                    let part = if self.out.is_open() { self.session.take_part() } else { None };
                    let Some(part) = part else { return };
                    self.out.push(&part);
                }
            }
        }
    }

    fn answer(&mut self, event: Event) {
        match event {
            Event::Greeted { .. } => self.session.welcome(),
            Event::Open { name, version } => {
                let channel = if name == DOCUMENT { 1 } else { 2 };
                let has = self.document(channel).version().clone();
                self.session.accept(&name, channel, version, has);
                self.tell(channel);
            }
            Event::Opened { channel, .. } => self.tell(channel),
            Event::Delta { channel, delta, .. } => {
                assert!(self.document(channel).apply(delta).is_ok(), "without a gap");
            }
            _ => {}
        }
    }

    fn tell(&mut self, channel: u32) {
        let has = self.session.peer_has(channel).unwrap().clone();
        let delta = self.document(channel).since(&has);
        assert!(self.session.send(channel, &delta));
    }
}

fn pass(now: Time, from: &mut End, to: &mut End) {
    for frame in from.out.pass(now) {
        to.session.handle(now, Input::Frame(&frame)).unwrap();
        to.drain();
    }
    if now >= from.next {
        from.session.handle(now, Input::Tick).unwrap();
    }
    from.drain();
}

/// Whether a large document passes from the end that called, or to it, while something small goes the same way.
fn play(up: bool) {
    let (mut large, mut rng) = (Document::new(ReplicaId::new(1)), Rng(1));
    for n in 0..LARGE_BYTES / 1_000 {
        // Nothing to be packed.
        let value: Vec<u8> = (0..125).flat_map(|_| rng.next().to_be_bytes()).collect();
        large.edit(Time::default(), |tx| tx.set(&[&n.to_string()], value)).unwrap();
    }
    let [empty, first, second] = [2, 3, 4].map(|id| Document::new(ReplicaId::new(id)));
    let (mut now, limits) = (Time::default(), Limits::default());
    let calling = Session::call(now, ReplicaId::new(1), Token::default(), limits.clone());
    let listening = Session::listen(now, ReplicaId::new(2), limits);
    let (theirs, ours) = if up { (large, empty) } else { (empty, large) };
    let (mut caller, mut listener) = (End::new(calling, theirs, first), End::new(listening, ours, second));
    for name in [DOCUMENT, SMALL] {
        let version =
            if name == DOCUMENT { caller.large.version().clone() } else { VersionVector::default() };
        caller.session.open(name, version);
    }
    let (mut edited, mut seen) = (None, None);
    while caller.large.version() != listener.large.version() {
        now = now.plus(1);
        pass(now, &mut caller, &mut listener);
        pass(now, &mut listener, &mut caller);
        let (from, to) = if up { (&mut caller, &mut listener) } else { (&mut listener, &mut caller) };
        if edited.is_none() && now.millis() > 30_000 {
            from.small.edit(now, |tx| tx.set(&["x"], 1)).unwrap();
            from.tell(2);
            edited = Some(now);
        }
        if seen.is_none() && to.small.register(&["x"]).is_some() {
            seen = Some(now);
        }
        assert!(now.millis() < 200_000, "it does not arrive");
    }
    assert!(now.millis() > 60_000, "the link is not slow: {now:?}");
    // Not before what the system had taken, and not behind all the rest.
    let (edited, seen) = (edited.unwrap().millis(), seen.expect("what is small arrives before").millis());
    let buffered = (BUFFER_BYTES / BYTES_PER_MILLI) as u64;
    assert!(seen - edited < buffered + 1_000, "{} ms", seen - edited);
}

#[test]
fn a_large_document_arrives_over_a_slow_link() {
    play(false);
}

#[test]
fn a_large_document_is_sent_over_a_slow_link() {
    play(true);
}
