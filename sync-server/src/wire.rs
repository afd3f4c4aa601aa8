//! What a peer is told, and how: its session and its socket, under one lock.
//!
//! A connection's own task has nearly all turns. But to wake one for each of 500 readers, only for each to find the same
//! small delta in its mailbox, takes longer than the rest of a delivery but for the system's sending. So a room that has a delta
//! for a connection that waits for nothing [takes that turn itself](Wire::pass): it asks the same session whether
//! the peer has what comes before, and hands the frame to the same socket, just as the connection's task would. Whenever
//! anything is not as plain, because something else is to be said before, the peer lacks more, the socket takes no more, or the task is having
//! its turn, the delta goes to the mailbox as ever. **No room waits for the lock, and nobody holds it while waiting.**

use crate::mailbox::Group;
use crate::socket::{Progress, Socket};
use axum::Error;
use prometheus_client::metrics::counter::Counter;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll};
use watersmeet_crdt::Time;
use watersmeet_crdt::session::{Event, Output, Session};

/// See the [module](self).
pub(crate) struct Wire(Mutex<Ends>);

/// The two ends of what is said: what has been agreed on, and the way there.
pub(crate) struct Ends {
    pub(crate) session: Session,
    pub(crate) socket: Socket,
    sent_deltas: Counter,
}

/// What the session wants of its connection.
pub(crate) enum Step {
    /// To see to something.
    Event(Event),
    /// To be looked at again then.
    Wait(Time),
}

/// What became of a delta that a room had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It was sent, or the peer has it.
    Whole,
    /// Its sending has begun, and the connection's task has to see to the rest.
    Begun,
    /// Nothing was done.
    No,
}

impl Wire {
    pub(crate) fn new(session: Session, socket: Socket, sent_deltas: Counter) -> Self {
        Wire(Mutex::new(Ends { session, socket, sent_deltas }))
    }

    /// For one step of the connection's task.
    pub(crate) fn turn(&self) -> MutexGuard<'_, Ends> {
        // No method of theirs leaves them half changed, so a panic elsewhere does them no harm.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a delta to a peer that is to be told nothing else before, if that can be done at once.
    pub(crate) fn pass(&self, group: &Group) -> Passed {
        match self.0.try_lock() {
            Ok(mut ends) => ends.pass(group),
            Err(TryLockError::Poisoned(ends)) => ends.into_inner().pass(group),
            Err(TryLockError::WouldBlock) => Passed::No,
        }
    }

    /// Waits for whatever comes first. Nothing is lost if it is dropped while it waits.
    pub(crate) async fn progress(&self) -> Progress {
        self.polled(Socket::poll).await
    }

    /// Sends what waits, and closes, saying why.
    pub(crate) async fn close(&self, code: u16, reason: &'static str) {
        self.turn().socket.send_close(code, reason);
        if self.polled(Socket::poll_send).await.is_ok() {
            self.hear_out().await;
        }
    }

    /// Reads on until the peer has closed too: a connection that is cut with bytes unread is reset, and the peer
    /// might never read why.
    pub(crate) async fn hear_out(&self) {
        while let Some(Ok(_)) = self.polled(Socket::poll_hear).await {}
    }

    async fn polled<T>(&self, poll: impl Fn(&mut Socket, &mut Context<'_>) -> Poll<T>) -> T {
        poll_fn(|context| poll(&mut self.turn().socket, context)).await
    }
}

impl Ends {
    /// Moves what the session says to the socket, up to what its connection has to do.
    pub(crate) fn step(&mut self) -> Step {
        loop {
            match self.session.poll() {
                Output::Send(frame) => self.socket.send(frame),
                Output::Event(event) => return Step::Event(event),
                Output::Wait(until) => return Step::Wait(until),
            }
        }
    }

    /// Sends a group, if the peer lacks any of it. False if it lacks more, or has to wait.
    pub(crate) fn send(&mut self, group: &Group) -> bool {
        let Group { channel, from, to, frame, packed } = group;
        let sent = self.session.send_encoded(*channel, from, to, frame.clone(), packed);
        if sent {
            self.sent_deltas.inc();
        }
        sent
    }

    fn pass(&mut self, group: &Group) -> Passed {
        let waits = self.session.has_output() || !self.socket.is_idle();
        let is_open = self.session.peer_has(group.channel).is_some();
        if waits || !is_open || !self.send(group) {
            return Passed::No;
        }
        // That had nothing to say before, so it has nothing now but the frame, if it is small.
        while let Output::Send(frame) = self.session.poll() {
            self.socket.send(frame);
        }
        match self.socket.write_some() {
            Ok(()) if self.socket.is_idle() && !self.session.is_sending() => Passed::Whole,
            // Of an error the task hears when it goes on.
            Ok(()) | Err(Error { .. }) => Passed::Begun,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::{Capacity, Mailbox};
    use axum::Router;
    use axum::extract::ws::{WebSocket, WebSocketUpgrade};
    use axum::routing::any;
    use futures_util::StreamExt;
    use std::sync::Arc;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;
    use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
    use watersmeet_crdt::session::{Frame, Input, Limits, Token};
    use watersmeet_crdt::{Document, ReplicaId, VersionVector};

    const CHANNEL: u32 = 1;

    type Peer = WebSocketStream<MaybeTlsStream<TcpStream>>;

    /// A WebSocket's two ends.
    async fn pair() -> (WebSocket, Peer) {
        let (opened, mut open) = mpsc::unbounded_channel();
        let answer = async move |upgrade: WebSocketUpgrade| {
            upgrade.on_upgrade(async move |socket| opened.send(socket).unwrap())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, Router::new().route("/", any(answer))).await });
        let (peer, _) = connect_async(url).await.unwrap();
        (open.recv().await.unwrap(), peer)
    }

