//! Bodies with one JSON document: checked for type, size, time and UTF-8.

use std::ops::Deref;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderName;
use futures::StreamExt;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use strom_store::envelope::{BYTE_ORDER_MARK, flow_text};
use strom_store::flow::MAX_SIZE;
use tokio::time::timeout;

use super::body_budget::{BodyBudget, BodyReservation};
use super::media_type::{check_encoding, check_json, essence};
use crate::http::app::App;
use crate::http::respond::{Problem, ProblemKind};

/// Maximum bytes of a body.
pub(crate) const MAX_BODY: usize = MAX_SIZE;

/// Maximum time for a whole body. Without a limit, a client that sends one byte per minute would occupy a request forever.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The text of a body whose type is JSON, without a byte order mark. The extractor does not parse it.
#[derive(Debug)]
pub(crate) struct JsonText(pub(crate) BodyText);

/// A text that occupies a part of the memory for bodies until it is dropped.
#[derive(Debug)]
pub(crate) struct BodyText {
    text: String,
    _reservation: BodyReservation,
}

impl Deref for BodyText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl FromRequest<App> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        check_encoding(request.headers())?;
        check_json(request.headers())?;
        let reading = read(request.into_body(), &app.body_budget);
        let (bytes, reservation) = timeout(READ_TIMEOUT, reading).await.unwrap_or_else(|_| {
            Err(Problem::new(
                ProblemKind::SlowBody,
                format!("the body was not complete after {} seconds", READ_TIMEOUT.as_secs()),
            ))
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let position = error.utf8_error().valid_up_to();
            Problem::new(
                ProblemKind::InvalidBody,
                format!("the body is not valid UTF-8 at byte {position} (counted from 0)"),
            )
        })?;
        Ok(Self(BodyText { text, _reservation: reservation }))
    }
}

/// Reads a body of at most [`MAX_BODY`] bytes. The memory is reserved while the body arrives, so a client cannot occupy memory with
/// the announcement of a large body.
async fn read(body: Body, budget: &BodyBudget) -> Result<(Vec<u8>, BodyReservation), Problem> {
    let (mut chunks, mut bytes, mut reservation) = (body.into_data_stream(), Vec::new(), BodyReservation::default());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::new(ProblemKind::InvalidBody, "the body ended early"))?;
        let length = bytes.len() + chunk.len();
        if length > MAX_BODY {
            return Err(Problem::new(ProblemKind::TooLarge, format!("the body has over {MAX_BODY} bytes")));
        }
        budget.extend(&mut reservation, length).await?;
        bytes.extend_from_slice(&chunk);
    }
    // RFC 8259, section 8.1, permits parsers to ignore the mark.
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok((bytes, reservation))
}

/// The header that lists the formats of patches (RFC 5789, section 3.1).
pub(crate) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// The value of [`ACCEPT_PATCH`].
pub(crate) const PATCH_TYPES: &str = "application/merge-patch+json, application/json-patch+json";

/// A body with a patch.
#[derive(Debug)]
pub(crate) struct Patch {
    pub(crate) kind: PatchKind,
    pub(crate) text: BodyText,
}

/// The format of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    /// `application/merge-patch+json` (RFC 7396).
    Merge,
    /// `application/json-patch+json` (RFC 6902).
    Operations,
}

impl FromRequest<App> for Patch {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
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
        let JsonText(mut text) = JsonText::from_request(request, app).await?;
        if kind == PatchKind::Merge && is_whole_flow(&text) {
            text.text = flow_text(&text).to_owned();
        }
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
