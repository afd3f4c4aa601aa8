//! **What is served is what was written, or nothing.** Any byte of the file may have changed since: what is loaded
//! then is either exactly what was written or an error that names what is damaged, and a check notices every change
//! that could ever have mattered.
//!
//! `FLIPS` says how many bytes are changed, each in a copy of its own; `SEED` which.

use super::super::*;
use super::{Dice, Folder};
use crate::store::{Claim, Flaw};
use std::collections::BTreeMap;
use std::sync::Arc;
use watersmeet_crdt::{Document, Time};

const FLIPS: u64 = 400;
/// Bytes of the log's header.
const HEADER: usize = 32;

/// Documents with a log, with a snapshot, and with both; and everything that [`loaded`] should find of them.
fn written(folder: &Path) -> BTreeMap<String, Saved> {
    let store = Sqlite::open(folder).unwrap();
    for number in 0..40_u64 {
        let name: Arc<str> = format!("document {number}").into();
        let mut document = Document::new(ReplicaId::new(number));
        let claims =
            vec![Claim { replica: ReplicaId::new(number), subject: format!("user {number}").into() }];
        let mut last = 0;
        for edit in 0..number % 7 + 1 {
            let before = document.version().clone();
            let text = "x".repeat(usize::try_from(number * edit * 20).unwrap());
            document
                .edit(Time::from_millis(edit), |tx| tx.set(&["text", &edit.to_string()], text.as_str()))
                .unwrap();
            let delta = document.since(&before).encode();
            let record = Record { document: name.clone(), delta, claims: claims.clone() };
            last = store.append(&[record]).unwrap()[0];
            if number % 3 == 0 && edit == 2 {
                store.compact(&name, last, &document.encode_state()).unwrap();
            }
        }
        if number % 5 == 0 {
            store.compact(&name, last, &document.encode_state()).unwrap();
        }
    }
    store.close().unwrap();
    let names = store.names("", 100).unwrap();
    names.into_iter().map(|name| (name.clone(), store.load(&name).unwrap())).collect()
}

/// Whether every document that is loaded from a damaged store is the truth; how many could not be loaded.
fn lies(store: &Sqlite, truth: &BTreeMap<String, Saved>) -> Result<usize, String> {
    let mut damaged = 0;
    for (name, saved) in truth {
        match store.load(name) {
            Ok(found) if found == *saved => {}
            Ok(_) => return Err(format!("{name} is served, and not as it was written")),
            Err(error) => {
                damaged += 1;
                let told = error.to_string();
                let named = told.contains(name.as_str()) || matches!(error, StoreError::Damaged { .. });
                assert!(named, "what is damaged is not named: {told}");
            }
        }
    }
    for number in 0..40 {
        let owner = store.owner(ReplicaId::new(number));
        if owner.is_ok_and(|owner| owner.is_some_and(|owner| owner != format!("user {number}"))) {
            return Err(format!("replica {number} is said to be somebody else's"));
        }
    }
    Ok(damaged)
}

#[test]
fn whatever_byte_has_changed_what_is_served_is_the_truth() {
    let flips = std::env::var("FLIPS").ok().map_or(FLIPS, |flips| flips.parse().unwrap());
    let mut dice = Dice::new();
    let (original, copy) = (Folder::fresh(), Folder::fresh());
    let truth = written(&original.0);
    let bytes = std::fs::read(file_in(&original.0)).unwrap();
    let (mut refused, mut damaged, mut harmless) = (0, 0, 0);
    for _ in 0..flips {
        let at = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
        let mut flipped = bytes.clone();
        flipped[at] ^= u8::try_from(dice.below(255) + 1).unwrap();
        let _ = std::fs::remove_dir_all(&copy.0);
        std::fs::create_dir_all(&copy.0).unwrap();
        std::fs::write(file_in(&copy.0), &flipped).unwrap();
        let checked = check(&copy.0).map(|report| report.flaws);
        let told = match Sqlite::open(&copy.0) {
            Err(_) => {
                refused += 1;
                continue;
            }
            Ok(store) => lies(&store, &truth).unwrap_or_else(|lie| panic!("byte {at}: {lie}")),
        };
        damaged += u64::from(told > 0);
        harmless += u64::from(told == 0);
        assert!(
            told == 0 || checked.is_err() || !checked.unwrap().is_empty(),
            "byte {at}: not found by a check"
        );
    }
    println!(
        "{flips} bytes changed: {refused} stores refused, {damaged} with damaged documents, {harmless} unharmed"
    );
    assert!(damaged > 0);
}

