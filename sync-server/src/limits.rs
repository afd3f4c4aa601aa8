//! Every limit on what peers can fill or hold, by name. What is about one conversation is in
//! [`session::Limits`]; everything around it is here.

use std::time::Duration;
use watersmeet_crdt::{REPLICAS_MAX, session};

/// How much may wait, be open or be held at once.
#[derive(Clone, Debug)]
pub struct Limits {
    /// What one conversation may hold: frame bytes, documents, name bytes, presence bytes.
    pub session: session::Limits,
    /// Connections at once. One more is answered 503.
    pub connections: usize,
    /// Sockets at once, whatever comes by them: WebSockets, requests, and those who say nothing. More than `connections`, or
    /// an operator who asks how the server is would find no room. One more is answered 503.
    pub sockets: usize,
    /// How long the head of a request may take to come, and so how long a socket may be silent between two.
    pub head: Duration,
    /// How long an answer may wait for a reader who reads less than 64 KiB of it meanwhile, before the socket is closed. Of
    /// what comes or goes in parts by a WebSocket, 256 KiB must pass in four times as long.
    pub stall: Duration,
    /// Bytes of documents that are being sent as answers. One more is answered 503; an event waits.
    pub answer_bytes: u32,
    /// Connections of one subject at once. One more is answered 429, or ended after its greeting if it shows its token
    /// only there.
    pub connections_per_subject: usize,
    /// Edits of one subject, over all its connections; an edit is one delta, whatever is in it. Beyond it they are
    /// refused for now, and asked for when there is room again.
    pub edits: Rate,
    /// How long edits that came too fast wait at least, before they are asked for.
    pub throttle: Duration,
    /// Bytes of a document's state. Edits that would make it larger are refused; removals are not.
    pub document_bytes: usize,
    /// Replicas that have edited a document. Edits by one more are refused. Below what a version may name (10,000), so that
    /// whoever waits to send can still write down what it has.
    pub document_replicas: usize,
    /// How long what was found of a large document's size holds, since to measure it costs as much as it is large.
    pub measured: Duration,
    /// How often one connection shows itself anew in one document. What comes faster is merged: the latest counts.
    pub presence_per_second: u32,
    /// Documents in memory at once. For one more, one that nobody has open leaves; if there is none, it is refused.
    pub rooms: usize,
    /// Documents in memory that nobody has open. Those that were left first leave for new ones.
    pub warm_documents: usize,
    /// Bytes of such documents, as they are written down. In memory they take several times as much.
    pub warm_bytes: usize,
    /// Requests that wait for one room. Who has one more waits, and reads no further.
    pub room_queue: usize,
    /// Requests that a room takes together, and so the edits that it commits together.
    pub room_batch: usize,
    /// Bytes of edits, over all connections, that were read and wait for their room. Who has more waits.
    pub inbound_bytes: u32,
    /// Bytes of large edits, over all connections, of which the end is still under way. One that finds no room is let pass,
    /// and asked for later.
    pub coming_bytes: u32,
    /// Bytes of deltas that wait for one connection. Beyond it they are forgotten, and what the peer lacks is asked
    /// of the document when the peer can take it.
    pub mailbox_bytes: usize,
    /// Deltas that wait for one connection, whatever their size.
    pub mailbox_deltas: usize,
    /// Bytes of what is large, over all connections, that is on its way to peers: states, and deltas of more than a part.
    /// What is sent to many counts once; packed it may take as much again. Who needs more waits in line.
    pub outgoing_bytes: u32,
    /// Bytes that wait for one socket before no more is read from it.
    pub outbound_bytes: usize,
    /// Messages that are read from one socket before what follows from them is done.
    pub messages_at_once: usize,
    /// Bytes of them.
    pub bytes_at_once: usize,
    /// Commits that wait for the disk. Rooms wait beyond it.
    pub commit_queue: usize,
    /// Commits in one transaction.
    pub commit_batch: usize,
    /// Deltas after the last snapshot before a new one is written.
    pub tail_deltas: usize,
    /// Bytes of deltas after the last snapshot before a new one is written, unless the state is larger than that.
    pub tail_bytes: usize,
    /// Snapshots that are asked for and not made yet. A room asks again if there are more.
    pub compact_queue: usize,
    /// How long a document stays in memory when nobody has it open.
    pub room_idle: Duration,
    /// Documents that are encoded for who has little of them, or turned into JSON, at once. Who asks for one more waits.
    pub renderings: usize,
    /// Bytes of a request's body.
    pub upload_bytes: usize,
    /// How long the body of a request may take to come.
    pub upload: Duration,
    /// How long a closed connection may take to hear why.
    pub linger: Duration,
    /// Bytes of the embedded store's database. Beyond it edits are refused as by a full disk.
    pub store_bytes: u64,
    /// How long the store may take to show that it can be written to.
    pub health: Duration,
    /// How long what was found of the store's health is told to others who ask.
    pub health_kept: Duration,
    /// How long after the store failed it is first looked whether it works again; then twice as long, and so on.
    pub mend: Duration,
    /// How long at most until it is looked again.
    pub mend_max: Duration,
    /// How long the server may take to end: to commit and acknowledge what came, and to say goodbye.
    pub drain: Duration,
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// At once, after a silence.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            session: session::Limits::default(),
            connections: 10_000,
            sockets: 16_000,
            head: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            answer_bytes: 256 << 20,
            connections_per_subject: 64,
            edits: Rate { per_second: 1_000, burst: 10_000 },
            throttle: Duration::from_millis(250),
            document_bytes: 64 << 20,
            document_replicas: 9_000,
            measured: Duration::from_secs(1),
            presence_per_second: 20,
            rooms: 10_000,
            warm_documents: 1_000,
            warm_bytes: 64 << 20,
            room_queue: 256,
            room_batch: 256,
            inbound_bytes: 256 << 20,
            coming_bytes: 512 << 20,
            mailbox_bytes: 1 << 20,
            mailbox_deltas: 1_024,
            outgoing_bytes: 256 << 20,
            outbound_bytes: 1 << 20,
            messages_at_once: 64,
            bytes_at_once: 1 << 20,
            commit_queue: 1_024,
            commit_batch: 1_024,
            tail_deltas: 1_000,
            tail_bytes: 64 << 10,
            compact_queue: 64,
            room_idle: Duration::from_secs(60),
            renderings: 2,
            upload_bytes: 16 << 20,
            upload: Duration::from_secs(60),
            linger: Duration::from_secs(2),
            // What SQLite can hold.
            store_bytes: 16 << 40,
            health: Duration::from_secs(5),
            health_kept: Duration::from_secs(1),
            mend: Duration::from_millis(500),
            mend_max: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        }
    }
}

