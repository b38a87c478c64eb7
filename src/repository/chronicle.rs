//! A flow of another store with its history.

use chrono::{DateTime, SubsecRound, Utc};

use super::feed_cursor::FeedCursor;
use super::record::{Operation, Record};
use super::revision::Revision;
use super::stored::Stored;
use crate::flow::{Flow, FlowId, Refusal, Runtime};

/// A flow of another store with its retained revisions, whether the flow exists or was deleted. See
/// [`Change::Inherit`](super::Change::Inherit).
#[derive(Debug, Clone)]
pub struct Chronicle {
    id: FlowId,
    /// One per revision, ascending. The last one describes `now`, or the deletion.
    records: Vec<Record<Flow>>,
    now: Option<Stored<Flow>>,
}

/// Why records are not the history of one flow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidChronicle {
    /// Neither a flow nor a record is given.
    #[error("it contains neither a flow nor a record")]
    Empty,
    /// The records belong to several flows.
    #[error("its records belong to several flows")]
    SeveralFlows,
    /// A revision is out of range, or does not follow the revision before it.
    #[error("its revision {0} is out of range or out of order")]
    Revision(Revision),
    /// The flow does not exist, but the last record is not a deletion.
    #[error("the flow does not exist, but its last record is not a deletion")]
    NotDeleted,
    /// No store accepts this document.
    #[error("a document cannot be stored: {0}")]
    Document(#[from] Refusal),
}

impl Chronicle {
    /// Returns the chronicle of a flow. `now` is the current flow, or `None` if it was deleted. `records` are its
    /// records as [`histories`](super::FlowRepository::histories) returns them. Records that are newer than `now` are
    /// removed. If no record describes `now`, one is added. Times are truncated to microseconds.
    ///
    /// # Errors
    /// [`InvalidChronicle`] if the records do not belong to one flow, are not in the order of its revisions, or do not
    /// end with a deletion although the flow does not exist.
    pub fn new(now: Option<Stored<Flow>>, mut records: Vec<Record<Flow>>) -> Result<Self, InvalidChronicle> {
        records.retain(|record| {
            record.operation != Operation::State
                && now.as_ref().is_none_or(|now| record.revision <= now.version.revision)
        });
        match &now {
            Some(now) => end_with(now, &mut records)?,
            None if records.last().is_some_and(|last| last.operation != Operation::Delete) => {
                return Err(InvalidChronicle::NotDeleted);
            }
            None => {}
        }
        let Some(id) = records.last().map(|last| last.item.id()) else { return Err(InvalidChronicle::Empty) };
        if records.iter().any(|record| record.item.id() != id) {
            return Err(InvalidChronicle::SeveralFlows);
        }
        let possible = Revision::FIRST..=Revision::HIGHEST_ADOPTED;
        let before = std::iter::once(None).chain(records.iter().map(|record| Some(record.revision)));
        let wrong = before.zip(&records).find(|(before, record)| {
            !possible.contains(&record.revision) || before.is_some_and(|before| record.revision <= before)
        });
        if let Some((_, record)) = wrong {
            return Err(InvalidChronicle::Revision(record.revision));
        }
        for record in &mut records {
            record.at = record.at.trunc_subsecs(6);
        }
        Ok(Self { id, records, now })
    }

    /// Returns the id of the flow.
    pub fn id(&self) -> FlowId {
        self.id
    }

    /// Returns the flow, or `None` if it was deleted.
    pub fn now(&self) -> Option<&Stored<Flow>> {
        self.now.as_ref()
    }

    /// Returns one record per retained revision, in ascending order. The last one describes the current flow or its
    /// deletion.
    pub fn records(&self) -> &[Record<Flow>] {
        &self.records
    }

    /// Returns, for each record, when the flow was created. A flow that was deleted and created again has several
    /// creation times. If the record of a creation is no longer retained, the time of the oldest retained record stands
    /// for it.
    pub fn creation_times(&self) -> Vec<DateTime<Utc>> {
        // The record of the deletion may no longer be retained.
        let lives: Vec<_> = self
            .records
            .chunk_by(|a, b| a.operation != Operation::Delete && b.operation != Operation::Create)
            .collect();
        let mut creation_times: Vec<_> = lives.iter().flat_map(|life| vec![life[0].at; life.len()]).collect();
        if let (Some(now), Some(last)) = (&self.now, lives.last()) {
            let begin = self.records.len() - last.len();
            creation_times[begin..].fill(now.version.created_at);
        }
        creation_times
    }
}

/// Makes the last record describe the current flow.
fn end_with(now: &Stored<Flow>, records: &mut Vec<Record<Flow>>) -> Result<(), InvalidChronicle> {
    let version = &now.version;
    let same = records.pop_if(|last| last.revision == version.revision);
    let operation = match (&same, records.last()) {
        (Some(same), _) if same.operation != Operation::Delete => same.operation,
        (_, Some(before)) if before.operation != Operation::Delete => Operation::Update,
        _ => Operation::Create,
    };
    let item = match same {
        // A report since then makes no record.
        Some(same) if same.item.hash(Runtime::Exclude)? == now.item.hash(Runtime::Exclude)? => same.item,
        _ => now.item.clone(),
    };
    records.push(Record {
        cursor: FeedCursor::NOWHERE,
        operation,
        item,
        revision: version.revision,
        at: version.updated_at,
        author: version.author.clone(),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::Chronicle;
    use crate::flow::Flow;
    use crate::repository::{Author, FeedCursor, Operation, Record, Revision, Stored, Version};

    #[test]
    fn creation_times_do_not_depend_on_the_record_of_a_deletion() {
        use Operation::{Create, Delete, Update};
        let flow = Flow::parse(r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"a"}"#).unwrap();
        let at = |revision: u64| DateTime::from_timestamp(revision as i64, 0).unwrap();
        let times = |kept: &[(u64, Operation)]| {
            let record = |(revision, operation): &(u64, Operation)| Record {
                cursor: FeedCursor::NOWHERE,
                operation: *operation,
                item: flow.clone(),
                revision: Revision::new(*revision),
                at: at(*revision),
                author: Author::new("a"),
            };
            let version =
                Version { revision: Revision::new(9), created_at: at(6), updated_at: at(9), author: Author::new("a") };
            let now = Stored { item: flow.clone(), version };
            let chronicle = Chronicle::new(Some(now), kept.iter().map(record).collect()).unwrap();
            chronicle.creation_times().iter().map(|time| time.timestamp()).collect::<Vec<_>>()
        };
        assert_eq!(times(&[(2, Update), (5, Delete), (6, Create), (9, Update)]), [2, 2, 6, 6]);
        assert_eq!(times(&[(2, Update), (5, Delete), (9, Update)]), [2, 2, 6], "the creation has thinned out");
        assert_eq!(times(&[(2, Update), (6, Create), (9, Update)]), [2, 6, 6], "the deletion has thinned out");
    }
}
