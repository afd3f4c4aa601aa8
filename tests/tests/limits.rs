//! Every limit on what a peer may fill, and what happens beyond it: the peer is told which, in so many words, and nothing
//! that it was told is safe is lost. Limits that end nothing but hold up, such as queues, are shown to lose nothing.
//!
//! What waits for a reader who does not read is shown in `stopped_reader.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Error as WsError;
use watersmeet_client::{Client, DocumentHandle, Event};
use watersmeet_crdt::session::{Code, Frame, PROTOCOL, Token};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, VersionVector};
use watersmeet_sync::access::{Access, Claims, SigningKey};
use watersmeet_sync::{Config, Limits, Rate, Server, router, serve};
use watersmeet_tests::{Raw, patiently, until};

const MALLORY: ReplicaId = ReplicaId::new(666);
const NOW: Time = Time::from_millis(1_700_000_000_000);

/// A server in this process, with limits that are easy to go over.
struct Small {
    url: String,
    data: PathBuf,
    key: SigningKey,
    task: JoinHandle<()>,
}

impl Small {
    /// Open to everybody.
    async fn open(change: impl FnOnce(&mut Limits)) -> Self {
        Self::start(change, false).await
    }

    /// For whoever has a token.
    async fn closed(change: impl FnOnce(&mut Limits)) -> Self {
        Self::start(change, true).await
    }

