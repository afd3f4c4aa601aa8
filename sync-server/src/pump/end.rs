//! How a connection ends: whoever breaks the protocol, stays too long or comes when the server stops is told why, in an error
//! frame and in WebSocket's close code.

use super::Connection;
use crate::room::Request;
use crate::wire::Step;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite;
use watersmeet_crdt::session::{Code, Violation};

/// How a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The peer has gone.
    Gone,
    /// The peer was told to go, and why.
    Said(Code),
}

impl Connection {
    /// Ends the session, saying why.
    pub(super) fn end(&mut self, code: Code, message: &str) -> End {
        self.wire.turn().session.end(code, message);
        End::Said(code)
    }

    /// A message that is too large is the peer's fault and it is told so; for the rest there is nobody to tell.
    pub(super) fn broken(&mut self, error: axum::Error) -> End {
        use tungstenite::error::{CapacityError, Error};
        let limit = self.hub.limits.session.frame_bytes;
        match error.into_inner().downcast::<Error>().as_deref() {
            Ok(Error::Capacity(CapacityError::MessageTooLong { size, .. })) => {
                let violation = Violation::TooLarge { bytes: *size, limit };
                self.end(violation.code(), &violation.to_string())
            }
            Ok(Error::Protocol(error)) => self.end(Code::Malformed, &error.to_string()),
            _ => End::Gone,
        }
    }

    /// Says goodbye because the server stops, after what came before has been committed and acknowledged, unless that
    /// takes too long.
    pub(super) async fn finish(&mut self) -> End {
        let settled = async {
            let mut answers = Vec::new();
            for door in self.doors.values() {
                let (settled, answer) = oneshot::channel();
                // A room that has ended has nothing left to settle.
                if door.requests.send(Request::Settle { settled }).await.is_ok() {
                    answers.push(answer);
                }
            }
            for answer in answers {
                let _ = answer.await;
            }
        };
        if tokio::time::timeout(self.hub.limits.drain / 2, settled).await.is_err() {
            tracing::warn!(
                connection = self.guest.0,
                "edits were not committed in time; their author keeps them"
            );
        }
        match self.deliver() {
            Ok(()) => {
                self.hub.drain_to.iter().for_each(|url| self.wire.turn().session.redirect(url));
                self.end(Code::Shutdown, "the server is going down; connect again")
            }
            Err(end) => end,
        }
    }

    /// Sends what is left to say, and closes. A peer that neither reads nor closes is cut off after a while.
    pub(super) async fn close(&mut self, end: End) {
        let linger = self.hub.limits.linger;
        let closing = async {
            match end {
                End::Said(code) => {
                    // The session's last words. What it still wanted done is void.
                    while let Step::Event(_) = self.wire.turn().step() {}
                    self.wire.close(close_code(code), "see the error frame").await;
                }
                End::Gone => self.wire.hear_out().await,
            }
        };
        if tokio::time::timeout(linger, closing).await.is_err() {
            tracing::debug!("a peer did not close in time and is cut off");
        }
    }
}

/// WebSocket's close code for an error frame's [`Code`]: 4000 and the code's place in its list, from 0.
fn close_code(code: Code) -> u16 {
    4_000 + code as u16
}

/// How a connection ends whose peer broke the protocol, or ended it.
pub(super) fn ended(violation: Violation) -> End {
    match violation {
        Violation::Ended { .. } => End::Gone,
        violation => End::Said(violation.code()),
    }
}
