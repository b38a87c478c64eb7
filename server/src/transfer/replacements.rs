//! The documents that an import stores in place of existing flows. They keep the reports of engines, which are newer than the
//! imported documents.

use std::collections::HashMap;
use std::io;

use futures::TryStreamExt;
use strom_store::flow::{Flow, FlowId};
use strom_store::repository::{
    FlowRepository, FlowRepositoryExt as _, Precondition, RepositoryError, Result, Revision,
};

use super::item::{ImportDecision, ImportItem};
use super::spool::{Slot, Spool, SpoolWriter};

/// Maximum number of flows in one lookup.
const LOOKUP_SIZE: usize = 10_000;

/// The documents of replaced flows that differ from the imported ones, and the preconditions of all replaced flows.
#[derive(Debug)]
pub(super) struct Replacements {
    spool: Spool,
    documents: HashMap<FlowId, Slot>,
    preconditions: HashMap<FlowId, Precondition>,
}

impl Replacements {
    /// Compares the replaced flows with the stored ones.
    pub(super) async fn find(
        repository: &dyn FlowRepository,
        imported: &Spool,
        items: &[ImportItem],
        decisions: &[ImportDecision],
    ) -> Result<Self> {
        let replaced: HashMap<_, _> = items
            .iter()
            .zip(decisions)
            .filter_map(|(item, decision)| match (&item.flow, decision) {
                (Some(flow), ImportDecision::Replace(revision)) => Some((flow.id, (flow.document, *revision))),
                _ => None,
            })
            .collect();
        let mut spool = SpoolWriter::create().map_err(failed)?;
        let (mut documents, mut preconditions) = (HashMap::new(), HashMap::new());
        let ids: Vec<_> = replaced.keys().copied().collect();
        for ids in ids.chunks(LOOKUP_SIZE) {
            let mut stored = repository.get_each(ids.to_vec());
            while let Some(current) = stored.try_next().await? {
                let id = current.item.id();
                let Some((slot, compared)) = replaced.get(&id) else { continue };
                // Another writer has changed the flow since the comparison.
                if current.version.revision != *compared {
                    continue;
                }
                let flow = parse(imported, *slot).map_err(failed)?;
                let replacement = repository.replacement(&flow, &current).await?;
                if replacement.document().get() != flow.document().get() {
                    documents.insert(id, spool.add(replacement.document().get().as_bytes()).map_err(failed)?);
                }
                preconditions.insert(id, Precondition::exactly(&current));
            }
        }
        Ok(Self { spool: spool.finish().map_err(failed)?, documents, preconditions })
    }

    /// Returns the precondition for the replacement of a flow that was compared at this revision.
    pub(super) fn precondition(&self, id: FlowId, revision: Revision) -> Precondition {
        self.preconditions.get(&id).copied().unwrap_or(Precondition::At(revision))
    }

    /// Returns the flow to store: the imported one, unless reports are kept.
    pub(super) fn flow(&self, id: FlowId, imported: &Spool, slot: Slot) -> io::Result<Flow> {
        match self.documents.get(&id) {
            Some(slot) => parse(&self.spool, *slot),
            None => parse(imported, slot),
        }
    }
}

fn parse(spool: &Spool, slot: Slot) -> io::Result<Flow> {
    Flow::parse(&spool.text(slot)?).map_err(io::Error::other)
}

fn failed(error: io::Error) -> RepositoryError {
    RepositoryError::Failed(Box::new(error))
}