    async fn start(change: impl FnOnce(&mut Limits), closed: bool) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let data = std::env::temp_dir().join(format!("watersmeet-limits-{}-{number}", std::process::id()));
        let key = SigningKey::generate_hs256("key").unwrap();
        let access = if closed { Access::keys([key.verifying()]) } else { Access::open() };
        let mut config = Config::new(&data, access);
        change(&mut config.limits);
        let server = Server::open(config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/sync", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            serve(listener, router(server.clone()), &server, std::future::pending()).await.unwrap();
        });
        Small { url, data, key, task }
    }

    fn token(&self, subject: &str) -> String {
        let claims = Claims::new(subject, 4_000_000_000);
        self.key.sign(&Claims { write: vec!["**".parse().unwrap()], ..claims })
    }

    /// Connected, with a document open; its channel.
    async fn raw(&self) -> (Raw, u32) {
        let mut raw = Raw::greet_with(&self.url, MALLORY, &self.token("mallory")).await;
        let channel = raw.open("map").await;
        (raw, channel)
    }

    /// What somebody finds who comes anew.
    async fn found(&self) -> Document {
        let client = Client::builder(&self.url).token(self.token("witness")).connect().await.unwrap();
        let map = client.open("map");
        patiently("synced", map.synced()).await.unwrap();
        map.read(Clone::clone)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

fn edit(document: &mut Document, key: &str, bytes: usize) -> Delta {
    let before = document.version().clone();
    document.edit(NOW, |tx| tx.set(&[key], "x".repeat(bytes))).unwrap();
    document.since(&before)
}

async fn tell(raw: &mut Raw, channel: u32, delta: &Delta) {
    raw.say(&Frame::Delta { channel, delta: &delta.encode() }).await;
}

/// Edits once, is acknowledged, and then does what is too much: which ends the connection with that code, while the first
/// edit is there and nothing else is.
async fn ends(server: &Small, code: Code, too_much: impl AsyncFnOnce(&mut Raw, u32, &mut Document)) {
    let (mut raw, channel) = server.raw().await;
    let mut document = Document::new(MALLORY);
    let first = edit(&mut document, "first", 10);
    tell(&mut raw, channel, &first).await;
    raw.acknowledged(channel).await;
    let before = document.hash();
    too_much(&mut raw, channel, &mut document).await;
    let (said, message, close) = raw.farewell().await;
    assert_eq!((said, close), (code, 4_000 + code as u16), "{message}");
    println!("{code:?}: {message}");
    assert_eq!(server.found().await.hash(), before);
}

#[tokio::test]
async fn a_frame_that_is_too_large() {
    let server = Small::open(|limits| limits.session.frame_bytes = 64 << 10).await;
    ends(&server, Code::TooLarge, async |raw, channel, document| {
        tell(raw, channel, &edit(document, "large", 64 << 10)).await;
    })
    .await;
}

#[tokio::test]
async fn a_delta_in_parts_that_is_too_large() {
    let server = Small::open(|limits| {
        limits.document_bytes = 10_000;
        limits.session.delta_bytes = 10_000;
    })
    .await;
    ends(&server, Code::TooLarge, async |raw, channel, document| {
        for part in edit(document, "large", 10_000).encode().chunks(1_000) {
            raw.say(&Frame::Part { channel, delta: part }).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_presence_that_is_too_large() {
    let server = Small::open(|limits| limits.session.presence_bytes = 100).await;
    ends(&server, Code::Limit, async |raw, channel, _| {
        raw.say(&Frame::Presence { channel, peer: 1, state: &[7; 101] }).await;
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_falls_silent() {
    let server = Small::open(|limits| limits.session.idle_millis = 1_000).await;
    ends(&server, Code::Silent, async |raw, _, _| {
        // It is asked first.
        raw.expect("Ping", |frame| matches!(frame, Frame::Ping).then_some(())).await;
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_does_not_greet() {
    let server = Small::open(|limits| limits.session.handshake_millis = 200).await;
    let mut raw = Raw::connect(&server.url).await;
    assert_eq!(raw.farewell().await.0, Code::Silent);
}

#[tokio::test]
async fn a_token_that_is_too_long() {
    let server = Small::open(|limits| limits.session.token_bytes = 100).await;
    let mut raw = Raw::connect(&server.url).await;
    let token = Token::from("x".repeat(101));
    raw.say(&Frame::Hello { protocol: PROTOCOL, replica: MALLORY, token }).await;
    let (code, message, _) = raw.farewell().await;
    assert_eq!(code, Code::Limit);
    assert!(message.contains("token"), "{message}");
}

/// What is refused is refused for one document; the others go on.
async fn is_refused(raw: &mut Raw, name: &str, code: Code) {
    raw.say(&Frame::Open { name, version: VersionVector::default() }).await;
    let (said, message) = raw.refusal(name).await;
    assert_eq!(said, code, "{message}");
}

#[tokio::test]
async fn a_document_too_many_and_a_name_too_long() {
    let server = Small::open(|limits| {
        limits.session.documents = 2;
        limits.session.name_bytes = 10;
    })
    .await;
    let (mut raw, channel) = server.raw().await;
    is_refused(&mut raw, "eleven char", Code::Name).await;
    raw.open("ten chars!").await;
    is_refused(&mut raw, "third", Code::Limit).await;
    tell(&mut raw, channel, &edit(&mut Document::new(MALLORY), "x", 1)).await;
    raw.acknowledged(channel).await;
}

#[tokio::test]
async fn a_document_too_many_in_the_server() {
    let server = Small::open(|limits| limits.rooms = 1).await;
    let (mut raw, channel) = server.raw().await;
    is_refused(&mut raw, "second", Code::Limit).await;
    tell(&mut raw, channel, &edit(&mut Document::new(MALLORY), "x", 1)).await;
    raw.acknowledged(channel).await;
}

#[tokio::test]
async fn a_clock_that_is_ahead() {
    let server = Small::open(|limits| limits.session.clock_skew_millis = 60_000).await;
    let (mut raw, channel) = server.raw().await;
    let mut document = Document::new(MALLORY);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let ahead = Time::from_millis(u64::try_from(since.as_millis()).unwrap() + 3_600_000);
    document.edit(ahead, |tx| tx.set(&["x"], 1)).unwrap();
    tell(&mut raw, channel, &document.state()).await;
    let (code, message) = raw.refusal("map").await;
    assert_eq!(code, Code::ClockSkew);
    assert!(message.contains("clock"), "{message}");
    assert!(server.found().await.is_empty());
}

#[tokio::test]
async fn a_connection_too_many() {
    let server = Small::open(|limits| limits.connections = 1).await;
    let (mut raw, channel) = server.raw().await;
    match Raw::connect_with_headers(&server.url, &[]).await {
        Err(WsError::Http(response)) => {
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key("retry-after"));
        }
        other => panic!("{other:?}"),
    }
    tell(&mut raw, channel, &edit(&mut Document::new(MALLORY), "x", 1)).await;
    raw.acknowledged(channel).await;
    drop(raw);
    patiently("there is room again", async {
        while Raw::connect_with_headers(&server.url, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_too_many_of_one_subject() {
    let server = Small::closed(|limits| limits.connections_per_subject = 1).await;
    let (mut raw, channel) = server.raw().await;
    let bearer = format!("Bearer {}", server.token("mallory"));
    match Raw::connect_with_headers(&server.url, &[("authorization", &bearer)]).await {
        Err(WsError::Http(response)) => {
            assert_eq!(response.status(), 429);
            assert!(response.headers().contains_key("retry-after"));
        }
        other => panic!("{other:?}"),
    }
    let mut second = Raw::connect(&server.url).await;
    let token = Token::from(server.token("mallory"));
    second.say(&Frame::Hello { protocol: PROTOCOL, replica: MALLORY, token }).await;
    let (code, message, _) = second.farewell().await;
    assert_eq!(code, Code::Limit);
    assert!(message.contains('1'), "{message}");
    // Neither another's connections are counted, nor has the first suffered.
    let mut alice = Raw::greet_with(&server.url, ReplicaId::new(1), &server.token("alice")).await;
    alice.open("map").await;
    tell(&mut raw, channel, &edit(&mut Document::new(MALLORY), "x", 1)).await;
    raw.acknowledged(channel).await;
}

/// Edits that would make the document too large are refused, what removes is taken, and then there is room again.
#[tokio::test]
async fn a_document_that_is_too_large() {
    let server = Small::closed(|limits| {
        limits.document_bytes = 10_000;
        limits.measured = Duration::ZERO;
    })
    .await;
    let (mut raw, channel) = server.raw().await;
    let mut document = Document::new(MALLORY);
    for key in ["a", "b"] {
        tell(&mut raw, channel, &edit(&mut document, key, 4_000)).await;
        raw.acknowledged(channel).await;
    }
    let mut beyond = document.clone();
    tell(&mut raw, channel, &edit(&mut beyond, "c", 4_000)).await;
    let (code, message) = raw.refusal("map").await;
    assert_eq!(code, Code::Full);
    assert!(message.contains("map") && message.contains("10000"), "{message}");
    assert_eq!(server.found().await.hash(), document.hash());
    // To write something anew is no way around it, nor does it cost what was overwritten: the state counts.
    for _ in 0..5 {
        tell(&mut raw, channel, &edit(&mut document, "a", 1_000)).await;
        raw.acknowledged(channel).await;
    }
    let before = document.version().clone();
    document.edit(NOW, |tx| tx.delete(&["b"])).unwrap();
    tell(&mut raw, channel, &document.since(&before)).await;
    raw.acknowledged(channel).await;
    tell(&mut raw, channel, &edit(&mut document, "c", 4_000)).await;
    raw.acknowledged(channel).await;
    assert_eq!(server.found().await.hash(), document.hash());
}

/// Nobody can bring a document to where its version can be written and not be read.
#[tokio::test]
async fn a_replica_too_many_in_a_document() {
    let server = Small::open(|limits| limits.document_replicas = 3).await;
    let (mut raw, channel) = server.raw().await;
    let mut document = Document::new(MALLORY);
    for n in 1..=3 {
        tell(&mut raw, channel, &edit(&mut Document::new(ReplicaId::new(n)), &n.to_string(), 1)).await;
        raw.acknowledged(channel).await;
    }
    let before = server.found().await.hash();
    tell(&mut raw, channel, &edit(&mut document, "x", 1)).await;
    let (code, message) = raw.refusal("map").await;
    assert_eq!(code, Code::Full);
    assert!(message.contains("map") && message.contains('3'), "{message}");
    assert_eq!(server.found().await.hash(), before);
    // Those who are there go on.
    let mut first = Document::new(ReplicaId::new(1));
    edit(&mut first, "1", 1);
    tell(&mut raw, channel, &edit(&mut first, "more", 1)).await;
    raw.acknowledged(channel).await;
}

/// Large edits that are under way together have so much room and no more; one that finds none is asked for when there is.
#[tokio::test]
async fn large_edits_that_come_at_once() {
    let server = Small::closed(|limits| {
        limits.document_bytes = 100_000;
        limits.session.delta_bytes = 100_000;
        limits.coming_bytes = 100_000;
    })
    .await;
    let (mut raw, channel) = server.raw().await;
    // Never ended, and never more than it may be.
    raw.say(&Frame::Part { channel, delta: &[7; 60_000] }).await;
    raw.expect("Pong", |frame| matches!(frame, Frame::Pong).then_some(())).await;
    let alice = ReplicaId::new(1);
    let mut second = Raw::greet_with(&server.url, alice, &server.token("alice")).await;
    let other = second.open("other").await;
    let large = edit(&mut Document::new(alice), "large", 80_000);
    let bytes = large.encode();
    second.say(&Frame::Part { channel: other, delta: &bytes[..60_000] }).await;
    let (code, message) = second.refusal("other").await;
    assert_eq!(code, Code::Unavailable, "{message}");
    drop(raw);
    second.say(&Frame::Delta { channel: other, delta: &bytes[60_000..] }).await;
    second.expect("Lacks", |frame| matches!(frame, Frame::Lacks { .. }).then_some(())).await;
    for part in [
        Frame::Part { channel: other, delta: &bytes[..60_000] },
        Frame::Delta { channel: other, delta: &bytes[60_000..] },
    ] {
        second.say(&part).await;
    }
    second.acknowledged(other).await;
}

/// A large edit that was begun takes room until its end has come. Whoever says other things instead is not silent, and is
/// given up all the same.
#[tokio::test]
async fn a_large_edit_that_does_not_go_on() {
    let server = Small::closed(|limits| limits.stall = Duration::from_millis(200)).await;
    let (mut raw, channel) = server.raw().await;
    raw.say(&Frame::Part { channel, delta: &[7; 60_000] }).await;
    let (code, message) = patiently("it is given up", async {
        loop {
            raw.say(&Frame::Ping).await;
            let next = raw.next().await.expect("a frame");
            match Frame::decode(&next).unwrap() {
                Frame::Error { code, message } => return (code, message.to_owned()),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await;
    assert_eq!(code, Code::Silent);
    assert!(message.contains("does not go on"), "{message}");
}

/// A large state takes room as long as it is on its way. Whoever asks for it and does not read is given up.
#[tokio::test]
async fn a_large_state_that_is_not_read() {
    let server = Small::closed(|limits| {
        limits.stall = Duration::from_millis(200);
        limits.session.idle_millis = 600_000;
        limits.outgoing_bytes = 24 << 20;
    })
    .await;
    let client = Client::builder(&server.url).token(server.token("alice")).connect().await.unwrap();
    let map = client.open("map");
    // More than the system keeps for a socket.
    for n in 0..20 {
        map.edit(|tx| tx.set(&[&n.to_string()], "x".repeat(1_000_000))).unwrap();
    }
    patiently("durable", map.durable()).await.unwrap();
    let (_unread, _) = server.raw().await;
    // It reads no more; the next one finds no room for another state as long as it is not given up.
    map.edit(|tx| tx.set(&["more"], "y".repeat(1_000_000))).unwrap();
    patiently("durable", map.durable()).await.unwrap();
    assert_eq!(server.found().await.hash(), map.read(Document::hash));
}

/// A client shows what a full document refused, keeps it, and sends it once something has been removed.
#[tokio::test]
async fn what_a_full_document_refused_is_kept_until_there_is_room() {
    let server = Small::closed(|limits| {
        limits.document_bytes = 10_000;
        limits.measured = Duration::ZERO;
    })
    .await;
    let client = Client::builder(&server.url).token(server.token("alice")).connect().await.unwrap();
    let map = client.open("map");
    let set = |key: &str| map.edit(|tx| tx.set(&[key], "x".repeat(6_000))).unwrap();
    set("a");
    patiently("durable", map.durable()).await.unwrap();
    set("b");
    assert!(patiently("refused", map.durable()).await.is_err());
    let status = map.status();
    assert_eq!((status.refused, status.not_on_server), (Some(Code::Full), 1));
    map.edit(|tx| tx.delete(&["a"])).unwrap();
    until("everything is on the server", || map.status().not_on_server == 0).await;
    assert_eq!(map.status().refused, None);
    assert_eq!(server.found().await.hash(), map.read(Document::hash));
}

/// Beyond its pace a subject is told so, what follows is not looked at, and when there is room again it is asked for
/// everything that is lacking.
#[tokio::test]
async fn edits_that_come_too_fast() {
    let server = Small::closed(|limits| limits.edits = Rate { per_second: 1, burst: 3 }).await;
    let (mut raw, channel) = server.raw().await;
    let mut document = Document::new(MALLORY);
    for n in 0..10 {
        tell(&mut raw, channel, &edit(&mut document, &n.to_string(), 1)).await;
    }
    let (code, message) = raw.refusal("map").await;
    assert_eq!(code, Code::Rate);
    assert!(message.contains("1 edits a second"), "{message}");
    let has = raw
        .expect("Lacks", |frame| match frame {
            Frame::Refused { .. } => panic!("it is told once, not for each edit"),
            Frame::Lacks { version, .. } => Some(version.clone()),
            _ => None,
        })
        .await;
    assert!((3..10).contains(&has.seq(MALLORY)), "what was within the burst: {has:?}");
    tell(&mut raw, channel, &document.since(&has)).await;
    assert_eq!(raw.acknowledged(channel).await.seq(MALLORY), 10);
    assert_eq!(server.found().await.hash(), document.hash());
}

/// The same for a client that means well: all its edits arrive, later.
#[tokio::test]
async fn a_client_that_edits_too_fast_loses_nothing() {
    let server = Small::closed(|limits| {
        limits.edits = Rate { per_second: 10, burst: 3 };
        limits.throttle = Duration::from_millis(20);
    })
    .await;
    let connect = || Client::builder(&server.url).token(server.token("alice")).connect();
    let (one, two) = (connect().await.unwrap(), connect().await.unwrap());
    let documents = [one.open("map"), two.open("map"), one.open("other")];
    let mut events = documents.each_ref().map(DocumentHandle::events);
    for n in 0..60_i64 {
        for document in &documents {
            document.edit(|tx| tx.set(&["n"], n)).unwrap();
            // So that each is sent by itself.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for document in &documents {
        patiently("durable", document.durable()).await.unwrap();
        assert_eq!(document.status().refused, None);
    }
    patiently("synced", documents[0].synced()).await.unwrap();
    assert_eq!(server.found().await.hash(), documents[0].read(Document::hash));
    let mut refusals = 0;
    for events in &mut events {
        while let Ok(event) = events.try_recv() {
            refusals += usize::from(matches!(event, Event::Refused { code: Code::Rate, .. }));
        }
    }
    assert!(refusals > 0, "it was not too fast, so this shows nothing");
}

/// Queues that are full hold up whoever fills them, and lose nothing.
#[tokio::test]
async fn queues_of_one() {
    let server = Small::open(|limits| {
        (limits.room_queue, limits.room_batch) = (1, 1);
        (limits.commit_queue, limits.commit_batch, limits.compact_queue) = (1, 1, 1);
        (limits.mailbox_deltas, limits.mailbox_bytes) = (1, 100);
        (limits.inbound_bytes, limits.outbound_bytes, limits.messages_at_once) = (100, 100, 1);
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(Client::connect(&server.url).await.unwrap());
    }
    let maps: Vec<_> = clients.iter().map(|client| client.open("map")).collect();
    for n in 0..100_i64 {
        for map in &maps {
            map.edit(|tx| tx.increment(&["count"], n)).unwrap();
        }
        tokio::task::yield_now().await;
    }
    for map in &maps {
        patiently("durable", map.durable()).await.unwrap();
    }
    for map in &maps {
        patiently("synced", map.synced()).await.unwrap();
        assert_eq!(map.read(|document| document.counter(&["count"])), 5 * 99 * 50);
    }
}

/// Whoever moves a cursor fast is shown at its pace, and the last place is always shown.
#[tokio::test]
async fn a_presence_that_changes_too_fast() {
    let server = Small::open(|limits| limits.presence_per_second = 10).await;
    let (mut fast, channel) = server.raw().await;
    let mut watching = Raw::greet(&server.url, ReplicaId::new(1)).await;
    watching.open("map").await;
    let start = std::time::Instant::now();
    for n in 0..500_u32 {
        fast.say(&Frame::Presence { channel, peer: 1, state: &n.to_be_bytes() }).await;
    }
    let mut shown = 0_u32;
    watching
        .expect("the last place", |frame| match frame {
            Frame::Presence { state, .. } => {
                shown += 1;
                (*state == 499_u32.to_be_bytes()).then_some(())
            }
            _ => None,
        })
        .await;
    // One at once and ten a second; how long it took is not asserted, only what fits into it.
    let fits = 2 + 10 * (1 + start.elapsed().as_secs());
    assert!(u64::from(shown) <= fits, "{shown} shown");
    // And it is gone when its connection is.
    drop(fast);
    let gone = |frame: &Frame<'_>| matches!(frame, Frame::Presence { state: b"", .. }).then_some(());
    watching.expect("it has gone", gone).await;
}
