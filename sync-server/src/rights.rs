//! What one connection may do: who it is, what it may read and write, until when, and how fast.

use crate::access::{Authors, Denied, Grant, Right, Subject, bearer};
use crate::hub::Hub;
use crate::subjects::Counted;
use axum::http::HeaderMap;
use std::collections::BTreeMap;
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use watersmeet_crdt::Time;
use watersmeet_crdt::session::{Code, Token};

/// Why something is refused, for the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Refused { code, message: message.into() }
    }
}

impl Refused {
    /// As one whose token has expired: whoever has another can come back with it.
    pub(crate) fn revoked() -> Self {
        Refused::new(
            Code::Expired,
            "the key that signed the token was taken away; connect again with another token",
        )
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        let code = if denied == Denied::Expired { Code::Expired } else { Code::Unauthenticated };
        Refused::new(code, denied.to_string())
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Rights {
    /// None until the peer has shown who it is.
    grant: Option<Grant>,
    /// Whose new events it may bring.
    authors: Authors,
    counted: Option<Counted>,
    /// Channels whose edits came too fast: what comes is not looked at until then, and then it is said what is lacking.
    throttled: BTreeMap<u32, Instant>,
}

/// What to do with an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Take,
    /// It came too fast, as did one before it, and its author has been told.
    Ignore,
    Refuse(Refused),
}

impl Rights {
    /// What the token in a request's header grants; nothing yet if there is none.
    pub(crate) fn of(hub: &Hub, headers: &HeaderMap, now: Time) -> Result<Self, Refused> {
        let mut rights = Rights::default();
        if let Some(token) = bearer(headers) {
            rights.show(hub, Some(token), now)?;
        }
        Ok(rights)
    }

    /// The peer greets. The token in its greeting counts, if there is one, and else the one that came before.
    pub(crate) fn greeted(&mut self, hub: &Hub, token: &Token, now: Time) -> Result<(), Refused> {
        match token.as_str() {
            None if self.grant.is_some() => Ok(()),
            token => self.show(hub, token, now),
        }
    }

    fn show(&mut self, hub: &Hub, token: Option<&str>, now: Time) -> Result<(), Refused> {
        let (grant, authors) = {
            let access = hub.access();
            (access.grant(token, now)?, access.authors())
        };
        // Let go of first, so that a subject's last connection can be its own successor.
        self.counted = None;
        if let Some(subject) = grant.subject() {
            let counted = hub.subjects.connect(subject, Instant::now());
            let limit = hub.limits.connections_per_subject;
            self.counted = Some(counted.ok_or_else(|| {
                Refused::new(Code::Limit, format!("a subject may have {limit} connections; close one"))
            })?);
        }
        (self.grant, self.authors) = (Some(grant), authors);
        Ok(())
    }

    /// When the next thing is to be done here.
    pub(crate) fn due(&self, now: Time) -> Time {
        let expires = self.grant.as_ref().and_then(Grant::expires).unwrap_or(Time::from_millis(u64::MAX));
        let until = |at: &Instant| {
            let wait = at.saturating_duration_since(Instant::now());
            // Rounded up, so that it is not too early then.
            now.plus(u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX))
        };
        self.throttled.values().min().map_or(expires, |at| expires.min(until(at)))
    }

    /// Whether the token has expired.
    pub(crate) fn have_expired(&self, now: Time) -> bool {
        self.grant.as_ref().and_then(Grant::expires).is_some_and(|expires| expires <= now)
    }

    /// Cancelled when the key of the token is taken away; none if there is none, or not yet.
    pub(crate) fn revoked(&self) -> Option<&CancellationToken> {
        self.grant.as_ref().and_then(Grant::revoked)
    }

    /// That the token has not expired and its key not been taken away, for whoever has waited since it was looked at.
    pub(crate) fn is_valid(&self) -> Result<(), Refused> {
        if self.revoked().is_some_and(CancellationToken::is_cancelled) {
            return Err(Refused::revoked());
        }
        match self.have_expired(crate::pump::now()) {
            true => Err(Refused::new(Code::Expired, "the token has expired; connect again with another")),
            false => Ok(()),
        }
    }

    /// Whether the document of that name may be opened.
    pub(crate) fn may_open(&self, name: &str) -> Result<(), Refused> {
        self.may(Right::Read, name)
    }

    /// Whether an edit on `channel`, which is the document `name`, may come, however fast.
    pub(crate) fn may_edit(&self, channel: u32, name: &str) -> Verdict {
        if self.throttled.contains_key(&channel) {
            return Verdict::Ignore;
        }
        match self.may(Right::Write, name).and_then(|()| self.is_valid()) {
            Ok(()) => Verdict::Take,
            Err(refused) => Verdict::Refuse(refused),
        }
    }

    /// Whether an edit on `channel`, which is the document `name`, is to be taken.
    pub(crate) fn judge(&mut self, hub: &Hub, channel: u32, name: &str) -> Verdict {
        let may = self.may_edit(channel, name);
        if may != Verdict::Take {
            return may;
        }
        let now = Instant::now();
        let Some(subject) = self.grant.as_ref().and_then(Grant::subject) else { return Verdict::Take };
        match hub.subjects.edit(subject, now) {
            Ok(()) => Verdict::Take,
            Err(wait) => {
                // A while, so that what comes next is a group and not one edit at a time.
                self.throttled.insert(channel, now + wait.max(hub.limits.throttle));
                let message = format!(
                    "{:?} may make {} edits a second; keep these, they will be asked for",
                    subject.as_str(),
                    hub.limits.edits.per_second
                );
                Verdict::Refuse(Refused::new(Code::Rate, message))
            }
        }
    }

    /// Edits on a channel are not looked at for a while, and are then asked for.
    pub(crate) fn throttle(&mut self, hub: &Hub, channel: u32) {
        self.throttled.insert(channel, Instant::now() + hub.limits.throttle);
    }

    /// As whom it brings new events; none if it may bring anybody's.
    pub(crate) fn author(&self) -> Option<Subject> {
        let subject = self.grant.as_ref().and_then(Grant::subject);
        subject.filter(|_| self.authors == Authors::Own).cloned()
    }

    /// Channels that were throttled and are so no longer.
    pub(crate) fn released(&mut self) -> Vec<u32> {
        let now = Instant::now();
        let done: Vec<u32> =
            self.throttled.iter().filter(|(_, at)| **at <= now).map(|(channel, _)| *channel).collect();
        self.throttled.retain(|channel, _| !done.contains(channel));
        done
    }

    /// A channel has been closed.
    pub(crate) fn forget(&mut self, channel: u32) {
        self.throttled.remove(&channel);
    }

    fn may(&self, right: Right, name: &str) -> Result<(), Refused> {
        match &self.grant {
            Some(grant) if grant.may(right, name) => Ok(()),
            Some(grant) => Err(Refused::new(Code::Forbidden, grant.lacks(right, name))),
            // No frame is looked at before the greeting.
            None => Err(Denied::NoToken.into()),
        }
    }
}
