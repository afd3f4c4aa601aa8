//! Bytes that are to be one delta, one frame or one version.

use super::common::{Rng, random_ops};
use super::seeds::histories;
use watersmeet_crdt::document::EditError;
use watersmeet_crdt::session::{Frame, PROTOCOL};
use watersmeet_crdt::{Delta, Document, Lattice, ReplicaId, Time, VersionVector};

/// Bytes that are a delta come back from it, and whatever document takes it in or refuses it stays sound.
pub fn delta(data: &[u8]) {
    let Ok(delta) = Delta::decode(data) else { return };
    let bytes = delta.encode();
    let again = Delta::decode(&bytes).expect("what was decoded encodes to what can be decoded");
    assert!(again.encode() == bytes, "a delta does not come back from its bytes");
    assert_eq!((again.from(), again.to(), again.latest()), (delta.from(), delta.to(), delta.latest()));
    for document in histories() {
        take_in(document, &delta);
    }
}

/// Either a gap, and nothing has changed; or a document that can be told, stored, edited, and told from before.
fn take_in(mut document: Document, delta: &Delta) {
    let (before, hash) = (document.clone(), document.hash());
    let covered = document.version().covers(delta.from());
    let applied = document.apply(delta.clone()).is_ok();
    assert_eq!(applied, covered, "a delta is applied exactly where what comes before it is");
    if !applied {
        assert!(document.hash() == hash && document.version() == before.version(), "a refused delta changes");
        return;
    }
    assert!(document.version().covers(delta.to()));
    check_sound(&document);
    let hash = document.hash();
    assert!(document.apply(delta.clone()).is_ok(), "a delta that was applied can be applied");
    assert!(document.hash() == hash, "a delta that comes twice changes something");
    check_since(&document, before.version());
    match document.commit(Time::from_millis(5), random_ops(&mut Rng(1))) {
        Ok(_) | Err(EditError::ReplicaSpent) => check_sound(&document),
        Err(error) => panic!("a delta makes an edit impossible: {error}"),
    }
}

/// What a document stores, it finds again.
pub(super) fn check_sound(document: &Document) {
    let state = document.encode_state();
    let found = Delta::decode(&state).expect("a document stores what it can decode");
    let mut restored = Document::new(document.replica());
    assert!(restored.apply(found).is_ok(), "a state has no gap");
    assert!(restored.encode_state() == state, "a document does not come back from what it stored");
    assert!(restored.version() == document.version());
}

/// What there is since any version can be sent, and applied by whoever has that version.
pub(super) fn check_since(document: &Document, version: &VersionVector) {
    let delta = document.since(version);
    assert!(version.covers(delta.from()), "a delta since a version goes back beyond it");
    let mut after = version.clone();
    after.merge(delta.to().clone());
    assert!(after.covers(document.version()), "what there is since a version does not bring it up to date");
    let bytes = delta.encode();
    let told = Delta::decode(&bytes).expect("what there is since a version can be decoded");
    assert!(told.encode() == bytes, "what there is since a version does not come back");
}

/// Bytes that are a frame come back from it.
pub fn frame(data: &[u8]) {
    let Some(frame) = Frame::decode(data) else { return };
    let bytes = frame.encode();
    // Of a greeting in another protocol only the protocol is read.
    let is_foreign = matches!(frame, Frame::Hello { protocol, .. } if protocol != PROTOCOL);
    assert!(is_foreign || bytes.len() <= data.len(), "a frame has one shortest form");
    assert_eq!(Frame::decode(&bytes), Some(frame), "a frame does not come back from its bytes");
}

/// Any version that a peer claims to have can be compared, joined, answered, and held to be stable.
pub fn version(data: &[u8]) {
    let Ok((version, _)) = postcard::take_from_bytes::<VersionVector>(data) else { return };
    let bytes = postcard::to_allocvec(&version).unwrap();
    assert_eq!(postcard::from_bytes(&bytes).as_ref(), Ok(&version));
    for mut document in histories() {
        let own = document.version().clone();
        let (missing, beyond) = (own.events_beyond(&version), own.beyond(&version));
        assert_eq!((missing == 0, beyond.is_empty()), (version.covers(&own), version.covers(&own)));
        let mut joined = own.clone();
        assert_eq!(joined.merge(version.clone()), !own.covers(&version));
        assert!(joined.covers(&own) && joined.covers(&version));
        version.next(document.replica());
        check_since(&document, &version);
        let hash = document.hash();
        document.cut_log(&version);
        assert!(document.hash() == hash, "to cut the log changes what a document says");
        check_since(&document, &version);
        let mut late = Document::new(ReplicaId::new(9));
        assert!(late.apply(document.since(late.version())).is_ok());
        assert!(late.hash() == hash, "whoever comes late to a cut log is told something else");
    }
}
