//! Keys and tokens, made by the binary as an operator makes them.

use crate::watersmeet;
use std::path::PathBuf;

/// A folder with keys, which is removed in the end.
#[derive(Debug)]
pub struct Keys(PathBuf);

impl Keys {
    /// An empty folder, of a name that no other test uses.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("watersmeet-keys-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for keys");
        Keys(folder)
    }

    /// The path of a file among them.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Makes a key of a kind (`--ed25519` or `--hs256`): the file that signs, and the one for servers.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn make(&self, kind: &str, name: &str) -> (String, String) {
        let stem = self.0.join(name).display().to_string();
        said(&["token", "key", kind, "--out", &stem]);
        let private = format!("{stem}.jwk");
        let public = if kind == "--ed25519" { format!("{stem}.pub.jwk") } else { private.clone() };
        (private, public)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A token of `subject`, signed by the key in a file, with options such as `--write PATTERN`.
///
/// # Panics
/// If it cannot be made.
pub fn token(key: &str, subject: &str, rights: &[&str]) -> String {
    said(&[&["token", "--key", key, "--subject", subject], rights].concat())
}

fn said(arguments: &[&str]) -> String {
    let output = watersmeet(arguments).output().expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
