//! A link that is slow, and not broken: what is large arrives, however long it is under way.
//!
//! Scaled down: the server gives a peer up that it has not heard for 0.8 s, and a document takes some 3 s. With the default
//! limits that is 20 s, and 2.5 MB at 1 Mbit/s; `crdt/tests/session/slow.rs` plays that in virtual time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use watersmeet_client::{Client, DocumentHandle};
use watersmeet_crdt::Document;
use watersmeet_tests::{Proxy, Server, patiently, until};

const BYTES_PER_SECOND: u64 = 200_000;
/// Keys of so many bytes each, which differ from the first byte on.
const ENTRIES: usize = 6_000;
const VALUE_BYTES: usize = 100;

fn start() -> (Server, Proxy) {
    let server = Server::start_with(["--set", "limits.idle=400ms"]);
    let proxy = Proxy::start_at(server.port(), BYTES_PER_SECOND);
    (server, proxy)
}

fn fill(document: &DocumentHandle) {
    let value = |n: usize| {
        let mut state = n as u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        (0..VALUE_BYTES).map(|_| next()).collect::<Vec<u8>>()
    };
    document.edit(|tx| (0..ENTRIES).for_each(|n| tx.set(&[&n.to_string()], value(n)))).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_document_is_read_over_a_slow_link() {
    let (server, proxy) = start();
    let author = Client::connect(&server.url()).await.unwrap().open("map");
    fill(&author);
    patiently("durable", author.durable()).await.unwrap();
    let reader = Client::connect(&proxy.url()).await.unwrap();
    let document = reader.open("map");
    let hash = author.read(Document::hash);
    until("all of it", || document.read(Document::hash) == hash).await;
    assert!(reader.trouble().is_none(), "{:?}", reader.trouble());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_document_is_written_over_a_slow_link() {
    let (server, proxy) = start();
    let writer = Client::connect(&proxy.url()).await.unwrap();
    let document = writer.open("map");
    fill(&document);
    patiently("durable", document.durable()).await.unwrap();
    assert!(writer.trouble().is_none(), "{:?}", writer.trouble());
    let reader = Client::connect(&server.url()).await.unwrap().open("map");
    patiently("synced", reader.synced()).await.unwrap();
    assert_eq!(reader.read(Document::hash), document.read(Document::hash));
}
