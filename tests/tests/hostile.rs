//! A peer that breaks the protocol is told so and shown the door, and harms nobody else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use watersmeet_client::{Client, DocumentHandle};
use watersmeet_crdt::session::{Code, Frame, Limits, PROTOCOL, Token};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, VersionVector};
use watersmeet_tests::{Assembler, Dice, Raw, Server, patiently, until};

const MALLORY: ReplicaId = ReplicaId::new(666);

/// An honest client on the document that the hostile ones attack.
struct Witness {
    _client: Client,
    document: DocumentHandle,
}

impl Witness {
    async fn open(server: &Server) -> Self {
        let client = Client::connect(&server.url()).await.unwrap();
        let document = client.open("map");
        patiently("synced", document.synced()).await.unwrap();
        Witness { _client: client, document }
    }

    /// The connection it had still works, and so does a new one.
    async fn is_unharmed(&self, server: &Server) {
        assert!(self.document.status().live, "the witness has lost its connection");
        self.document.edit(|tx| tx.increment(&["count"], 1)).unwrap();
        patiently("the witness's edit is durable", self.document.durable()).await.unwrap();
        let other = Witness::open(server).await;
        let count = |document: &Document| document.counter(&["count"]);
        assert_eq!(other.document.read(count), self.document.read(count));
    }
}

/// The bytes of an honest edit.
fn delta(replica: ReplicaId) -> Vec<u8> {
    let mut document = Document::new(replica);
    let now = Time::from_millis(1_700_000_000_000);
    document
        .edit(now, |tx| {
            tx.set(&["places", "mill", "name"], "Old mill");
            tx.insert(&["places", "mill", "tags"], "water");
            tx.increment(&["places", "mill", "votes"], 2);
        })
        .unwrap();
    document.since(&VersionVector::default()).encode().to_vec()
}

fn binary(bytes: &[u8]) -> Message {
    Message::Binary(Bytes::copy_from_slice(bytes))
}

async fn is_ended(mut raw: Raw, code: Code, what: &str) {
    let (said, message, close) = raw.farewell().await;
    println!("{what}: {message}");
    assert_eq!(said, code, "{what}");
    assert_eq!(close, 4_000 + code as u16, "{what}");
    assert!(!message.is_empty(), "{what}");
}

