//! A checker of the lattice laws, for every type here and for yours.
//!
//! The one idea (after `riak_dt`'s statem): a type says how to [mutate](Subject::mutate) it and nothing else. The
//! checker plays a random history of edits and merges among three replicas and holds every law against the states
//! and deltas that really occur. With the feature `quickcheck`, a [`History`] can be drawn and shrunk at random.
//!
//! ```
//! use watersmeet_crdt::{Dot, Lattice, Stamp, laws::{self, History, Step, Subject}};
//!
//! #[derive(Clone, Debug, Default, PartialEq)]
//! struct Highest(u32);
//! impl Lattice for Highest {
//!     fn merge(&mut self, other: Self) -> bool {
//!         let grew = self.0 < other.0;
//!         self.0 = self.0.max(other.0);
//!         grew
//!     }
//! }
//! impl Subject for Highest {
//!     type Op = u32;
//!     fn mutate(&mut self, _: Dot, _: Stamp, op: &u32) -> Self {
//!         self.0 = self.0.max(*op);
//!         Highest(*op)
//!     }
//! }
//! let history = History { steps: vec![(0, Step::Edit(3)), (1, Step::Edit(5)), (0, Step::Merge(1))], seed: 1 };
//! laws::check::<Highest>(&history)?;
//! # Ok::<(), laws::Broken>(())
//! ```
//!
//! In a quickcheck property: `fn highest_is_a_lattice(history: History<u32>) -> Result<(), Broken> { check::<Highest>(&history) }`.

use crate::store::{Causal, DotStore};
use crate::{Dot, Lattice, ReplicaId, Stamp, Time};
use std::fmt::Debug;

/// How many replicas a history has.
pub const REPLICAS: usize = 3;

/// A law that does not hold, and where.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{law} is broken: {shown}")]
pub struct Broken {
    /// Which law.
    pub law: &'static str,
    /// The values that break it.
    pub shown: String,
}

/// A lattice that the checker can edit.
pub trait Subject: Lattice + Debug {
    /// A mutation, drawn at random.
    type Op: Clone + Debug + 'static;

    /// Mutates the state as the event `dot` at `stamp`, and answers with the delta.
    fn mutate(&mut self, dot: Dot, stamp: Stamp, op: &Self::Op) -> Self;

    /// The fast path for deltas, if there is one; it must do what `merge` does.
    fn apply(&mut self, delta: Self) -> bool {
        self.merge(delta)
    }
}

/// A causal type that the checker can edit: its mutation answers with the delta only.
pub trait CausalSubject: DotStore + Debug {
    /// A mutation, drawn at random.
    type Op: Clone + Debug + 'static;

    /// The delta of a mutation.
    fn delta(&self, dot: Dot, stamp: Stamp, op: &Self::Op) -> Causal<Self>;
}

impl<S: CausalSubject> Subject for Causal<S> {
    type Op = S::Op;

    fn mutate(&mut self, dot: Dot, stamp: Stamp, op: &Self::Op) -> Self {
        let delta = self.store.delta(dot, stamp, op);
        Causal::apply(self, delta.clone());
        delta
    }

    fn apply(&mut self, delta: Self) -> bool {
        Causal::apply(self, delta)
    }
}

/// What one replica does.
#[derive(Clone, Debug)]
pub enum Step<Op> {
    /// Edits.
    Edit(Op),
    /// Merges the state of another.
    Merge(usize),
}

/// Who does what, and a seed for the order in which deltas arrive later. Replicas count modulo [`REPLICAS`].
#[derive(Clone, Debug)]
pub struct History<Op> {
    /// The steps, each with the replica that takes it.
    pub steps: Vec<(usize, Step<Op>)>,
    /// Decides order, repetition and grouping of deltas.
    pub seed: u64,
}

/// Plays a history, and checks all the laws on what occurs in it.
///
/// # Errors
/// The first law that is broken.
pub fn check<S: Subject>(history: &History<S::Op>) -> Result<(), Broken> {
    let (states, deltas) = play::<S>(history)?;
    let taken_in = |delta: &S| {
        // A delta names what it empties; taken in by an empty replica it is a state like any other.
        let mut state = S::default();
        state.merge(delta.clone());
        state
    };
    let sample: Vec<S> = states.iter().cloned().chain(deltas.iter().rev().take(3).map(taken_in)).collect();
    for a in &sample {
        for b in &sample {
            for c in &states {
                check_lattice(a, b, c)?;
            }
        }
    }
    check_delivery(&states, &deltas, history.seed)
}

