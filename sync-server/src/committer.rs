//! The one who writes: a thread that takes what waits from all rooms, writes it in one transaction, and answers all
//! together.
//!
//! That is group commit. A disk syncs some thousand times a second, however much it is given; so while one sync is
//! under way the next batch gathers, and durability costs a sync for each batch instead of each edit. A failure
//! fails everybody in the batch: nothing is acknowledged that may not be there.

use crate::store::{Record, Store, StoreError};
use bytes::Bytes;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Errors are shared, because one failure fails everybody in the batch.
enum Job {
    Append { record: Record, done: oneshot::Sender<Result<u64, Arc<StoreError>>> },
    Compact { document: Arc<str>, upto: u64, state: Bytes },
    Check { done: oneshot::Sender<Result<(), Arc<StoreError>>> },
    Close,
}

/// Hands work to the thread. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    jobs: mpsc::Sender<Job>,
}

impl Committer {
    /// Starts the thread. It ends, having tidied the store, after [`close`](Self::close).
    pub(crate) fn start(
        store: Arc<dyn Store>,
        queue: usize,
        batch: usize,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, waiting) = mpsc::channel(queue);
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || run(store.as_ref(), waiting, batch))?;
        Ok((Committer { jobs }, thread))
    }

    /// Appends a delta; returns its number once it is durable.
    pub(crate) async fn append(&self, record: Record) -> Result<u64, Arc<StoreError>> {
        let (done, answer) = oneshot::channel();
        self.ask(Job::Append { record, done }, answer).await
    }

    /// Replaces a document's deltas up to `upto` by `state`, some time after everything that was asked before. If
    /// it fails the deltas are still there, so nobody needs to wait for it.
    pub(crate) async fn compact(&self, document: Arc<str>, upto: u64, state: Bytes) {
        // If the thread has ended, whoever appends next will hear it.
        let _ = self.jobs.send(Job::Compact { document, upto, state }).await;
    }

    /// Whether the store can be written to.
    pub(crate) async fn check(&self) -> Result<(), Arc<StoreError>> {
        let (done, answer) = oneshot::channel();
        self.ask(Job::Check { done }, answer).await
    }

    /// Ends the thread after everything that was asked before.
    pub(crate) async fn close(&self) {
        let _ = self.jobs.send(Job::Close).await;
    }

    async fn ask<T>(
        &self,
        job: Job,
        answer: oneshot::Receiver<Result<T, Arc<StoreError>>>,
    ) -> Result<T, Arc<StoreError>> {
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

fn run(store: &dyn Store, mut waiting: mpsc::Receiver<Job>, batch: usize) {
    let mut jobs = Vec::new();
    let mut open = true;
    while open && waiting.blocking_recv_many(&mut jobs, batch) > 0 {
        open = work(store, &mut jobs);
    }
    if let Err(error) = store.close() {
        tracing::warn!(%error, "the store could not be tidied; nothing is lost");
    }
}

/// Does a batch of jobs; false if it was the last.
fn work(store: &dyn Store, jobs: &mut Vec<Job>) -> bool {
    let (mut records, mut authors, mut checks, mut open) = (Vec::new(), Vec::new(), Vec::new(), true);
    let mut compactions = Vec::new();
    for job in jobs.drain(..) {
        match job {
            Job::Append { record, done } => {
                records.push(record);
                authors.push(done);
            }
            Job::Compact { document, upto, state } => compactions.push((document, upto, state)),
            Job::Check { done } => checks.push(done),
            Job::Close => open = false,
        }
    }
    append(store, &records, authors);
    check(store, checks);
    // After the appends, which somebody waits for. A snapshot names the last delta it contains, so those that came
    // since stay.
    for (document, upto, state) in compactions {
        if let Err(error) = store.compact(&document, upto, &state) {
            tracing::warn!(%error, %document, "a snapshot could not be written; its deltas stay");
        }
    }
    open
}

fn append(
    store: &dyn Store,
    records: &[Record],
    authors: Vec<oneshot::Sender<Result<u64, Arc<StoreError>>>>,
) {
    if records.is_empty() {
        return;
    }
    // An author that has gone needs no answer.
    match store.append(records) {
        Ok(numbers) => authors.into_iter().zip(numbers).for_each(|(done, number)| {
            let _ = done.send(Ok(number));
        }),
        Err(error) => {
            tracing::error!(%error, records = records.len(), "edits could not be written and are not acknowledged");
            let failure = Arc::new(error);
            authors.into_iter().for_each(|done| {
                let _ = done.send(Err(failure.clone()));
            });
        }
    }
}

/// Checks once for all who asked.
fn check(store: &dyn Store, checks: Vec<oneshot::Sender<Result<(), Arc<StoreError>>>>) {
    if checks.is_empty() {
        return;
    }
    let result = store.check().map_err(Arc::new);
    checks.into_iter().for_each(|done| {
        let _ = done.send(result.clone());
    });
}
