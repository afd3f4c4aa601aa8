//! The life of a frame: from a WebSocket into a session, from there to a room, and back.
//!
//! ```text
//!   socket ──read──▶ session ──Event──▶ room ──(commit)──▶ mailbox ──▶ session ──Send──▶ socket
//! ```
//!
//! One task serves one connection. It waits for rooms (that is backpressure: who edits faster than the disk writes
//! is read more slowly), but no room ever waits for it. When the peer breaks the protocol it is told why ([`end`]), and nobody
//! else notices.
//!
//! A delta for a connection that has nothing else to do takes the short way, from its room to the session and the socket:
//! see [`wire`](crate::wire).

mod doors;
mod end;
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
use crate::socket::{Progress, Socket, bytes_of};
use crate::trace::Arrival;
use crate::wire::{Step, Wire};
use axum::extract::ws::{Message, WebSocket};
use end::{End, ended};
use futures_util::future::OptionFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;
use watersmeet_crdt::Time;
use watersmeet_crdt::session::{Code, Event, Input, Session, Token};

/// Serves one connection until it ends.
pub(crate) async fn serve(socket: WebSocket, hub: Arc<Hub>, guest: GuestId, rights: Rights) {
    let metrics = hub.metrics.clone();
    metrics.connections.inc();
    // In one place: a future that is handed a thing keeps it twice.
    let mut connection = Connection::new(socket, hub, guest, rights);
    connection.live().instrument(tracing::debug_span!("connection", connection = guest.0)).await;
    metrics.connections.dec();
}

struct Connection {
    hub: Arc<Hub>,
    guest: GuestId,
    rights: Rights,
    pace: Pace,
    wire: Arc<Wire>,
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
        let session = Session::listen(now(), hub.replica, hub.session_limits.clone());
        let socket = Socket::new(socket, limits.outbound_bytes, hub.metrics.sent_bytes.clone());
        let wire = Arc::new(Wire::new(session, socket, hub.metrics.sent_deltas.clone()));
        let mailbox = Mailbox::new(capacity, hub.metrics.queue_drops.clone()).beside(&wire);
        Connection {
            guest,
            rights,
            pace: Pace::new(limits.presence_per_second),
            wire,
            mailbox: Arc::new(mailbox),
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

    async fn live(&mut self) {
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
            let (is_idle, is_sending) = {
                let ends = self.wire.turn();
                (ends.socket.is_idle(), ends.session.is_sending())
            };
            // Whatever is ready has its turn, or a peer that never stops talking would outlive its token.
            let result = tokio::select! {
                progress = self.wire.progress() => self.on_progress(progress),
                // What waits for the peer stays in the mailbox, where it is merged, until the socket can take it.
                () = self.mailbox.posted(), if is_idle => self.deliver(),
                () = self.alarm.ring() => self.tick().await,
                // A part at a time, so that what is small goes between.
                () = tokio::task::yield_now(), if is_sending && is_idle => {
                    let ends = &mut *self.wire.turn();
                    ends.session.take_part().into_iter().for_each(|part| ends.socket.send(part));
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
        self.wire.turn().session.handle(now(), Input::Tick).map_err(ended)?;
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

    /// Does what the session says until it has nothing more to say, and writes as much of it as the socket takes.
    async fn settle(&mut self) -> Result<(), End> {
        loop {
            let step = self.wire.turn().step();
            match step {
                Step::Event(event) => self.on_event(event).await?,
                Step::Wait(until) => {
                    self.wake = until;
                    break;
                }
            }
        }
        self.make_room();
        self.look_whether_it_goes_on()?;
        let written = self.wire.turn().socket.write_some();
        written.map_err(|error| self.broken(error))?;
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
            next = self.wire.turn().socket.ready();
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
                self.wire.turn().session.handle(now(), Input::Frame(&frame)).map_err(ended)
            }
            Message::Text(_) => Err(self.end(Code::Malformed, "a text message; frames are binary messages")),
            Message::Close(_) => Err(End::Gone),
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        }
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
                    self.wire.turn().session.skip(channel);
                }
                Ok(())
            }
            Event::Delta { channel, delta, bytes } => {
                if !self.is_taken(channel) {
                    return Ok(());
                }
                let name = self.name(channel).unwrap_or_default();
                let came = Arrival::now(self.guest, &name, bytes.len());
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
                self.wire.turn().session.welcome();
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
            if let Some(name) = self.name(channel) {
                self.wire.turn().session.refuse(&name, code, &message);
            }
        }
        {
            let session = &mut self.wire.turn().session;
            lacks.into_iter().for_each(|(channel, version)| session.lacks(channel, version));
            acks.into_iter().for_each(|(channel, version)| session.acknowledge(channel, version));
            for ((channel, guest), state) in presence {
                session.present_as(channel, guest.0, &state);
            }
        }
        match end {
            Some((code, message)) => Err(self.end(code, &message)),
            None => Ok(()),
        }
    }

    fn on_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Opened { name, channel, has, version, group } => {
                self.wire.turn().session.accept(&name, channel, has, version);
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
        let sent = self.wire.turn().send(group);
        if !sent {
            self.lagging.insert(group.channel);
        }
    }

    /// The name of an open document.
    fn name(&self, channel: u32) -> Option<String> {
        self.wire.turn().session.name(channel).map(str::to_owned)
    }

    /// Tells the peer that it may not do something, and why.
    fn refuse(&mut self, name: &str, code: Code, message: &str) {
        self.hub.metrics.refused(code.name());
        self.wire.turn().session.refuse(name, code, message);
    }
}

/// The wall clock, for deadlines and for judging the clocks of others.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
