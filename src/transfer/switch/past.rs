//! What flows were before, on the way from one store to another.

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

use super::report::Obstacle;
use crate::flow::{Flow, FlowId, Refusal, Runtime};
use crate::repository::{
    self, Author, Chronicle, FeedCursor, FlowRepository, InvalidChronicle, Operation, Record, Revision, Stored,
};
use crate::transfer::spool::{Filling, Slot, Spool};

/// The revisions of a flow, put aside.
#[derive(Debug, Clone)]
pub(super) struct Past {
    /// An array of [`RecordText`]s.
    pub(super) records: Slot,
    pub(super) count: usize,
    pub(super) hash: [u8; 32],
}

/// A flow of the source that was deleted.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) id: FlowId,
    pub(super) name: Box<str>,
    /// That of its deletion.
    pub(super) revision: Revision,
    pub(super) past: Past,
}

/// The histories of a source.
#[derive(Debug)]
pub(super) struct Pasts {
    pub(super) spool: Spool,
    pub(super) of: HashMap<FlowId, Past>,
    /// In the order of ids.
    pub(super) gone: Vec<Gone>,
}

/// A record as it waits, and as it stands in an archive.
#[derive(Debug, Serialize, Deserialize)]
struct RecordText<'a> {
    revision: u64,
    op: Cow<'a, str>,
    at: DateTime<Utc>,
    author: Cow<'a, str>,
    #[serde(borrow)]
    flow: &'a RawValue,
}

/// Histories as far as they were read.
#[derive(Debug)]
pub(super) struct ReadingPasts {
    spool: Filling,
    of: HashMap<FlowId, Past>,
    gone: Vec<Gone>,
    pub(super) refused: Vec<Obstacle>,
}

impl ReadingPasts {
    pub(super) fn begin() -> io::Result<Self> {
        Ok(Self { spool: Filling::begin()?, of: HashMap::new(), gone: Vec::new(), refused: Vec::new() })
    }

    /// Takes the history of a flow. `now` is what the flow is, unless it was deleted.
    pub(super) fn take(&mut self, now: Option<Stored<Flow>>, records: Vec<Record<Flow>>) -> io::Result<()> {
        let Some(last) = records.last() else { return Ok(()) };
        let (id, name, is_there) = (last.item.id(), last.item.head().name.clone(), now.is_some());
        let checked = Chronicle::new(now, records).and_then(|chronicle| Ok((hash(chronicle.records())?, chronicle)));
        let (hash, chronicle) = match checked {
            Ok(checked) => checked,
            // Created since the flows were read.
            Err(InvalidChronicle::NotDeleted) => return Ok(()),
            Err(error) => {
                let reason = format!("its history cannot move: {error}");
                self.refused.push(Obstacle { id: Some(id), name: Some(name), reason });
                return Ok(());
            }
        };
        let records = chronicle.records();
        let texts: Vec<_> = records.iter().map(RecordText::of).collect();
        let past = Past { records: self.spool.add_as_json(&texts)?, count: records.len(), hash };
        if is_there {
            self.of.insert(id, past);
        } else {
            let revision = records.last().map_or(Revision::FIRST, |last| last.revision);
            self.gone.push(Gone { id, name: name.into(), revision, past });
        }
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<Pasts> {
        let Self { spool, of, mut gone, .. } = self;
        gone.sort_unstable_by_key(|gone| gone.id);
        Ok(Pasts { spool: spool.finish()?, of, gone })
    }
}

impl Pasts {
    /// The records as a JSON array.
    pub(super) fn text(&self, past: &Past) -> io::Result<String> {
        self.spool.text(past.records)
    }

    /// The flow with its history, as a store takes it.
    pub(super) fn chronicle(&self, past: &Past, now: Option<Stored<Flow>>) -> io::Result<Chronicle> {
        Chronicle::new(now, records(&self.text(past)?)?).map_err(io::Error::other)
    }
}

/// Reads what [`Pasts::text`] says.
pub(super) fn records(text: &str) -> io::Result<Vec<Record<Flow>>> {
    let texts: Vec<RecordText<'_>> = serde_json::from_str(text)?;
    texts.into_iter().map(RecordText::record).collect()
}

impl<'a> RecordText<'a> {
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
        Ok(Record {
            cursor: FeedCursor::NOWHERE,
            operation: self.op.parse::<Operation>().map_err(io::Error::other)?,
            item: Flow::parse(self.flow.get()).map_err(io::Error::other)?,
            revision: Revision::new(self.revision),
            at: self.at,
            author: Author::new(&self.author),
        })
    }
}

/// The SHA-256 of a history: of a line `revision operation time author document` for each revision, the document by the
/// SHA-256 of its canonical text. Documents are checked, since somebody may have written them by SQL.
pub(super) fn hash(records: &[Record<Flow>]) -> Result<[u8; 32], Refusal> {
    let mut digest = Sha256::new();
    for record in records {
        let Record { operation, item, revision, at, author, .. } = record;
        let document = super::Hash(Flow::parse(item.document().get())?.hash(Runtime::Kept)?);
        let (operation, at, author) = (operation.as_str(), at.timestamp_micros(), author.as_str());
        digest.update(format!("{revision} {operation} {at} {author} {document}\n"));
    }
    Ok(digest.finalize().into())
}

/// All histories of a store, one flow at a time.
pub(super) struct Histories(Pin<Box<Peekable<Records>>>);

type Records = BoxStream<'static, repository::Result<Record<Flow>>>;

impl Histories {
    pub(super) fn of(store: &dyn FlowRepository) -> Self {
        Self(Box::pin(store.histories().peekable()))
    }

    /// The revisions of the next flow.
    pub(super) async fn next(&mut self) -> repository::Result<Option<Vec<Record<Flow>>>> {
        let Some(first) = self.0.try_next().await? else { return Ok(None) };
        let id = first.item.id();
        let mut records = vec![first];
        let is_its = |next: &repository::Result<Record<Flow>>| next.as_ref().is_ok_and(|next| next.item.id() == id);
        while let Some(next) = self.0.as_mut().next_if(is_its).await {
            records.push(next?);
        }
        Ok(Some(records))
    }
}
