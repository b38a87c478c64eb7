//! The parameters of `GET /api/changes`.

use std::time::Duration;

use axum::http::HeaderMap;
use strom_store::repository::{FeedCursor, RepositoryError, Since};

use super::parameters::{boolean, number, parameters, unknown};
use crate::http::respond::{Problem, ProblemKind};

/// Maximum number of changes on a page.
pub(crate) const MAX_LIMIT: u32 = 1_000;
const DEFAULT_LIMIT: u32 = 100;
/// The lowest cursor that a feed can have: the number of a log is a time.
const FIRST: FeedCursor = FeedCursor::new(1, 0, 0);
/// Maximum time that a client may wait for a change, in seconds.
pub(crate) const MAX_WAIT: u64 = 60;

/// A part of the change feed.
pub(crate) struct ChangesQuery {
    pub(crate) since: Since,
    pub(crate) limit: u32,
    pub(crate) wait: Duration,
    /// Whether each change contains its flow.
    pub(crate) documents: bool,
}

impl ChangesQuery {
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut changes = Self { since: Since::Now, limit: DEFAULT_LIMIT, wait: Duration::ZERO, documents: false };
        for (name, value) in &parameters(query)? {
            match name.as_ref() {
                "since" => changes.since = since(name, value)?,
                "limit" => changes.limit = number(name, value, 1..=u64::from(MAX_LIMIT))? as u32,
                "wait" => changes.wait = Duration::from_secs(number(name, value, 0..=MAX_WAIT)?),
                "documents" => changes.documents = boolean(name, value)?,
                "auth_token" => {}
                _ => return Err(unknown(name)),
            }
        }
        Ok(changes)
    }

    /// Continues after `Last-Event-ID`. A client that has received no event yet may send a blank id, which is ignored.
    pub(crate) fn resume(&mut self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(last) = headers.get("last-event-id") else { return Ok(()) };
        let unreadable = |_| Problem::new(ProblemKind::InvalidHeader, "`Last-Event-ID` is not ASCII text");
        let last = last.to_str().map_err(unreadable)?;
        if !last.trim().is_empty() {
            self.since = since("Last-Event-ID", last)?;
        }
        Ok(())
    }
}

/// Parses a position in the change feed. `0` is the oldest retained change. A blank value means future changes only.
fn since(name: &str, value: &str) -> Result<Since, Problem> {
    match value.trim() {
        "" => Ok(Since::Now),
        "0" => Ok(Since::Oldest),
        cursor => match cursor.parse::<FeedCursor>() {
            // No feed has such a cursor, although it precedes all others. Backends would answer it differently.
            Ok(forged) if forged < FIRST => Err(RepositoryError::Gone.into()),
            Ok(cursor) => Ok(Since::After(cursor)),
            Err(error) => Err(Problem::parameter(name, error)),
        },
    }
}
