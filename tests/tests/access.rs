//! Who may do what: without a token nothing, with one what it says, and no longer than it says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message};
use watersmeet_client::{Client, Error};
use watersmeet_crdt::session::{Code, Frame, PROTOCOL, Token};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time, VersionVector};
use watersmeet_tests::http::{self, Events};
use watersmeet_tests::{Keys, Raw, Server, patiently, token, until, watersmeet};

async fn client(server: &Server, token: &str) -> Client {
    Client::builder(&server.url()).token(token).connect().await.unwrap()
}

#[tokio::test]
async fn a_token_lets_in_and_allows_what_it_says() {
    for kind in ["--ed25519", "--hs256"] {
        let keys = Keys::new(kind);
        let (private, public) = keys.make(kind, "key");
        let server = Server::start_with(["--key", &public]);
        let alice = client(&server, &token(&private, "alice", &["--write", "maps/**"])).await;
        let bob = client(&server, &token(&private, "bob", &["--read", "maps/*", "--write", "plans/*"])).await;

        let (written, read) = (alice.open("maps/mill"), bob.open("maps/mill"));
        written.edit(|tx| tx.set(&["name"], "Old mill")).unwrap();
        patiently("durable", written.durable()).await.unwrap();
        until("bob reads", || read.read(|document| document.register(&["name"]).is_some())).await;

        // Bob's edit is refused, kept, shown as refused and never as saved; his other documents go on.
        read.edit(|tx| tx.set(&["name"], "Bob's mill")).unwrap();
        match patiently("refused", read.durable()).await {
            Err(Error::Refused { document, code: Code::Forbidden, message }) => {
                assert_eq!(document, "maps/mill");
                assert!(message.contains("write") && message.contains("maps/mill"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        let status = read.status();
        assert_eq!((status.refused, status.not_on_server, status.live), (Some(Code::Forbidden), 1, true));
        let plan = bob.open("plans/mill");
        plan.edit(|tx| tx.set(&["by"], "bob")).unwrap();
        patiently("durable", plan.durable()).await.unwrap();
        // And he keeps hearing of the document.
        written.edit(|tx| tx.set(&["built"], 1750)).unwrap();
        until("bob reads on", || read.read(|document| document.register(&["built"]).is_some())).await;
        assert_eq!(read.status().not_on_server, 1, "it still waits, and is not said to be saved");
        patiently("durable", written.durable()).await.unwrap();
        let name = written.read(|document| document.register(&["name"]).cloned());
        assert_eq!(name, Some("Old mill".into()));

        // What may not be read is not opened.
        let secret = alice.open("plans/mill");
        match patiently("refused", secret.synced()).await {
            Err(Error::Refused { code: Code::Forbidden, message, .. }) => {
                assert!(message.contains("read") && message.contains("plans/mill"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(secret.read(Document::len), 0);
    }
}

#[tokio::test]
async fn whoever_has_no_valid_token_is_told_so_and_nothing_more() {
    let keys = Keys::new("denied");
    let (private, public) = keys.make("--ed25519", "ours");
    let (strangers, _) = keys.make("--ed25519", "theirs");
    let server = Server::start_with(["--key", &public]);
    let expired = token(&private, "alice", &["--write", "**", "--expires", "0s"]);
    // Longer ago than clocks may differ.
    let long_ago = {
        let signer = std::fs::read_to_string(&private).unwrap();
        let signer = watersmeet_sync::access::SigningKey::parse(&signer, None).unwrap();
        signer.sign(&watersmeet_sync::access::Claims::new("alice", 1_700_000_000))
    };
    let strange = token(&strangers, "alice", &["--write", "**"]);
    assert!(
        Client::builder(&server.url()).token(expired).connect().await.is_ok(),
        "clocks may differ a little"
    );
    for (token, expected) in [
        (String::new(), Code::Unauthenticated),
        ("hunter2.hunter2.hunter2".to_owned(), Code::Unauthenticated),
        (strange, Code::Unauthenticated),
        (long_ago, Code::Expired),
    ] {
        match Client::builder(&server.url()).token(token.clone()).connect().await {
            Err(Error::Denied { code, message, .. }) => {
                assert_eq!(code, expected, "{message}");
                assert!(!message.contains("hunter2"), "{message}");
            }
            other => panic!("{token:?}: {other:?}"),
        }
        // What was asked for along with the greeting is not answered either.
        let mut raw = Raw::connect(&server.url()).await;
        let replica = ReplicaId::new(1);
        raw.say(&Frame::Hello { protocol: PROTOCOL, replica, token: Token::from(token.clone()) }).await;
        raw.say(&Frame::Open { name: "map", version: VersionVector::default() }).await;
        let first = raw.next().await.unwrap();
        assert!(matches!(Frame::decode(&first), Some(Frame::Error { code, .. }) if code == expected));
        // In a header it is refused before the upgrade.
        if !token.is_empty() {
            let bearer = format!("Bearer {token}");
            match Raw::connect_with_headers(&server.url(), &[("authorization", &bearer)]).await {
                Err(WsError::Http(response)) => {
                    assert_eq!(response.status(), 401);
                    assert_eq!(response.headers()["www-authenticate"], "Bearer");
                    let body = String::from_utf8_lossy(response.body().as_ref().unwrap()).into_owned();
                    assert!(body.contains(expected.name()) && !body.contains("hunter2"), "{body}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A native program may show its token in a header, and greets without.
#[tokio::test]
async fn a_token_may_come_in_a_header() {
    let keys = Keys::new("header");
    let (private, public) = keys.make("--hs256", "key");
    let server = Server::start_with(["--key", &public]);
    let bearer = format!("Bearer {}", token(&private, "alice", &["--write", "map"]));
    let mut raw = Raw::connect_with_headers(&server.url(), &[("authorization", &bearer)]).await.unwrap();
    raw.say(&Frame::Hello { protocol: PROTOCOL, replica: ReplicaId::new(1), token: Token::default() }).await;
    let channel = raw.open("map").await;
    let mut document = Document::new(ReplicaId::new(1));
    document.edit(Time::from_millis(1_700_000_000_000), |tx| tx.set(&["x"], 1)).unwrap();
    raw.say(&Frame::Delta { channel, delta: &document.state().encode() }).await;
    assert_eq!(&raw.acknowledged(channel).await, document.version());
}

/// The connection ends with the token, even while its peer talks without a pause; a provider gives the next.
#[tokio::test]
async fn a_connection_ends_with_its_token_and_the_next_one_brings_another() {
    let keys = Keys::new("expiry");
    let (private, public) = keys.make("--ed25519", "key");
    let server = Server::start_with(["--key", &public]);
    let signer = std::fs::read_to_string(&private).unwrap();
    let signer = watersmeet_sync::access::SigningKey::parse(&signer, None).unwrap();
    // It expires in some five seconds, with the 30 by which clocks may differ.
    let sign = move || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let claims = watersmeet_sync::access::Claims::new("alice", now - 25);
        signer.sign(&watersmeet_sync::access::Claims { write: vec!["**".parse().unwrap()], ..claims })
    };
    let mut talkative = Raw::greet_with(&server.url(), ReplicaId::new(1), &sign()).await;
    let given = Arc::new(AtomicUsize::new(0));
    let count = given.clone();
    let provider = move || {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok::<_, std::io::Error>(sign()))
    };
    let client = Client::builder(&server.url()).token_from(provider).connect().await.unwrap();
    let map = client.open("map");
    patiently("synced", map.synced()).await.unwrap();

    let farewell = patiently("its end", async {
        loop {
            talkative.say(&Frame::Ping).await;
            let bytes = talkative.next().await.expect("an error frame before the end");
            if let Some(Frame::Error { code, message }) = Frame::decode(&bytes) {
                return (code, message.to_owned());
            }
        }
    });
    let (code, message) = farewell.await;
    assert_eq!(code, Code::Expired, "{message}");
    until("another token was asked for", || given.load(Ordering::Relaxed) > 1).await;
    map.edit(|tx| tx.set(&["x"], 1)).unwrap();
    patiently("durable with the next token", map.durable()).await.unwrap();
}

/// Keys are rotated by having several, and what a key signed is void once it is taken away.
#[tokio::test]
async fn to_take_a_key_away_revokes_what_it_signed() {
    let keys = Keys::new("rotation");
    let (old, old_public) = keys.make("--ed25519", "old");
    let (new, new_public) = keys.make("--hs256", "new");
    let [old, new] = [old, new].map(|key| token(&key, "alice", &["--write", "**"]));
    let server = Server::start_with(["--key", &old_public, "--key", &new_public]);
    for token in [&old, &new] {
        let map = client(&server, token).await.open("map");
        patiently("synced", map.synced()).await.unwrap();
    }
    let server = Server::start_with(["--key", &new_public]);
    let denied = Client::builder(&server.url()).token(old).connect().await.map(drop);
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    client(&server, &new).await;
}

/// Keys are rotated without a restart: SIGHUP has them read again, and ends what a key that is gone has opened.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_again_while_the_server_runs() {
    let keys = Keys::new("reload");
    let (old, old_public) = keys.make("--ed25519", "old");
    let (new, new_public) = keys.make("--hs256", "new");
    let [old, new] = [old, new].map(|key| token(&key, "alice", &["--write", "**"]));
    let config = keys.path("config.toml");
    let believe = |files: &[&str]| {
        let keys: Vec<_> = files.iter().map(|file| format!("{{ file = {file:?} }}")).collect();
        std::fs::write(&config, format!("[access]\nkeys = [{}]\n", keys.join(", "))).unwrap();
    };
    believe(&[&old_public]);
    let server = Server::start_with(["--config", &config, "--set", "access.open=false"]);
    let answers = async |token: &str| {
        let (port, token) = (server.port(), format!("Bearer {token}"));
        let asked = tokio::task::spawn_blocking(move || {
            http::get(port, "/docs", &[("Authorization", &token)]).status
        });
        patiently("an answer", asked).await.unwrap()
    };
    let comes_to = async |token: &str, status: u16| {
        patiently("the keys are read again", async {
            while answers(token).await != status {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
    };
    assert_eq!((answers(&old).await, answers(&new).await), (200, 401));
    let mut by_old = Raw::greet_with(&server.url(), ReplicaId::new(1), &old).await;
    by_old.open("map").await;
    let (port, bearer) = (server.port(), format!("Bearer {old}"));
    let feed = tokio::task::spawn_blocking(move || {
        let (status, mut events) = Events::open(port, "/docs/map/changes", &[("Authorization", &bearer)]);
        (status, events.next())
    });

    // A key more: what the other has opened goes on.
    believe(&[&old_public, &new_public]);
    server.hang_up();
    comes_to(&new, 200).await;
    let mut by_new = Raw::greet_with(&server.url(), ReplicaId::new(2), &new).await;
    by_new.open("map").await;
    by_old.open("another").await;

    // Keys that cannot be read change nothing.
    believe(&[&new_public, "no such file"]);
    server.hang_up();
    by_old.open("a third").await;
    assert_eq!((answers(&old).await, answers(&new).await), (200, 200));

    // A key less: what it has opened ends, and nothing else.
    believe(&[&new_public]);
    server.hang_up();
    let (code, message, _) = by_old.farewell().await;
    assert_eq!(code, Code::Expired);
    assert!(message.contains("key"), "{message}");
    assert_eq!(patiently("the feed ends", feed).await.unwrap(), (200, None));
    comes_to(&old, 401).await;
    by_new.open("another").await;
    let denied = Client::builder(&server.url()).token(old).connect().await.map(drop);
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
}

#[tokio::test]
async fn an_older_peer_hears_that_it_is_older() {
    let server = Server::start();
    for (greeting, theirs) in [(&[0, 1, 5][..], 1), (&[0, 9, 5, 0, 0, 0], 9)] {
        let mut raw = Raw::connect(&server.url()).await;
        raw.send(Message::Binary(Bytes::copy_from_slice(greeting))).await;
        let (code, message, _) = raw.farewell().await;
        assert_eq!(code, Code::Incompatible);
        assert!(
            message.contains(&theirs.to_string()) && message.contains(&PROTOCOL.to_string()),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_server_is_open_only_if_told_so_and_then_to_its_own_names_only() {
    let server = Server::start();
    let refused =
        watersmeet(&["serve", "--listen", "127.0.0.1:0", "--data"]).arg(server.data().join("x")).output();
    let refused = refused.unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(["--key", "--open", "token key"].iter().all(|hint| why.contains(hint)), "{why}");

    let port = server.port();
    for (host, answered) in [
        (format!("localhost:{port}"), true),
        (format!("127.0.0.1:{port}"), true),
        (format!("evil.example:{port}"), false),
    ] {
        match Raw::connect_with_headers(&server.url(), &[("host", &host)]).await {
            Ok(_) => assert!(answered, "{host}"),
            Err(WsError::Http(response)) => {
                assert_eq!((response.status().as_u16(), answered), (421, false), "{host}");
            }
            Err(other) => panic!("{host}: {other}"),
        }
    }
}

/// What no honest peer says: an edit on a document that may only be read, again and again, is refused each time.
#[tokio::test]
async fn a_readers_edits_never_get_in() {
    let keys = Keys::new("reader");
    let (private, public) = keys.make("--ed25519", "key");
    let server = Server::start_with(["--key", &public]);
    let reader = token(&private, "reader", &["--read", "map"]);
    let writer = client(&server, &token(&private, "writer", &["--write", "map"])).await.open("map");
    patiently("synced", writer.synced()).await.unwrap();
    let mut raw = Raw::greet_with(&server.url(), ReplicaId::new(1), &reader).await;
    let channel = raw.open("map").await;
    let mut document = Document::new(ReplicaId::new(1));
    for n in 0..20 {
        document.edit(Time::from_millis(1_700_000_000_000), |tx| tx.set(&["x"], n)).unwrap();
        raw.say(&Frame::Delta { channel, delta: &document.state().encode() }).await;
        assert_eq!(raw.refusal("map").await.0, Code::Forbidden);
    }
    // Of what is large the first part is refused, once, and nothing of it is kept.
    for _ in 0..3 {
        raw.say(&Frame::Part { channel, delta: &[7; 1_000] }).await;
    }
    assert_eq!(raw.refusal("map").await.0, Code::Forbidden);
    raw.say(&Frame::Delta { channel, delta: &[7; 1_000] }).await;

    writer.edit(|tx| tx.set(&["y"], 1)).unwrap();
    patiently("durable", writer.durable()).await.unwrap();
    let seen = raw
        .expect("the writer's edit", |frame| match frame {
            Frame::Delta { delta, .. } => Some(Delta::decode(delta).unwrap()),
            _ => None,
        })
        .await;
    assert!(seen.to().seq(writer.read(Document::replica)) > 0);
    assert!(writer.read(|document| document.register(&["x"]).is_none()));
}