#[tokio::test]
async fn whoever_breaks_the_order_is_told_so_and_nobody_else_notices() {
    let server = Server::start();
    let witness = Witness::open(&server).await;
    let url = server.url();
    let version = VersionVector::default;
    let out_of_order: [(&str, Frame<'_>); 8] = [
        ("Hello twice", Frame::Hello { protocol: PROTOCOL, replica: MALLORY, token: Token::default() }),
        ("Delta on a channel that is not open", Frame::Delta { channel: 1, delta: &delta(MALLORY) }),
        ("Close of a channel that is not open", Frame::Close { channel: 77 }),
        ("Lacks on a channel that is not open", Frame::Lacks { channel: 1, version: version() }),
        ("Presence on a channel that is not open", Frame::Presence { channel: 1, peer: 1, state: b"x" }),
        ("Opened without a question", Frame::Opened { name: "map", channel: 1, version: version() }),
        ("Ack of nothing", Frame::Ack { channel: 1, version: version() }),
        ("Refused without a question", Frame::Refused { name: "map", code: Code::Limit, message: "no" }),
    ];
    for (what, frame) in &out_of_order {
        let mut raw = Raw::greet(&url, MALLORY).await;
        raw.say(frame).await;
        is_ended(raw, Code::OutOfOrder, what).await;
    }
    let mut raw = Raw::connect(&url).await;
    raw.say(&Frame::Open { name: "map", version: version() }).await;
    is_ended(raw, Code::OutOfOrder, "Open before Hello").await;
    let mut raw = Raw::greet(&url, MALLORY).await;
    raw.open("map").await;
    raw.say(&Frame::Open { name: "map", version: version() }).await;
    is_ended(raw, Code::OutOfOrder, "Open twice").await;
    let mut raw = Raw::connect(&url).await;
    raw.say(&Frame::Hello { protocol: PROTOCOL + 1, replica: MALLORY, token: Token::default() }).await;
    is_ended(raw, Code::Incompatible, "another protocol").await;
    witness.is_unharmed(&server).await;
}

#[tokio::test]
async fn whoever_sends_garbage_is_told_so_and_nobody_else_notices() {
    let server = Server::start();
    let witness = Witness::open(&server).await;
    let url = server.url();
    for garbage in [&b""[..], b"\xff", b"garbage", &[0x80; 64], &[0; 9]] {
        let mut raw = Raw::connect(&url).await;
        raw.send(binary(garbage)).await;
        is_ended(raw, Code::Malformed, "garbage").await;
    }
    let mut raw = Raw::greet(&url, MALLORY).await;
    raw.send(Message::Text("hello".into())).await;
    is_ended(raw, Code::Malformed, "a text message").await;

    let mut raw = Raw::greet(&url, MALLORY).await;
    raw.send(binary(&vec![0; Limits::default().frame_bytes + 1])).await;
    is_ended(raw, Code::TooLarge, "a frame that is too large").await;

    let mut raw = Raw::greet(&url, MALLORY).await;
    let channel = raw.open("map").await;
    let state = vec![0; Limits::default().presence_bytes + 1];
    raw.say(&Frame::Presence { channel, peer: 1, state: &state }).await;
    is_ended(raw, Code::Limit, "a presence that is too large").await;

    witness.is_unharmed(&server).await;
}

#[tokio::test]
async fn one_document_too_many_is_refused_and_the_others_go_on() {
    let server = Server::start();
    let mut raw = Raw::greet(&server.url(), MALLORY).await;
    let mut channels = Vec::new();
    for n in 0..Limits::default().documents {
        channels.push(raw.open(&format!("document {n}")).await);
    }
    raw.say(&Frame::Open { name: "one too many", version: VersionVector::default() }).await;
    let refusal = |frame: &Frame<'_>| match frame {
        Frame::Refused { name, code, .. } => Some(((*name).to_owned(), *code)),
        _ => None,
    };
    assert_eq!(raw.expect("a refusal", refusal).await, ("one too many".to_owned(), Code::Limit));
    for channel in channels {
        raw.say(&Frame::Delta { channel, delta: &delta(MALLORY) }).await;
        let acknowledged = |frame: &Frame<'_>| {
            matches!(frame, Frame::Ack { channel: on, .. } if *on == channel).then_some(())
        };
        raw.expect("Ack", acknowledged).await;
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_is_refused_and_the_connection_goes_on() {
    let server = Server::start();
    let mut raw = Raw::greet(&server.url(), MALLORY).await;
    for name in ["", "a\0b", "line\nbreak", &"x".repeat(Limits::default().name_bytes + 1)] {
        raw.say(&Frame::Open { name, version: VersionVector::default() }).await;
        let code = raw
            .expect("a refusal", |frame| match frame {
                Frame::Refused { code, .. } => Some(*code),
                _ => None,
            })
            .await;
        assert_eq!(code, Code::Name);
    }
    raw.open("a proper name").await;
}

/// Truncated and bit-flipped deltas are refused, or are deltas after all; either way the server and the others go on.
#[tokio::test]
async fn damaged_deltas_harm_nobody() {
    let mut dice = Dice::new();
    let server = Server::start();
    let witness = Witness::open(&server).await;
    let whole = delta(MALLORY);
    for n in 0..300 {
        let mut damaged = whole.clone();
        if n % 3 == 0 {
            damaged.truncate(usize::try_from(dice.below(whole.len() as u64)).unwrap());
        } else {
            let at = usize::try_from(dice.below(damaged.len() as u64)).unwrap();
            damaged[at] ^= 1 << dice.below(8);
        }
        let mut raw = Raw::greet(&server.url(), MALLORY).await;
        // Each to a document of its own: what decodes is an honest edit as far as anybody can tell.
        let channel = raw.open(&format!("target {n}")).await;
        raw.say(&Frame::Delta { channel, delta: &damaged }).await;
        if Delta::decode(&damaged).is_err() {
            let (code, _, _) = raw.farewell().await;
            assert_eq!(code, Code::Malformed, "{damaged:?}");
        } else {
            let answered = |frame: &Frame<'_>| {
                matches!(frame, Frame::Ack { .. } | Frame::Lacks { .. } | Frame::Refused { .. }).then_some(())
            };
            raw.expect("an answer", answered).await;
        }
    }
    witness.is_unharmed(&server).await;
}

