//! The conversation: clients and a hub over connections that break anywhere, a client's own half of it, and strangers
//! who say the wrong thing. What any bytes at all may do is in `fuzz_bodies.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod client;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod hub;
mod slow;
mod worlds;

use watersmeet_crdt::ReplicaId;
use watersmeet_crdt::session::{Frame, Token};

const DOCUMENT: &str = "map";

fn hello(protocol: u16) -> Vec<u8> {
    Frame::Hello { protocol, replica: ReplicaId::new(1), token: Token::default() }.encode()
}
