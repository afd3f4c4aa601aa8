//! The life of a frame: from a WebSocket into a session, from there to a room, and back.
//!
//! ```text
//!   socket ──read──▶ session ──Event──▶ room ──(commit)──▶ mailbox ──▶ session ──Send──▶ socket
//! ```
//!
//! One task serves one connection. It waits for rooms (that is backpressure: who edits faster than the disk writes
//! is read more slowly), but no room ever waits for it. When the peer breaks the protocol it is told why, in an
//! error frame and in WebSocket's close code, and nobody else notices.

mod large;
#[cfg(test)]
mod tests;

use crate::alarm::Alarm;
use crate::hub::Hub;
use crate::mailbox::{Answer, Capacity, Group, Letters, Mailbox};
use crate::moving::Moving;
use crate::presence::Pace;
use crate::rights::{Refused, Rights, Verdict};
use crate::room::{Edit, GuestId, Request};
use crate::rooms::Door;
use crate::socket::{Progress, Socket};
use crate::trace::Arrival;
use axum::extract::ws::{Message, WebSocket};
use futures_util::future::OptionFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_tungstenite::tungstenite;
use tracing::Instrument;
use watersmeet_crdt::session::{Code, Event, Input, Output, Session, Token, Violation};
use watersmeet_crdt::{Time, VersionVector};

/// WebSocket's close code for an error frame's [`Code`]: 4000 and the code's place in its list, from 0.
fn close_code(code: Code) -> u16 {
    4_000 + code as u16
}

