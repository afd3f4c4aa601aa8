//! What an operator chooses: one TOML file, the environment, and flags.
//!
//! A setting has a key, such as `limits.connections`, and four places where it may be chosen; a flag counts more than
//! the environment, that more than the file, and that more than the default. `default.toml` beside this file names every
//! key and is what `config print --default` prints; it is held to the structs here by a test, so there is one list.
//!
//! | file | what is in it |
//! |---|---|
//! | `layers` | the four places, and which of them counts |
//! | `limits`, `units` | the section `[limits]`; durations and sizes |
//! | `tiles` | the section `[tiles]` |
//! | `flags` | flags, and short names in the environment |

mod flags;
mod layers;
mod limits;
mod print;
mod tiles;
mod units;

pub(crate) use flags::Flags;
pub(crate) use layers::ConfigError;
pub(crate) use print::print;

use clap::ValueEnum;
use layers::Layers;
use limits::Limits;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tiles::Tiles;
use tracing_subscriber::filter::LevelFilter;
use units::Span;
use watersmeet_sync::access;

/// Every key, with its meaning and its default.
pub(crate) const DEFAULT: &str = include_str!("default.toml");

/// Everything that can be chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) server: Server,
    pub(crate) access: access::Config,
    pub(crate) limits: Limits,
    pub(crate) tiles: Tiles,
    pub(crate) log: Log,
    pub(crate) telemetry: Telemetry,
}

/// Where the server is, and what it serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) tiles: Option<PathBuf>,
    pub(crate) web: Option<PathBuf>,
    pub(crate) public_url: Option<String>,
    pub(crate) path_prefix: String,
    pub(crate) allow_origin: Vec<String>,
    drain: Span,
    pub(crate) drain_notice: Span,
    pub(crate) drain_to: Option<String>,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            data: "watersmeet-data".into(),
            tiles: None,
            web: None,
            public_url: None,
            path_prefix: String::new(),
            allow_origin: Vec::new(),
            drain: Span(Duration::from_secs(10)),
            drain_notice: Span(Duration::ZERO),
            drain_to: None,
        }
    }
}

/// What is logged to stderr, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) level: Level,
    pub(crate) format: Format,
}

/// How much is logged, from little to much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl Level {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Off => "off",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    #[default]
    Human,
    Json,
}

/// Where spans are exported to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Telemetry {
    pub(crate) otlp: Option<String>,
}

impl Settings {
    /// What counts of all that was chosen.
    ///
    /// # Errors
    /// With everything that is wrong, each with its place.
    pub(crate) fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Layers::gather(flags)?.settings()
    }

    pub(crate) fn limits(&self) -> watersmeet_sync::Limits {
        self.limits.held(self.server.drain.0)
    }
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Off => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        }
    }
}
