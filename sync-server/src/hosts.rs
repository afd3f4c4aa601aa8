//! For which names a request may be.
//!
//! An open server on loopback trusts whoever can reach it, and any web page can: its own name can be made to lead to
//! 127.0.0.1 after it was loaded (DNS rebinding), and then the page's origin and the request's host agree. But the name
//! is still its own. So an open server on loopback answers only to names that are known to be its own.

use crate::Origin;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use std::net::Ipv4Addr;

/// Names that the server answers to, by the header `Host`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hosts {
    /// Whatever it is called.
    #[default]
    Any,
    /// The names of this machine for itself (`localhost`, `127.0.0.1`, `[::1]`), and those of these origins.
    Loopback(Vec<Origin>),
}

impl Hosts {
    /// Whether a request with such headers may be answered; if not, the name that it is for.
    pub(crate) fn check<'a>(&self, headers: &'a HeaderMap) -> Result<(), &'a str> {
        let Hosts::Loopback(others) = self else { return Ok(()) };
        // A browser names the host always.
        let Some(said) = headers.get(header::HOST) else { return Ok(()) };
        let said = said.to_str().map_err(|_| "an unreadable one")?;
        let authority: Authority = said.parse().map_err(|_| said)?;
        let host = authority.host();
        if is_loopback(host) || others.iter().any(|origin| origin.host().eq_ignore_ascii_case(host)) {
            Ok(())
        } else {
            Err(said)
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn an_open_server_on_loopback_answers_to_its_own_names_only() {
        let hosts = Hosts::Loopback(vec!["https://maps.example/app".parse().unwrap()]);
        let answers = |host: &'static str| {
            hosts.check(&HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))])).is_ok()
        };
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.:8080",
            "map.localhost:8080",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]:8080",
            "Maps.example",
            "maps.example:8443",
        ] {
            assert!(answers(own), "{own}");
        }
        for other in [
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "128.0.0.1",
            "10.0.0.7:8080",
            "evil-localhost",
            "[::2]:8080",
            "",
            "a b",
            "x@evil.example",
        ] {
            assert!(!answers(other), "{other}");
        }
        assert!(hosts.check(&HeaderMap::new()).is_ok(), "only browsers can be lured, and they name the host");
        let evil = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("evil.example"))]);
        assert!(Hosts::Any.check(&evil).is_ok());
    }
}