fn bytes_of(message: &Message) -> usize {
    if let Message::Binary(frame) = message { frame.len() } else { 0 }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(socket: WebSocket, hub: Arc<Hub>, guest: GuestId, rights: Rights) {
    let metrics = hub.metrics.clone();
    metrics.connections.inc();
    let connection = Connection::new(socket, hub, guest, rights);
    connection.live().instrument(tracing::debug_span!("connection", connection = guest.0)).await;
    metrics.connections.dec();
}

/// How a connection ends.
#[derive(Debug)]
enum End {
    /// The peer has gone.
    Gone,
    /// The peer was told to go, and why.
    Said(Code),
}

struct Connection {
    hub: Arc<Hub>,
    guest: GuestId,
    rights: Rights,
    pace: Pace,
    socket: Socket,
    session: Session,
    mailbox: Arc<Mailbox>,
    /// The rooms that were joined or asked to be, by channel.
    doors: BTreeMap<u32, Door>,
    /// Channels whose room is to be asked for what the peer lacks, and the one that is asked.
    lagging: BTreeSet<u32>,
    asked: Option<u32>,
    /// Room for what has come of a large edit.
    coming: Option<OwnedSemaphorePermit>,
    /// Whether what comes and goes in parts goes on.
    comes: Moving,
    goes: Moving,
    /// When the session wants to be looked at.
    wake: Time,
    alarm: Alarm,
}

impl Connection {
    fn new(socket: WebSocket, hub: Arc<Hub>, guest: GuestId, rights: Rights) -> Self {
        let limits = &hub.limits;
        let capacity = Capacity { bytes: limits.mailbox_bytes, deltas: limits.mailbox_deltas };
        Connection {
            guest,
            rights,
            pace: Pace::new(limits.presence_per_second),
            socket: Socket::new(socket, limits.outbound_bytes, hub.metrics.sent_bytes.clone()),
            session: Session::listen(now(), hub.replica, limits.session.clone()),
            mailbox: Arc::new(Mailbox::new(capacity, hub.metrics.queue_drops.clone())),
            doors: BTreeMap::new(),
            lagging: BTreeSet::new(),
            asked: None,
            coming: None,
            comes: Moving::default(),
            goes: Moving::default(),
            wake: Time::default(),
            alarm: Alarm::new(),
            hub,
        }
    }

    async fn live(mut self) {
        let end = self.converse().await;
        tracing::debug!(?end, "connection ended");
        if let End::Said(code) = &end {
            self.hub.metrics.refused(code.name());
        }
        self.leave().await;
        self.close(end).await;
    }

    async fn converse(&mut self) -> End {
        // One of its own, so that thousands of connections do not meet at one lock at every turn.
        let stop = self.hub.stop.child_token();
        let mut stopped = pin!(stop.cancelled());
        let (mut revoked, mut watched) = (pin!(OptionFuture::from(None)), false);
        loop {
            if let Err(end) = self.settle().await {
                return end;
            }
            self.alarm.set(self.until_due());
            if let Some(token) = self.rights.revoked().filter(|_| !watched) {
                watched = true;
                revoked.set(OptionFuture::from(Some(token.clone().cancelled_owned())));
            }
            // Whatever is ready has its turn, or a peer that never stops talking would outlive its token.
            let result = tokio::select! {
                progress = self.socket.progress() => self.on_progress(progress),
                // What waits for the peer stays in the mailbox, where it is merged, until the socket can take it.
                () = self.mailbox.posted(), if self.socket.is_idle() => self.deliver(),
                () = self.alarm.ring() => self.tick().await,
                // A part at a time, so that what is small goes between.
                () = tokio::task::yield_now(), if self.session.is_sending() && self.socket.is_idle() => {
                    self.session.take_part().into_iter().for_each(|part| self.socket.send(part));
                    Ok(())
                }
                () = &mut stopped => Err(self.finish().await),
                Some(()) = &mut revoked => {
                    let Refused { code, message } = Refused::revoked();
                    Err(self.end(code, &message))
                }
            };
            if let Err(end) = result {
                if matches!(end, End::Gone) {
                    // What it said before it went counts; its own errors do not matter any more.
                    let _ = self.settle().await;
                }
                return end;
            }
        }
    }

    /// How long nothing is due.
    fn until_due(&self) -> Duration {
        let now = now();
        let wake = self.wake.min(self.rights.due(now));
        let sleep = Duration::from_millis(wake.millis().saturating_sub(now.millis()));
        let dues = [self.pace.due(), self.comes.due(), self.goes.due()];
        let due = dues.into_iter().flatten().min();
        due.map_or(sleep, |due| due.saturating_duration_since(Instant::now()).min(sleep))
    }

    /// Does what is due.
    async fn tick(&mut self) -> Result<(), End> {
        self.session.handle(now(), Input::Tick).map_err(ended)?;
        if let Err(Refused { code, message }) = self.rights.is_valid() {
            return Err(self.end(code, &message));
        }
        for channel in self.rights.released() {
            self.request(channel, Request::Recall { guest: self.guest }).await?;
        }
        for (channel, state) in self.pace.take_due(Instant::now()) {
            self.request(channel, Request::Present { guest: self.guest, state }).await?;
        }
        Ok(())
    }

    /// Says goodbye because the server stops, after what came before has been committed and acknowledged, unless that
    /// takes too long.
    async fn finish(&mut self) -> End {
        let settled = async {
            let mut answers = Vec::new();
            for door in self.doors.values() {
                let (settled, answer) = oneshot::channel();
                // A room that has ended has nothing left to settle.
                if door.requests.send(Request::Settle { settled }).await.is_ok() {
                    answers.push(answer);
                }
            }
            for answer in answers {
                let _ = answer.await;
            }
        };
        if tokio::time::timeout(self.hub.limits.drain / 2, settled).await.is_err() {
            tracing::warn!(
                connection = self.guest.0,
                "edits were not committed in time; their author keeps them"
            );
        }
        match self.deliver() {
            Ok(()) => {
                self.hub.drain_to.iter().for_each(|url| self.session.redirect(url));
                self.end(Code::Shutdown, "the server is going down; connect again")
            }
            Err(end) => end,
        }
    }

    /// Does what the session says until it has nothing more to say, and writes as much of it as the socket takes.
    async fn settle(&mut self) -> Result<(), End> {
        loop {
            match self.session.poll() {
                Output::Send(frame) => self.socket.send(frame),
                Output::Event(event) => self.on_event(event).await?,
                Output::Wait(until) => {
                    self.wake = until;
                    break;
                }
            }
        }
        self.make_room();
        self.look_whether_it_goes_on()?;
        self.socket.write_some().map_err(|error| self.broken(error))?;
        self.ask_for_the_lagging().await
    }

    /// Takes in what came, and what has come in the meantime.
    fn on_progress(&mut self, progress: Progress) -> Result<(), End> {
        let (mut next, mut bytes) = (Some(progress), 0);
        for _ in 0..self.hub.limits.messages_at_once {
            match next {
                Some(Progress::Read(message)) => {
                    bytes += bytes_of(&message);
                    self.receive(message)?;
                    // Large ones wait for room among all that wait in the server, before more is read.
                    if bytes > self.hub.limits.bytes_at_once {
                        return Ok(());
                    }
                }
                Some(Progress::Broken(error)) => return Err(self.broken(error)),
                Some(Progress::Gone) => return Err(End::Gone),
                Some(Progress::Written) | None => break,
            }
            next = self.socket.ready();
        }
        match next {
            // Read, but beyond what is taken at once.
            Some(Progress::Read(message)) => self.receive(message),
            _ => Ok(()),
        }
    }

    fn receive(&mut self, message: Message) -> Result<(), End> {
        match message {
            Message::Binary(frame) => {
                self.hub.metrics.received_bytes.inc_by(frame.len() as u64);
                self.session.handle(now(), Input::Frame(&frame)).map_err(ended)
            }
            Message::Text(_) => Err(self.end(Code::Malformed, "a text message; frames are binary messages")),
            Message::Close(_) => Err(End::Gone),
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        }
    }

    /// A message that is too large is the peer's fault and it is told so; for the rest there is nobody to tell.
    fn broken(&mut self, error: axum::Error) -> End {
        use tungstenite::error::{CapacityError, Error};
        let limit = self.hub.limits.session.frame_bytes;
        match error.into_inner().downcast::<Error>().as_deref() {
            Ok(Error::Capacity(CapacityError::MessageTooLong { size, .. })) => {
                let violation = Violation::TooLarge { bytes: *size, limit };
                self.end(violation.code(), &violation.to_string())
            }
            Ok(Error::Protocol(error)) => self.end(Code::Malformed, &error.to_string()),
            _ => End::Gone,
        }
    }

    /// Ends the session, saying why.
    fn end(&mut self, code: Code, message: &str) -> End {
        self.session.end(code, message);
        End::Said(code)
    }
}

/// From the session to the rooms.
impl Connection {
    async fn on_event(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Greeted { token, .. } => self.greeted(&token),
            Event::Open { name, version } => {
                match self.rights.may_open(&name) {
                    Ok(()) => self.open(&name, version).await,
                    Err(Refused { code, message }) => self.refuse(&name, code, &message),
                }
                Ok(())
            }
            Event::Closed { channel } => self.shut(channel).await,
            Event::Begun { channel } => {
                if !self.may_edit(channel) {
                    self.session.skip(channel);
                }
                Ok(())
            }
            Event::Delta { channel, delta, bytes } => {
                if !self.is_taken(channel) {
                    return Ok(());
                }
                let name = self.session.name(channel).unwrap_or_default();
                let came = Arrival::now(self.guest, name, bytes.len());
                self.hub.metrics.received_deltas.inc();
                // The bytes were read, so they are fewer than a frame's, which a u32 holds.
                let weight =
                    u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(self.hub.limits.inbound_bytes);
                let permit = self.hub.inbound.clone().acquire_many_owned(weight).await;
                // The semaphore is never closed.
                let Ok(permit) = permit else { return Err(End::Gone) };
                // It may have waited for long.
                if let Err(Refused { code, message }) = self.rights.is_valid() {
                    return Err(self.end(code, &message));
                }
                let (guest, author) = (self.guest, self.rights.author());
                let edit = Edit { guest, author, delta, bytes, came, permit };
                self.request(channel, Request::Edit(edit)).await
            }
            Event::Lacks { channel } => {
                self.lagging.insert(channel);
                Ok(())
            }
            // Whatever number the peer gives itself.
            Event::Presence { channel, state, .. } => match self.pace.show(channel, state, Instant::now()) {
                Some(state) => self.request(channel, Request::Present { guest: self.guest, state }).await,
                None => Ok(()),
            },
            // The server sends what is on its disk and has no use for the peer's word; the rest is said to callers.
            Event::Acknowledged { .. }
            | Event::Opened { .. }
            | Event::Refused { .. }
            | Event::Redirected { .. } => Ok(()),
        }
    }

    /// Lets the peer in, or not.
    fn greeted(&mut self, token: &Token) -> Result<(), End> {
        match self.rights.greeted(&self.hub, token, now()) {
            Ok(()) => {
                self.session.welcome();
                Ok(())
            }
            Err(Refused { code, message }) => Err(self.end(code, &message)),
        }
    }

    /// Whether an edit may come on a channel, before its bytes are kept.
    fn may_edit(&mut self, channel: u32) -> bool {
        self.asks(channel, |rights, _, name| rights.may_edit(channel, name))
    }

    /// Whether an edit that came on a channel goes to its room.
    fn is_taken(&mut self, channel: u32) -> bool {
        self.asks(channel, |rights, hub, name| rights.judge(hub, channel, name))
    }

    fn asks(&mut self, channel: u32, judge: impl FnOnce(&mut Rights, &Hub, &str) -> Verdict) -> bool {
        // Not as the session has it: it may have read on, up to the channel's end.
        let Some(name) = self.doors.get(&channel).map(|door| door.name.clone()) else { return false };
        match judge(&mut self.rights, &self.hub, &name) {
            Verdict::Take => true,
            Verdict::Ignore => false,
            Verdict::Refuse(Refused { code, message }) => {
                self.refuse(&name, code, &message);
                false
            }
        }
    }

    async fn open(&mut self, name: &str, has: VersionVector) {
        loop {
            let Some(door) = self.hub.rooms.door(name) else {
                let message = "too many documents are open at this server";
                return self.refuse(name, Code::Limit, message);
            };
            let (guest, mailbox) = (self.guest, self.mailbox.clone());
            if door.requests.send(Request::Join { guest, mailbox, has: has.clone() }).await.is_ok() {
                self.doors.insert(door.channel, door);
                return;
            }
            // The room ended just now; the next one is another.
        }
    }

    async fn shut(&mut self, channel: u32) -> Result<(), End> {
        let guest = self.guest;
        let result = self.request(channel, Request::Leave { guest }).await;
        self.doors.remove(&channel);
        self.lagging.remove(&channel);
        // An answer may still come; it is passed over.
        self.asked.take_if(|asked| *asked == channel);
        self.rights.forget(channel);
        self.pace.forget(channel);
        result
    }

    /// Asks a room for something, waiting until it can be asked.
    async fn request(&mut self, channel: u32, request: Request) -> Result<(), End> {
        let Some(door) = self.doors.get(&channel) else { return Ok(()) };
        if door.requests.send(request).await.is_err() {
            return Err(self.end(Code::Unavailable, "a document is not available now; connect again"));
        }
        Ok(())
    }

    /// Has one channel at a time told what its peer lacks, when what was large before has gone: so whoever lags in many
    /// large documents holds one of them.
    async fn ask_for_the_lagging(&mut self) -> Result<(), End> {
        while self.asked.is_none() && !self.session.is_sending() {
            let Some(channel) = self.lagging.pop_first() else { return Ok(()) };
            let Some(has) = self.session.peer_has(channel).cloned() else { continue };
            self.asked = Some(channel);
            self.request(channel, Request::CatchUp { guest: self.guest, has }).await?;
        }
        Ok(())
    }

    async fn leave(&mut self) {
        for (_, door) in std::mem::take(&mut self.doors) {
            // A room that has ended has no guests.
            let _ = door.requests.send(Request::Leave { guest: self.guest }).await;
        }
    }
}

