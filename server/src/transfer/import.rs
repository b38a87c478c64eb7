//! An import. It stores all of its flows or none.
//!
//! 1. [`Import::read`] reads, checks and spools every document. Nothing is written before all documents are valid.
//! 2. [`Import::run`] compares them with the stored flows, decides per flow, and makes all changes in one write. The
//!    preconditions are the documents that it compared. Reports of engines stay.
//! 3. After a conflict with another writer, it compares again. An import that replaces flows finally writes without
//!    preconditions. Otherwise a writer that saves all the time could block it forever.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;

use super::changes::ImportChanges;
use super::claims;
use super::item::{ImportDecision, ImportItem, StoredFlow};
use super::options::{OnConflict, Options, Prune};
use super::progress::Progress;
use super::prune::{self, Pruning};
use super::replacements::Replacements;
use super::report::{Counts, Entry, FlowWarning, Outcome, Report};
use super::spool::Spool;
use strom_store::flow::FlowId;
use strom_store::repository::{self, Applied, FlowRepository, RepositoryError, Result, Stamp, Stored};

/// Maximum number of flows in one lookup.
const LOOKUP_SIZE: usize = 10_000;
/// Maximum number of attempts while other writers change the same flows.
const MAX_ATTEMPTS: usize = 8;
/// Number of attempts with preconditions. Later attempts of an import with [`OnConflict::Replace`] have none.
const ATTEMPTS_WITH_PRECONDITIONS: usize = 3;

/// Documents that were read and checked.
#[derive(Debug)]
pub struct Import {
    spool: Arc<Spool>,
    progress: Arc<dyn Progress>,
    items: Vec<ImportItem>,
}

impl Import {
    pub(super) fn new(spool: Spool, progress: Arc<dyn Progress>, items: Vec<ImportItem>) -> Self {
        Self { spool: Arc::new(spool), progress, items }
    }

    /// Returns the number of documents.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the import has no documents.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Stores the flows, all or none. `clone_id` returns the id for the clone of a flow.
    ///
    /// # Errors
    /// Errors of the repository. A refused flow is not an error but part of the report.
    pub async fn run(
        self,
        repository: &dyn FlowRepository,
        options: Options,
        clone_id: impl Fn(FlowId) -> FlowId + Send + Sync,
        stamp: Stamp,
    ) -> Result<Report> {
        for attempt in 0..MAX_ATTEMPTS {
            let mut decisions = self.decide(repository, options.on_conflict, &clone_id).await?;
            let pruning = prune::find(repository, &self.items, options.prune).await?;
            if !options.dry_run && !pruning.is_refused && !decisions.iter().any(ImportDecision::is_refusal) {
                let is_unconditional =
                    options.on_conflict == OnConflict::Replace && attempt >= ATTEMPTS_WITH_PRECONDITIONS;
                let Self { spool, progress, items, .. } = &self;
                let replacements = Replacements::find(repository, spool, items, &decisions).await?;
                let changes =
                    ImportChanges::new(spool, progress, items, &decisions, &pruning, replacements, is_unconditional);
                match repository.apply(Arc::new(changes), stamp.clone()).await {
                    Ok(applied) if is_unconditional => self.correct(&mut decisions, &applied),
                    Ok(_) => {}
                    Err(RepositoryError::Conflict(_)) => continue,
                    Err(error) => return Err(error),
                }
            }
            let warnings = claims::find_shared(repository, &self.spool, &self.items, &decisions, &pruning.flows).await;
            return Ok(self.report(options, &decisions, pruning, warnings));
        }
        Err(RepositoryError::Busy("other writers changed the same flows during every attempt".to_owned()))
    }

