//! Lattices.
