//! **A disk may lose what was written to it, and say so once.** A write goes to the system's memory and succeeds; when the
//! system fails to bring it to the disk, the next sync fails, and the one after it succeeds, for there is nothing left to
//! be written. Here such a disk is a file system of SQLite's (VFS) that passes everything on to the real one: of a
//! database that is told to be on a losing disk it forgets what is written, and fails one sync.

#![allow(unsafe_code, reason = "SQLite calls its file systems through pointers")]

use super::super::*;
use super::{Folder, record};
use crate::store::Flaw;
use rusqlite::ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What is in the path of databases on this disk.
const MARK: &str = "losing-disk";

/// Whether what is written to the database is lost from now on.
static LOSES: AtomicBool = AtomicBool::new(false);
static LOST: AtomicUsize = AtomicUsize::new(0);
/// Whether something was lost that no sync has told of.
static UNTOLD: AtomicBool = AtomicBool::new(false);

struct Real {
    vfs: *mut ffi::sqlite3_vfs,
    methods: OnceLock<(ffi::sqlite3_io_methods, ffi::sqlite3_io_methods)>,
}

// SAFETY: what is pointed to lives as long as the process, and SQLite uses it from all threads.
unsafe impl Send for Real {}
// SAFETY: as above.
unsafe impl Sync for Real {}

static REAL: OnceLock<Real> = OnceLock::new();

/// Makes the losing disk the default, once.
fn install() {
    REAL.get_or_init(|| {
        // SAFETY: the copy is never freed, and has what SQLite needs of a file system.
        unsafe {
            let vfs = ffi::sqlite3_vfs_find(std::ptr::null());
            let mut ours = std::ptr::read(vfs);
            ours.zName = c"losing".as_ptr();
            ours.pNext = std::ptr::null_mut();
            ours.xOpen = Some(open);
            assert_eq!(ffi::sqlite3_vfs_register(Box::into_raw(Box::new(ours)), 1), ffi::SQLITE_OK);
            Real { vfs, methods: OnceLock::new() }
        }
    });
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: the arguments are SQLite's own, and `pMethods` is set whenever a file was opened.
    unsafe {
        // Installed before anything is opened through it, but for what runs at that moment.
        let real = REAL.wait();
        let code = (*real.vfs).xOpen.unwrap()(real.vfs, name, file, flags, out);
        let is_marked = !name.is_null() && CStr::from_ptr(name).to_string_lossy().contains(MARK);
        if code == ffi::SQLITE_OK && flags & ffi::SQLITE_OPEN_MAIN_DB != 0 && is_marked {
            let (_, ours) = real.methods.get_or_init(|| {
                let real = std::ptr::read((*file).pMethods);
                let mut ours = std::ptr::read((*file).pMethods);
                ours.xWrite = Some(write);
                ours.xSync = Some(sync);
                (real, ours)
            });
            (*file).pMethods = ours;
        }
        code
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    count: c_int,
    at: i64,
) -> c_int {
    if LOSES.load(Ordering::SeqCst) {
        LOST.fetch_add(1, Ordering::SeqCst);
        UNTOLD.store(true, Ordering::SeqCst);
        return ffi::SQLITE_OK;
    }
    // SAFETY: only files whose methods were read get here.
    unsafe { REAL.wait().methods.wait().0.xWrite.unwrap()(file, bytes, count, at) }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    if UNTOLD.swap(false, Ordering::SeqCst) {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // SAFETY: as above.
    unsafe { REAL.wait().methods.wait().0.xSync.unwrap()(file, flags) }
}

/// The worst case: a reader keeps the log from being moved as a whole, so that what is moved is not synced; it is lost; and
/// what tells of it is the sync of what is moved later, which itself is not lost.
#[test]
fn what_the_disk_loses_while_the_log_is_moved_is_told_of_and_moved_again() {
    install();
    let parent = Folder::fresh();
    let folder = parent.0.join(MARK);
    let store = Sqlite::open(&folder).unwrap();
    store.turns.writer().log_pages = 1;
    let append =
        |n: u8| store.append(&[record("a", &[n; 3_000]), record(&format!("b {n}"), &[n; 9_000])]).unwrap();
    (0..8).for_each(|n| drop(append(n)));
    let foreign = open_for_reading(&file_in(&folder)).unwrap();
    let reading = foreign.unchecked_transaction().unwrap();
    rows::load(&reading, "a").unwrap();
    append(8);
    LOSES.store(true, Ordering::SeqCst);
    store.tidy().unwrap();
    LOSES.store(false, Ordering::SeqCst);
    assert!(LOST.load(Ordering::SeqCst) > 8, "nothing was moved");
    drop(reading);
    drop(foreign);
    append(9);
    let told = store.tidy().unwrap_err();
    assert!(told.to_string().contains("syncing"), "{told}");
    // Appending goes on, and only when the disk has everything.
    store.check().unwrap();
    append(10);
    let truth = |store: &Sqlite| {
        let names = store.names("", 99).unwrap();
        names.iter().map(|name| store.load(name).unwrap()).collect::<Vec<_>>()
    };
    let before = truth(&store);
    assert_eq!((before.len(), before[0].deltas.len()), (12, 11));
    store.close().unwrap();
    drop(store);
    assert_eq!(
        check(&folder).unwrap().flaws.iter().filter(|flaw| !matches!(flaw, Flaw::Replay(_))).count(),
        0
    );
    assert_eq!(truth(&Sqlite::open(&folder).unwrap()), before);
}
