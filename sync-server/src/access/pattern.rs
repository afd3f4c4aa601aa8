//! Names of documents, many at once.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Which documents are meant: a name in which `*` stands for any run of characters but `/`, and `**` for any run at
/// all. Both stand for nothing, too. Every other character stands for itself, `?` and `[` included.
///
/// ```
/// use watersmeet_sync::access::Pattern;
///
/// let pattern: Pattern = "maps/*/notes".parse()?;
/// assert!(pattern.matches("maps/alice/notes") && !pattern.matches("maps/alice/old/notes"));
/// let pattern: Pattern = "maps/**".parse()?;
/// assert!(pattern.matches("maps/alice/old/notes") && !pattern.matches("maps"));
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What stands before the first wildcard, and mostly tells by itself.
    start: String,
    /// The rest.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Just(char),
    /// `*`
    Segment,
    /// `**`
    Everything,
}

/// Bytes of a pattern in a token, at most.
const PATTERN_BYTES_MAX: usize = 1_024;

impl Pattern {
    /// Whether a document of this name is meant. Costs the product of the two lengths at most, whatever is in them.
    pub fn matches(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(&self.start) else { return false };
        match self.parts[..] {
            [] => rest.is_empty(),
            [Part::Everything] => true,
            _ => self.rest_matches(rest),
        }
    }

    fn rest_matches(&self, rest: &str) -> bool {
        let end = self.parts.len();
        // Whether all parts before a place have matched what was read so far.
        let (mut reached, mut next) = (vec![false; end + 1], vec![false; end + 1]);
        reached[0] = true;
        self.pass_empty(&mut reached);
        for read in rest.chars() {
            next.fill(false);
            for (at, part) in self.parts.iter().enumerate().filter(|(at, _)| reached[*at]) {
                match part {
                    Part::Just(this) => next[at + 1] |= *this == read,
                    Part::Segment => next[at] |= read != '/',
                    Part::Everything => next[at] = true,
                }
            }
            self.pass_empty(&mut next);
            std::mem::swap(&mut reached, &mut next);
        }
        reached[end]
    }

    /// A wildcard may stand for nothing.
    fn pass_empty(&self, reached: &mut [bool]) {
        for (at, part) in self.parts.iter().enumerate() {
            if reached[at] && !matches!(part, Part::Just(_)) {
                reached[at + 1] = true;
            }
        }
    }
}

impl FromStr for Pattern {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (start, rest) = text.split_at(text.find('*').unwrap_or(text.len()));
        let mut parts = Vec::new();
        for read in rest.chars() {
            match (read, parts.last()) {
                ('*', Some(Part::Segment | Part::Everything)) => {
                    parts.pop();
                    parts.push(Part::Everything);
                }
                ('*', _) => parts.push(Part::Segment),
                _ => parts.push(Part::Just(read)),
            }
        }
        Ok(Pattern { start: start.to_owned(), parts })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.start)?;
        self.parts.iter().try_for_each(|part| match part {
            Part::Just(this) => write!(f, "{this}"),
            Part::Segment => write!(f, "*"),
            Part::Everything => write!(f, "**"),
        })
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.len() > PATTERN_BYTES_MAX {
            return Err(D::Error::custom(format!("a pattern has at most {PATTERN_BYTES_MAX} bytes")));
        }
        // Infallible.
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(name)
    }

    #[test]
    fn a_star_stays_within_a_segment_and_two_go_through() {
        for (pattern, meant, not_meant) in [
            ("map", &["map"][..], &["maps", "ma", "", "Map", "a map"][..]),
            ("maps/*", &["maps/mill", "maps/"], &["maps", "maps/a/b", "xmaps/a", "maps//"]),
            ("maps/**", &["maps/mill", "maps/a/b", "maps/"], &["maps", "plans/a"]),
            ("*/notes", &["a/notes", "/notes"], &["a/b/notes", "notes", "a/notes/b"]),
            ("**/notes", &["a/notes", "a/b/notes"], &["notes", "a/notes2"]),
            ("**", &["", "a", "a/b/c"], &[]),
            ("*", &["", "a"], &["a/b"]),
            ("a*b*c", &["abc", "a-b-c", "abbbcc"], &["ab", "a/bc", "acb"]),
            ("team.?", &["team.?"], &["team.x"]),
            ("", &[""], &["a"]),
            ("größe/*", &["größe/ß"], &["größe/ß/ß"]),
        ] {
            meant.iter().for_each(|name| assert!(matches(pattern, name), "{pattern} {name}"));
            not_meant.iter().for_each(|name| assert!(!matches(pattern, name), "{pattern} {name}"));
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_means() {
        for (text, written) in [("maps/*/x**", "maps/*/x**"), ("a****b", "a**b"), ("", "")] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), written);
        }
    }

    /// What would take a backtracking matcher longer than anybody can wait.
    #[test]
    fn no_pattern_takes_long() {
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
        assert!(matches(&"**a".repeat(300), &"a".repeat(300)));
    }
}
