//! Writers, each with its own document, as fast as they can or at a pace; and readers beside them.
//!
//! Every edit is a message of its own, made before the clock starts. So many of a writer's edits are under way at a time;
//! when the server says that some are safe, as many follow.

use super::line::patiently;
use super::subject::{Client, Edits, News, Replica, Subject, Word};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::process::Process;
use bytes::Bytes;
use futures_util::future::try_join_all;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A writer overwrites the entries of a map with so many.
const KEYS: usize = 1_000;

/// A workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) writers: usize,
    /// Whether each document has a reader.
    pub(super) readers: bool,
    /// By each writer.
    pub(super) edits: usize,
    /// How many edits of a writer may be under way.
    pub(super) window: usize,
    /// How long after an edit the next one is made, if there is time to wait.
    pub(super) every: Option<Duration>,
}

/// What one writer is to say.
struct Script {
    document: String,
    replica: Box<dyn Replica>,
    edits: Vec<Bytes>,
}

/// Measures a workload.
pub(super) async fn measure(subject: &dyn Subject, load: &Load) -> Result<Figures, Failure> {
    let process = Process::start(|folder, port| subject.command(folder, port))?;
    let scripts = (0..load.writers)
        .map(|writer| Script::new(subject, writer, load.edits))
        .collect::<Result<Vec<_>, _>>()?;
    let mut readers = Vec::new();
    let mut writers = Vec::new();
    for script in &scripts {
        if load.readers {
            readers.push(read(subject, process.address, script).await?);
        }
        let mut nobody = subject.replica(script.replica.id());
        writers.push(Client::join(subject, process.address, &script.document, nobody.as_mut()).await?);
    }
    let (cpu, start) = (process.cpu()?, Instant::now());
    let writing = writers.into_iter().zip(&scripts).map(|(client, script)| {
        // A writer reads the script and nothing else, so its edits are shared with it.
        tokio::spawn(write(client, script.edits.clone(), *load))
    });
    let writing: Vec<_> = writing.collect();
    let mut waits = Vec::new();
    for writer in patiently("the writers", try_join_all(writing)).await?? {
        waits.extend(writer?);
    }
    let (elapsed, cpu) = (start.elapsed(), process.cpu()?.saturating_sub(cpu));
    let read = patiently("the readers", try_join_all(readers)).await??;
    let elapsed_readers = start.elapsed();
    for (edits, script) in read.into_iter().zip(&scripts) {
        check(subject, script, &edits?)?;
    }
    let count = (load.writers * load.edits) as f64;
    let mut figures = Figures::default();
    if load.every.is_none() {
        // Without a word of the server's, an edit counts when somebody else has it.
        let elapsed = if subject.word() == Word::Relayed && load.readers { elapsed_readers } else { elapsed };
        figures.gain("edits", "1/s", count / elapsed.as_secs_f64());
    }
    figures.waits("wait", waits);
    figures.cost("server time an edit", "us", cpu.as_secs_f64() * 1e6 / count);
    Ok(figures)
}

impl Script {
    fn new(subject: &dyn Subject, writer: usize, edits: usize) -> Result<Self, Failure> {
        let mut replica = subject.replica(1_000 + writer as u64);
        let edits = (0..edits)
            .map(|n| replica.set(&[(&format!("k{}", n % KEYS), n as i64)]))
            .collect::<Result<_, _>>()?;
        Ok(Script { document: format!("written by {writer}"), replica, edits })
    }
}

/// Says what is to be said; how long each edit waited until it was safe.
async fn write(mut client: Client, edits: Vec<Bytes>, load: Load) -> Result<Vec<Duration>, Failure> {
    let start = Instant::now();
    let due = |n: usize| load.every.map(|every| start + every * u32::try_from(n).unwrap_or(u32::MAX));
    let mut sent: Vec<Instant> = Vec::with_capacity(edits.len());
    let mut waits = Vec::with_capacity(edits.len());
    while waits.len() < edits.len() {
        let before = sent.len();
        while sent.len() < edits.len()
            && sent.len() - waits.len() < load.window
            && due(sent.len()).is_none_or(|due| due <= Instant::now())
        {
            sent.push(Instant::now());
            client.feed(&edits[sent.len() - 1]).await?;
        }
        if sent.len() > before {
            client.line.flush().await?;
        }
        let next_due = due(sent.len()).filter(|_| sent.len() < edits.len());
        let news = tokio::select! {
            news = client.next() => Some(news?),
            () = until(next_due) => None,
        };
        note(news, &sent, &mut waits);
        while let Some(news) = client.ready().await? {
            note(Some(news), &sent, &mut waits);
        }
    }
    Ok(waits)
}

/// Done when an edit is due; never if none is.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn note(news: Option<News>, sent: &[Instant], waits: &mut Vec<Duration>) {
    if let Some(News::Safe(safe)) = news {
        let now = Instant::now();
        let safe = usize::try_from(safe).unwrap_or(usize::MAX).min(sent.len());
        waits.extend(sent[waits.len().min(safe)..safe].iter().map(|sent| now - *sent));
    }
}

/// Reads in the background until all edits of a script have come.
async fn read(
    subject: &dyn Subject,
    address: SocketAddr,
    script: &Script,
) -> Result<JoinHandle<Result<Vec<Bytes>, Failure>>, Failure> {
    let mut replica = subject.replica(1);
    let mut client = Client::join(subject, address, &script.document, replica.as_mut()).await?;
    let wanted = script.edits.len() as u64;
    Ok(tokio::spawn(async move {
        let (mut edits, mut heard) = (Vec::new(), 0);
        while heard < wanted {
            if let News::Edits(more) = client.next().await? {
                heard += more.count;
                // To be looked at when the clock has stopped.
                edits.push(more.bytes);
            }
        }
        Ok(edits)
    }))
}

/// What a reader heard makes the document that the writer has.
fn check(subject: &dyn Subject, script: &Script, edits: &[Bytes]) -> Result<(), Failure> {
    let mut replica = subject.replica(2);
    let whole = |bytes: &Bytes| Edits { bytes: bytes.clone(), count: 0, delta: None };
    edits.iter().try_for_each(|bytes| replica.apply(whole(bytes)))?;
    if replica.digest() == script.replica.digest() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "a reader has {:?}, its writer {:?}",
        replica.digest(),
        script.replica.digest()
    )))
}
