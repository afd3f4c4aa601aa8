//! This project's server, and the session that speaks with it.

use super::subject::{Edits, News, Replica, Subject, Talk, Word};
use crate::failure::Failure;
use bytes::Bytes;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use watersmeet_crdt::document::{Kind, View};
use watersmeet_crdt::session::{Event, Frame, Input, Limits, Output, SUBPROTOCOL, Session, Token};
use watersmeet_crdt::{Delta, Document, Lattice, ReplicaId, Time, Value, VersionVector};

/// The name of ours in reports.
pub(super) const NAME: &str = "watersmeet";
/// The map that holds the entries.
const MAP: &str = "m";

/// See the [module](self).
pub(super) struct Watersmeet {
    /// The release binary.
    pub(super) binary: PathBuf,
}

impl Subject for Watersmeet {
    fn name(&self) -> &str {
        NAME
    }

    fn word(&self) -> Word {
        Word::Durable
    }

    fn command(&self, folder: &Path, port: u16) -> Result<Command, Failure> {
        let mut command = Command::new(&self.binary);
        command.args([
            "--log",
            "warn",
            "serve",
            "--open",
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--data",
        ]);
        command.arg(folder);
        Ok(command)
    }

    fn path(&self, _document: &str) -> String {
        "/sync".to_owned()
    }

    fn subprotocol(&self) -> Option<&'static str> {
        Some(SUBPROTOCOL)
    }

    fn talk(&self, document: &str, replica: &dyn Replica) -> Result<Box<dyn Talk>, Failure> {
        let has: VersionVector = postcard::from_bytes(&replica.version())?;
        let author = ReplicaId::new(replica.id());
        let mut session = Session::call(now(), author, Token::default(), Limits::default());
        session.open(document, has.clone());
        Ok(Box::new(Conversation { session, author, has, wanted: None, channel: 0 }))
    }

    fn replica(&self, id: u64) -> Box<dyn Replica> {
        Box::new(Ours(Document::new(ReplicaId::new(id))))
    }
}

struct Ours(Document);

impl Replica for Ours {
    fn id(&self) -> u64 {
        self.0.replica().get()
    }

    fn set(&mut self, entries: &[(&str, i64)]) -> Result<Bytes, Failure> {
        let before = self.0.version().clone();
        self.0.edit(now(), |tx| entries.iter().for_each(|(key, value)| tx.set(&[MAP, key], *value)))?;
        Ok(self.0.since(&before).encode())
    }

    fn apply(&mut self, edits: Edits) -> Result<(), Failure> {
        let gap = |gap| Failure::new(format!("a delta does not follow: {gap:?}"));
        let delta = match edits.delta {
            Some(delta) => *delta,
            None => Delta::decode(&edits.bytes)?,
        };
        self.0.apply(delta).map(|_| ()).map_err(gap)
    }

    fn version(&self) -> Bytes {
        postcard::to_allocvec(self.0.version()).unwrap_or_default().into()
    }

    fn digest(&self) -> (usize, i64) {
        let entries = self.0.map(&[MAP]).into_iter().flat_map(|map| map.iter());
        entries.fold((0, 0), |(count, sum), (_, kind, view)| match (kind, view) {
            (Kind::Register, View::Register(register)) => match register.get() {
                Some(Value::Int(value)) => (count + 1, sum + value),
                _ => (count, sum),
            },
            _ => (count, sum),
        })
    }
}

struct Conversation {
    session: Session,
    author: ReplicaId,
    has: VersionVector,
    /// What the server had when it opened the document, until that has come.
    wanted: Option<VersionVector>,
    channel: u32,
}

impl Conversation {
    fn drain(&mut self, news: &mut VecDeque<News>) {
        loop {
            match self.session.poll() {
                Output::Send(message) => news.push_back(News::Say(message)),
                Output::Event(event) => self.on_event(event, news),
                Output::Wait(_) => return,
            }
        }
    }

    fn on_event(&mut self, event: Event, news: &mut VecDeque<News>) {
        match event {
            Event::Opened { channel, version, .. } => {
                (self.channel, self.wanted) = (channel, Some(version));
                self.look_whether_open(news);
            }
            Event::Delta { delta, bytes, .. } => {
                let count = delta.to().events_beyond(delta.from());
                if self.wanted.is_some() {
                    self.has.merge(delta.to().clone());
                }
                news.push_back(News::Edits(Edits { bytes, count, delta: Some(delta) }));
                self.look_whether_open(news);
            }
            Event::Acknowledged { version, .. } => news.push_back(News::Safe(version.seq(self.author))),
            _ => {}
        }
    }

    fn look_whether_open(&mut self, news: &mut VecDeque<News>) {
        if self.wanted.take_if(|wanted| self.has.covers(wanted)).is_some() {
            news.push_back(News::Open);
        }
    }
}

impl Talk for Conversation {
    fn greet(&mut self, news: &mut VecDeque<News>) {
        self.drain(news);
    }

    fn hear(&mut self, message: Bytes, news: &mut VecDeque<News>) -> Result<(), Failure> {
        self.session.handle(now(), Input::Frame(&message))?;
        self.drain(news);
        Ok(())
    }

    fn say(&self, edit: &Bytes) -> Bytes {
        Frame::Delta { channel: self.channel, delta: edit }.encode().into()
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
