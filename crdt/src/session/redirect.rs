//! Which URLs a server may be named by, and which of them a client may follow.
//!
//! Whoever follows shows its token to another server. So it never leaves a connection that is encrypted for one that is
//! not, whatever it is told.

/// Bytes of a URL.
pub const URL_BYTES_MAX: usize = 2_048;

/// Whether `url` is one of WebSockets: `ws` or `wss`, a host, and neither a name and password nor a fragment.
pub fn is_socket_url(url: &str) -> bool {
    security(url).is_some()
}

/// Whether a client that was told to connect to `own` may go to `named` instead: it must be no less secure.
pub fn may_follow(own: &str, named: &str) -> bool {
    security(named).is_some_and(|named| named >= security(own).unwrap_or(Security::Encrypted))
}

/// Who may listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Security {
    Plain,
    Encrypted,
}

/// None if it is no URL of WebSockets.
fn security(url: &str) -> Option<Security> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"#\\\"<>".contains(&byte);
    if url.len() > URL_BYTES_MAX || host.is_empty() || host.contains('@') || !url.bytes().all(plain) {
        return None;
    }
    match scheme {
        scheme if scheme.eq_ignore_ascii_case("ws") => Some(Security::Plain),
        scheme if scheme.eq_ignore_ascii_case("wss") => Some(Security::Encrypted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_never_goes_where_it_is_less_secure() {
        let (plain, encrypted) = ("ws://a/sync", "wss://a/sync");
        assert!(may_follow(plain, "ws://b:81/x?y") && may_follow(plain, "WSS://b"));
        assert!(may_follow(encrypted, "wss://b/sync"));
        assert!(!may_follow(encrypted, "ws://b/sync"));
        assert!(!may_follow("WSS://a", "ws://b"));
        // Nothing is known of such a one, so the most is asked for.
        assert!(!may_follow("sync", "ws://b") && may_follow("sync", "wss://b"));
    }

    #[test]
    fn what_is_no_url_of_a_server_is_not_followed() {
        let long = format!("wss://b/{}", "x".repeat(URL_BYTES_MAX));
        for url in [
            "",
            "wss://",
            "wss:///sync",
            "https://b",
            "wss://me:secret@b",
            "wss://b/ x",
            "wss://b/#x",
            "//b",
            &long,
        ] {
            assert!(!is_socket_url(url) && !may_follow("ws://a", url), "{url}");
        }
    }
}
