//! A stop that moves people elsewhere: balancers are warned, and clients go to the server that they are told of.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(unix)]

use std::net::TcpListener;
use watersmeet_client::{Client, DocumentHandle};
use watersmeet_tests::{Server, http, patiently, until};

/// A port at which nobody listens.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn drains_to(port: u16) -> Server {
    Server::start_with(["--set".to_owned(), format!("server.drain_to=ws://127.0.0.1:{port}/sync")])
}

fn set(document: &DocumentHandle, value: i64) {
    document.edit(|tx| tx.set(&["n"], value)).unwrap();
}

/// What a server has.
fn found_at(server: &Server) -> String {
    http::get(server.port(), "/docs/map", &[]).body
}

/// One data folder, handed over: the second server can start only when the first has ended.
#[tokio::test(flavor = "multi_thread")]
async fn clients_follow_a_data_folder_that_is_handed_over() {
    let port = free_port();
    let mut server = drains_to(port);
    let client = Client::connect(&server.url()).await.unwrap();
    let document = client.open("map");
    set(&document, 1);
    patiently("durable", document.durable()).await.unwrap();
    assert_eq!(server.terminate().code(), Some(0));
    set(&document, 2);
    until("the client has tried in vain", || client.trouble().is_some()).await;
    server.restart_at(port);
    patiently("durable elsewhere", document.durable()).await.unwrap();
    assert!(found_at(&server).contains(r#""n":{"register":2}"#));
}

/// Two servers that know nothing of each other: what a client holds comes along. Who does not follow waits.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_holds_comes_along_unless_it_stays() {
    let second = Server::start();
    let mut first = drains_to(second.port());
    let follows = Client::connect(&first.url()).await.unwrap().open("map");
    let stays = Client::builder(&first.url()).follow_redirects(false).connect().await.unwrap();
    let at_first = stays.open("kept");
    set(&follows, 7);
    patiently("durable", follows.durable()).await.unwrap();
    assert_eq!(first.terminate().code(), Some(0));
    set(&follows, 8);
    set(&at_first, 9);
    patiently("durable elsewhere", follows.durable()).await.unwrap();
    assert!(found_at(&second).contains(r#""n":{"register":8}"#));
    assert!(!at_first.status().live);
    first.restart();
    patiently("durable at home", at_first.durable()).await.unwrap();
    assert_eq!(http::get(second.port(), "/docs/kept", &[]).status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_is_told_before_the_door_closes() {
    // Nobody waits for so long: a second signal ends it.
    let mut server = Server::start_with(["--set", "server.drain_notice=10m"]);
    let early = Client::connect(&server.url()).await.unwrap().open("map");
    set(&early, 1);
    patiently("durable", early.durable()).await.unwrap();
    assert_eq!(http::get(server.port(), "/ready", &[]).status, 200);
    server.ask_to_stop();
    until("it says so", || http::get(server.port(), "/ready", &[]).status == 503).await;
    let said = http::get(server.port(), "/ready", &[]).body;
    assert_eq!(said, r#"{"status":"unavailable","reason":"the server is going down"}"#);
    assert_eq!(http::get(server.port(), "/health", &[]).status, 200);
    assert!(early.status().live);
    let late = Client::connect(&server.url()).await.unwrap().open("map");
    set(&late, 2);
    patiently("durable", late.durable()).await.unwrap();
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn an_address_that_is_none_is_refused_at_the_start() {
    let server = Server::start();
    for url in ["https://b.example/sync", "b.example", "ws://me:secret@b.example/sync"] {
        let (status, said) =
            server.run_another_with("127.0.0.1:0", &["--set", &format!("server.drain_to={url}")]);
        assert!(!status.success() && said.contains("server.drain_to"), "{said}");
    }
}
