//! The routes of documents, for programs that hold no socket: what they promise, through a real server and real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use watersmeet_client::Client;
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, VersionVector};
use watersmeet_sync::access::{Access, Claims, SigningKey};
use watersmeet_sync::{Config, Limits, Server, router, serve};
use watersmeet_tests::http::{self, Answer, Events};
use watersmeet_tests::patiently;

const SNAPSHOT: &str = "application/vnd.watersmeet.snapshot";
const DELTA: &str = "application/vnd.watersmeet.delta";
const NOW: Time = Time::from_millis(1_700_000_000_000);

/// A server in this process, with a data folder of its own.
struct Running {
    port: u16,
    data: PathBuf,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start() -> Self {
        Self::start_with(Access::open(), Limits::default()).await
    }

    async fn start_with(access: Access, limits: Limits) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let data = std::env::temp_dir().join(format!("watersmeet-http-{}-{number}", std::process::id()));
        let server = Server::open(Config { limits, ..Config::new(&data, access) }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            serve(listener, router(server.clone()), &server, stopped).await.unwrap();
        });
        Running { port, data, stop, serving }
    }

    async fn send(&self, method: &'static str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let (port, path, body) = (self.port, path.to_owned(), body.to_vec());
        let headers: Vec<_> =
            headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let asking = tokio::task::spawn_blocking(move || {
            let headers: Vec<_> = headers.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            http::send(port, method, &path, &headers, &body)
        });
        patiently("an answer", asking).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, b"").await
    }

    async fn post(&self, name: &str, delta: &[u8]) -> Answer {
        self.send("POST", &format!("/docs/{name}/deltas"), &[("Content-Type", DELTA)], delta).await
    }

    /// The document's state, as a program with the engine reads it.
    async fn document(&self, name: &str) -> Document {
        let answer = self.get(&format!("/docs/{name}"), &[("Accept", SNAPSHOT)]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(SNAPSHOT)), "{answer:?}");
        let mut document = Document::new(ReplicaId::new(99));
        document.apply(Delta::decode(&answer.bytes).unwrap()).unwrap();
        document
    }

    async fn stop(self) {
        self.stop.cancel();
        patiently("the server stops", self.serving).await.unwrap();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// A program with the engine and no socket.
struct Program {
    document: Document,
    /// What it last sent.
    sent: VersionVector,
}

impl Program {
    fn new(replica: u64) -> Self {
        Program { document: Document::new(ReplicaId::new(replica)), sent: VersionVector::default() }
    }

    /// One edit, as the bytes of its delta.
    fn add(&mut self, by: i64) -> Vec<u8> {
        self.document.edit(NOW, |tx| tx.increment(&["count"], by)).unwrap();
        let delta = self.document.since(&self.sent).encode();
        self.sent = self.document.version().clone();
        delta.to_vec()
    }
}

fn body(answer: &Answer) -> Json {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// Refused with a status and a code, and with a sentence.
fn is_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, &body(answer)["error"]["code"]), (status, &json!(code)), "{answer:?}");
    assert!(body(answer)["error"]["message"].as_str().unwrap().len() > 10, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_read_as_json_and_as_the_engine_writes_it() {
    let server = Running::start().await;
    let client = Client::connect(&format!("ws://127.0.0.1:{}/sync", server.port)).await.unwrap();
    let document = client.open("maps/old town");
    document
        .edit(|tx| {
            tx.set(&["name"], "Old mill");
            tx.increment(&["votes"], 2);
        })
        .unwrap();
    patiently("durable", document.durable()).await.unwrap();

    let path = "/docs/maps%2Fold%20town";
    let answer = server.get(path, &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let version = format!("{}:2", client.replica().get());
    assert_eq!(
        body(&answer),
        json!({
            "document": "maps/old town",
            "version": version,
            "root": { "name": { "register": "Old mill" }, "votes": { "counter": 2 } },
        })
    );
    assert_eq!(answer.header("watersmeet-version"), Some(version.as_str()));
    assert_eq!(server.document("maps%2Fold%20town").await.hash(), document.read(Document::hash));

    is_refused(&server.get("/docs/maps/old%20town", &[]).await, 404, "no-such-path");
    is_refused(&server.get("/docs/none", &[]).await, 404, "not-found");
    is_refused(&server.get(path, &[("Accept", "text/html")]).await, 406, "not-acceptable");
    is_refused(&server.get("/docs/%FF", &[]).await, 400, "bad-request");
    is_refused(&server.get("/docs/%07", &[]).await, 400, "name");
    is_refused(&server.get(&format!("/docs/{}", "x".repeat(257)), &[]).await, 400, "name");
    is_refused(&server.send("DELETE", path, &[], b"").await, 405, "method");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_has_is_not_sent_again() {
    let server = Running::start().await;
    let mut program = Program::new(1);
    assert_eq!(server.post("map", &program.add(1)).await.status, 200);
    for accept in ["application/json", SNAPSHOT] {
        let first = server.get("/docs/map", &[("Accept", accept)]).await;
        let etag = first.header("etag").unwrap();
        assert!(
            etag.starts_with('"') && etag.contains(&format!("{:032x}", program.document.hash())),
            "{etag}"
        );
        let again = server.get("/docs/map", &[("Accept", accept), ("If-None-Match", etag)]).await;
        assert_eq!((again.status, again.bytes.len(), again.header("etag")), (304, 0, Some(etag)));
        let head = server.send("HEAD", "/docs/map", &[("Accept", accept)], b"").await;
        assert_eq!((head.status, head.bytes.len(), head.header("etag")), (200, 0, Some(etag)));
        assert_eq!(head.header("content-length"), Some(first.bytes.len().to_string().as_str()));
        assert_eq!(server.post("map", &program.add(1)).await.status, 200);
        let changed = server.get("/docs/map", &[("Accept", accept), ("If-None-Match", etag)]).await;
        assert_eq!(changed.status, 200);
        assert_ne!(changed.header("etag"), Some(etag));
        assert_eq!(changed.header("cache-control"), Some("private, no-cache"));
        assert!(changed.header("vary").unwrap().contains("accept"));
    }
    server.stop().await;
}

/// However often, and in whatever words, somebody asks: a state is encoded once.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_encoded_once_for_all_who_ask() {
    let server = Running::start().await;
    let mut program = Program::new(1);
    assert_eq!(server.post("map", &program.add(1)).await.status, 200);
    let encoded = async || {
        let metrics = server.get("/metrics", &[]).await.body;
        let line =
            metrics.lines().find_map(|line| line.strip_prefix("watersmeet_encoded_answers_total ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    for n in 0..20 {
        assert_eq!(server.get("/docs/map", &[("Accept", SNAPSHOT)]).await.status, 200);
        // Events that nobody ever heard of.
        let (port, path) = (server.port, format!("/docs/map/changes?since={}:1", 1_000 + n));
        let following = tokio::task::spawn_blocking(move || Events::open(port, &path, &[]).1.next().unwrap());
        assert_eq!(
            patiently("an event", following).await.unwrap().id.unwrap().split(',').next(),
            Some("1:1")
        );
    }
    assert_eq!(encoded().await, 1);
    assert_eq!(server.post("map", &program.add(1)).await.status, 200);
    assert_eq!(server.document("map").await.counter(&["count"]), 2);
    assert_eq!(encoded().await, 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_is_posted_once_however_often_it_comes() {
    let server = Running::start().await;
    let client = Client::connect(&format!("ws://127.0.0.1:{}/sync", server.port)).await.unwrap();
    let reader = client.open("map");
    patiently("synced", reader.synced()).await.unwrap();
    let mut program = Program::new(1);
    let (first, second) = (program.add(1), program.add(10));

    // What builds on what is not here is told what is.
    let gap = server.post("map", &second).await;
    is_refused(&gap, 409, "gap");
    assert_eq!(body(&gap)["error"]["version"], "");

    let once = server.post("map", &first).await;
    assert_eq!((once.status, body(&once)), (200, json!({ "document": "map", "acknowledged": "1:1" })));
    let other = server.post("map", &Program::new(2).add(5)).await;
    assert_eq!(other.status, 200, "what builds on nothing needs nothing: {other:?}");
    for _ in 0..3 {
        let again = server.post("map", &first).await;
        assert_eq!((again.status, &again.bytes), (200, &once.bytes));
    }
    assert_eq!(server.post("map", &second).await.status, 200);
    watersmeet_tests::until("the reader sees them", || {
        reader.read(|document| document.counter(&["count"])) == 16
    })
    .await;
    assert_eq!(server.document("map").await.counter(&["count"]), 16);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_delta_is_refused_and_changes_nothing() {
    let limits = Limits { upload_bytes: 1_000, ..Limits::default() };
    let server = Running::start_with(Access::open(), limits).await;
    is_refused(&server.post("map", b"garbage").await, 400, "malformed");
    is_refused(&server.post("map", b"").await, 400, "malformed");
    is_refused(&server.post("map", &[0; 1_001]).await, 413, "too-large");
    let wrong = server.send("POST", "/docs/map/deltas", &[("Content-Type", "application/json")], b"{}").await;
    is_refused(&wrong, 415, "media-type");
    let mut fast = Document::new(ReplicaId::new(1));
    fast.edit(Time::from_millis(u64::MAX >> 20), |tx| tx.set(&["a"], 1_i64)).unwrap();
    is_refused(&server.post("map", &fast.state().encode()).await, 422, "clock-skew");
    is_refused(&server.get("/docs/map", &[]).await, 404, "not-found");
    server.stop().await;
}

/// A follower with the engine: applies what comes, checking that each event begins where the last one ended.
struct Follower {
    document: Document,
    last: Option<String>,
    events: Events,
}

impl Follower {
    fn open(port: u16, path: &str, document: Document, last: Option<String>) -> Self {
        let headers: Vec<_> = last.iter().map(|last| ("Last-Event-ID", last.as_str())).collect();
        let (status, events) = Events::open(port, path, &headers);
        assert_eq!(status, 200);
        Follower { document, last, events }
    }

    /// Reads on until the document is `wanted`; how many events that took.
    fn until(&mut self, wanted: &Document) -> usize {
        let mut count = 0;
        while self.document.version() != wanted.version() {
            let event = self.events.next().expect("the stream goes on");
            assert_eq!(event.event, "delta");
            let said: Json = serde_json::from_str(&event.data).unwrap();
            let delta = BASE64_STANDARD.decode(said["delta"].as_str().unwrap()).unwrap();
            assert!(self.document.apply(Delta::decode(&delta).unwrap()).unwrap(), "nothing new: {event:?}");
            assert_eq!(said["version"].as_str(), event.id.as_deref());
            self.last = event.id;
            count += 1;
        }
        assert_eq!(self.document.hash(), wanted.hash());
        count
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_followed_from_any_version_and_resumed_without_a_gap() {
    let server = Running::start().await;
    let mut program = Program::new(1);
    for _ in 0..5 {
        server.post("map", &program.add(1)).await;
    }
    let nothing = || Document::new(ReplicaId::new(7));
    let mut follower = Follower::open(server.port, "/docs/map/changes", nothing(), None);
    assert_eq!(follower.until(&program.document), 1, "the past is one group");
    for n in 1..=5 {
        let delta = program.add(n);
        server.post("map", &delta).await;
        assert_eq!(follower.until(&program.document), 1);
    }
    // Cut off, it misses some, comes back, and lacks none. A version in the address counts only the first time.
    let Follower { document, last, events } = follower;
    drop(events);
    for _ in 0..5 {
        server.post("map", &program.add(1)).await;
    }
    let mut follower = Follower::open(server.port, "/docs/map/changes?since=", document, last.clone());
    assert_eq!(follower.until(&program.document), 1);
    // Whoever has read the document begins there.
    let since = format!("/docs/map/changes?since={}", last.unwrap());
    let mut early = nothing();
    early.apply(program.document.since(&VersionVector::default())).unwrap();
    let delta = program.add(1);
    let since_now = format!("/docs/map/changes?since={}", "1:15");
    let mut late = Follower::open(server.port, &since_now, early, None);
    server.post("map", &delta).await;
    assert_eq!(late.until(&program.document), 1);
    assert_eq!(Events::open(server.port, &since, &[]).0, 200);
    for headers in [&[][..], &[("Last-Event-ID", "5:1")]] {
        assert_eq!(Events::open(server.port, "/docs/map/changes?since=x", headers).0, 400);
    }
    assert_eq!(Events::open(server.port, "/docs/map/changes", &[("Last-Event-ID", "1:0")]).0, 400);
    // A stop ends the streams, and is not held up by them.
    let port = server.port;
    server.stop().await;
    assert_eq!(follower.until(&program.document), 1);
    assert_eq!((follower.events.next(), late.events.next()), (None, None), "{port}");
}

/// A reader that stops reading holds nobody up, costs what a mailbox may cost, and lacks nothing in the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_is_sent_one_group_in_the_end() {
    const EDITS: usize = 300;
    const EDIT_BYTES: usize = 64 << 10;
    // On a slow machine the edits take longer than a reader may stall.
    let stall = Duration::from_secs(3_600);
    let limits = Limits { mailbox_bytes: 4 * EDIT_BYTES, stall, ..Limits::default() };
    let server = Running::start_with(Access::open(), limits).await;
    let mut program = Program::new(1);
    server.post("map", &program.add(1)).await;
    let mut follower =
        Follower::open(server.port, "/docs/map/changes", Document::new(ReplicaId::new(7)), None);
    for n in 0..EDITS {
        let before = program.document.version().clone();
        let value = vec![u8::try_from(n % 256).unwrap(); EDIT_BYTES];
        program.document.edit(NOW, |tx| tx.set(&["blob"], value)).unwrap();
        let answer = server.post("map", &program.document.since(&before).encode()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let metrics = server.get("/metrics", &[]).await.body;
    let drops = metrics.lines().find_map(|line| line.strip_prefix("watersmeet_queue_drops_total ")).unwrap();
    assert!(drops.parse::<u64>().unwrap() > 0, "{drops}");
    let events = follower.until(&program.document);
    assert!(events < EDITS, "{events} events: nothing was merged");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_listed_page_by_page() {
    let server = Running::start().await;
    let empty = server.get("/docs", &[]).await;
    assert_eq!((empty.status, body(&empty)), (200, json!({ "documents": [] })));
    for name in ["b", "a", "maps%2Fa", "c"] {
        assert_eq!(server.post(name, &Program::new(1).add(1)).await.status, 200);
    }
    assert_eq!(body(&server.get("/docs", &[]).await), json!({ "documents": ["a", "b", "c", "maps/a"] }));
    let first = server.get("/docs?limit=3", &[]).await;
    assert_eq!(body(&first), json!({ "documents": ["a", "b", "c"], "next": "c" }));
    assert_eq!(body(&server.get("/docs?limit=3&after=c", &[]).await), json!({ "documents": ["maps/a"] }));
    for wrong in ["limit=0", "limit=1001", "limit=x", "limit=-1"] {
        is_refused(&server.get(&format!("/docs?{wrong}"), &[]).await, 400, "bad-request");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_needed_for_what_it_is_needed_for() {
    let key = SigningKey::generate_ed25519("2026").unwrap();
    let far = 4_000_000_000;
    let sign = |claims: Claims| format!("Bearer {}", key.sign(&claims));
    let reader = sign(Claims { read: vec!["maps/*".parse().unwrap()], ..Claims::new("reader", far) });
    let writer = sign(Claims { write: vec!["maps/a".parse().unwrap()], ..Claims::new("writer", far) });
    let other = sign(Claims { write: vec!["maps/b".parse().unwrap()], ..Claims::new("other", far) });
    let late = sign(Claims { write: vec!["**".parse().unwrap()], ..Claims::new("late", 1_000) });
    let server = Running::start_with(Access::keys([key.verifying()]), Limits::default()).await;
    let as_who = |token: &str| [("Authorization", token.to_owned()), ("Content-Type", DELTA.to_owned())];
    let post = async |token: &str, name: &str| {
        let headers = as_who(token);
        let headers: Vec<_> = headers.iter().map(|(key, value)| (*key, value.as_str())).collect();
        server.send("POST", &format!("/docs/{name}/deltas"), &headers, &Program::new(1).add(1)).await
    };
    let get = async |token: &str, path: &str| server.get(path, &[("Authorization", token)]).await;

    for denied in [server.get("/docs/maps%2Fa", &[]).await, server.get("/docs", &[]).await] {
        is_refused(&denied, 401, "unauthenticated");
        assert_eq!(denied.header("www-authenticate"), Some("Bearer"));
    }
    is_refused(&get(&late, "/docs/maps%2Fa").await, 401, "expired");
    is_refused(&post(&reader, "maps%2Fa").await, 403, "forbidden");
    is_refused(&post(&writer, "maps%2Fb").await, 403, "forbidden");
    assert_eq!(post(&writer, "maps%2Fa").await.status, 200);
    // Replica 1 is the writer's from now on.
    is_refused(&post(&other, "maps%2Fb").await, 403, "author");
    assert_eq!(get(&reader, "/docs/maps%2Fa").await.status, 200);
    is_refused(&get(&writer, "/docs/maps%2Fb").await, 403, "forbidden");
    is_refused(&get(&reader, "/docs/plans").await, 403, "forbidden");
    is_refused(&get(&reader, "/docs/plans/changes").await, 403, "forbidden");
    assert_eq!(body(&get(&reader, "/docs").await), json!({ "documents": ["maps/a"] }));
    // A page goes on from what may be read, not from what may not.
    assert_eq!(post(&writer, "maps%2Fa").await.status, 200);
    let both = sign(Claims { write: vec!["**".parse().unwrap()], ..Claims::new("both", far) });
    for (replica, name) in [(21, "a"), (22, "maps%2Fb"), (23, "maps%2Fb%2Fc"), (24, "z")] {
        let headers = as_who(&both);
        let headers: Vec<_> = headers.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let program = Program::new(replica).add(1);
        assert_eq!(
            server.send("POST", &format!("/docs/{name}/deltas"), &headers, &program).await.status,
            200
        );
    }
    let first = body(&get(&reader, "/docs?limit=1").await);
    assert_eq!(first, json!({ "documents": ["maps/a"], "next": "maps/a" }));
    let second = body(&get(&reader, "/docs?limit=2&after=maps/a").await);
    assert_eq!(second, json!({ "documents": ["maps/b"] }), "nothing of what comes after and may not be read");
    let nobody = sign(Claims { read: vec!["other".parse().unwrap()], ..Claims::new("nobody", far) });
    assert_eq!(body(&get(&nobody, "/docs").await), json!({ "documents": [] }));
    server.stop().await;
}

/// A stream ends when the token that opened it does.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_lasts_no_longer_than_its_token() {
    let key = SigningKey::generate_ed25519("2026").unwrap();
    let server = Running::start_with(Access::keys([key.verifying()]), Limits::default()).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // Valid for a few seconds more, since clocks may differ by 30.
    let claims = Claims { read: vec!["map".parse().unwrap()], ..Claims::new("reader", now - 27) };
    let token = format!("Bearer {}", key.sign(&claims));
    let port = server.port;
    let following = tokio::task::spawn_blocking(move || {
        let (status, mut events) = Events::open(port, "/docs/map/changes", &[("Authorization", &token)]);
        (status, events.next())
    });
    assert_eq!(patiently("the token expires", following).await.unwrap(), (200, None));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_pages_may_not_use_the_routes_and_own_ones_may() {
    let server = Running::start().await;
    let own = format!("http://127.0.0.1:{}", server.port);
    assert_eq!(server.post("map", &Program::new(1).add(1)).await.status, 200);
    let page = server.get("/docs/map", &[("Origin", &own)]).await;
    assert_eq!((page.status, page.header("access-control-allow-origin")), (200, Some(own.as_str())));
    let asks = [("Origin", own.as_str()), ("Access-Control-Request-Method", "POST")];
    let allowed = server.send("OPTIONS", "/docs/map/deltas", &asks, b"").await;
    assert_eq!(
        (allowed.status, allowed.header("access-control-allow-methods")),
        (204, Some("GET, HEAD, POST"))
    );
    let evil = [("Origin", "https://evil.example"), ("Content-Type", DELTA)];
    let refused = server.send("POST", "/docs/map/deltas", &evil, &Program::new(2).add(1)).await;
    is_refused(&refused, 403, "origin");
    assert_eq!(refused.header("access-control-allow-origin"), None);
    assert_eq!(server.document("map").await.counter(&["count"]), 1);
    server.stop().await;
}

/// A body that does not come is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_given_up() {
    let limits = Limits { upload: Duration::from_millis(20), ..Limits::default() };
    let server = Running::start_with(Access::open(), limits).await;
    let port = server.port;
    let asking = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let head = "POST /docs/map/deltas HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = patiently("an answer", asking).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(r#""code":"silent""#), "{answer}");
    server.stop().await;
}
