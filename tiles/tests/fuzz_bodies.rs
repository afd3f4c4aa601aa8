//! The fuzz targets' bodies, fed for a second with any bytes, and with bytes near valid ones. `cargo xtask fuzz` feeds them
//! for longer.

mod bodies;

use bodies::BODIES;
use quickcheck::{QuickCheck, quickcheck};

/// Inputs near valid ones for each body.
const NEAR: u64 = 2_000;

/// Puts bytes into a valid input at places, and cuts it off at another.
fn near(body: u8, changes: Vec<(u16, u8)>, end: u16) -> bool {
    let body = &BODIES[usize::from(body) % BODIES.len()];
    let seeds = (body.seeds)();
    let mut bytes = seeds[usize::from(end) % seeds.len()].clone();
    for (place, byte) in changes.into_iter().take(4) {
        let place = usize::from(place) % bytes.len();
        bytes[place] = byte;
    }
    if end.is_multiple_of(3) {
        bytes.truncate(usize::from(end) % bytes.len());
    }
    (body.run)(&bytes);
    true
}

#[test]
fn no_bytes_near_valid_ones_break_a_tile() {
    BODIES.iter().for_each(|body| (body.seeds)().iter().for_each(|valid| (body.run)(valid)));
    QuickCheck::new().tests(NEAR).quickcheck(near as fn(u8, Vec<(u16, u8)>, u16) -> bool);
}

quickcheck! {
    fn no_bytes_break_a_tile(bytes: Vec<u8>) -> bool {
        BODIES.iter().for_each(|body| (body.run)(&bytes));
        true
    }
}
