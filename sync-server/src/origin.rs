//! Which websites may reach `/sync` through their visitors' browsers.
//!
//! A browser lets any page open a WebSocket to any server that its user can reach, one on loopback too, and tells the
//! server only the page's origin (RFC 6454). So the server has to ask. Programs that are not browsers send none, and
//! could send any: this keeps out strangers' pages, not strangers.

use axum::http::{HeaderMap, Uri, header};
use std::fmt;
use std::str::FromStr;

/// Where a web page comes from: scheme, host and port.
///
/// ```
/// use watersmeet_sync::Origin;
///
/// let origin: Origin = "https://Maps.example:443/about".parse()?;
/// assert_eq!(origin, "https://maps.example".parse()?);
/// assert!("maps.example".parse::<Origin>().is_err());
/// # Ok::<(), watersmeet_sync::NoOrigin>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    /// Host, and port if it is not the scheme's own.
    authority: String,
}

/// A text that is no URL of a web page, and so has no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the URL of a web page, such as https://maps.example")]
pub struct NoOrigin(String);

/// Which origins are allowed besides the server's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// No other.
    #[default]
    Own,
    /// These too.
    These(Vec<Origin>),
    /// All.
    Any,
}

impl FromStr for Origin {
    type Err = NoOrigin;

    /// The origin of a URL.
    fn from_str(url: &str) -> Result<Self, NoOrigin> {
        let no_origin = || NoOrigin(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| no_origin())?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
        let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else { return Err(no_origin()) };
        let authority = own_port_left_out(scheme, authority.as_str());
        Ok(Origin { scheme: scheme.to_owned(), authority })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl Origin {
    /// Its host, without the port.
    pub(crate) fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            // A colon within brackets belongs to an address.
            Some((host, port)) if !port.contains(']') => host,
            _ => &self.authority,
        }
    }
}

impl Origins {
    /// Whether a request with such headers may be answered; if not, the origin that it comes from.
    pub(crate) fn check<'a>(&self, headers: &'a HeaderMap) -> Result<(), &'a str> {
        let Some(origin) = headers.get(header::ORIGIN).filter(|_| *self != Origins::Any) else {
            return Ok(());
        };
        let said = origin.to_str().unwrap_or("an unreadable one");
        // A page without an origin says "null", which is none.
        let Ok(origin) = said.parse::<Origin>() else { return Err(said) };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        // The scheme is not compared: a proxy that ends TLS leaves no trace of it.
        let own = host.is_some_and(|host| own_port_left_out(&origin.scheme, host) == origin.authority);
        let listed = matches!(self, Origins::These(origins) if origins.contains(&origin));
        if own || listed { Ok(()) } else { Err(said) }
    }
}

fn own_port_left_out(scheme: &str, authority: &str) -> String {
    let port = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn allows(origins: &Origins, origin: Option<&'static str>, host: &'static str) -> bool {
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
        origins.check(&headers).is_ok()
    }

    #[test]
    fn a_page_of_the_server_itself_is_allowed_and_others_are_not() {
        let own = |origin, host| allows(&Origins::Own, origin, host);
        assert!(own(None, "127.0.0.1:8080"), "programs send no origin");
        assert!(own(Some("http://127.0.0.1:8080"), "127.0.0.1:8080"));
        assert!(own(Some("https://maps.example"), "maps.example"), "behind a proxy");
        assert!(own(Some("https://maps.example"), "Maps.example:443"));
        assert!(own(Some("http://[::1]:8080"), "[::1]:8080"));
        for stranger in [
            "https://evil.example",
            "http://127.0.0.1",
            "http://127.0.0.1:80801",
            "http://127.0.0.1:5173",
            "http://localhost:8080",
            "http://127.0.0.1:8080.evil.example",
            "http://evil.example#127.0.0.1:8080",
            "http://x@127.0.0.1:8080",
            "null",
            "",
            "127.0.0.1:8080",
        ] {
            assert!(!own(Some(stranger), "127.0.0.1:8080"), "{stranger}");
        }
    }

    #[test]
    fn listed_origins_are_allowed_and_any_is_any() {
        let listed = Origins::These(vec!["https://maps.example/app/".parse().unwrap()]);
        assert!(allows(&listed, Some("https://maps.example"), "10.0.0.7:8080"));
        assert!(!allows(&listed, Some("http://maps.example"), "10.0.0.7:8080"), "another scheme");
        assert!(!allows(&listed, Some("https://sub.maps.example"), "10.0.0.7:8080"));
        assert!(allows(&Origins::Any, Some("null"), "10.0.0.7:8080"));
    }
}
