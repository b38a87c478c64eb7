//! A problem with its details, and the response that reports it.

use std::fmt::Display;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use strom_store::flow::{Flow, FlowId, Head, MergeError};
use strom_store::repository::{Record, Stored};

use super::body::{Conflicts, CurrentFlow, Deletion, ProblemBody};
use super::divergence::Divergence;
use super::of_read::ReadProblem;
use super::status::ProblemKind;

/// The start of a detail that applies to writes only.
const UNWRITTEN: &str = "nothing was written; ";

/// The media type of a problem document (RFC 9457).
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// The result of a route.
pub(crate) type RouteResult = Result<Response, Problem>;

/// A response that is not a success.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: ProblemKind,
    detail: String,
    path: Option<String>,
    current: Option<Box<Stored<Flow>>>,
    divergence: Option<Box<Divergence>>,
    conflicts: Option<Box<Conflicts>>,
    deletion: Option<Box<Deletion>>,
    retry_after: Option<Duration>,
    header: Option<Box<(HeaderName, &'static str)>>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            path: None,
            current: None,
            divergence: None,
            conflicts: None,
            deletion: None,
            retry_after: None,
            header: None,
        }
    }

    /// Returns the problem of an invalid query parameter.
    pub(crate) fn parameter(name: &str, problem: impl Display) -> Self {
        let name: String = name.chars().take(64).collect();
        Self::new(ProblemKind::InvalidParameter, format!("`{name}`: {problem}"))
    }

    pub(crate) fn no_such_flow(id: FlowId) -> Self {
        Self::new(ProblemKind::NoSuchFlow, format!("there is no flow {id}"))
    }

    pub(crate) fn no_such_revision(id: FlowId, revision: impl Display) -> Self {
        let detail = format!("the flow {id} has no revision {revision}, or it is no longer retained");
        Self::new(ProblemKind::NoSuchRevision, detail)
    }

    /// Returns the problem of an unreachable storage. The client receives `detail`.
    pub(crate) fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(ProblemKind::Unavailable, detail).retry_after(retry_after)
    }

    /// Returns the problem of a failed precondition, with the current flow if it exists.
    pub(crate) fn precondition_failed(detail: impl Into<String>, current: Option<Box<Stored<Flow>>>) -> Self {
        Self { current, ..Self::new(ProblemKind::PreconditionFailed, detail) }
    }

    /// Returns the problem of a flow that is at another revision than the precondition names.
    pub(crate) fn stale(current: Box<Stored<Flow>>) -> Self {
        let detail = format!("the flow is at revision {}; nothing was written", current.version.revision);
        Self::precondition_failed(detail, Some(current))
    }

    /// Adds the JSON path of the rejected value.
    pub(crate) fn at(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// Adds the time after which a retry may succeed.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Adds a header.
    pub(crate) fn with_header(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some(Box::new((name, value))), ..self }
    }

    /// Adds the difference between the rejected edit and the current flow.
    pub(crate) fn with_divergence(self, divergence: Option<Divergence>) -> Self {
        Self { divergence: divergence.map(Box::new), ..self }
    }

    /// Adds the deletion of the flow.
    pub(crate) fn with_deletion(self, deletion: Option<&Record<Head>>) -> Self {
        Self { deletion: deletion.map(Deletion::of).map(Box::new), ..self }
    }

    /// Adds the reason why the server could not merge the edit.
    pub(crate) fn unmerged(self, reason: &str) -> Self {
        Self { detail: format!("{}; cannot merge: {reason}", self.detail), ..self }
    }

    /// Adds the conflicts of the merge.
    pub(crate) fn with_conflicts(self, error: MergeError) -> Self {
        match error {
            MergeError::Conflicts(list, more) => Self { conflicts: Some(Box::new(Conflicts { list, more })), ..self },
            _ => self,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// Returns the JSON object.
    pub(crate) fn document(&self) -> Vec<u8> {
        self.document_with(&self.detail)
    }

    fn document_with(&self, detail: &str) -> Vec<u8> {
        let title = self.kind.title();
        let body = ProblemBody {
            error: title,
            details: detail,
            r#type: self.kind.uri(),
            title,
            status: self.kind.status().as_u16(),
            detail,
            path: self.path.as_deref(),
            current: self.current.as_deref().map(CurrentFlow::of),
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
            // Whole seconds and at least 1: a client would retry 0 in a busy loop.
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let (ProblemKind::Busy, Some(detail)) = (self.kind, self.detail.strip_prefix(UNWRITTEN)) {
            response.extensions_mut().insert(ReadProblem(self.document_with(detail)));
        }
        if let Some(header) = self.header {
            let (name, value) = *header;
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
