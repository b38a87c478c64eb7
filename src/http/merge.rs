//! `?merge=auto`: an edit of a revision that is no longer the current one is merged with it, where both changed different
//! things, instead of being refused.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::condition::Condition;
use super::openapi::schemas;
use super::problem::Problem;
use super::stale::{Sent, aside};
use super::{App, answer};
use crate::flow::{Difference, Flow, MergeError};
use crate::repository::{Revision, Stored};

/// The revision that was edited, where a request asks for a merge.
///
/// Other parameters do not count: changes have always passed them over.
pub(super) fn edited(query: Option<&str>, condition: &Condition) -> Result<Option<Revision>, Problem> {
    let query = query.unwrap_or_default().as_bytes();
    let asked: Vec<_> = form_urlencoded::parse(query).filter(|(name, _)| name == "merge").collect();
    match asked.as_slice() {
        [] => Ok(None),
        [(_, way)] if way == "auto" => match condition.only() {
            Some(revision) => Ok(Some(revision)),
            None => {
                let problem =
                    "`auto` needs `If-Match` with the one entity tag of the revision that was edited, such as";
                Err(Problem::parameter("merge", format!("{problem} `\"3\"`")))
            }
        },
        [_] => Err(Problem::parameter("merge", "the only way to merge is `auto`")),
        _ => Err(Problem::parameter("merge", "given twice")),
    }
}

/// What was merged, for the answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Merge {
    /// In a sentence.
    words: String,
    /// The revision that both began with.
    base: u64,
    /// The one that others had made of it.
    current: u64,
    /// What they changed.
    #[schema(value_type = schemas::Difference)]
    theirs: Difference,
    /// What the sender of the request did.
    #[schema(value_type = schemas::Difference)]
    yours: Difference,
}

/// An edit of a revision that may no longer be the current one.
#[derive(Clone)]
pub(super) struct Edit {
    revision: Revision,
    base: Flow,
    yours: Flow,
}

impl Edit {
    /// The edit merged with the flow as it is.
    fn merged(&self, current: &Stored<Flow>) -> Result<(Flow, Merge), MergeError> {
        let Self { revision, base, yours } = self;
        let (theirs, version) = (&current.item, &current.version);
        let flow = yours.merged(base, theirs)?;
        let (their_changes, your_changes) = (base.difference(theirs)?, base.difference(yours)?);
        let words = format!(
            "your edit of revision {revision} ({}) was merged with revision {} by {} ({})",
            your_changes.count_in_words(),
            version.revision,
            version.author.as_str(),
            their_changes.count_in_words(),
        );
        let (base, current) = (revision.number(), version.revision.number());
        Ok((flow, Merge { words, base, current, theirs: their_changes, yours: your_changes }))
    }
}

impl App {
    /// What `change` makes of the flow as it was at this revision, which is older than `current`.
    pub(super) async fn edit_of(
        &self,
        revision: Revision,
        current: &Stored<Flow>,
        condition: &Condition,
        change: &(dyn Fn(&Flow) -> Result<Flow, Problem> + Sync),
    ) -> Result<Edit, Problem> {
        match self.base(current.item.id(), revision).await? {
            Some(base) => Ok(Edit { revision, yours: change(&base)?, base }),
            None => {
                let reason = format!("revision {revision} is no longer kept, or never was");
                Err(self.stale(Box::new(current.clone()), condition, Sent::Part(change)).await.unmerged(&reason))
            }
        }
    }

    /// The edit merged with the flow as it is, or what is in the way.
    pub(super) async fn merged(
        &self,
        edit: &Edit,
        current: Stored<Flow>,
        condition: &Condition,
    ) -> Result<(Flow, Merge), Problem> {
        let (mine, theirs) = (edit.clone(), current.clone());
        match aside(move || mine.merged(&theirs)).await {
            Ok(merged) => Ok(merged),
            Err(MergeError::Refused(refusal)) => Err(refusal.into()),
            Err(error) => {
                let problem = self.stale(Box::new(current), condition, Sent::Flow(&edit.yours)).await;
                Err(problem.unmerged(&error.to_string()).with_conflicts(error))
            }
        }
    }

    /// The answer to a save that was merged. Never without a body, whatever the client prefers: it does not know the flow
    /// that its new entity tag stands for, and its next save would take away what others wrote.
    pub(super) async fn saved_merge(&self, flow: &Flow, revision: Revision, merge: &Merge) -> Response {
        answer::flow_with(StatusCode::OK, flow, revision, &self.warnings(flow).await, Some(merge))
    }
}
