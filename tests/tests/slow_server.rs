//! A server that does not read costs a client bounded memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use watersmeet_client::Client;
use watersmeet_crdt::session::{Frame, PROTOCOL, SUBPROTOCOL, Token};
use watersmeet_crdt::{Document, ReplicaId, VersionVector};
use watersmeet_tests::{Assembler, patiently};

const CHANNEL: u32 = 1;

/// A server of one client that reads only when the test says so.
struct Lazy {
    socket: WebSocketStream<TcpStream>,
}

impl Lazy {
    #[allow(clippy::result_large_err, reason = "the type is tungstenite's")]
    async fn accept(listener: tokio::net::TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let agree = |_: &Request, mut response: Response| {
            let name = HeaderValue::from_static(SUBPROTOCOL);
            response.headers_mut().insert("sec-websocket-protocol", name);
            Ok(response)
        };
        let socket = accept_hdr_async(stream, agree).await.unwrap();
        let mut lazy = Lazy { socket };
        lazy.say(&Frame::Hello { protocol: PROTOCOL, replica: ReplicaId::new(1), token: Token::default() })
            .await;
        while !matches!(Frame::decode(&lazy.read().await), Some(Frame::Open { .. })) {}
        let version = VersionVector::default();
        lazy.say(&Frame::Opened { name: "map", channel: CHANNEL, version }).await;
        lazy
    }

    async fn say(&mut self, frame: &Frame<'_>) {
        self.socket.send(Message::Binary(frame.encode().into())).await.unwrap();
    }

    async fn read(&mut self) -> Vec<u8> {
        patiently("a message", self.socket.next()).await.unwrap().unwrap().into_data().to_vec()
    }

    /// Says that it is there, and reads nothing, until the client is done.
    async fn idle(&mut self, mut done: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                _ = &mut done => return,
                () = tokio::time::sleep(Duration::from_millis(500)) => self.say(&Frame::Ping).await,
            }
        }
    }
}

/// 50,000 edits of 1 kB of the same value: what waits for the server is the value, not its history.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_read_costs_bounded_memory() {
    const EDITS: usize = 50_000;
    const VALUE_BYTES: usize = 1_000;
    /// What the buffers of two sockets may hold, and then some.
    const WAITING_BYTES_MAX: usize = 10 << 20;
    const WAITING_FRAMES_MAX: usize = EDITS / 5;

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let url = format!("ws://{}/sync", listener.local_addr().unwrap());
    let client = Client::start(&url).unwrap();
    let document = client.open("map");
    let mut server = patiently("a connection", Lazy::accept(listener)).await;

    let (done, is_done) = oneshot::channel();
    let idling = tokio::spawn(async move {
        server.idle(is_done).await;
        server
    });
    for n in 0..EDITS {
        let value = format!("{n:0VALUE_BYTES$}");
        document.edit(|tx| tx.set(&["page"], value)).unwrap();
        document.present(&[7; VALUE_BYTES]);
        if n % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    done.send(()).unwrap();
    let mut server = idling.await.unwrap();

    let (mut frames, mut bytes) = (0, 0);
    let mut replica = Document::new(ReplicaId::new(1));
    let mut parts = Assembler::default();
    while replica.hash() != document.read(Document::hash) {
        let message = server.read().await;
        (frames, bytes) = (frames + 1, bytes + message.len());
        let frame = Frame::decode(&message).expect("a client sends frames");
        if let Some((_, delta)) = parts.take_in(&frame) {
            replica.apply(delta).expect("in order, without gaps");
        }
    }
    println!("{frames} frames of {bytes} bytes waited for the server");
    assert!(bytes < WAITING_BYTES_MAX, "{bytes} bytes waited");
    assert!(frames < WAITING_FRAMES_MAX, "{frames} frames waited");
}
