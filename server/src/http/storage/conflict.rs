//! The problem of a change whose precondition failed: the current flow, the changes of other writers, and the changes of the
//! client. With these an editor can see whether the edits are compatible.
//!
//! The history contains the revision that the client edited, for a limited time. If that revision is missing or cannot be
//! read, the response has the same status and contains less.

use strom_store::flow::{Flow, FlowId};
use strom_store::repository::{
    FlowRepository, Operation, RepositoryError, Result as RepositoryResult, Revision, Stored, ViolationKind,
};

use super::attempt::{AttemptedChange, Edit};
use super::blocking::run_blocking;
use super::violations::{into_current_flow, is_single_violation};
use crate::http::extract::RequestPrecondition;
use crate::http::respond::{Divergence, Problem};

/// Returns the problem of a change that failed.
pub(crate) async fn conflict_problem(
    repository: &dyn FlowRepository,
    error: RepositoryError,
    id: FlowId,
    precondition: &RequestPrecondition,
    attempted: AttemptedChange<'_>,
) -> Problem {
    let error = match into_current_flow(error) {
        Ok(current) => return stale_problem(repository, current, precondition, attempted).await,
        Err(error) => error,
    };
    let exists = is_single_violation(&error, |kind| matches!(kind, ViolationKind::AlreadyExists));
    let is_missing = is_single_violation(&error, |kind| matches!(kind, ViolationKind::NotFound));
    match (&attempted, precondition) {
        (AttemptedChange::Edit(Edit::Whole(flow)), RequestPrecondition::Absent) if exists => {
            exists_problem(repository, flow).await
        }
        _ if is_missing => missing_problem(repository, id, precondition).await,
        _ => error.into(),
    }
}

/// Returns the problem of a change to a flow that does not exist. A client that names a revision knew the flow, so the problem
/// contains its deletion.
pub(super) async fn missing_problem(
    repository: &dyn FlowRepository,
    id: FlowId,
    precondition: &RequestPrecondition,
) -> Problem {
    let problem = Problem::no_such_flow(id);
    if !matches!(precondition, RequestPrecondition::AtOneOf(_)) {
        return problem;
    }
    match repository.history(id, None, 1).await {
        Ok(records) => problem.with_deletion(records.iter().find(|record| record.operation == Operation::Delete)),
        Err(error) => {
            tracing::debug!(%error, "cannot read the deletion of a flow");
            problem
        }
    }
}

/// Returns the problem of a create whose flow exists.
async fn exists_problem(repository: &dyn FlowRepository, attempted: &Flow) -> Problem {
    let current = match repository.get(attempted.id()).await {
        Ok(current) => current.map(Box::new),
        Err(error) => return error.into(),
    };
    let divergence = match &current {
        Some(current) => {
            let (attempted, current) = (attempted.clone(), current.item.clone());
            Some(run_blocking(move || Divergence::between(&attempted, &current)).await)
        }
        None => None,
    };
    Problem::precondition_failed("the flow already exists", current).with_divergence(divergence)
}

/// Returns the problem of a change to a flow that is at another revision than the precondition names.
pub(super) async fn stale_problem(
    repository: &dyn FlowRepository,
    current: Box<Stored<Flow>>,
    precondition: &RequestPrecondition,
    attempted: AttemptedChange<'_>,
) -> Problem {
    let base = match precondition.newest_before(current.version.revision) {
        Some(revision) => match edited_flow(repository, current.item.id(), revision).await {
            Ok(base) => base.map(|base| (revision, base)),
            Err(error) => {
                tracing::debug!(%error, "cannot read the revision that a client edited");
                None
            }
        },
        None => None,
    };
    let flow = current.item.clone();
    let divergence = match base {
        Some((revision, base)) => {
            let edited = attempted.result_on(&base);
            Some(run_blocking(move || Divergence::since(revision, &base, edited.as_ref(), &flow)).await)
        }
        None => match attempted.result_on(&flow) {
            Some(edited) => Some(run_blocking(move || Divergence::between(&edited, &flow)).await),
            None => None,
        },
    };
    Problem::stale(current).with_divergence(divergence)
}

/// Returns the flow at a revision that a client edited. No client can edit the revision of a deletion.
pub(super) async fn edited_flow(
    repository: &dyn FlowRepository,
    id: FlowId,
    revision: Revision,
) -> RepositoryResult<Option<Flow>> {
    let record = repository.revision(id, revision).await?;
    Ok(record.filter(|record| record.operation != Operation::Delete).map(|record| record.item))
}
