//! `strom put`: stores one document, new or in place of another.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use strom::flow::{Difference, MAX_SIZE};
use strom::repository::{Change, Outcome, Precondition, RepositoryError, Revision, Violation, ViolationKind};
use strom::{Draft, Flow, FlowRepository, clock};

use super::opening::{Purpose, stamp, with_storage};
use super::output::{say, tell, visible};
use super::saving::{Edit, Stored};
use super::{Answer, Failure};
use crate::config::Flags;

/// White space included.
const LONGEST: usize = 2 * MAX_SIZE;

const EXAMPLES: &str = "Examples:
  strom put studio.json
  strom put --if-revision 3 studio.json
  strom put --if-revision 3 --merge studio.json
  echo '{\"name\": \"Studio 1\"}' | strom put -";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// A file with one flow, `-` for stdin; a flow without an id gets one
    file: PathBuf,

    /// Only if no flow has its id
    #[arg(long)]
    new: bool,

    /// Only if the flow is still at this revision
    #[arg(long, value_name = "NUMBER", value_parser = super::revision, conflicts_with = "new")]
    if_revision: Option<Revision>,

    /// Where the flow has a later revision, bring both together if they have changed different things
    #[arg(long, requires = "if_revision")]
    merge: bool,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let Arguments { file, new, if_revision, merge } = arguments;
    let text = read(&file).map_err(|source| Failure::Input { file: super::name_of(&file), source })?;
    let flow = Draft::parse(&text).and_then(|draft| draft.into_flow(clock::new_id()));
    let flow = flow.map_err(|refusal| Failure::Refused { file: super::name_of(&file), refusal })?;
    let precondition = match if_revision {
        Some(revision) => Precondition::At(revision),
        None if new => Precondition::Absent,
        None => Precondition::Any,
    };
    let purpose = if if_revision.is_some() { Purpose::Change } else { Purpose::Fill };
    with_storage(flags, purpose, async |repository| {
        if let Some(revision) = if_revision.filter(|_| merge) {
            return merged(repository, revision, &flow).await;
        }
        let applied = repository.apply(vec![Change::Put(flow.clone(), precondition)], stamp()).await;
        let applied = match applied {
            Err(RepositoryError::Conflict(violations)) => {
                for violation in &violations {
                    tell(&violation.to_string());
                    tell_others(repository, violation).await?;
                }
                return Ok(Answer::No);
            }
            applied => applied?,
        };
        warn(&flow);
        for applied in applied {
            say(&shown(applied.outcome, applied.id, applied.version.map(|version| version.revision)))?;
        }
        Ok(Answer::Done)
    })
    .await
}

/// Stores what somebody has made of a revision, whatever others have made of it since then.
async fn merged(repository: &dyn FlowRepository, revision: Revision, flow: &Flow) -> Result<Answer, Failure> {
    let Some(base) = repository.revision(flow.id(), revision).await? else {
        tell(&super::no_such_revision(flow.id(), revision));
        return Ok(Answer::No);
    };
    let edit = Edit { revision, base: &base.item, yours: flow, merge: true };
    match edit.store(repository).await? {
        Stored::Yes => Ok(Answer::Done),
        Stored::No(_) => Ok(Answer::No),
    }
}

/// What others have done to a flow since the revision that was expected.
async fn tell_others(repository: &dyn FlowRepository, violation: &Violation) -> Result<(), Failure> {
    let ViolationKind::Stale { expected, current } = &violation.kind else { return Ok(()) };
    if let Some(base) = repository.revision(violation.id, *expected).await? {
        tell_since(&base.item.difference(&current.item).unwrap_or_default());
    }
    Ok(())
}

/// What others have done.
pub(super) fn tell_since(difference: &Difference) {
    for change in &difference.changes {
        tell(&format!("since then: {}", visible(&change.words)));
    }
    if difference.more > 0 {
        tell(&format!("since then: and {} more", difference.more));
    }
}

/// What is suspicious about a flow that is stored all the same.
pub(super) fn warn(flow: &Flow) {
    for warning in flow.warnings().unwrap_or_default() {
        tell(&format!("warning: `{}`: {}", warning.path, visible(&warning.suspicion.to_string())));
    }
    if flow.is_ephemeral() {
        tell("warning: `$.properties.ephemeral`: it is stored all the same; servers alone keep flows in memory");
    }
}

/// What came of a change.
pub(super) fn shown(outcome: Outcome, id: strom::FlowId, revision: Option<Revision>) -> String {
    let outcome = match outcome {
        Outcome::Created => "created",
        Outcome::Replaced => "replaced",
        Outcome::Unchanged => "unchanged",
        Outcome::Deleted => "deleted",
        Outcome::Absent => "absent",
    };
    let revision = revision.map(|revision| format!("  revision {revision}")).unwrap_or_default();
    format!("{outcome}  {id}{revision}")
}

/// The text of a file that may hold one flow.
pub(super) fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let input: Box<dyn Read> = if super::is_stdin(file) { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    input.take(LONGEST as u64 + 1).read_to_string(&mut text)?;
    if text.len() > LONGEST {
        return Err(io::Error::other(format!("it has over {LONGEST} bytes, and a flow has {MAX_SIZE} at most")));
    }
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    Ok(text.split_off(start))
}
