//! What is told on stdout.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Writes to stdout. That nobody reads any more, as with `| head`, is no failure.
///
/// # Errors
/// When it cannot be written for another reason.
pub(crate) fn say(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
