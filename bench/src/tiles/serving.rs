//! A load of requests: so many connections, each asking for the next tile as soon as it has the last.
//!
//! It runs on one thread and does as little as can be: heads are looked at, bodies counted.

use super::http;
use crate::failure::Failure;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// From the first question to the last answer.
    pub(super) wall: Duration,
    /// How long each answer took.
    pub(super) waits: Vec<Duration>,
    /// Of all bodies.
    pub(super) bytes: u64,
}

/// Asks for `paths` in turn over `connections` connections for a while. Every answer has to be 200 and not empty.
pub(super) fn drive(
    address: SocketAddr,
    paths: &[String],
    accept: Option<&str>,
    connections: usize,
    time: Duration,
) -> Result<Load, Failure> {
    let questions: Arc<[Vec<u8>]> = paths.iter().map(|path| http::question(path, accept)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let start = Instant::now();
    let end = start + time;
    let mut load = Load::default();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..connections)
            // Each begins at another place, so that they do not ask for the same tile at once.
            .map(|number| (Arc::clone(&questions), number * questions.len() / connections))
            .map(|(questions, first)| tokio::spawn(async move { ask(address, &questions, first, end).await }))
            .collect();
        for task in tasks {
            let of_one = task.await??;
            load.waits.extend(of_one.waits);
            load.bytes += of_one.bytes;
        }
        Ok::<(), Failure>(())
    })?;
    load.wall = start.elapsed();
    Ok(load)
}

/// One connection.
async fn ask(
    address: SocketAddr,
    questions: &[Vec<u8>],
    first: usize,
    end: Instant,
) -> Result<Load, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut load = Load::default();
    let mut buffer = Vec::with_capacity(1 << 16);
    for question in questions.iter().cycle().skip(first) {
        let asked = Instant::now();
        if asked > end {
            break;
        }
        stream.write_all(question).await?;
        buffer.clear();
        let head = loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(Failure::new("the server closed a connection under load"));
            }
            if let Some(head) = http::head(&buffer)? {
                break head;
            }
        };
        if head.status != 200 || head.body == 0 {
            return Err(Failure::new(format!("{} with {} bytes under load", head.status, head.body)));
        }
        while buffer.len() < head.length + head.body {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(Failure::new("the server closed a connection under load"));
            }
        }
        load.waits.push(asked.elapsed());
        load.bytes += head.body as u64;
    }
    Ok(load)
}
