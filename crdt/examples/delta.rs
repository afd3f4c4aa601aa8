//! An edit by a program that holds no socket: writes a delta to stdout, to be posted to a server.
//!
//! ```sh
//! cargo run -p watersmeet-crdt --example delta |
//!   curl --data-binary @- -H 'Content-Type: application/vnd.watersmeet.delta' http://127.0.0.1:8080/docs/map/deltas
//! ```
//!
//! A program that edits for real draws its replica's id at random, once, and keeps the document: each delta builds on those
//! before it.

use std::error::Error;
use std::io::Write;
use watersmeet_crdt::{Document, ReplicaId, Time};

fn main() -> Result<(), Box<dyn Error>> {
    let mut document = Document::new(ReplicaId::new(7));
    let known = document.version().clone();
    document.edit(Time::from_millis(1_700_000_000_000), |tx| {
        tx.set(&["places", "mill", "name"], "Old mill");
        tx.increment(&["places", "mill", "votes"], 2);
        tx.insert(&["places", "mill", "tags"], "water");
    })?;
    std::io::stdout().write_all(&document.since(&known).encode())?;
    Ok(())
}
