//! `strom diff`: what has changed from one revision of a flow to another, in words or as a patch.

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;
use strom::flow::{ChangeKind, Difference, FlowId};
use strom::repository::Revision;
use strom::{Flow, FlowRepository};

use super::opening::{Purpose, with_storage};
use super::output::{self, Output, say, tell, visible};
use super::{Answer, Failure};
use crate::config::Flags;

const EXAMPLES: &str =
    "What a running engine reports does not count, and secrets are not shown; but a patch has both, since it makes
of the one document exactly the other.

Examples:
  strom diff 6f1d3c5e-0000-4000-8000-000000000001        what the last change was
  strom diff 6f1d3c5e-0000-4000-8000-000000000001 3      what has changed since revision 3
  strom diff 6f1d3c5e-0000-4000-8000-000000000001 3 5    from revision 3 to 5
  strom diff 6f1d3c5e-0000-4000-8000-000000000001 3 5 --patch > change.json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The flow, there or deleted
    id: FlowId,

    /// From this revision [default: the last but one]
    #[arg(value_name = "FROM", value_parser = super::revision)]
    from: Option<Revision>,

    /// To this revision [default: the last]
    #[arg(value_name = "TO", value_parser = super::revision)]
    to: Option<Revision>,

    /// For machines
    #[arg(long, conflicts_with = "patch")]
    json: bool,

    /// As a JSON Patch (RFC 6902), which makes of FROM exactly TO
    #[arg(long)]
    patch: bool,
}

/// What differs, and between what.
#[derive(Serialize)]
struct Compared {
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
            tell(&format!("there is no flow {id}, and nothing is kept of one"));
            return Ok(Answer::No);
        };
        let Some(from) = from.or_else(|| latest.get(1).map(|record| record.revision)) else {
            tell(&format!("of the flow {id} only revision {last} is kept"));
            return Ok(Answer::No);
        };
        let to = to.unwrap_or(last);
        let (Some(older), Some(newer)) = (find(repository, id, from).await?, find(repository, id, to).await?) else {
            return Ok(Answer::No);
        };
        let unreadable = |refusal| Failure::Unreadable { id, refusal };
        if patch {
            say(&older.json_patch(&newer).map_err(unreadable)?)?;
            return Ok(Answer::Done);
        }
        let difference = older.difference(&newer).map_err(unreadable)?;
        if json {
            let compared = Compared { from: from.number(), to: to.number(), difference };
            say(&output::json(&compared)?)?;
        } else if difference.is_empty() {
            tell(&format!("revision {from} and {to} do not differ in what people wrote"));
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
        tell(&super::no_such_revision(id, revision));
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
        let line = out.painted(style, &visible(&change.words)).into_owned();
        out.line(&line)?;
    }
    if difference.more > 0 {
        out.line(&format!("and {} more", difference.more))?;
    }
    out.finish()
}
