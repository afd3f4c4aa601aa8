//! Writers and readers as programs are: the native client, which sends what was edited while the socket was busy as
//! one group. Only this project's server understands it.

use super::line::patiently;
use super::ours::NAME;
use super::subject::Subject;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::process::Process;
use futures_util::future::try_join_all;
use std::time::Instant;
use watersmeet_client::{Client, DocumentHandle};
use watersmeet_crdt::Document;

/// A writer overwrites the entries of a map with so many.
const KEYS: usize = 1_000;

/// A workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Each with its own document, and a reader of it.
    pub(super) writers: usize,
    /// By each writer.
    pub(super) edits: usize,
    /// How many edits of a writer may be on their way.
    pub(super) window: u64,
}

/// Measures a workload; nothing of a peer.
pub(super) async fn measure(subject: &dyn Subject, load: &Load) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    if subject.name() != NAME {
        return Ok(figures);
    }
    let process = Process::start(|folder, port| subject.command(folder, port))?;
    let url = format!("ws://{}/sync", process.address);
    let joining = async {
        let (mut writers, mut readers) = (Vec::new(), Vec::new());
        for number in 0..load.writers {
            writers.push(open(&url, number).await?);
            readers.push(open(&url, number).await?);
        }
        Ok::<_, Failure>((writers, readers))
    };
    let (writers, readers) = patiently("the clients", joining).await??;
    let (cpu, start) = (process.cpu()?, Instant::now());
    let writing = writers.iter().map(|document| tokio::spawn(write(document.clone(), *load)));
    for written in patiently("the writers", try_join_all(writing)).await?? {
        written?;
    }
    let (elapsed, cpu) = (start.elapsed(), process.cpu()?.saturating_sub(cpu));
    for (writer, reader) in writers.iter().zip(&readers) {
        patiently("a reader", hear(reader, writer.read(Document::hash))).await??;
    }
    let count = (load.writers * load.edits) as f64;
    figures.gain("edits", "1/s", count / elapsed.as_secs_f64());
    figures.cost("server time an edit", "us", cpu.as_secs_f64() * 1e6 / count);
    Ok(figures)
}

async fn open(url: &str, number: usize) -> Result<DocumentHandle, Failure> {
    let document = Client::connect(url).await?.open(&format!("written by {number}"));
    document.synced().await?;
    Ok(document)
}

/// Edits, and waits until all of it is on the server's disk.
async fn write(document: DocumentHandle, load: Load) -> Result<(), Failure> {
    for n in 0..load.edits {
        document.edit(|tx| tx.set(&["m", &format!("k{}", n % KEYS)], n as i64))?;
        // As an event loop would, so that the client's own task has its turn.
        tokio::task::yield_now().await;
        if document.status().not_on_server >= load.window {
            document.durable().await?;
        }
    }
    Ok(document.durable().await?)
}

/// Waits until a reader has what its writer has.
async fn hear(reader: &DocumentHandle, hash: u128) -> Result<(), Failure> {
    let mut events = reader.events();
    while reader.read(Document::hash) != hash {
        // Who misses an event has heard of a later one.
        let _ = events.recv().await;
    }
    Ok(())
}
