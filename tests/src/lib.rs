//! Whole-system tests: the real binary, real sockets, real crashes. What they share is here.
//!
//! Nothing here asserts how long something takes; every wait has a bound that only a hang exceeds.

pub mod http;
mod keys;
mod proxy;
pub mod raw;
mod server;

pub use keys::{Keys, token};
pub use proxy::Proxy;
pub use raw::{Assembler, Raw};
pub use server::{Server, binary, watersmeet};

use std::future::Future;
use std::time::Duration;

/// What only a hang exceeds, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for `future`, or fails saying what was waited for.
///
/// # Panics
/// If it takes longer than [`PATIENCE`].
pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_elapsed) => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}

/// Waits until `condition` holds, or fails saying which.
///
/// # Panics
/// If it takes longer than [`PATIENCE`].
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    patiently(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Random numbers that a printed seed repeats (SplitMix64; Steele, Lea and Flood 2014).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// From the environment's `SEED`, or a fresh one; printed either way.
    ///
    /// # Panics
    /// If the system gives no random number.
    pub fn new() -> Self {
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| getrandom::u64().expect("a random number"));
        println!("SEED={seed}");
        Dice(seed)
    }

    /// From a seed that follows from a printed one.
    pub fn from_seed(seed: u64) -> Self {
        Dice(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}
