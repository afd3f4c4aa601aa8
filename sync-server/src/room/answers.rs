//! What was answered to those who lacked something, as long as the document stays as it is: many lack the same, and whoever
//! asks again and again is told again what was encoded once.

use crate::mailbox::Group;
use crate::outgoing::Sendable;
use std::collections::VecDeque;
use std::sync::Arc;
use watersmeet_crdt::VersionVector;

/// Answers besides the state that are kept, at most.
const ANSWERS_MAX: usize = 8;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Answers {
    /// To those who have nothing.
    state: Option<Sendable>,
    /// The latest to others.
    latest: VecDeque<(VersionVector, Sendable)>,
}

impl Answers {
    /// What whoever has `has` was told.
    pub(super) fn find(&mut self, has: &VersionVector) -> Option<&mut Sendable> {
        if has.is_empty() {
            return self.state.as_mut();
        }
        self.latest.iter_mut().find(|(known, _)| known == has).map(|(_, kept)| kept)
    }

    /// Keeps an answer, and others as long as they are of so many bytes together.
    pub(super) fn keep(&mut self, has: VersionVector, group: Arc<Group>, bytes_max: usize) -> &mut Sendable {
        if has.is_empty() {
            return self.state.insert(group.into());
        }
        // The latest is kept whatever its size.
        self.latest.truncate(ANSWERS_MAX - 1);
        while !self.latest.is_empty() && self.bytes() + group.frame.len() > bytes_max {
            self.latest.pop_back();
        }
        self.latest.push_front((has, group.into()));
        &mut self.latest[0].1
    }

    /// The document has changed.
    pub(super) fn clear(&mut self) {
        *self = Answers::default();
    }

    fn bytes(&self) -> usize {
        self.latest.iter().map(|(_, kept)| kept.group.frame.len()).sum()
    }
}

/// What of `has` there is here. Nobody is told anything else who claims to have events that are not here, or of which
/// nobody ever heard; so there is no way to ask in ever new ways for the same.
pub(super) fn known(has: &VersionVector, here: &VersionVector) -> VersionVector {
    let common = here.iter().map(|(replica, seq)| (replica, seq.min(has.seq(replica))));
    VersionVector::from_iter(common.filter(|(_, seq)| *seq > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use watersmeet_crdt::ReplicaId;

    fn version<const N: usize>(entries: [(u64, u64); N]) -> VersionVector {
        VersionVector::from_iter(entries.map(|(replica, seq)| (ReplicaId::new(replica), seq)))
    }

    fn group(bytes: usize) -> Arc<Group> {
        Group::of(1, VersionVector::default(), VersionVector::default(), &vec![0; bytes])
    }

    #[test]
    fn answers_are_kept_within_bounds_and_found_again() {
        let mut answers = Answers::default();
        let state = group(1_000_000);
        answers.keep(version([]), state.clone(), 1_000);
        for n in 1..=100 {
            answers.keep(version([(1, n)]), group(100), 1_000);
        }
        assert!(answers.find(&version([])).is_some_and(|found| Arc::ptr_eq(&found.group, &state)));
        let kept = (1..=100).filter(|n| answers.find(&version([(1, *n)])).is_some());
        assert_eq!(kept.collect::<Vec<_>>(), (93..=100).collect::<Vec<_>>());
        answers.keep(version([(1, 101)]), group(5_000), 1_000);
        assert_eq!((answers.latest.len(), answers.find(&version([(1, 100)])).is_some()), (1, false));
        assert!(answers.find(&version([(1, 101)])).is_some(), "one of any size is kept");
        answers.clear();
        assert!(answers.find(&version([])).is_none() && answers.latest.is_empty());
    }

    #[test]
    fn what_nobody_has_is_not_told_apart() {
        let here = version([(1, 5), (2, 7)]);
        assert_eq!(known(&version([(9, 1), (1, 3)]), &here), version([(1, 3)]));
        assert_eq!(known(&version([(9, 2), (1, 3)]), &here), version([(1, 3)]));
        assert_eq!(known(&version([(1, 99), (2, 7)]), &here), here);
        assert_eq!(known(&version([(3, 1)]), &here), version([]));
    }
}
