//! Whose each replica is: the subject's that used it first. Nobody else may bring new events of it.
//!
//! The store keeps it, written in one transaction with the first edit. From the moment in which an edit is let in until
//! its claims are written or it has failed, its replicas are *taken*; so two subjects who use one new replica at the
//! same time, in two rooms, cannot both be the first. What the store has said lately is remembered besides. What is not
//! remembered is asked: that nothing is known of a replica never means that it is nobody's.

use crate::access::Subject;
use crate::store::{Claim, Store, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use watersmeet_crdt::ReplicaId;

/// Owners that are remembered, at least; twice as many at most.
const KEPT: usize = 50_000;

/// See the [module](self).
pub(crate) struct Owners {
    store: Arc<dyn Store>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    taken: HashMap<ReplicaId, Holder>,
    /// In two halves: what is asked for moves to the young one, and when that is full the old one is forgotten.
    young: HashMap<ReplicaId, Subject>,
    old: HashMap<ReplicaId, Subject>,
    kept: usize,
    /// How often owners were forgotten. What the store said before the last time may have been overtaken unnoticed.
    forgotten: u64,
}

#[derive(Debug)]
struct Holder {
    subject: Subject,
    /// How many edits hold it.
    edits: usize,
}

/// A replica that is somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Others(pub(crate) ReplicaId);

/// What the store said of replicas of which nothing was remembered.
#[derive(Default)]
struct Answers {
    /// The number of forgettings when it was asked.
    at: u64,
    owners: HashMap<ReplicaId, Option<Subject>>,
}

/// Replicas of which an edit brings the first events: taken for its author as long as this lives.
pub(crate) struct Taken {
    owners: Arc<Owners>,
    subject: Subject,
    replicas: Vec<ReplicaId>,
}

impl Owners {
    pub(crate) fn new(store: Arc<dyn Store>) -> Arc<Self> {
        Self::remembering(store, KEPT)
    }

    fn remembering(store: Arc<dyn Store>, kept: usize) -> Arc<Self> {
        let (taken, young, old) = Default::default();
        Arc::new(Owners { store, known: Mutex::new(Known { taken, young, old, kept, forgotten: 0 }) })
    }

    /// Takes those of `replicas` for `subject` that are nobody's, if none is somebody else's.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn take(
        self: &Arc<Self>,
        replicas: &[ReplicaId],
        subject: &Subject,
    ) -> Result<Result<Taken, Others>, StoreError> {
        let mut answers = Answers::default();
        loop {
            let (found, at) = {
                let mut known = self.known();
                (known.take(replicas, subject, &answers), known.forgotten)
            };
            match found {
                Found::Unknown(unknown) => answers = Answers { at, owners: self.ask(unknown).await? },
                Found::Others(others) => return Ok(Err(others)),
                Found::Taken(replicas) => {
                    return Ok(Ok(Taken { owners: self.clone(), subject: subject.clone(), replicas }));
                }
            }
        }
    }

    async fn ask(&self, replicas: Vec<ReplicaId>) -> Result<HashMap<ReplicaId, Option<Subject>>, StoreError> {
        let store = self.store.clone();
        let asking = tokio::task::spawn_blocking(move || {
            let owner = |replica| Ok((replica, store.owner(replica)?.map(|owner| Subject::new(&owner))));
            replicas.into_iter().map(owner).collect()
        });
        // It ends early only by a panic, or when the runtime goes down.
        asking.await.unwrap_or(Err(StoreError::Closed))
    }

    /// No method leaves it half changed.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of an attempt to take replicas.
enum Found {
    /// Of these nothing is known.
    Unknown(Vec<ReplicaId>),
    Others(Others),
    /// Those that were nobody's, and are taken.
    Taken(Vec<ReplicaId>),
}

/// Whose a replica is.
enum Whose {
    Unknown,
    Nobody,
    /// Theirs, once their edit is written.
    Holder(Subject),
    Owner(Subject),
}

impl Known {
    /// Takes for `subject` what is nobody's, and remembers what the store said.
    fn take(&mut self, replicas: &[ReplicaId], subject: &Subject, answers: &Answers) -> Found {
        // All are looked up before anything is remembered, and so forgotten.
        let owners: Vec<_> =
            replicas.iter().map(|replica| (*replica, self.owner(*replica, answers))).collect();
        let (mut unknown, mut first, mut others) = (Vec::new(), Vec::new(), None);
        for (replica, owner) in owners {
            match owner {
                Whose::Unknown => unknown.push(replica),
                Whose::Holder(owner) | Whose::Owner(owner) if owner != *subject => {
                    others = Some(Others(replica))
                }
                Whose::Holder(_) | Whose::Nobody => first.push(replica),
                Whose::Owner(owner) => self.remember(replica, owner),
            }
        }
        match others {
            Some(others) => Found::Others(others),
            None if !unknown.is_empty() => Found::Unknown(unknown),
            None => {
                first.iter().for_each(|replica| self.hold(*replica, subject));
                Found::Taken(first)
            }
        }
    }

    fn owner(&self, replica: ReplicaId, answers: &Answers) -> Whose {
        let written = || self.young.get(&replica).or_else(|| self.old.get(&replica));
        if let Some(holder) = self.taken.get(&replica) {
            return Whose::Holder(holder.subject.clone());
        }
        if let Some(owner) = written() {
            return Whose::Owner(owner.clone());
        }
        match answers.owners.get(&replica).filter(|_| answers.at == self.forgotten) {
            Some(Some(owner)) => Whose::Owner(owner.clone()),
            Some(None) => Whose::Nobody,
            None => Whose::Unknown,
        }
    }

    fn hold(&mut self, replica: ReplicaId, subject: &Subject) {
        let nobody = || Holder { subject: subject.clone(), edits: 0 };
        self.taken.entry(replica).or_insert_with(nobody).edits += 1;
    }

    fn remember(&mut self, replica: ReplicaId, owner: Subject) {
        if self.young.len() >= self.kept && !self.young.contains_key(&replica) {
            self.old = std::mem::take(&mut self.young);
            self.forgotten += 1;
        }
        self.young.insert(replica, owner);
    }
}

impl Taken {
    /// What is to be written with the edit.
    pub(crate) fn claims(&self) -> impl Iterator<Item = Claim> {
        let subject: Arc<str> = self.subject.as_str().into();
        self.replicas.iter().map(move |replica| Claim { replica: *replica, subject: subject.clone() })
    }

    /// Says that the claims are written.
    pub(crate) fn written(&self) {
        let mut known = self.owners.known();
        self.replicas.iter().for_each(|replica| known.remember(*replica, self.subject.clone()));
    }
}

/// Whether they were written is to be asked of the store from now on, if it is not remembered.
impl Drop for Taken {
    fn drop(&mut self) {
        let mut known = self.owners.known();
        for replica in &self.replicas {
            if let Some(holder) = known.taken.get_mut(replica) {
                holder.edits -= 1;
                if holder.edits == 0 {
                    known.taken.remove(replica);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Record, Sqlite};

    /// What the store remembers for good, and the server nearly nothing of.
    struct World {
        store: Arc<Sqlite>,
        owners: Arc<Owners>,
        folder: std::path::PathBuf,
    }

    impl World {
        fn new(name: &str, kept: usize) -> Self {
            let folder = format!("watersmeet-owners-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(folder);
            let store = Arc::new(Sqlite::open(&folder).unwrap());
            World { owners: Owners::remembering(store.clone(), kept), store, folder }
        }

        async fn take(
            &self,
            subject: &str,
            replicas: impl IntoIterator<Item = u64>,
        ) -> Result<Taken, Others> {
            let replicas: Vec<_> = replicas.into_iter().map(ReplicaId::new).collect();
            self.owners.take(&replicas, &Subject::new(subject)).await.unwrap()
        }

        fn write(&self, taken: Taken) {
            let claims = taken.claims().collect();
            self.store.append(&[Record { document: "a".into(), delta: vec![1].into(), claims }]).unwrap();
            taken.written();
        }
    }

    impl Drop for World {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    #[tokio::test]
    async fn what_is_forgotten_is_asked_again_and_never_taken_for_nobodys() {
        let world = World::new("forgotten", 1);
        world.write(world.take("anna", 1..=5).await.unwrap());
        for replica in 1..=5 {
            let others = Err(Others(ReplicaId::new(replica)));
            assert_eq!(world.take("ben", [replica, 5]).await.map(drop), Err(Others(ReplicaId::new(5))));
            assert_eq!(world.take("ben", [10 + replica, replica]).await.map(drop), others);
            assert!(world.take("anna", 1..=5).await.unwrap().replicas.is_empty(), "they are written");
        }
    }

    #[tokio::test]
    async fn what_is_taken_stays_so_until_it_is_written_or_has_failed() {
        let world = World::new("taken", 1);
        let first = world.take("anna", [1]).await.unwrap();
        let second = world.take("anna", [1, 2]).await.unwrap();
        for replica in 100..110 {
            world.write(world.take("carl", [replica]).await.unwrap());
        }
        assert_eq!(world.take("ben", [1]).await.map(drop), Err(Others(ReplicaId::new(1))));
        drop(second);
        assert_eq!(
            world.take("ben", [2, 1]).await.map(drop),
            Err(Others(ReplicaId::new(1))),
            "one edit is left"
        );
        assert_eq!(world.take("ben", [2]).await.unwrap().replicas, [ReplicaId::new(2)]);
        drop(first);
        world.write(world.take("ben", [1]).await.unwrap());
        assert_eq!(world.take("anna", [1]).await.map(drop), Err(Others(ReplicaId::new(1))));
        assert!(world.owners.known().taken.is_empty());
    }

    /// However the tasks fall, each replica becomes that of one.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_those_who_use_a_replica_at_once_one_is_first() {
        const REPLICAS: u64 = 40;
        let world = Arc::new(World::new("race", 2));
        let tasks = ["anna", "ben", "carl"].map(|subject| {
            let world = world.clone();
            tokio::spawn(async move {
                let mut own = Vec::new();
                for replica in 1..=REPLICAS {
                    if let Ok(taken) = world.take(subject, [replica]).await {
                        own.push(replica);
                        world.write(taken);
                    }
                }
                own
            })
        });
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (1..=REPLICAS).collect::<Vec<_>>());
    }
}
