//! `strom diff`: prints the changes between two revisions of a flow, in words or as a JSON Patch.

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;
use strom_store::flow::{ChangeKind, Difference, FlowId};
use strom_store::repository::Revision;
use strom_store::{Flow, FlowRepository};

use super::answer::Answer;
use super::failure::Failure;
use super::output::{Output, eprint, escaped, print, to_json};
use super::repository::{Purpose, with_storage};
use super::revision::{no_such_revision, parse_revision};
use crate::config::Flags;

const EXAMPLES: &str = "\
The list of changes ignores runtime members and hides secrets. A patch contains both, because it
transforms one document into exactly the other.

Examples:
  strom diff 6f1d3c5e-0000-4000-8000-000000000001        show the last change
  strom diff 6f1d3c5e-0000-4000-8000-000000000001 3      show all changes since revision 3
  strom diff 6f1d3c5e-0000-4000-8000-000000000001 3 5    show the changes from revision 3 to 5
  strom diff 6f1d3c5e-0000-4000-8000-000000000001 3 5 --patch > change.json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Flow to compare, also a deleted one
    id: FlowId,

    /// Older revision [default: the last but one]
    #[arg(value_name = "FROM", value_parser = parse_revision)]
    from: Option<Revision>,

    /// Newer revision [default: the last]
    #[arg(value_name = "TO", value_parser = parse_revision)]
    to: Option<Revision>,

    /// Print JSON
    #[arg(long, conflicts_with = "patch")]
    json: bool,

    /// Print a JSON Patch (RFC 6902) that transforms FROM into TO
    #[arg(long)]
    patch: bool,
}

/// The JSON output.
#[derive(Serialize)]
struct DiffReport {
    from: u64,
    to: u64,
    #[serde(flatten)]
    difference: Difference,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let Arguments { id, from, to, json, patch } = arguments;
    with_storage(flags, Purpose::Read, async |repository| {
        let latest = repository.history(id, None, 2).await?;
        let Some(last) = latest.first().map(|record| record.revision) else {
            eprint(&format!("there is no flow {id}, and it has no history"));
            return Ok(Answer::No);
        };
        let Some(from) = from.or_else(|| latest.get(1).map(|record| record.revision)) else {
            eprint(&format!("the only retained revision of the flow {id} is {last}"));
            return Ok(Answer::No);
        };
        let to = to.unwrap_or(last);
        let (Some(older), Some(newer)) = (find(repository, id, from).await?, find(repository, id, to).await?) else {
            return Ok(Answer::No);
        };
        if patch {
            print(&older.json_patch(&newer).map_err(Failure::unreadable(id))?)?;
            return Ok(Answer::Done);
        }
        let difference = older.difference(&newer).map_err(Failure::unreadable(id))?;
        if json {
            let report = DiffReport { from: from.number(), to: to.number(), difference };
            print(&to_json(&report)?)?;
        } else if difference.is_empty() {
            eprint(&format!("revisions {from} and {to} differ in no member except runtime members"));
        } else {
            show(&difference)?;
        }
        Ok(Answer::Done)
    })
    .await
}

async fn find(repository: &dyn FlowRepository, id: FlowId, revision: Revision) -> Result<Option<Flow>, Failure> {
    let found = repository.revision(id, revision).await?;
    if found.is_none() {
        eprint(&no_such_revision(id, revision));
    }
    Ok(found.map(|record| record.item))
}

fn show(difference: &Difference) -> Result<(), Failure> {
    let mut out = Output::new();
    for change in &difference.changes {
        let style = match change.kind {
            ChangeKind::Added => AnsiColor::Green.on_default(),
            ChangeKind::Removed => AnsiColor::Red.on_default(),
            ChangeKind::Moved => Style::new().dimmed(),
            _ => Style::new(),
        };
        let line = out.styled(style, &escaped(&change.words)).into_owned();
        out.line(&line)?;
    }
    if difference.more > 0 {
        out.line(&format!("and {} more", difference.more))?;
    }
    out.finish()
}
