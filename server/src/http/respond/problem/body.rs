//! The JSON members of a problem document.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use strom_store::flow::{Conflict, Flow, Head};
use strom_store::repository::{Record, Stored};
use utoipa::ToSchema;

use super::divergence::Divergence;
use crate::http::respond::description::schemas;

/// A problem (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// The same as `title`, for clients that do not support the RFC.
    pub(super) error: &'a str,
    /// The same as `detail`, for clients that do not support the RFC.
    pub(super) details: &'a str,
    /// The kind of the problem as a URN.
    pub(super) r#type: String,
    /// The kind of the problem as text.
    pub(super) title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub(super) status: u16,
    /// The cause of this problem and a remedy.
    pub(super) detail: &'a str,
    /// The JSON path of the rejected value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) path: Option<&'a str>,
    /// The current flow, if a precondition failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) current: Option<CurrentFlow<'a>>,
    /// The changes since the expected revision, and the changes of this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) difference: Option<&'a Divergence>,
    /// The conflicts that prevent a merge.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) conflicts: Option<&'a Conflicts>,
    /// The deletion of a missing flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) deleted: Option<&'a Deletion>,
}

/// The current version of a flow.
#[derive(Serialize, ToSchema)]
pub(crate) struct CurrentFlow<'a> {
    /// The revision of the flow.
    #[schema(minimum = 1)]
    revision: u64,
    /// The time and the author of the revision.
    at: DateTime<Utc>,
    author: &'a str,
    /// The document of the flow.
    #[schema(value_type = schemas::Flow)]
    flow: &'a RawValue,
}

impl<'a> CurrentFlow<'a> {
    pub(super) fn of(Stored { item, version }: &'a Stored<Flow>) -> Self {
        let (revision, author) = (version.revision.number(), version.author.as_str());
        Self { revision, at: version.updated_at, author, flow: item.document() }
    }
}

/// The deletion of a flow.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deletion {
    revision: u64,
    at: DateTime<Utc>,
    author: String,
}

impl Deletion {
    pub(super) fn of(Record { revision, at, author, .. }: &Record<Head>) -> Self {
        Self { revision: revision.number(), at: *at, author: author.as_str().to_owned() }
    }
}

/// The conflicts that prevent a merge.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Conflicts {
    #[schema(value_type = Vec<schemas::Conflict>)]
    pub(super) list: Vec<Conflict>,
    /// The number of further conflicts.
    pub(super) more: usize,
}
