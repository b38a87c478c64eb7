//! The one error shape, and the one place where errors become HTTP.
//!
//! The body is a problem document (RFC 9457) that also has the members `error` and `details`, which clients read that
//! are older than the RFC. What comes from inside a storage goes to the log and never into an answer.

mod kind;

pub(super) use kind::Kind;

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::openapi::schemas;
use super::stale::Divergence;
use crate::flow::{Conflict, Flow, Head, MergeError, PatchError, Reason, Refusal};
use crate::repository::{Record, RepositoryError, Stored, ViolationKind};

/// Of the document (RFC 9457).
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// What to do where the changes behind a place are no longer kept. In this order: what changes while the flows are listed
/// comes behind the place, so nothing is missed.
pub(super) const BEGIN_ANEW: &str = "ask without `since` for a new place, list the flows, then go on from that place";

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    path: Option<String>,
    current: Option<Box<Stored<Flow>>>,
    divergence: Option<Box<Divergence>>,
    conflicts: Option<Box<Conflicts>>,
    deletion: Option<Box<Deletion>>,
    retry_after: Option<Duration>,
}

/// How a flow went that is not there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Deletion {
    revision: u64,
    at: DateTime<Utc>,
    author: String,
}

/// What stands in the way of a merge.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Conflicts {
    #[schema(value_type = Vec<schemas::Conflict>)]
    list: Vec<Conflict>,
    /// How many more there are.
    more: usize,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            path: None,
            current: None,
            divergence: None,
            conflicts: None,
            deletion: None,
            retry_after: None,
        }
    }

    /// The same, with the JSON path of what it is about.
    pub(super) fn at(self, path: &str) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    /// The same, with the time after which it is worth trying again.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// A query parameter that cannot be taken.
    pub(super) fn parameter(name: &str, problem: impl std::fmt::Display) -> Self {
        let name: String = name.chars().take(64).collect();
        Self::new(Kind::InvalidParameter, format!("`{name}`: {problem}"))
    }

    /// The storage does not answer; `detail` goes to the client.
    pub(super) fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(Kind::Unavailable, detail).retry_after(retry_after)
    }

    /// A condition that does not hold, with the flow as it is where there is one.
    pub(super) fn precondition_failed(detail: impl Into<String>, current: Option<Box<Stored<Flow>>>) -> Self {
        Self { current, ..Self::new(Kind::PreconditionFailed, detail) }
    }
}

/// A document that cannot be stored is 422; one that is no JSON at all 400, and one that is too large 413.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.reason {
            Reason::NotJson { .. } => Kind::InvalidBody,
            Reason::TooLarge => Kind::TooLarge,
            _ => Kind::Refused,
        };
        Self { path: Some(refusal.path.to_string()), ..Self::new(kind, refusal.to_string()) }
    }
}

/// A patch that is none is refused as a document is; one that does not fit this flow is a conflict with it (RFC 5789,
/// section 2.2).
impl From<PatchError> for Problem {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::Refused(refusal) => refusal.into(),
            PatchError::Unfit { .. } => Self::new(Kind::PatchConflict, error.to_string()),
            _ => Self::new(Kind::Refused, error.to_string()),
        }
    }
}

/// A storage that is read-only is 503 without `Retry-After`: the request is right and its sender can do
/// nothing about it. 403 would ask for another key, 409 for another document.
///
/// An instance that was told to read only is 403: it has understood and will not, and to ask it again helps as little as
/// another key (RFC 9110, section 15.5.4). Not 405, which speaks of the resource and has to list in `Allow` what it can: the
/// same address may be another instance's a moment later, behind a load balancer, and take the change.
///
/// Ephemeral flows that take too much memory are 507 (RFC 4918, section 11.5): there is room again when somebody has made
/// some, and to ask again before helps nothing. Not 413: the body may be small.
impl From<RepositoryError> for Problem {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Conflict(violations) => {
                let detail = violations.first().map_or_else(String::new, ToString::to_string);
                match violations.into_iter().next().map(|violation| violation.kind) {
                    Some(ViolationKind::AlreadyExists) => Self::new(Kind::FlowExists, detail),
                    Some(ViolationKind::NotFound) => Self::new(Kind::NoSuchFlow, detail),
                    Some(ViolationKind::Stale { current, .. }) => Self::stale(current),
                    None => Self::internal(&RepositoryError::Conflict(Vec::new())),
                }
            }
            RepositoryError::Unavailable { ref reason, retry_after, is_open } => {
                tracing::warn!(reason, "the storage is not available");
                let detail = match is_open {
                    true => "it does not answer just now; whether a write has happened is open, so read again",
                    false => "it does not answer just now; nothing was written",
                };
                Self::unavailable(detail, retry_after)
            }
            RepositoryError::Busy(ref reason) => {
                tracing::warn!(reason, "the storage is busy");
                let detail = "nothing was written; try again";
                Self::new(Kind::Busy, detail).retry_after(Duration::from_secs(1))
            }
            RepositoryError::ReadOnly(ref reason) => {
                tracing::warn!(reason, "the storage is read-only");
                Self::new(Kind::ReadOnly, "nothing was written; the operator finds the reason in the log")
            }
            RepositoryError::ReadOnlyInstance => {
                let detail = "nothing was written; send changes to an instance of Strom that runs without --read-only";
                Self::new(Kind::ReadOnlyInstance, detail)
            }
            RepositoryError::Gone => {
                Self::new(Kind::Gone, format!("the feed does not go back to this place; {BEGIN_ANEW}"))
            }
            RepositoryError::NoRoom { .. } => {
                Self::new(Kind::NoRoom, format!("{error}; nothing was written; delete some, or store some"))
            }
            RepositoryError::Corrupt(ref reason) => {
                tracing::error!(reason, "stored data cannot be read");
                Self::new(Kind::Corrupt, "it was left as it is; the operator finds the place in the log")
            }
            other => Self::internal(&other),
        }
    }
}

