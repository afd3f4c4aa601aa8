//! A client's half: what it sends to whom, when it connects again, and what it tells its user.

use crate::{DOCUMENT, hello};
use watersmeet_crdt::client::{Action, Client, Notice};
use watersmeet_crdt::document::Op;
use watersmeet_crdt::session::{Code, Frame, PROTOCOL, Token};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, Value, VersionVector};

/// A client with the document open on channel 1, where the server has `version` of it; what it sends.
fn online(client: &mut Client, now: Time, version: VersionVector) -> Vec<Vec<u8>> {
    client.go_online(now);
    let first =
        std::iter::from_fn(|| Some(client.poll(now))).find(|action| !matches!(action, Action::Notify(_)));
    assert_eq!(first, Some(Action::Connect { redirect: None }));
    client.connected(now, Token::default());
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
    client.edit(DOCUMENT, now, (0..5_000).map(op).collect::<Vec<_>>()).unwrap();
    let known = client.document(DOCUMENT).unwrap().version().clone();
    client.edit(DOCUMENT, now, (5_000..5_010).map(op).collect::<Vec<_>>()).unwrap();
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
        assert_eq!(client.poll(now), Action::Connect { redirect: None });
        // The random number that makes the wait longest.
        client.disconnected(now, longest);
        assert_eq!(client.poll(now), Action::Wait(now.plus(longest)));
        now = now.plus(longest);
    }
    assert_eq!(client.poll(now), Action::Connect { redirect: None });
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

/// A client that is online on the document.
fn writing(now: Time) -> Client {
    let mut client = Client::new(ReplicaId::new(1), false);
    client.open(DOCUMENT);
    online(&mut client, now, VersionVector::default());
    client
}

fn set(client: &mut Client, now: Time, value: i64) {
    client.edit(DOCUMENT, now, vec![Op::Set(vec!["x".into()], Value::from(value))]).unwrap();
}

/// Takes in a refusal, on which nothing is sent.
fn refuse(client: &mut Client, now: Time, code: Code) {
    client.received(now, &Frame::Refused { name: DOCUMENT, code, message: "why" }.encode(), 0);
    assert!(sent(client, now).is_empty());
}

fn acknowledge(client: &mut Client, now: Time, version: VersionVector) {
    client.received(now, &Frame::Ack { channel: 1, version }.encode(), 0);
    assert!(sent(client, now).is_empty());
}

/// How many events of this client's each delta brings that it wants to send now.
fn told(client: &mut Client, now: Time) -> Vec<u64> {
    let frames = sent(client, now);
    deltas(&frames)
        .iter()
        .map(|delta| delta.to().seq(ReplicaId::new(1)) - delta.from().seq(ReplicaId::new(1)))
        .collect()
}

#[test]
fn what_is_refused_for_good_is_kept_and_offered_again_with_the_next_connection() {
    for code in [Code::Forbidden, Code::Author, Code::Equivocation] {
        let now = Time::default();
        let mut client = writing(now);
        set(&mut client, now, 1);
        assert_eq!(told(&mut client, now), [1]);
        refuse(&mut client, now, code);
        let status = client.status(DOCUMENT);
        assert_eq!((status.refused, status.not_on_server, status.live), (Some(code), 1, true));
        assert_eq!(client.refusal(DOCUMENT).unwrap().message, "why");
        set(&mut client, now, 2);
        assert_eq!(told(&mut client, now), [], "what would be refused is not sent");
        assert_eq!(client.status(DOCUMENT).not_on_server, 2);
        client.disconnected(now, 0);
        assert_eq!(client.status(DOCUMENT).refused, Some(code), "it is no less refused without a connection");
        let again = deltas(&online(&mut client, now, VersionVector::default()));
        assert_eq!(again.len(), 1, "all together");
        assert_eq!(client.status(DOCUMENT).refused, None);
        let version = client.document(DOCUMENT).unwrap().version().clone();
        acknowledge(&mut client, now, version);
        assert_eq!(client.status(DOCUMENT).not_on_server, 0);
    }
}

#[test]
fn what_came_too_fast_waits_until_the_server_asks() {
    for code in [Code::Rate, Code::Unavailable] {
        let now = Time::default();
        let mut client = writing(now);
        (1..=3).for_each(|n| set(&mut client, now, n));
        assert_eq!(told(&mut client, now), [1, 1, 1]);
        refuse(&mut client, now, code);
        set(&mut client, now, 4);
        assert_eq!(told(&mut client, now), []);
        // The first was taken.
        let version = VersionVector::from_iter([(ReplicaId::new(1), 1)]);
        acknowledge(&mut client, now, version.clone());
        assert_eq!(client.status(DOCUMENT).refused, Some(code));
        client.received(now, &Frame::Lacks { channel: 1, version }.encode(), 0);
        assert_eq!(told(&mut client, now), [3], "one group");
        assert_eq!(client.status(DOCUMENT).refused, None);
        assert_eq!(client.status(DOCUMENT).not_on_server, 3, "and not saved before it is");
        set(&mut client, now, 5);
        assert_eq!(told(&mut client, now), [1], "from here on as ever");
    }
}

