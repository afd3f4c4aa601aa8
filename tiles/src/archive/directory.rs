//! Directories: runs of tile numbers and where their bytes are, in columns of varints.
//!
//! ```text
//! count | number deltas … | run lengths … | byte lengths … | offsets + 1, or 0 for "right behind the one before" …
//! ```

use crate::varint::{Cursor, Malformed, put_varint};

/// How many entries one directory may have: far more than writers put into one, and 24 MiB in memory.
const ENTRIES_MAX: usize = 1 << 20;

/// A run of tiles with the same bytes, or, with a run length of 0, a leaf directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The first tile's number.
    pub number: u64,
    /// Where the bytes are within their section.
    pub offset: u64,
    /// How many bytes.
    pub length: u32,
    /// How many tiles from the first on have these bytes; 0 says that the bytes are a leaf directory.
    pub run_length: u32,
}

/// The directory's bytes, not packed. Entries have to be in the order of their numbers.
pub(super) fn to_bytes(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, entries.len() as u64);
    let mut before = 0;
    for entry in entries {
        put_varint(&mut out, entry.number - before);
        before = entry.number;
    }
    entries.iter().for_each(|entry| put_varint(&mut out, entry.run_length.into()));
    entries.iter().for_each(|entry| put_varint(&mut out, entry.length.into()));
    let mut behind = None;
    for entry in entries {
        put_varint(&mut out, if behind == Some(entry.offset) { 0 } else { entry.offset + 1 });
        behind = Some(entry.offset + u64::from(entry.length));
    }
    out
}

pub(super) fn from_bytes(bytes: &[u8]) -> Result<Vec<Entry>, Malformed> {
    let mut cursor = Cursor(bytes);
    // An entry takes at least a byte in each of the four columns.
    let count = cursor.count(4, "the number of entries")?;
    if count > ENTRIES_MAX {
        return Err(Malformed::TooLarge("the number of entries"));
    }
    let mut entries = vec![Entry { number: 0, offset: 0, length: 0, run_length: 0 }; count];
    let mut number = 0_u64;
    for entry in &mut entries {
        let delta = cursor.varint("a tile number")?;
        number = number.checked_add(delta).ok_or(Malformed::TooLarge("a tile number"))?;
        entry.number = number;
    }
    for entry in &mut entries {
        entry.run_length = cursor.narrow("a run length")?;
    }
    for entry in &mut entries {
        entry.length = cursor.narrow("a tile's length")?;
    }
    let mut behind = None;
    for entry in &mut entries {
        entry.offset = match (cursor.varint("an offset")?, behind) {
            (0, Some(behind)) => behind,
            (0, None) => return Err(Malformed::Meaningless("the first offset")),
            (offset, _) => offset - 1,
        };
        let end = entry.offset.checked_add(entry.length.into()).ok_or(Malformed::TooLarge("an offset"))?;
        behind = Some(end);
    }
    Ok(entries)
}

/// The entry that holds a tile or leads to it.
pub(super) fn find(entries: &[Entry], number: u64) -> Option<Entry> {
    let entry = entries[..entries.partition_point(|entry| entry.number <= number)].last()?;
    let in_run = number - entry.number < u64::from(entry.run_length);
    (entry.run_length == 0 || in_run).then_some(*entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let entry = |number, offset, length, run_length| Entry { number, offset, length, run_length };
        let entries = [entry(5, 0, 10, 1), entry(42, 10, 300, 2), entry(69, 0, 10, 1)];
        let golden = [3, 5, 37, 27, 1, 2, 1, 10, 0xAC, 2, 10, 1, 0, 1];
        assert_eq!(to_bytes(&entries), golden);
        assert_eq!(from_bytes(&golden).unwrap(), entries);
        assert_eq!(find(&entries, 43), Some(entries[1]));
        assert_eq!(find(&entries, 44), None);
        assert_eq!(find(&entries, 4), None);
    }

    quickcheck! {
        fn directories_come_back(list: Vec<(u16, u16, u16, u16)>) -> bool {
            let mut number = 0;
            let entries: Vec<_> = list
                .into_iter()
                .map(|(delta, offset, length, run)| {
                    number += u64::from(delta);
                    Entry { number, offset: offset.into(), length: length.into(), run_length: run.into() }
                })
                .collect();
            from_bytes(&to_bytes(&entries)).unwrap() == entries
        }

        fn no_bytes_panic(bytes: Vec<u8>, number: u64) -> bool {
            let _ = from_bytes(&bytes).map(|entries| find(&entries, number));
            true
        }
    }
}
