//! **Power may fail at any moment.** A disk then has everything that was synced, and of what was written since any
//! part: some sectors new, some old, some torn, the file as long as it was or is or anything between.
//!
//! The test keeps the two files as they were after each commit. Whatever of a commit had not been synced is somewhere
//! between the files before it and the files after it; so it makes stores in which each sector is taken from either, or
//! is noise in bytes that were being written, opens them, and finds everything that was acknowledged before, and the commit itself
//! wholly or not at all.
//!
//! `TORN` says how many such stores, `SEED` which.

use super::super::*;
use super::{Dice, Folder};
use std::collections::BTreeMap;

const STORES: u64 = 400;
const SECTOR: usize = 512;
/// Pages in the write-ahead log before they are moved: few, so that it happens often.
const LOG_PAGES: u32 = 40;
/// Pages for which there is room at a time: few, for the same reason.
const ROOM_PAGES: u32 = 8;

/// The files of a store, and what is in it.
#[derive(Clone)]
struct State {
    database: Vec<u8>,
    log: Vec<u8>,
    holds: BTreeMap<&'static str, Saved>,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

impl State {
    fn of(store: &Sqlite) -> Self {
        let file = file_in(store.file.parent().unwrap());
        State {
            database: std::fs::read(&file).unwrap(),
            log: std::fs::read(file.with_extension("sqlite-wal")).unwrap_or_default(),
            holds: NAMES.iter().map(|name| (*name, store.load(name).unwrap())).collect(),
        }
    }
}

/// Something between two versions of a file.
fn torn(before: &[u8], after: &[u8], dice: &mut Dice) -> Vec<u8> {
    let (longest, shortest) = (before.len().max(after.len()), before.len().min(after.len()));
    let length = shortest + usize::try_from(dice.below((longest - shortest + 1) as u64)).unwrap();
    // What a file is longer by reads as zeros until it is written.
    let [mut file, new] = [before, after].map(|bytes| [bytes, &vec![0; longest - bytes.len()]].concat());
    // Mostly one or the other, so that what comes after a tear is often whole.
    let new_in_eight = dice.below(9);
    for (old, new) in file.chunks_mut(SECTOR).zip(new.chunks(SECTOR)) {
        let (takes_new, is_noise) = (dice.below(8) < new_in_eight, dice.below(16) == 0);
        // SQLite trusts a disk to leave alone the bytes of a sector that are not being written.
        for (old, new) in old.iter_mut().zip(new).filter(|(old, new)| old != new) {
            if is_noise {
                *old = u8::try_from(dice.below(256)).unwrap();
            } else if takes_new {
                *old = *new;
            }
        }
    }
    file.truncate(length);
    file
}

/// The bytes at the beginning of the log that say which generation it is of.
const HEADER: usize = 32;

/// What a disk may have when power fails between two states. The log is synced before the database is touched, the
/// database before the log is begun again, and the log's header before what follows it; so never are two of them torn.
fn crash(before: &State, after: &State, dice: &mut Dice) -> (Vec<u8>, Vec<u8>) {
    // Of a log that was empty the header was nothing.
    let headers = [&before.log, &after.log].map(|log| log.get(..HEADER).or(log.get(..0)));
    if before.database != after.database && dice.below(2) == 0 {
        (torn(&before.database, &after.database, dice), after.log.clone())
    } else if let [Some(old), Some(new)] = headers
        && old != new
    {
        let mut log = match dice.below(2) {
            0 => before.log.clone(),
            _ => torn(&before.log, &after.log, dice),
        };
        let header = if log == before.log { torn(old, new, dice) } else { new.to_vec() };
        log.splice(..header.len().min(log.len()), header);
        (before.database.clone(), log)
    } else {
        (before.database.clone(), torn(&before.log, &after.log, dice))
    }
}

/// One commit of the store: an append to some documents, or a step of a compaction.
fn commit(store: &Sqlite, dice: &mut Dice, compacting: &mut Vec<Step>) {
    if let Some(step) = compacting.pop() {
        return step(&mut store.turns.writer());
    }
    if dice.below(6) == 0 {
        *compacting = compaction(store, NAMES[usize::try_from(dice.below(4)).unwrap()], dice);
        return;
    }
    let records: Vec<_> = (0..dice.below(5) + 1)
        .map(|_| {
            let bytes = usize::try_from(dice.below(3_000)).unwrap();
            let delta = (0..bytes).map(|_| u8::try_from(dice.below(256)).unwrap()).collect::<Vec<_>>().into();
            let document = NAMES[usize::try_from(dice.below(4)).unwrap()].into();
            Record { document, delta, claims: Vec::new() }
        })
        .collect();
    store.append(&records).unwrap();
}

type Step = Box<dyn FnOnce(&mut Writer)>;

/// The steps of a compaction, the last first, each of which is a commit of its own.
fn compaction(store: &Sqlite, name: &'static str, dice: &mut Dice) -> Vec<Step> {
    let Some(head) = rows::head(&store.reader(), name).unwrap() else { return Vec::new() };
    if head.last == head.snapshot {
        return Vec::new();
    }
    let state = vec![u8::try_from(dice.below(256)).unwrap(); 5_000];
    let upto = head.last;
    vec![
        Box::new(move |writer| {
            let (old, _) = rows::numbers_back(writer.connection(), head.id, upto, usize::MAX).unwrap();
            writer.sweep_deltas(&old).unwrap();
        }),
        Box::new(move |writer| while writer.sweep_part(head.id, upto).unwrap() {}),
        Box::new(move |writer| writer.switch(name, upto).unwrap()),
        Box::new(move |writer| writer.put_part((head.id, upto), &state, 0).unwrap()),
        Box::new(move |writer| assert!(!writer.sweep_part(head.id, head.snapshot).unwrap())),
    ]
}

#[test]
fn whatever_a_crash_leaves_of_a_commit_the_commits_before_it_are_there() {
    let stores = std::env::var("TORN").ok().map_or(STORES, |stores| stores.parse().unwrap());
    let mut dice = Dice::new();
    let (folder, copy) = (Folder::fresh(), Folder::fresh());
    let store = Sqlite::open(&folder.0).unwrap();
    store.turns.writer().log_pages = LOG_PAGES;
    store.turns.writer().room_pages = ROOM_PAGES;
    let (mut states, mut compacting) = (vec![State::of(&store)], Vec::new());
    let (mut kept, mut lost) = (0, 0);
    for number in 0..stores {
        commit(&store, &mut dice, &mut compacting);
        store.tidy().unwrap();
        states.push(State::of(&store));
        let [before, after] = [&states[states.len() - 2], &states[states.len() - 1]];
        let (database, log) = crash(before, after, &mut dice);
        let _ = std::fs::remove_dir_all(&copy.0);
        std::fs::create_dir_all(&copy.0).unwrap();
        std::fs::write(file_in(&copy.0), database).unwrap();
        std::fs::write(file_in(&copy.0).with_extension("sqlite-wal"), log).unwrap();
        let found = Sqlite::open(&copy.0).unwrap_or_else(|error| panic!("store {number}: {error}"));
        let holds: BTreeMap<_, _> = NAMES.iter().map(|name| (*name, found.load(name).unwrap())).collect();
        if holds == after.holds {
            kept += 1;
        } else {
            assert!(
                holds == before.holds,
                "store {number}: neither what was before the commit nor what is after it"
            );
            lost += 1;
        }
        states.remove(0);
    }
    println!("{stores} crashes: the last commit was there {kept} times, and gone {lost} times");
    assert!(kept > 0 && lost > 0, "the model tears nothing");
}