/// From the rooms to the session.
impl Connection {
    fn deliver(&mut self) -> Result<(), End> {
        let Letters { end, answers, deltas, lagging, refused, lacks, acks, presence, .. } =
            self.mailbox.take();
        answers.into_iter().for_each(|answer| self.on_answer(answer));
        deltas.iter().for_each(|group| self.pass_on(group));
        self.lagging.extend(lagging);
        for (channel, Refused { code, message }) in refused {
            if let Some(name) = self.session.name(channel).map(str::to_owned) {
                self.session.refuse(&name, code, &message);
            }
        }
        lacks.into_iter().for_each(|(channel, version)| self.session.lacks(channel, version));
        acks.into_iter().for_each(|(channel, version)| self.session.acknowledge(channel, version));
        for ((channel, guest), state) in presence {
            self.session.present_as(channel, guest.0, &state);
        }
        match end {
            Some((code, message)) => Err(self.end(code, &message)),
            None => Ok(()),
        }
    }

    fn on_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Opened { name, channel, has, version, group } => {
                self.session.accept(&name, channel, has, version);
                match group {
                    Some(group) => self.pass_on(&group),
                    None => drop(self.lagging.insert(channel)),
                }
            }
            Answer::Refused { name, channel, code, message } => {
                self.doors.remove(&channel);
                self.refuse(&name, code, &message);
            }
            // Only programs that follow by HTTP ask for it.
            Answer::Told(_) => {}
            Answer::CaughtUp(group) => {
                self.asked.take_if(|asked| *asked == group.channel);
                self.pass_on(&group);
            }
        }
    }

    /// Sends a group to the peer, or has its room asked for all that the peer lacks, when it can be sent.
    fn pass_on(&mut self, group: &Group) {
        let Group { channel, from, to, frame, packed } = group;
        if self.session.send_encoded(*channel, from, to, frame.clone(), packed) {
            self.hub.metrics.sent_deltas.inc();
        } else {
            self.lagging.insert(group.channel);
        }
    }

    /// Tells the peer that it may not do something, and why.
    fn refuse(&mut self, name: &str, code: Code, message: &str) {
        self.hub.metrics.refused(code.name());
        self.session.refuse(name, code, message);
    }

    /// Sends what is left to say, and closes. A peer that neither reads nor closes is cut off after a while.
    async fn close(&mut self, end: End) {
        let linger = self.hub.limits.linger;
        let closing = async {
            match end {
                End::Said(code) => {
                    self.say_the_rest();
                    self.socket.close(close_code(code), "see the error frame").await;
                }
                End::Gone => self.socket.hear_out().await,
            }
        };
        if tokio::time::timeout(linger, closing).await.is_err() {
            tracing::debug!("a peer did not close in time and is cut off");
        }
    }

    /// Moves the session's last words to the socket; what it still wanted done is void.
    fn say_the_rest(&mut self) {
        loop {
            match self.session.poll() {
                Output::Send(frame) => self.socket.send(frame),
                Output::Event(_) => {}
                Output::Wait(_) => return,
            }
        }
    }
}

fn ended(violation: Violation) -> End {
    match violation {
        Violation::Ended { .. } => End::Gone,
        violation => End::Said(violation.code()),
    }
}

/// The wall clock, for deadlines and for judging the clocks of others.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
