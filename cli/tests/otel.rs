//! Spans reach a collector: `cargo test -p watersmeet --features otel --test otel`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use watersmeet_crdt::{Document, ReplicaId, Time};
use watersmeet_tests::http;

/// Takes requests, answers each with 200, and tells path and body.
fn collector() -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            reader
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .unwrap();
            let _ = tell.send((first, body));
        }
    });
    (url, told)
}

#[test]
fn an_edit_is_traced_from_the_socket_to_the_disk() {
    let (url, told) = collector();
    let data = std::env::temp_dir().join(format!("watersmeet-otel-{}", std::process::id()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_watersmeet"))
        .args([
            "serve",
            "--open",
            "--listen",
            "127.0.0.1:0",
            "--set",
            &format!("telemetry.otlp={url}"),
            "--data",
        ])
        .arg(&data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().rsplit_once(':').unwrap().1.parse().unwrap();
    let mut document = Document::new(ReplicaId::new(7));
    document.edit(Time::from_millis(1), |tx| tx.set(&["name"], "Old mill")).unwrap();
    let posted = http::send(port, "POST", "/docs/traced-map/deltas", &[], &document.state().encode());
    assert_eq!(posted.status, 200, "{posted:?}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    // What is left is sent before it ends.
    assert!(child.wait().unwrap().success());
    let _ = std::fs::remove_dir_all(&data);
    let mut spans = Vec::new();
    while let Ok((request, body)) = told.try_recv() {
        assert!(request.starts_with("POST /v1/traces "), "{request}");
        spans.extend(body);
    }
    for name in ["edit", "commit", "transaction", "document", "traced-map", "watersmeet"] {
        let found = spans.windows(name.len()).any(|bytes| bytes == name.as_bytes());
        assert!(found, "{name} is not in {} bytes of spans", spans.len());
    }
}
