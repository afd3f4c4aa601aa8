//! What an operator chooses.

use crate::{Limits, Origins};
use std::path::PathBuf;

/// How a [`Server`](crate::Server) is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that holds the documents. It is created if it is missing, and locked while the server runs.
    pub data: PathBuf,
    /// How much peers may fill.
    pub limits: Limits,
    /// Whose web pages may sync, besides the server's own.
    pub origins: Origins,
}

impl Config {
    /// The defaults, with the documents in `data`.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Config { data: data.into(), limits: Limits::default(), origins: Origins::default() }
    }
}
