//! What programs are refused by HTTP, and that each of it is counted under its reason.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Faulty, Folder, Running, Shared, patiently, run, start};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use watersmeet_crdt::{Document, ReplicaId, Time, VersionVector};
use watersmeet_sync::access::{Access, Claims, SigningKey};
use watersmeet_sync::store::{Record, Store};
use watersmeet_sync::{Config, Limits, Server};
use watersmeet_tests::http::{self, Answer};

const TYPE: (&str, &str) = ("Content-Type", "application/vnd.watersmeet.delta");

fn port(server: &Running) -> u16 {
    server.url.trim_end_matches("/sync").rsplit(':').next().unwrap().parse().unwrap()
}

async fn ask(port: u16, method: &'static str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let (path, body) = (path.to_owned(), body.to_vec());
    let headers: Vec<(String, String)> =
        headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let asking = tokio::task::spawn_blocking(move || {
        let headers: Vec<_> = headers.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        http::send(port, method, &path, &headers, &body)
    });
    patiently("an answer", asking).await.unwrap()
}

/// Two edits of a replica, each as a delta.
fn edits(replica: u64) -> [Vec<u8>; 2] {
    let mut document = Document::new(ReplicaId::new(replica));
    [1, 2].map(|n| {
        let before = document.version().clone();
        document.edit(Time::from_millis(n), |tx| tx.increment(&["count"], 1)).unwrap();
        document.since(&before).encode().to_vec()
    })
}