/// A frame of the size in which every client sends the parts of what is large, twice.
const FRAME_BYTES_LEAST: u64 = 64 << 10;
/// Smaller parts would be mostly heads, and larger ones no parts of what clients take as one message.
const PART_BYTES_LEAST: u64 = 1 << 10;
const PART_BYTES_MOST: u64 = 512 << 10;

/// A limit that cannot be what it is said to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit `{name}` is {value}, and must be from {least} to {most}")]
pub struct OutOfRange {
    /// Its name.
    pub name: &'static str,
    /// What was said.
    pub value: u64,
    /// The least that it can be.
    pub least: u64,
    /// The most.
    pub most: u64,
}

impl Limits {
    /// Whether a server can live with them.
    ///
    /// # Errors
    /// The first that is out of its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let (queue, any) = (tokio::sync::Semaphore::MAX_PERMITS as u64, u64::MAX);
        let session::Limits { frame_bytes, delta_bytes, part_bytes, .. } = self.session;
        let ranges = [
            ("connections", self.connections as u64, 1, queue),
            ("sockets", self.sockets as u64, 1, queue),
            ("answer_bytes", self.answer_bytes.into(), 1, any),
            ("outgoing_bytes", self.outgoing_bytes.into(), 1, any),
            ("document_replicas", self.document_replicas as u64, 1, REPLICAS_MAX as u64),
            ("edits_per_second", self.edits.per_second.into(), 1, any),
            ("edits_burst", self.edits.burst.into(), 1, any),
            ("room_queue", self.room_queue as u64, 1, queue),
            ("room_batch", self.room_batch as u64, 1, any),
            ("messages_at_once", self.messages_at_once as u64, 1, any),
            ("commit_queue", self.commit_queue as u64, 1, queue),
            ("commit_batch", self.commit_batch as u64, 1, any),
            ("compact_queue", self.compact_queue as u64, 1, queue),
            ("renderings", self.renderings as u64, 1, queue),
            // What clients send in parts of their own size has to fit into a frame, and what they are sent into theirs.
            ("frame_bytes", frame_bytes as u64, FRAME_BYTES_LEAST, any),
            ("part_bytes", part_bytes as u64, PART_BYTES_LEAST, PART_BYTES_MOST),
            // A document that is in bounds can be sent, and be sent back.
            ("delta_bytes", delta_bytes as u64, self.document_bytes as u64, any),
            ("coming_bytes", self.coming_bytes.into(), delta_bytes as u64, queue),
        ];
        match ranges.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((name, value, least, most)) => Err(OutOfRange { name, value, least, most }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_cannot_be_is_named() {
        assert_eq!(Limits::default().check(), Ok(()));
        let wrong = |limits: Limits| limits.check().map_err(|wrong| wrong.name);
        assert_eq!(wrong(Limits { commit_batch: 0, ..Limits::default() }), Err("commit_batch"));
        assert_eq!(wrong(Limits { connections: usize::MAX, ..Limits::default() }), Err("connections"));
        assert_eq!(
            wrong(Limits { document_replicas: 10_001, ..Limits::default() }),
            Err("document_replicas")
        );
        assert_eq!(wrong(Limits { coming_bytes: 1, ..Limits::default() }), Err("coming_bytes"));
        assert_eq!(wrong(Limits { document_bytes: 1 << 30, ..Limits::default() }), Err("delta_bytes"));
        let session = |session| wrong(Limits { session, ..Limits::default() });
        let usual = session::Limits::default;
        assert_eq!(session(session::Limits { part_bytes: 0, ..usual() }), Err("part_bytes"));
        assert_eq!(session(session::Limits { part_bytes: 1 << 20, ..usual() }), Err("part_bytes"));
        assert_eq!(session(session::Limits { frame_bytes: 1 << 10, ..usual() }), Err("frame_bytes"));
    }
}
