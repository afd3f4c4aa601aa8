//! A socket that does not wait for ever for a peer that does not read.
//!
//! HTTP hands an answer to its socket and waits. Whoever asks and does not read, or hardly reads, would keep the answer in
//! memory for as long as it likes; so a socket that has something waiting and takes too little of it for a while is an
//! error, and ends the connection.
//!
//! It also reads ahead for those who ask for little at a time. A WebSocket keeps a buffer of the size of one read for as long as it
//! lives, and ten thousand of them mostly wait: theirs are small, and what came in one piece is kept here until it is asked for.

use bytes::Bytes;
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Bytes that are read at once for whoever asks for less.
const READ_BYTES: usize = 8 << 10;

thread_local! {
    /// Where they are read to. A connection that waits holds none of it.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// See the [module](self).
pub(crate) struct Paced {
    stream: TcpStream,
    /// What was read and not asked for yet.
    ahead: Bytes,
    stall: Duration,
    /// Set while something waits to be written.
    wait: Option<Wait>,
    pace: Pace,
    /// What the socket has a share of, until it is closed.
    _held: Box<dyn Send + Sync>,
}

/// What has become of what waits.
struct Wait {
    /// When enough of it must have been taken.
    deadline: Pin<Box<Sleep>>,
    taken: usize,
}

impl Wait {
    fn begin(stall: Duration) -> Self {
        Wait { deadline: Box::pin(tokio::time::sleep(stall)), taken: 0 }
    }
}

/// Bytes that a peer must take in the time that it may stall, if so many wait: with the usual limit 2 KiB a second, which
/// the slowest of networks carry.
const TAKEN_BYTES_MIN: usize = 64 << 10;

/// Whether a socket is still watched.
#[derive(Clone, Default)]
pub(crate) struct Pace(Arc<AtomicBool>);

impl Pace {
    /// Watches it no longer.
    pub(crate) fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_ended(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Paced {
    /// A socket on which what waits may stall for so long. What it holds is let go of when it is closed.
    pub(crate) fn new(stream: TcpStream, stall: Duration, held: impl Send + Sync + 'static) -> Self {
        let (ahead, wait, pace) = Default::default();
        Paced { stream, ahead, stall, wait, pace, _held: Box::new(held) }
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace.clone()
    }

    /// Reads more than is asked for, and keeps the rest.
    fn poll_read_ahead(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        READ.with_borrow_mut(|read| {
            let mut read = ReadBuf::new(read);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            let (asked, ahead) = read.filled().split_at(read.filled().len().min(buffer.remaining()));
            buffer.put_slice(asked);
            self.ahead = Bytes::copy_from_slice(ahead);
            Poll::Ready(Ok(()))
        })
    }

    /// What a write of so many bytes came to, which may have taken too long.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        bytes: usize,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &result {
            // The rest waits.
            Poll::Ready(Ok(taken)) if *taken < bytes => {
                if let Some(wait) = &mut self.wait {
                    wait.taken += taken;
                }
                return result;
            }
            Poll::Pending if !self.pace.has_ended() => {}
            _ => {
                self.wait = None;
                return result;
            }
        }
        let stall = self.stall;
        loop {
            let wait = self.wait.get_or_insert_with(|| Wait::begin(stall));
            ready!(wait.deadline.as_mut().poll(context));
            if wait.taken < TAKEN_BYTES_MIN {
                return Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the peer does not read")));
            }
            self.wait = None;
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(count));
            return Poll::Ready(Ok(()));
        }
        match buffer.remaining() < READ_BYTES {
            true => self.poll_read_ahead(context, buffer),
            false => Pin::new(&mut self.stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, bytes.len(), result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        self.written(context, bytes, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const STALL: Duration = Duration::from_millis(50);

    async fn paced() -> Paced {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        Paced::new(stream, STALL, ())
    }

    /// A write of 1 MiB of which the socket takes so many bytes; what comes of the rest a moment later.
    async fn write(paced: &mut Paced, taken: usize) -> Poll<io::Result<usize>> {
        tokio::time::sleep(STALL / 5).await;
        poll_fn(|context| {
            assert!(paced.written(context, 1 << 20, Poll::Ready(Ok(taken))).is_ready());
            Poll::Ready(paced.written(context, 1 << 20, Poll::Pending))
        })
        .await
    }

    /// In whatever pieces it comes and is asked for, nothing is lost, and nothing is kept that was asked for.
    #[tokio::test]
    async fn what_was_read_ahead_is_read_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut paced, said) = (Paced::new(listener.accept().await.unwrap().0, STALL, ()), 100_000);
        let saying = tokio::spawn(async move {
            let text: Vec<u8> = (0..=250).cycle().take(said).collect();
            for (n, piece) in text.chunks(20_011).enumerate() {
                peer.write_all(&piece[..n]).await.unwrap();
                peer.write_all(&piece[n..]).await.unwrap();
            }
            text
        });
        let mut heard = Vec::new();
        for asked in [1, 7, 300, READ_BYTES - 1, READ_BYTES, 3 * READ_BYTES].into_iter().cycle() {
            let mut buffer = vec![0; asked];
            let count = paced.read(&mut buffer).await.unwrap();
            heard.extend_from_slice(&buffer[..count]);
            if count == 0 {
                break;
            }
        }
        assert!(heard == saying.await.unwrap());
        assert!(paced.ahead.is_empty());
    }

    #[tokio::test]
    async fn who_takes_a_byte_now_and_then_is_given_up() {
        let mut paced = paced().await;
        for _ in 0..1_000 {
            if let Poll::Ready(given_up) = write(&mut paced, 1).await {
                assert_eq!(given_up.unwrap_err().kind(), ErrorKind::TimedOut);
                return;
            }
        }
        panic!("it is waited for without end");
    }

    #[tokio::test]
    async fn who_takes_enough_or_all_that_there_is_is_not() {
        for taken in [TAKEN_BYTES_MIN, 1 << 20] {
            let mut paced = paced().await;
            for _ in 0..20 {
                assert!(write(&mut paced, taken).await.is_pending());
            }
        }
        // What little there is from time to time.
        let mut paced = paced().await;
        for _ in 0..20 {
            assert!(write(&mut paced, 1 << 20).await.is_pending());
            tokio::time::sleep(STALL).await;
            poll_fn(|context| paced.written(context, 1, Poll::Ready(Ok(1)))).await.unwrap();
        }
    }
}
