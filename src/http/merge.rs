//! `?merge=auto`: an edit of a revision that is no longer the current one is merged with it, where both changed different
//! things, instead of being refused.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use url::form_urlencoded;

use super::condition::Condition;
use super::problem::Problem;
use super::stale::Sent;
use super::{App, answer};
use crate::flow::{Difference, Flow, MergeError};
use crate::repository::{Revision, Stored, Version};

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
#[derive(Debug, Serialize)]
pub(super) struct Merge {
    /// In a sentence.
    words: String,
    /// The revision that both began with.
    base: u64,
    /// The one that others had made of it.
    current: u64,
    /// What they changed.
    theirs: Difference,
    /// What the sender of the request did.
    yours: Difference,
}

impl App {
    /// What `change` makes of the flow as it was, merged with the flow as it is.
    pub(super) async fn merged(
        &self,
        revision: Revision,
        current: Stored<Flow>,
        condition: &Condition,
        change: &(dyn Fn(&Flow) -> Result<Flow, Problem> + Sync),
    ) -> Result<(Flow, Merge), Problem> {
        let theirs = &current.item;
        let Some(base) = self.base(theirs.id(), revision).await? else {
            let reason = format!("revision {revision} is no longer kept, or never was");
            return Err(self.stale(Box::new(current), condition, Sent::Part(change)).await.unmerged(&reason));
        };
        let yours = change(&base)?;
        match yours.merged(&base, theirs) {
            Ok(flow) => {
                let merge = Merge::of(revision, &base, &yours, theirs, &current.version)?;
                Ok((flow, merge))
            }
            Err(MergeError::Refused(refusal)) => Err(refusal.into()),
            Err(error) => {
                let problem = self.stale(Box::new(current), condition, Sent::Flow(&yours)).await;
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

impl Merge {
    fn of(revision: Revision, base: &Flow, yours: &Flow, theirs: &Flow, version: &Version) -> Result<Self, Problem> {
        let (current, author) = (version.revision, version.author.as_str());
        let (theirs, yours) = (base.difference(theirs)?, base.difference(yours)?);
        let words = format!(
            "your edit of revision {revision} ({}) was merged with revision {current} by {author} ({})",
            count(&yours),
            count(&theirs),
        );
        Ok(Self { words, base: revision.number(), current: current.number(), theirs, yours })
    }
}

fn count(difference: &Difference) -> String {
    match difference.changes.len() + difference.more {
        0 => "no changes".to_owned(),
        1 => "1 change".to_owned(),
        count => format!("{count} changes"),
    }
}
