//! As much of HTTP/1.1 as asking for a tile takes: `GET`, a status, a length, a body.

use super::server::PATIENCE;
use crate::failure::Failure;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use watersmeet_tiles::compress::Encoding;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
}

/// What an answer's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Bytes of the head itself.
    pub(super) length: usize,
    /// Bytes of the body.
    pub(super) body: usize,
    pub(super) encoding: Encoding,
}

/// The bytes of a question.
pub(super) fn question(path: &str, accept: Option<&str>) -> Vec<u8> {
    let accept = accept.map_or(String::new(), |encoding| format!("Accept-Encoding: {encoding}\r\n"));
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{accept}\r\n").into_bytes()
}

/// Asks once, over a connection of its own, for what has to be there.
pub(super) fn get(address: SocketAddr, path: &str, accept: Option<&str>) -> Result<Answer, Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&question(path, accept))?;
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 16_384];
        let read = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(head) = head(&bytes)? {
            if head.status != 200 {
                return Err(Failure::new(format!("{path} is answered with {}", head.status)));
            }
            if bytes.len() >= head.length + head.body {
                return Ok(Answer { head, body: bytes.split_off(head.length) });
            }
        }
        if read == 0 {
            return Err(Failure::new(format!("{path} is answered by half")));
        }
    }
}

/// The head of an answer, once all of it has come.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..end])?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().parse()?;
    let mut head = Head { status, length: end + 4, body: 0, encoding: Encoding::Identity };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            head.body = value.parse()?;
        } else if name.eq_ignore_ascii_case("content-encoding") {
            head.encoding = encoding(value)?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Failure::new("an answer without a length"));
        }
    }
    Ok(Some(head))
}

fn encoding(name: &str) -> Result<Encoding, Failure> {
    match name {
        "identity" => Ok(Encoding::Identity),
        "gzip" => Ok(Encoding::Gzip),
        "br" => Ok(Encoding::Brotli),
        "zstd" => Ok(Encoding::Zstd),
        _ => Err(Failure::new(format!("an answer in {name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_all_of_it_has_come() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\nContent-Length: 3\r\n\r\nabc";
        assert!(head(&bytes[..30]).unwrap().is_none());
        let head = head(bytes).unwrap().unwrap();
        assert_eq!((head.status, head.body, head.encoding), (200, 3, Encoding::Brotli));
        assert_eq!(&bytes[head.length..], b"abc");
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }
}
