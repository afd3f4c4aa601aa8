//! Bytes that are to be a state of one of the generic types, in postcard's form: the first byte says of which.

use serde::Serialize;
use serde::de::DeserializeOwned;
use watersmeet_crdt::causal::{
    Counter, DisableWinsFlag, EnableWinsFlag, OrMap, OrSet, Register, RwMap, RwSet, Sequence,
};
use watersmeet_crdt::plain::{GCounter, GSet, LwwRegister, Max, Min, PnCounter, TwoPhaseSet};
use watersmeet_crdt::store::Causal;
use watersmeet_crdt::{CausalContext, Dot, Lattice, ReplicaId, Stamp, VersionVector};

/// What is done with the bytes of each type.
const TYPES: [fn(&[u8]); 17] = [
    states::<Max<u32>>,
    states::<Min<u32>>,
    states::<GCounter>,
    states::<PnCounter>,
    states::<GSet<String>>,
    states::<TwoPhaseSet<u8>>,
    states::<LwwRegister<String>>,
    states::<VersionVector>,
    states::<CausalContext>,
    states::<Causal<Counter>>,
    states::<Causal<EnableWinsFlag>>,
    states::<Causal<DisableWinsFlag>>,
    states::<Causal<Register<String>>>,
    states::<Causal<Sequence<u8>>>,
    states::<Causal<RwSet<u8>>>,
    states::<Causal<OrMap<u8, OrSet<String>>>>,
    states::<Causal<RwMap<u8, OrSet<u8>>>>,
];

/// Two states of a type that come back from their bytes, and can be merged whatever they say.
pub fn lattice(data: &[u8]) {
    if let Some((which, rest)) = data.split_first()
        && let Some(states) = TYPES.get(usize::from(*which))
    {
        states(rest);
    }
}

fn states<L: Lattice + Serialize + DeserializeOwned + std::fmt::Debug>(data: &[u8]) {
    let Ok((one, rest)) = postcard::take_from_bytes::<L>(data) else { return };
    let bytes = postcard::to_allocvec(&one).unwrap();
    let again: L = postcard::from_bytes(&bytes).expect("a state can be decoded again");
    assert!(again == one, "a state does not come back from its bytes");
    let Ok((other, _)) = postcard::take_from_bytes::<L>(rest) else { return };
    // What came may be a delta, which names what it empties; a state is what it is merged into.
    let mut merged = L::default();
    for told in [&one, &other] {
        merged.merge(told.clone());
        let before = merged.clone();
        assert!(!merged.merge(told.clone()) && merged == before, "what comes twice makes a difference");
        assert!(!merged.merge(before.clone()) && merged == before, "a state merged with itself is another");
    }
    let bytes = postcard::to_allocvec(&merged).unwrap();
    assert!(postcard::from_bytes::<L>(&bytes).is_ok_and(|again| again == merged), "a merged state is lost");
}

/// Two states of every type.
pub fn seeds() -> Vec<Vec<u8>> {
    let dot = |replica, seq| Dot { replica: ReplicaId::new(replica), seq };
    let states: [Vec<u8>; 9] = [
        pair(&Max::of(3u32), &Max::of(4)),
        pair(&VersionVector::from_iter([(ReplicaId::new(1), 3)]), &VersionVector::default()),
        pair(&[dot(1, 1), dot(2, 3)].into_iter().collect::<CausalContext>(), &CausalContext::default()),
        pair(&Counter::default().add(dot(1, 1), 5), &Counter::default().add(dot(2, 1), -5)),
        pair(
            &Register::default().set(dot(1, 1), Stamp::default(), "mill".to_owned()),
            &Register::default().set(dot(2, 1), Stamp::default(), "ruin".to_owned()),
        ),
        pair(
            &Sequence::default().insert(dot(1, 1), Stamp::default(), 0, 7u8),
            &Sequence::default().insert(dot(2, 1), Stamp::default(), 0, 8u8),
        ),
        pair(&RwSet::default().insert(dot(1, 1), 3u8), &RwSet::default().remove(dot(2, 1), 3u8)),
        pair(
            &OrMap::default().update(1u8, |set: &OrSet<String>| set.insert(dot(1, 1), "a".to_owned())),
            &OrMap::<u8, OrSet<String>>::default().remove(dot(2, 1), 1),
        ),
        pair(
            &RwMap::default().update(dot(1, 1), 1u8, |set: &OrSet<u8>| set.insert(dot(1, 1), 2)),
            &RwMap::<u8, OrSet<u8>>::default().remove(dot(2, 1), 1),
        ),
    ];
    let of_every_type = |which| states.iter().map(move |state| [&[which], &state[..]].concat());
    (0..u8::try_from(TYPES.len()).unwrap()).flat_map(of_every_type).collect()
}

fn pair<T: Serialize>(one: &T, other: &T) -> Vec<u8> {
    [postcard::to_allocvec(one).unwrap(), postcard::to_allocvec(other).unwrap()].concat()
}
