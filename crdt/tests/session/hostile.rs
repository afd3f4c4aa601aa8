//! A session whose peer says the wrong thing, falls silent, or says too much.

use crate::{DOCUMENT, hello};
use watersmeet_crdt::session::{
    Code, Event, Frame, Input, Limits, Output, PROTOCOL, Session, Token, Violation,
};
use watersmeet_crdt::{Document, ReplicaId, Time, VersionVector};

/// Of the default limits.
const PART_BYTES: usize = 32 << 10;

fn greeted() -> Session {
    let mut session = Session::listen(Time::default(), ReplicaId::new(0), Limits::default());
    session.handle(Time::default(), Input::Frame(&hello(PROTOCOL))).unwrap();
    session
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
        // A few packed bytes of a stranger would make a server hold many.
        Frame::Packed { channel: 1, delta: &[0] },
    ];
    for answer in answers {
        let found = violation(&mut open(), &answer.encode());
        assert!(matches!(found, Violation::OutOfOrder { when: "from the end that called", .. }), "{found}");
    }
    let loud = Frame::Presence { channel: 1, peer: 1, state: &[0; 2_000] }.encode();
    assert!(matches!(violation(&mut open(), &loud), Violation::Limit { .. }));
}

#[test]
fn parts_of_two_deltas_do_not_mix() {
    let mut session = open();
    let wish = Frame::Open { name: "other", version: VersionVector::default() }.encode();
    session.handle(Time::default(), Input::Frame(&wish)).unwrap();
    session.accept("other", 2, VersionVector::default(), VersionVector::default());
    let first = Frame::Part { channel: 1, delta: &[1] }.encode();
    session.handle(Time::default(), Input::Frame(&first)).unwrap();
    let second = Frame::Part { channel: 2, delta: &[1] }.encode();
    assert!(matches!(violation(&mut session, &second), Violation::OutOfOrder { frame: "Part", .. }));
}

/// What is not wanted is not kept, however large it is, and what follows is heard.
#[test]
fn parts_that_nobody_wants_are_let_pass() {
    let limits = Limits { delta_bytes: 100, ..Limits::default() };
    let mut session = Session::listen(Time::default(), ReplicaId::new(0), limits);
    let wish = Frame::Open { name: DOCUMENT, version: VersionVector::default() }.encode();
    for frame in [hello(PROTOCOL), wish] {
        session.handle(Time::default(), Input::Frame(&frame)).unwrap();
    }
    session.accept(DOCUMENT, 1, VersionVector::default(), VersionVector::default());
    outputs(&mut session);
    let mut hear = |frame: &Frame<'_>| {
        session.handle(Time::default(), Input::Frame(&frame.encode())).unwrap();
        let events: Vec<_> = outputs(&mut session)
            .into_iter()
            .filter_map(|output| if let Output::Event(event) = output { Some(event) } else { None })
            .collect();
        session.skip(1);
        events
    };
    assert_eq!(hear(&Frame::Part { channel: 1, delta: &[7; 60] }), [Event::Begun { channel: 1 }]);
    for _ in 0..10 {
        assert_eq!(hear(&Frame::Part { channel: 1, delta: &[7; 60] }), []);
    }
    assert_eq!(hear(&Frame::Delta { channel: 1, delta: &[7; 60] }), []);
    let mut document = Document::new(ReplicaId::new(1));
    document.edit(Time::default(), |tx| tx.set(&["x"], 1)).unwrap();
    let heard = hear(&Frame::Delta { channel: 1, delta: &document.state().encode() });
    assert!(matches!(heard[..], [Event::Delta { .. }]), "{heard:?}");
}

/// The end that calls, with the document open.
fn called() -> Session {
    let now = Time::default();
    let mut session = Session::call(now, ReplicaId::new(9), Token::default(), Limits::default());
    session.handle(now, Input::Frame(&hello(PROTOCOL))).unwrap();
    session.open(DOCUMENT, VersionVector::default());
    let opened = Frame::Opened { name: DOCUMENT, channel: 1, version: VersionVector::default() }.encode();
    session.handle(now, Input::Frame(&opened)).unwrap();
    outputs(&mut session);
    session
}

