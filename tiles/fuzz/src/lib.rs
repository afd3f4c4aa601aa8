//! The bodies that the ordinary tests run too; see there.

#[path = "../../tests/bodies/mod.rs"]
pub mod bodies;
