//! A WebSocket that writes while it waits to read, so that neither end can hold up the other by not reading.
//!
//! What is to be sent is fed to it as far as it takes it, and flushed once; reading stops while too much waits to be
//! sent, so that a peer that asks and never listens fills its own buffers, not ours.

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use futures_util::{FutureExt, Sink, Stream, StreamExt};
use prometheus_client::metrics::counter::Counter;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

/// What became of waiting.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Something came.
    Read(Message),
    /// All that was to be sent has been.
    Written,
    /// The peer has gone.
    Gone,
    /// The connection broke, or the peer broke WebSocket's rules.
    Broken(axum::Error),
}

/// See the [module](self).
pub(crate) struct Socket {
    socket: WebSocket,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// Whether something was fed and not flushed.
    fed: bool,
    bytes_max: usize,
    sent_bytes: Counter,
}

impl Socket {
    pub(crate) fn new(socket: WebSocket, bytes_max: usize, sent_bytes: Counter) -> Self {
        Socket { socket, waiting: VecDeque::new(), waiting_bytes: 0, fed: false, bytes_max, sent_bytes }
    }

    /// Queues one message.
    pub(crate) fn send(&mut self, frame: Bytes) {
        self.waiting_bytes += frame.len();
        self.waiting.push_back(frame);
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.fed
    }

    /// Writes as much of what is queued as the socket takes now; [`progress`](Self::progress) writes the rest. A turn
    /// of a connection that says something small is thus done when it has been said.
    pub(crate) fn write_some(&mut self) -> Result<(), axum::Error> {
        if self.is_idle() {
            return Ok(());
        }
        match self.poll_feed_and_flush(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    /// Waits for whatever comes first. Nothing is lost if it is dropped while it waits.
    pub(crate) async fn progress(&mut self) -> Progress {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// A message that has already come, if there is one.
    pub(crate) fn ready(&mut self) -> Option<Progress> {
        if self.waiting_bytes >= self.bytes_max {
            return None;
        }
        self.socket.next().now_or_never().map(Progress::from_read)
    }

    /// Sends what waits, and closes, saying why.
    pub(crate) async fn close(&mut self, code: u16, reason: &'static str) {
        while !self.is_idle() {
            if let Progress::Broken(_) = std::future::poll_fn(|context| self.poll_write(context)).await {
                return;
            }
        }
        let frame = CloseFrame { code, reason: reason.into() };
        if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
            self.hear_out().await;
        }
    }

    /// Reads on until the peer has closed too: a connection that is cut with bytes unread is reset, and the peer
    /// might never read why.
    pub(crate) async fn hear_out(&mut self) {
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        if !self.is_idle()
            && let Poll::Ready(progress) = self.poll_write(context)
        {
            return Poll::Ready(progress);
        }
        if self.waiting_bytes >= self.bytes_max {
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_next(context).map(Progress::from_read)
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        Poll::Ready(match ready!(self.poll_feed_and_flush(context)) {
            Ok(()) => Progress::Written,
            Err(error) => Progress::Broken(error),
        })
    }

    fn poll_feed_and_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        while !self.waiting.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(context))?;
            if let Some(frame) = self.waiting.pop_front() {
                self.waiting_bytes -= frame.len();
                self.sent_bytes.inc_by(frame.len() as u64);
                self.fed = true;
                Pin::new(&mut self.socket).start_send(Message::Binary(frame))?;
            }
        }
        ready!(Pin::new(&mut self.socket).poll_flush(context))?;
        self.fed = false;
        Poll::Ready(Ok(()))
    }
}

impl Progress {
    fn from_read(read: Option<Result<Message, axum::Error>>) -> Self {
        match read {
            Some(Ok(message)) => Progress::Read(message),
            Some(Err(error)) => Progress::Broken(error),
            None => Progress::Gone,
        }
    }
}