#[test]
fn what_a_full_document_refused_is_offered_again_together_with_what_was_removed_since() {
    let now = Time::from_millis(1_000);
    let mut client = writing(now);
    set(&mut client, now, 1);
    assert_eq!(told(&mut client, now), [1]);
    refuse(&mut client, now, Code::Full);
    client.edit(DOCUMENT, now, vec![Op::Delete(vec!["x".into()])]).unwrap();
    assert_eq!(told(&mut client, now), [], "not at once");
    let Action::Wait(until) = client.poll(now) else { panic!("it waits") };
    assert!(until > now && until < now.plus(60_000));
    assert_eq!(told(&mut client, until), [2]);
    // Refused again, it waits again; a clock that is set back does not make that longer.
    refuse(&mut client, until, Code::Full);
    assert_eq!(told(&mut client, until), []);
    assert_eq!(told(&mut client, Time::default()), [2]);
}

/// Where the client connects next, once it may; it is said to have been in vain, unless a server `speaks`.
fn attempt(client: &mut Client, now: &mut Time, speaks: bool) -> Option<String> {
    let redirect = loop {
        match client.poll(*now) {
            Action::Connect { redirect } => break redirect,
            Action::Wait(until) => *now = until,
            _ => {}
        }
    };
    if speaks {
        client.connected(*now, Token::default());
        let hello = Frame::Hello { protocol: PROTOCOL, replica: ReplicaId::new(9), token: Token::default() };
        client.received(*now, &hello.encode(), 0);
    } else {
        client.disconnected(*now, 0);
    }
    redirect
}

/// The server names another, and says goodbye.
fn drain(client: &mut Client, now: Time, url: &str) {
    client.received(now, &Frame::Redirect { url }.encode(), 0);
    client.received(now, &Frame::Error { code: Code::Shutdown, message: "" }.encode(), 0);
}

#[test]
fn the_server_that_was_named_and_the_usual_one_are_tried_in_turn_until_one_speaks() {
    let (mut client, mut now) = (Client::new(ReplicaId::new(1), false), Time::default());
    let other = || Some("wss://b/sync".to_owned());
    client.follow_redirects(Some("wss://a/sync"));
    client.go_online(now);
    assert_eq!(attempt(&mut client, &mut now, true), None);
    drain(&mut client, now, "wss://b/sync");
    for tried in [other(), None, other(), None] {
        assert_eq!(attempt(&mut client, &mut now, false), tried);
    }
    assert_eq!(attempt(&mut client, &mut now, true), other());
    // Whatever becomes of that connection, it was the last one.
    client.disconnected(now, 0);
    assert_eq!(attempt(&mut client, &mut now, true), None);
    // One that never lets anybody in is forgotten.
    drain(&mut client, now, "wss://b/sync");
    let tried: Vec<_> = (0..100).filter_map(|_| attempt(&mut client, &mut now, false)).collect();
    assert_eq!(tried.len(), 8);
}

#[test]
fn nobody_is_led_to_where_others_may_listen_or_against_their_will() {
    let next = |own: Option<&str>, named: &str| {
        let (mut client, mut now) = (Client::new(ReplicaId::new(1), false), Time::default());
        client.follow_redirects(own);
        client.go_online(now);
        attempt(&mut client, &mut now, true);
        drain(&mut client, now, named);
        attempt(&mut client, &mut now, false)
    };
    assert_eq!(next(Some("wss://a"), "ws://b"), None);
    assert_eq!(next(Some("ws://a"), "wss://b"), Some("wss://b".to_owned()));
    assert_eq!(next(Some("ws://a"), "https://b"), None);
    assert_eq!(next(None, "wss://b"), None);
}

/// What waits for a large delta of another document is sent when that has gone, also if it goes since a third is closed.
#[test]
fn to_close_one_document_strands_no_other_ones_large_edits() {
    let now = Time::default();
    let mut client = Client::new(ReplicaId::new(1), false);
    let set = |n: i64| Op::Set(vec![format!("key {n}")], Value::from("x".repeat(1_000).as_str()));
    for name in ["a", "b", "c"] {
        client.open(name);
        client.edit(name, now, (0..200).map(set).collect::<Vec<_>>()).unwrap();
    }
    client.go_online(now);
    while !matches!(client.poll(now), Action::Connect { .. }) {}
    client.connected(now, Token::default());
    client.received(now, &hello(PROTOCOL), 0);
    for (channel, name) in [(1, "a"), (2, "b"), (3, "c")] {
        client.received(now, &Frame::Opened { name, channel, version: VersionVector::default() }.encode(), 0);
    }
    let mut frames = sent(&mut client, now);
    frames.extend(client.take_part().map(|part| part.to_vec()));
    client.close("c");
    loop {
        frames.extend(sent(&mut client, now));
        let Some(part) = client.take_part() else { break };
        frames.push(part.to_vec());
    }
    let is_last = |frame: &&Vec<u8>, wanted: u32| matches!(Frame::decode(frame), Some(Frame::Delta { channel, .. }) if channel == wanted);
    let ended = [1, 2, 3].map(|channel| frames.iter().filter(|frame| is_last(frame, channel)).count());
    assert_eq!(ended, [1, 1, 1]);
}
