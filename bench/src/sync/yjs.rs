//! Servers of Yjs documents: y-websocket and Hocuspocus. Clients speak their protocol by hand (lib0's numbers and
//! y-protocols' messages, which are few), and yrs makes and reads the documents.
//!
//! ```text
//!   y-websocket   0 sync │ 0 step 1, state vector │ 1 step 2, update │ 2 update
//!   Hocuspocus    document's name, then the same; and 2 auth │ 0 token, 8 status │ 0 or 1
//! ```

use super::subject::{Edits, News, Replica, Subject, Talk, Word};
use crate::failure::Failure;
use bytes::Bytes;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Any, Doc, Map, MapRef, Options, Out, ReadTxn, Transact, Update};

/// The map that holds the entries.
const MAP: &str = "m";

const SYNC: u64 = 0;
const AUTH: u64 = 2;
const STATUS: u64 = 8;
const STEP_1: u64 = 0;
const STEP_2: u64 = 1;
const UPDATE: u64 = 2;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    YWebsocket,
    Hocuspocus,
}

/// See the [module](self).
pub(super) struct Yjs {
    kind: Kind,
    name: String,
    /// Where the packages are installed.
    folder: PathBuf,
}

impl Yjs {
    /// The server of a kind, whose packages are in `folder`.
    pub(super) fn new(kind: Kind, folder: &Path) -> Self {
        let (package, shown) = match kind {
            Kind::YWebsocket => ("y-websocket", "y-websocket"),
            Kind::Hocuspocus => ("@hocuspocus/server", "hocuspocus"),
        };
        let manifest = folder.join("node_modules").join(package).join("package.json");
        let version = std::fs::read_to_string(manifest)
            .ok()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
            .and_then(|manifest| Some(manifest.get("version")?.as_str()?.to_owned()));
        let name = format!("{shown} {}", version.as_deref().unwrap_or("(not installed)"));
        Yjs { kind, name, folder: folder.to_owned() }
    }
}

impl Subject for Yjs {
    fn name(&self) -> &str {
        &self.name
    }

    fn word(&self) -> Word {
        match self.kind {
            Kind::YWebsocket => Word::Relayed,
            Kind::Hocuspocus => Word::Received,
        }
    }

    fn command(&self, data: &Path, port: u16) -> Result<Command, Failure> {
        let program = match self.kind {
            Kind::YWebsocket => self.folder.join("node_modules/y-websocket/bin/server.cjs"),
            Kind::Hocuspocus => self.folder.join("hocuspocus.mjs"),
        };
        if !program.is_file() {
            return Err(Failure::new("not installed; cargo xtask bench sync does it, with Node 20 and npm"));
        }
        let mut command = Command::new("node");
        command.arg(program).current_dir(&self.folder);
        command.env("HOST", "127.0.0.1").env("PORT", port.to_string());
        // y-websocket's way to keep documents is LevelDB, Hocuspocus' is SQLite.
        command.env("YPERSISTENCE", data.join("leveldb")).env("DATABASE", data.join("documents.sqlite"));
        Ok(command)
    }

    fn path(&self, document: &str) -> String {
        match self.kind {
            Kind::YWebsocket => format!("/{}", document.replace(' ', "-")),
            Kind::Hocuspocus => "/".to_owned(),
        }
    }

    fn subprotocol(&self) -> Option<&'static str> {
        None
    }

    fn talk(&self, document: &str, replica: &dyn Replica) -> Result<Box<dyn Talk>, Failure> {
        let mut prefix = Vec::new();
        if self.kind == Kind::Hocuspocus {
            put_bytes(&mut prefix, document.as_bytes());
        }
        Ok(Box::new(Conversation {
            kind: self.kind,
            prefix,
            version: replica.version(),
            safe: 0,
            heard: Doc::new(),
        }))
    }

    fn replica(&self, id: u64) -> Box<dyn Replica> {
        let doc = Doc::with_options(Options::with_client_id(ClientID::new(id)));
        let map = doc.get_or_insert_map(MAP);
        Box::new(Yrs { id, doc, map })
    }
}

struct Conversation {
    kind: Kind,
    prefix: Vec<u8>,
    version: Bytes,
    safe: u64,
    /// The edits that were heard.
    heard: Doc,
}

impl Conversation {
    fn message(&self, numbers: &[u64], bytes: &[u8]) -> Bytes {
        let mut message = self.prefix.clone();
        numbers.iter().for_each(|number| put(&mut message, *number));
        put_bytes(&mut message, bytes);
        message.into()
    }
}

