//! GeoJSON text split into features, without being parsed.
//!
//! One idea: where a feature ends is a matter of quotes and braces, which costs a gigabyte a second; so one thread finds
//! the ends, all cores parse what lies between, and memory holds what is between them and no more. Whether the text is
//! one value (a collection, a feature, a geometry) or one a line (RFC 8142 and newline-delimited GeoJSON) shows by
//! itself: the first value is taken whole, whatever it is, and what follows it is taken line by line.
//! Not here: whether a feature's text is JSON, and what it says (see [`geojson`](super::geojson)).

use std::io::{self, ErrorKind, Read};

use memchr::{memchr, memchr2, memchr3};

/// So much is read at once, and about so much text makes a batch.
const READ_BYTES: usize = 1 << 19;

/// Before a text: a byte order mark and the record separators of RFC 8142.
const MARKS: [u8; 4] = [0xEF, 0xBB, 0xBF, 0x1E];

/// Texts of features, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// Where each ends, and the line on which it starts, from 1.
    ends: Vec<(usize, u64)>,
}

impl Texts {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Each text with its line.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).map(|(start, (end, line))| (*line, &self.bytes[start..*end]))
    }

    fn push(&mut self, line: u64, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push((self.bytes.len(), line));
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= READ_BYTES
    }
}

/// What comes next in a text.
#[derive(Debug)]
pub(super) enum Part {
    /// Features: members of the first value's `features`, or lines behind it.
    Texts(Texts),
    /// The first value without its `features`, and the line on which it starts.
    First {
        /// From 1.
        line: u64,
        /// The value.
        text: Vec<u8>,
    },
    /// The text ends.
    End,
}

/// Why a text could not be split.
#[derive(Debug)]
pub(super) enum Broken {
    /// It cannot be read.
    Io(io::Error),
    /// Quotes and braces do not match: from this line on, this is no JSON.
    NotJson {
        /// From 1.
        line: u64,
        /// The text from there on.
        text: Vec<u8>,
    },
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Debug)]
enum State {
    Start,
    /// Between the members of the first value; what it has so far.
    Members {
        line: u64,
        text: Vec<u8>,
    },
    /// Among the features of the first value.
    Features {
        line: u64,
        text: Vec<u8>,
    },
    Lines,
}

/// Splits a text as it is read.
pub(super) struct Splitter<R> {
    input: R,
    buffer: Vec<u8>,
    /// What of the buffer has been taken.
    at: usize,
    /// The line of the byte at `at`.
    line: u64,
    state: State,
}

