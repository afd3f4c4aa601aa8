//! The section `[access]` of the configuration.
//!
//! ```toml
//! [access]
//! open = false              # true: whoever comes may do everything
//! audience = "maps.example" # tokens must be meant for it (`aud`); without it, for nobody in particular
//! authors = "own"           # "any": a subject may bring back others' edits, after a restore of an old backup
//! keys = [
//!   { id = "2026-11", algorithm = "EdDSA", file = "keys/2026-11.pub.jwk" },
//!   { id = "portal", algorithm = "HS256", env = "PORTAL_SECRET" },
//! ]
//! ```

use super::{Access, Algorithm, Key, KeyError};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// Who may come, as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether everybody may do everything. Then there are no keys.
    pub open: bool,
    /// For whom tokens must be meant (`aud`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Whose new events a subject may bring.
    pub authors: Authors,
    /// What tokens are verified with.
    pub keys: Vec<KeyConfig>,
}

/// Whose new events a subject may bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authors {
    /// Those of replicas that it was the first to use, or that nobody has used.
    #[default]
    Own,
    /// Anybody's, so that clients can bring back what a server has lost.
    Any,
}

/// One key. It is in a file, an environment variable, or here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyConfig {
    /// By which tokens may name it (`kid`); without it, the id in the key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it is for. Needed if the key is a secret's bare text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// The file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The environment variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// The key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Secret>,
}

/// A text that is not shown: it is written as `(hidden)`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("(hidden)")
    }
}

/// Why `[access]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Nobody is let in.
    #[error(
        "nobody could come in: configure a key (--key FILE, WATERSMEET_KEY, or [access] keys; `watersmeet token key` makes one), or let everybody do everything with --open"
    )]
    Nobody,
    /// Everybody is let in, and keys are there.
    #[error("[access] is open and has keys; it is one or the other")]
    Both,
    /// A key is nowhere, or in several places.
    #[error("{0} must be in exactly one place: `file`, `env` or `value`")]
    Place(String),
    /// A key cannot be read.
    #[error("{key} cannot be read: {source}")]
    Read {
        /// Which.
        key: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The variable is not set.
    #[error("{key}: the environment has no variable {variable}")]
    Variable {
        /// Which key.
        key: String,
        /// The variable.
        variable: String,
    },
    /// What was read is no key.
    #[error("{key}: {source}")]
    Key {
        /// Which.
        key: String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// Two keys have one id.
    #[error("two keys have the id {0:?}")]
    Twice(String),
}

impl Config {
    /// Reads the keys.
    ///
    /// # Errors
    /// If nobody could come in, or a key cannot be read.
    pub fn load(&self) -> Result<Access, AccessError> {
        let access = match (self.open, self.keys.is_empty()) {
            (true, true) => Access::open(),
            (true, false) => return Err(AccessError::Both),
            (false, true) => return Err(AccessError::Nobody),
            (false, false) => Access::keys(self.load_keys()?),
        };
        Ok(access.for_audience(self.audience.clone()).with_authors(self.authors))
    }

    fn load_keys(&self) -> Result<Vec<Key>, AccessError> {
        let keys = self.keys.iter().map(KeyConfig::load).collect::<Result<Vec<_>, _>>()?;
        let mut ids = BTreeSet::new();
        match keys.iter().filter_map(Key::id).find(|id| !ids.insert(*id)) {
            Some(id) => Err(AccessError::Twice(id.to_owned())),
            None => Ok(keys),
        }
    }
}

impl KeyConfig {
    /// The key in a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        KeyConfig { file: Some(path.into()), ..KeyConfig::default() }
    }

    fn load(&self) -> Result<Key, AccessError> {
        let text = match (&self.file, &self.env, &self.value) {
            (Some(path), None, None) => std::fs::read_to_string(path)
                .map_err(|source| AccessError::Read { key: self.name(), source })?,
            (None, Some(variable), None) => std::env::var(variable)
                .map_err(|_| AccessError::Variable { key: self.name(), variable: variable.clone() })?,
            (None, None, Some(Secret(text))) => text.clone(),
            _ => return Err(AccessError::Place(self.name())),
        };
        Key::parse(&text, self.id.as_deref(), self.algorithm)
            .map_err(|source| AccessError::Key { key: self.name(), source })
    }

    fn name(&self) -> String {
        match (&self.id, &self.file) {
            (Some(id), _) => format!("the key {id:?}"),
            (None, Some(path)) => format!("the key in {}", path.display()),
            (None, None) => "a key without an id".to_owned(),
        }
    }
}
