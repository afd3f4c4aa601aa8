//! The one task: it owns the socket, and does what the client without I/O says.
//!
//! Edits are given out only when the socket has taken all that was sent before. So of what is edited meanwhile nothing
//! waits but the document itself, and it leaves as one group, however long the server does not read. So does what is edited in
//! one go: as long as each turn of the runtime brings another edit, the task lets [some](BURST_TURNS_MAX) pass.

use crate::Error;
use crate::builder::Tokens;
use crate::dial::{Heard, Line, dial};
use crate::shared::{Shared, now, random};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;
use watersmeet_crdt::Time;
use watersmeet_crdt::client::{Action, Client as Core, Notice};
use watersmeet_crdt::session::{Token, Violation};

/// Turns of the runtime for which the task leaves whoever edits on and on alone, before it sends what there is.
const BURST_TURNS_MAX: usize = 16;
/// Messages that are taken in before what follows from them is done.
const MESSAGES_AT_ONCE: usize = 64;

/// Where the connection stands.
enum Link {
    Down,
    Dialling(BoxFuture<'static, Result<(Line, Token), Error>>),
    Up(Line),
}

/// What became of waiting.
enum Happened {
    Dialled(Result<(Line, Token), Error>),
    Heard(Heard),
}

pub(crate) struct Task {
    url: String,
    tokens: Tokens,
    shared: Arc<Shared>,
    link: Link,
    /// Whether the server has said something on this connection.
    heard: bool,
    /// Who waits for the first attempt.
    first: Option<oneshot::Sender<Result<(), Error>>>,
}

/// Runs until `stop`.
pub(crate) async fn run(
    url: String,
    tokens: Tokens,
    shared: Arc<Shared>,
    first: oneshot::Sender<Result<(), Error>>,
    stop: CancellationToken,
) {
    let mut task = Task { url, tokens, shared, link: Link::Down, heard: false, first: Some(first) };
    task.shared.lock().core.go_online(now());
    while !stop.is_cancelled() {
        let until = task.act();
        let sleep = Duration::from_millis(until.millis().saturating_sub(now().millis()));
        tokio::select! {
            happened = task.link.happens() => task.on(happened),
            () = task.shared.work.notified() => lull(&task.shared.work).await,
            () = tokio::time::sleep(sleep) => task.shared.lock().core.tick(now(), random()),
            () = stop.cancelled() => {}
        }
    }
    // What was edited just before the last handle was dropped.
    task.act();
    task.send_the_rest();
}

/// Waits until nobody has edited for a turn of the runtime, or for so many.
async fn lull(work: &Notify) {
    for _ in 0..BURST_TURNS_MAX {
        tokio::task::yield_now().await;
        if work.notified().now_or_never().is_none() {
            return;
        }
    }
}

impl Task {
    /// Does what the core says; returns until when there is nothing more to do.
    fn act(&mut self) -> Time {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        loop {
            if self.link.is_empty() {
                state.give_out();
            }
            match state.core.poll(now()) {
                Action::Send(frame) => self.send(frame),
                Action::Connect { redirect } => {
                    if let Some(url) = &redirect {
                        tracing::info!(%url, "the server that went down has named another");
                    }
                    let (url, tokens) = (redirect.unwrap_or_else(|| self.url.clone()), self.tokens.clone());
                    let dialling = async move {
                        let token = tokens.next().await?;
                        Ok((dial(&url).await?, token))
                    };
                    self.link = Link::Dialling(dialling.boxed());
                }
                Action::Disconnect => self.link = Link::Down,
                Action::Notify(notice) => {
                    if let Notice::Failed(violation) = &notice {
                        self.tell_first(Err(denied(&self.url, violation)));
                    }
                    state.publish(notice);
                }
                Action::Wait(_) if self.take_part(&mut state.core) => {}
                Action::Wait(until) => {
                    if self.heard {
                        self.tell_first(Ok(()));
                    }
                    return until;
                }
            }
        }
    }

