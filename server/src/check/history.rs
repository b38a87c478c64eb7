//! Verifies the history of one flow.
//!
//! Retention deletes the oldest revisions, so a history may start with any revision. After that, the only gaps are those of
//! [thinning](strom_store::Retention): it retains the newest revision of each minute. Its last record must have the current
//! revision and content of the flow, or be the deletion of a flow that does not exist.

use chrono::{DateTime, TimeDelta, Utc};
use strom_store::flow::{Flow, Runtime};
use strom_store::repository::{FeedCursor, Operation, Record, Revision};

/// A revision and the SHA-256 of its content without runtime members. The hash is `None` if the document is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    revision: Revision,
    hash: Option<[u8; 32]>,
}

impl Content {
    pub(super) fn of(flow: &Flow, revision: Revision) -> Self {
        Self { revision, hash: flow.hash(Runtime::Exclude).ok() }
    }
}

/// The history of one flow, read in ascending order.
#[derive(Debug)]
pub(super) struct HistoryCheck {
    /// Records from before this time may have thinned out.
    complete_since: DateTime<Utc>,
    last: Option<(FeedCursor, Operation, Revision, DateTime<Utc>)>,
    /// The document of the last record.
    pub(super) document: Option<Flow>,
    problems: Vec<String>,
}

impl HistoryCheck {
    /// Starts to check a history.
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        let complete_since = now - TimeDelta::hours(1);
        Self { complete_since, last: None, document: None, problems: Vec::new() }
    }

    /// Adds the next record.
    pub(super) fn add<T>(&mut self, record: &Record<T>) {
        let Record { cursor, operation, revision, at, .. } = *record;
        if let Some((last_cursor, last_operation, last, last_at)) = self.last.replace((cursor, operation, revision, at))
        {
            // Thinning that deletes a revision between two others also deletes the first one if both are of the same minute.
            let minute = |at: DateTime<Utc>| at.timestamp().div_euclid(60);
            let has_thinned = at < self.complete_since && minute(last_at) != minute(at);
            // A flow that was adopted after its deletion may continue with a higher revision.
            let may_skip = has_thinned
                || last_operation == Operation::Delete
                || revision.number() == last.number() + 1 + Revision::SKIPPED;
            if revision <= last || cursor <= last_cursor {
                self.problems.push(format!(
                    "the history is out of order: revision {revision} does not follow revision {last}; `strom get \
                     --revision` can still read both"
                ));
            } else if revision > last.next() && !may_skip {
                self.problems.push(gap(last.number() + 1, revision.number() - 1));
            }
        }
    }

    /// Whether the flow exists, and the history does not end with its revision and content.
    pub(super) fn lacks_current(&self, current: Option<&Content>) -> bool {
        let Some(current) = current else { return false };
        let is_last = |(_, operation, revision, _)| operation != Operation::Delete && revision == current.revision;
        !self.last.is_some_and(is_last) || self.differs_from(current)
    }

    fn differs_from(&self, current: &Content) -> bool {
        let recorded = self.document.as_ref().and_then(|document| document.hash(Runtime::Exclude).ok());
        current.hash.zip(recorded).is_some_and(|(current, recorded)| current != recorded)
    }

    /// Returns all problems, given the current content of the flow. A problem with the current content is the last one.
    pub(super) fn problems(mut self, current: Option<&Content>) -> Vec<String> {
        const RECORD: &str = "`strom check --repair` records the current document";
        let last = self.last.map(|(_, operation, revision, _)| (operation, revision));
        self.problems.extend(match (current, last) {
            (None, Some((Operation::Delete, _)) | None) => None,
            (None, Some((_, last))) => Some(format!(
                "the flow does not exist, but its history ends with revision {last} instead of a deletion; `strom \
                 restore --revision {last}` restores it"
            )),
            (Some(Content { revision, .. }), None) => {
                Some(format!("the flow is at revision {revision}, but it has no history; {RECORD}"))
            }
            (Some(Content { revision, .. }), Some((Operation::Delete, last))) => Some(format!(
                "the flow exists at revision {revision}, but its history ends with its deletion as revision {last}; \
                 {RECORD}"
            )),
            (Some(Content { revision, .. }), Some((_, last))) if *revision != last => {
                Some(format!("the flow is at revision {revision}, but its history ends with revision {last}; {RECORD}"))
            }
            (Some(current), Some(_)) => self.differs_from(current).then(|| {
                let revision = current.revision;
                format!(
                    "the document differs from revision {revision} in its history; compare with `strom get --revision \
                     {revision}`; {RECORD}"
                )
            }),
        });
        self.problems
    }
}

fn gap(first: u64, last: u64) -> String {
    let what = match first == last {
        true => format!("revision {first} is missing"),
        false => format!("the revisions {first} to {last} are missing"),
    };
    format!("the history has a gap: {what}; only a backup can contain the missing part")
}
