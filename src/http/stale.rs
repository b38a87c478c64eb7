//! What a change is told whose condition does not hold: the flow as it is, what others have changed, and what its sender
//! has, so that a person can see whether anything is in the way.
//!
//! The revision that the sender began with is looked up in the history, where it is kept for a while. When it is not, or
//! cannot be read just now, there is less to tell and the answer is the same.

use std::panic::resume_unwind;

use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::App;
use super::condition::Condition;
use super::flows::{is_only, no_such_flow};
use super::openapi::schemas;
use super::problem::Problem;
use crate::flow::{Difference, Flow, FlowId};
use crate::repository::{self, Operation, RepositoryError, Revision, Stored, Violation, ViolationKind};

/// What a request would have made of a flow.
pub(super) enum Sent<'a> {
    /// This one.
    Flow(&'a Flow),
    /// What a patch makes of it.
    Part(&'a (dyn Fn(&Flow) -> Result<Flow, Problem> + Sync)),
    /// Nothing.
    Deletion,
}

impl Sent<'_> {
    /// What becomes of this flow; none where it is deleted, or the patch does not fit it.
    fn made_of(&self, flow: &Flow) -> Option<Flow> {
        match self {
            Self::Flow(flow) => Some((*flow).clone()),
            Self::Part(change) => change(flow).ok(),
            Self::Deletion => None,
        }
    }
}

/// How two edits of a flow have gone apart.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Divergence {
    /// The revision that both began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    base: Option<u64>,
    /// What others have changed since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Difference>, nullable = false)]
    theirs: Option<Difference>,
    /// What the sender has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Difference>, nullable = false)]
    yours: Option<Difference>,
    /// From what was sent, or what a patch would make of it, to what is there; where it is not known what both began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Difference>, nullable = false)]
    between: Option<Difference>,
}

impl Divergence {
    /// Of documents that somebody wrote by SQL, and that we would have refused, there is nothing to say.
    fn since(revision: Revision, base: &Flow, sent: Option<&Flow>, current: &Flow) -> Self {
        let yours = sent.and_then(|sent| base.difference(sent).ok());
        Self { base: Some(revision.number()), theirs: base.difference(current).ok(), yours, between: None }
    }

    /// Where nothing is known but the two.
    fn between(sent: &Flow, current: &Flow) -> Self {
        Self { between: sent.difference(current).ok(), ..Self::default() }
    }
}

/// Does work that takes long with large documents, and nobody else should wait for, where nobody does.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => resume_unwind(error.into_panic()),
    }
}

impl App {
    /// The answer to a change of this flow that could not be made, whose sender named this condition.
    pub(super) async fn told(
        &self,
        error: RepositoryError,
        id: FlowId,
        condition: &Condition,
        sent: Sent<'_>,
    ) -> Problem {
        let error = match current(error) {
            Ok(current) => return self.stale(current, condition, sent).await,
            Err(error) => error,
        };
        let is_there = is_only(&error, |kind| matches!(kind, ViolationKind::AlreadyExists));
        let is_gone = is_only(&error, |kind| matches!(kind, ViolationKind::NotFound));
        match (&sent, condition) {
            (Sent::Flow(flow), Condition::Absent) if is_there => self.there(flow).await,
            _ if is_gone => self.gone(id, condition).await,
            _ => error.into(),
        }
    }

    /// The answer to a change of a flow that is not there. Who has seen it is told who took it away.
    pub(super) async fn gone(&self, id: FlowId, condition: &Condition) -> Problem {
        let problem = no_such_flow(id);
        if !matches!(condition, Condition::AtOneOf(_)) {
            return problem;
        }
        match self.source.repository.history(id, None, 1).await {
            Ok(records) => problem.with_deletion(records.iter().find(|record| record.operation == Operation::Delete)),
            Err(error) => {
                tracing::debug!(%error, "who deleted a flow is not told");
                problem
            }
        }
    }

    /// The answer to who stores a flow where there is none, and there is one.
    async fn there(&self, sent: &Flow) -> Problem {
        let current = match self.source.repository.get(sent.id()).await {
            Ok(current) => current.map(Box::new),
            Err(error) => return error.into(),
        };
        let divergence = match &current {
            Some(current) => {
                let (sent, current) = (sent.clone(), current.item.clone());
                Some(aside(move || Divergence::between(&sent, &current)).await)
            }
            None => None,
        };
        Problem::precondition_failed("the flow exists already", current).with_divergence(divergence)
    }

    /// The answer to a change of a flow that is at another revision than its sender knows.
    pub(super) async fn stale(&self, current: Box<Stored<Flow>>, condition: &Condition, sent: Sent<'_>) -> Problem {
        let base = match condition.newest_before(current.version.revision) {
            Some(revision) => match self.base(current.item.id(), revision).await {
                Ok(base) => base.map(|base| (revision, base)),
                Err(error) => {
                    tracing::debug!(%error, "a stale change is not compared with what it began with");
                    None
                }
            },
            None => None,
        };
        let flow = current.item.clone();
        let divergence = match base {
            Some((revision, base)) => {
                let sent = sent.made_of(&base);
                Some(aside(move || Divergence::since(revision, &base, sent.as_ref(), &flow)).await)
            }
            None => match sent.made_of(&flow) {
                Some(sent) => Some(aside(move || Divergence::between(&sent, &flow)).await),
                None => None,
            },
        };
        Problem::stale(current).with_divergence(divergence)
    }

    /// What a flow was at a revision that somebody may have edited. That of a deletion nobody was shown.
    pub(super) async fn base(&self, id: FlowId, revision: Revision) -> repository::Result<Option<Flow>> {
        let record = self.source.repository.revision(id, revision).await?;
        Ok(record.filter(|record| record.operation != Operation::Delete).map(|record| record.item))
    }
}

/// The flow as it is, of a change that failed for its revision alone.
fn current(error: RepositoryError) -> Result<Box<Stored<Flow>>, RepositoryError> {
    let RepositoryError::Conflict(mut violations) = error else { return Err(error) };
    match violations.pop() {
        Some(Violation { kind: ViolationKind::Stale { current, .. }, .. }) if violations.is_empty() => Ok(current),
        last => {
            violations.extend(last);
            Err(RepositoryError::Conflict(violations))
        }
    }
}
