//! Why sets cannot be served: each fault once in the log, and for whoever asks as long as it lasts.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What cannot be served, and why, by set.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<BTreeMap<String, String>>);

impl Faults {
    /// Notes why a set cannot be served; in the log with what follows from it, once, however often it is found.
    pub(crate) fn tell(&self, name: &str, error: &dyn Display, what_follows: &str) {
        let fault = format!("tile set {name:?}: {error}");
        let before = self.now().insert(name.to_owned(), fault.clone());
        if before.is_none_or(|before| before != fault) {
            tracing::error!(set = name, %error, "{what_follows}");
        }
    }

    /// Forgets the fault of a set that can be served, if there was one.
    pub(crate) fn forget(&self, name: &str) {
        self.now().remove(name);
    }

    /// Forgets the faults of sets that are not there any more.
    pub(crate) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.now().retain(|name, _| is_there(name));
    }

    /// All there are.
    pub(crate) fn list(&self) -> Vec<String> {
        self.now().values().cloned().collect()
    }

    fn now(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
