//! Reads, checks and spools the histories of a source.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;

use chrono::{DateTime, Utc};
use futures::stream::{BoxStream, Peekable};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::hash::Hash;
use super::report::Obstacle;
use crate::transfer::spool::{Slot, Spool, SpoolWriter};
use strom_store::flow::{Flow, FlowId, Refusal, Runtime};
use strom_store::repository::{
    self, Author, Chronicle, FeedCursor, FlowRepository, InvalidChronicle, Operation, Record, Revision, Stored,
};

/// The spooled history of a flow.
#[derive(Debug, Clone)]
pub(super) struct SpooledHistory {
    /// A JSON array of [`JsonRecord`]s.
    pub(super) records: Slot,
    pub(super) count: usize,
    pub(super) hash: [u8; 32],
}

/// A deleted flow of the source.
#[derive(Debug)]
pub(super) struct DeletedFlow {
    pub(super) id: FlowId,
    pub(super) name: Box<str>,
    /// The revision of the deletion.
    pub(super) revision: Revision,
    pub(super) history: SpooledHistory,
}

/// The histories of a source.
#[derive(Debug)]
pub(super) struct SourceHistories {
    pub(super) spool: Spool,
    /// The histories of current flows.
    pub(super) of_flows: HashMap<FlowId, SpooledHistory>,
    /// The deleted flows, ordered by id.
    pub(super) deleted: Vec<DeletedFlow>,
}

/// A record in the spool and in an archive.
#[derive(Debug, Serialize, Deserialize)]
struct JsonRecord<'a> {
    revision: u64,
    op: Cow<'a, str>,
    at: DateTime<Utc>,
    author: Cow<'a, str>,
    #[serde(borrow)]
    flow: &'a RawValue,
}

/// A reader of histories.
#[derive(Debug)]
pub(super) struct HistoryReader {
    spool: SpoolWriter,
    of_flows: HashMap<FlowId, SpooledHistory>,
    deleted: Vec<DeletedFlow>,
    pub(super) refused: Vec<Obstacle>,
}

impl HistoryReader {
    pub(super) fn begin() -> io::Result<Self> {
        Ok(Self { spool: SpoolWriter::create()?, of_flows: HashMap::new(), deleted: Vec::new(), refused: Vec::new() })
    }

    /// Adds the history of a flow. `current` is `None` for a deleted flow.
    pub(super) fn add(&mut self, current: Option<Stored<Flow>>, records: Vec<Record<Flow>>) -> io::Result<()> {
        let Some(last) = records.last() else { return Ok(()) };
        let (id, name, is_deleted) = (last.item.id(), last.item.head().name.clone(), current.is_none());
        let checked =
            Chronicle::new(current, records).and_then(|chronicle| Ok((hash(chronicle.records())?, chronicle)));
        let (hash, chronicle) = match checked {
            Ok(checked) => checked,
            // The flow was created after the flows were read.
            Err(InvalidChronicle::NotDeleted) => return Ok(()),
            Err(error) => {
                let reason = format!("cannot move its history: {error}");
                self.refused.push(Obstacle { id: Some(id), name: Some(name), reason });
                return Ok(());
            }
        };
        let records = chronicle.records();
        let texts: Vec<_> = records.iter().map(JsonRecord::of).collect();
        let history = SpooledHistory { records: self.spool.add_as_json(&texts)?, count: records.len(), hash };
        if is_deleted {
            let revision = records.last().map_or(Revision::FIRST, |last| last.revision);
            self.deleted.push(DeletedFlow { id, name: name.into(), revision, history });
        } else {
            self.of_flows.insert(id, history);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<SourceHistories> {
        let Self { spool, of_flows, mut deleted, .. } = self;
        deleted.sort_unstable_by_key(|flow| flow.id);
        Ok(SourceHistories { spool: spool.finish()?, of_flows, deleted })
    }
}

impl SourceHistories {
    /// Returns the records as a JSON array.
    pub(super) fn text(&self, history: &SpooledHistory) -> io::Result<String> {
        self.spool.text(history.records)
    }

    /// Returns a flow with its history, in the form that a repository stores.
    pub(super) fn chronicle(&self, history: &SpooledHistory, current: Option<Stored<Flow>>) -> io::Result<Chronicle> {
        Chronicle::new(current, parse_records(&self.text(history)?)?).map_err(io::Error::other)
    }
}

/// Parses the text of a history.
pub(super) fn parse_records(text: &str) -> io::Result<Vec<Record<Flow>>> {
    let texts: Vec<JsonRecord<'_>> = serde_json::from_str(text)?;
    texts.into_iter().map(JsonRecord::record).collect()
}

impl<'a> JsonRecord<'a> {
    fn of(record: &'a Record<Flow>) -> Self {
        let Record { operation, item, revision, at, author, .. } = record;
        Self {
            revision: revision.number(),
            op: operation.as_str().into(),
            at: *at,
            author: author.as_str().into(),
            flow: item.document(),
        }
    }

    fn record(self) -> io::Result<Record<Flow>> {
        let operation: Operation = self.op.parse().map_err(io::Error::other)?;
        let flow = Flow::parse(self.flow.get()).map_err(io::Error::other)?;
        let (revision, author) = (Revision::new(self.revision), Author::new(&self.author));
        Ok(Record::new(FeedCursor::NOWHERE, operation, flow, revision, self.at, author))
    }
}

/// Returns the SHA-256 of a history: of one line `revision operation time author document` per revision, where `document`
/// is the SHA-256 of the canonical text. Also checks the documents, because they may have been written by SQL.
pub(super) fn hash(records: &[Record<Flow>]) -> Result<[u8; 32], Refusal> {
    let mut digest = Sha256::new();
    for record in records {
        let Record { operation, item, revision, at, author, .. } = record;
        let document = Hash(Flow::parse(item.document().get())?.hash(Runtime::Include)?);
        let (operation, at, author) = (operation.as_str(), at.timestamp_micros(), author.as_str());
        digest.update(format!("{revision} {operation} {at} {author} {document}\n"));
    }
    Ok(digest.finalize().into())
}

/// A stream of the histories of a repository, one flow at a time.
pub(super) struct HistoryStream(Pin<Box<Peekable<Records>>>);

type Records = BoxStream<'static, repository::Result<Record<Flow>>>;

impl HistoryStream {
    pub(super) fn of(repository: &dyn FlowRepository) -> Self {
        Self(Box::pin(repository.histories().peekable()))
    }

    /// Returns the records of the next flow.
    pub(super) async fn next(&mut self) -> repository::Result<Option<Vec<Record<Flow>>>> {
        let Some(first) = self.0.try_next().await? else { return Ok(None) };
        let id = first.item.id();
        let mut records = vec![first];
        let is_same_flow =
            |next: &repository::Result<Record<Flow>>| next.as_ref().is_ok_and(|next| next.item.id() == id);
        while let Some(next) = self.0.as_mut().next_if(is_same_flow).await {
            records.push(next?);
        }
        Ok(Some(records))
    }
}
