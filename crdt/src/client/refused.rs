//! What the server refuses, and when it is offered again.
//!
//! Nothing that is refused is lost: edits stay in the document, count as not on the server, and are sent again when that
//! may help. When it does not, they are held back, since the server would refuse the next too.

use super::{Client, Entry, Link, Notice};
use crate::session::Code;
use crate::{Lattice, Time};

/// How long after a document was unavailable it is asked for again, in milliseconds.
const UNAVAILABLE_MILLIS: u64 = 5_000;
/// How long after edits were refused for their times it is looked whether the clock has been set, in milliseconds.
const CLOCK_SKEW_MILLIS: u64 = 5_000;
/// How long after a document was too large for an edit it is sent again, in milliseconds.
const FULL_MILLIS: u64 = 5_000;

/// Why the server does not take a document's edits, or does not open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
}

/// Whether edits are held back because the server refused some: it would refuse the next too, or not look at them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hold {
    #[default]
    No,
    /// Until that time.
    Until(Time),
    /// Until it says what it lacks, or there is another connection.
    UntilAsked,
}

impl Client {
    /// Asks again for documents that were unavailable; answers with when the next is due.
    pub(super) fn ask_again(&mut self, now: Time) -> Time {
        let Link::Online(session) = &mut self.link else { return Time::from_millis(u64::MAX) };
        for (name, entry) in &mut self.entries {
            if entry.ask_again.take_if(|due| *due <= now).is_some() {
                session.open(name, entry.document.version().clone());
            }
        }
        self.entries.values().filter_map(|entry| entry.ask_again).min().unwrap_or(Time::from_millis(u64::MAX))
    }

    /// Writes again what the server refused, once the clock has been set; answers with when to look next.
    pub(super) fn look_at_clock(&mut self, now: Time) -> Time {
        let due = |entry: &Entry| {
            // A clock that was set back does not make the wait longer.
            entry.look_at_clock.is_some_and(|due| due <= now || due > now.plus(CLOCK_SKEW_MILLIS))
        };
        let names: Vec<String> =
            self.entries.iter().filter(|(_, entry)| due(entry)).map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.restamp(now, name));
        self.entries
            .values()
            .filter_map(|entry| entry.look_at_clock)
            .min()
            .unwrap_or(Time::from_millis(u64::MAX))
    }

    /// The server does not open a document, or does not take edits of it. What it does not take is kept.
    pub(super) fn on_refused(&mut self, now: Time, name: String, refusal: Refusal) {
        let code = refusal.code;
        if let (Some(entry), Link::Online(session)) = (self.entries.get_mut(&name), &mut self.link) {
            entry.refusal = Some(refusal.clone());
            match (entry.channel, code) {
                (None, Code::Unavailable | Code::Limit) => {
                    entry.ask_again = Some(now.plus(UNAVAILABLE_MILLIS));
                }
                (Some(channel), Code::Full) => {
                    // Everything together next time: what was removed since may make room for the rest.
                    session.believe(channel, entry.on_server.clone());
                    entry.hold = Hold::Until(now.plus(FULL_MILLIS));
                }
                (
                    Some(_),
                    Code::Unavailable | Code::Rate | Code::Forbidden | Code::Author | Code::Equivocation,
                ) => {
                    entry.hold = Hold::UntilAsked;
                }
                _ => {}
            }
        }
        if code == Code::ClockSkew {
            self.restamp(now, &name);
        }
        let Refusal { code, message } = refusal;
        self.notify(Notice::Refused { name: name.clone(), code, message });
        self.report(&name);
    }

    /// Sends once more what was refused a while ago; answers with when the next is due.
    pub(super) fn send_again(&mut self, now: Time) -> Time {
        // A clock that was set back does not make the wait longer.
        let is_due = |hold| matches!(hold, Hold::Until(due) if due <= now || due > now.plus(FULL_MILLIS));
        let due = self.entries.iter().filter(|(_, entry)| is_due(entry.hold));
        for name in due.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.hold = Hold::No;
            }
            self.flush(&name);
        }
        let next = self.entries.values().filter_map(|entry| match entry.hold {
            Hold::Until(due) => Some(due),
            _ => None,
        });
        next.min().unwrap_or(Time::from_millis(u64::MAX))
    }

    /// The server refused what was written by a clock that was ahead. If that clock has been set since, what it wrote
    /// is written again; if not, it is looked at again.
    fn restamp(&mut self, now: Time, name: &str) {
        let (Link::Online(session), Some(entry)) = (&mut self.link, self.entries.get_mut(name)) else {
            return;
        };
        let before = entry.document.version().clone();
        entry.document.restamp(now, &entry.on_server);
        let changes = entry.document.take_changes();
        let wrong = *entry.document.version() == before && !entry.on_server.covers(&before);
        entry.look_at_clock = wrong.then(|| now.plus(CLOCK_SKEW_MILLIS));
        if *entry.document.version() == before {
            return;
        }
        if let Some(channel) = entry.channel {
            session.believe(channel, entry.on_server.clone());
        }
        let (delta, version) = (entry.document.since(&before).encode(), entry.document.version().clone());
        self.notify(Notice::Changed { name: name.to_owned(), changes, delta, version: Some(version) });
        self.flush(name);
        self.report(name);
    }
}

impl Entry {
    /// Once the server has everything, nothing is refused any more.
    pub(super) fn forget_refusal_if_done(&mut self) {
        if self.channel.is_some() && self.on_server.covers(self.document.version()) {
            (self.refusal, self.hold) = (None, Hold::No);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReplicaId;
    use crate::client::Action;
    use crate::session::{Frame, Token};

    /// The names that are asked for by what the client sends until it waits, and until when it waits.
    fn asked(client: &mut Client, now: Time) -> (Vec<String>, Time) {
        let mut names = Vec::new();
        loop {
            match client.poll(now) {
                Action::Send(bytes) => {
                    if let Some(Frame::Open { name, .. }) = Frame::decode(&bytes) {
                        names.push(name.to_owned());
                    }
                }
                Action::Wait(until) => return (names, until),
                _ => {}
            }
        }
    }

    #[test]
    fn a_document_that_was_unavailable_is_asked_for_again() {
        let start = Time::from_millis(1_000);
        let mut client = Client::new(ReplicaId::new(1), false);
        client.open("map");
        client.go_online(start);
        asked(&mut client, start);
        client.connected(start, Token::default());
        assert_eq!(asked(&mut client, start).0, ["map"]);
        let hello = Frame::Hello {
            protocol: crate::session::PROTOCOL,
            replica: ReplicaId::new(2),
            token: Token::default(),
        };
        client.received(start, &hello.encode(), 0);
        let refused = Frame::Refused { name: "map", code: Code::Unavailable, message: "not now" };
        client.received(start, &refused.encode(), 0);
        let (names, until) = asked(&mut client, start);
        assert_eq!((names.len(), until), (0, start.plus(UNAVAILABLE_MILLIS)));
        assert_eq!(asked(&mut client, until).0, ["map"]);
        assert_ne!(asked(&mut client, until).1, until, "it would be polled without end");
    }
}
