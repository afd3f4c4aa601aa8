//! Clients that edit together, apart, and late, end with the same document, through restarts of the server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::TcpListener;
use std::process::ExitStatus;
use watersmeet_client::{Client, DocumentHandle, Error};
use watersmeet_crdt::Value;
use watersmeet_tests::{Proxy, Server, patiently, until};

async fn open(url: &str, name: &str) -> (Client, DocumentHandle) {
    let client = Client::connect(url).await.unwrap();
    let document = client.open(name);
    (client, document)
}

/// Waits until both have all of each other's edits.
async fn meet(a: &DocumentHandle, b: &DocumentHandle) {
    patiently("a's edits are durable", a.durable()).await.unwrap();
    patiently("b's edits are durable", b.durable()).await.unwrap();
    until("they meet", || hash(a) == hash(b)).await;
}

fn hash(document: &DocumentHandle) -> u128 {
    document.read(|document| document.hash())
}

#[tokio::test]
async fn two_clients_and_a_latecomer_agree() {
    let server = Server::start();
    let (_a, anna) = open(&server.url(), "map").await;
    let (_b, ben) = open(&server.url(), "map").await;
    for n in 0..100 {
        anna.edit(|tx| tx.set(&["places", "mill", "name"], i64::from(n))).unwrap();
        ben.edit(|tx| tx.increment(&["places", "mill", "votes"], 1)).unwrap();
        anna.edit(|tx| tx.increment(&["places", "mill", "votes"], 1)).unwrap();
        ben.edit(|tx| tx.insert(&["places", "mill", "tags"], i64::from(n % 7))).unwrap();
        anna.edit(|tx| tx.remove(&["places", "mill", "tags"], i64::from(n % 5))).unwrap();
    }
    meet(&anna, &ben).await;
    assert_eq!(ben.read(|map| map.counter(&["places", "mill", "votes"])), 200);

    let (_c, late) = open(&server.url(), "map").await;
    patiently("the latecomer is synced", late.synced()).await.unwrap();
    assert_eq!(hash(&late), hash(&anna));

    // Another document of the same connection is another document.
    let (c, other) = open(&server.url(), "other map").await;
    patiently("synced", other.synced()).await.unwrap();
    assert!(other.read(|map| map.keys(&[]).is_empty()));
    let same = c.open("map");
    patiently("synced", same.synced()).await.unwrap();
    assert_eq!(hash(&same), hash(&anna));
}

#[tokio::test]
async fn edits_made_offline_arrive_and_conflicts_are_kept() {
    let mut server = Server::start();
    let (_a, anna) = open(&server.url(), "map").await;
    let (_b, ben) = open(&server.url(), "map").await;
    anna.edit(|tx| tx.set(&["mill", "name"], "Old mill")).unwrap();
    meet(&anna, &ben).await;

    server.kill_9();
    until("both have noticed", || !anna.status().live && !ben.status().live).await;
    anna.edit(|tx| tx.set(&["mill", "name"], "Water mill")).unwrap();
    anna.edit(|tx| tx.increment(&["mill", "votes"], 1)).unwrap();
    ben.edit(|tx| tx.set(&["mill", "name"], "Windmill")).unwrap();
    ben.edit(|tx| tx.delete(&["mill", "votes"])).unwrap();
    assert_eq!((anna.status().not_on_server, ben.status().not_on_server > 0), (2, true));

    server.restart();
    meet(&anna, &ben).await;
    anna.read(|map| {
        assert_eq!(map.conflicts(&["mill", "name"]).len(), 1, "the name that lost is still there to be seen");
        assert_eq!(map.counter(&["mill", "votes"]), 1, "a vote wins over a removal that did not know of it");
    });
}

/// Who comes back is sent what it lacks, not the document.
#[tokio::test]
async fn who_reconnects_is_sent_only_the_difference() {
    const ENTRIES: i64 = 10_000;
    const DIFFERENCE_BYTES_MAX: u64 = 5_000;
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    let (_b, ben) = open(&server.url(), "map").await;
    for n in 0..ENTRIES {
        ben.edit(|tx| tx.set(&["places", &n.to_string(), "name"], format!("place {n}"))).unwrap();
    }
    patiently("durable", ben.durable()).await.unwrap();
    let (_a, anna) = open(&proxy.url(), "map").await;
    patiently("synced", anna.synced()).await.unwrap();
    let whole = proxy.received_bytes();
    assert!(whole > 10 * DIFFERENCE_BYTES_MAX, "the document itself has only {whole} bytes");

    proxy.cut();
    until("anna has noticed", || !anna.status().live).await;
    for n in 0..10 {
        ben.edit(|tx| tx.set(&["places", &n.to_string(), "name"], "another name")).unwrap();
    }
    patiently("durable", ben.durable()).await.unwrap();
    let before = proxy.received_bytes();
    proxy.mend();
    until("anna has them", || hash(&anna) == hash(&ben)).await;
    let difference = proxy.received_bytes() - before;
    println!(
        "the document: {whole} bytes; ten edits of it, with all that is said at the beginning: {difference}"
    );
    assert!(difference < DIFFERENCE_BYTES_MAX, "{difference} bytes for ten edits");
}