impl Conversation {
    /// How many edits came with an update. y-websocket passes on each as it is; Hocuspocus may join several, so they are
    /// counted by what they add to a document, where each takes one tick of its author's clock.
    fn count(&mut self, update: &[u8]) -> Result<u64, Failure> {
        if self.kind == Kind::YWebsocket {
            return Ok(1);
        }
        let ticks = |doc: &Doc| -> u64 {
            doc.transact().state_vector().iter().map(|(_, clock)| u64::from(*clock)).sum()
        };
        let before = ticks(&self.heard);
        self.heard.transact_mut().apply_update(Update::decode_v1(update)?)?;
        Ok(ticks(&self.heard) - before)
    }
}

impl Talk for Conversation {
    fn greet(&mut self, news: &mut VecDeque<News>) {
        if self.kind == Kind::Hocuspocus {
            // Any token; the server asks for none, but opens a document only when one is given.
            news.push_back(News::Say(self.message(&[AUTH, 0], b"token")));
        }
        news.push_back(News::Say(self.message(&[SYNC, STEP_1], &self.version)));
    }

    fn hear(&mut self, message: Bytes, news: &mut VecDeque<News>) -> Result<(), Failure> {
        let mut rest = message.as_ref();
        if self.kind == Kind::Hocuspocus {
            take_bytes(&mut rest)?;
        }
        match take(&mut rest)? {
            SYNC => {}
            STATUS => {
                self.safe += 1;
                news.push_back(News::Safe(self.safe));
                return Ok(());
            }
            _ => return Ok(()),
        }
        match take(&mut rest)? {
            STEP_2 => {
                let bytes = message.slice_ref(take_bytes(&mut rest)?);
                news.extend([News::Edits(Edits { bytes, count: 0, delta: None }), News::Open]);
            }
            UPDATE => {
                let bytes = message.slice_ref(take_bytes(&mut rest)?);
                let count = self.count(&bytes)?;
                news.push_back(News::Edits(Edits { bytes, count, delta: None }));
                if self.kind == Kind::YWebsocket {
                    self.safe += count;
                    news.push_back(News::Safe(self.safe));
                }
            }
            // The generator's clients never have what the server lacks.
            _ => {}
        }
        Ok(())
    }

    fn say(&self, edit: &Bytes) -> Bytes {
        self.message(&[SYNC, UPDATE], edit)
    }
}

struct Yrs {
    id: u64,
    doc: Doc,
    map: MapRef,
}

impl Replica for Yrs {
    fn id(&self) -> u64 {
        self.id
    }

    fn set(&mut self, entries: &[(&str, i64)]) -> Result<Bytes, Failure> {
        let mut txn = self.doc.transact_mut();
        for (key, value) in entries {
            self.map.insert(&mut txn, *key, *value as f64);
        }
        Ok(txn.encode_update_v1().into())
    }

    fn apply(&mut self, edits: Edits) -> Result<(), Failure> {
        Ok(self.doc.transact_mut().apply_update(Update::decode_v1(&edits.bytes)?)?)
    }

    fn version(&self) -> Bytes {
        self.doc.transact().state_vector().encode_v1().into()
    }

    fn digest(&self) -> (usize, i64) {
        let txn = self.doc.transact();
        self.map.iter(&txn).fold((0, 0), |(count, sum), (_, value)| match value {
            Out::Any(Any::Number(value)) => (count + 1, sum + value.as_i64().unwrap_or(0)),
            _ => (count, sum),
        })
    }
}

/// lib0's variable number.
fn put(message: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        message.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    message.push((number & 0x7f) as u8);
}

fn put_bytes(message: &mut Vec<u8>, bytes: &[u8]) {
    put(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn take(rest: &mut &[u8]) -> Result<u64, Failure> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, others) = rest.split_first().ok_or_else(|| Failure::new("a message ends too early"))?;
        *rest = others;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
        shift += 7;
        if shift > 63 {
            return Err(Failure::new("a number that is too large"));
        }
    }
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Failure> {
    let length = usize::try_from(take(rest)?)?;
    let (bytes, others) =
        rest.split_at_checked(length).ok_or_else(|| Failure::new("a message ends too early"))?;
    *rest = others;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_lib0_writes_them() {
        let mut message = Vec::new();
        [0, 127, 128, 300].iter().for_each(|number| put(&mut message, *number));
        assert_eq!(message, [0, 127, 0x80, 1, 0xac, 2]);
        let mut rest = &message[..];
        assert_eq!([(); 4].map(|()| take(&mut rest).unwrap()), [0, 127, 128, 300]);
        assert!(take(&mut rest).is_err());
    }

    #[test]
    fn bytes_that_are_cut_off_are_noticed() {
        assert!(take_bytes(&mut &[3, 1, 2][..]).is_err());
        assert_eq!(take_bytes(&mut &[2, 1, 2][..]).unwrap(), [1, 2]);
    }
}
