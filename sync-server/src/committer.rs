//! The one who writes: a thread that takes what waits from all rooms, writes it in one transaction, and answers all
//! together.
//!
//! That is group commit. A disk syncs some thousand times a second, however much it is given; so while one sync is
//! under way the next batch gathers, and durability costs a sync for each batch instead of each edit. A failure
//! fails everybody in the batch: nothing is acknowledged that may not be there.
//!
//! After a failure the store counts as failing ([`Standing`]): nothing more is tried on it but a [check](Committer::check)
//! now and then, and what is asked in the meantime fails at once with what was wrong. So a full disk is told of once in
//! the log, not once an edit, and rooms know when to ask for what they had to refuse.

use crate::Limits;
use crate::metrics::Metrics;
use crate::store::{Record, Store, StoreError};
use crate::trace;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Span;

/// Whether the store can be written to, as far as is known.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    Sound,
    /// Since when, and why.
    Failing(Instant, Arc<StoreError>),
}

impl Standing {
    fn is_sound(&self) -> bool {
        matches!(self, Standing::Sound)
    }
}

/// Errors are shared, because one failure fails everybody in the batch.
enum Job {
    Append { record: Record, span: Span, done: oneshot::Sender<Result<u64, Arc<StoreError>>> },
    Check { done: oneshot::Sender<Result<(), Arc<StoreError>>> },
    Close,
}

/// Hands work to the thread. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    jobs: mpsc::Sender<Job>,
    standing: watch::Receiver<Standing>,
}

impl Committer {
    /// Starts the thread. It ends, having tidied the store, after [`close`](Self::close).
    pub(crate) fn start(
        store: Arc<dyn Store>,
        queue: usize,
        batch: usize,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, waiting) = mpsc::channel(queue);
        let (tell, standing) = watch::channel(Standing::Sound);
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || run(&Writer { store, metrics, standing: tell }, waiting, batch))?;
        Ok((Committer { jobs, standing }, thread))
    }

    /// Whether the store can be written to, as far as is known.
    pub(crate) fn is_sound(&self) -> bool {
        self.standing.borrow().is_sound()
    }

    /// Waits until the store can be written to.
    pub(crate) async fn sound(&self) {
        // If the thread has ended there is nothing to wait for any more.
        let _ = self.standing.clone().wait_for(Standing::is_sound).await;
    }

    /// Looks after a store that fails, until the thread ends: now and then whether it can be written to again.
    pub(crate) fn mend(&self, limits: Arc<Limits>) -> impl Future<Output = ()> + Send + 'static {
        // Whoever only waits does not keep the thread going.
        let (jobs, mut standing) = (self.jobs.downgrade(), self.standing.clone());
        async move {
            let (mut wait, mut mended) = (limits.mend, Instant::now());
            while standing.wait_for(|standing| !standing.is_sound()).await.is_ok() {
                // What fails again soon, such as a disk that has room for little, is looked at less and less often.
                if mended.elapsed() > limits.mend_max {
                    wait = limits.mend;
                }
                loop {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(limits.mend_max);
                    let Some(jobs) = jobs.upgrade() else { return };
                    if (Committer { jobs, standing: standing.clone() }).check().await.is_ok() {
                        break;
                    }
                }
                mended = Instant::now();
            }
        }
    }

    /// Appends a delta; returns its number once it is durable. Its span lasts as long.
    pub(crate) async fn append(&self, record: Record, span: Span) -> Result<u64, Arc<StoreError>> {
        let (done, answer) = oneshot::channel();
        self.ask(Job::Append { record, span, done }, answer).await
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

/// What the thread works with.
struct Writer {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    standing: watch::Sender<Standing>,
}

fn run(writer: &Writer, mut waiting: mpsc::Receiver<Job>, batch: usize) {
    let mut jobs = Vec::new();
    let mut open = true;
    while open && waiting.blocking_recv_many(&mut jobs, batch) > 0 {
        open = work(writer, &mut jobs);
    }
    if let Err(error) = writer.store.close() {
        tracing::warn!(%error, "the store could not be tidied; nothing is lost");
    }
}

impl Writer {
    /// Appends, unless the store is known to fail.
    fn append(&self, records: &[Record]) -> Result<Vec<u64>, Arc<StoreError>> {
        if let Standing::Failing(_, error) = &*self.standing.borrow() {
            return Err(error.clone());
        }
        let start = Instant::now();
        let result = self.store.append(records);
        match &result {
            Ok(_) => self.metrics.committed(records, start.elapsed()),
            Err(_) => self.metrics.commit_failed(),
        }
        self.note(result)
    }

    /// Tidies the store, unless it is known to fail.
    fn tidy(&self) {
        if self.standing.borrow().is_sound() {
            // Nobody waits for it, and whoever comes next hears of it.
            let _ = self.note(self.store.tidy());
        }
    }

    fn check(&self) -> Result<(), Arc<StoreError>> {
        self.note(self.store.check())
    }

    /// Notes whether the store works, and says so when that changes.
    fn note<T>(&self, result: Result<T, StoreError>) -> Result<T, Arc<StoreError>> {
        let was = self.standing.borrow().clone();
        match (result, was) {
            (Ok(done), Standing::Sound) => Ok(done),
            (Ok(done), Standing::Failing(since, _)) => {
                tracing::info!(after = ?since.elapsed(), "the store can be written to again");
                self.standing.send_replace(Standing::Sound);
                self.metrics.store_failing.set(0);
                Ok(done)
            }
            (Err(error), Standing::Sound) => {
                tracing::error!(%error, "the store cannot be written to; edits are refused until it can, reads go on");
                let error = Arc::new(error);
                self.standing.send_replace(Standing::Failing(Instant::now(), error.clone()));
                self.metrics.store_failing.set(1);
                Err(error)
            }
            (Err(error), Standing::Failing(since, _)) => {
                let error = Arc::new(error);
                self.standing.send_replace(Standing::Failing(since, error.clone()));
                Err(error)
            }
        }
    }
}

/// Does a batch of jobs; false if it was the last.
fn work(writer: &Writer, jobs: &mut Vec<Job>) -> bool {
    let (mut records, mut spans, mut authors) = (Vec::new(), Vec::new(), Vec::new());
    let (mut checks, mut open) = (Vec::new(), true);
    for job in jobs.drain(..) {
        match job {
            Job::Append { record, span, done } => {
                records.push(record);
                spans.push(span);
                authors.push(done);
            }
            Job::Check { done } => checks.push(done),
            Job::Close => open = false,
        }
    }
    trace::transaction(&spans).in_scope(|| append(writer, &records, authors));
    drop(spans);
    if !records.is_empty() {
        writer.tidy();
    }
    check(writer, checks);
    open
}

fn append(writer: &Writer, records: &[Record], authors: Vec<oneshot::Sender<Result<u64, Arc<StoreError>>>>) {
    if records.is_empty() {
        return;
    }
    // An author that has gone needs no answer.
    match writer.append(records) {
        Ok(numbers) => authors.into_iter().zip(numbers).for_each(|(done, number)| {
            let _ = done.send(Ok(number));
        }),
        Err(failure) => authors.into_iter().for_each(|done| {
            let _ = done.send(Err(failure.clone()));
        }),
    }
}

/// Checks once for all who asked.
fn check(writer: &Writer, checks: Vec<oneshot::Sender<Result<(), Arc<StoreError>>>>) {
    if checks.is_empty() {
        return;
    }
    let result = writer.check();
    checks.into_iter().for_each(|done| {
        let _ = done.send(result.clone());
    });
}
