//! `watersmeet token`: tokens, and keys to sign them with.

use clap::{Args, Subcommand};
use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use watersmeet_sync::access::{Algorithm, Claims, KeyError, Pattern, SigningKey};

/// Make a token, which says who may do what until when, and print it.
///
/// In patterns `*` stands for any run of characters but `/`, and `**` for any run at all.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Token {
    #[command(subcommand)]
    make: Option<Make>,
    /// The key to sign with: a file as `watersmeet token key` writes it, or an Ed25519 private key in PEM; or env:NAME,
    /// an environment variable that holds such a text.
    #[arg(long, value_name = "FILE", required = true)]
    key: Option<String>,
    /// The key is the bare text of a secret, for HS256.
    #[arg(long)]
    secret: bool,
    /// Whom the token is for.
    #[arg(long, value_name = "NAME", required = true)]
    subject: Option<String>,
    /// Documents that may be read. Can be given several times.
    #[arg(long, value_name = "PATTERN")]
    read: Vec<Pattern>,
    /// Documents that may be read and written. Can be given several times.
    #[arg(long, value_name = "PATTERN")]
    write: Vec<Pattern>,
    /// How long it is valid: a number with s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    expires: Span,
    /// For which server it is meant, if servers ask for that.
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Make {
    /// Make a key: FILE.jwk, to sign with, and for Ed25519 FILE.pub.jwk, which servers need and nobody can sign with.
    Key(MakeKey),
}

#[derive(Debug, Args)]
struct MakeKey {
    /// A key pair, as if nothing is said: servers have the public key, and cannot make tokens.
    #[arg(long)]
    ed25519: bool,
    /// A secret instead, that signs and verifies.
    #[arg(long, conflicts_with = "ed25519")]
    hs256: bool,
    /// Where to write it, without the ending.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Its id, by which tokens name it; the file's name if there is none.
    #[arg(long)]
    id: Option<String>,
}

/// Why there is no token or key.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("the key {key} cannot be read: {source}")]
    Read { key: String, source: std::io::Error },
    #[error("the environment has no variable {0}")]
    Variable(String),
    #[error("the key {key}: {source}")]
    Key { key: String, source: KeyError },
    #[error("{path} cannot be written: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{0} has no file name")]
    Name(PathBuf),
}

/// How long something lasts.
#[derive(Clone, Copy, Debug)]
struct Span(Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no time such as 90s, 30m, 12h or 7d");
        let unit = text.chars().last().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let number: u32 = text.strip_suffix(unit).unwrap_or_default().parse().map_err(|_| wrong())?;
        Ok(Span(Duration::from_secs(u64::from(number) * seconds)))
    }
}

impl Token {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let mut out = std::io::stdout().lock();
        match self.make {
            Some(Make::Key(key)) => key.run(&mut out)?,
            None => writeln!(out, "{}", self.token()?)?,
        }
        Ok(())
    }

    fn token(self) -> Result<String, TokenError> {
        // Asked for by clap.
        let (key, subject) = (self.key.unwrap_or_default(), self.subject.unwrap_or_default());
        let algorithm = self.secret.then_some(Algorithm::Hs256);
        let signer = SigningKey::parse(&read(&key)?, algorithm)
            .map_err(|source| TokenError::Key { key: key.clone(), source })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires = now.saturating_add(self.expires.0).as_secs();
        let (read, write, aud) = (self.read, self.write, self.audience);
        Ok(signer.sign(&Claims { read, write, aud, ..Claims::new(subject, expires) }))
    }
}

impl MakeKey {
    fn run(self, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
        let name = self.out.file_name().ok_or_else(|| TokenError::Name(self.out.clone()))?;
        let id = self.id.unwrap_or_else(|| name.to_string_lossy().into_owned());
        let key = match self.hs256 {
            true => SigningKey::generate_hs256(&id)?,
            false => SigningKey::generate_ed25519(&id)?,
        };
        let private = with_ending(&self.out, "jwk");
        write_new(&private, &key.to_jwk(), true)?;
        let public = match key.to_public_jwk() {
            Some(jwk) => {
                let public = with_ending(&self.out, "pub.jwk");
                write_new(&public, &jwk, false)?;
                public
            }
            None => private.clone(),
        };
        let (private, public) = (private.display(), public.display());
        writeln!(out, "Sign with it:     watersmeet token --key {private} --subject NAME --write '**'")?;
        writeln!(out, "Let a server know it:  watersmeet serve --key {public}")?;
        Ok(())
    }
}

fn read(key: &str) -> Result<String, TokenError> {
    match key.strip_prefix("env:") {
        Some(variable) => std::env::var(variable).map_err(|_| TokenError::Variable(variable.to_owned())),
        None => {
            std::fs::read_to_string(key).map_err(|source| TokenError::Read { key: key.to_owned(), source })
        }
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}

/// Writes a file that is not there yet; a secret one only for its owner's eyes.
fn write_new(path: &Path, text: &str, is_secret: bool) -> Result<(), TokenError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if is_secret { 0o600 } else { 0o644 });
    #[cfg(not(unix))]
    let _ = is_secret;
    let written = options.open(path).and_then(|mut file| writeln!(file, "{text}"));
    written.map_err(|source| TokenError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let seconds = |text: &str| text.parse::<Span>().map(|span| span.0.as_secs());
        assert_eq!(
            ["90s", "30m", "12h", "7d"].map(|text| seconds(text).unwrap()),
            [90, 1_800, 43_200, 604_800]
        );
        for wrong in ["", "7", "d", "7w", "-1d", "1.5h", "7dd", "99999999999s"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
