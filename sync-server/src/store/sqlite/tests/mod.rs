mod disk;
mod flips;
mod torn;

use super::schema::SCHEMA;
use super::*;
use crate::store::{Claim, Flaw};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn fresh() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("watersmeet-sqlite-{}-{number}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn record(document: &str, delta: &[u8]) -> Record {
    Record { document: document.into(), delta: delta.to_vec().into(), claims: Vec::new() }
}

/// Random numbers that a printed seed repeats (SplitMix64; Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    /// From the environment's `SEED`, or a fresh one; printed either way.
    fn new() -> Self {
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| getrandom::u64().unwrap());
        println!("SEED={seed}");
        Dice(seed)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[test]
fn what_is_appended_is_there_after_reopening() {
    let folder = Folder::fresh();
    let store = Sqlite::open(&folder.0).unwrap();
    let numbers = store.append(&[record("a", b"1"), record("b", b"2"), record("a", b"3")]).unwrap();
    store.close().unwrap();
    drop(store);
    let store = Sqlite::open(&folder.0).unwrap();
    let deltas = vec![(numbers[0], b"1".to_vec()), (numbers[2], b"3".to_vec())];
    assert_eq!(store.load("a").unwrap(), Saved { snapshot: None, deltas });
    assert_eq!(store.load("nobody's").unwrap(), Saved::default());
}

/// Were numbers given again after a compaction took the last deltas away, the next one would count as contained
/// in the snapshot.
#[test]
fn a_number_is_never_given_twice() {
    let folder = Folder::fresh();
    let store = Sqlite::open(&folder.0).unwrap();
    let upto = store.append(&[record("a", b"1"), record("a", b"2")]).unwrap()[1];
    store.compact("a", upto, b"state").unwrap();
    drop(store);
    let store = Sqlite::open(&folder.0).unwrap();
    let next = store.append(&[record("a", b"3")]).unwrap()[0];
    assert!(next > upto);
    let saved = Saved { snapshot: Some((upto, b"state".to_vec())), deltas: vec![(next, b"3".to_vec())] };
    assert_eq!(store.load("a").unwrap(), saved);
}

#[test]
fn a_compaction_keeps_later_deltas_and_other_documents() {
    let folder = Folder::fresh();
    let store = Sqlite::open(&folder.0).unwrap();
    let numbers = store.append(&[record("a", b"1"), record("b", b"2"), record("a", b"3")]).unwrap();
    store.compact("a", numbers[0], b"state").unwrap();
    assert_eq!(store.load("a").unwrap().deltas, [(numbers[2], b"3".to_vec())]);
    assert_eq!(store.load("b").unwrap().deltas, [(numbers[1], b"2".to_vec())]);
}

#[test]
fn a_folder_has_one_server_and_a_later_schema_is_left_alone() {
    let folder = Folder::fresh();
    let store = Sqlite::open(&folder.0).unwrap();
    assert!(matches!(Sqlite::open(&folder.0), Err(StoreError::InUse { .. })));
    store.turns.writer().connection().pragma_update(None, "user_version", SCHEMA + 1).unwrap();
    drop(store);
    assert!(matches!(Sqlite::open(&folder.0), Err(StoreError::Schema { found, .. }) if found == SCHEMA + 1));
}

/// A check and a backup have the folder for a moment; who would serve it comes after them.
#[test]
fn a_start_waits_for_whoever_looks_at_the_log() {
    let folder = Folder::fresh();
    drop(Sqlite::open(&folder.0).unwrap());
    let looks = super::lock_if_free(&folder.0).unwrap();
    assert!(super::lock_if_free(&folder.0).is_none());
    let leaves = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(looks);
    });
    Sqlite::open(&folder.0).unwrap();
    leaves.join().unwrap();
}

