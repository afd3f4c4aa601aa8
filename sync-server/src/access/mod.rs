//! Who may do what: signed tokens, and what each grants on which documents.
//!
//! A token is a JWT ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)), signed with HS256 or EdDSA by whoever knows
//! the operator's users; the server knows only keys. Its one idea: **the server keeps no accounts and asks nobody.** A
//! token says for itself who it is for, what they may read and write, and until when; who takes a key away takes away
//! all that was signed with it.
//!
//! ```text
//!   { "sub": "alice", "exp": 1798761600, "read": ["maps/*"], "write": ["maps/alice/**"] }
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `jwt` | reading, checking and signing a token |
//! | `key` | keys, and the forms in which they are written |
//! | `grant`, `pattern` | what a token allows; names of documents |
//! | `config` | the section `[access]` of the configuration |
//!
//! What is not here: when it is asked. That is where documents are opened and edited (`rights`), and in the HTTP routes.

mod config;
mod grant;
mod jwt;
mod key;
mod pattern;
#[cfg(test)]
mod tests;

pub use config::{AccessError, Authors, Config, KeyConfig, Secret};
pub use grant::{Grant, Right, Subject};
pub use jwt::{Claims, Denied};
pub use key::{Algorithm, Key, KeyError, SigningKey};
pub use pattern::Pattern;

use axum::http::{HeaderMap, header};
use jwt::Unverified;
use watersmeet_crdt::Time;

/// How much a clock that made a token may differ from ours, in milliseconds.
const LEEWAY_MILLIS: u64 = 30_000;

/// Access cannot be given to everybody, or taken from everybody, while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("whether the server is open is decided when it starts; restart it")]
pub struct OtherMode;

/// Whom the server believes.
///
/// ```
/// use watersmeet_crdt::Time;
/// use watersmeet_sync::access::{Access, Claims, Right, SigningKey};
///
/// let key = SigningKey::generate_ed25519("2026")?;
/// let access = Access::keys([key.verifying()]);
/// let claims = Claims { write: vec!["maps/*".parse()?], ..Claims::new("alice", 2_000_000_000) };
///
/// let grant = access.grant(Some(&key.sign(&claims)), Time::from_millis(1_800_000_000_000))?;
/// assert_eq!(grant.subject().map(|subject| subject.as_str()), Some("alice"));
/// assert!(grant.may(Right::Write, "maps/mill") && !grant.may(Right::Read, "plans/mill"));
/// assert!(access.grant(None, Time::default()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Access {
    mode: Mode,
    audience: Option<String>,
    authors: Authors,
}

#[derive(Clone, Debug)]
enum Mode {
    Open,
    Keys(Vec<Key>),
}

impl Access {
    /// Whoever comes may do everything; tokens are not looked at. For one's own machine.
    pub fn open() -> Self {
        Access { mode: Mode::Open, audience: None, authors: Authors::default() }
    }

    /// Whoever has a token that one of `keys` has signed may do what it says. Without a key, nobody may do anything.
    pub fn keys(keys: impl IntoIterator<Item = Key>) -> Self {
        let mut known: Vec<Key> = Vec::new();
        for mut key in keys {
            // One key under several ids: what was signed with it stands until the last of them is gone.
            if let Some(same) = known.iter().find(|same| key.is(same)) {
                key.succeed(same);
            }
            known.push(key);
        }
        Access { mode: Mode::Keys(known), audience: None, authors: Authors::default() }
    }

    /// Accepts only tokens that are meant for `audience` (`aud`). Without it, only those are accepted that do not say
    /// for whom they are meant.
    #[must_use]
    pub fn for_audience(mut self, audience: Option<String>) -> Self {
        self.audience = audience;
        self
    }

    /// Whose new events a subject may bring.
    #[must_use]
    pub fn with_authors(mut self, authors: Authors) -> Self {
        self.authors = authors;
        self
    }

    /// Takes the place of `before` while the server runs: what was granted by keys that are no longer here is revoked.
    ///
    /// # Errors
    /// If one is open and the other has keys. Then nothing is changed.
    pub(crate) fn succeed(mut self, before: &mut Access) -> Result<(), OtherMode> {
        match (&mut self.mode, &before.mode) {
            (Mode::Open, Mode::Open) => {}
            (Mode::Keys(now), Mode::Keys(then)) => {
                for old in then {
                    let mut same = now.iter_mut().filter(|key| key.is(old)).peekable();
                    if same.peek().is_none() {
                        old.revoked().cancel();
                    }
                    same.for_each(|key| key.succeed(old));
                }
            }
            _ => return Err(OtherMode),
        }
        *before = self;
        Ok(())
    }

    /// Whether everybody may do everything.
    pub fn is_open(&self) -> bool {
        matches!(self.mode, Mode::Open)
    }

    /// Whose new events a subject may bring.
    pub fn authors(&self) -> Authors {
        self.authors
    }

    /// What whoever brings `token` may do, at the time `now`.
    ///
    /// # Errors
    /// If it is none, was not signed by a key of this server, is not valid now, or does not say what it must.
    pub fn grant(&self, token: Option<&str>, now: Time) -> Result<Grant, Denied> {
        let Mode::Keys(keys) = &self.mode else { return Ok(Grant::everything()) };
        let token = token.filter(|token| !token.is_empty()).ok_or(Denied::NoToken)?;
        let claims = Unverified::read(token)?.verify(keys)?;
        if claims.aud.as_ref().is_some_and(|aud| !aud.names(self.audience.as_deref()))
            || (claims.aud.is_none() && self.audience.is_some())
        {
            return Err(Denied::Audience);
        }
        let valid_until = claims.exp.plus(LEEWAY_MILLIS);
        if valid_until <= now {
            return Err(Denied::Expired);
        }
        if claims.nbf > now.plus(LEEWAY_MILLIS) {
            return Err(Denied::NotYet);
        }
        Ok(Grant::of(claims, valid_until))
    }
}

/// The token in a request's header `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
