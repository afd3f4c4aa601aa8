//! One piece of work for all who ask for its result at once.
//!
//! One idea: whoever waits holds the flight, and the flight holds the work. Who comes while it is under way waits with
//! the others; when the last one who waits has gone, the work is dropped wherever it stands. Not here: keeping results.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;

/// Work under way, by what it is for.
pub(crate) struct Flights<K: Key, T>(Arc<UnderWay<K, T>>);

type UnderWay<K, T> = Mutex<HashMap<K, Weak<Flight<K, T>>>>;

/// What work is known by.
pub(crate) trait Key: Clone + Eq + Hash + Send + Sync + 'static {}

impl<K: Clone + Eq + Hash + Send + Sync + 'static> Key for K {}

/// Held by those who wait. When nobody does, it is gone, and the sender of the result sees it.
struct Flight<K: Key, T> {
    key: K,
    result: watch::Receiver<Option<T>>,
    under_way: Arc<UnderWay<K, T>>,
}

impl<K: Key, T> Drop for Flight<K, T> {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have begun anew since this one was given up.
        if under_way.get(&self.key).is_some_and(|flight| flight.strong_count() == 0) {
            under_way.remove(&self.key);
        }
    }
}

impl<K: Key, T: Clone + Send + Sync + 'static> Flights<K, T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// The result of the work under way for a key, or else what is `kept` by now, or else that of `work`, which begins.
    /// `None` only when the work panics.
    pub(crate) async fn join<W: Future<Output = T> + Send + 'static>(
        &self,
        key: &K,
        kept: impl FnOnce() -> Option<T>,
        work: impl FnOnce() -> W,
    ) -> Option<T> {
        let flight = {
            let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match under_way.get(key).and_then(Weak::upgrade) {
                Some(flight) => flight,
                None => match kept() {
                    // The work ended between the caller's look and this one.
                    Some(kept) => return Some(kept),
                    None => {
                        let flight = self.begin(key.clone(), work());
                        under_way.insert(key.clone(), Arc::downgrade(&flight));
                        flight
                    }
                },
            }
        };
        let mut result = flight.result.clone();
        let done = result.wait_for(Option::is_some).await.ok().and_then(|done| done.clone());
        // Not before: the flight is what keeps the work going.
        drop(flight);
        done
    }

    fn begin(&self, key: K, work: impl Future<Output = T> + Send + 'static) -> Arc<Flight<K, T>> {
        let (sender, result) = watch::channel(None);
        // In a task of its own: it goes on when the one who asked first goes away and others still wait.
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                done = work => drop(sender.send(Some(done))),
            }
        });
        Arc::new(Flight { key, result, under_way: Arc::clone(&self.0) })
    }

    /// How many there are under way.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
