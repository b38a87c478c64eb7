//! The flows and histories of the source of a switch.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use futures::StreamExt;
use tokio::task::spawn_blocking;

use super::error::SwitchError;
use super::histories::{DeletedFlow, HistoryReader, HistoryStream, SourceHistories};
use super::items::{CHUNK, FlowReader, SourceFlow, SourceSnapshot};
use super::options::History;
use super::report::Obstacle;
use crate::transfer::progress::Progress;
use crate::transfer::spool::Spool;
use strom_store::flow::FlowId;
use strom_store::repository::{self, FeedCursor, FlowRepository, Since};

/// A snapshot of the flows of a source.
#[derive(Debug)]
pub struct Switch {
    pub(super) spool: Arc<Spool>,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) items: Arc<[SourceFlow]>,
    /// The histories, if the switch includes them.
    pub(super) histories: Option<Arc<SourceHistories>>,
    /// Flows and histories that no storage accepts.
    pub(super) refused: Vec<Obstacle>,
    /// Faults that the source reports.
    pub(super) faults: Vec<String>,
    /// The end of the change feed before the flows were read.
    pub(super) feed_end: FeedCursor,
}

impl Switch {
    /// Reads all flows of the source and checks whether a storage accepts them.
    ///
    /// # Errors
    /// If the source or the temporary file fails. A flow that cannot be stored is not an error but part of the report.
    pub async fn read(
        source: &dyn FlowRepository,
        history: History,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, SwitchError> {
        let feed_end = source.change_summaries(Since::Now, 1).await.map_err(SwitchError::Source)?.newest;
        let mut reader = FlowReader::begin()?;
        let mut flows = source.snapshot().ready_chunks(CHUNK);
        while let Some(chunk) = flows.next().await {
            let chunk = chunk.into_iter().collect::<repository::Result<_>>().map_err(SwitchError::Source)?;
            reader = reader.add_all(chunk).await?;
            progress.read(reader.count());
        }
        let SourceSnapshot { spool, items, refused } = reader.finish()?;
        let mut switch = Self { spool, progress, items, histories: None, refused, faults: Vec::new(), feed_end };
        if history == History::Include {
            switch.read_histories(source).await?;
        }
        switch.faults = source.health().await.faults;
        Ok(switch)
    }

    async fn read_histories(&mut self, source: &dyn FlowRepository) -> Result<(), SwitchError> {
        let indexes = self.indexes();
        let mut reader = HistoryReader::begin()?;
        let mut histories = HistoryStream::of(source);
        while let Some(records) = histories.next().await.map_err(SwitchError::Source)? {
            let (spool, items) = (Arc::clone(&self.spool), Arc::clone(&self.items));
            let index = indexes.get(&records[0].item.id()).copied();
            let adding = spawn_blocking(move || {
                let current = index.map(|index| items[index].stored(&spool)).transpose()?;
                reader.add(current, records)?;
                Ok(reader)
            });
            reader = adding.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))?;
        }
        self.refused.append(&mut reader.refused);
        self.histories = Some(Arc::new(reader.finish()?));
        Ok(())
    }

    /// Returns the number of flows that can be stored.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no such flows.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether a flow or a history cannot be stored, so that nothing will move.
    pub fn is_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Returns the flows and histories that cannot be stored.
    pub fn refused(&self) -> &[Obstacle] {
        &self.refused
    }

    /// Returns the faults that the source reports. Flows that the source cannot read are among them, and do not move.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Whether another writer changed the source after it was read. Such changes do not move.
    ///
    /// # Errors
    /// If the source fails.
    pub async fn source_has_changed(&self, source: &dyn FlowRepository) -> Result<bool, SwitchError> {
        match source.change_summaries(Since::Now, 1).await {
            Ok(feed) => Ok(feed.newest != self.feed_end),
            Err(error) => Err(SwitchError::Source(error)),
        }
    }

    /// Returns the index of each flow in `items`.
    pub(super) fn indexes(&self) -> HashMap<FlowId, usize> {
        self.items.iter().enumerate().map(|(index, item)| (item.id, index)).collect()
    }

    /// Returns the deleted flows, if the switch includes histories.
    pub(super) fn deleted(&self) -> &[DeletedFlow] {
        self.histories.as_ref().map_or(&[], |histories| &histories.deleted)
    }
}
