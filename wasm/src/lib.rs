//! The CRDT core for browsers.
