//! A version as a text, for headers, queries and JSON: `REPLICA:EVENTS` of each replica, by replica, with commas between.
//!
//! ```text
//!   ""             nothing
//!   "5:300,7:12"   300 events of replica 5, 12 of replica 7
//! ```

use std::fmt::Write;
use watersmeet_crdt::{ReplicaId, VersionVector};

/// Bytes of a version in a header. A longer one is left out, since proxies refuse longer headers; it is told in JSON only.
pub(super) const HEADER_BYTES_MAX: usize = 4_096;

/// What stands for a version that is too long, where there must be something: that it is not known.
pub(super) const UNKNOWN: &str = "~";

pub(super) fn to_text(version: &VersionVector) -> String {
    version.iter().enumerate().fold(String::new(), |mut text, (n, (replica, seq))| {
        let comma = if n > 0 { "," } else { "" };
        // A `String` takes any text.
        let _ = write!(text, "{comma}{}:{seq}", replica.get());
        text
    })
}

/// Reads what [`to_text`] wrote; none if it did not.
pub(super) fn from_text(text: &str) -> Option<VersionVector> {
    let mut version = VersionVector::default();
    let mut before = None;
    for entry in text.split(',').filter(|_| !text.is_empty()) {
        let (replica, seq) = entry.split_once(':')?;
        let (replica, seq) = (ReplicaId::try_from(number(replica)?).ok()?, number(seq)?);
        if before >= Some(replica) || seq == 0 {
            return None;
        }
        version.advance(replica, seq);
        before = Some(replica);
    }
    Some(version)
}

/// Digits only: the standard parser takes a sign, too.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_was_written_and_nothing_else_is() {
        let several = VersionVector::from_iter([(ReplicaId::new(7), 12), (ReplicaId::new(5), 300)]);
        assert_eq!(to_text(&several), "5:300,7:12");
        for version in [VersionVector::default(), several] {
            assert_eq!(from_text(&to_text(&version)), Some(version));
        }
        let beyond = format!("{}:1", ReplicaId::MAX + 1);
        for wrong in ["5", "5:", ":3", "5:0", "5:300,", "7:1,5:1", "5:1,5:2", "+5:1", "5:-1", " ", &beyond] {
            assert_eq!(from_text(wrong), None, "{wrong:?}");
        }
    }
}