    /// The server's end, to a peer that has asked for a document; and the peer's socket.
    async fn asked() -> (Arc<Wire>, Peer) {
        let (socket, peer) = pair().await;
        let mut session = Session::listen(Time::default(), ReplicaId::new(0), Limits::default());
        let mut caller =
            Session::call(Time::default(), ReplicaId::new(9), Token::default(), Limits::default());
        caller.open("map", VersionVector::default());
        while let Output::Send(frame) = caller.poll() {
            session.handle(Time::default(), Input::Frame(&frame)).unwrap();
        }
        while session.has_output() {
            session.poll();
        }
        let socket = Socket::new(socket, 1 << 20, Counter::default());
        (Arc::new(Wire::new(session, socket, Counter::default())), peer)
    }

    impl Ends {
        fn grant(&mut self) {
            self.session.accept("map", CHANNEL, VersionVector::default(), VersionVector::default());
        }

        fn settle(&mut self) {
            while let Step::Event(_) = self.step() {}
            self.socket.write_some().unwrap();
        }
    }

    /// So many edits, each made after the one before.
    fn edits(count: usize, value: &str) -> Vec<Arc<Group>> {
        let mut document = Document::new(ReplicaId::new(1));
        let mut edit = |_| {
            let before = document.version().clone();
            document.edit(Time::default(), |tx| tx.set(&["mill"], value)).unwrap();
            let delta = document.since(&before);
            Group::new(CHANNEL, &delta, &delta.encode())
        };
        (0..count).map(&mut edit).collect()
    }

    /// The deltas among so many frames.
    async fn heard(peer: &mut Peer, frames: usize) -> Vec<Vec<u8>> {
        let mut deltas = Vec::new();
        for _ in 0..frames {
            let message = peer.next().await.unwrap().unwrap().into_data();
            if let Some(Frame::Delta { .. }) = Frame::decode(&message) {
                deltas.push(message.to_vec());
            }
        }
        deltas
    }

    #[tokio::test]
    async fn only_what_the_peer_can_apply_takes_the_short_way() {
        let (wire, mut peer) = asked().await;
        let edits = edits(3, "old");
        assert_eq!(wire.pass(&edits[0]), Passed::No, "the peer knows of no such channel");
        wire.turn().grant();
        assert_eq!(wire.pass(&edits[0]), Passed::No, "it is to be told of it before");
        wire.turn().settle();
        assert_eq!(wire.pass(&edits[1]), Passed::No, "it lacks the one before");
        let turn = wire.turn();
        assert_eq!(wire.pass(&edits[0]), Passed::No, "its task has a turn");
        drop(turn);
        assert_eq!([0, 1].map(|n| wire.pass(&edits[n])), [Passed::Whole; 2]);
        assert_eq!(wire.pass(&edits[0]), Passed::Whole, "it has it");

        let mailbox = Mailbox::new(Capacity { bytes: 1_000, deltas: 8 }, Counter::default()).beside(&wire);
        mailbox.ack(CHANNEL, VersionVector::default());
        mailbox.delta(edits[2].clone());
        assert_eq!(mailbox.take().deltas.len(), 1, "something was posted before");
        mailbox.delta(edits[2].clone());
        assert!(mailbox.take().deltas.is_empty());
        let frames = edits.iter().map(|group| group.frame.to_vec()).collect::<Vec<_>>();
        assert_eq!(heard(&mut peer, 4).await, frames);
        drop(wire);
        mailbox.delta(edits[2].clone());
        assert_eq!(mailbox.take().deltas.len(), 1, "there is no connection any more");
    }

    /// The peer does not read, so the system stops taking in the middle of a message.
    #[tokio::test]
    async fn what_was_sent_in_part_is_finished_before_anything_else() {
        let (wire, mut peer) = asked().await;
        wire.turn().grant();
        wire.turn().settle();
        let edits = edits(1_000, &"x".repeat(20_000));
        let whole = edits.iter().take_while(|edit| wire.pass(edit) == Passed::Whole).count();
        assert!(whole < edits.len() - 2, "two sockets hold less");
        assert_eq!(wire.pass(&edits[whole + 1]), Passed::No, "within a message");
        wire.turn().send(&edits[whole + 1]);
        wire.turn().settle();
        let (sent, deltas) = tokio::join!(wire.polled(Socket::poll_send), heard(&mut peer, 1 + whole + 2));
        sent.unwrap();
        let frames = edits[..whole + 2].iter().map(|group| group.frame.to_vec()).collect::<Vec<_>>();
        assert!(deltas == frames);
    }

    /// What goes in parts is begun, and its task sees to the parts.
    #[tokio::test]
    async fn a_large_delta_is_begun() {
        let (wire, _peer) = asked().await;
        wire.turn().grant();
        wire.turn().settle();
        let edits = edits(2, &"x".repeat(60_000));
        assert_eq!([0, 1].map(|n| wire.pass(&edits[n])), [Passed::Begun, Passed::No]);
    }
}
