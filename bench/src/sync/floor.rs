//! What the machine takes for the work that no server can leave out, measured in the same run.
//!
//! The disk's own rate, in the folder where the servers keep their data: what nobody who promises durability can beat
//! with one promise at a time. And the system's time for handing a small message to each of many sockets, which is what
//! a delivery costs before a server has done anything of its own.

use super::spread::Load;
use crate::failure::Failure;
use crate::figures::Figures;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

/// How long is measured.
const TIME: Duration = Duration::from_secs(1);
/// Bytes of one message, as a frame with an edit.
const MESSAGE: [u8; 64] = [7; 64];
/// Bytes of one record, as an edit's.
const RECORD: [u8; 64] = [7; 64];

/// Hands a message to each of so many sockets at a pace, from a thread that does nothing else.
pub(super) async fn spread(load: &Load) -> Result<Figures, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let mut senders = Vec::new();
    for _ in 0..load.readers {
        let (mut receiver, accepted) = tokio::try_join!(TcpStream::connect(address), listener.accept())?;
        let sender = accepted.0.into_std()?;
        sender.set_nonblocking(false)?;
        sender.set_nodelay(true)?;
        senders.push(sender);
        // It reads until the sender has gone.
        tokio::spawn(async move { tokio::io::copy(&mut receiver, &mut tokio::io::sink()).await });
    }
    let load = *load;
    let sending = tokio::task::spawn_blocking(move || send(&senders, &load));
    let each = sending.await??;
    let mut figures = Figures::default();
    figures.cost("server time a delivery", "us", each.as_secs_f64() * 1e6);
    Ok(figures)
}

/// The thread's time for each message.
fn send(senders: &[std::net::TcpStream], load: &Load) -> Result<Duration, Failure> {
    let before = thread_time();
    for _ in 0..load.edits {
        std::thread::sleep(load.every);
        for mut sender in senders {
            sender.write_all(&MESSAGE)?;
        }
    }
    let count = u32::try_from(senders.len() * load.edits)?;
    Ok(thread_time().saturating_sub(before) / count.max(1))
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
