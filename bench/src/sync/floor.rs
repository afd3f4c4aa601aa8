//! The disk's own rate, in the folder where the servers keep their data: what nobody who promises durability can beat
//! with one promise at a time.

use super::failure::Failure;
use super::figures::{Figure, Figures};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

/// How long is measured.
const TIME: Duration = Duration::from_secs(1);
/// Bytes of one record, as an edit's.
const RECORD: [u8; 64] = [7; 64];

/// Appends a record and syncs it, again and again.
pub(super) fn measure() -> Result<Vec<Figure>, Failure> {
    let path = std::env::temp_dir().join(format!("watersmeet-bench-floor-{}", std::process::id()));
    let measured = File::create(&path).map_err(Failure::from).and_then(append);
    // What is left of it does no harm.
    let _ = std::fs::remove_file(&path);
    measured
}

fn append(mut file: File) -> Result<Vec<Figure>, Failure> {
    let (start, mut waits) = (Instant::now(), Vec::new());
    while start.elapsed() < TIME {
        let before = Instant::now();
        file.write_all(&RECORD)?;
        file.sync_data()?;
        waits.push(before.elapsed());
    }
    let mut figures = Figures::default();
    figures.gain("edits", "1/s", waits.len() as f64 / start.elapsed().as_secs_f64());
    figures.waits("wait", waits);
    Ok(figures.0)
}
