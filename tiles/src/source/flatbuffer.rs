//! FlatBuffers tables, read in place.
//!
//! ```text
//! table: back to its vtable 4 | fields …       vtable: its length 2 | the table's length 2 | where each field is 2 …
//! ```
//!
//! One idea: every position is an offset that somebody else wrote, so none is followed before it is checked. Not here:
//! structs, unions, and writing.
//!
//! Source: <https://flatbuffers.dev/internals/>.

use crate::varint::Malformed;

const OUTSIDE: Malformed = Malformed::Meaningless("an offset");

/// A table within bytes.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    vtable: usize,
}

impl<'a> Table<'a> {
    /// The table that the bytes are.
    pub(super) fn root(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::at(bytes, follow(bytes, 0)?)
    }

    fn at(bytes: &'a [u8], at: usize) -> Result<Self, Malformed> {
        let back = i64::from(i32::from_le_bytes(array(bytes, at)?));
        let vtable = i64::try_from(at).ok().and_then(|at| usize::try_from(at - back).ok()).ok_or(OUTSIDE)?;
        Ok(Self { bytes, at, vtable })
    }

    /// Where the field is; `None` when the table has none.
    fn field(&self, number: usize) -> Result<Option<usize>, Malformed> {
        let length = usize::from(u16::from_le_bytes(array(self.bytes, self.vtable)?));
        let slot = 4 + 2 * number;
        if slot + 2 > length {
            return Ok(None);
        }
        let offset = usize::from(u16::from_le_bytes(array(self.bytes, self.vtable + slot)?));
        Ok((offset > 0).then_some(self.at + offset))
    }

    /// The little-endian bytes of a number.
    pub(super) fn scalar<const N: usize>(
        &self,
        number: usize,
        default: [u8; N],
    ) -> Result<[u8; N], Malformed> {
        self.field(number)?.map_or(Ok(default), |at| array(self.bytes, at))
    }

    /// The bytes of a vector or text whose items have so many bytes; `None` when there is none.
    pub(super) fn vector(&self, number: usize, item_bytes: usize) -> Result<Option<&'a [u8]>, Malformed> {
        let Some(at) = self.field(number)? else { return Ok(None) };
        let at = follow(self.bytes, at)?;
        let count = u32::from_le_bytes(array(self.bytes, at)?) as usize;
        let bytes = count.checked_mul(item_bytes).and_then(|length| self.bytes[at + 4..].get(..length));
        bytes.map(Some).ok_or(Malformed::Short("a vector"))
    }

    /// A table within this one.
    pub(super) fn table(&self, number: usize) -> Result<Option<Self>, Malformed> {
        let Some(at) = self.field(number)? else { return Ok(None) };
        Self::at(self.bytes, follow(self.bytes, at)?).map(Some)
    }

    /// A vector of tables; none when there is no vector.
    pub(super) fn tables(&self, number: usize) -> Result<Vec<Self>, Malformed> {
        let Some(at) = self.field(number)? else { return Ok(Vec::new()) };
        let start = follow(self.bytes, at)? + 4;
        let count = self.vector(number, 4)?.unwrap_or_default().len() / 4;
        (0..count).map(|index| Self::at(self.bytes, follow(self.bytes, start + 4 * index)?)).collect()
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Malformed> {
    let found = at.checked_add(N).and_then(|end| bytes.get(at..end)).ok_or(OUTSIDE)?;
    let mut array = [0; N];
    array.copy_from_slice(found);
    Ok(array)
}

/// Where the offset that stands here leads to.
fn follow(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    let to = at.checked_add(u32::from_le_bytes(array(bytes, at)?) as usize);
    to.filter(|to| *to < bytes.len()).ok_or(OUTSIDE)
}