impl Problem {
    /// The flow is at another revision than the condition names.
    pub(super) fn stale(current: Box<Stored<Flow>>) -> Self {
        let detail = format!("the flow is at revision {}", current.version.revision);
        Self::precondition_failed(detail, Some(current))
    }

    /// The same, with how what was sent and what is there have gone apart.
    pub(super) fn with_divergence(self, divergence: Option<Divergence>) -> Self {
        Self { divergence: divergence.map(Box::new), ..self }
    }

    /// The same, with how the flow went that it is about.
    pub(super) fn with_deletion(self, deletion: Option<&Record<Head>>) -> Self {
        let deletion = deletion.map(|Record { revision, at, author, .. }| {
            Box::new(Deletion { revision: revision.number(), at: *at, author: author.as_str().to_owned() })
        });
        Self { deletion, ..self }
    }

    /// The same, of a change that was to be merged.
    pub(super) fn unmerged(self, reason: &str) -> Self {
        Self { detail: format!("{}, and nothing was merged: {reason}", self.detail), ..self }
    }

    /// The same, with what stands in the way of the merge.
    pub(super) fn with_conflicts(self, error: MergeError) -> Self {
        match error {
            MergeError::Conflicts(list, more) => Self { conflicts: Some(Box::new(Conflicts { list, more })), ..self },
            _ => self,
        }
    }

    fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = std::iter::successors(Some(error), |error| error.source());
        let chain = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        tracing::error!(error = chain, "internal error");
        Self::new(Kind::Internal, "the operator finds the reason in the log")
    }
}

/// What went wrong (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body<'a> {
    /// What kind of problem it is, for people. The same as `title`, for clients that are older than the RFC.
    error: &'a str,
    /// What it is this time. The same as `detail`, for clients that are older than the RFC.
    details: &'a str,
    /// What kind of problem it is, for programs.
    r#type: String,
    /// What kind of problem it is, for people.
    title: &'a str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What it is this time.
    detail: &'a str,
    /// The JSON path of the value that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    path: Option<&'a str>,
    /// The flow as it is, when it is not as the request expects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    current: Option<Current<'a>>,
    /// What has changed since, and what was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    difference: Option<&'a Divergence>,
    /// What stands in the way of a merge.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    conflicts: Option<&'a Conflicts>,
    /// How a flow went that is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deleted: Option<&'a Deletion>,
}

/// A flow as it is.
#[derive(Serialize, ToSchema)]
#[schema(as = CurrentFlow)]
pub(super) struct Current<'a> {
    /// Its revision.
    #[schema(minimum = 1)]
    revision: u64,
    /// When that was made, and by whom.
    at: DateTime<Utc>,
    author: &'a str,
    /// Its document.
    #[schema(value_type = schemas::Flow)]
    flow: &'a RawValue,
}

impl<'a> Current<'a> {
    fn of(Stored { item, version }: &'a Stored<Flow>) -> Self {
        let (revision, author) = (version.revision.number(), version.author.as_str());
        Self { revision, at: version.updated_at, author, flow: item.document() }
    }
}

impl Problem {
    pub(super) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The document, an object.
    pub(super) fn document(&self) -> Vec<u8> {
        let title = self.kind.title();
        let body = Body {
            error: title,
            details: &self.detail,
            r#type: self.kind.uri(),
            title,
            status: self.kind.status().as_u16(),
            detail: &self.detail,
            path: self.path.as_deref(),
            current: self.current.as_deref().map(Current::of),
            difference: self.divergence.as_deref(),
            conflicts: self.conflicts.as_deref(),
            deleted: self.deletion.as_deref(),
        };
        serde_json::to_vec(&body).expect("strings and JSON become JSON")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), [(header::CONTENT_TYPE, MEDIA_TYPE)], self.document()).into_response();
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never 0, which would be an invitation to hammer.
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
