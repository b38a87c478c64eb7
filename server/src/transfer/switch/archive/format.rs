//! The lines of an archive.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use strom_store::repository::{Author, Revision, Version};

/// The current format. Archives with a higher format are rejected.
pub(super) const FORMAT: u32 = 1;

/// The origin of an archive, from its first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Origin {
    /// The version of the program that wrote it.
    pub made_by: String,
    /// The time when the flows were read.
    pub at: DateTime<Utc>,
    /// The storage, without a password.
    pub from: String,
}

/// The contents of an archive, from its last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The number of flows.
    pub flows: usize,
    /// The number of deleted flows.
    pub deleted: usize,
    /// The number of revisions of both.
    pub revisions: usize,
    /// The SHA-256 of all bytes before the last line, in hexadecimal digits.
    pub sha256: String,
}

/// The first line.
#[derive(Serialize, Deserialize)]
pub(super) struct FirstLine<'a> {
    pub(super) strom: Cow<'a, str>,
    pub(super) format: u32,
    #[serde(flatten)]
    pub(super) origin: Option<Origin>,
}

/// A line with a flow or a deleted flow.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct FlowLine<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deleted: Option<Uuid>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<JsonVersion<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) flow: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) history: Option<&'a RawValue>,
}

/// The version of a flow.
#[derive(Serialize, Deserialize)]
pub(super) struct JsonVersion<'a> {
    revision: u64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    author: Cow<'a, str>,
}

impl<'a> JsonVersion<'a> {
    pub(super) fn of(version: &'a Version) -> Self {
        let Version { revision, created_at, updated_at, author } = version;
        Self {
            revision: revision.number(),
            created_at: *created_at,
            updated_at: *updated_at,
            author: author.as_str().into(),
        }
    }

    pub(super) fn version(self) -> Version {
        let Self { revision, created_at, updated_at, author } = self;
        Version { revision: Revision::new(revision), created_at, updated_at, author: Author::new(&author) }
    }
}
