//! Which of our encodings a client wants, and whether it has the tile already.
//!
//! One idea: the client's wishes (RFC 9110, sections 12.5.3 and 13.1.2) decide; among equals we prefer what needs no
//! more work: the archive's gzip only after brotli and zstd, which are smaller over the wire and made only once.

use axum::http::{HeaderMap, header};

use crate::compress::Encoding;

/// In order of our preference.
const OURS: [(Encoding, &str); 4] = [
    (Encoding::Brotli, "br"),
    (Encoding::Zstd, "zstd"),
    (Encoding::Gzip, "gzip"),
    (Encoding::Identity, "identity"),
];

/// The name of an encoding in HTTP.
pub(super) fn name(encoding: Encoding) -> &'static str {
    OURS.iter().find(|(ours, _)| *ours == encoding).map_or("identity", |(_, name)| name)
}

/// The encoding that the client wants most. A client that says nothing, or refuses all of ours, gets plain bytes.
pub(super) fn encoding(headers: &HeaderMap) -> Encoding {
    let wishes: Vec<_> = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(wish)
        .collect();
    let quality = |name: &str| {
        let asked = |wanted: &str| wishes.iter().find(|(wish, _)| wish.eq_ignore_ascii_case(wanted));
        let exact = asked(name).or_else(|| (name == "gzip").then(|| asked("x-gzip")).flatten());
        let otherwise = if name == "identity" { 1 } else { 0 };
        exact.or_else(|| asked("*")).map_or(otherwise, |(_, quality)| *quality)
    };
    let mut best = (0, Encoding::Identity);
    for (encoding, name) in OURS {
        let quality = quality(name);
        if quality > best.0 {
            best = (quality, encoding);
        }
    }
    best.1
}

/// A name and its quality in thousandths; a quality that is no number counts as refused.
fn wish(text: &str) -> (&str, u16) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, quality.map_or(1000, thousandths))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 1000")]
fn thousandths(quality: &str) -> u16 {
    quality.parse::<f32>().map_or(0, |quality| (quality.clamp(0.0, 1.0) * 1000.0) as u16)
}

/// Whether one of the client's tags is ours; compared weakly (RFC 9110, section 13.1.2), since caches that pack anew
/// make tags weak.
pub(super) fn has_it(headers: &HeaderMap, etag: &[u8]) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter();
    tags.flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn chosen(accept: &str) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        encoding(&headers)
    }

    #[test]
    fn the_client_s_wishes_decide() {
        assert_eq!(encoding(&HeaderMap::new()), Encoding::Identity);
        assert_eq!(chosen("gzip, deflate, br, zstd"), Encoding::Brotli);
        assert_eq!(chosen("gzip;q=1.0, br;q=0.5"), Encoding::Gzip);
        assert_eq!(chosen("br;q=0, *;q=0.3"), Encoding::Zstd);
        assert_eq!(chosen("deflate"), Encoding::Identity);
        assert_eq!(chosen("x-gzip"), Encoding::Gzip);
        assert_eq!(chosen("gzip;q=0.001, identity;q=0"), Encoding::Gzip);
        assert_eq!(chosen("gzip;q=nonsense"), Encoding::Identity);
        assert_eq!(chosen("*;q=0"), Encoding::Identity);
    }

    #[test]
    fn tags_match_one_by_one_or_all() {
        let mut headers = HeaderMap::new();
        assert!(!has_it(&headers, b"\"a\""));
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"b\", W/\"a\""));
        assert!(has_it(&headers, b"\"a\""));
        assert!(!has_it(&headers, b"\"c\""));
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert!(has_it(&headers, b"\"c\""));
    }
}
