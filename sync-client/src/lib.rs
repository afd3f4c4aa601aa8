//! The native sync client: the same session, the other side.
