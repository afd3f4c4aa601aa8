//! What one replica tells another: its bytes, and the walk that reads them.
//!
//! The one idea: a delta *is* its bytes. They are checked once, when they are decoded, in a walk that allocates nothing
//! to speak of; applying them is a second walk, straight into the table, with no tree in between.

use super::Few;
use super::columns::{self, Contents, Offsets};
use super::format::{BARE, EXPECTED, FORMAT, SOLE};
use super::kind::Kind;
use super::limits::EVENTS_MAX;
use super::log::Run;
use super::walk::{Visitor, Walker};
use crate::dot::REPLICAS_MAX;
use crate::wire::Reader;
use crate::{Dot, ReplicaId, Stamp, VersionVector};
use bytes::Bytes;

pub use crate::wire::DecodeError;

/// The events between two versions, as one group: which dots they removed, and what they added that is still alive.
///
/// A state is the delta from nothing: it may be applied anywhere.
#[derive(Clone, Debug)]
pub struct Delta {
    bytes: Bytes,
    from: VersionVector,
    to: VersionVector,
    latest: Stamp,
    removed: Vec<Run>,
    columns: Offsets,
}

impl PartialEq for Delta {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Delta {}

impl Delta {
    /// What the receiver must already have: of the replicas that the delta speaks of, how many events. It does not
    /// name others, so that one more edit among a thousand replicas does not cost a thousand numbers.
    pub fn from(&self) -> &VersionVector {
        &self.from
    }

    /// What the receiver has after it, of the replicas that the delta speaks of.
    pub fn to(&self) -> &VersionVector {
        &self.to
    }

    /// The latest stamp of the writes in it. One far in the future comes from a wrong clock.
    pub fn latest(&self) -> Stamp {
        self.latest
    }

    /// Whether it says nothing new to whoever has [`from`](Self::from).
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The dots that were removed, of those that the receiver has; ascending.
    pub(crate) fn removed(&self) -> &[Run] {
        &self.removed
    }

    /// How many events it adds; without any, it only removes.
    pub fn additions(&self) -> u64 {
        self.columns.dots_count
    }

    /// What has just been encoded.
    pub(crate) fn made(
        bytes: Bytes,
        replicas: &[Replica],
        removed: &[Run],
        latest: Stamp,
        columns: Offsets,
    ) -> Self {
        Delta {
            bytes,
            from: replicas.iter().map(|(replica, from, _)| (*replica, *from)).collect(),
            to: replicas.iter().map(|(replica, _, to)| (*replica, *to)).collect(),
            latest,
            removed: removed.to_vec(),
            columns,
        }
    }

    /// Takes in bytes from elsewhere.
    ///
    /// # Errors
    /// If the bytes are not a delta, name something out of order, or are beyond a [limit](super::limits). Allocates no
    /// more than the bytes' length warrants. Bytes that say the same otherwise, such as a long number for a short one,
    /// are taken in: what a document tells of it has one form again.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::read(Bytes::copy_from_slice(bytes))
    }

    /// As [`decode`](Self::decode), without a copy of the bytes.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn read(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&bytes);
        let first = reader.byte("format")?;
        let (format, flags) = (first & 0x0f, first & 0xf0);
        if format != FORMAT || flags & !(SOLE | BARE | EXPECTED) != 0 {
            return Err(DecodeError::Format { found: first });
        }
        let sole = flags & SOLE != 0;
        let replicas = read_replicas(&mut reader, sole)?;
        let removed = if sole { Vec::new() } else { read_removed(&mut reader, &replicas)? };
        if flags & EXPECTED != 0 && replicas.len() != 1 {
            return Err(reader.invalid("flags"));
        }
        let (columns, latest) = match flags & BARE {
            0 => columns::check(&mut reader, &replicas, flags & EXPECTED != 0)?,
            _ => Default::default(),
        };
        reader.end()?;
        let from = replicas.iter().map(|(replica, from, _)| (*replica, *from)).collect();
        let to = replicas.iter().map(|(replica, _, to)| (*replica, *to)).collect();
        Ok(Delta { from, to, latest, removed, columns, bytes })
    }

    /// Walks over what the delta adds.
    pub(crate) fn walk(&self, visitor: &mut impl Visitor) -> Result<(), DecodeError> {
        if self.additions() == 0 {
            return Ok(());
        }
        Walker::default().children(&mut self.reader(self.columns.tree), Kind::Map, 0, visitor)
    }

    /// Reads what the cells say, in the order of the walk.
    pub(crate) fn contents(&self) -> Contents<'_> {
        let replicas: Few<Replica> =
            self.to.beside(&self.from).map(|(replica, to, from)| (replica, from, to)).collect();
        Contents::new(&self.bytes, &self.columns, &replicas)
    }

    fn reader(&self, at: usize) -> Reader<'_> {
        Reader::from(&self.bytes, at)
    }
}

/// A replica that a delta speaks of: from where, and up to where.
pub(crate) type Replica = (ReplicaId, u64, u64);

fn read_replicas(reader: &mut Reader<'_>, sole: bool) -> Result<Few<Replica>, DecodeError> {
    let count = if sole { 1 } else { reader.count("replicas")? };
    if count > REPLICAS_MAX {
        return Err(DecodeError::Limit { what: "replicas", limit: REPLICAS_MAX });
    }
    let mut replicas: Few<Replica> = Few::new();
    let mut last = 0u64;
    for index in 0..count {
        let step = reader.id("replica")?;
        let (from, gained) = (reader.number("version")?, reader.number("version")?);
        let (id, to) = (last.saturating_add(step), from.saturating_add(gained));
        if id > ReplicaId::MAX || (step == 0 && index > 0) || to == 0 || to > EVENTS_MAX {
            return Err(reader.invalid("version"));
        }
        replicas.push((ReplicaId::new(id), from, to));
        last = id;
    }
    Ok(replicas)
}

fn read_removed(reader: &mut Reader<'_>, replicas: &[Replica]) -> Result<Vec<Run>, DecodeError> {
    let mut removed = Vec::new();
    let (mut place, mut end) = (0usize, 0u64);
    for _ in 0..reader.count("removed")? {
        let head = reader.number("removed")?;
        if head > 1 {
            place = place.saturating_add(usize::try_from(head >> 1).unwrap_or(usize::MAX));
            end = 0;
        }
        let first = end.saturating_add(reader.number("removed")?).saturating_add(1);
        let more = if head & 1 == 1 { reader.number("removed")?.saturating_add(1) } else { 0 };
        end = first.saturating_add(more);
        match replicas.get(place) {
            Some((replica, from, _)) if end <= *from => {
                removed.push(Run { first: Dot { replica: *replica, seq: first }, last: end });
            }
            _ => return Err(reader.invalid("removed")),
        }
    }
    Ok(removed)
}
