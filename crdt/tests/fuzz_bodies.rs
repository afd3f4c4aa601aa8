//! The fuzz targets' bodies, fed for a few seconds with any bytes, and with bytes near valid ones. `cargo xtask fuzz`
//! feeds them for longer.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod bodies;

use bodies::{BODIES, Body};
use quickcheck::{Arbitrary, Gen, QuickCheck};
use std::cell::RefCell;

/// Inputs of each sort for each body.
const ANY: u64 = 2_000;
const NEAR: u64 = 10_000;

/// Bytes that are one to four mutations away from valid ones.
#[derive(Clone, Debug)]
struct Near<const BODY: usize>(Vec<u8>);

fn below(g: &mut Gen, n: usize) -> usize {
    usize::arbitrary(g) % n.max(1)
}

fn seed<const BODY: usize>(g: &mut Gen) -> Vec<u8> {
    thread_local! {
        static SEEDS: RefCell<[Vec<Vec<u8>>; BODIES.len()]> = RefCell::default();
    }
    SEEDS.with_borrow_mut(|seeds| {
        if seeds[BODY].is_empty() {
            seeds[BODY] = (BODIES[BODY].seeds)();
        }
        g.choose(&seeds[BODY]).unwrap().clone()
    })
}

/// A number of one to ten bytes as all our formats write it, near a power of two.
fn varint(g: &mut Gen) -> Vec<u8> {
    let mut n = (1u64 << below(g, 64)).wrapping_add(u64::from(bool::arbitrary(g))).wrapping_sub(1);
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    out.push(n.to_le_bytes()[0]);
    out
}

fn mutate(g: &mut Gen, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = below(g, bytes.len() + 1);
    match below(g, 8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << below(g, 8),
        1 if at < bytes.len() => bytes[at] = u8::arbitrary(g),
        2 => bytes.truncate(at),
        // The head of one, the tail of another.
        3 => {
            let from = below(g, other.len() + 1);
            bytes.splice(at.., other[from..].iter().copied());
        }
        // A length that is not there, instead of a byte or before it.
        4 | 5 => {
            let end = (at + below(g, 2)).min(bytes.len());
            bytes.splice(at..end, varint(g));
        }
        // A piece again, or gone.
        6 => {
            let end = (at + below(g, 40)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        _ => {
            let end = (at + below(g, 10)).min(bytes.len());
            bytes.drain(at..end);
        }
    }
}

impl<const BODY: usize> Arbitrary for Near<BODY> {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut bytes = seed::<BODY>(g);
        for _ in 0..1 + below(g, 4) {
            let other = seed::<BODY>(g);
            mutate(g, &mut bytes, &other);
        }
        Near(bytes)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Near))
    }
}

fn feed<const BODY: usize>() {
    let Body { name, seeds, run } = BODIES[BODY];
    println!("{name}");
    seeds().iter().for_each(|valid| run(valid));
    fn any<const BODY: usize>(bytes: Vec<u8>) -> bool {
        (BODIES[BODY].run)(&bytes);
        true
    }
    fn near<const BODY: usize>(near: Near<BODY>) -> bool {
        (BODIES[BODY].run)(&near.0);
        true
    }
    QuickCheck::new().tests(ANY).quickcheck(any::<BODY> as fn(Vec<u8>) -> bool);
    QuickCheck::new().tests(NEAR).quickcheck(near::<BODY> as fn(Near<BODY>) -> bool);
}

#[test]
fn no_bytes_break_what_takes_in_a_delta() {
    feed::<0>();
}

#[test]
fn no_bytes_break_what_takes_in_a_frame() {
    feed::<1>();
}

#[test]
fn no_bytes_break_what_takes_in_a_version() {
    feed::<2>();
}

#[test]
fn no_bytes_break_what_takes_in_a_lattice() {
    feed::<3>();
}

#[test]
fn nothing_said_to_a_listener_breaks_it() {
    feed::<4>();
}

#[test]
fn nothing_said_to_a_caller_breaks_it() {
    feed::<5>();
}

#[test]
fn nothing_said_to_a_client_breaks_it() {
    feed::<6>();
}
