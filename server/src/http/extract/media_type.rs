//! `Content-Type`, `Content-Encoding` and `Accept`.

use axum::http::{HeaderMap, header};

use crate::http::respond::{Problem, ProblemKind};

/// Rejects an encoding other than gzip (RFC 9110, section 8.4). A layer has already decoded gzip and removed the header.
pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Err(Problem::new(
            ProblemKind::UnsupportedMediaType,
            "send the body uncompressed or with `Content-Encoding: gzip`",
        )
        .with_header(header::ACCEPT_ENCODING, "gzip")),
        _ => Ok(()),
    }
}

/// Accepts `application/json` and types that end in `+json` (RFC 6839).
///
/// This is also a protection: a cross-origin web page may send text and forms to a server on the loopback address of its
/// visitor. For JSON, a browser first sends a CORS preflight request, which the server never grants.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    match essence(headers).as_deref() {
        Some("application/json") => Ok(()),
        Some(other) if other.ends_with("+json") => Ok(()),
        _ => Err(Problem::new(ProblemKind::UnsupportedMediaType, "send `Content-Type: application/json`")),
    }
}

/// As [`check_json`], and accepts NDJSON. Browsers send a preflight request for NDJSON too.
pub(crate) fn check_json_or_lines(headers: &HeaderMap) -> Result<(), Problem> {
    if is_lines(headers) { Ok(()) } else { check_json(headers) }
}

/// Reports whether the body is NDJSON (<https://github.com/ndjson/ndjson-spec>).
pub(crate) fn is_lines(headers: &HeaderMap) -> bool {
    let types = ["application/x-ndjson", "application/ndjson", "application/jsonl"];
    essence(headers).is_some_and(|essence| types.contains(&essence.as_str()))
}

/// Returns the media type of the body without its parameters, in lower case.
pub(crate) fn essence(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or(value);
    Some(String::from_utf8_lossy(essence).trim().to_ascii_lowercase())
}

/// Reports whether `Accept` gives this type at least the weight of JSON (RFC 9110, section 12.5.1). The header must name the
/// type: a client that accepts any type receives JSON.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let fields = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<_> = fields.flat_map(|field| field.split(',')).map(weighted_range).collect();
    let weight = |wanted: &str| {
        let named = ranges.iter().filter(|(range, _)| range.eq_ignore_ascii_case(wanted));
        named.map(|(_, weight)| *weight).max().unwrap_or(0)
    };
    weight(media_type) > 0 && weight(media_type) >= weight("application/json")
}

/// Returns a media range or a content coding, and its weight in thousandths. The weight 0 excludes a type. An invalid weight counts as 0, so that
/// no client receives a stream by mistake.
pub(crate) fn weighted_range(range: &str) -> (&str, u16) {
    let mut parts = range.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let mut parameters = parts.filter_map(|parameter| parameter.split_once('='));
    let weight = match parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q")) {
        Some((_, weight)) => weight.trim().parse().ok().filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0),
        None => 1.0,
    };
    (range, (weight * 1_000.0) as u16)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};

    use super::accepts;

    #[test]
    fn a_type_needs_its_name_and_the_weight_of_json() {
        let events = "text/event-stream";
        for (fields, expected) in [
            (&[events] as &[&str], true),
            (&["Text/Event-Stream"], true),
            (&["text/event-stream;q=0.1, */*"], true),
            (&["application/json, text/event-stream"], true),
            (&["application/json;q=0.5", "text/event-stream ; Q=0.5"], true),
            (&["text/event-stream;charset=utf-8;q=1.000"], true),
            (&[], false),
            (&["*/*"], false),
            (&["text/*"], false),
            (&["text/event-stream;q=0"], false),
            (&["text/event-stream;q=0.000, */*"], false),
            (&["text/event-stream;q=2"], false),
            (&["text/event-stream;q=NaN"], false),
            (&["text/event-streams"], false),
            (&["text/event-stream;q=0.4, application/json;q=0.5"], false),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(header::ACCEPT, field.parse().unwrap());
            }
            assert_eq!(accepts(&headers, events), expected, "{fields:?}");
        }
    }
}
