//! What a stranger's bytes must not do: one plain function per decoder, and per thing that takes in frames.
//!
//! Each is written once and driven twice: by the fuzzer (`crdt/fuzz`, `cargo xtask fuzz`) for as long as one likes, and
//! by quickcheck in the ordinary tests (`fuzz_bodies.rs`). A body returns, or panics because a promise is broken. What
//! a decoder allocates is not checked here but in `allocation.rs`, under an allocator that counts.

#![allow(dead_code, reason = "each of those who include it uses a part")]
#![allow(unreachable_pub, reason = "it is a module of several crates, and the whole of one of them")]
#![allow(clippy::unwrap_used, reason = "a body panics where a promise is broken")]

mod client;
#[path = "../common/mod.rs"]
pub mod common;
mod decoders;
mod lattices;
mod script;
pub mod seeds;
mod session;

pub use client::client;
pub use decoders::{delta, frame, version};
pub use lattices::lattice;
pub use session::{caller, listener};

/// A body, by the name of its fuzz target, and valid inputs for it.
pub struct Body {
    /// The fuzz target's name.
    pub name: &'static str,
    /// The body.
    pub run: fn(&[u8]),
    /// Valid inputs, to begin from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const BODIES: [Body; 7] = [
    Body { name: "delta", run: delta, seeds: seeds::deltas },
    Body { name: "frame", run: frame, seeds: seeds::frames },
    Body { name: "version", run: version, seeds: seeds::versions },
    Body { name: "lattice", run: lattice, seeds: lattices::seeds },
    Body { name: "listener", run: listener, seeds: seeds::to_listener },
    Body { name: "caller", run: caller, seeds: seeds::to_caller },
    Body { name: "client", run: client, seeds: seeds::to_client },
];
