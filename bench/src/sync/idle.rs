//! Connections that have a document open and say nothing, and what each costs.

use super::subject::{Client, Subject};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::process::Process;
use futures_util::future::try_join_all;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Connections that are being opened at once.
const DIALLED_AT_ONCE: usize = 100;
/// How long the server is left alone before it is looked at. Longer than the silence after which either side asks for
/// a sign of life, so that what that takes is counted.
const SETTLE: Duration = Duration::from_secs(12);

/// Measures so many connections.
pub(super) async fn measure(subject: &dyn Subject, connections: usize) -> Result<Figures, Failure> {
    let process = Process::start(|folder, port| subject.command(folder, port))?;
    // What the first connection takes, it takes for all.
    let mut open = vec![stay(join(subject, &process).await?)];
    let (before, start) = (process.resident()?, Instant::now());
    while open.len() < connections {
        let some = DIALLED_AT_ONCE.min(connections - open.len());
        let joining = (0..some).map(|_| join(subject, &process));
        open.extend(try_join_all(joining).await?.into_iter().map(stay));
    }
    let opened = start.elapsed();
    let cpu = process.cpu()?;
    tokio::time::sleep(SETTLE).await;
    let cpu = process.cpu()?.saturating_sub(cpu);
    let after = process.resident()?;
    if let Some(ended) = open.iter().position(JoinHandle::is_finished) {
        let why = open.swap_remove(ended).await?;
        return Err(Failure::new(format!("a connection did not last: {why}")));
    }
    open.iter().for_each(JoinHandle::abort);
    let count = (connections - 1) as f64;
    let mut figures = Figures::default();
    figures.cost("memory a connection", "B", after.saturating_sub(before) as f64 / count);
    figures.gain("connections opened", "1/s", count / opened.as_secs_f64());
    figures.cost("server time, of one core", "%", 100.0 * cpu.as_secs_f64() / SETTLE.as_secs_f64());
    Ok(figures)
}

async fn join(subject: &dyn Subject, process: &Process<'_>) -> Result<Client, Failure> {
    Client::join(subject, process.address, "looked at", subject.replica(1).as_mut()).await
}

/// Answers what the server asks for, in the background, until something breaks.
fn stay(mut client: Client) -> JoinHandle<Failure> {
    tokio::spawn(async move {
        loop {
            if let Err(failure) = client.next().await {
                return failure;
            }
        }
    })
}