/// Plays a history, and checks a codec on every state and every delta that occurs in it: each comes back from its
/// bytes, equal values have equal bytes, and a delta that was decoded does what it did before.
///
/// ```
/// use watersmeet_crdt::{Dot, Stamp, laws::{self, History, Step, Subject}, plain::GCounter};
/// # use watersmeet_crdt::Lattice;
/// # #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
/// # struct Steps(GCounter);
/// # impl Lattice for Steps {
/// #     fn merge(&mut self, other: Self) -> bool {
/// #         self.0.merge(other.0)
/// #     }
/// # }
/// # impl Subject for Steps {
/// #     type Op = u64;
/// #     fn mutate(&mut self, dot: Dot, _: Stamp, op: &u64) -> Self {
/// #         Steps(self.0.increment(dot.replica, *op))
/// #     }
/// # }
/// let history = History { steps: vec![(0, Step::Edit(3)), (1, Step::Edit(5)), (0, Step::Merge(1))], seed: 1 };
/// let encode = |steps: &Steps| postcard::to_allocvec(steps).unwrap_or_default();
/// laws::check_codec(&history, encode, |bytes| postcard::from_bytes(bytes).ok())?;
/// // A codec that forgets is found out.
/// assert!(laws::check_codec(&history, encode, |_| Some(Steps::default())).is_err());
/// # Ok::<(), laws::Broken>(())
/// ```
///
/// # Errors
/// The first law that is broken.
pub fn check_codec<S: Subject>(
    history: &History<S::Op>,
    encode: impl Fn(&S) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> Option<S>,
) -> Result<(), Broken> {
    let (states, deltas) = play::<S>(history)?;
    // What all know, learnt in two orders, is equal; are its bytes?
    let (mut one_way, mut other_way) = (S::default(), S::default());
    for (first, last) in states.iter().zip(states.iter().rev()) {
        one_way.merge(first.clone());
        other_way.merge(last.clone());
    }
    let bottom = S::default();
    let mut sample: Vec<(&S, Vec<u8>)> = Vec::new();
    for value in states.iter().chain(&deltas).chain([&bottom, &one_way, &other_way]) {
        let bytes = encode(value);
        same("a value comes back from its bytes", &decode(&bytes).as_ref(), &Some(value), &bytes)?;
        for (_, equal) in sample.iter().filter(|(other, _)| *other == value) {
            same("equal values have equal bytes", &bytes, equal, value)?;
        }
        sample.push((value, bytes));
    }
    // Equality may be blind to what a delta does, so it is also seen to do it: to one who hears all of them.
    let mut state = S::default();
    for delta in &deltas {
        let Some(decoded) = decode(&encode(delta)) else { continue };
        let (mut merged, mut applied) = (state.clone(), state.clone());
        let (grew, changed) = (merged.merge(decoded.clone()), applied.apply(decoded));
        let expected = state.merge(delta.clone());
        let law = "a decoded delta does what the delta does";
        same(law, &(&merged, grew), &(&state, expected), delta)?;
        same(law, &(&applied, changed), &(&state, expected), delta)?;
    }
    Ok(())
}

/// Checks the laws of [`Lattice`] on three values.
///
/// # Errors
/// The first law that is broken.
pub fn check_lattice<L: Lattice + Debug>(a: &L, b: &L, c: &L) -> Result<(), Broken> {
    let join = |a: &L, b: &L| {
        let mut joined = a.clone();
        let grew = joined.merge(b.clone());
        (joined, grew)
    };
    let (ab, grew) = join(a, b);
    same("merge is commutative", &ab, &join(b, a).0, (a, b))?;
    same("merge is associative", &join(&ab, c).0, &join(a, &join(b, c).0).0, (a, b, c))?;
    same("merge is idempotent", &join(a, a).0, a, a)?;
    same("merging bottom changes nothing", &join(a, &L::default()).0, a, a)?;
    same("bottom takes what it is merged with", &join(&L::default(), a).0, a, a)?;
    same("merge tells whether it grew", &grew, &(ab != *a), (a, b))?;
    same("covers tells whether a merge would grow", &a.covers(b), &!grew, (a, b))
}

