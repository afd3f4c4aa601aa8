//! No bytes make a decoder allocate more than a fixed multiple of their length: what a stranger's length says is held
//! against what is there. One test, alone in its process, under an allocator that counts.

#![allow(unsafe_code, reason = "a counting allocator over the system's, which it calls unchanged")]

mod common;

use common::{Rng, random_ops};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use watersmeet_crdt::session::Frame;
use watersmeet_crdt::{Delta, Document, ReplicaId, Time};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A list of nulls is bad: a byte each on the wire, a value each in memory, in a vector that doubles.
const DECODED_PER_BYTE_MAX: usize = 128;
/// An item that shares nearly all of its name with the one before takes two bytes on the wire, and an entry in a
/// document, which doubles too.
const APPLIED_PER_BYTE_MAX: usize = 256;
/// What every decoding may take, however short its bytes.
const BYTES_FIXED_MAX: usize = 4_096;

fn check(what: &str, per_byte: usize, bytes: &[u8], decode: impl FnOnce(&[u8])) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    decode(bytes);
    let taken = PEAK.load(Relaxed) - before;
    let allowed = per_byte * bytes.len() + BYTES_FIXED_MAX;
    assert!(
        taken <= allowed,
        "{what}: {taken} bytes for {} bytes: {:?}",
        bytes.len(),
        &bytes[..bytes.len().min(64)]
    );
}

fn check_all(bytes: &[u8]) {
    check("delta", DECODED_PER_BYTE_MAX, bytes, |bytes| drop(Delta::decode(bytes)));
    check("document", APPLIED_PER_BYTE_MAX, bytes, |bytes| {
        if let Ok(delta) = Delta::decode(bytes) {
            drop(Document::new(ReplicaId::new(2)).apply(delta));
        }
    });
    check("frame", DECODED_PER_BYTE_MAX, bytes, |bytes| drop(Frame::decode(bytes)));
}

#[test]
fn no_length_is_believed() {
    let number = |n: u64| {
        let mut bytes: Vec<u8> =
            (0..9).map(|shift| u8::try_from(n >> (7 * shift) & 0x7f).unwrap_or(0) | 0x80).collect();
        bytes.push(u8::try_from(n >> 63).unwrap_or(0));
        bytes
    };
    // Wherever a count can stand, an enormous one.
    let header = [0x13, 5 << 3, 0, 4];
    let after = |rest: &[u8]| [&header[..], rest].concat();
    let prefixes = [
        vec![3],
        vec![3, 1, 5 << 3, 3, 1],
        vec![3, 1, 5 << 3, 3, 1, 1, 1, 0],
        after(&[]),
        after(&[0x10]),
        after(&[0x18, 1, b'n']),
        after(&[0x12, 1, b'n', 0x14]),
        after(&[0x30, 1, b'n', 1]),
        after(&[0x30, 1, b'n', 0, b'o']),
        after(&[0x10, 1, b'n', 0, 0, 6]),
        vec![0x53, 5 << 3, 0, 1, 0x10, 1, b'n', 0, 6],
        // More events than anybody has memory for, of a replica that may have made them.
        vec![0x13, 5 << 3, 0, 0xe4, 0xf7, 0xf2, 0xfe, 0xfe, 0xfe, 0x02, 0x18, 1, b'n'],
        vec![1, 3, b'm', b'a', b'p'],
        vec![4, 9],
    ];
    for prefix in prefixes {
        for count in [1 << 20, 1 << 40, u64::MAX] {
            for rest in [0, 1_000] {
                check_all(&[&prefix[..], &number(count), &vec![0; rest]].concat());
            }
        }
    }
    let nulls = [after(&[0x10, 1, b'n', 0, 0, 6, 0xa0, 0x8d, 6]), vec![0; 100_000]].concat();
    assert!(Delta::decode(&nulls).is_ok(), "the worst case is one that decodes");
    check_all(&nulls);
    // Names that share all they may, and events in a run: the fewest bytes that an entry can take.
    let mut document = Document::new(ReplicaId::new(1));
    let edited = document.edit(Time::default(), |tx| {
        (0..20_000).for_each(|n| tx.insert(&["set"], format!("{}{n:05}", "x".repeat(58))));
    });
    assert!(edited.is_ok());
    check_all(&document.encode_state());
    // And whatever chance finds near what is right.
    for seed in 0..2_000 {
        let mut rng = Rng(seed);
        let mut document = Document::new(ReplicaId::new(1));
        assert!((0..6).all(|_| document.commit(Time::default(), random_ops(&mut rng)).is_ok()));
        let mut bytes = document.encode_state().to_vec();
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len());
            bytes[at] = u8::try_from(rng.below(256)).unwrap_or(0);
        }
        check_all(&bytes);
    }
}
