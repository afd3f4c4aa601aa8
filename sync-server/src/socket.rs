//! A WebSocket that writes while it waits to read, so that neither end can hold up the other by not reading.
//!
//! What is to be sent is fed to it as far as it takes it, and flushed once; reading stops while too much waits to be
//! sent, so that a peer that asks and never listens fills its own buffers, not ours.
//!
//! A connection is woken for many reasons, and mostly because there is something to send. Whether there is something to read
//! is looked at only after the system has [said](News) so, since to look costs as much as all else that a turn does.

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use futures_util::{Sink, Stream};
use prometheus_client::metrics::counter::Counter;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

/// What a frame that waits takes in memory besides its bytes.
const FRAME_BYTES: usize = 64;

/// Bytes of a message that says something.
pub(crate) fn bytes_of(message: &Message) -> usize {
    if let Message::Binary(frame) = message { frame.len() } else { 0 }
}

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

/// Whether there may be something to read, and who waits for it.
struct News {
    here: AtomicBool,
    reader: AtomicWaker,
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.here.store(true, Ordering::Release);
        self.reader.wake();
    }
}

/// See the [module](self).
pub(crate) struct Socket {
    socket: WebSocket,
    news: Arc<News>,
    /// The same, for whoever has news.
    teller: Waker,
    waiting: VecDeque<Message>,
    waiting_bytes: usize,
    /// Whether something was fed and not flushed.
    fed: bool,
    bytes_max: usize,
    sent_bytes: Counter,
}

impl Socket {
    pub(crate) fn new(socket: WebSocket, bytes_max: usize, sent_bytes: Counter) -> Self {
        let news = Arc::new(News { here: AtomicBool::new(true), reader: AtomicWaker::new() });
        let (teller, waiting) = (news.clone().into(), VecDeque::new());
        Socket { socket, news, teller, waiting, waiting_bytes: 0, fed: false, bytes_max, sent_bytes }
    }

    /// Queues one message.
    pub(crate) fn send(&mut self, frame: Bytes) {
        self.queue(Message::Binary(frame));
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.fed
    }

    /// Writes as much of what is queued as the socket takes now; [`poll`](Self::poll) writes the rest. A turn
    /// of a connection that says something small is thus done when it has been said.
    pub(crate) fn write_some(&mut self) -> Result<(), axum::Error> {
        if self.is_idle() {
            return Ok(());
        }
        match self.poll_send(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    /// A message that has already come, if there is one.
    pub(crate) fn ready(&mut self) -> Option<Progress> {
        match self.poll_read() {
            Poll::Ready(progress) => Some(progress),
            Poll::Pending => None,
        }
    }

    /// Queues the last message, saying why.
    pub(crate) fn send_close(&mut self, code: u16, reason: &'static str) {
        self.queue(Message::Close(Some(CloseFrame { code, reason: reason.into() })));
    }

    fn queue(&mut self, message: Message) {
        self.waiting_bytes += bytes_of(&message) + FRAME_BYTES;
        self.waiting.push_back(message);
    }

    /// Whatever message comes next, whether or not there is news.
    pub(crate) fn poll_hear(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, axum::Error>>> {
        Pin::new(&mut self.socket).poll_next(context)
    }

    /// Whatever comes first.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        if !self.is_idle()
            && let Poll::Ready(progress) = self.poll_write(context)
        {
            return Poll::Ready(progress);
        }
        // Before it is looked at, so that news that come in between are not missed.
        self.news.reader.register(context.waker());
        self.poll_read()
    }

    /// A message that has already come; the reader is told when there is news.
    fn poll_read(&mut self) -> Poll<Progress> {
        if self.waiting_bytes >= self.bytes_max || !self.news.here.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.news.here.store(false, Ordering::Release);
        let read = ready!(Pin::new(&mut self.socket).poll_next(&mut Context::from_waker(&self.teller)));
        // Where one was there may be others.
        self.news.here.store(true, Ordering::Release);
        Poll::Ready(Progress::from_read(read))
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Progress> {
        Poll::Ready(match ready!(self.poll_send(context)) {
            Ok(()) => Progress::Written,
            Err(error) => Progress::Broken(error),
        })
    }

    /// Sends all that waits.
    pub(crate) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        while !self.waiting.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(context))?;
            if let Some(message) = self.waiting.pop_front() {
                let bytes = bytes_of(&message);
                self.waiting_bytes -= bytes + FRAME_BYTES;
                self.sent_bytes.inc_by(bytes as u64);
                self.fed = true;
                Pin::new(&mut self.socket).start_send(message)?;
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