#[tokio::test]
async fn a_delta_with_a_gap_before_it_is_asked_for_again() {
    let server = Server::start();
    let mut document = Document::new(MALLORY);
    let now = Time::from_millis(1_700_000_000_000);
    document.edit(now, |tx| tx.set(&["a"], 1)).unwrap();
    let first = document.version().clone();
    document.edit(now, |tx| tx.set(&["b"], 2)).unwrap();

    let mut raw = Raw::greet(&server.url(), MALLORY).await;
    let channel = raw.open("map").await;
    raw.say(&Frame::Delta { channel, delta: &document.since(&first).encode() }).await;
    let has = raw
        .expect("Lacks", |frame| match frame {
            Frame::Lacks { version, .. } => Some(version.clone()),
            _ => None,
        })
        .await;
    raw.say(&Frame::Delta { channel, delta: &document.since(&has).encode() }).await;
    let acknowledged = raw
        .expect("Ack", |frame| match frame {
            Frame::Ack { version, .. } => Some(version.clone()),
            _ => None,
        })
        .await;
    assert_eq!(&acknowledged, document.version());
}

/// The number of a presence is the server's to give: a cursor cannot be moved by somebody else.
#[tokio::test]
async fn nobody_can_show_itself_as_another() {
    let server = Server::start();
    let witness = Witness::open(&server).await;
    let mut honest = Raw::greet(&server.url(), ReplicaId::new(1)).await;
    let mut mallory = Raw::greet(&server.url(), MALLORY).await;
    let (peers, state) = (|| witness.document.peers(), b"at the mill");
    let channel = honest.open("map").await;
    honest.say(&Frame::Presence { channel, peer: 1, state }).await;
    until("the honest one is seen", || peers().len() == 1).await;
    let seen = peers();
    let channel = mallory.open("map").await;
    let number = *seen.keys().next().unwrap();
    for peer in (0..1_000).chain([number]) {
        mallory.say(&Frame::Presence { channel, peer, state: b"at the inn" }).await;
    }
    until("both are seen", || peers().len() == 2).await;
    assert_eq!(peers().get(&number).unwrap(), &state[..], "the cursor of one was moved by another");
    mallory.say(&Frame::Presence { channel, peer: number, state: b"" }).await;
    until("only the honest one is left", || peers() == seen).await;
}

#[tokio::test]
async fn another_subprotocol_is_refused_before_the_upgrade() {
    let server = Server::start();
    for subprotocol in [None, Some("chat"), Some("watersmeet.v0, mqtt")] {
        match Raw::connect_as(&server.url(), subprotocol).await {
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), 400);
                let body = String::from_utf8_lossy(response.body().as_ref().unwrap()).into_owned();
                assert!(body.contains("watersmeet.v1"), "{body}");
            }
            other => panic!("{subprotocol:?}: {other:?}"),
        }
    }
}

