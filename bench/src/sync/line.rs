//! A light connection: a WebSocket over a stream whose bytes are counted. A thousand of them fit into one thread.

use crate::failure::Failure;
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// What no answer takes on a machine that is not stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// As the server's own; the default would take 128 KiB for each connection.
const BUFFER_BYTES: usize = 4_096;

/// An open connection.
pub(super) struct Line {
    socket: WebSocketStream<Counted>,
}

impl Line {
    /// Opens a connection. What the handshake took is not counted.
    pub(super) async fn dial(
        address: SocketAddr,
        path: &str,
        subprotocol: Option<&'static str>,
    ) -> Result<Self, Failure> {
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        if let Some(name) = subprotocol {
            request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(name));
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_message_size(None)
            .max_frame_size(None);
        let dialling = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let stream = Counted { stream, bytes: 0 };
            Ok::<_, Failure>(client_async_with_config(request, stream, Some(config)).await?.0)
        };
        let mut socket = patiently("a connection", dialling).await??;
        socket.get_mut().bytes = 0;
        Ok(Line { socket })
    }

    /// Queues a message.
    pub(super) async fn feed(&mut self, message: Bytes) -> Result<(), Failure> {
        Ok(self.socket.feed(Message::Binary(message)).await?)
    }

    /// Writes what is queued.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.socket.flush().await?)
    }

    /// The next binary message. Nothing is lost if it is dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<Bytes, Failure> {
        loop {
            if let Some(message) = payload(self.socket.next().await)? {
                return Ok(message);
            }
        }
    }

    /// A message that has already come, if there is one.
    pub(super) fn ready(&mut self) -> Result<Option<Bytes>, Failure> {
        while let Some(heard) = self.socket.next().now_or_never() {
            if let Some(message) = payload(heard)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Bytes in both directions since the handshake, WebSocket's headers included.
    pub(super) fn bytes(&self) -> u64 {
        self.socket.get_ref().bytes
    }
}

/// The bytes of a binary message; none of one that says nothing here, such as a ping, which is answered below.
fn payload(heard: Option<Result<Message, WsError>>) -> Result<Option<Bytes>, Failure> {
    match heard {
        Some(Ok(Message::Binary(bytes))) => Ok(Some(bytes)),
        Some(Ok(Message::Close(frame))) => Err(Failure::new(format!("the server closed: {frame:?}"))),
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(error.into()),
        None => Err(Failure::new("the server has gone")),
    }
}

/// Waits for something, but not for ever.
pub(super) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .map_err(|_| Failure::new(format!("waited {} s in vain for {what}", PATIENCE.as_secs())))
}

/// Counts what passes.
struct Counted {
    stream: TcpStream,
    bytes: u64,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.bytes += (buffer.filled().len() - before) as u64;
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = &polled {
            self.bytes += *written as u64;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
