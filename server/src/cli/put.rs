//! `strom put`: stores a document, as a new flow or as a new revision.

use std::path::PathBuf;

use clap::Args;
use strom_server::clock;
use strom_store::repository::{
    FlowRepositoryExt as _, Precondition, RepositoryError, Revision, Violation, ViolationKind,
};
use strom_store::{Draft, Flow, FlowRepository};

use super::answer::Answer;
use super::edit_saving::{Edit, Saved};
use super::failure::Failure;
use super::input::{input_name, read_document};
use super::output::eprint;
use super::repository::{Purpose, stamp, with_storage};
use super::revision::{no_such_revision, parse_revision};
use super::save_report::{print_changes_since, print_outcomes, print_warnings};
use crate::config::{Flags, resolve};

const EXAMPLES: &str = "Examples:
  strom put studio.json
  strom put --if-revision 3 studio.json
  strom put --if-revision 3 --merge studio.json
  echo '{\"name\": \"Studio 1\"}' | strom put -";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// File with one flow, or `-` for stdin. A flow without an id receives a new one
    file: PathBuf,

    /// Fail if the flow exists
    #[arg(long)]
    new: bool,

    /// Fail if the flow is not at this revision
    #[arg(long, value_name = "NUMBER", value_parser = parse_revision, conflicts_with = "new")]
    if_revision: Option<Revision>,

    /// If the flow has a later revision, merge both edits unless they overlap
    #[arg(long, requires = "if_revision")]
    merge: bool,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let Arguments { file, new, if_revision, merge } = arguments;
    let file = resolve(&file)?;
    let text = read_document(&file).map_err(|source| Failure::Input { file: input_name(&file), source })?;
    let flow = Draft::parse(&text).and_then(|draft| draft.into_flow(clock::new_id()));
    let flow = flow.map_err(|refusal| Failure::Refused { file: input_name(&file), refusal })?;
    let precondition = match if_revision {
        Some(revision) => Precondition::At(revision),
        None if new => Precondition::Absent,
        None => Precondition::Any,
    };
    let purpose = if if_revision.is_some() { Purpose::Change } else { Purpose::Create };
    with_storage(flags, purpose, async |repository| {
        if let Some(revision) = if_revision.filter(|_| merge) {
            return merge_and_store(repository, revision, &flow).await;
        }
        let saved = match repository.save(flow.clone(), precondition, stamp()).await {
            Err(RepositoryError::Conflict(violations)) => {
                for violation in &violations {
                    eprint(&violation.to_string());
                    print_conflict(repository, violation).await?;
                }
                return Ok(Answer::No);
            }
            saved => saved?,
        };
        print_warnings(&saved.flow);
        print_outcomes(vec![saved.applied])?;
        Ok(Answer::Done)
    })
    .await
}

/// Stores an edit of a revision, merged with the changes since then.
async fn merge_and_store(repository: &dyn FlowRepository, revision: Revision, flow: &Flow) -> Result<Answer, Failure> {
    let Some(base) = repository.revision(flow.id(), revision).await? else {
        eprint(&no_such_revision(flow.id(), revision));
        return Ok(Answer::No);
    };
    let edit = Edit { revision, base: &base.item, yours: flow, merge: true };
    match edit.store(repository).await? {
        Saved::Yes => Ok(Answer::Done),
        Saved::No(_) => Ok(Answer::No),
    }
}

/// Prints the changes since the expected revision.
async fn print_conflict(repository: &dyn FlowRepository, violation: &Violation) -> Result<(), Failure> {
    let ViolationKind::Stale { expected, current } = &violation.kind else { return Ok(()) };
    if let Some(base) = repository.revision(violation.id, *expected).await? {
        print_changes_since(&base.item.difference(&current.item).unwrap_or_default());
    }
    Ok(())
}
