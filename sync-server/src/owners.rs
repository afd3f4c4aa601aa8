//! Whose each replica is: the subject's that used it first. Nobody else may bring new events of it.
//!
//! The store keeps it, written in one transaction with the first edit. What is here is what of it was asked for lately,
//! so that two subjects who use one new replica at the same time, in two rooms, cannot both be the first.

use crate::access::Subject;
use crate::store::{Claim, Store, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use watersmeet_crdt::ReplicaId;

/// Owners that are kept in memory, at least; twice as many at most. More than the replicas that a delta can name, so that
/// what was learnt for a delta is still known when it is judged.
const KEPT: usize = 50_000;

/// See the [module](self).
pub(crate) struct Owners {
    store: Arc<dyn Store>,
    known: Mutex<Known>,
}

/// In two halves: what is asked for moves to the young one, and when that is full the old one is forgotten.
#[derive(Debug, Default)]
struct Known {
    young: HashMap<ReplicaId, Owner>,
    old: HashMap<ReplicaId, Owner>,
}

#[derive(Clone, Debug)]
struct Owner {
    subject: Subject,
    /// Whether the store is known to have it.
    written: bool,
}

/// Whether somebody may use a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It is theirs.
    Own,
    /// It was nobody's and is theirs from now on; that is to be written with the edit.
    First,
    /// It is somebody else's.
    Others,
}

impl Owners {
    pub(crate) fn new(store: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Owners { store, known: Mutex::default() })
    }

    /// Finds out whose `replicas` are, as far as that is not known.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn learn(&self, replicas: &[ReplicaId]) -> Result<(), StoreError> {
        let unknown: Vec<ReplicaId> = {
            let mut known = self.known();
            replicas.iter().copied().filter(|replica| known.owner(*replica).is_none()).collect()
        };
        if unknown.is_empty() {
            return Ok(());
        }
        let store = self.store.clone();
        let asking = tokio::task::spawn_blocking(move || {
            let found = unknown.into_iter().map(|replica| Ok((replica, store.owner(replica)?)));
            found.collect::<Result<Vec<_>, StoreError>>()
        });
        // It ends early only by a panic, or when the runtime goes down.
        let found = asking.await.unwrap_or(Err(StoreError::Closed))?;
        let mut known = self.known();
        for (replica, owner) in found {
            // Somebody may have claimed it since.
            if let Some(owner) = owner.filter(|_| known.owner(replica).is_none()) {
                known.insert(replica, Owner { subject: Subject::new(&owner), written: true });
            }
        }
        Ok(())
    }

    /// Takes `replica`, of which has been [learnt](Self::learn), for `subject`, if it is nobody's. It stays taken while
    /// the server runs, even if the edit is not written: who tried first, is first.
    pub(crate) fn take(&self, replica: ReplicaId, subject: &Subject) -> Use {
        let mut known = self.known();
        match known.owner(replica) {
            Some(owner) if owner.subject != *subject => Use::Others,
            Some(owner) if owner.written => Use::Own,
            // Its claim is not written yet, and may never be: its commit can fail.
            Some(_) => Use::First,
            None => {
                known.insert(replica, Owner { subject: subject.clone(), written: false });
                Use::First
            }
        }
    }

    /// Says that claims are written.
    pub(crate) fn written(&self, claims: &[Claim]) {
        let mut known = self.known();
        for claim in claims {
            if let Some(owner) = known.young.get_mut(&claim.replica) {
                owner.written = true;
            }
        }
    }

    /// No method leaves it half changed.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn owner(&mut self, replica: ReplicaId) -> Option<&Owner> {
        if let Some(owner) = self.old.remove(&replica) {
            self.insert(replica, owner);
        }
        self.young.get(&replica)
    }

    fn insert(&mut self, replica: ReplicaId, owner: Owner) {
        if self.young.len() >= KEPT {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(replica, owner);
    }
}
