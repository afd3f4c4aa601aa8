//! The rooms that a connection is in: how it comes in, asks, and leaves.

use super::{Connection, End};
use crate::room::Request;
use watersmeet_crdt::VersionVector;
use watersmeet_crdt::session::Code;

impl Connection {
    pub(super) async fn open(&mut self, name: &str, has: VersionVector) {
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

    pub(super) async fn shut(&mut self, channel: u32) -> Result<(), End> {
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
    pub(super) async fn request(&mut self, channel: u32, request: Request) -> Result<(), End> {
        let Some(door) = self.doors.get(&channel) else { return Ok(()) };
        if door.requests.send(request).await.is_err() {
            return Err(self.end(Code::Unavailable, "a document is not available now; connect again"));
        }
        Ok(())
    }

    /// Has one channel at a time told what its peer lacks, when what was large before has gone: so whoever lags in many
    /// large documents holds one of them.
    pub(super) async fn ask_for_the_lagging(&mut self) -> Result<(), End> {
        while self.asked.is_none() && !self.wire.turn().session.is_sending() {
            let Some(channel) = self.lagging.pop_first() else { return Ok(()) };
            let has = self.wire.turn().session.peer_has(channel).cloned();
            let Some(has) = has else { continue };
            self.asked = Some(channel);
            self.request(channel, Request::CatchUp { guest: self.guest, has }).await?;
        }
        Ok(())
    }

    /// Leaves all of them.
    pub(super) async fn leave(&mut self) {
        for (_, door) in std::mem::take(&mut self.doors) {
            // A room that has ended has no guests.
            let _ = door.requests.send(Request::Leave { guest: self.guest }).await;
        }
    }
}
