//! Keys, and the forms in which they are written: JWK ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517), Ed25519 by
//! [RFC 8037](https://www.rfc-editor.org/rfc/rfc8037)), PEM ([RFC 8410](https://www.rfc-editor.org/rfc/rfc8410)), or,
//! for HS256, the secret itself as text.

use super::jwt::packed;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use tokio_util::sync::CancellationToken;

/// Bytes that a shared secret must have, as many as the hash has (RFC 7518 §3.2).
const SECRET_BYTES_MIN: usize = 32;
/// What comes before the 32 bytes of a public, and of a private key, in DER.
const PUBLIC_PREFIX: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PRIVATE_PREFIX: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256: who can verify can sign.
    #[serde(rename = "HS256")]
    Hs256,
    /// Ed25519: who has the public key can verify and not sign.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// Its name in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name. (`Ed25519` is the newer name of the same, by RFC 9864.)
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Algorithm::Hs256),
            "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }
}

/// Why a text is no key. None of them repeats anything of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is too short.
    #[error("a secret for HS256 must have at least {SECRET_BYTES_MIN} bytes, this has {0}")]
    Short(usize),
    /// It is of no known form.
    #[error(
        "it is no key: neither a JWK of type `oct` or `OKP` (Ed25519), nor an Ed25519 key in PEM, nor, with algorithm HS256, a secret"
    )]
    Form,
    /// It is for another algorithm.
    #[error("the key is for {0:?}, which is not the algorithm that is configured for it")]
    OtherAlgorithm(Algorithm),
    /// A token cannot be signed with it.
    #[error("it is a public key; to sign a token needs the private one")]
    Public,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// What tokens are verified with.
#[derive(Clone)]
pub struct Key {
    id: Option<String>,
    verifier: Verifier,
    /// What tells it from other keys: a hash of its algorithm and its public part or secret.
    fingerprint: [u8; 32],
    /// Cancelled when the server believes it no longer.
    revoked: CancellationToken,
}

#[derive(Clone)]
enum Verifier {
    Hs256(Hmac<Sha256>),
    EdDsa(VerifyingKey),
}

/// What tokens are signed with.
#[derive(Clone)]
pub struct SigningKey {
    id: Option<String>,
    signer: SignerKind,
}

#[derive(Clone)]
enum SignerKind {
    Hs256(Vec<u8>),
    EdDsa(Box<ed25519_dalek::SigningKey>),
}

/// A key as JSON. Fields that are not named here are not looked at.
#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    /// The secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<String>,
    /// The public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    /// The private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<String>,
}

/// A key that was read, private if the text had that.
enum Parsed {
    Secret(Vec<u8>),
    Public([u8; 32]),
    Private([u8; 32]),
}

