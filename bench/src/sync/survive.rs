//! What is left of edits that the server said are safe, when it is killed in the next instant.

use super::line::patiently;
use super::subject::{Client, News, Replica, Subject};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::process::Process;
use std::time::Duration;

/// The name of the document.
const DOCUMENT: &str = "promised";

/// How long after it was opened a document may still come.
const LATE: Duration = Duration::from_secs(2);

/// Measures it on so many edits.
pub(super) async fn measure(subject: &dyn Subject, edits: usize) -> Result<Figures, Failure> {
    let mut process = Process::start(|folder, port| subject.command(folder, port))?;
    let (mut author, mut nobody) = (subject.replica(1_000), subject.replica(1_000));
    let mut client = Client::join(subject, process.address, DOCUMENT, nobody.as_mut()).await?;
    for n in 0..edits {
        let edit = author.set(&[(&format!("k{n}"), 1)])?;
        client.feed(&edit).await?;
    }
    client.line.flush().await?;
    patiently("the edits to be safe", async {
        loop {
            if let News::Safe(safe) = client.next().await?
                && safe >= edits as u64
            {
                return Ok::<_, Failure>(());
            }
        }
    })
    .await??;
    process.kill()?;
    process.restart()?;
    let mut replica = subject.replica(1);
    let mut client = Client::join(subject, process.address, DOCUMENT, replica.as_mut()).await?;
    // y-websocket opens a document before it has read it, and sends the rest as if it had just been written.
    let _ = tokio::time::timeout(LATE, hear(&mut client, replica.as_mut(), edits)).await;
    let mut figures = Figures::default();
    figures.cost("edits lost", "", edits.saturating_sub(replica.digest().0) as f64);
    Ok(figures)
}

async fn hear(client: &mut Client, replica: &mut dyn Replica, entries: usize) -> Result<(), Failure> {
    while replica.digest().0 < entries {
        if let News::Edits(edits) = client.next().await? {
            replica.apply(edits)?;
        }
    }
    Ok(())
}
