//! Which tiles are asked for most, in bounded memory.
//!
//! One idea: count every tile until the table is full, then take the median count away from all and forget those with
//! nothing left. A tile that was asked for often stays, and what is said of it is too low by at most what was taken away,
//! which is less than twice the requests divided by the table's size. Each removal halves the table, so that a request
//! costs the same however many tiles there are.
//!
//! Source: Misra and Gries 1982; with the median, Anderson et al. 2017, "A High-Performance Algorithm for Identifying
//! Frequent Items in Data Streams". Not here: rendering them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use crate::archive::write_file;
use crate::coord::TileCoord;

/// So many tiles of a set are counted at once.
pub const HOT_TILES_MAX: usize = 8_192;

/// Counts of requests by tile, in bounded memory.
#[derive(Debug, Default)]
pub struct Hot(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    by_tile: HashMap<TileCoord, u64, foldhash::fast::RandomState>,
    /// Whether something was counted since it was last written down.
    changed: bool,
}

impl Hot {
    /// Counts a request.
    pub fn count(&self, tile: TileCoord) {
        self.add(tile, 1);
    }

    fn add(&self, tile: TileCoord, requests: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.changed = true;
        if let Some(count) = counts.by_tile.get_mut(&tile) {
            *count = count.saturating_add(requests);
            return;
        }
        if counts.by_tile.len() >= HOT_TILES_MAX {
            counts.thin();
        }
        counts.by_tile.insert(tile, requests);
    }

    /// The tiles asked for most, most first, with at least how often. Among equals, shallow tiles first.
    #[must_use]
    pub fn hottest(&self, most: usize) -> Vec<(TileCoord, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = counts.by_tile.iter().map(|(tile, count)| (*tile, *count)).collect();
        drop(counts);
        all.sort_unstable_by_key(|(tile, count)| (std::cmp::Reverse(*count), *tile));
        all.truncate(most);
        all
    }

    /// Writes the counts down, a line each: count and tile; whether there was something new.
    ///
    /// # Errors
    /// What the system says; then the next call tries again.
    pub fn save(&self, path: &Path) -> io::Result<bool> {
        if !std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).changed) {
            return Ok(false);
        }
        let lines = self.hottest(HOT_TILES_MAX).into_iter().map(|(tile, count)| format!("{count} {tile}\n"));
        let text: String = lines.collect();
        let written = write_file(path, text.as_bytes());
        if written.is_err() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).changed = true;
        }
        written.map(|()| true)
    }

    /// Reads what was written down; no counts when there is no such file.
    ///
    /// # Errors
    /// What the system says, or that a line is none of ours.
    pub fn load(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            text => text?,
        };
        let hot = Self::default();
        for (number, line) in text.lines().enumerate().take(HOT_TILES_MAX) {
            let (tile, count) = counted(line).ok_or_else(|| {
                let line = number + 1;
                let wrong = format!("line {line} is not a count and a tile, such as \"42 14/8802/5373\"");
                io::Error::new(io::ErrorKind::InvalidData, wrong)
            })?;
            hot.add(tile, count);
        }
        hot.0.lock().unwrap_or_else(PoisonError::into_inner).changed = false;
        Ok(hot)
    }
}

fn counted(line: &str) -> Option<(TileCoord, u64)> {
    let (count, tile) = line.split_once(' ')?;
    let mut numbers = tile.split('/');
    let z = numbers.next()?.parse().ok()?;
    let [x, y] = [numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?];
    Some((TileCoord::new(z, x, y).ok()?, count.parse().ok()?))
}

impl Counts {
    /// Takes the median away from all, and forgets those with nothing left: at least half.
    fn thin(&mut self) {
        let mut counts: Vec<u64> = self.by_tile.values().copied().collect();
        let middle = counts.len() / 2;
        let median = *counts.select_nth_unstable(middle).1;
        self.by_tile.retain(|_, count| {
            *count = count.saturating_sub(median);
            *count > 0
        });
    }
}

/// Where the counts of an archive's tiles are written: beside it, `NAME.hot`.
#[must_use]
pub fn hot_path(archive: &Path) -> PathBuf {
    archive.with_extension("hot")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(z: u8, number: u32) -> TileCoord {
        TileCoord::new(z, number % (1 << z), number / (1 << z)).unwrap()
    }

    #[test]
    fn what_is_asked_for_often_stays_however_much_else_is_asked_for_once() {
        let hot = Hot::default();
        let (rounds, hot_tiles) = (2_000, 20);
        for round in 0..rounds {
            (0..hot_tiles).for_each(|number| hot.count(tile(5, number)));
            (0..100).for_each(|other| hot.count(tile(14, round * 100 + other)));
        }
        let requests = u64::from(rounds) * 120;
        let too_low_by_at_most = 2 * requests / HOT_TILES_MAX as u64;
        let hottest = hot.hottest(hot_tiles as usize);
        for (tile, count) in &hottest {
            assert_eq!(tile.z(), 5, "{hottest:?}");
            assert!(
                *count <= u64::from(rounds) && count + too_low_by_at_most >= u64::from(rounds),
                "{count}"
            );
        }
        assert!(hot.hottest(usize::MAX).len() <= HOT_TILES_MAX);
    }

    #[test]
    fn counts_are_the_same_after_they_were_written_down() {
        let path = std::env::temp_dir().join(format!("watersmeet-{}.hot", std::process::id()));
        assert!(Hot::load(&path).unwrap().hottest(1).is_empty());
        let hot = Hot::default();
        (0..5).for_each(|number| (0..=number).for_each(|_| hot.count(tile(9, number))));
        assert!(hot.save(&path).unwrap() && !hot.save(&path).unwrap());
        assert_eq!(Hot::load(&path).unwrap().hottest(9), hot.hottest(9));
        for wrong in ["x", "1 2/3", "1 2/9/9", "-1 2/0/0"] {
            fs::write(&path, format!("3 1/0/0\n{wrong}")).unwrap();
            assert!(Hot::load(&path).unwrap_err().to_string().contains("line 2"), "{wrong}");
        }
        fs::remove_file(path).unwrap();
    }
}
