//! A flow with what it was before: how histories move from one store into another.

use chrono::{DateTime, Utc};

use super::{Operation, Record, Revision, Stored};
use crate::flow::{Flow, FlowId, Refusal, Runtime};

/// A flow of another store, there or deleted, with the revisions that are kept of it. See
/// [`Change::Inherit`](super::Change::Inherit).
#[derive(Debug, Clone)]
pub struct Chronicle {
    id: FlowId,
    /// One per revision, ascending; the last has made the flow what it is, or has deleted it.
    records: Vec<Record<Flow>>,
    now: Option<Stored<Flow>>,
}

/// Records that are not the history of one flow.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidChronicle {
    /// There is neither a flow nor a record.
    #[error("there is nothing in it")]
    Empty,
    /// They tell of several flows.
    #[error("its records tell of several flows")]
    SeveralFlows,
    /// A revision that no flow can have, or that does not come behind the one before it.
    #[error("its revision {0} is not one that can follow")]
    Revision(Revision),
    /// The last record does not delete the flow, which is not there.
    #[error("the flow is not there, and its last record is no deletion")]
    NotDeleted,
    /// A document that no store takes.
    #[error("a document cannot be stored: {0}")]
    Document(#[from] Refusal),
}

impl Chronicle {
    /// The flow as it is now, or `None` when it was deleted, and its records as
    /// [`histories`](super::FlowRepository::histories) tells them. What was recorded after `now` was read is left out, and
    /// where the records do not say what the flow is now, a record is added that does.
    ///
    /// # Errors
    /// When they are not the records of one flow in the order of its revisions, the last a deletion where there is no flow.
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
        match wrong {
            Some((_, record)) => Err(InvalidChronicle::Revision(record.revision)),
            None => Ok(Self { id, records, now }),
        }
    }

    /// Which flow it is.
    pub fn id(&self) -> FlowId {
        self.id
    }

    /// The flow, unless it was deleted.
    pub fn now(&self) -> Option<&Stored<Flow>> {
        self.now.as_ref()
    }

    /// Its revisions in their order. The last has made the flow what it is, or has deleted it.
    pub fn records(&self) -> &[Record<Flow>] {
        &self.records
    }

    /// When the flow was created that each record tells of, as far as the records say.
    pub(crate) fn births(&self) -> Vec<DateTime<Utc>> {
        let lives = self.records.split_inclusive(|record| record.operation == Operation::Delete);
        let mut births: Vec<_> = lives.flat_map(|life| vec![life[0].at; life.len()]).collect();
        if let Some(now) = &self.now {
            let ended = self.records.iter().rposition(|record| record.operation == Operation::Delete);
            births[ended.map_or(0, |place| place + 1)..].fill(now.version.created_at);
        }
        births
    }
}

/// Takes care that the last record is the one of what the flow is now.
fn end_with(now: &Stored<Flow>, records: &mut Vec<Record<Flow>>) -> Result<(), InvalidChronicle> {
    let version = &now.version;
    let same = records.pop_if(|last| last.revision == version.revision);
    let operation = match (&same, records.last()) {
        (Some(same), _) if same.operation != Operation::Delete => same.operation,
        (_, Some(before)) if before.operation != Operation::Delete => Operation::Update,
        _ => Operation::Create,
    };
    let item = match same {
        // What an engine has reported since makes no record.
        Some(same) if same.item.hash(Runtime::Left)? == now.item.hash(Runtime::Left)? => same.item,
        _ => now.item.clone(),
    };
    records.push(Record {
        cursor: super::FeedCursor::NOWHERE,
        operation,
        item,
        revision: version.revision,
        at: version.updated_at,
        author: version.author.clone(),
    });
    Ok(())
}
