//! What is large and under way on a connection takes room, and so is watched.

use super::{Connection, End};
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;
use watersmeet_crdt::session::Code;

impl Connection {
    /// Takes room for what has come of a large edit. If there is none, nobody waits for it, or two that have each come by
    /// half might wait for each other: the rest is let pass, and asked for later.
    pub(super) fn make_room(&mut self) {
        let here = self.wire.turn().session.coming_bytes();
        if here == 0 {
            self.coming = None;
            return;
        }
        let held = self.coming.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(here.saturating_sub(held)).unwrap_or(u32::MAX);
        match (self.hub.coming.clone().try_acquire_many_owned(more), &mut self.coming) {
            (Ok(permit), Some(coming)) => coming.merge(permit),
            (Ok(permit), coming) => *coming = Some(permit),
            (Err(_), coming) => {
                *coming = None;
                let Some(channel) = self.wire.turn().session.coming_on() else { return };
                self.wire.turn().session.skip(channel);
                self.rights.throttle(&self.hub, channel);
                if let Some(name) = self.name(channel) {
                    let message = "too many large edits come at once; keep this one, it will be asked for";
                    self.refuse(&name, Code::Unavailable, message);
                }
            }
        }
    }

    /// That what is large and under way goes on, which takes room meanwhile.
    pub(super) fn look_whether_it_goes_on(&mut self) -> Result<(), End> {
        let (stall, now) = (self.hub.limits.stall, Instant::now());
        let (coming, sent) = {
            let session = &self.wire.turn().session;
            (session.coming_bytes(), session.sent_bytes())
        };
        if !self.comes.goes_on((coming > 0).then_some(coming), stall, now) {
            return Err(self.end(Code::Silent, "a large edit was begun and does not go on; connect again"));
        }
        if !self.goes.goes_on(sent, stall, now) {
            return Err(self.end(Code::Silent, "what is sent is not read; connect again"));
        }
        Ok(())
    }
}
