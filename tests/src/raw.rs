//! A peer that says whatever a test wants, in or out of order.

use crate::patiently;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use watersmeet_crdt::session::{Code, Frame, PROTOCOL, SUBPROTOCOL, Token};
use watersmeet_crdt::{Delta, ReplicaId, VersionVector};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Puts deltas together, of which the large ones come in parts.
#[derive(Debug, Default)]
pub struct Assembler(Vec<u8>);

impl Assembler {
    /// The delta that is complete with this frame, if one is, and its channel.
    ///
    /// # Panics
    /// If it is malformed.
    pub fn take_in(&mut self, frame: &Frame<'_>) -> Option<(u32, Delta)> {
        match frame {
            Frame::Part { delta, .. } => {
                self.0.extend_from_slice(delta);
                None
            }
            Frame::Delta { channel, delta } => {
                self.0.extend_from_slice(delta);
                Some((*channel, Delta::decode(&std::mem::take(&mut self.0)).expect("a delta")))
            }
            _ => None,
        }
    }
}

/// A WebSocket without manners.
#[derive(Debug)]
pub struct Raw {
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
}

impl Raw {
    /// Connects with the given subprotocol.
    ///
    /// # Errors
    /// If the server refuses.
    ///
    /// # Panics
    /// If the arguments are none.
    pub async fn connect_as(url: &str, subprotocol: Option<&str>) -> Result<Self, Error> {
        let headers: Vec<_> = subprotocol.map(|name| ("sec-websocket-protocol", name)).into_iter().collect();
        Self::connect_with(url, &headers).await
    }

    /// Connects properly, as a browser does for a page of `origin`.
    ///
    /// # Errors
    /// If the server refuses.
    ///
    /// # Panics
    /// If the arguments are none.
    pub async fn connect_from(url: &str, origin: &str) -> Result<Self, Error> {
        Self::connect_with(url, &[("sec-websocket-protocol", SUBPROTOCOL), ("origin", origin)]).await
    }

    /// Connects properly, with more headers.
    ///
    /// # Errors
    /// If the server refuses.
    ///
    /// # Panics
    /// If the arguments are none.
    pub async fn connect_with_headers(url: &str, more: &[(&'static str, &str)]) -> Result<Self, Error> {
        let mut headers = vec![("sec-websocket-protocol", SUBPROTOCOL)];
        headers.extend_from_slice(more);
        Self::connect_with(url, &headers).await
    }

    async fn connect_with(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let mut request = url.into_client_request().expect("a URL");
        for (key, value) in headers {
            request.headers_mut().insert(*key, HeaderValue::from_str(value).expect("a header"));
        }
        let (socket, _) = connect_async(request).await?;
        let (sink, stream) = socket.split();
        Ok(Raw { sink, stream })
    }

    /// Connects properly.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn connect(url: &str) -> Self {
        Self::connect_as(url, Some(SUBPROTOCOL)).await.expect("connected")
    }

    /// Connects and greets.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn greet(url: &str, replica: ReplicaId) -> Self {
        Self::greet_with(url, replica, "").await
    }

    /// Connects, and greets with a token.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn greet_with(url: &str, replica: ReplicaId, token: &str) -> Self {
        let mut raw = Self::connect(url).await;
        raw.say(&Frame::Hello { protocol: PROTOCOL, replica, token: Token::from(token) }).await;
        raw.expect("a greeting", |frame| matches!(frame, Frame::Hello { .. }).then_some(())).await;
        raw
    }

    /// Asks for a document, of which it has nothing; its channel.
    ///
    /// # Panics
    /// If it is not opened.
    pub async fn open(&mut self, name: &str) -> u32 {
        self.say(&Frame::Open { name, version: VersionVector::default() }).await;
        self.expect("Opened", |frame| match frame {
            Frame::Opened { channel, .. } => Some(*channel),
            _ => None,
        })
        .await
    }

    /// Reads on until something of a document is refused: why, for programs and for people.
    ///
    /// # Panics
    /// If the connection ends before.
    pub async fn refusal(&mut self, document: &str) -> (Code, String) {
        self.expect("a refusal", |frame| match frame {
            Frame::Refused { name, code, message } if *name == document => {
                Some((*code, (*message).to_owned()))
            }
            _ => None,
        })
        .await
    }

    /// Reads on until something is acknowledged on a channel: how far.
    ///
    /// # Panics
    /// If the connection ends before.
    pub async fn acknowledged(&mut self, channel: u32) -> VersionVector {
        self.expect("Ack", |frame| match frame {
            Frame::Ack { channel: on, version } if *on == channel => Some(version.clone()),
            _ => None,
        })
        .await
    }

    /// Says a frame.
    pub async fn say(&mut self, frame: &Frame<'_>) {
        self.send(Message::Binary(frame.encode().into())).await;
    }

    /// Says a frame that is encoded already.
    pub async fn send_bytes(&mut self, frame: Vec<u8>) {
        self.send(Message::Binary(frame.into())).await;
    }

    /// Sends any message. The server may have closed already.
    pub async fn send(&mut self, message: Message) {
        let _ = self.sink.send(message).await;
    }

    /// Sends messages in one go, so that the server finds them together.
    pub async fn send_together(&mut self, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            let _ = self.sink.feed(message).await;
        }
        let _ = self.sink.flush().await;
    }

    /// The bytes of the next binary message; none once the connection is closed.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            match patiently("a message", self.stream.next()).await? {
                Ok(Message::Binary(bytes)) => return Some(bytes),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Reads on until a frame is the one that is expected.
    ///
    /// # Panics
    /// If the connection ends before.
    pub async fn expect<T>(&mut self, what: &str, mut wanted: impl FnMut(&Frame<'_>) -> Option<T>) -> T {
        loop {
            let bytes = self.next().await.unwrap_or_else(|| panic!("closed before {what} came"));
            let frame = Frame::decode(&bytes).expect("the server sends frames");
            if let Some(found) = wanted(&frame) {
                return found;
            }
        }
    }

    /// Reads on to the end: the error frame's code and message, and the close code.
    ///
    /// # Panics
    /// If the connection ends without either.
    pub async fn farewell(&mut self) -> (Code, String, u16) {
        let mut said = None;
        loop {
            match patiently("the end", self.stream.next()).await {
                Some(Ok(Message::Binary(bytes))) => {
                    if let Some(Frame::Error { code, message }) = Frame::decode(&bytes) {
                        said = Some((code, message.to_owned()));
                    }
                }
                Some(Ok(Message::Close(Some(close)))) => {
                    let (code, message) = said.expect("an error frame before the close");
                    return (code, message, close.code.into());
                }
                Some(Ok(_)) => {}
                end => panic!("ended without a close frame: {end:?}; said {said:?}"),
            }
        }
    }
}