/// A reader that does not read costs bounded memory, and gets what it missed as one group.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_reader_costs_bounded_memory_and_catches_up() {
    const EDITS: i64 = 1_500;
    const VALUE_BYTES: usize = 64 << 10;
    /// Of one peer that gives itself another number each time, for each edit. All would be 75 MB.
    const PRESENCES: i64 = 50;
    const PRESENCE_BYTES: usize = 1_000;
    const GROWTH_MAX: u64 = 48 << 20;
    let server = Server::start();
    let writer = Witness::open(&server).await.document;
    let mut stalled = Raw::greet(&server.url(), MALLORY).await;
    let channel = stalled.open("map").await;
    let mut chatty = Raw::greet(&server.url(), ReplicaId::new(667)).await;
    chatty.open("map").await;

    let before = server.resident_bytes();
    let mut growth = 0;
    for n in 0..EDITS {
        let value = n.to_string().repeat(VALUE_BYTES / n.to_string().len());
        writer.edit(|tx| tx.set(&["page"], value)).unwrap();
        for m in 0..PRESENCES {
            let peer = u64::try_from(n * PRESENCES + m).unwrap();
            chatty.say(&Frame::Presence { channel, peer, state: &[7; PRESENCE_BYTES] }).await;
        }
        if n % 50 == 0 {
            // It reads, or it would be stalled too.
            chatty.say(&Frame::Ping).await;
            chatty.expect("Pong", |frame| matches!(frame, Frame::Pong).then_some(())).await;
            patiently("durable", writer.durable()).await.unwrap();
            // It is alive, it only does not read.
            stalled.say(&Frame::Ping).await;
            let now = server.resident_bytes();
            growth = growth.max(now.zip(before).map_or(0, |(now, before)| now.saturating_sub(before)));
        }
    }
    patiently("durable", writer.durable()).await.unwrap();
    println!(
        "{} MB written past it, the server grew by {} kB",
        (usize::try_from(EDITS).unwrap() * VALUE_BYTES) >> 20,
        growth >> 10
    );
    assert!(growth < GROWTH_MAX, "the server grew by {growth} bytes");

    let mut replica = Document::new(MALLORY);
    let (mut deltas, mut presences, mut parts) = (0, 0, Assembler::default());
    while !done(&replica, &writer) {
        let bytes = stalled.next().await.expect("still connected");
        let frame = Frame::decode(&bytes).expect("the server sends frames");
        presences += i64::from(matches!(frame, Frame::Presence { .. }));
        if let Some((on, delta)) = parts.take_in(&frame) {
            assert_eq!(on, channel);
            replica.apply(delta).expect("in order, without gaps");
            deltas += 1;
        }
    }
    println!("it caught up with {deltas} deltas, and {presences} presences of one peer");
    assert!(presences < EDITS * PRESENCES / 10, "{presences} presences of one peer waited");
    assert!(deltas < EDITS / 2, "what it missed came in {deltas} pieces");
}

fn done(replica: &Document, writer: &DocumentHandle) -> bool {
    replica.hash() == writer.read(|document| document.hash())
}

/// Who edits and leaves at once: the document, or the connection.
#[tokio::test]
async fn what_is_said_just_before_leaving_counts() {
    let server = Server::start();
    let mut left = Vec::new();
    for n in 0..20 {
        let replica = ReplicaId::new(100 + n);
        let mut raw = Raw::greet(&server.url(), replica).await;
        let channel = raw.open("map").await;
        let mut document = Document::new(replica);
        document.edit(Time::default(), |tx| tx.set(&[&n.to_string()], true)).unwrap();
        let delta = document.encode_state();
        let edit = Message::Binary(Frame::Delta { channel, delta: &delta }.encode().into());
        let leave = match n % 2 {
            0 => Message::Binary(Frame::Close { channel }.encode().into()),
            _ => Message::Close(None),
        };
        raw.send_together([edit, leave]).await;
        left.push(raw);
    }
    let client = Client::connect(&server.url()).await.unwrap();
    let document = client.open("map");
    until("every edit is there", || document.read(|document| document.len()) == 20).await;
}
