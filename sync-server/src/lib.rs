//! The durable sync server: rooms, group commit, WebSockets.