impl<R: Read> Splitter<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), at: 0, line: 1, state: State::Start }
    }

    pub(super) fn next(&mut self) -> Result<Part, Broken> {
        loop {
            match std::mem::replace(&mut self.state, State::Lines) {
                State::Start => self.start()?,
                State::Members { line, text } => {
                    if let Some(text) = self.members(line, text)? {
                        return Ok(Part::First { line, text });
                    }
                }
                State::Features { line, text } => return self.features(line, text),
                State::Lines => return self.lines(),
            }
        }
    }

    /// The bytes that are read but not taken, from the offset on.
    fn unread(&self, offset: usize) -> &[u8] {
        self.buffer.get(self.at + offset..).unwrap_or_default()
    }

    /// Reads more; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let have = self.buffer.len();
        // At least twice as much each time, so that a text that fits no buffer is not moved again and again.
        self.buffer.resize(have + READ_BYTES.max(have), 0);
        loop {
            match self.input.read(&mut self.buffer[have..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => {
                    self.buffer.truncate(have + *read.as_ref().unwrap_or(&0));
                    return read.map(|count| count > 0);
                }
            }
        }
    }

    /// The byte at the offset; `None` at the end.
    fn peek(&mut self, offset: usize) -> io::Result<Option<u8>> {
        while self.unread(offset).is_empty() {
            if !self.fill()? {
                return Ok(None);
            }
        }
        Ok(self.unread(offset).first().copied())
    }

    /// Takes so many bytes and counts their lines.
    fn take(&mut self, count: usize) -> &[u8] {
        let taken = &self.buffer[self.at..self.at + count];
        self.line += memchr::memchr_iter(b'\n', taken).count() as u64;
        self.at += count;
        taken
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) -> io::Result<()> {
        while self.peek(0)?.is_some() {
            let count = self.unread(0).iter().take_while(|byte| skipped(**byte)).count();
            self.take(count);
            if !self.unread(0).is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// The rest of the text, as far as it is known: something in it is wrong.
    fn broken(&mut self) -> Broken {
        Broken::NotJson { line: self.line, text: self.unread(0).to_vec() }
    }

    fn start(&mut self) -> Result<(), Broken> {
        self.skip(|byte| MARKS.contains(&byte) || byte.is_ascii_whitespace())?;
        if self.peek(0)? != Some(b'{') {
            return Err(self.broken());
        }
        self.take(1);
        self.state = State::Members { line: self.line, text: vec![b'{'] };
        Ok(())
    }

    /// Takes the members of the first value: all of it, or what comes before its features.
    fn members(&mut self, line: u64, mut text: Vec<u8>) -> Result<Option<Vec<u8>>, Broken> {
        let mut key_is_features = false;
        loop {
            self.skip(|byte| byte.is_ascii_whitespace())?;
            let Some(byte) = self.peek(0)? else { return Err(Broken::NotJson { line, text }) };
            if byte == b'[' && key_is_features {
                self.take(1);
                text.extend_from_slice(b"[]");
                self.state = State::Features { line, text };
                return Ok(None);
            }
            let length = match byte {
                b',' | b':' | b'}' => Ok(1),
                _ => self.value(byte),
            };
            let length = length.map_err(|broken| behind(&text, line, broken))?;
            let taken = self.take(length);
            key_is_features = taken == b"\"features\"" || (taken == b":" && key_is_features);
            text.extend_from_slice(taken);
            if byte == b'}' {
                return Ok(Some(text));
            }
        }
    }

    fn features(&mut self, line: u64, text: Vec<u8>) -> Result<Part, Broken> {
        let mut texts = Texts::default();
        while !texts.is_full() {
            self.skip(|byte| byte == b',' || byte.is_ascii_whitespace())?;
            let first = self.peek(0)?;
            match first {
                None if texts.len() == 0 => return Err(self.broken()),
                None => break,
                Some(b']') => {
                    self.take(1);
                    self.state = State::Members { line, text };
                    return Ok(Part::Texts(texts));
                }
                Some(byte) => {
                    let length = match self.value(byte) {
                        // What came before is good; the next call comes here again.
                        Err(_) if texts.len() > 0 => break,
                        length => length?,
                    };
                    let line = self.line;
                    texts.push(line, self.take(length));
                }
            }
        }
        self.state = State::Features { line, text };
        Ok(Part::Texts(texts))
    }

    fn lines(&mut self) -> Result<Part, Broken> {
        let mut texts = Texts::default();
        while !texts.is_full() {
            let Some(length) = self.line_length()? else { break };
            let line = self.line;
            let text = self.take(length).trim_ascii();
            let text = text.strip_prefix(b"\x1E").unwrap_or(text);
            if !text.is_empty() {
                texts.push(line, text);
            }
        }
        Ok(if texts.len() == 0 { Part::End } else { Part::Texts(texts) })
    }

    /// How long the line is, its end included; `None` when there is none any more.
    fn line_length(&mut self) -> io::Result<Option<usize>> {
        let mut searched = 0;
        loop {
            if let Some(found) = memchr(b'\n', self.unread(searched)) {
                return Ok(Some(searched + found + 1));
            }
            searched = self.unread(0).len();
            if !self.fill()? {
                return Ok((searched > 0).then_some(searched));
            }
        }
    }

    /// How long the value is that starts here with this byte.
    fn value(&mut self, first: u8) -> Result<usize, Broken> {
        match first {
            b'{' => self.nested(b'{', b'}'),
            b'[' => self.nested(b'[', b']'),
            b'"' => self.string(1),
            _ => {
                let mut length = 1;
                while self.peek(length)?.is_some_and(|byte| !b",:]}{[\" \t\r\n".contains(&byte)) {
                    length += 1;
                }
                Ok(length)
            }
        }
    }

    /// How long a value is that ends with as many closing as opening braces. Whether all else in it fits is no matter.
    fn nested(&mut self, open: u8, close: u8) -> Result<usize, Broken> {
        let (mut depth, mut offset) = (0_usize, 0);
        loop {
            let Some(found) = memchr3(open, close, b'"', self.unread(offset)) else {
                offset = self.more(offset)?;
                continue;
            };
            let byte = self.unread(offset)[found];
            offset += found + 1;
            if byte == b'"' {
                offset = self.string(offset)?;
            } else if byte == open {
                depth += 1;
            } else {
                depth -= 1;
            }
            if depth == 0 {
                return Ok(offset);
            }
        }
    }

    /// Where a string ends whose opening quote lies right before the offset.
    fn string(&mut self, mut offset: usize) -> Result<usize, Broken> {
        loop {
            match memchr2(b'"', b'\\', self.unread(offset)) {
                None => offset = self.more(offset)?,
                Some(found) if self.unread(offset)[found] == b'"' => return Ok(offset + found + 1),
                Some(found) => offset += found + 2,
            }
        }
    }

    /// Reads on, since there is nothing of interest from the offset on; where to go on looking.
    fn more(&mut self, offset: usize) -> Result<usize, Broken> {
        let searched = offset.max(self.unread(0).len());
        if self.fill()? { Ok(searched) } else { Err(self.broken()) }
    }
}

/// What is broken with what stands before it.
fn behind(before: &[u8], line: u64, broken: Broken) -> Broken {
    match broken {
        Broken::NotJson { text, .. } => Broken::NotJson { line, text: [before, &text].concat() },
        broken @ Broken::Io(_) => broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    /// Hands out a few bytes at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(3);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn split(text: &str) -> Result<(Vec<(u64, String)>, String), Broken> {
        let mut splitter = Splitter::new(Drops(text.as_bytes()));
        let (mut all, mut first) = (Vec::new(), String::new());
        loop {
            match splitter.next()? {
                Part::Texts(texts) => all.extend(
                    texts.iter().map(|(line, text)| (line, String::from_utf8_lossy(text).into_owned())),
                ),
                Part::First { text, .. } => first = String::from_utf8_lossy(&text).into_owned(),
                Part::End => return Ok((all, first)),
            }
        }
    }

    #[test]
    fn a_collection_is_split_at_its_braces() {
        let text = "{\"a\": {\"features\": [1]},\n\"features\" : [\n{\"b\":\"}\\\"{\"},\n {\"c\":[{}]} , 3 ,null], \"d\": 1e3 }\n";
        let (all, first) = split(text).unwrap();
        let expected = [(3, r#"{"b":"}\"{"}"#), (4, r#"{"c":[{}]}"#), (4, "3"), (4, "null")];
        assert_eq!(all, expected.map(|(line, text)| (line, text.to_owned())));
        assert_eq!(first, r#"{"a":{"features": [1]},"features":[],"d":1e3}"#);
    }

    #[test]
    fn what_follows_the_first_value_is_split_at_its_lines() {
        let (all, first) =
            split("\u{feff}\u{1e}{\"a\":\n1}\r\n\n\u{1e}{\"b\":2}\r\n rubbish {\n{\"c\":3}").unwrap();
        assert_eq!(first, r#"{"a":1}"#);
        let expected = [(4, r#"{"b":2}"#), (5, "rubbish {"), (6, r#"{"c":3}"#)];
        assert_eq!(all, expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn what_does_not_end_is_broken_where_it_starts() {
        for (text, expected) in
            [("{\"features\":[\n{},\n{\"a\":[}", 3), ("", 1), ("\n[1]", 2), ("{\"a\":\"", 1)]
        {
            match split(text) {
                Err(Broken::NotJson { line, .. }) => assert_eq!(line, expected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    quickcheck! {
        fn any_bytes_end(bytes: Vec<u8>) -> bool {
            let text = format!("{{\"features\":[{}", String::from_utf8_lossy(&bytes));
            let _ = (split(&text), split(&String::from_utf8_lossy(&bytes)));
            true
        }
    }
}
