//! JSON web tokens in the compact form: `header.claims.signature`, each base64url
//! ([RFC 7515](https://www.rfc-editor.org/rfc/rfc7515), [RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)).
//!
//! **Nothing of a token is believed before a key of the server has verified it.** The header's `alg` only chooses among
//! the server's keys: a key verifies by its own algorithm and no other, so a token can neither go without a signature
//! (`none`) nor have a public key taken for a shared secret
//! ([RFC 8725](https://www.rfc-editor.org/rfc/rfc8725) §2.1, §3.1).

use super::{Algorithm, Key, Pattern, SigningKey, Subject};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use watersmeet_crdt::Time;

/// Bytes of a token, at most.
pub(super) const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Why a token gives no rights. None of them repeats anything of it, or of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is none.
    #[error("a token is needed here, in Hello or as `Authorization: Bearer`")]
    NoToken,
    /// It is no JWT.
    #[error("the token is no JWT: {0}")]
    Malformed(&'static str),
    /// It was not signed by a key of this server, or has been changed since.
    #[error("the token was not signed by a key that this server knows, or was changed since")]
    Signature,
    /// It does not say what it must, or not so that it can be understood.
    #[error(
        "the token's claims cannot be used: it needs `sub` (a text), `exp` (a time), and `read` or `write` (lists of patterns)"
    )]
    Claims,
    /// It is meant for somebody else.
    #[error("the token is meant for another audience (`aud`)")]
    Audience,
    /// It is not valid any more.
    #[error("the token has expired")]
    Expired,
    /// It is not valid yet.
    #[error("the token is not valid yet (`nbf`)")]
    NotYet,
}

/// What a token says, for whoever makes one. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claims {
    /// Whom it is for.
    pub sub: String,
    /// When it expires.
    pub exp: u64,
    /// From when on it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// For which server it is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Which documents may be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<Pattern>,
    /// Which documents may be read and written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<Pattern>,
}

impl Claims {
    /// Of `sub` until `exp`, in seconds since 1970, with no rights.
    pub fn new(sub: impl Into<String>, exp: u64) -> Self {
        Claims { sub: sub.into(), exp, nbf: None, aud: None, read: Vec::new(), write: Vec::new() }
    }
}

/// What a key has vouched for.
pub(super) struct Verified {
    pub(super) subject: Subject,
    pub(super) exp: Time,
    pub(super) nbf: Time,
    pub(super) aud: Option<Audience>,
    pub(super) read: Vec<Pattern>,
    pub(super) write: Vec<Pattern>,
    /// Cancelled when that key is believed no longer.
    pub(super) revoked: CancellationToken,
}

/// One or several.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    pub(super) fn names(&self, who: Option<&str>) -> bool {
        match self {
            Audience::One(one) => Some(one.as_str()) == who,
            Audience::Several(several) => several.iter().any(|one| Some(one.as_str()) == who),
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct RawClaims {
    sub: String,
    exp: f64,
    #[serde(default)]
    nbf: f64,
    aud: Option<Audience>,
    #[serde(default)]
    read: Vec<Pattern>,
    #[serde(default)]
    write: Vec<Pattern>,
}

/// A token that was taken apart.
pub(super) struct Unverified<'a> {
    header: Header,
    /// The header and the claims, as they were signed.
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    pub(super) fn read(token: &'a str) -> Result<Self, Denied> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Denied::Malformed("it has more than 8 KiB"));
        }
        let three_parts = || Denied::Malformed("it does not have three parts between two dots");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(three_parts)?;
        let (header, claims) = signed.split_once('.').ok_or_else(three_parts)?;
        let header: Header = serde_json::from_slice(&unpacked(header)?)
            .map_err(|_| Denied::Malformed("its header cannot be understood"))?;
        if header.crit.is_some() {
            return Err(Denied::Malformed("its header asks for extensions that are not known here (`crit`)"));
        }
        Ok(Unverified { header, signed, claims, signature: unpacked(signature)? })
    }

    /// The claims, if one of `keys` has signed them. With a `kid` that key is tried, without one every key of the
    /// algorithm that the token names.
    pub(super) fn verify(&self, keys: &[Key]) -> Result<Verified, Denied> {
        let algorithm = Algorithm::named(&self.header.alg).ok_or(Denied::Signature)?;
        let mut candidates = keys
            .iter()
            .filter(|key| key.algorithm() == algorithm)
            .filter(|key| self.header.kid.as_deref().is_none_or(|id| key.id() == Some(id)));
        let key = candidates.find(|key| key.verifies(self.signed.as_bytes(), &self.signature));
        let revoked = key.ok_or(Denied::Signature)?.revoked().child_token();
        let claims: RawClaims =
            serde_json::from_slice(&unpacked(self.claims)?).map_err(|_| Denied::Claims)?;
        let (exp, nbf) = (time(claims.exp)?, time(claims.nbf)?);
        if claims.sub.is_empty() {
            return Err(Denied::Claims);
        }
        let (subject, RawClaims { aud, read, write, .. }) = (Subject::new(&claims.sub), claims);
        Ok(Verified { subject, exp, nbf, aud, read, write, revoked })
    }
}

impl SigningKey {
    /// The token that says `claims`.
    pub fn sign(&self, claims: &Claims) -> String {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'static str,
            typ: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            kid: Option<&'a str>,
        }
        let header = Header { alg: self.algorithm().name(), typ: "JWT", kid: self.id() };
        let signed = format!("{}.{}", packed_json(&header), packed_json(claims));
        let signature = packed(&self.signature(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn time(seconds: f64) -> Result<Time, Denied> {
    let since = Duration::try_from_secs_f64(seconds).map_err(|_| Denied::Claims)?;
    Ok(Time::from_millis(u64::try_from(since.as_millis()).map_err(|_| Denied::Claims)?))
}

fn packed_json(value: &impl Serialize) -> String {
    // Texts, numbers and lists of them can be written as JSON.
    packed(&serde_json::to_vec(value).unwrap_or_default())
}

pub(super) fn packed(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn unpacked(text: &str) -> Result<Vec<u8>, Denied> {
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Denied::Malformed("it is not base64url"))
}
