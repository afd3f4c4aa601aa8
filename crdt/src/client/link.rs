//! The connection: wanted or not, tried, lost, and tried again.

use super::redirect::Redirects;
use super::refused::Hold;
use super::{Action, Client, Link, Notice};
use crate::Time;
use crate::session::{Input, Output, Session, Token};
use bytes::Bytes;

/// The first wait before connecting again, in milliseconds; it doubles with every failure.
const BACKOFF_FIRST_MILLIS: u64 = 250;
/// A connection that lasted so long, in milliseconds, was no failure.
const STABLE_MILLIS: u64 = 10_000;
/// The longest wait before connecting again, in milliseconds.
const BACKOFF_MAX_MILLIS: u64 = 15_000;

/// The connection.
impl Client {
    /// From now on goes to the server that another names when it drains, for as many attempts as it takes to connect
    /// again; but only if that is as secure as `own`, the URL that the client was set up for. None: goes nowhere else.
    pub fn follow_redirects(&mut self, own: Option<&str>) {
        self.redirects = Redirects::of(own);
    }

    /// Wants a connection from now on.
    pub fn go_online(&mut self, now: Time) {
        if matches!(self.link, Link::Offline) {
            self.failures = 0;
            self.link = Link::Waiting { until: now };
        }
    }

    /// Wants no connection.
    pub fn go_offline(&mut self) {
        if matches!(self.link, Link::Connecting | Link::Online(_)) {
            self.actions.push_back(Action::Disconnect);
        }
        self.link = Link::Offline;
        self.unlink();
    }

    /// Tries at once instead of waiting, because the network has come back.
    pub fn hurry(&mut self, now: Time) {
        if let Link::Waiting { until } = &mut self.link {
            *until = now;
        }
    }

    /// Says that the connection is open, and by which token the server may know who calls.
    pub fn connected(&mut self, now: Time, token: Token) {
        if matches!(self.link, Link::Offline) {
            self.actions.push_back(Action::Disconnect);
            return;
        }
        self.connected_at = now;
        let mut session = Session::call(now, self.replica, token, self.limits.clone());
        for (name, entry) in &self.entries {
            session.open(name, entry.document.version().clone());
        }
        self.link = Link::Online(Box::new(session));
    }

    /// Says that the connection is closed or could not be opened. It will be tried again after a wait that doubles
    /// with each failure, of which a random share is taken, so that clients do not all come back at once.
    pub fn disconnected(&mut self, now: Time, random: u64) {
        if matches!(self.link, Link::Offline) {
            return;
        }
        let lasted = now.millis().saturating_sub(self.connected_at.millis());
        if matches!(self.link, Link::Online(_)) && lasted >= STABLE_MILLIS {
            self.failures = 0;
        }
        let longest = (BACKOFF_FIRST_MILLIS << self.failures.min(16)).min(BACKOFF_MAX_MILLIS);
        self.failures = self.failures.saturating_add(1);
        self.link = Link::Waiting { until: now.plus(random % (longest + 1)) };
        self.unlink();
    }

    /// Takes in a message from the server.
    pub fn received(&mut self, now: Time, bytes: &[u8], random: u64) {
        self.handle(now, Input::Frame(bytes), random);
    }

    /// Notes that time has passed.
    pub fn tick(&mut self, now: Time, random: u64) {
        self.handle(now, Input::Tick, random);
    }

    fn handle(&mut self, now: Time, input: Input<'_>, random: u64) {
        let Link::Online(session) = &mut self.link else { return };
        if let Err(violation) = session.handle(now, input) {
            self.drain_session(now);
            self.actions.push_back(Action::Notify(Notice::Failed(violation)));
            self.actions.push_back(Action::Disconnect);
            self.disconnected(now, random);
        } else if matches!(input, Input::Frame(_)) {
            // A server that speaks has let us in, and until another is named there is nowhere else to go.
            self.redirects.forget();
        }
    }

    /// What to do next.
    pub fn poll(&mut self, now: Time) -> Action {
        let due = self.look_at_clock(now).min(self.ask_again(now)).min(self.send_again(now));
        let session_deadline = self.drain_session(now).min(due);
        if let Some(action) = self.actions.pop_front() {
            return action;
        }
        match &mut self.link {
            // A clock that was set back does not make the wait longer.
            Link::Waiting { until } if *until > now.plus(BACKOFF_MAX_MILLIS) => {
                *until = now.plus(BACKOFF_MAX_MILLIS);
                Action::Wait(*until)
            }
            Link::Waiting { until } if *until <= now => {
                self.link = Link::Connecting;
                Action::Connect { redirect: self.redirects.next() }
            }
            Link::Waiting { until } => Action::Wait(*until),
            _ => Action::Wait(session_deadline),
        }
    }

    /// The next frame of a large delta, if one is being sent. To be sent at once when [`poll`](Self::poll) says to wait and
    /// the socket has taken what came before; then poll again. Whoever cannot know that may take all.
    pub fn take_part(&mut self) -> Option<Bytes> {
        let Link::Online(session) = &mut self.link else { return None };
        let part = session.take_part()?;
        if !session.is_sending() {
            self.flush_all();
        }
        Some(part)
    }

    /// Whether there is a part to [take](Self::take_part).
    pub fn has_parts(&self) -> bool {
        matches!(&self.link, Link::Online(session) if session.is_sending())
    }

    /// Moves what the session wants into actions; answers with when it wants to be woken.
    fn drain_session(&mut self, now: Time) -> Time {
        loop {
            let Link::Online(session) = &mut self.link else { return Time::from_millis(u64::MAX) };
            match session.poll() {
                Output::Send(bytes) => self.actions.push_back(Action::Send(bytes)),
                Output::Wait(until) => return until,
                Output::Event(event) => self.on_event(now, event),
            }
        }
    }

    fn unlink(&mut self) {
        for entry in self.entries.values_mut() {
            entry.channel = None;
            (entry.ask_again, entry.look_at_clock, entry.hold) = (None, None, Hold::No);
            entry.refusal.take_if(|refusal| refusal.code.passes());
        }
        let names: Vec<String> = self.entries.keys().cloned().collect();
        names.iter().for_each(|name| self.report(name));
    }
}
