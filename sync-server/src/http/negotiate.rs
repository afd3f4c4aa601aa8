//! What a client accepts, and what it has already (RFC 9110 §12.5.1, §13.1.2).

use axum::http::{HeaderMap, header};

/// A document's whole state, as the engine writes it (`docs/wire.md`).
pub(super) const SNAPSHOT: &str = "application/vnd.watersmeet.snapshot";
/// What somebody lacks of a document.
pub(super) const DELTA: &str = "application/vnd.watersmeet.delta";
pub(super) const JSON: &str = "application/json";

/// The forms in which a document is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For programs that do not have the engine.
    Json,
    /// For those that do.
    Snapshot,
}

impl Form {
    /// In the order of preference, where a client has none.
    const ALL: [Form; 2] = [Form::Json, Form::Snapshot];

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Form::Json => JSON,
            Form::Snapshot => SNAPSHOT,
        }
    }

    /// The form that a client likes best; none if it accepts neither.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let accept = header_text(headers, header::ACCEPT);
        if accept.is_empty() {
            return Some(Form::Json);
        }
        let liked = Form::ALL.map(|form| (form, quality(&accept, form.media_type())));
        // The first of equals.
        let best = liked.into_iter().rev().max_by_key(|(_, quality)| *quality);
        best.filter(|(_, quality)| *quality > 0).map(|(form, _)| form)
    }

    /// The tag of a state in this form. Strong: equal tags are equal bytes.
    pub(super) fn etag(self, hash: u128) -> String {
        match self {
            Form::Json => format!("\"j{hash:032x}\""),
            Form::Snapshot => format!("\"s{hash:032x}\""),
        }
    }
}

/// Whether the client has what `etag` names.
pub(super) fn has(headers: &HeaderMap, etag: &str) -> bool {
    let tags = header_text(headers, header::IF_NONE_MATCH);
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// The values of a header that may come several times.
fn header_text(headers: &HeaderMap, name: header::HeaderName) -> String {
    let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// How much a media type is liked, in thousandths: what the most specific range that it is in says.
fn quality(accept: &str, media_type: &str) -> u32 {
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let specific = specificity(parts.next()?, media_type)?;
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((specific, thousandths(quality.unwrap_or("1"))))
    });
    ranges.max().map_or(0, |(_, quality)| quality)
}

fn specificity(range: &str, media_type: &str) -> Option<u8> {
    let range = range.to_ascii_lowercase();
    let of_type = range.strip_suffix("/*").is_some_and(|kind| media_type.split('/').next() == Some(kind));
    match range.as_str() {
        "*/*" => Some(1),
        _ if of_type => Some(2),
        exact if exact == media_type => Some(3),
        _ => None,
    }
}

/// A quality that cannot be read is none.
fn thousandths(quality: &str) -> u32 {
    let (whole, part) = quality.split_once('.').unwrap_or((quality, ""));
    let digits = part.bytes().all(|byte| byte.is_ascii_digit()) && part.len() <= 3;
    match (whole, format!("{part:0<3}").parse::<u32>()) {
        ("0", Ok(part)) if digits => part,
        ("1", Ok(0)) if digits => 1_000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_form_is_the_one_that_is_liked_best() {
        use Form::{Json, Snapshot};
        assert_eq!(Form::accepted(&HeaderMap::new()), Some(Json));
        for (accept, form) in [
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("application/json", Some(Json)),
            ("Application/VND.watersmeet.snapshot", Some(Snapshot)),
            ("application/json;q=0.5, application/vnd.watersmeet.snapshot", Some(Snapshot)),
            ("application/json;q=0.50, application/vnd.watersmeet.snapshot;q=0.499", Some(Json)),
            ("application/*, application/json;q=0", Some(Snapshot)),
            ("text/html, */*;q=0.1", Some(Json)),
            ("application/vnd.watersmeet.snapshot, */*;q=0.1", Some(Snapshot)),
            ("text/html", None),
            ("*/*;q=0", None),
            ("application/json;q=nonsense", None),
        ] {
            assert_eq!(Form::accepted(&with(header::ACCEPT, accept)), form, "{accept}");
        }
    }

    #[test]
    fn a_tag_is_of_one_state_in_one_form() {
        let (json, snapshot) = (Form::Json.etag(7), Form::Snapshot.etag(7));
        assert_ne!(json, snapshot);
        assert!(has(&with(header::IF_NONE_MATCH, "*"), &json));
        assert!(has(&with(header::IF_NONE_MATCH, "\"a\", W/\"j00000000000000000000000000000007\""), &json));
        assert!(!has(&with(header::IF_NONE_MATCH, "\"j00000000000000000000000000000007\""), &snapshot));
        assert!(!has(&HeaderMap::new(), &json));
    }
}
