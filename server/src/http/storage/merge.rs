//! `?merge=auto`: merges an edit of an older revision with the current revision, if both changed different members.

use strom_store::flow::{Flow, MergeError};
use strom_store::repository::{FlowRepository, Revision, Stored};

use super::attempt::{AttemptedChange, Edit};
use super::blocking::run_blocking;
use super::conflict::{edited_flow, stale_problem};
use crate::http::extract::RequestPrecondition;
use crate::http::respond::{Merge, Problem};

/// An edit of an older revision.
#[derive(Clone)]
pub(super) struct OutdatedEdit {
    revision: Revision,
    base: Flow,
    yours: Flow,
}

impl OutdatedEdit {
    /// Applies the edit to the flow at this revision, which is older than `current`.
    pub(super) async fn load(
        repository: &dyn FlowRepository,
        revision: Revision,
        current: &Stored<Flow>,
        precondition: &RequestPrecondition,
        edit: Edit<'_>,
    ) -> Result<Self, Problem> {
        if let Some(base) = edited_flow(repository, current.item.id(), revision).await? {
            return Ok(Self { revision, yours: edit.result_on(&base)?, base });
        }
        let reason = format!("revision {revision} does not exist or is no longer retained");
        let attempted = AttemptedChange::Edit(edit);
        Err(stale_problem(repository, Box::new(current.clone()), precondition, attempted).await.unmerged(&reason))
    }

    /// Merges the edit with the current flow, or returns the problem with all conflicts.
    pub(super) async fn merge(
        &self,
        repository: &dyn FlowRepository,
        current: Stored<Flow>,
        precondition: &RequestPrecondition,
    ) -> Result<(Flow, Merge), Problem> {
        let (edit, theirs) = (self.clone(), current.clone());
        match run_blocking(move || edit.merge_with(&theirs)).await {
            Ok(merged) => Ok(merged),
            Err(MergeError::Refused(refusal)) => Err(refusal.into()),
            Err(error) => {
                let attempted = AttemptedChange::Edit(Edit::Whole(&self.yours));
                let problem = stale_problem(repository, Box::new(current), precondition, attempted).await;
                Err(problem.unmerged(&error.to_string()).with_conflicts(error))
            }
        }
    }

    fn merge_with(&self, current: &Stored<Flow>) -> Result<(Flow, Merge), MergeError> {
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
