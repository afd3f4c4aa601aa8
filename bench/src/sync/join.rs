//! A newcomer to a large document, and one who comes back and lacks a little.

use super::line::patiently;
use super::subject::{Client, News, Replica, Subject};
use crate::failure::Failure;
use crate::figures::{Figures, millis};
use crate::process::Process;
use std::time::{Duration, Instant};

/// The name of the document.
const DOCUMENT: &str = "large";
/// Entries in one edit, when the document is filled.
const ENTRIES_AT_ONCE: usize = 10_000;
/// Edits that who comes back lacks.
const LACKED: usize = 10;
/// How often each way of joining is measured on one server.
const TIMES: usize = 5;
/// How long a server may take to write behind what it was told, before it is stopped.
const SETTLE: Duration = Duration::from_secs(4);

/// Measures a document of so many entries.
pub(super) async fn measure(subject: &dyn Subject, entries: usize) -> Result<Figures, Failure> {
    let mut process = Process::start(|folder, port| subject.command(folder, port))?;
    let keys = keys(entries);
    let mut author = subject.replica(1_000);
    fill(subject, &process, author.as_mut(), &keys).await?;
    let mut figures = Figures::default();
    // Somebody has it open all the time: some servers forget a document at once when nobody has.
    let mut keeper = subject.replica(2);
    let keeping = Client::join(subject, process.address, DOCUMENT, keeper.as_mut()).await?;
    for round in 1..=TIMES {
        let mut replica = subject.replica(1);
        join(subject, &process, replica.as_mut(), author.as_ref())
            .await?
            .tell(&mut figures, "cold join, warm server");
        // It comes back after others have edited.
        for key in &keys[..LACKED] {
            say(subject, &process, &[author.set(&[(key, -(round as i64))])?]).await?;
        }
        join(subject, &process, replica.as_mut(), author.as_ref())
            .await?
            .tell(&mut figures, "rejoin lacking 10 edits");
    }
    drop(keeping);
    tokio::time::sleep(SETTLE).await;
    process.kill()?;
    process.restart()?;
    let mut replica = subject.replica(1);
    join(subject, &process, replica.as_mut(), author.as_ref())
        .await?
        .tell(&mut figures, "cold join after a restart");
    Ok(figures)
}

/// What a join took.
struct Joined {
    time: Duration,
    bytes: u64,
}

impl Joined {
    fn tell(&self, figures: &mut Figures, name: &str) {
        figures.cost(name, "ms", millis(self.time));
        figures.cost(&format!("{name}, on the wire"), "B", self.bytes as f64);
    }
}

/// From dialling until the replica has what the author has.
async fn join(
    subject: &dyn Subject,
    process: &Process<'_>,
    replica: &mut dyn Replica,
    author: &dyn Replica,
) -> Result<Joined, Failure> {
    let start = Instant::now();
    let mut client = Client::join(subject, process.address, DOCUMENT, replica).await?;
    let mut joined = Joined { time: start.elapsed(), bytes: client.line.bytes() };
    // y-websocket opens a document before it has read it, and sends the rest as if it had just been written.
    while replica.digest() != author.digest() {
        let news = patiently("the rest of the document", client.next()).await?;
        let News::Edits(edits) = news.map_err(|why| lacks(&why, replica, author))? else { continue };
        replica.apply(edits)?;
        joined = Joined { time: start.elapsed(), bytes: client.line.bytes() };
    }
    Ok(joined)
}

fn lacks(why: &Failure, replica: &dyn Replica, author: &dyn Replica) -> Failure {
    Failure::new(format!("who joined has {:?} of {:?}: {why}", replica.digest(), author.digest()))
}

async fn fill(
    subject: &dyn Subject,
    process: &Process<'_>,
    author: &mut dyn Replica,
    keys: &[String],
) -> Result<(), Failure> {
    let numbered: Vec<(&str, i64)> = keys.iter().map(String::as_str).zip(1..).collect();
    let edits =
        numbered.chunks(ENTRIES_AT_ONCE).map(|some| author.set(some)).collect::<Result<Vec<_>, _>>()?;
    say(subject, process, &edits).await
}

/// Says some edits on a connection of its own, and waits until each is safe.
async fn say(subject: &dyn Subject, process: &Process<'_>, edits: &[bytes::Bytes]) -> Result<(), Failure> {
    let mut nobody = subject.replica(1_000);
    // Whose document it is does not matter here: it is opened without asking for what is in it.
    let mut client = Client::join(subject, process.address, DOCUMENT, nobody.as_mut()).await?;
    for edit in edits {
        client.feed(edit).await?;
        client.line.flush().await?;
        patiently("an edit to be safe", async {
            while !matches!(client.next().await?, News::Safe(_)) {}
            Ok::<_, Failure>(())
        })
        .await??;
    }
    Ok(())
}

/// Distinct texts of 16 characters, of 95 bits each, the same in every run.
fn keys(count: usize) -> Vec<String> {
    crate::crdt::keys(7, count)
}
