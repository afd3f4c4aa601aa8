//! What every server under measurement is to the generator: a process, a conversation, a replica.
//!
//! The workloads know only this. A peer is added by one more [`Subject`].

use super::line::{Line, patiently};
use crate::failure::Failure;
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use watersmeet_crdt::Delta;

/// What a server's word is worth that an edit is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It is on disk, synced.
    Durable,
    /// It is in the server's memory.
    #[cfg_attr(not(feature = "yjs"), expect(dead_code, reason = "only peers say so"))]
    Received,
    /// Nothing is said; the author hears its own edit when everybody does.
    Relayed,
}

/// A server, ours or a peer's.
pub(super) trait Subject: Sync {
    /// Its name and version.
    fn name(&self) -> &str;

    /// What its word is worth.
    fn word(&self) -> Word;

    /// Starts it, to keep its data in `folder` and listen at `port` of 127.0.0.1.
    fn command(&self, folder: &Path, port: u16) -> Result<Command, Failure>;

    /// Where a document is.
    fn path(&self, document: &str) -> String;

    /// The WebSocket subprotocol.
    fn subprotocol(&self) -> Option<&'static str>;

    /// One client's side of a conversation about one document, of which it has what `replica` has.
    fn talk(&self, document: &str, replica: &dyn Replica) -> Result<Box<dyn Talk>, Failure>;

    /// An empty replica.
    fn replica(&self, id: u64) -> Box<dyn Replica>;
}

/// A conversation, without I/O.
pub(super) trait Talk: Send {
    /// Takes in a message; adds what is news.
    fn hear(&mut self, message: Bytes, news: &mut VecDeque<News>) -> Result<(), Failure>;

    /// What is to be said first.
    fn greet(&mut self, news: &mut VecDeque<News>);

    /// An edit as a message.
    fn say(&self, edit: &Bytes) -> Bytes;
}

/// What follows from a message.
#[derive(Debug)]
pub(super) enum News {
    /// This is to be said.
    Say(Bytes),
    /// The document is open, and all that it had when it was asked for has come.
    Open,
    /// Edits came.
    Edits(Edits),
    /// So many of this client's edits, in all, are safe, as far as the server's [`Word`] goes.
    Safe(u64),
}

/// Edits that came.
#[derive(Debug)]
pub(super) struct Edits {
    pub(super) bytes: Bytes,
    /// So many, as far as is known.
    pub(super) count: u64,
    /// As the session decoded them, where it did.
    pub(super) delta: Option<Box<Delta>>,
}

/// A document: a map from text to integer.
pub(super) trait Replica: Send {
    /// Who edits.
    fn id(&self) -> u64;

    /// Writes entries, and answers with the edit's bytes.
    fn set(&mut self, entries: &[(&str, i64)]) -> Result<Bytes, Failure>;

    /// Takes in edits.
    fn apply(&mut self, edits: Edits) -> Result<(), Failure>;

    /// What it has, as its protocol says it.
    fn version(&self) -> Bytes;

    /// How many entries there are, and the sum of their values.
    fn digest(&self) -> (usize, i64);
}

/// A client: a conversation over a line.
pub(super) struct Client {
    pub(super) line: Line,
    talk: Box<dyn Talk>,
    news: VecDeque<News>,
}

impl Client {
    /// Connects, and asks for a document.
    pub(super) async fn dial(
        subject: &dyn Subject,
        address: SocketAddr,
        document: &str,
        replica: &dyn Replica,
    ) -> Result<Self, Failure> {
        let talk = subject.talk(document, replica)?;
        let line = Line::dial(address, &subject.path(document), subject.subprotocol()).await?;
        let mut client = Client { line, talk, news: VecDeque::new() };
        client.talk.greet(&mut client.news);
        Ok(client)
    }

    /// Connects, and waits until the document is open and `replica` has all of it.
    pub(super) async fn join(
        subject: &dyn Subject,
        address: SocketAddr,
        document: &str,
        replica: &mut dyn Replica,
    ) -> Result<Self, Failure> {
        let mut client = Self::dial(subject, address, document, replica).await?;
        patiently("a document", client.catch_up(replica)).await??;
        Ok(client)
    }

    async fn catch_up(&mut self, replica: &mut dyn Replica) -> Result<(), Failure> {
        loop {
            match self.next().await? {
                News::Open => return Ok(()),
                News::Edits(edits) => replica.apply(edits)?,
                News::Say(_) | News::Safe(_) => {}
            }
        }
    }

    /// Queues an edit.
    pub(super) async fn feed(&mut self, edit: &Bytes) -> Result<(), Failure> {
        self.line.feed(self.talk.say(edit)).await
    }

    /// What happens next; what is to be said is said. Nothing is lost if it is dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<News, Failure> {
        loop {
            if let Some(news) = self.pop().await? {
                return Ok(news);
            }
            let message = self.line.next().await?;
            self.talk.hear(message, &mut self.news)?;
        }
    }

    /// What has already happened, if anything has.
    pub(super) async fn ready(&mut self) -> Result<Option<News>, Failure> {
        loop {
            if let Some(news) = self.pop().await? {
                return Ok(Some(news));
            }
            let Some(message) = self.line.ready()? else { return Ok(None) };
            self.talk.hear(message, &mut self.news)?;
        }
    }

    async fn pop(&mut self) -> Result<Option<News>, Failure> {
        let mut said = false;
        while let Some(News::Say(_)) = self.news.front() {
            if let Some(News::Say(message)) = self.news.pop_front() {
                self.line.feed(message).await?;
                said = true;
            }
        }
        if said {
            self.line.flush().await?;
        }
        Ok(self.news.pop_front())
    }
}
