//! Snapshots in place of long logs, made in the background.
//!
//! The one idea: **a snapshot is made from the store, not from a room.** What the log says is read again, checked,
//! replayed and written as one state, by a thread on which nobody waits; so neither a document's task nor the
//! committer stands still while a large document is encoded, and what is written is what a start would have read.
//! One document at a time, so that it costs one copy of a document in memory, however many logs are long.

use crate::metrics::Metrics;
use crate::replay::replay;
use crate::store::{Store, StoreError};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use watersmeet_crdt::Delta;

/// A document's log is long, and who wants to know the bytes of the snapshot that took its place.
struct Job {
    document: Arc<str>,
    done: oneshot::Sender<usize>,
}

/// Takes what rooms ask for. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Compactor {
    jobs: mpsc::Sender<Job>,
}

impl Compactor {
    /// Starts the task that does it. It ends with the last handle, or when the server stops.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        metrics: Arc<Metrics>,
        queue: usize,
        stop: CancellationToken,
    ) -> Self {
        let (jobs, waiting) = mpsc::channel(queue);
        tokio::spawn(async move {
            // A compaction that has begun is left to end by itself: it can be cut short at any point.
            stop.run_until_cancelled(run(store, metrics, waiting)).await;
        });
        Compactor { jobs }
    }

    /// Asks for a snapshot; none if too many are asked for. What is answered, when it is there, is its size in bytes;
    /// nothing if it failed, and then the log is still there.
    pub(crate) fn compact(&self, document: Arc<str>) -> Option<oneshot::Receiver<usize>> {
        let (done, answer) = oneshot::channel();
        self.jobs.try_send(Job { document, done }).ok()?;
        Some(answer)
    }
}

async fn run(store: Arc<dyn Store>, metrics: Arc<Metrics>, mut waiting: mpsc::Receiver<Job>) {
    while let Some(Job { document, done }) = waiting.recv().await {
        let (store, name) = (store.clone(), document.clone());
        // It ends early only by a panic, which has been printed.
        let compacted = tokio::task::spawn_blocking(move || compact(store.as_ref(), &name)).await;
        match compacted.unwrap_or(Err(StoreError::Closed)) {
            Ok(bytes) => {
                metrics.compactions.inc();
                // A room that has ended needs no answer.
                let _ = done.send(bytes);
            }
            Err(error) => {
                tracing::warn!(%error, %document, "a snapshot could not be written; the log stays");
            }
        }
    }
}

/// Reads a document's log and puts a snapshot in its place; the snapshot's bytes.
fn compact(store: &dyn Store, name: &str) -> Result<usize, StoreError> {
    let replayed = replay(name, store.load(name)?)?;
    let state = replayed.document.encode_state();
    // The log goes when the snapshot counts; so it counts only if it can be read.
    Delta::decode(&state).map_err(|source| StoreError::Undecodable {
        document: name.to_owned(),
        number: replayed.tail.last(),
        source,
    })?;
    store.compact(name, replayed.tail.last(), &state)?;
    Ok(state.len())
}