impl Key {
    /// Reads a key, a private one too, of which it takes the public part. `id` is that of the configuration, and goes
    /// before the one that the text may name.
    ///
    /// # Errors
    /// If it is none, or none for `algorithm`.
    pub fn parse(text: &str, id: Option<&str>, algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        let (named, parsed) = parse(text, algorithm)?;
        let public = match parsed {
            Parsed::Secret(secret) => return Ok(SigningKey::of_secret(id_of(id, named), secret)?.verifying()),
            Parsed::Public(bytes) => VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Form)?,
            Parsed::Private(bytes) => ed25519_dalek::SigningKey::from_bytes(&bytes).verifying_key(),
        };
        let key = Key::of_public(id_of(id, named), public);
        if algorithm.is_some_and(|algorithm| algorithm != key.algorithm()) {
            return Err(KeyError::OtherAlgorithm(key.algorithm()));
        }
        Ok(key)
    }

    fn of_public(id: Option<String>, key: VerifyingKey) -> Self {
        let fingerprint = fingerprint(Algorithm::EdDsa, key.as_bytes());
        Key { id, verifier: Verifier::EdDsa(key), fingerprint, revoked: CancellationToken::new() }
    }

    fn of_secret(id: Option<String>, secret: &[u8]) -> Self {
        let fingerprint = fingerprint(Algorithm::Hs256, secret);
        Key { id, verifier: Verifier::Hs256(mac(secret)), fingerprint, revoked: CancellationToken::new() }
    }

    /// Whether it is the same key, under whatever id.
    pub(super) fn is(&self, other: &Key) -> bool {
        self.fingerprint == other.fingerprint
    }

    /// Cancelled when the server believes it no longer.
    pub(super) fn revoked(&self) -> &CancellationToken {
        &self.revoked
    }

    /// Takes the place of the same key: what was signed by that stands and falls with this one.
    pub(super) fn succeed(&mut self, before: &Key) {
        self.revoked = before.revoked.clone();
    }

    /// Its id (`kid`), by which a token may name it.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The one algorithm that it verifies by.
    pub fn algorithm(&self) -> Algorithm {
        match self.verifier {
            Verifier::Hs256(_) => Algorithm::Hs256,
            Verifier::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// Whether `signature` is this key's of `message`. The time it takes does not tell how nearly.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.verifier {
            Verifier::Hs256(mac) => mac.clone().chain_update(message).verify_slice(signature).is_ok(),
            Verifier::EdDsa(key) => Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

impl SigningKey {
    /// A new secret for HS256.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn generate_hs256(id: &str) -> Result<Self, KeyError> {
        SigningKey::of_secret(Some(id.to_owned()), random()?.to_vec())
    }

    /// A new key pair for EdDSA.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn generate_ed25519(id: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(&random()?);
        Ok(SigningKey { id: Some(id.to_owned()), signer: SignerKind::EdDsa(Box::new(key)) })
    }

    /// Reads a secret or a private key.
    ///
    /// # Errors
    /// If it is neither, or none for `algorithm`.
    pub fn parse(text: &str, algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        let (id, parsed) = parse(text, algorithm)?;
        let key = match parsed {
            Parsed::Secret(secret) => return SigningKey::of_secret(id, secret),
            Parsed::Private(bytes) => {
                let key = ed25519_dalek::SigningKey::from_bytes(&bytes);
                SigningKey { id, signer: SignerKind::EdDsa(Box::new(key)) }
            }
            Parsed::Public(_) => return Err(KeyError::Public),
        };
        match algorithm {
            Some(Algorithm::Hs256) => Err(KeyError::OtherAlgorithm(Algorithm::EdDsa)),
            _ => Ok(key),
        }
    }

    fn of_secret(id: Option<String>, secret: Vec<u8>) -> Result<Self, KeyError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::Short(secret.len()));
        }
        Ok(SigningKey { id, signer: SignerKind::Hs256(secret) })
    }

    /// Its id (`kid`).
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The algorithm that it signs by.
    pub fn algorithm(&self) -> Algorithm {
        match self.signer {
            SignerKind::Hs256(_) => Algorithm::Hs256,
            SignerKind::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    /// What verifies its signatures.
    pub fn verifying(&self) -> Key {
        match &self.signer {
            SignerKind::Hs256(secret) => Key::of_secret(self.id.clone(), secret),
            SignerKind::EdDsa(key) => Key::of_public(self.id.clone(), key.verifying_key()),
        }
    }

    /// It as a JWK, to be kept secret.
    pub fn to_jwk(&self) -> String {
        match &self.signer {
            SignerKind::Hs256(secret) => self.jwk("oct", Some(secret), None, None),
            SignerKind::EdDsa(key) => {
                self.jwk("OKP", None, Some(key.verifying_key().as_bytes()), Some(key.as_bytes()))
            }
        }
    }

    /// Its public part as a JWK, for servers; none if it has none, because who verifies with it can sign.
    pub fn to_public_jwk(&self) -> Option<String> {
        match &self.signer {
            SignerKind::Hs256(_) => None,
            SignerKind::EdDsa(key) => Some(self.jwk("OKP", None, Some(key.verifying_key().as_bytes()), None)),
        }
    }

    fn jwk(&self, kty: &str, k: Option<&[u8]>, x: Option<&[u8]>, d: Option<&[u8]>) -> String {
        let jwk = Jwk {
            kty: kty.to_owned(),
            kid: self.id.clone(),
            alg: Some(self.algorithm().name().to_owned()),
            crv: x.map(|_| "Ed25519".to_owned()),
            k: k.map(packed),
            x: x.map(packed),
            d: d.map(packed),
        };
        // Texts can be written as JSON.
        serde_json::to_string(&jwk).unwrap_or_default()
    }

    pub(super) fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.signer {
            SignerKind::Hs256(secret) => mac(secret).chain_update(message).finalize().into_bytes().to_vec(),
            SignerKind::EdDsa(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}

/// Secrets stay out of logs.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {})", self.id, self.algorithm().name())
    }
}

/// Secrets stay out of logs.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, {})", self.id, self.algorithm().name())
    }
}

