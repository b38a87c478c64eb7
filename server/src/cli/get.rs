//! `strom get`: prints a document.

use clap::Args;
use strom_store::flow::FlowId;
use strom_store::repository::Revision;

use super::answer::Answer;
use super::failure::Failure;
use super::output::{eprint, print};
use super::repository::{Purpose, with_storage};
use super::revision::{no_such_revision, parse_revision};
use crate::config::Flags;

const EXAMPLES: &str = "Examples:
  strom get 6f1d3c5e-0000-4000-8000-000000000001 > studio.json
  strom get 6f1d3c5e-0000-4000-8000-000000000001 --revision 3";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Flow to print
    id: FlowId,

    /// Print this revision, also if the flow was deleted since then
    #[arg(long, value_name = "NUMBER", value_parser = parse_revision)]
    revision: Option<Revision>,

    /// Print the stored document unchanged on one line
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
            eprint(&match revision {
                None => format!("there is no flow {id}"),
                Some(revision) => no_such_revision(id, revision),
            });
            return Ok(Answer::No);
        };
        match compact {
            true => print(flow.document().get())?,
            false => print(&flow.pretty().map_err(Failure::unreadable(id))?)?,
        }
        Ok(Answer::Done)
    })
    .await
}
