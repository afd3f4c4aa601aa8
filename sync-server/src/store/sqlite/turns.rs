//! The writer, of whom appends and the steps of a compaction want something.
//!
//! Whoever gives a lock back and asks for it again mostly gets it before one who has been waiting is awake. So a
//! compaction, which is many steps one after another, would keep appends waiting for many of them; and therefore **a step
//! lets an append that waits go first**. An append waits for one step at most, and a step for one append.

use super::writer::Writer;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct Turns {
    writer: Mutex<Writer>,
    /// Appends that wait for the writer.
    waiting: AtomicUsize,
    /// An append is done.
    passed: Condvar,
}

impl Turns {
    pub(super) fn new(writer: Writer) -> Self {
        Turns { writer: Mutex::new(writer), waiting: AtomicUsize::new(0), passed: Condvar::new() }
    }

    /// The writer, for whatever is done seldom. Of no harm after a panic: a transaction that was not committed is rolled
    /// back when it is dropped.
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends something.
    pub(super) fn append<T>(&self, work: impl FnOnce(&mut Writer) -> T) -> T {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut writer = self.writer();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        writer.appends += 1;
        let done = work(&mut writer);
        drop(writer);
        self.passed.notify_all();
        done
    }

    /// Does one step of something longer.
    pub(super) fn step<T>(&self, work: impl FnOnce(&mut Writer) -> T) -> T {
        let writer = self.writer();
        let appends = writer.appends;
        let is_waited_for =
            |writer: &mut Writer| writer.appends == appends && self.waiting.load(Ordering::SeqCst) > 0;
        let waited = self.passed.wait_while(writer, is_waited_for);
        work(&mut waited.unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sqlite;
    use super::super::tests::Folder;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Steps follow each other without a pause, and an append that has waited for one gets in before the next.
    #[test]
    fn an_append_waits_for_one_step_at_most() {
        const WAITS: usize = 20;
        let folder = Folder::fresh();
        let store = Sqlite::open(&folder.0).unwrap();
        let waits = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let steps = scope.spawn(|| {
                let mut kept_waiting = None;
                while waits.load(Ordering::SeqCst) < WAITS {
                    store.turns.step(|writer| {
                        let waited = std::mem::take(&mut kept_waiting);
                        std::thread::sleep(Duration::from_millis(1));
                        if store.turns.waiting.load(Ordering::SeqCst) > 0 {
                            waits.fetch_add(1, Ordering::SeqCst);
                            kept_waiting = Some(writer.appends);
                        }
                        assert_ne!(waited, Some(writer.appends), "an append waits for a second step");
                    });
                }
            });
            while !steps.is_finished() {
                store.turns.append(|_| {});
            }
        });
    }
}
