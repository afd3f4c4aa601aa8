//! What the server says on stderr: one JSON object a line where that is asked for, each with the spans that it is in.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use watersmeet_client::Client;
use watersmeet_tests::{binary, patiently};

#[tokio::test]
async fn logs_are_json_where_that_is_asked_for() {
    let data = std::env::temp_dir().join(format!("watersmeet-logs-{}", std::process::id()));
    let mut child = Command::new(binary())
        .args([
            "serve",
            "--open",
            "--listen",
            "127.0.0.1:0",
            "--log",
            "debug",
            "--log-format",
            "json",
            "--data",
        ])
        .arg(&data)
        .env_remove("WATERSMEET_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().replace("listening on http", "ws") + "/sync";
    let client = Client::connect(&url).await.unwrap();
    let document = client.open("maps/\"quoted\"");
    document.edit(|tx| tx.set(&["name"], "Old mill")).unwrap();
    patiently("durable", document.durable()).await.unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    let _ = std::fs::remove_dir_all(&data);

    for line in said.lines() {
        let json: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            json["timestamp"].is_string() && json["level"].is_string() && json["message"].is_string(),
            "{line}"
        );
    }
    let found = |message: &str| {
        let mut lines = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.find(|json| json["message"] == message).unwrap_or_else(|| panic!("no {message:?} in {said}"))
    };
    assert_eq!(found("room opened")["span"]["document"], "maps/\"quoted\"");
    assert_eq!(found("connection ended")["span"]["name"], "connection");
    assert_eq!(found("stopped")["level"], "INFO");
}
