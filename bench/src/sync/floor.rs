//! What the machine takes for the work that no server can leave out, measured in the same run.
//!
//! The disk's own rate, in the folder where the servers keep their data: what nobody who promises durability can beat
//! with one promise at a time. And a relay to many sockets, which is what a delivery takes and costs before a server has done
//! anything of its own.

use super::spread::{Load, Sent};
use crate::failure::Failure;
use crate::figures::Figures;
use futures_util::future::try_join_all;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long is measured.
const TIME: Duration = Duration::from_secs(1);
/// Bytes of one message, as a frame with an edit.
const MESSAGE: [u8; 64] = [7; 64];
/// Bytes of one record, as an edit's.
const RECORD: [u8; 64] = [7; 64];

/// A server that does nothing but hand what one says to each of many sockets: what reaches them, and when.
pub(super) async fn spread(load: &Load) -> Result<Figures, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let (mut writer, source) = pair(&listener).await?;
    let sent: Sent = Arc::new((0..load.edits).map(|_| OnceLock::new()).collect());
    let (mut senders, mut reading) = (Vec::new(), Vec::new());
    for _ in 0..load.readers {
        let (receiver, sender) = pair(&listener).await?;
        senders.push(sender);
        reading.push(tokio::spawn(hear(receiver, sent.clone())));
    }
    let edits = load.edits;
    let relaying = tokio::task::spawn_blocking(move || relay(source, &senders, edits));
    let mut tick = tokio::time::interval(load.every);
    for sent in sent.iter() {
        tick.tick().await;
        // Each message is sent once.
        let _ = sent.set(Instant::now());
        writer.write_all(&MESSAGE).await?;
    }
    let time = relaying.await??;
    let mut waits = Vec::with_capacity(load.edits * load.readers);
    for heard in try_join_all(reading).await? {
        waits.extend(heard?);
    }
    let mut figures = Figures::default();
    figures.cost("server time a delivery", "us", time.as_secs_f64() * 1e6 / waits.len() as f64);
    figures.waits("delivery", waits);
    Ok(figures)
}

/// A connection's two ends, of which the second blocks.
async fn pair(listener: &TcpListener) -> Result<(TcpStream, std::net::TcpStream), Failure> {
    let (ours, theirs) = tokio::try_join!(TcpStream::connect(listener.local_addr()?), listener.accept())?;
    let theirs = theirs.0.into_std()?;
    theirs.set_nonblocking(false)?;
    theirs.set_nodelay(true)?;
    ours.set_nodelay(true)?;
    Ok((ours, theirs))
}

/// The thread's time for so many messages.
fn relay(
    mut source: std::net::TcpStream,
    senders: &[std::net::TcpStream],
    edits: usize,
) -> Result<Duration, Failure> {
    let (before, mut message) = (thread_time(), MESSAGE);
    for _ in 0..edits {
        source.read_exact(&mut message)?;
        for mut sender in senders {
            sender.write_all(&message)?;
        }
    }
    Ok(thread_time().saturating_sub(before))
}

/// Reads all messages; how long after it was sent each came.
async fn hear(mut receiver: TcpStream, sent: Sent) -> Result<Vec<Duration>, Failure> {
    let (mut waits, mut message) = (Vec::with_capacity(sent.len()), MESSAGE);
    for sent in sent.iter() {
        receiver.read_exact(&mut message).await?;
        let sent = sent.get().ok_or_else(|| Failure::new("a message came before it was sent"))?;
        waits.push(sent.elapsed());
    }
    Ok(waits)
}

/// Processor time of this thread so far.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Appends a record and syncs it, again and again.
pub(super) fn sync() -> Result<Figures, Failure> {
    let path = std::env::temp_dir().join(format!("watersmeet-bench-floor-{}", std::process::id()));
    let measured = File::create(&path).map_err(Failure::from).and_then(append);
    // What is left of it does no harm.
    let _ = std::fs::remove_file(&path);
    measured
}

fn append(mut file: File) -> Result<Figures, Failure> {
    let (start, mut waits) = (Instant::now(), Vec::new());
    while start.elapsed() < TIME {
        let before = Instant::now();
        file.write_all(&RECORD)?;
        file.sync_data()?;
        waits.push(before.elapsed());
    }
    let mut figures = Figures::default();
    figures.gain("edits", "1/s", waits.len() as f64 / start.elapsed().as_secs_f64());
    figures.waits("wait", waits);
    Ok(figures)
}
