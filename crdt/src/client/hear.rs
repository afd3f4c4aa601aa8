//! What follows from what the server says.

use super::refused::{Hold, Refusal};
use super::{Client, Link, Notice};
use crate::session::Event;
use crate::{Delta, Lattice, Time, VersionVector};
use bytes::Bytes;

impl Client {
    pub(super) fn on_event(&mut self, now: Time, event: Event) {
        match event {
            Event::Opened { name, channel, version } => self.on_opened(&name, channel, version),
            Event::Delta { channel, delta, bytes } => self.on_delta(channel, &delta, bytes),
            Event::Acknowledged { channel, version } => {
                let Some(name) = self.name_of(channel) else { return };
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.on_server.merge(version);
                    entry.forget_refusal_if_done();
                }
                self.report(&name);
            }
            Event::Lacks { channel } => {
                let Some(name) = self.name_of(channel) else { return };
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.hold = Hold::No;
                    entry.refusal.take_if(|refusal| refusal.code.passes());
                }
                self.flush(&name);
                self.report(&name);
            }
            Event::Presence { channel, peer, state } => {
                if let Some(name) = self.name_of(channel) {
                    self.notify(Notice::Presence { name, peer, state });
                }
            }
            Event::Refused { name, code, message } => self.on_refused(now, name, Refusal { code, message }),
            Event::Redirected { url } => self.redirects.name(url),
            Event::Closed { channel } => {
                let Some(name) = self.name_of(channel) else { return };
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.channel = None;
                }
                self.report(&name);
                // A large delta may have been under way on it, and others have waited for that.
                self.flush_all();
            }
            // The end that calls is never asked for a document; what it is sent it wants.
            Event::Open { .. } | Event::Greeted { .. } | Event::Begun { .. } => {}
        }
    }

    fn on_opened(&mut self, name: &str, channel: u32, version: VersionVector) {
        let Link::Online(session) = &mut self.link else { return };
        let Some(entry) = self.entries.get_mut(name) else { return session.close(channel) };
        entry.channel = Some(channel);
        // Not merged: should the server have lost something, it will be sent again.
        entry.on_server = version;
        (entry.refusal, entry.hold) = (None, Hold::No);
        if !entry.presence.is_empty() {
            session.present_as(channel, self.replica.get(), &entry.presence);
        }
        self.flush(name);
        self.report(name);
    }

    fn on_delta(&mut self, channel: u32, delta: &Delta, bytes: Bytes) {
        let Some(name) = self.name_of(channel) else { return };
        let (Link::Online(session), Some(entry)) = (&mut self.link, self.entries.get_mut(&name)) else {
            return;
        };
        let sent = delta.to().clone();
        match entry.document.apply(delta) {
            Ok(_) => {
                let changes = entry.document.take_changes();
                // The server sends only what is on its disk.
                entry.on_server.merge(sent);
                entry.forget_refusal_if_done();
                self.notify(Notice::Changed { name: name.clone(), changes, delta: bytes, version: None });
                self.report(&name);
            }
            Err(_) => session.lacks(channel, entry.document.version().clone()),
        }
    }
}
