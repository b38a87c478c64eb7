//! The time and the author of a change.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};

use super::time_limits::limited;

/// The name of the person or program that makes a change: the name of an API key, `cli`, `sql`, `file`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Author(Arc<str>);

impl Author {
    /// Returns the author of edits that another program or a person made to the JSON file.
    pub fn file() -> Self {
        Self("file".into())
    }

    /// Returns the author with this name. Removes control characters and cuts the rest after 100 characters, so that
    /// every backend can store the name and a terminal can print it.
    pub fn new(name: &str) -> Self {
        Self(name.chars().filter(|c| !c.is_control()).take(100).collect::<String>().into())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The time and the author of a change. The caller of the repository creates it, because a store does not read the
/// clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    pub(crate) at: DateTime<Utc>,
    pub(crate) author: Author,
}

impl Stamp {
    /// Returns a stamp. Truncates the time to microseconds, the precision of PostgreSQL's `timestamptz`, and limits it to
    /// [`TIME_LIMITS`](super::TIME_LIMITS).
    pub fn new(at: DateTime<Utc>, author: Author) -> Self {
        Self { at: limited(at.trunc_subsecs(6)), author }
    }

    /// Returns the time of the change.
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// Returns the author of the change.
    pub fn author(&self) -> &Author {
        &self.author
    }
}