#[tokio::test]
async fn a_restart_finds_everything_and_signals_are_graceful() {
    let mut server = Server::start();
    let (a, anna) = open(&server.url(), "map").await;
    for n in 0..2_500_i64 {
        anna.edit(|tx| tx.set(&["keys", &(n % 50).to_string()], n)).unwrap();
    }
    patiently("durable", anna.durable()).await.unwrap();
    let before = hash(&anna);
    drop((a, anna));

    let status = server.terminate();
    assert!(status.success(), "SIGTERM ends it well: {status}");
    server.restart();
    let status = server.interrupt();
    assert!(status.success(), "so does Ctrl-C: {status}");
    server.restart();
    let (_b, ben) = open(&server.url(), "map").await;
    patiently("synced", ben.synced()).await.unwrap();
    assert_eq!(hash(&ben), before);
    assert_eq!(ben.read(|map| map.register(&["keys", "49"]).cloned()), Some(Value::Int(2_499)));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_amid_edits_loses_nothing_acknowledged() {
    a_signal_amid_edits(Server::terminate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_amid_edits_loses_nothing_acknowledged() {
    a_signal_amid_edits(Server::interrupt).await;
}

async fn a_signal_amid_edits(signal: fn(&mut Server) -> ExitStatus) {
    let mut server = Server::start();
    let (client, anna) = open(&server.url(), "map").await;
    let writer = anna.clone();
    let writing = tokio::spawn(async move {
        for n in 0..3_000_i64 {
            writer.edit(|tx| tx.set(&["keys", &n.to_string()], n)).unwrap();
            tokio::task::yield_now().await;
        }
    });
    until("some are acknowledged", || anna.on_server().seq(client.replica()) > 200).await;
    assert!(signal(&mut server).success());
    let acknowledged = anna.on_server().seq(client.replica());
    let elsewhere = server.restart_elsewhere();
    let (_b, ben) = open(&elsewhere, "map").await;
    patiently("synced", ben.synced()).await.unwrap();
    let there = ben.read(|map| map.version().seq(client.replica()));
    assert!(there >= acknowledged, "{acknowledged} were acknowledged, {there} are there");
    patiently("the writer ends", writing).await.unwrap();
}

#[tokio::test]
async fn presence_is_seen_by_others_and_ends_with_its_connection() {
    let server = Server::start();
    let (a, anna) = open(&server.url(), "map").await;
    patiently("synced", anna.synced()).await.unwrap();
    anna.present(b"at the mill");
    let (_b, ben) = open(&server.url(), "map").await;
    until("ben sees anna, who was there before", || {
        ben.peers().values().map(|state| &state[..]).eq([b"at the mill"])
    })
    .await;
    assert!(anna.peers().is_empty(), "nobody sees oneself");
    drop((a, anna));
    until("ben sees that anna has gone", || ben.peers().is_empty()).await;
}

#[tokio::test]
async fn what_is_wrong_is_said_clearly() {
    let server = Server::start();
    let (status, said) = server.run_another("127.0.0.1:0");
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("in use") && said.contains(server.data().to_str().unwrap()), "{said}");
    let (status, said) = server.run_another(&format!("127.0.0.1:{}", server.port()));
    assert_eq!(status.code(), Some(1));
    assert!(said.contains(&server.port().to_string()) && said.contains("--listen"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Client::connect(&format!("ws://{nobody}/sync")).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let error = Client::connect(&server.url().replace("/sync", "/health")).await.unwrap_err();
    assert!(matches!(error, Error::NotASyncServer { .. }), "{error}");
    for url in ["", "localhost", "http://localhost/sync", "ws:///sync", "wss://localhost/sync"] {
        let error = Client::connect(url).await.unwrap_err();
        assert!(matches!(error, Error::Url { .. }), "{url:?}: {error}");
    }
    let (_client, nameless) = open(&server.url(), "a\nb").await;
    let error = patiently("a refusal", nameless.synced()).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}
