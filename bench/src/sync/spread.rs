//! One document, one writer at a pace, and a crowd that reads: how late an edit reaches each, and what it costs the
//! server to take it there.

use super::line::patiently;
use super::subject::{Client, News, Subject};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::process::Process;
use futures_util::future::try_join_all;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The name of the document.
const DOCUMENT: &str = "read by many";
/// The writer overwrites so many entries.
const KEYS: usize = 100;
/// Connections that are being opened at once.
const DIALLED_AT_ONCE: usize = 50;

/// A workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) readers: usize,
    pub(super) edits: usize,
    /// How long after an edit the next one is made.
    pub(super) every: Duration,
}

/// When each edit was sent.
pub(super) type Sent = Arc<Vec<OnceLock<Instant>>>;

/// Measures a workload.
pub(super) async fn measure(subject: &dyn Subject, load: &Load) -> Result<Figures, Failure> {
    let process = Process::start(|folder, port| subject.command(folder, port))?;
    let mut replica = subject.replica(1_000);
    let mut nobody = subject.replica(1_000);
    let mut writer = Client::join(subject, process.address, DOCUMENT, nobody.as_mut()).await?;
    let sent: Sent = Arc::new((0..load.edits).map(|_| OnceLock::new()).collect());
    let mut readers = Vec::new();
    while readers.len() < load.readers {
        let some = DIALLED_AT_ONCE.min(load.readers - readers.len());
        let joining = (0..some).map(|_| join(subject, &process));
        readers.extend(try_join_all(joining).await?);
    }
    let reading: Vec<_> =
        readers.into_iter().map(|reader| tokio::spawn(read(reader, sent.clone()))).collect();

    let cpu = process.cpu()?;
    let mut tick = tokio::time::interval(load.every);
    for n in 0..load.edits {
        let edit = replica.set(&[(&format!("k{}", n % KEYS), n as i64)])?;
        loop {
            tokio::select! {
                _ = tick.tick() => break,
                // What the server says to the writer is read, whatever it is.
                news = writer.next() => drop(news?),
            }
        }
        // Each edit is sent once.
        let _ = sent[n].set(Instant::now());
        writer.feed(&edit).await?;
        writer.line.flush().await?;
    }
    let mut waits = Vec::with_capacity(load.edits * load.readers);
    for reader in patiently("the readers", try_join_all(reading)).await?? {
        waits.extend(reader?);
    }
    let cpu = process.cpu()?.saturating_sub(cpu);
    let mut figures = Figures::default();
    figures.cost("server time a delivery", "us", cpu.as_secs_f64() * 1e6 / waits.len() as f64);
    figures.waits("delivery", waits);
    Ok(figures)
}

async fn join(subject: &dyn Subject, process: &Process<'_>) -> Result<Client, Failure> {
    Client::join(subject, process.address, DOCUMENT, subject.replica(1).as_mut()).await
}

/// Reads all edits; how long after it was sent each came.
async fn read(mut client: Client, sent: Sent) -> Result<Vec<Duration>, Failure> {
    let mut waits = Vec::with_capacity(sent.len());
    while waits.len() < sent.len() {
        let News::Edits(edits) = client.next().await? else { continue };
        let now = Instant::now();
        for _ in 0..edits.count {
            let sent = sent.get(waits.len()).and_then(OnceLock::get);
            waits.push(now - *sent.ok_or_else(|| Failure::new("an edit came before it was sent"))?);
        }
    }
    Ok(waits)
}
