//! `strom restore`: makes a flow what it was, be it there or deleted.

use clap::Args;
use strom::flow::FlowId;
use strom::repository::{Outcome, Precondition, Revision};

use super::opening::{Purpose, stamp, with_storage};
use super::output::{say, tell};
use super::put::shown;
use super::{Answer, Failure};
use crate::config::Flags;

const EXAMPLES: &str =
    "A restore is a change like any other: it makes a new revision, and nothing of the history is lost.

Examples:
  strom history 6f1d3c5e-0000-4000-8000-000000000001
  strom restore 6f1d3c5e-0000-4000-8000-000000000001 --revision 3";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The flow
    id: FlowId,

    /// What it shall be again
    #[arg(long, value_name = "NUMBER", value_parser = super::revision)]
    revision: Revision,
}

pub(super) async fn run(flags: &Flags, Arguments { id, revision }: Arguments) -> Result<Answer, Failure> {
    with_storage(flags, Purpose::Change, async |repository| {
        let Some(applied) = repository.restore(id, revision, Precondition::Any, stamp()).await? else {
            tell(&super::no_such_revision(id, revision));
            return Ok(Answer::No);
        };
        let version = applied.version.map(|version| version.revision);
        let line = shown(applied.outcome, id, version);
        say(&match applied.outcome {
            Outcome::Created | Outcome::Replaced => format!("{line}, as it was at {revision}"),
            _ => line,
        })?;
        Ok(Answer::Done)
    })
    .await
}
