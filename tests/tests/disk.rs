//! The disk refuses what the real server writes, for real: the system lets the process's files grow no further, and every
//! write fails as on a disk that is full or broken. Nothing is acknowledged that is not written, reading goes on, and
//! when the disk takes writes again everything arrives, without a restart.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

use std::process::Command;
use watersmeet_client::{Client, DocumentHandle};
use watersmeet_crdt::Document;
use watersmeet_tests::{Server, http, patiently, until};

const OUTAGES: i64 = 4;

/// Lets the server's files have so many bytes: the soft limit, which the process's owner may raise again.
fn limit_files(server: &Server, bytes: &str) {
    let (pid, limit) = (server.pid().to_string(), format!("--fsize={bytes}:unlimited"));
    let limited = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    assert!(limited.expect("util-linux has prlimit").success());
}

/// What `/ready` says.
fn ready(server: &Server) -> (u16, serde_json::Value) {
    let answer = http::get(server.port(), "/ready", &[]);
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

fn count(document: &Document) -> i64 {
    document.counter(&["count"])
}

async fn open(server: &Server) -> (Client, DocumentHandle) {
    let client = Client::connect(&server.url()).await.unwrap();
    let document = client.open("map");
    (client, document)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refuses_writes_costs_no_edit_and_no_connection() {
    let mut server = Server::start();
    let (_a, anna) = open(&server).await;
    let (_b, ben) = open(&server).await;
    let edit = |document: &DocumentHandle| document.edit(|tx| tx.increment(&["count"], 1)).map(drop);
    for outage in 1..=OUTAGES {
        edit(&anna).unwrap();
        edit(&ben).unwrap();
        for document in [&anna, &ben] {
            patiently("durable", document.durable()).await.unwrap();
            patiently("synced", document.synced()).await.unwrap();
        }
        assert_eq!(ready(&server).0, 200);
        limit_files(&server, "1");
        edit(&anna).unwrap();
        until("the server says so", || http::get(server.port(), "/health", &[]).status == 503).await;
        let (status, said) = ready(&server);
        assert_eq!(
            (status, &said["status"]),
            (503, &"unavailable".into()),
            "a balancer would send more here"
        );
        assert!(said["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{said}");
        edit(&ben).unwrap();
        let (_c, newcomer) = open(&server).await;
        patiently("the document is read", newcomer.synced()).await.unwrap();
        assert_eq!(newcomer.read(count), 4 * outage - 2, "shown without being written");
        assert_eq!((anna.status().not_on_server, ben.status().not_on_server), (1, 1));
        if outage == OUTAGES {
            // Killed while the disk fails: what was acknowledged is there, and the rest comes from those who have it.
            server.kill_9();
            server.restart();
        } else {
            limit_files(&server, "unlimited");
        }
        for document in [&anna, &ben] {
            patiently("durable", document.durable()).await.unwrap();
            until("all is there", || document.read(count) == 4 * outage).await;
        }
        until("it is ready again", || ready(&server).0 == 200).await;
    }
    drop((anna, ben));
    assert!(server.terminate().success());
}