    /// Sends a part of a large delta, if there is one and the socket has taken what came before.
    fn take_part(&mut self, core: &mut Core) -> bool {
        let part = if self.link.is_empty() { core.take_part() } else { None };
        part.map(|part| self.send(part)).is_some()
    }

    /// Queues what is left of a large delta.
    fn send_the_rest(&mut self) {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        while let Some(part) = state.core.take_part() {
            self.send(part);
        }
    }

    fn send(&mut self, frame: bytes::Bytes) {
        if let Link::Up(line) = &mut self.link {
            line.send(frame);
        }
    }

    fn on(&mut self, happened: Happened) {
        match happened {
            Happened::Dialled(Ok((line, token))) => {
                self.link = Link::Up(line);
                self.heard = false;
                let mut state = self.shared.lock();
                state.trouble = None;
                state.core.connected(now(), token);
            }
            Happened::Dialled(Err(error)) => {
                tracing::warn!(%error, "no connection; it will be tried again");
                let why = error.to_string();
                self.tell_first(Err(error));
                self.down(Some(why));
            }
            Happened::Heard(Heard::Message(first)) => self.receive(first),
            Happened::Heard(Heard::Taken) => {}
        }
    }

    /// Takes in a message, and those that have come since.
    fn receive(&mut self, first: Option<Result<Message, WsError>>) {
        let mut next = Some(first);
        for _ in 0..MESSAGES_AT_ONCE {
            match next {
                Some(Some(Ok(message))) => self.take_in(&message),
                Some(Some(Err(error))) => return self.ended(Some(error.to_string())),
                Some(None) => return self.ended(None),
                None => return,
            }
            next = match &mut self.link {
                Link::Up(line) => line.ready(),
                _ => None,
            };
        }
        if let Some(Some(Ok(message))) = next {
            self.take_in(&message);
        }
    }

    fn take_in(&mut self, message: &Message) {
        // The server says nothing in text, and why it closes in a frame of its own.
        if let Message::Binary(frame) = message {
            self.heard = true;
            self.shared.lock().core.received(now(), frame, random());
        }
    }

    /// The connection has ended. What came before counts: it may have said why.
    fn ended(&mut self, why: Option<String>) {
        self.act();
        if matches!(self.link, Link::Up(_)) {
            self.down(why);
        }
    }

    fn down(&mut self, why: Option<String>) {
        self.link = Link::Down;
        let why_not = why.as_deref().unwrap_or("it hung up without a greeting").to_owned();
        self.tell_first(Err(Error::NotASyncServer { url: self.url.clone(), why: why_not }));
        let mut state = self.shared.lock();
        if why.is_some() {
            state.trouble = why;
        }
        state.core.disconnected(now(), random());
    }

    fn tell_first(&mut self, result: Result<(), Error>) {
        if let Some(first) = self.first.take() {
            // Nobody may be waiting for it.
            let _ = first.send(result);
        }
    }
}

fn denied(url: &str, violation: &Violation) -> Error {
    let message = match violation {
        Violation::Ended { message, .. } => message.clone(),
        violation => violation.to_string(),
    };
    Error::Denied { url: url.to_owned(), code: violation.code(), message }
}

impl Link {
    /// Waits for what happens to the connection; for ever if there is none. Nothing is lost if it is dropped.
    async fn happens(&mut self) -> Happened {
        match self {
            Link::Down => std::future::pending().await,
            Link::Dialling(dialling) => {
                let dialled = dialling.await;
                *self = Link::Down;
                Happened::Dialled(dialled)
            }
            Link::Up(line) => Happened::Heard(line.hear().await),
        }
    }

    /// Whether nothing waits to be written.
    fn is_empty(&self) -> bool {
        match self {
            Link::Down | Link::Dialling(_) => true,
            Link::Up(line) => line.is_empty(),
        }
    }
}
