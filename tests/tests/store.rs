//! `watersmeet store`, as an operator uses it: checked, backed up while it is written to, damaged, restored.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use watersmeet_client::{Client, DocumentHandle, Event};
use watersmeet_crdt::{Document, Value};
use watersmeet_tests::{Server, binary, patiently, until};

const DOCUMENTS: usize = 5;

/// Runs `watersmeet store …`.
fn store(arguments: &[&dyn AsRef<OsStr>]) -> Output {
    let arguments = arguments.iter().map(|argument| argument.as_ref());
    Command::new(binary()).args(["--log", "error", "store"]).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A path beside a server's data folder, removed when it is dropped.
struct Beside(PathBuf);

impl Beside {
    fn of(server: &Server, name: &str) -> Self {
        Beside(server.data().with_extension(name))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn documents(server: &Server) -> (Client, Vec<DocumentHandle>) {
    let client = Client::connect(&server.url()).await.unwrap();
    let documents: Vec<_> = (0..DOCUMENTS).map(|n| client.open(&format!("document {n}"))).collect();
    for document in &documents {
        patiently("synced", document.synced()).await.unwrap();
    }
    (client, documents)
}

fn count(document: &Document) -> i64 {
    document.counter(&["count"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_load_has_what_was_acknowledged_before_it() {
    let mut server = Server::start();
    let (backup, restored) = (Beside::of(&server, "backup"), Beside::of(&server, "restored"));
    let (client, handles) = documents(&server).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing: Vec<_> = handles
        .iter()
        .cloned()
        .map(|document| {
            let stop = stop.clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    document.edit(|tx| tx.increment(&["count"], 1)).unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    let replica = client.replica();
    until("edits are acknowledged", || handles.iter().all(|document| document.on_server().seq(replica) > 5))
        .await;
    for _ in 0..3 {
        let safe: Vec<_> = handles.iter().map(|document| document.on_server().seq(replica)).collect();
        let (data, out) = (server.data().to_owned(), backup.0.clone());
        let output = tokio::task::spawn_blocking(move || store(&[&"backup", &data, &out])).await.unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let _ = std::fs::remove_dir_all(&restored.0);
        let output = store(&[&"restore", &backup.0, &restored.0]);
        assert!(output.status.success() && said(&output).contains("5 documents"), "{}", said(&output));
        let other = Server::start_on(&restored.0);
        let (_reader, copies) = documents(&other).await;
        for (copy, safe) in copies.iter().zip(safe) {
            let found = copy.read(|document| document.version().seq(replica));
            assert!(found >= safe, "{found} of {safe} acknowledged events of {}", copy.name());
            assert_eq!(copy.read(count), i64::try_from(found).unwrap());
        }
    }
    stop.store(true, Ordering::SeqCst);
    for task in writing {
        task.await.unwrap();
    }
    let output = store(&[&"check", &server.data()]);
    assert!(output.status.success(), "beside a running server: {}", said(&output));
    let refused = store(&[&"restore", &backup.0, &server.data()]);
    assert!(!refused.status.success() && said(&refused).contains("in use"), "{}", said(&refused));
    server.kill_9();
    let output = store(&[&"check", &server.data()]);
    assert!(output.status.success(), "after a crash: {}", said(&output));
    let refused = store(&[&"restore", &backup.0, &server.data()]);
    assert!(!refused.status.success() && said(&refused).contains("not empty"), "{}", said(&refused));
}

/// Changes a byte of a text that is found in the database.
fn damage(folder: &Path, text: &str) {
    let file = folder.join("documents.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_document_is_named_and_never_served_and_the_others_go_on() {
    let mut server = Server::start();
    let backup = Beside::of(&server, "backup");
    let (client, handles) = documents(&server).await;
    for (n, document) in handles.iter().enumerate() {
        document.edit(|tx| tx.set(&["text"], format!("the text of document {n}").as_str())).unwrap();
        patiently("durable", document.durable()).await.unwrap();
    }
    drop((client, handles));
    assert!(server.terminate().success());
    assert!(store(&[&"backup", &server.data(), &backup.0]).status.success());
    damage(server.data(), "the text of document 3");

    let output = store(&[&"check", &server.data()]);
    assert_eq!(output.status.code(), Some(1));
    let told = said(&output);
    assert!(told.contains(r#"of the document "document 3""#) && told.contains("1 damaged"), "{told}");
    assert!(!store(&[&"backup", &server.data(), &backup.0]).status.success(), "a backup of damage");
    assert!(store(&[&"check", &server.data().join("none")]).status.code() == Some(1));

    server.restart();
    let client = Client::connect(&server.url()).await.unwrap();
    for n in [0, 1, 2, 4] {
        let document = client.open(&format!("document {n}"));
        patiently("synced", document.synced()).await.unwrap();
        let text = document.read(|document| document.register(&["text"]).cloned());
        assert_eq!(text, Some(Value::from(format!("the text of document {n}").as_str())));
    }
    let damaged = client.open("document 3");
    let mut events = damaged.events();
    patiently("a refusal", async { while !matches!(events.recv().await.unwrap(), Event::Refused { .. }) {} })
        .await;
    assert!(damaged.read(Document::is_empty), "part of it was served");
    drop((client, damaged));
    server.kill_9();

    // What was backed up before is whole.
    std::fs::remove_dir_all(server.data()).unwrap();
    let output = store(&[&"restore", &backup.0, &server.data()]);
    assert!(output.status.success(), "{}", said(&output));
    server.restart();
    let client = Client::connect(&server.url()).await.unwrap();
    let document = client.open("document 3");
    patiently("synced", document.synced()).await.unwrap();
    let text = document.read(|document| document.register(&["text"]).cloned());
    assert_eq!(text, Some(Value::from("the text of document 3")));
}
