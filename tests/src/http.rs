//! A web client without manners.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a server answers.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    head: String,
    /// The body, as text.
    pub body: String,
    /// The body, as it came.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// A header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Asks the server at `port` for `path`, with such headers besides `Host`.
///
/// # Panics
/// If it does not answer in HTTP.
pub fn get(port: u16, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(port, "GET", path, headers, b"")
}

/// Asks the server at `port` for something else.
///
/// # Panics
/// If it does not answer in HTTP.
pub fn send(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.write_all(&request(port, "1.1", method, path, headers, body.len())).expect("asked");
    // A server that refuses a body may answer before it has read all of it.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head and a body");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let bytes = answer[end + 4..].to_vec();
    Answer { status: status(&head), head, body: String::from_utf8_lossy(&bytes).into_owned(), bytes }
}

fn request(
    port: u16,
    http: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body_bytes: usize,
) -> Vec<u8> {
    let mut request =
        format!("{method} {path} HTTP/{http}\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    if method != "GET" {
        request += &format!("Content-Length: {body_bytes}\r\n");
    }
    headers.iter().for_each(|(key, value)| request += &format!("{key}: {value}\r\n"));
    format!("{request}\r\n").into_bytes()
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

/// A stream of server-sent events.
#[derive(Debug)]
pub struct Events {
    reader: BufReader<TcpStream>,
}

/// One event; signs of life are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Where to go on from, if it says so.
    pub id: Option<String>,
    /// Of which kind it is.
    pub event: String,
    /// What it says.
    pub data: String,
}

impl Events {
    /// Asks for a stream; the answer's status, and the stream. It waits no longer than a hang for anything.
    ///
    /// # Panics
    /// If the server does not answer in HTTP.
    pub fn open(port: u16, path: &str, headers: &[(&str, &str)]) -> (u16, Self) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a timeout");
        // By HTTP/1.0, so that it comes in one piece.
        stream.write_all(&request(port, "1.0", "GET", path, headers, 0)).expect("asked");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).expect("a head"), 0, "ended within the head: {head}");
        }
        (status(&head), Events { reader })
    }
}

impl Iterator for Events {
    type Item = Event;

    /// The next event; none if the stream has ended.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).expect("a line") == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => event.id = Some(id.to_owned()),
                Some(("event", kind)) => event.event = kind.to_owned(),
                Some(("data", data)) => event.data += data,
                _ if line.trim_end().is_empty() && !event.event.is_empty() => return Some(event),
                _ => {}
            }
        }
    }
}