/// Replays the steps; at each edit checks that delta and mutation, fast path and merge agree.
fn play<S: Subject>(history: &History<S::Op>) -> Result<(Vec<S>, Vec<S>), Broken> {
    let mut states = vec![S::default(); REPLICAS];
    let (mut deltas, mut seqs, mut stamp) = (Vec::new(), [0; REPLICAS], Stamp::default());
    for (who, step) in &history.steps {
        let who = who % REPLICAS;
        match step {
            Step::Merge(from) => {
                let from = states[from % REPLICAS].clone();
                states[who].merge(from);
            }
            Step::Edit(op) => {
                seqs[who] += 1;
                // A slow clock that often stands still, so that stamps of different replicas tie.
                stamp = if seqs[who] % 2 == 0 { stamp.next(Time::default()) } else { stamp };
                let dot = Dot { replica: ReplicaId::new(who as u64 + 1), seq: seqs[who] };
                let before = states[who].clone();
                let delta = states[who].mutate(dot, stamp, op);
                let mut merged = before.clone();
                merged.merge(delta.clone());
                same("merging the delta is the mutation", &merged, &states[who], (&before, op))?;
                for state in &states {
                    check_apply(state, &delta)?;
                }
                deltas.push(delta);
            }
        }
    }
    Ok((states, deltas))
}

fn check_apply<S: Subject>(state: &S, delta: &S) -> Result<(), Broken> {
    let (mut merged, mut applied) = (state.clone(), state.clone());
    let (grew, changed) = (merged.merge(delta.clone()), applied.apply(delta.clone()));
    same("apply is merge", &applied, &merged, (state, delta))?;
    same("apply tells what merge tells", &changed, &grew, (state, delta))
}

/// Deltas in any order, any number of times, in any groups, make the state that all the replicas make.
fn check_delivery<S: Subject>(states: &[S], deltas: &[S], seed: u64) -> Result<(), Broken> {
    let mut all = S::default();
    for state in states {
        all.merge(state.clone());
    }
    let mut random = seed | 1;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap_or(0) % below.max(1)
    };
    let mut mail: Vec<&S> = deltas.iter().collect();
    for _ in 0..deltas.len() / 2 {
        mail.push(&deltas[draw(deltas.len())]);
    }
    for last in (1..mail.len()).rev() {
        mail.swap(last, draw(last + 1));
    }
    let (mut received, mut group) = (S::default(), S::default());
    for delta in mail {
        group.merge(delta.clone());
        if draw(3) > 0 {
            received.merge(std::mem::take(&mut group));
        }
    }
    received.merge(group);
    same("any order, repetition and grouping of deltas gives one state", &received, &all, seed)
}

fn same<T: PartialEq + Debug>(law: &'static str, left: &T, right: &T, of: impl Debug) -> Result<(), Broken> {
    if left == right {
        return Ok(());
    }
    Err(Broken { law, shown: format!("{left:?} ≠ {right:?}, from {of:?}") })
}

#[cfg(feature = "quickcheck")]
mod random {
    use super::{History, REPLICAS, Step};
    use quickcheck::{Arbitrary, Gen};

    impl<Op: Arbitrary> Arbitrary for Step<Op> {
        fn arbitrary(g: &mut Gen) -> Self {
            if u8::arbitrary(g) % 3 == 0 {
                Step::Merge(usize::arbitrary(g) % REPLICAS)
            } else {
                Step::Edit(Op::arbitrary(g))
            }
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
            match self {
                Step::Edit(op) => Box::new(op.shrink().map(Step::Edit)),
                Step::Merge(_) => Box::new(std::iter::empty()),
            }
        }
    }

    impl<Op: Arbitrary> Arbitrary for History<Op> {
        fn arbitrary(g: &mut Gen) -> Self {
            let mut g = Gen::new(g.size().min(24));
            let steps = Vec::<(u8, Step<Op>)>::arbitrary(&mut g);
            let steps = steps.into_iter().map(|(who, step)| (usize::from(who) % REPLICAS, step)).collect();
            History { steps, seed: u64::arbitrary(&mut g) }
        }

        fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
            let seed = self.seed;
            Box::new(self.steps.shrink().map(move |steps| History { steps, seed }))
        }
    }
}
