//! Every limit on what a document may hold, by name. Encoders keep them, decoders check them.

/// How many keys deep a path may be. Bounds recursion over foreign bytes.
pub const PATH_KEYS_MAX: usize = 32;
/// Bytes of one key.
pub const KEY_BYTES_MAX: usize = 1_024;
/// Bytes of one text or byte string in a value.
pub const VALUE_BYTES_MAX: usize = 4 << 20;
/// How deep lists may be nested in a value. Four suffice for a multipolygon.
pub const VALUE_DEPTH_MAX: usize = 8;
/// Bytes of the keys and values in one edit.
pub const EDIT_BYTES_MAX: usize = 16 << 20;
/// Bytes of the log, about: beyond it the oldest deltas are forgotten, and who lacks them is sent the state.
pub const LOG_BYTES_MAX: usize = 16 << 20;
/// Events of one replica: 2^52. More than anybody makes; who claims them for another spends that other's id.
pub const EVENTS_MAX: u64 = 1 << 52;
pub use crate::position::POSITION_BYTES_MAX;
/// Steps that a [`History`](super::History) keeps: beyond that the oldest can no longer be undone.
pub const HISTORY_STEPS_MAX: usize = 1_000;
/// Bytes that a [`History`](super::History) takes, about. No step is larger, so that undoing it is an edit within
/// [`EDIT_BYTES_MAX`].
pub const HISTORY_BYTES_MAX: usize = EDIT_BYTES_MAX;