/// A document that is damaged is neither read nor written to, whoever asks in whatever way.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_document_is_unavailable_and_stays_as_it_is() {
    let folder = Folder::fresh();
    let store = Faulty::open(&folder, false);
    let records = [edits(1)[0].clone(), vec![0xff; 9]].map(|delta| Record {
        document: "damaged".into(),
        delta: delta.into(),
        claims: Vec::new(),
    });
    store.inner.append(&records).unwrap();
    let before = format!("{:?}", store.inner.load("damaged").unwrap());
    let server = start(Shared(store.clone()), Limits::default()).await;
    let port = port(&server);
    for (method, path) in [
        ("POST", "/docs/damaged/deltas"),
        ("GET", "/docs/damaged"),
        ("GET", "/docs/damaged/changes"),
        ("GET", "/docs/damaged/changes?form=json"),
    ] {
        let answer = ask(port, method, path, &[TYPE], &edits(2)[0]).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{path}: {answer:?}");
        assert!(answer.body.contains(r#""code":"unavailable""#), "{answer:?}");
    }
    assert_eq!(ask(port, "POST", "/docs/other/deltas", &[TYPE], &edits(2)[0]).await.status, 200);
    server.stop().await;
    assert_eq!(format!("{:?}", store.inner.load("damaged").unwrap()), before);
}

/// A token that was good when the request began, and is not when its body is there, is not good.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_while_the_body_comes_does_not_count() {
    let key = SigningKey::generate_ed25519("key").unwrap();
    let folder = Folder::fresh();
    let server = Server::open(Config::new(&folder.0, Access::keys([key.verifying()]))).unwrap();
    let server = run(server).await;
    let port = port(&server);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // Clocks may differ by 30 seconds.
    let claims = Claims { write: vec!["**".parse().unwrap()], ..Claims::new("alice", now - 26) };
    let (token, delta) = (key.sign(&claims), edits(1)[0].clone());
    let slowly = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let head = format!(
            "POST /docs/map/deltas HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
            delta.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&delta[..1]).unwrap();
        while SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() <= now + 5 {
            std::thread::sleep(Duration::from_millis(50));
        }
        stream.write_all(&delta[1..]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = patiently("an answer", slowly).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains(r#""code":"expired""#), "{answer}");
    let later = Claims { read: vec!["**".parse().unwrap()], ..Claims::new("alice", now + 3_600) };
    let bearer = format!("Bearer {}", key.sign(&later));
    assert_eq!(ask(port, "GET", "/docs/map", &[("Authorization", &bearer)], b"").await.status, 404);
    server.stop().await;
}

/// What is refused for how, how often or beside how many others it is asked.
async fn ask_otherwise(port: u16, writer: &str, other: &str, first: &[u8]) {
    let deltas = "/docs/map/deltas";
    let header = |token| [("Authorization", token), TYPE];
    let text = [("Authorization", writer), ("Content-Type", "text/plain")];
    assert_eq!(ask(port, "POST", deltas, &text, first).await.status, 415);
    let html = [("Authorization", writer), ("Accept", "text/html")];
    assert_eq!(ask(port, "GET", "/docs/map", &html, b"").await.status, 406);
    let page = [("Origin", "https://evil.example")];
    assert_eq!(ask(port, "GET", "/docs/map", &page, b"").await.status, 403);
    // One edit after the other, until they are too many.
    let mut rate = 0;
    while rate == 0 {
        let answer = ask(port, "POST", deltas, &header(writer), first).await;
        rate += usize::from(answer.status == 429 && answer.body.contains("\"rate\""));
    }
    // One connection more than a subject may have.
    let feed = header(other);
    let (status, _events) = http::Events::open(port, "/docs/map/changes", &feed[..1]);
    assert_eq!(status, 200);
    let limit = ask(port, "GET", "/docs/map", &header(other), b"").await;
    assert!(limit.status == 429 && limit.body.contains("\"limit\""), "{limit:?}");
}

/// Whatever is refused is counted, once, under the code that was told.
#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_counted_under_its_reason() {
    let key = SigningKey::generate_ed25519("key").unwrap();
    let folder = Folder::fresh();
    let access = Access::keys([key.verifying()]);
    let limits = Limits {
        upload_bytes: 10_000,
        edits: watersmeet_sync::Rate { per_second: 1, burst: 12 },
        connections_per_subject: 1,
        ..Limits::default()
    };
    let server = Server::open(Config { limits, ..Config::new(&folder.0, access) }).unwrap();
    let server = run(server).await;
    let port = port(&server);
    let sign = |claims: Claims| format!("Bearer {}", key.sign(&claims));
    let all = || vec!["**".parse().unwrap()];
    let far = 4_000_000_000;
    let writer = sign(Claims { write: all(), ..Claims::new("writer", far) });
    let other = sign(Claims { write: all(), ..Claims::new("other", far) });
    let reader = sign(Claims { read: all(), ..Claims::new("reader", far) });
    let late = sign(Claims { read: all(), ..Claims::new("late", 1_000) });
    let [first, second] = edits(1);
    let mut ahead = Document::new(ReplicaId::new(3));
    ahead.edit(Time::from_millis(u64::MAX >> 20), |tx| tx.set(&["a"], 1_i64)).unwrap();
    let ahead = ahead.since(&VersionVector::default()).encode();
    let mut copied = Document::new(ReplicaId::new(1));
    copied.edit(Time::from_millis(9), |tx| tx.increment(&["count"], 9)).unwrap();
    let copied = copied.state().encode();
    let large = vec![0; 10_001];
    let auth = |token: &String| ("Authorization", token.clone());
    let none = ("Accept", "*/*".to_owned());
    let deltas = "/docs/map/deltas";
    // In this order: later ones build on what the first leaves there.
    let nothing: &[u8] = b"";
    let refused = [
        ("unauthenticated", 401, "GET", "/docs/map", none.clone(), nothing),
        ("expired", 401, "GET", "/docs/map", auth(&late), nothing),
        ("forbidden", 403, "POST", deltas, auth(&reader), &first[..]),
        ("not-found", 404, "GET", "/docs/map", auth(&reader), nothing),
        ("no-such-path", 404, "GET", "/docs/map/x", none.clone(), nothing),
        ("method", 405, "DELETE", "/docs/map", none.clone(), nothing),
        ("name", 400, "GET", "/docs/%07", auth(&reader), nothing),
        ("bad-request", 400, "GET", "/docs/map/changes?since=x", auth(&reader), nothing),
        ("malformed", 400, "POST", deltas, auth(&writer), &b"x"[..]),
        ("too-large", 413, "POST", deltas, auth(&writer), &large[..]),
        ("clock-skew", 422, "POST", deltas, auth(&writer), &ahead[..]),
        ("gap", 409, "POST", deltas, auth(&writer), &second[..]),
        ("", 200, "POST", deltas, auth(&writer), &first[..]),
        ("author", 403, "POST", deltas, auth(&other), &second[..]),
        ("equivocation", 409, "POST", deltas, auth(&writer), &copied[..]),
        ("not-a-websocket", 400, "GET", "/sync", none.clone(), nothing),
    ];
    for (code, status, method, path, header, body) in &refused {
        let header = (header.0, header.1.as_str());
        let answer = ask(port, method, path, &[header, TYPE], body).await;
        assert_eq!(answer.status, *status, "{code}: {answer:?}");
        assert!(
            answer.body.contains(&format!("\"code\":\"{code}\"")) || code.is_empty(),
            "{code}: {answer:?}"
        );
    }
    ask_otherwise(port, &writer, &other, &first).await;
    let metrics = ask(port, "GET", "/metrics", &[], b"").await.body;
    let counted: std::collections::BTreeMap<&str, &str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("watersmeet_refusals_total{reason=\"")?.split_once("\"} "))
        .collect();
    let codes = refused.iter().map(|row| row.0).filter(|code| !code.is_empty());
    let expected = codes.chain(["media-type", "not-acceptable", "origin", "rate", "limit"]);
    assert_eq!(counted, expected.map(|code| (code, "1")).collect());
    server.stop().await;
}