/// A log that was never moved into the database, as a kill leaves it: whatever byte has changed, what was acknowledged
/// is there, but for the last commit, which looks as if it had been interrupted; or the store is refused. Of the header
/// everything can be told again.
#[test]
fn whatever_byte_of_the_log_has_changed_no_commit_is_lost_without_a_word() {
    const COMMITS: u8 = 12;
    let flips = std::env::var("FLIPS").ok().map_or(FLIPS / 4, |flips| flips.parse().unwrap());
    let mut dice = Dice::new();
    let (original, copy) = (Folder::fresh(), Folder::fresh());
    let store = Sqlite::open(&original.0).unwrap();
    for number in 0..COMMITS {
        let delta = vec![number; 700 * usize::from(number)].into();
        store.append(&[Record { document: "a".into(), delta, claims: Vec::new() }]).unwrap();
    }
    let truth = store.load("a").unwrap();
    let file = file_in(&original.0);
    let database = std::fs::read(&file).unwrap();
    let log = std::fs::read(file.with_extension("sqlite-wal")).unwrap();
    drop(store);
    // As it is where room was made for more.
    let roomy = [&log[..], &[0; 20_000]].concat();
    let (mut refused, mut last_lost) = (0, 0);
    for flip in 0..flips {
        // Each of the header's first: they are few, and all hangs on them.
        let at = match usize::try_from(flip).unwrap() {
            flip @ ..=HEADER => flip.saturating_sub(1),
            _ => usize::try_from(dice.below(log.len() as u64)).unwrap(),
        };
        let mut flipped = if flip % 2 == 0 { log.clone() } else { roomy.clone() };
        if flip > 0 {
            flipped[at] ^= u8::try_from(dice.below(255) + 1).unwrap();
        }
        let _ = std::fs::remove_dir_all(&copy.0);
        std::fs::create_dir_all(&copy.0).unwrap();
        std::fs::write(file_in(&copy.0), &database).unwrap();
        std::fs::write(log_in(&copy.0), flipped).unwrap();
        let mut checked = check(&copy.0).unwrap().flaws;
        // That these deltas make no document.
        checked.retain(|flaw| !matches!(flaw, Flaw::Replay(_)));
        let store = match Sqlite::open(&copy.0) {
            Err(StoreError::Damaged { flaw: Flaw::Log { .. }, .. }) => {
                assert!(at >= HEADER, "byte {at} could have been told from the first frame");
                assert!(!checked.is_empty(), "byte {at}: not found by a check");
                refused += 1;
                continue;
            }
            opened => opened.unwrap(),
        };
        let found = store.load("a").unwrap();
        let is_all = found == truth;
        assert!(flip > 0 || is_all && checked.is_empty(), "an unchanged log is whole");
        if flip > 0 && at < HEADER {
            assert!(is_all, "byte {at}: commits are lost");
            assert_eq!(checked, [Flaw::LogHeader], "byte {at}");
        }
        assert!(
            is_all || found.deltas == truth.deltas[..usize::from(COMMITS) - 1],
            "byte {at}: commits are lost"
        );
        last_lost += u64::from(!is_all);
    }
    println!(
        "{flips} bytes of the log changed: {refused} stores refused, the last commit lost in {last_lost}"
    );
    assert!(refused > 0);
}

/// Header and first frame together, as a sector that is lost takes them: then nobody can tell what was acknowledged,
/// and nothing is served.
#[test]
fn a_log_that_has_lost_its_first_sector_is_refused() {
    let (original, copy) = (Folder::fresh(), Folder::fresh());
    let store = Sqlite::open(&original.0).unwrap();
    for number in 0..3 {
        let delta = vec![number; 700].into();
        store.append(&[Record { document: "a".into(), delta, claims: Vec::new() }]).unwrap();
    }
    let mut log = std::fs::read(log_in(&original.0)).unwrap();
    std::fs::create_dir_all(&copy.0).unwrap();
    std::fs::copy(file_in(&original.0), file_in(&copy.0)).unwrap();
    for (byte, room) in [(0, 0), (0xff, 0), (0x5a, 0), (0, 20_000)] {
        log[..512].fill(byte);
        log.resize(log.len() + room, 0);
        std::fs::write(log_in(&copy.0), &log).unwrap();
        let refused = Sqlite::open(&copy.0).unwrap_err();
        assert!(
            matches!(refused, StoreError::Damaged { flaw: Flaw::Log { at: 0, commits: 2.. }, .. }),
            "{refused}"
        );
        assert!(backup(&copy.0, &copy.0.join("backup")).is_err());
    }
}

/// Room in the log is made once for many commits, is there again after the log has been moved, and says nothing.
#[test]
fn room_in_the_log_is_no_part_of_it() {
    let (folder, copy) = (Folder::fresh(), Folder::fresh());
    let store = Sqlite::open(&folder.0).unwrap();
    let log_bytes = || std::fs::metadata(log_in(&folder.0)).unwrap().len();
    let append = |number| {
        let delta = vec![number; 700].into();
        store.append(&[Record { document: "a".into(), delta, claims: Vec::new() }]).unwrap();
        store.tidy().unwrap();
    };
    append(0);
    let roomy = log_bytes();
    assert!(roomy > 1 << 20);
    (1..100).for_each(append);
    assert_eq!(log_bytes(), roomy, "a commit makes the file no longer");
    // As a kill leaves them.
    std::fs::create_dir_all(&copy.0).unwrap();
    for file in [file_in(&folder.0), log_in(&folder.0)] {
        std::fs::copy(&file, copy.0.join(file.file_name().unwrap())).unwrap();
    }
    let reopened = Sqlite::open(&copy.0).unwrap();
    assert_eq!(reopened.load("a").unwrap(), store.load("a").unwrap());
    assert_eq!(reopened.load("a").unwrap().deltas.len(), 100);
    store.turns.writer().settle().unwrap();
    append(100);
    assert!(log_bytes() > 1 << 20);
}