#[test]
fn who_looks_where_no_store_is_leaves_nothing_behind() {
    let (folder, out) = (Folder::fresh(), Folder::fresh());
    let look = || {
        assert!(matches!(check(&folder.0), Err(StoreError::NoStore { .. })));
        assert!(matches!(backup(&folder.0, &out.0), Err(StoreError::NoStore { .. })));
    };
    look();
    assert!(!folder.0.exists() && !out.0.exists());
    std::fs::create_dir(&folder.0).unwrap();
    look();
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn every_commit_is_synced() {
    let folder = Folder::fresh();
    let store = Sqlite::open(&folder.0).unwrap();
    let writer = store.turns.writer();
    let writer = writer.connection();
    let synchronous: i64 = writer.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    let mode: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!((synchronous, mode.as_str()), (2, "wal"), "2 is FULL");
}

#[test]
fn a_replica_belongs_to_whoever_used_it_first() {
    let folder = Folder::fresh();
    let store = Sqlite::open(&folder.0).unwrap();
    let replica = ReplicaId::new(7);
    let by = |subject: &str| {
        let claims = vec![Claim { replica, subject: subject.into() }];
        Record { claims, ..record("a", b"1") }
    };
    assert_eq!(store.owner(replica).unwrap(), None);
    store.append(&[by("anna"), by("ben")]).unwrap();
    store.append(&[by("ben")]).unwrap();
    drop(store);
    let store = Sqlite::open(&folder.0).unwrap();
    assert_eq!(store.owner(replica).unwrap().as_deref(), Some("anna"));
    assert_eq!(store.owner(ReplicaId::new(8)).unwrap(), None);
}

#[test]
fn names_come_in_order_and_in_pages() {
    let folder = Folder::fresh();
    let store = Sqlite::open(&folder.0).unwrap();
    let names = ["é", "b", "a", "b/c"];
    store.append(&names.map(|name| record(name, b"1"))).unwrap();
    assert_eq!(store.names("", 3).unwrap(), ["a", "b", "b/c"]);
    assert_eq!(store.names("b/c", 3).unwrap(), ["é"]);
}

/// The code path of a full disk: the same error, from the same place, at any commit.
#[test]
fn a_full_store_takes_all_of_a_batch_or_nothing_and_goes_on_when_there_is_room() {
    let folder = Folder::fresh();
    let store = Sqlite::open(&folder.0).unwrap();
    let replica = ReplicaId::new(7);
    store.append(&[record("a", b"first")]).unwrap();
    store.limit_bytes(1).unwrap();
    let large = Record {
        delta: vec![1; 200_000].into(),
        claims: vec![Claim { replica, subject: "anna".into() }],
        ..record("b", b"")
    };
    let small = record("a", b"second");
    for _ in 0..3 {
        let refused = store.append(&[small.clone(), large.clone()]).unwrap_err();
        assert!(refused.to_string().contains("full"), "{refused}");
    }
    assert!(store.check().is_err(), "a check finds that there is no room");
    assert_eq!(store.load("a").unwrap().deltas.len(), 1);
    assert_eq!(store.load("b").unwrap(), Saved::default());
    assert_eq!(store.owner(replica).unwrap(), None);
    store.limit_bytes(1 << 30).unwrap();
    store.check().unwrap();
    let numbers = store.append(&[small, large]).unwrap();
    assert_eq!(store.load("a").unwrap().deltas[1], (numbers[0], b"second".to_vec()));
    assert_eq!(store.load("b").unwrap().deltas[0].1.len(), 200_000);
    assert_eq!(store.owner(replica).unwrap().as_deref(), Some("anna"));
}

/// What schema 1 had, written by its own statements.
fn store_of_schema_1(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let connection = Connection::open(file_in(folder)).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection
        .execute_batch(
            "CREATE TABLE documents (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
             CREATE TABLE deltas (
                 number INTEGER PRIMARY KEY AUTOINCREMENT,
                 document INTEGER NOT NULL REFERENCES documents (id),
                 bytes BLOB NOT NULL
             );
             CREATE INDEX deltas_by_document ON deltas (document, number);
             CREATE TABLE snapshots (
                 document INTEGER PRIMARY KEY REFERENCES documents (id),
                 upto INTEGER NOT NULL,
                 bytes BLOB NOT NULL
             );
             CREATE TABLE checks (id INTEGER PRIMARY KEY CHECK (id = 0), count INTEGER NOT NULL);
             INSERT INTO checks VALUES (0, 0);
             INSERT INTO documents VALUES (1, 'log'), (2, 'both'), (3, 'snapshot');
             INSERT INTO deltas VALUES (3, 1, x'01'), (5, 2, x'02'), (6, 1, x'03'), (9, 2, x'04');
             INSERT INTO snapshots VALUES (2, 4, x'0a0b'), (3, 12, zeroblob(2500000));
             PRAGMA user_version = 1;",
        )
        .unwrap();
}

#[test]
fn a_store_of_schema_1_is_brought_forward_in_place() {
    let folder = Folder::fresh();
    store_of_schema_1(&folder.0);
    for _opened in 0..2 {
        let store = Sqlite::open(&folder.0).unwrap();
        let deltas = vec![(3, vec![1]), (6, vec![3])];
        assert_eq!(store.load("log").unwrap(), Saved { snapshot: None, deltas });
        let both = Saved { snapshot: Some((4, vec![10, 11])), deltas: vec![(5, vec![2]), (9, vec![4])] };
        assert_eq!(store.load("both").unwrap(), both);
        let large = Saved { snapshot: Some((12, vec![0; 2_500_000])), deltas: vec![] };
        assert_eq!(store.load("snapshot").unwrap(), large);
        assert_eq!(store.names("", 9).unwrap(), ["both", "log", "snapshot"]);
    }
    let store = Sqlite::open(&folder.0).unwrap();
    let number = store.append(&[record("snapshot", b"5")]).unwrap()[0];
    assert!(number > 12, "a number that was given to a delta that is now in a snapshot");
    assert_eq!(store.load("snapshot").unwrap().deltas, [(number, b"5".to_vec())]);
}

/// A compaction that fails between two of its steps has either not happened or leaves rubbish that does not count,
/// and the next one sweeps it up.
#[test]
fn a_compaction_that_stops_half_way_changes_nothing() {
    let folder = Folder::fresh();
    let store = Sqlite::open(&folder.0).unwrap();
    let numbers = store.append(&[record("a", b"1"), record("a", b"2"), record("a", b"3")]).unwrap();
    let before = store.load("a").unwrap();
    let state = vec![7; 3 * schema::PART_BYTES / 2];
    let head = rows::head(&store.reader(), "a").unwrap().unwrap();
    store.turns.writer().put_part((head.id, head.last - 1), &state, 0).unwrap();
    drop(store);
    let store = Sqlite::open(&folder.0).unwrap();
    assert_eq!(store.load("a").unwrap(), before);
    store.turns.writer().put_part((head.id, head.last - 1), &state, 1).unwrap();
    store.turns.writer().switch("a", head.last - 1).unwrap();
    let after =
        Saved { snapshot: Some((numbers[1], state.clone())), deltas: vec![(numbers[2], b"3".to_vec())] };
    assert_eq!(store.load("a").unwrap(), after, "the old deltas are still there, and do not count");
    store.compact("a", numbers[2], b"all").unwrap();
    assert_eq!(
        store.load("a").unwrap(),
        Saved { snapshot: Some((numbers[2], b"all".to_vec())), deltas: vec![] }
    );
    let count = |table: &str| {
        let count = format!("SELECT count(*) FROM {table}");
        store.turns.writer().connection().query_row(&count, (), |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((count("deltas"), count("snapshots")), (0, 1));
    store.compact("a", numbers[1], b"older").unwrap();
    assert_eq!(
        store.load("a").unwrap().snapshot,
        Some((numbers[2], b"all".to_vec())),
        "a later snapshot stays"
    );
}

#[test]
fn a_store_can_be_made_many_folders_deep_and_in_the_current_one() {
    let folder = Folder::fresh();
    let deep = folder.0.join("a").join("b");
    Sqlite::open(&deep).unwrap().append(&[record("a", b"1")]).unwrap();
    assert_eq!(Sqlite::open(&deep).unwrap().names("", 9).unwrap(), ["a"]);
    create_folder(Path::new(".")).unwrap();
}

#[test]
fn a_database_that_cannot_write_ahead_is_refused() {
    let refused = settle::write_ahead(&Connection::open_in_memory().unwrap()).unwrap_err();
    assert!(refused.to_string().contains("\"memory\""), "{refused}");
}

/// A check is many short visits, and between two of them a server may start, or recover what failed.
#[test]
fn a_check_leaves_the_database_alone_again_and_again() {
    let folder = Folder::fresh();
    let store = Sqlite::open(&folder.0).unwrap();
    store.append(&["a", "b", "c"].map(|name| record(name, b"1"))).unwrap();
    let mut visits = 0;
    let between = &mut || {
        visits += 1;
        store.append(&[record(&format!("d {visits}"), b"2")]).unwrap();
        store.turns.writer().settle().unwrap();
    };
    let report = check::check_in_visits(&file_in(&folder.0), check::structure_of_tables, between).unwrap();
    assert!(report.documents > 3 && visits > 5, "{visits} visits");
    assert!(report.flaws.iter().all(|flaw| matches!(flaw, Flaw::Replay(_))), "{:?}", report.flaws);
}

/// Somebody has the database open, for a moment or for long.
#[test]
fn a_start_waits_for_others_and_says_for_whom() {
    let folder = Folder::fresh();
    drop(Sqlite::open(&folder.0).unwrap());
    let file = file_in(&folder.0);
    let others = open_for_reading(&file).unwrap();
    let reading = others.unchecked_transaction().unwrap();
    rows::names(&reading, "", 1).unwrap();
    let refused = settle::settle(&file, std::time::Duration::from_millis(20)).unwrap_err();
    assert!(refused.to_string().contains("store backup"), "{refused}");
    drop(reading);
    let path = folder.0.clone();
    let starting = std::thread::spawn(move || Sqlite::open(&path).map(drop));
    std::thread::sleep(std::time::Duration::from_millis(50));
    drop(others);
    starting.join().unwrap().unwrap();
}

/// The server has it open itself: it is refused for as long as that lasts, and everything is read as before.
#[test]
fn a_store_that_cannot_be_settled_is_read_and_tried_again() {
    let folder = Folder::fresh();
    let store = Sqlite::open(&folder.0).unwrap();
    store.append(&[record("a", b"1")]).unwrap();
    let others = open_for_reading(&file_in(&folder.0)).unwrap();
    rows::names(&others, "", 1).unwrap();
    assert!(store.turns.writer().settle().is_err());
    assert!(store.append(&[record("a", b"2")]).is_err(), "nothing rests on what may not be there");
    assert_eq!(store.load("a").unwrap().deltas.len(), 1);
    drop(others);
    store.append(&[record("a", b"2")]).unwrap();
    assert_eq!(store.load("a").unwrap().deltas.len(), 2);
}

/// To check a copy of a large store takes minutes, and a server that starts meanwhile must have the store to itself first.
#[test]
fn a_backup_is_checked_while_others_have_the_store() {
    let (folder, out) = (Folder::fresh(), Folder::fresh());
    let mut document = watersmeet_crdt::Document::new(ReplicaId::new(1));
    document.edit(watersmeet_crdt::Time::from_millis(1), |tx| tx.set(&["key"], "text")).unwrap();
    let written = Record { delta: document.encode_state(), ..record("a", b"") };
    Sqlite::open(&folder.0).unwrap().append(&[written]).unwrap();
    let starts = |copy: &std::path::Path| {
        let file = file_in(&folder.0);
        settle::settle(&file, std::time::Duration::from_millis(20)).expect("nobody has it open");
        drop(Sqlite::open(&folder.0).unwrap());
        super::backup::sound(copy)
    };
    let report = super::backup::backup_checked_by(starts, &folder.0, &out.0).unwrap();
    assert_eq!(report.documents, 1);
    std::fs::remove_file(&out.0).unwrap();
}

/// Nothing is written, and nothing that is there is touched, when a copy or what it is made of is not right.
#[test]
fn a_backup_and_a_restore_refuse_what_would_do_harm() {
    let (folder, made) = (Folder::fresh(), Folder::fresh());
    let store = Sqlite::open(&folder.0).unwrap();
    let mut document = watersmeet_crdt::Document::new(ReplicaId::new(1));
    document.edit(watersmeet_crdt::Time::from_millis(1), |tx| tx.set(&["key"], "text")).unwrap();
    store.append(&[Record { delta: document.encode_state(), ..record("a", b"") }]).unwrap();
    let out = folder.0.join("backup");
    let itself = backup(&folder.0, &file_in(&folder.0)).unwrap_err();
    assert!(matches!(itself, StoreError::Copy { .. }), "{itself}");
    assert_eq!(store.load("a").unwrap().deltas.len(), 1, "and it is still there");
    assert_eq!(backup(&folder.0, &out).unwrap().documents, 1);

    // Into a store that is there, or in use; from a store in place of a backup; from what is damaged.
    assert!(matches!(restore(&out, &folder.0), Err(StoreError::InUse { .. })));
    let unmoved = restore(&file_in(&folder.0), &made.0).unwrap_err();
    assert!(unmoved.to_string().contains("write-ahead log beside it"), "{unmoved}");
    drop(store);
    assert!(matches!(restore(&out, &folder.0), Err(StoreError::NotEmpty { .. })));
    let whole = std::fs::read(&out).unwrap();
    let at = whole.windows(4).position(|bytes| bytes == b"text").unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    std::fs::write(&out, damaged).unwrap();
    assert!(matches!(restore(&out, &made.0), Err(StoreError::Damaged { .. })));
    assert!(!file_in(&made.0).exists(), "there is no half a store");
    std::fs::write(&out, whole).unwrap();
    assert_eq!(restore(&out, &made.0).unwrap().documents, 1);
    assert_eq!(Sqlite::open(&made.0).unwrap().load("a").unwrap().deltas.len(), 1);
}
