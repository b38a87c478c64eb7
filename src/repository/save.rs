//! Saves of whole documents that undo no report. A client that edits a document sends the runtime members that it has read,
//! which may be older than the last report of the engine.

use std::sync::Arc;

use super::change::{Applied, Change};
use super::error::{RepositoryError, Result};
use super::flow_repository::FlowRepository;
use super::precondition::Precondition;
use super::revision::Revision;
use super::stamp::Stamp;
use super::stored::Stored;
use crate::flow::{Flow, FlowId, Runtime};

/// Maximum number of attempts, because other writers may change the flow each time.
const MAX_ATTEMPTS: usize = 30;

/// A stored document, and the outcome of the change that stored it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Saved {
    /// The document as it was stored.
    pub flow: Flow,
    /// The outcome, with the version of the flow.
    pub applied: Applied,
}

pub(super) async fn replacement(
    repository: &(impl FlowRepository + ?Sized),
    flow: &Flow,
    current: &Stored<Flow>,
) -> Result<Flow> {
    // A document that was written by SQL may be invalid. Then it has no runtime members to preserve.
    let Ok(merged) = flow.with_runtime_of(&current.item) else { return Ok(flow.clone()) };
    let hash = |flow: &Flow| flow.hash(Runtime::Exclude).ok();
    let is_report = || hash(flow) == hash(&current.item);
    if merged.same_as(flow).unwrap_or(true) || is_report() {
        return Ok(flow.clone());
    }
    let recorded = repository.revision(flow.id(), current.version.revision).await?;
    let is_reported = recorded.is_none_or(|recorded| !recorded.item.same_as(&current.item).unwrap_or(true));
    Ok(if is_reported { merged } else { flow.clone() })
}

pub(super) async fn save(
    repository: &(impl FlowRepository + ?Sized),
    flow: Flow,
    precondition: Precondition,
    stamp: Stamp,
) -> Result<Saved> {
    for _ in 0..MAX_ATTEMPTS {
        let current = read(repository, flow.id(), precondition).await?;
        let stored = match &current {
            Some(current) => replacement(repository, &flow, current).await?,
            None => flow.clone(),
        };
        let required = required(precondition, current.as_ref());
        match apply_one(repository, Change::Put(stored.clone(), required), stamp.clone()).await {
            Err(RepositoryError::Conflict(_)) if required != precondition => {}
            applied => return Ok(Saved { flow: stored, applied: applied? }),
        }
    }
    Err(too_many_attempts(flow.id()))
}

pub(super) async fn restore(
    repository: &(impl FlowRepository + ?Sized),
    id: FlowId,
    revision: Revision,
    precondition: Precondition,
    stamp: Stamp,
) -> Result<Option<Saved>> {
    // The document of a revision never changes, so no write can come between this read and the change.
    let Some(recorded) = repository.revision(id, revision).await? else { return Ok(None) };
    let recorded = recorded.item;
    for _ in 0..MAX_ATTEMPTS {
        let current = read(repository, id, precondition).await?;
        let merged = current.as_ref().and_then(|current| recorded.with_runtime_of(&current.item).ok());
        let restored = merged.unwrap_or_else(|| recorded.clone());
        let required = required(precondition, current.as_ref());
        match apply_one(repository, Change::Restore(restored.clone(), required), stamp.clone()).await {
            Err(RepositoryError::Conflict(_)) if required != precondition => {}
            applied => return Ok(Some(Saved { flow: restored, applied: applied? })),
        }
    }
    Err(too_many_attempts(id))
}

/// Returns the flow that the change replaces: the current one, if the precondition holds for it.
async fn read(
    repository: &(impl FlowRepository + ?Sized),
    id: FlowId,
    precondition: Precondition,
) -> Result<Option<Stored<Flow>>> {
    if precondition == Precondition::Absent {
        return Ok(None);
    }
    let current = repository.get(id).await?;
    Ok(current.filter(|current| precondition.violation(Some(current)).is_none()))
}

/// Returns the precondition that also requires that the flow is still as it was read.
fn required(precondition: Precondition, current: Option<&Stored<Flow>>) -> Precondition {
    match (precondition, current) {
        (_, Some(current)) => Precondition::exactly(current),
        (Precondition::Any, None) => Precondition::Absent,
        (_, None) => precondition,
    }
}

/// Makes one change.
pub(super) async fn apply_one(
    repository: &(impl FlowRepository + ?Sized),
    change: Change,
    stamp: Stamp,
) -> Result<Applied> {
    let applied = repository.apply(Arc::new(vec![change]), stamp).await?;
    Ok(applied.into_iter().next().expect("`apply` returns one outcome per change"))
}

fn too_many_attempts(id: FlowId) -> RepositoryError {
    RepositoryError::Busy(format!("the flow {id} changed during every one of {MAX_ATTEMPTS} attempts"))
}
