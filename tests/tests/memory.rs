//! A server that has touched ten thousand documents holds the memory of a few.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use watersmeet_client::Client;
use watersmeet_tests::{Server, patiently};

const DOCUMENTS: usize = 10_000;
const CLIENTS: usize = 20;
const DOCUMENT_BYTES: usize = 20 << 10;

/// Writes documents one after the other, and leaves each.
async fn touch(url: String, numbers: impl Iterator<Item = usize>) {
    let client = Client::connect(&url).await.unwrap();
    let text = "x".repeat(DOCUMENT_BYTES);
    for number in numbers {
        let document = client.open(&format!("document {number}"));
        document.edit(|tx| tx.set(&["text"], text.as_str())).unwrap();
        patiently("durable", document.durable()).await.unwrap();
    }
}

async fn touch_all(server: &Server, documents: usize) -> u64 {
    let touching: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(touch(server.url(), (client..documents).step_by(CLIENTS))))
        .collect();
    for task in touching {
        task.await.unwrap();
    }
    server.resident_bytes().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_nobody_has_open_leave_memory() {
    // None leaves for its age.
    let server = Server::start_with(["--set", "limits.room_idle=1h", "--set", "limits.warm_documents=500"]);
    let few = touch_all(&server, 1_000).await;
    let many = touch_all(&server, DOCUMENTS).await;
    println!("{few} bytes after 1,000 documents, {many} after {DOCUMENTS}");
    let all = (DOCUMENTS * DOCUMENT_BYTES) as u64;
    assert!(many < few + all / 4, "{few} bytes after 1,000 documents, {many} after {DOCUMENTS}");
}
