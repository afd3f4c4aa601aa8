//! SIGTERM under load: what was acknowledged is there, peers are told to come back, and the server ends in time with
//! code 0, whoever does not read or does not close.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(unix)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use watersmeet_client::{Client, DocumentHandle};
use watersmeet_crdt::session::{Code, Frame};
use watersmeet_crdt::{Document, ReplicaId};
use watersmeet_tests::{Raw, Server, patiently, until};

const WRITERS: usize = 8;

/// The frame of one more edit.
fn edit(document: &mut Document, channel: u32, number: i64) -> Vec<u8> {
    let before = document.version().clone();
    document.edit(now(), |tx| tx.set(&["raw"], number)).unwrap();
    Frame::Delta { channel, delta: &document.since(&before).encode() }.encode()
}

fn now() -> watersmeet_crdt::Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    watersmeet_crdt::Time::from_millis(u64::try_from(since.as_millis()).unwrap())
}

/// Some who write as fast as they can until they are told to stop.
async fn writers(server: &Server, stop: &Arc<AtomicBool>) -> Vec<(Client, DocumentHandle)> {
    let mut writers = Vec::new();
    for n in 0..WRITERS {
        let client = Client::connect(&server.url()).await.unwrap();
        let document = client.open(&format!("document {}", n % 3));
        patiently("synced", document.synced()).await.unwrap();
        let (writing, stop) = (document.clone(), stop.clone());
        tokio::spawn(async move {
            for n in 0_i64.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                writing.edit(|tx| tx.set(&["n", &(n % 50).to_string()], n)).unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        writers.push((client, document));
    }
    writers
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_commits_acknowledges_and_says_goodbye() {
    // The one who hangs holds it up for as long as it may.
    let mut server = Server::start_with(["--set", "server.drain=3s"]);
    let stop = Arc::new(AtomicBool::new(false));
    let writers = writers(&server, &stop).await;
    // One who asks for a large document again and again, and reads nothing of it.
    let large = Client::connect(&server.url()).await.unwrap().open("large");
    large.edit(|tx| tx.set(&["text"], "x".repeat(2 << 20).as_str())).unwrap();
    patiently("durable", large.durable()).await.unwrap();
    let mut stalled = Raw::greet(&server.url(), ReplicaId::new(1)).await;
    let channel = stalled.open("large").await;
    for _ in 0..50 {
        stalled.say(&Frame::Lacks { channel, version: Default::default() }).await;
    }
    // One who began a request and does not go on.
    let mut hanging = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    hanging.write_all(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n").unwrap();
    // One who has just sent edits, and listens.
    let mut raw = Raw::greet(&server.url(), ReplicaId::new(77)).await;
    let channel = raw.open("document 0").await;
    let mut own = Document::new(ReplicaId::new(77));
    until("edits are acknowledged", || {
        writers.iter().all(|(client, document)| document.on_server().seq(client.replica()) > 20)
    })
    .await;
    for n in 0..20 {
        raw.send_bytes(edit(&mut own, channel, n)).await;
    }

    let status = tokio::task::spawn_blocking(move || {
        let status = server.terminate();
        (status, server)
    });
    let (mut acknowledged, mut said) = (0, None);
    while let Some(bytes) = raw.next().await {
        match Frame::decode(&bytes) {
            Some(Frame::Ack { version, .. }) => acknowledged = version.seq(ReplicaId::new(77)),
            Some(Frame::Error { code, .. }) => said = Some(code),
            _ => {}
        }
    }
    let (status, mut server) = patiently("the server ends", status).await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(said, Some(Code::Shutdown));
    stop.store(true, Ordering::SeqCst);
    let promised: Vec<_> = writers
        .iter()
        .map(|(client, document)| {
            (document.name(), client.replica(), document.on_server().seq(client.replica()))
        })
        .chain([("document 0", ReplicaId::new(77), acknowledged)])
        .collect();
    println!("acknowledged to the one who listened: {acknowledged} of 20; to the others: {promised:?}");

    let elsewhere = Client::connect(&server.restart_elsewhere()).await.unwrap();
    for (name, replica, count) in promised {
        let document = elsewhere.open(name);
        patiently("synced", document.synced()).await.unwrap();
        let found = document.read(|document| document.version().seq(replica));
        assert!(found >= count, "{found} of {count} acknowledged edits of {replica:?}");
    }
    let mut rest = Vec::new();
    let _ = hanging.read_to_end(&mut rest);
}
