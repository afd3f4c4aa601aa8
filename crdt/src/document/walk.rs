//! The walk over the tree of a delta: every entry that it names, once, depth first.

use super::format::{HEAD_BITS, LAST, SEVERAL, SHARED_MAX};
use super::kind::Kind;
use super::limits::{KEY_BYTES_MAX, PATH_KEYS_MAX, POSITION_BYTES_MAX, VALUE_BYTES_MAX};
use super::table::Name;
use super::values::{BYTES, TEXT, read_content};
use crate::Value;
use crate::position::is_position;
use crate::wire::{DecodeError, Reader};
use smallvec::SmallVec;
use std::cmp::Ordering;

/// What is told of each entry of a delta's tree. Answering with an error ends the walk.
pub(crate) trait Visitor {
    /// A map, set or list begins.
    fn enter(&mut self, kind: Kind, name: Name<'_>) -> Result<(), DecodeError>;
    /// It ends.
    fn leave(&mut self);
    /// An entry with so many events, one or more.
    fn cell(&mut self, kind: Kind, name: Name<'_>, events: u64) -> Result<(), DecodeError>;
}

/// Walks over the tree column.
#[derive(Default)]
pub(crate) struct Walker<'a> {
    levels: SmallVec<[Level<'a>; 4]>,
}

/// The name that was read last on a level of the tree.
#[derive(Default)]
struct Level<'a> {
    /// The kind of a key, or the tag of an item; none before the first.
    what: Option<u8>,
    /// Text or bytes, if they shared nothing with those before: they need not be copied.
    read: Option<&'a [u8]>,
    /// Else what they were put together to.
    made: Vec<u8>,
    /// Any other item.
    scalar: Value,
}

impl<'a> Walker<'a> {
    /// Visits the children of a container so many levels below the root.
    pub(crate) fn children(
        &mut self,
        reader: &mut Reader<'a>,
        parent: Kind,
        depth: usize,
        visitor: &mut impl Visitor,
    ) -> Result<(), DecodeError> {
        if self.levels.len() <= depth {
            self.levels.push(Level::default());
        }
        // Put aside while the levels below are read.
        let mut level = std::mem::take(&mut self.levels[depth]);
        (level.what, level.read) = (None, None);
        level.made.clear();
        let mut last = false;
        while !last {
            let head = reader.number("kind")?;
            last = head & LAST != 0;
            let (what, several) = ((head & 7) as u8, head & SEVERAL != 0);
            let kind = match parent {
                Kind::Map => Kind::ALL[usize::from(what)],
                parent => parent,
            };
            let run = usize::try_from(head >> HEAD_BITS).unwrap_or(usize::MAX).saturating_add(1);
            for _ in 0..run {
                level.read(reader, parent, what)?;
                let name = level.name(parent, what).ok_or(reader.invalid("key"))?;
                if parent == Kind::Map && kind.is_container() {
                    if several {
                        return Err(reader.invalid("kind"));
                    }
                    if depth + usize::from(kind == Kind::Map) >= PATH_KEYS_MAX {
                        return Err(DecodeError::Limit { what: "keys in a path", limit: PATH_KEYS_MAX });
                    }
                    visitor.enter(kind, name)?;
                    self.children(reader, kind, depth + 1, visitor)?;
                    visitor.leave();
                } else {
                    let events = if several { reader.number("dots")?.saturating_add(2) } else { 1 };
                    visitor.cell(kind, name, events)?;
                }
            }
        }
        self.levels[depth] = level;
        Ok(())
    }
}

impl<'a> Level<'a> {
    /// Reads the next name, which must come after the last.
    fn read(&mut self, reader: &mut Reader<'a>, parent: Kind, what: u8) -> Result<(), DecodeError> {
        let (tag, max) = match parent {
            Kind::Map => (TEXT, KEY_BYTES_MAX),
            Kind::List => (BYTES, POSITION_BYTES_MAX),
            _ => (what, VALUE_BYTES_MAX),
        };
        let same = match parent {
            Kind::Map | Kind::List => self.what.is_some(),
            _ => self.what == Some(what),
        };
        let ascends = match tag {
            TEXT | BYTES => {
                let order = self.read_bytes(reader, same, max)?;
                order.is_gt() || order.is_eq() && parent == Kind::Map && self.what < Some(what)
            }
            2 if same => {
                let step = reader.number("item")?.cast_signed();
                let last = self.scalar.int().unwrap_or_default();
                self.scalar = Value::Int(last.wrapping_add(step));
                self.scalar.int() > Some(last)
            }
            _ => {
                let item = read_content(reader, tag, 0)?;
                let ascends = !same || self.scalar < item;
                self.scalar = item;
                ascends
            }
        };
        let ascends = ascends && (same || self.what.is_none_or(|last| last < what));
        self.what = Some(what);
        if ascends { Ok(()) } else { Err(reader.invalid("order of keys")) }
    }

    /// Reads text or bytes by what they do not share with the last; answers with how they compare to it.
    fn read_bytes(
        &mut self,
        reader: &mut Reader<'a>,
        same: bool,
        max: usize,
    ) -> Result<Ordering, DecodeError> {
        let last = self.bytes();
        let head = if same { reader.number("key")? } else { 1 };
        let shared = usize::try_from(head >> 1).unwrap_or(usize::MAX);
        if shared > SHARED_MAX.min(last.len()) {
            return Err(reader.invalid("key"));
        }
        let rest = match head & 1 {
            1 => reader.bytes("key", max)?,
            _ => reader.take(last.len() - shared, "key")?,
        };
        if shared + rest.len() > max {
            return Err(DecodeError::Limit { what: "key", limit: max });
        }
        let order = if same { rest.cmp(&last[shared..]) } else { Ordering::Greater };
        if shared == 0 {
            self.read = Some(rest);
        } else {
            if let Some(read) = self.read.take() {
                self.made.clear();
                self.made.extend_from_slice(&read[..shared]);
            }
            self.made.truncate(shared);
            self.made.extend_from_slice(rest);
        }
        Ok(order)
    }

    /// The text or bytes.
    fn bytes(&self) -> &[u8] {
        self.read.unwrap_or(&self.made)
    }

    fn name(&self, parent: Kind, what: u8) -> Option<Name<'_>> {
        match (parent, what) {
            (Kind::List, _) => is_position(self.bytes()).then(|| Name::Bytes(self.bytes())),
            (Kind::Map, _) | (_, TEXT) => std::str::from_utf8(self.bytes()).ok().map(Name::Text),
            (_, BYTES) => Some(Name::Bytes(self.bytes())),
            _ => Some(Name::Value(&self.scalar)),
        }
    }
}
