//! `Accept-Encoding` of requests, and the entity tags of compressed responses.
//!
//! The compression layer responds with 406 if a client excludes every encoding, and it does so after the handler has run. Then a
//! `DELETE` would report a failure although it deleted the flow. RFC 9110, section 12.5.3, permits a server to ignore the field.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::http::extract::media_type::weighted_range;

/// Reduces `Accept-Encoding` to `gzip` or nothing, so that the compression layer always finds an encoding. Makes the entity tag
/// of a compressed response weak, because it has other bytes than the uncompressed one (RFC 9110, section 8.8.3.3).
pub(crate) async fn negotiate_encoding(mut request: Request, next: Next) -> Response {
    let accepts_gzip = accepts_gzip(request.headers());
    match accepts_gzip {
        true => _ = request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
        false => _ = request.headers_mut().remove(header::ACCEPT_ENCODING),
    }
    let is_head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    // These have the headers of a response whose body would be compressed.
    let has_no_body = is_head || response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    let Some(tag) = headers.get(header::ETAG) else { return response };
    let is_compressed = headers.contains_key(header::CONTENT_ENCODING) || (has_no_body && accepts_gzip);
    if let (true, Some(weak)) = (is_compressed, weakened(tag)) {
        headers.insert(header::ETAG, weak);
    }
    if has_no_body && !varies_by_encoding(headers) {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

/// Reports whether gzip has a weight and at least that of the uncompressed response. A client that excludes both receives the
/// uncompressed response.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let codings: Vec<_> = fields.flat_map(|field| field.split(',')).map(weighted_range).collect();
    let weight = |names: &[&str]| {
        let named = codings.iter().filter(|(coding, _)| names.iter().any(|name| name.eq_ignore_ascii_case(coding)));
        named.map(|(_, weight)| *weight).max()
    };
    let gzip = weight(&["gzip", "x-gzip"]).or_else(|| weight(&["*"])).unwrap_or(0);
    gzip > 0 && gzip >= weight(&["identity"]).unwrap_or(0)
}

fn weakened(tag: &HeaderValue) -> Option<HeaderValue> {
    let tag = tag.to_str().ok().filter(|tag| !tag.starts_with("W/"))?;
    HeaderValue::try_from(format!("W/{tag}")).ok()
}

fn varies_by_encoding(headers: &HeaderMap) -> bool {
    let names = headers.get_all(header::VARY).into_iter().filter_map(|value| value.to_str().ok());
    names.flat_map(|names| names.split(',')).any(|name| name.trim().eq_ignore_ascii_case("accept-encoding"))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};

    use super::accepts_gzip;

    #[test]
    fn gzip_is_used_if_the_client_prefers_it() {
        for (field, expected) in [
            ("gzip", true),
            ("GZIP;q=0.5, br", true),
            ("x-gzip", true),
            ("*", true),
            ("identity;q=0, *", true),
            ("gzip, identity;q=0", true),
            ("", false),
            ("br", false),
            ("identity", false),
            ("gzip;q=0, *", false),
            ("gzip;q=0.4, identity;q=0.5", false),
            ("identity;q=0", false),
            ("*;q=0", false),
            ("gzip;q=0, identity;q=0, *;q=0", false),
            ("gzip;q=x", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, field.parse().unwrap())]);
            assert_eq!(accepts_gzip(&headers), expected, "{field}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
