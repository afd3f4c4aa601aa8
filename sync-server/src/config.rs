//! What an operator chooses.

use crate::access::Access;
use crate::{Hosts, Limits, Origins};
use std::path::PathBuf;

/// How a [`Server`](crate::Server) is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that holds the documents. It is created if it is missing, and locked while the server runs.
    pub data: PathBuf,
    /// How much peers may fill.
    pub limits: Limits,
    /// Who may do what.
    pub access: Access,
    /// Whose web pages may sync, besides the server's own.
    pub origins: Origins,
    /// By which names it may be asked.
    pub hosts: Hosts,
    /// Where peers are told to go when the server stops, if anywhere: the URL of another server's `/sync`.
    pub drain_to: Option<String>,
}

impl Config {
    /// The defaults, with the documents in `data`, for those whom `access` lets in.
    pub fn new(data: impl Into<PathBuf>, access: Access) -> Self {
        let (limits, origins, hosts) = Default::default();
        Config { data: data.into(), limits, access, origins, hosts, drain_to: None }
    }
}
