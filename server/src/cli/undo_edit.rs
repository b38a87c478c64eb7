//! `strom undo-edit`: restores the flows as they were before the last edit of the JSON file.

use std::collections::BTreeMap;

use clap::Args;
use strom_store::FlowRepository;
use strom_store::flow::{FlowId, Head};
use strom_store::repository::FlowRepositoryExt as _;
use strom_store::repository::{
    Applied, Author, Change, Operation, Outcome, Precondition, Record, RepositoryError, Since,
};

use super::answer::Answer;
use super::failure::Failure;
use super::output::{eprint, escaped, print, timestamp};
use super::repository::{Purpose, stamp, with_storage};
use super::save_report::outcome_line;
use crate::config::Flags;

/// The number of changes to read at once.
const PAGE: u32 = 1_000;

const EXAMPLES: &str = "\
Other programs and people can edit the file flows.json, and the store adopts these edits as changes
by the author `file`. This command undoes all changes of the last edit: edited flows get their
content from before, deleted flows are restored, created flows are deleted. Engine reports remain.
Flows that were changed after the edit are not changed; the command lists them and exits with 1.

Stop a server that has the file open first. The undo creates new revisions, so it can
be undone with `strom restore`.

Examples:
  jq 'del(.flows[] | select(.name == \"test\"))' flows.json > new && mv new flows.json
  strom undo-edit --dry-run
  strom undo-edit";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Show what the command would do. Write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(flags: &Flags, Arguments { dry_run }: Arguments) -> Result<Answer, Failure> {
    let purpose = if dry_run { Purpose::Read } else { Purpose::Change };
    with_storage(flags, purpose, async |repository| {
        let Some(edit) = last_edit(repository).await? else {
            eprint("the retained changes contain no edit of the file");
            return Ok(Answer::No);
        };
        eprint(&format!("the last edit is of {}", timestamp(edit[0].at)));
        let mut plan = Plan::default();
        for records in by_flow(&edit).into_values() {
            plan.add(repository, &records).await?;
        }
        match dry_run {
            true => plan.changes.iter().try_for_each(|(head, change)| print(&planned_line(head, change)))?,
            false => plan.apply(repository).await?.into_iter().try_for_each(|applied| print(&line_of(&applied)))?,
        }
        plan.skipped.iter().for_each(|(id, reason)| eprint(&format!("{id} remains: {reason}")));
        Ok(if plan.skipped.is_empty() { Answer::Done } else { Answer::No })
    })
    .await
}

/// Returns the changes of the last edit of the file. The flows of a file from which the store was created are not an
/// edit.
async fn last_edit(repository: &dyn FlowRepository) -> Result<Option<Vec<Record<Head>>>, Failure> {
    let mut edit: Vec<Record<Head>> = Vec::new();
    let (mut since, mut is_first, mut is_creation) = (Since::Oldest, true, false);
    loop {
        let page = repository.change_summaries(since, PAGE).await?;
        if page.changes.is_empty() {
            break;
        }
        since = Since::After(page.next);
        for record in page.changes {
            if record.author == Author::file() && record.operation != Operation::State {
                if edit.first().is_some_and(|first| first.at != record.at) {
                    edit.clear();
                    is_creation = false;
                }
                is_creation |= is_first;
                edit.push(record);
            }
            is_first = false;
        }
    }
    let is_creation = is_creation && edit.iter().all(|record| record.operation == Operation::Create);
    Ok((!edit.is_empty() && !is_creation).then_some(edit))
}

fn by_flow(edit: &[Record<Head>]) -> BTreeMap<FlowId, Vec<&Record<Head>>> {
    let mut flows: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for record in edit {
        flows.entry(record.item.id).or_default().push(record);
    }
    flows
}

/// The changes that undo an edit.
#[derive(Default)]
struct Plan {
    changes: Vec<(Head, Change)>,
    /// Flows that remain as they are, and why.
    skipped: Vec<(FlowId, String)>,
}

impl Plan {
    /// Adds the change that undoes these changes of one flow.
    async fn add(&mut self, repository: &dyn FlowRepository, records: &[&Record<Head>]) -> Result<(), Failure> {
        let (first, last) = (records[0], records[records.len() - 1]);
        let (id, head) = (last.item.id, last.item.clone());
        let newest = repository.history(id, None, 1).await?.pop();
        if newest.is_none_or(|newest| newest.revision != last.revision) {
            self.skipped.push((id, "it was changed after the edit".to_owned()));
            return Ok(());
        }
        let current = repository.get(id).await?;
        let earlier = repository.history(id, Some(first.revision), 1).await?.pop();
        let earlier = match earlier.filter(|earlier| earlier.operation != Operation::Delete) {
            Some(earlier) => Some(earlier.revision),
            // The record of a deletion contains the flow before it.
            None if first.operation == Operation::Delete => Some(first.revision),
            None => None,
        };
        let before = match earlier {
            Some(revision) => repository.revision(id, revision).await?.map(|record| record.item),
            None => None,
        };
        let change = match (before, current) {
            (Some(before), Some(current)) => match before.with_runtime_of(&current.item) {
                Ok(flow) => Change::Restore(flow, Precondition::At(current.version.revision)),
                Err(error) => {
                    self.skipped.push((id, error.to_string()));
                    return Ok(());
                }
            },
            (Some(before), None) => Change::Restore(before, Precondition::Absent),
            (None, Some(current)) if first.operation == Operation::Create => {
                Change::Delete(id, Precondition::At(current.version.revision))
            }
            (None, None) => return Ok(()),
            (None, Some(_)) => {
                self.skipped.push((id, "the revision before the edit is no longer retained".to_owned()));
                return Ok(());
            }
        };
        self.changes.push((head, change));
        Ok(())
    }

    /// Makes all changes whose flows have not changed since.
    async fn apply(&mut self, repository: &dyn FlowRepository) -> Result<Vec<Applied>, Failure> {
        loop {
            let changes = self.changes.iter().map(|(_, change)| change.clone()).collect();
            match repository.apply_all(changes, stamp()).await {
                Err(RepositoryError::Conflict(violations)) => {
                    for violation in violations {
                        self.changes.retain(|(head, _)| head.id != violation.id);
                        self.skipped.push((violation.id, violation.to_string()));
                    }
                }
                applied => return Ok(applied?),
            }
        }
    }
}

fn planned_line(head: &Head, change: &Change) -> String {
    let action = match (change, change.precondition()) {
        (Change::Delete(..), _) => "delete",
        (_, Precondition::Absent) => "create",
        _ => "replace",
    };
    format!("{action}  {}  {}", head.id, escaped(&head.name))
}

fn line_of(Applied { id, outcome, version, .. }: &Applied) -> String {
    let revision = version.as_ref().map(|version| version.revision).filter(|_| *outcome != Outcome::Absent);
    outcome_line(*outcome, *id, revision)
}
