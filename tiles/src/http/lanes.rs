//! Turns: how many tiles of one set are rendered at once, and how many wait.
//!
//! One idea: **every set has a lane of its own.** However many requests one set has waiting, and however long its tiles
//! take, another set's request never waits behind them: it begins at once if its own lane is free, and the system's
//! scheduler gives its thread a fair share of the processors. Within a lane, who came first goes first. Not here: what is
//! done in a turn.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// See the [module](self).
pub(super) struct Lanes {
    lanes: Mutex<HashMap<Arc<str>, Arc<Lane>>>,
    at_once: usize,
    waiting_max: usize,
    patience: Duration,
}

struct Lane {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Why there is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// Too many wait already.
    Full,
    /// The wait was too long.
    TooLong,
}

/// Counted as waiting, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    /// In each lane so many at once, and so many more who wait, each so long.
    pub(super) fn new(at_once: usize, waiting_max: usize, patience: Duration) -> Self {
        Self { lanes: Mutex::default(), at_once: at_once.max(1), waiting_max, patience }
    }

    fn of(&self, set: &Arc<str>) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.entry(Arc::clone(set)).or_insert_with(|| {
            Arc::new(Lane { places: Arc::new(Semaphore::new(self.at_once)), waiting: AtomicUsize::new(0) })
        });
        Arc::clone(lane)
    }

    /// A turn in a set's lane; it ends when what is given is dropped. Who stops asking leaves the queue.
    pub(super) async fn turn(&self, set: &Arc<str>) -> Result<OwnedSemaphorePermit, NoTurn> {
        let lane = self.of(set);
        if let Ok(turn) = Arc::clone(&lane.places).try_acquire_owned() {
            return Ok(turn);
        }
        if lane.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            drop(Waiting(&lane.waiting));
            return Err(NoTurn::Full);
        }
        let _counted = Waiting(&lane.waiting);
        match tokio::time::timeout(self.patience, Arc::clone(&lane.places).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(NoTurn::TooLong),
        }
    }

    /// How many wait in all lanes.
    pub(super) fn waiting(&self) -> usize {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.values().map(|lane| lane.waiting.load(Ordering::Relaxed)).sum()
    }
}
