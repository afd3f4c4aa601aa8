//! Strangers who open sockets and do as little as they can with them hold what a limit says, and no longer than it says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Faulty, Folder, Running, Shared, patiently, start, until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use watersmeet_crdt::document::Transaction;
use watersmeet_crdt::{Document, ReplicaId, Time};
use watersmeet_sync::Limits;
use watersmeet_tests::http::{self, Answer};

/// A document as the engine writes it, which takes no time to render.
const SNAPSHOT: (&str, &str) = ("Accept", "application/vnd.watersmeet.snapshot");

async fn served(limits: Limits) -> (Running, u16, Folder) {
    let folder = Folder::fresh();
    let server = start(Shared(Faulty::open(&folder, false)), limits).await;
    let port = server.url.trim_end_matches("/sync").rsplit(':').next().unwrap().parse().unwrap();
    (server, port, folder)
}

async fn get(port: u16, path: &'static str) -> Answer {
    patiently("an answer", tokio::task::spawn_blocking(move || http::get(port, path, &[SNAPSHOT])))
        .await
        .unwrap()
}

/// Says something, and reads until the server closes.
async fn hear_out(port: u16, said: &'static [u8]) -> String {
    let hearing = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(said).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    patiently("the server closes", hearing).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let limits = Limits { head: Duration::from_millis(200), ..Limits::default() };
    let (server, port, _folder) = served(limits).await;
    let (_client, document) = server.open("map").await;
    patiently("synced", document.synced()).await.unwrap();
    assert_eq!(hear_out(port, b"").await, "", "who says nothing");
    assert_eq!(hear_out(port, b"GET /health HT").await, "", "who does not say all");
    let once = hear_out(port, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
    assert!(
        once.starts_with("HTTP/1.1 200 ") && once.ends_with(r#"{"status":"ok"}"#),
        "who asks once: {once}"
    );
    // A WebSocket has a pace of its own, and is still there.
    document.edit(|tx| tx.set(&["a"], 1_i64)).unwrap();
    patiently("durable", document.durable()).await.unwrap();
    let metrics = get(port, "/metrics").await.body;
    assert!(metrics.contains("\nwatersmeet_received_deltas_total 1\n"), "{metrics}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_too_many_is_told_so() {
    let (server, port, _folder) = served(Limits { sockets: 3, ..Limits::default() }).await;
    let (_client, document) = server.open("map").await;
    patiently("synced", document.synced()).await.unwrap();
    let idle: Vec<_> = (0..2).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let refused = get(port, "/health").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{refused:?}");
    let said: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(said["error"]["code"], "full", "{refused:?}");
    drop(idle);
    // Whoever is in has not suffered, and there is room again.
    document.edit(|tx| tx.set(&["a"], 1_i64)).unwrap();
    patiently("durable", document.durable()).await.unwrap();
    patiently("there is room", async {
        while get(port, "/health").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let metrics = get(port, "/metrics").await.body;
    assert!(metrics.contains("watersmeet_refusals_total{reason=\"full\"}"), "{metrics}");
    // That a question's socket is closed is seen a moment after its answer.
    patiently("only the WebSocket and this question are left", async {
        while !get(port, "/metrics").await.body.contains("\nwatersmeet_sockets 2\n") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    server.stop().await;
}

/// More than the system itself keeps for a socket.
const LARGE_BYTES: usize = 36_000_000;

/// Whoever asks for a large document and does not read it counts as long as it is being sent, and is given up.
async fn an_answer_that_is_not_read(limits: Limits, path: &str, said: &str) {
    let (server, port, _folder) = served(limits).await;
    let mut document = Document::new(ReplicaId::new(1));
    for part in 0..3 {
        let before = document.version().clone();
        let text = "x".repeat(LARGE_BYTES / 36);
        let write = |tx: &mut Transaction| {
            (0..12).for_each(|n| tx.set(&[&format!("{part} {n}")], text.as_str()));
        };
        document.edit(Time::from_millis(1), write).unwrap();
        let delta = document.since(&before).encode();
        let posting =
            tokio::task::spawn_blocking(move || http::send(port, "POST", "/docs/map/deltas", &[], &delta));
        let answer = patiently("an answer", posting).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let mut unread = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (name, value) = SNAPSHOT;
    let asked = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\n\r\n");
    unread.write_all(asked.as_bytes()).unwrap();
    // More than its head.
    patiently("the answer begins", {
        let mut unread = unread.try_clone().unwrap();
        tokio::task::spawn_blocking(move || unread.read_exact(&mut [0; 64 << 10]).unwrap())
    })
    .await
    .unwrap();
    let refused = get(port, "/docs/map").await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains(said), "{refused:?}");
    let mut answer = None;
    patiently("the one who does not read is given up", async {
        while answer.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = Some(get(port, "/docs/map").await).filter(|answer| answer.status == 200);
        }
    })
    .await;
    let answer = answer.unwrap();
    assert!(answer.bytes.len() > LARGE_BYTES);
    assert_eq!(answer.header("content-length"), Some(answer.bytes.len().to_string().as_str()));
    // It was cut off, and not merely passed over.
    let cut = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        let _ = unread.read_to_end(&mut bytes);
        bytes.len()
    });
    assert!(patiently("the end", cut).await.unwrap() < answer.bytes.len());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_read_counts_among_connections() {
    let limits = Limits { connections: 1, stall: Duration::from_secs(2), ..Limits::default() };
    an_answer_that_is_not_read(limits, "/docs/map", "as many connections").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_not_read_have_so_many_bytes() {
    let limits = Limits { answer_bytes: 40 << 20, stall: Duration::from_secs(2), ..Limits::default() };
    an_answer_that_is_not_read(limits, "/docs/map", "sends as much").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_not_read_counts_among_answers() {
    let limits = Limits { answer_bytes: 40 << 20, stall: Duration::from_secs(2), ..Limits::default() };
    an_answer_that_is_not_read(limits, "/docs/map/changes", "sends as much").await;
}

/// Who listens to a feed and does not read is given up too, and with it what waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_is_not_read_ends() {
    let stall = Duration::from_millis(300);
    let (server, port, _folder) = served(Limits { stall, ..Limits::default() }).await;
    let (_client, document) = server.open("map").await;
    patiently("synced", document.synced()).await.unwrap();
    let mut unread = TcpStream::connect(("127.0.0.1", port)).unwrap();
    unread.write_all(b"GET /docs/map/changes HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let sockets = || {
        let body = http::get(port, "/metrics", &[]).body;
        let line = body.lines().find_map(|line| line.strip_prefix("watersmeet_sockets ")).unwrap().to_owned();
        line.parse::<u32>().unwrap()
    };
    until("it follows", || tokio::task::block_in_place(sockets) == 3).await;
    let text = "x".repeat(1_000_000);
    patiently("it is given up", async {
        for n in 0_i64.. {
            document.edit(|tx| tx.set(&["text"], format!("{n} {text}"))).unwrap();
            document.durable().await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            if tokio::task::block_in_place(sockets) == 2 {
                break;
            }
        }
    })
    .await;
    server.stop().await;
}
