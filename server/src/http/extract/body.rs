//! Bodies with one JSON document: checked for type, size, time and UTF-8.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderName, StatusCode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use strom_store::envelope::{BYTE_ORDER_MARK, flow_text};
use strom_store::flow::MAX_SIZE;
use tokio::time::timeout;

use super::media_type::{check_encoding, check_json, essence};
use crate::http::respond::{Problem, ProblemKind};

/// Maximum bytes of a body.
pub(crate) const MAX_BODY: usize = MAX_SIZE;

/// Maximum time for a whole body. Without a limit, a client that sends one byte per minute would occupy a request forever.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The text of a body whose type is JSON, without a byte order mark. The extractor does not parse it.
#[derive(Debug)]
pub(crate) struct JsonText(pub(crate) String);

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_encoding(request.headers())?;
        check_json(request.headers())?;
        let bytes = timeout(READ_TIMEOUT, Bytes::from_request(request, state)).await.map_err(|_| {
            Problem::new(
                ProblemKind::SlowBody,
                format!("the body was not complete after {} seconds", READ_TIMEOUT.as_secs()),
            )
        })?;
        let bytes = bytes.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(ProblemKind::TooLarge, format!("the body has over {MAX_BODY} bytes"))
            }
            _ => Problem::new(ProblemKind::InvalidBody, "the body ended early"),
        })?;
        // RFC 8259, section 8.1, permits parsers to ignore the mark.
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).map(|rest| bytes.slice_ref(rest)).unwrap_or(bytes);
        let text = String::from_utf8(bytes.into()).map_err(|error| {
            let position = error.utf8_error().valid_up_to();
            Problem::new(
                ProblemKind::InvalidBody,
                format!("the body is not valid UTF-8 at byte {position} (counted from 0)"),
            )
        })?;
        Ok(Self(text))
    }
}

/// The header that lists the formats of patches (RFC 5789, section 3.1).
pub(crate) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// The value of [`ACCEPT_PATCH`].
pub(crate) const PATCH_TYPES: &str = "application/merge-patch+json, application/json-patch+json";

/// A body with a patch.
#[derive(Debug)]
pub(crate) struct Patch {
    pub(crate) kind: PatchKind,
    pub(crate) text: String,
}

/// The format of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
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
                return Err(
                    Problem::new(ProblemKind::UnsupportedMediaType, detail).with_header(ACCEPT_PATCH, PATCH_TYPES)
                );
            }
        };
        let JsonText(text) = JsonText::from_request(request, state).await?;
        let text = match kind {
            PatchKind::Merge if is_whole_flow(&text) => flow_text(&text).to_owned(),
            _ => text,
        };
        Ok(Self { kind, text })
    }
}

/// Reports whether a merge patch is the response of a read or a save. Otherwise `flow` is a member to patch.
fn is_whole_flow(text: &str) -> bool {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Response {
        #[serde(rename = "flow")]
        _flow: Identified,
        #[serde(rename = "warnings", default)]
        _warnings: IgnoredAny,
        #[serde(rename = "merge", default)]
        _merge: IgnoredAny,
    }

    #[derive(Deserialize)]
    struct Identified {
        #[serde(rename = "id")]
        _id: String,
        #[serde(rename = "name")]
        _name: String,
    }

    serde_json::from_str::<Response>(text).is_ok()
}

/// Deserializes a body with a fixed shape. Invalid JSON is 400, JSON of another shape is 422.
pub(crate) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| {
        let kind = if error.is_data() { ProblemKind::Refused } else { ProblemKind::InvalidBody };
        Problem::new(kind, error.to_string())
    })
}
