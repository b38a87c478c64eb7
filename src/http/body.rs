//! Bodies on their way in: of a JSON type, not too large, not too slow, UTF-8.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::{Kind, Problem};
use crate::flow::MAX_SIZE;

/// The largest body, in bytes.
pub(super) const MAX_BODY: usize = MAX_SIZE;

/// How long a body may take: a client that sends one byte a minute must not hold a request for ever.
const READ_TIME: Duration = Duration::from_secs(60);

/// A body that says it is JSON. Whether it is, the parser tells.
#[derive(Debug)]
pub(super) struct JsonText(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_encoding(request.headers())?;
        check_type(request.headers())?;
        let bytes = timeout(READ_TIME, Bytes::from_request(request, state)).await.map_err(|_| {
            Problem::new(Kind::SlowBody, format!("it was not there after {} seconds", READ_TIME.as_secs()))
        })?;
        let bytes = bytes.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(Kind::TooLarge, format!("the body has over {MAX_BODY} bytes"))
            }
            _ => Problem::new(Kind::InvalidBody, "the body broke off"),
        })?;
        let text = String::from_utf8(bytes.into()).map_err(|error| {
            let position = error.utf8_error().valid_up_to();
            Problem::new(Kind::InvalidBody, format!("not UTF-8 at byte {position}, counted from 0"))
        })?;
        Ok(Self(text))
    }
}

/// A body that is a patch.
#[derive(Debug)]
pub(super) struct Patch {
    pub(super) kind: PatchKind,
    pub(super) text: String,
}

/// What a patch means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatchKind {
    /// `application/merge-patch+json` (RFC 7396).
    Merge,
    /// `application/json-patch+json` (RFC 6902).
    Operations,
}

impl<S: Send + Sync> FromRequest<S> for Patch {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = match essence(request.headers()).as_deref() {
            Some("application/merge-patch+json") => PatchKind::Merge,
            Some("application/json-patch+json") => PatchKind::Operations,
            _ => {
                let detail = "send `application/merge-patch+json` or `application/json-patch+json`";
                return Err(Problem::new(Kind::UnsupportedMediaType, detail));
            }
        };
        let JsonText(text) = JsonText::from_request(request, state).await?;
        Ok(Self { kind, text })
    }
}

/// A body of a shape that is ours: what cannot be read is 400, what has another shape 422.
pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| {
        let kind = if error.is_data() { Kind::Refused } else { Kind::InvalidBody };
        Problem::new(kind, error.to_string())
    })
}

/// What is still encoded here is encoded otherwise than by gzip, which a layer in front has undone (RFC 9110, section 8.4).
pub(super) fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Problem::new(Kind::UnsupportedMediaType, "send the body as it is, or with `Content-Encoding: gzip`"))
        }
        _ => Ok(()),
    }
}

/// `application/json` or any type that ends in `+json` (RFC 6839). Nothing else, for more than tidiness: a web page of a
/// stranger may send text and forms to a server on the loopback address of its visitor, but no JSON without asking
/// first (CORS preflight), which we never grant.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    match essence(headers).as_deref() {
        Some("application/json") => Ok(()),
        Some(other) if other.ends_with("+json") => Ok(()),
        _ => Err(Problem::new(Kind::UnsupportedMediaType, "send `Content-Type: application/json`")),
    }
}

/// As [`check_type`], or a type of documents that follow each other, which no page of a stranger may send either.
pub(super) fn check_type_of_many(headers: &HeaderMap) -> Result<(), Problem> {
    if is_of_many(headers) { Ok(()) } else { check_type(headers) }
}

/// Whether the body says that it is documents that follow each other (<https://github.com/ndjson/ndjson-spec>).
pub(super) fn is_of_many(headers: &HeaderMap) -> bool {
    let types = ["application/x-ndjson", "application/ndjson", "application/jsonl"];
    essence(headers).is_some_and(|essence| types.contains(&essence.as_str()))
}

/// The media type without its parameters, in lower case.
fn essence(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or(value);
    Some(String::from_utf8_lossy(essence).trim().to_ascii_lowercase())
}