    /// Corrects the decisions after a write without preconditions, whose outcomes may differ from them.
    fn correct(&self, decisions: &mut [ImportDecision], applied: &[Applied]) {
        let applied: HashMap<_, _> = applied.iter().map(|applied| (applied.id, applied)).collect();
        for (item, decision) in self.items.iter().zip(decisions) {
            let Some(applied) = item.flow.as_ref().and_then(|flow| applied.get(&flow.id)) else { continue };
            *decision = match (applied.outcome, &applied.version) {
                (repository::Outcome::Created, _) => ImportDecision::Create,
                (repository::Outcome::Replaced, Some(version)) => ImportDecision::Replace(version.revision),
                (repository::Outcome::Unchanged, _) => ImportDecision::Unchanged,
                _ => continue,
            };
        }
    }

    async fn decide(
        &self,
        repository: &dyn FlowRepository,
        on_conflict: OnConflict,
        clone_id: &(impl Fn(FlowId) -> FlowId + Send + Sync),
    ) -> Result<Vec<ImportDecision>> {
        let mut decisions = Vec::with_capacity(self.items.len());
        for items in self.items.chunks(LOOKUP_SIZE) {
            let ids = items.iter().filter_map(|item| Some(item.flow.as_ref()?.id)).collect();
            let stored = look_up(repository, ids).await?;
            decisions.extend(items.iter().map(|item| match &item.flow {
                Some(flow) => flow.decide(stored.get(&flow.id), on_conflict, clone_id),
                None => ImportDecision::Invalid,
            }));
        }
        Ok(decisions)
    }

    fn report(
        self,
        options: Options,
        decisions: &[ImportDecision],
        pruning: Pruning,
        mut claim_warnings: HashMap<usize, Vec<FlowWarning>>,
    ) -> Report {
        let deleted = (options.prune != Prune::Nothing).then_some(pruning.flows.len());
        let mut counts = Counts { deleted, ..Counts::default() };
        let mut entries = Vec::with_capacity(self.items.len());
        for (index, (item, decision)) in self.items.iter().zip(decisions).enumerate() {
            let id = item.flow.as_ref().map(|flow| flow.id);
            let (outcome, count) = match decision {
                ImportDecision::Create => (Outcome::Created, &mut counts.created),
                ImportDecision::Replace(_) => (Outcome::Replaced, &mut counts.replaced),
                ImportDecision::Unchanged => (Outcome::Unchanged, &mut counts.unchanged),
                ImportDecision::Skip(_) => (Outcome::Skipped, &mut counts.skipped),
                ImportDecision::Clone(_) => (Outcome::Cloned, &mut counts.cloned),
                ImportDecision::Refuse(_) | ImportDecision::Invalid => (Outcome::Refused, &mut counts.refused),
            };
            *count += 1;
            let (id, cloned_from) = match decision {
                ImportDecision::Clone(clone) => (Some(*clone), id),
                _ => (id, None),
            };
            let reason = if let ImportDecision::Skip(reason) | ImportDecision::Refuse(reason) = decision {
                Some(*reason)
            } else {
                None
            };
            let warnings = claim_warnings.remove(&index).unwrap_or_default();
            entries.push(Entry { outcome, details: item.details, id, cloned_from, reason, warnings });
        }
        let has_bad_documents = decisions.contains(&ImportDecision::Invalid);
        let Pruning { flows: pruned, is_refused: would_delete_all } = pruning;
        let dry_run = options.dry_run;
        Report { dry_run, counts, has_bad_documents, would_delete_all, spool: self.spool, entries, pruned }
    }
}

async fn look_up(repository: &dyn FlowRepository, ids: Vec<FlowId>) -> Result<HashMap<FlowId, StoredFlow>> {
    let stored = repository.get_each(ids).map_ok(|Stored { item, version }| {
        let revision = version.revision;
        let (hash, modified) = item.hash_and_modified().map_or((None, None), |(hash, modified)| (Some(hash), modified));
        let stored = StoredFlow { revision, hash, modified: modified.unwrap_or(version.updated_at) };
        (item.id(), stored)
    });
    stored.try_collect().await
}
