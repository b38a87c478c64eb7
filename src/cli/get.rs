//! `strom get`: one document.

use clap::Args;
use strom::flow::FlowId;
use strom::repository::Revision;

use super::opening::{Purpose, with_storage};
use super::output::{say, tell};
use super::{Answer, Failure};
use crate::config::Flags;

const EXAMPLES: &str = "Examples:
  strom get 6f1d3c5e-0000-4000-8000-000000000001 > studio.json
  strom get 6f1d3c5e-0000-4000-8000-000000000001 --revision 3";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The flow
    id: FlowId,

    /// As it was at this revision, also when it was deleted since
    #[arg(long, value_name = "NUMBER", value_parser = super::revision)]
    revision: Option<Revision>,

    /// On one line, exactly as it is stored
    #[arg(long)]
    compact: bool,
}

pub(super) async fn run(flags: &Flags, Arguments { id, revision, compact }: Arguments) -> Result<Answer, Failure> {
    with_storage(flags, Purpose::Read, async |repository| {
        let found = match revision {
            None => repository.get(id).await?.map(|stored| stored.item),
            Some(revision) => repository.revision(id, revision).await?.map(|record| record.item),
        };
        let Some(flow) = found else {
            tell(&match revision {
                None => format!("there is no flow {id}"),
                Some(revision) => super::no_such_revision(id, revision),
            });
            return Ok(Answer::No);
        };
        match compact {
            true => say(flow.document().get())?,
            false => say(&flow.pretty().map_err(|refusal| Failure::Unreadable { id, refusal })?)?,
        }
        Ok(Answer::Done)
    })
    .await
}