fn id_of(configured: Option<&str>, named: Option<String>) -> Option<String> {
    configured.map(str::to_owned).or(named)
}

fn mac(secret: &[u8]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(secret) {
        Ok(mac) => mac,
        Err(never) => unreachable!("HMAC takes secrets of any length: {never}"),
    }
}

fn fingerprint(algorithm: Algorithm, key: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(algorithm.name()).chain_update(key).finalize().into()
}

fn random() -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

fn parse(text: &str, algorithm: Option<Algorithm>) -> Result<(Option<String>, Parsed), KeyError> {
    let text = text.trim();
    if text.starts_with('{') {
        return parse_jwk(text, algorithm);
    }
    if text.starts_with("-----BEGIN") {
        return Ok((None, parse_pem(text)?));
    }
    match algorithm {
        Some(Algorithm::Hs256) => Ok((None, Parsed::Secret(text.as_bytes().to_vec()))),
        _ => Err(KeyError::Form),
    }
}

fn parse_jwk(text: &str, algorithm: Option<Algorithm>) -> Result<(Option<String>, Parsed), KeyError> {
    let jwk: Jwk = serde_json::from_str(text).map_err(|_| KeyError::Form)?;
    let (of, parsed) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("oct", None) => (Algorithm::Hs256, Parsed::Secret(field(jwk.k.as_deref())?)),
        ("OKP", Some("Ed25519")) => match jwk.d {
            Some(d) => (Algorithm::EdDsa, Parsed::Private(thirty_two(&field(Some(&d))?)?)),
            None => (Algorithm::EdDsa, Parsed::Public(thirty_two(&field(jwk.x.as_deref())?)?)),
        },
        _ => return Err(KeyError::Form),
    };
    if jwk.alg.as_deref().is_some_and(|alg| Algorithm::named(alg) != Some(of)) {
        return Err(KeyError::Form);
    }
    match algorithm.filter(|algorithm| *algorithm != of) {
        Some(_) => Err(KeyError::OtherAlgorithm(of)),
        None => Ok((jwk.kid, parsed)),
    }
}

fn parse_pem(text: &str) -> Result<Parsed, KeyError> {
    let body: String = text.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let der = BASE64_STANDARD.decode(body).map_err(|_| KeyError::Form)?;
    if let Some(bytes) = der.strip_prefix(PUBLIC_PREFIX) {
        return Ok(Parsed::Public(thirty_two(bytes)?));
    }
    Ok(Parsed::Private(thirty_two(der.strip_prefix(PRIVATE_PREFIX).ok_or(KeyError::Form)?)?))
}

fn field(value: Option<&str>) -> Result<Vec<u8>, KeyError> {
    BASE64_URL_SAFE_NO_PAD.decode(value.unwrap_or_default()).map_err(|_| KeyError::Form)
}

fn thirty_two(bytes: &[u8]) -> Result<[u8; 32], KeyError> {
    bytes.try_into().map_err(|_| KeyError::Form)
}