/// Whoever says that it unpacks is sent less, and both sides come to the same.
#[test]
fn parts_are_packed_for_whoever_unpacks() {
    let mut document = Document::new(ReplicaId::new(1));
    let text = |n: usize| format!("{n}: nobody has been here for a long time");
    document.edit(Time::default(), |tx| (0..5_000).for_each(|n| tx.set(&[&n.to_string()], text(n)))).unwrap();
    let state = document.state();
    let mut sent = [false, true].map(|unpacks| {
        let mut sender = open();
        if unpacks {
            sender.handle(Time::default(), Input::Frame(&Frame::Unpacks.encode())).unwrap();
        }
        assert!(sender.send(1, &state));
        let frames: Vec<_> = std::iter::from_fn(|| sender.take_part()).collect();
        let mut receiver = called();
        for frame in &frames {
            receiver.handle(Time::default(), Input::Frame(frame)).unwrap();
        }
        let heard = outputs(&mut receiver);
        let Some(Output::Event(Event::Delta { delta, .. })) = heard.last() else { panic!("no delta") };
        assert_eq!(**delta, state);
        frames
    });
    let bytes = |frames: &Vec<bytes::Bytes>| frames.iter().map(|frame| frame.len()).sum::<usize>();
    assert!(bytes(&sent[1]) < bytes(&sent[0]) / 2, "{} and {} bytes", bytes(&sent[0]), bytes(&sent[1]));

    let mut damaged = sent[1].remove(0).to_vec();
    damaged[100] ^= 1;
    damaged.truncate(damaged.len() - 1);
    assert_eq!(violation(&mut called(), &damaged), Violation::NotAFrame);
}

/// A few bytes do not unfold into many.
#[test]
fn a_packed_part_holds_no_more_than_a_frame_may() {
    let packed = watersmeet_crdt::compress::pack(&vec![0; 2 << 20]);
    let bomb = Frame::Packed { channel: 1, delta: &packed }.encode();
    let limit = Limits::default().frame_bytes;
    assert_eq!(violation(&mut called(), &bomb), Violation::TooLarge { bytes: limit + 1, limit });
}

/// Before anybody has greeted, no more is taken than a greeting.
#[test]
fn a_first_frame_is_small() {
    let limits = Limits::default();
    let mut session = Session::listen(Time::default(), ReplicaId::new(0), limits.clone());
    let large = vec![0; limits.token_bytes + 2_000];
    assert!(matches!(violation(&mut session, &large), Violation::TooLarge { .. }));
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
    assert_eq!(Limits::default().part_bytes, PART_BYTES);
    let mut document = Document::new(ReplicaId::new(1));
    for n in 0..3 {
        document.edit(Time::default(), |tx| tx.set(&[&format!("k{n}")], vec![n; PART_BYTES])).unwrap();
    }
    let mut sender = Session::call(Time::default(), ReplicaId::new(1), Token::default(), Limits::default());
    sender.handle(Time::default(), Input::Frame(&hello(PROTOCOL))).unwrap();
    sender.open(DOCUMENT, document.version().clone());
    let granted = Frame::Opened { name: DOCUMENT, channel: 1, version: VersionVector::default() }.encode();
    sender.handle(Time::default(), Input::Frame(&granted)).unwrap();
    outputs(&mut sender);
    assert!(sender.send(1, &document.state()));
    let frames: Vec<_> = std::iter::from_fn(|| sender.take_part()).collect();
    assert!(frames.len() == 4 && frames.iter().all(|frame| frame.len() <= PART_BYTES + 16));
    let mut receiver = open();
    outputs(&mut receiver);
    for frame in &frames {
        receiver.handle(Time::default(), Input::Frame(frame)).unwrap();
    }
    let heard = outputs(&mut receiver);
    let pong = Output::Send(Frame::Pong.encode().into());
    assert_eq!(heard.iter().filter(|output| **output == pong).count(), 3, "each part is answered");
    assert_eq!(heard[0], Output::Event(Event::Begun { channel: 1 }));
    let Some(Output::Event(Event::Delta { delta, .. })) = heard.last() else { panic!("no delta") };
    assert_eq!(**delta, document.state());

    let limits = Limits { delta_bytes: PART_BYTES + PART_BYTES / 2, ..Limits::default() };
    let mut receiver = Session::listen(Time::default(), ReplicaId::new(0), limits);
    receiver.handle(Time::default(), Input::Frame(&hello(PROTOCOL))).unwrap();
    let wish = Frame::Open { name: DOCUMENT, version: VersionVector::default() }.encode();
    receiver.handle(Time::default(), Input::Frame(&wish)).unwrap();
    receiver.accept(DOCUMENT, 1, VersionVector::default(), VersionVector::default());
    receiver.handle(Time::default(), Input::Frame(&frames[0])).unwrap();
    assert!(matches!(violation(&mut receiver, &frames[1]), Violation::TooLarge { .. }));
}
