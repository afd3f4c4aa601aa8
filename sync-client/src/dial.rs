//! How a connection is opened, and what is wrong when it is not.

use crate::Error;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri, header::SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use watersmeet_crdt::session::SUBPROTOCOL;

/// How long a server may take to answer.
const DIAL_PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection that is no longer wanted may take to say its last words.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of one message. What is larger comes in parts.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Bytes of one read. All of them are zeroed before each: with the library's 128 KiB that took a fifth of a client's time.
const READ_BYTES: usize = 16 << 10;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open connection. What is queued is written while the other half reads, so that neither end can hold up the
/// other; when this is dropped, what is queued is still written.
///
/// The queue takes whatever it is given; who fills it asks first whether it [is empty](Line::is_empty).
pub(crate) struct Line {
    incoming: SplitStream<Socket>,
    outgoing: mpsc::UnboundedSender<Bytes>,
    /// Frames that were queued, and those of them that the socket has taken.
    queued: u64,
    taken: watch::Receiver<u64>,
}

/// What happens on a line.
pub(crate) enum Heard {
    /// A message came, or the end.
    Message(Option<Result<Message, WsError>>),
    /// The socket has taken what was queued, or some of it.
    Taken,
}

/// Whether `url` is one that can be dialled.
pub(crate) fn check(url: &str) -> Result<(), Error> {
    let wrong = |why: &str| Error::Url { url: url.to_owned(), why: why.to_owned() };
    let uri: Uri = url.parse().map_err(|_| wrong("it is not a URL"))?;
    match uri.scheme_str() {
        Some("ws") => {}
        Some("wss") if cfg!(feature = "tls") => {}
        Some("wss") => return Err(wrong("this client is built without the feature `tls`")),
        _ => return Err(wrong("it does not begin with ws:// or wss://")),
    }
    if uri.host().is_none_or(str::is_empty) { Err(wrong("it names no host")) } else { Ok(()) }
}

/// Opens a connection.
pub(crate) async fn dial(url: &str) -> Result<Line, Error> {
    let mut request = url.into_client_request().map_err(|error| explain(url, error))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    // Frames are flushed once they are complete; to hold them back would only delay them.
    let dialling = connect_async_with_config(request, Some(config), true);
    match tokio::time::timeout(DIAL_PATIENCE, dialling).await {
        Ok(Ok((socket, _))) => Ok(Line::over(socket)),
        Ok(Err(error)) => Err(explain(url, error)),
        Err(_elapsed) => Err(Error::TimedOut { url: url.to_owned(), after: DIAL_PATIENCE }),
    }
}

impl Line {
    fn over(socket: Socket) -> Self {
        let (sink, incoming) = socket.split();
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (taking, taken) = watch::channel(0);
        tokio::spawn(write(sink, queue, taking));
        Line { incoming, outgoing, queued: 0, taken }
    }

    /// Queues a frame.
    pub(crate) fn send(&mut self, frame: Bytes) {
        self.queued += 1;
        // If it cannot be written, reading fails too, and that is noticed.
        let _ = self.outgoing.send(frame);
    }

    /// Whether the socket has taken all that was queued.
    pub(crate) fn is_empty(&self) -> bool {
        *self.taken.borrow() == self.queued
    }

    /// Waits for what happens next. Nothing is lost if it is dropped while it waits.
    pub(crate) async fn hear(&mut self) -> Heard {
        tokio::select! {
            message = self.incoming.next() => Heard::Message(message),
            Ok(()) = self.taken.changed() => Heard::Taken,
        }
    }

    /// A message that has already come, if there is one.
    pub(crate) fn ready(&mut self) -> Option<Option<Result<Message, WsError>>> {
        self.incoming.next().now_or_never()
    }
}

/// Writes what is queued, all that is there before each flush, until the other half is dropped. If it fails, the other
/// half notices.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    taking: watch::Sender<u64>,
) {
    let mut written = 0;
    while let Some(first) = queue.recv().await {
        let mut next = Some(first);
        while let Some(frame) = next {
            if sink.feed(Message::Binary(frame)).await.is_err() {
                return;
            }
            written += 1;
            next = queue.try_recv().ok();
        }
        if sink.flush().await.is_err() {
            return;
        }
        taking.send_replace(written);
    }
    let _ = tokio::time::timeout(GOODBYE_PATIENCE, sink.close()).await;
}

fn explain(url: &str, error: WsError) -> Error {
    let url = url.to_owned();
    match error {
        WsError::Io(source) => Error::Unreachable { url, source },
        WsError::Url(error) => Error::Url { url, why: error.to_string() },
        WsError::Http(response) => {
            let said = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            Error::NotASyncServer { url, why: format!("{} {said}", response.status()) }
        }
        error => Error::NotASyncServer { url, why: error.to_string() },
    }
}
