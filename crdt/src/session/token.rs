//! What proves who calls.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What proves to the server who calls, such as a JWT; empty if nothing does. To the session it is just text. It is not
/// shown by `Debug`, so that it stays out of logs.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// The text; none if it is empty.
    pub fn as_str(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Into<String>> From<T> for Token {
    fn from(text: T) -> Self {
        Token(text.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Token(none)" } else { "Token(hidden)" })
    }
}
