//! Changes to an existing flow. The server reads the flow, changes it, and writes it under the precondition that neither another
//! writer nor a report of an engine changed it in the meantime. Otherwise it starts again.

use strom_store::flow::{Flow, FlowId, Runtime};
use strom_store::repository::{
    Author, Change, FlowRepositoryExt as _, Outcome, Precondition, RepositoryError, Revision, Stored, ViolationKind,
};

use super::apply::{apply_one, put, version};
use super::attempt::{AttemptedChange, Edit};
use super::conflict::{missing_problem, stale_problem};
use super::merge::OutdatedEdit;
use super::violations::{into_current_flow, is_single_violation};
use crate::http::app::App;
use crate::http::extract::RequestPrecondition;
use crate::http::respond::{Problem, RouteResult, merged_flow, saved_flow};

/// Maximum number of attempts, because other writers may change the flow each time.
const MAX_ATTEMPTS: usize = 8;

/// The part of a request that does not depend on the flow.
pub(crate) struct EditRequest {
    pub(crate) id: FlowId,
    pub(crate) precondition: RequestPrecondition,
    /// The revision that the client edited, if the request asks for a merge.
    pub(crate) merge: Option<Revision>,
    pub(crate) author: Author,
}

/// Stores the result of `edit` and returns the response. If the flow is at another revision than the precondition allows,
/// applies it to the revision that the client edited, and merges the result with the current flow.
pub(crate) async fn store_edit(app: &App, request: EditRequest, edit: Edit<'_>) -> RouteResult {
    let EditRequest { id, precondition, merge, author } = request;
    let repository = app.repository();
    let _lock = app.edit_locks.lock(id).await;
    let mut outdated = None;
    let mut known = match edit {
        Edit::Whole(flow) if !app.edit_locks.is_reported(id) => {
            match replace_unread(app, flow, &precondition, &author).await? {
                Attempted::Done(response) => return Ok(response),
                Attempted::Violated(current) => current,
            }
        }
        _ => None,
    };
    for _ in 0..MAX_ATTEMPTS {
        let read = match known.take() {
            Some(current) => Some(*current),
            None => repository.get(id).await?,
        };
        let Some(current) = read else {
            return Err(missing_problem(repository, id, &precondition).await);
        };
        let revision = current.version.revision;
        let (flow, merged) = match merge {
            _ if precondition.allows(revision) => (replacement(app, edit, &current).await?, None),
            Some(base) => {
                // Loaded once: a request that loads it in every attempt would always be slower than the other writers.
                let edit = match &outdated {
                    Some(outdated) => outdated,
                    None => outdated.insert(OutdatedEdit::load(repository, base, &current, &precondition, edit).await?),
                };
                let (flow, merged) = edit.merge(repository, current.clone(), &precondition).await?;
                (flow, Some(merged))
            }
            None => {
                let attempted = AttemptedChange::Edit(edit);
                return Err(stale_problem(repository, Box::new(current), &precondition, attempted).await);
            }
        };
        match put(repository, flow.clone(), Precondition::exactly(&current), author.clone()).await {
            Ok(version) => {
                if version.revision == revision {
                    app.edit_locks.mark_reported(id);
                }
                return Ok(match merged {
                    Some(merged) => merged_flow(&flow, version.revision, &merged),
                    None => saved_flow(&flow, version.revision),
                });
            }
            Err(error) if is_single_violation(&error, |kind| matches!(kind, ViolationKind::Stale { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(RepositoryError::Busy(format!("the flow {id} changed {MAX_ATTEMPTS} times in a row")).into())
}

/// The result of an attempt to replace a flow without reading it.
enum Attempted {
    Done(axum::response::Response),
    /// The precondition may not hold. Contains the flow if the store has returned it.
    Violated(Option<Box<Stored<Flow>>>),
}

/// Replaces a flow if no engine has reported on it, which most stores know without a read.
async fn replace_unread(
    app: &App,
    flow: &Flow,
    precondition: &RequestPrecondition,
    author: &Author,
) -> Result<Attempted, Problem> {
    let unreported = match precondition {
        RequestPrecondition::Exists => Precondition::Unreported(None),
        RequestPrecondition::AtOneOf(revisions) => match revisions[..] {
            [revision] => Precondition::Unreported(Some(revision)),
            _ => return Ok(Attempted::Violated(None)),
        },
        RequestPrecondition::Absent => return Ok(Attempted::Violated(None)),
    };
    match apply_one(app.repository(), Change::Put(flow.clone(), unreported), author.clone()).await {
        Ok(applied) => {
            if applied.outcome == Outcome::Unchanged {
                app.edit_locks.mark_reported(flow.id());
            }
            Ok(Attempted::Done(saved_flow(flow, version(applied)?.revision)))
        }
        Err(error) if is_single_violation(&error, |kind| matches!(kind, ViolationKind::NotFound)) => {
            Ok(Attempted::Violated(None))
        }
        Err(error) => Ok(Attempted::Violated(Some(into_current_flow(error)?))),
    }
}

/// Returns the document to store in place of the current one. A document with other content than the current one undoes no report.
/// With the same content, it is a report.
async fn replacement(app: &App, edit: Edit<'_>, current: &Stored<Flow>) -> Result<Flow, Problem> {
    let edited = match edit {
        Edit::Whole(edited) => edited,
        Edit::Part(change) => return change(&current.item),
    };
    let hash = |flow: &Flow| flow.hash(Runtime::Exclude).ok();
    if app.edit_locks.is_reported(edited.id())
        && hash(edited) != hash(&current.item)
        && let Ok(merged) = edited.with_runtime_of(&current.item)
    {
        return Ok(merged);
    }
    Ok(app.repository().replacement(edited, current).await?)
}
