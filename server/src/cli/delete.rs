//! `strom delete`: deletes flows, all or none.

use clap::Args;
use strom_store::flow::FlowId;
use strom_store::repository::FlowRepositoryExt as _;
use strom_store::repository::{Change, RepositoryError};

use super::answer::Answer;
use super::failure::Failure;
use super::output::eprint;
use super::repository::{Purpose, stamp, with_storage};
use super::save_report::print_outcomes;
use crate::config::Flags;

const EXAMPLES: &str = "Examples:
  strom delete 6f1d3c5e-0000-4000-8000-000000000001
  strom history 6f1d3c5e-0000-4000-8000-000000000001    find the revision for `strom restore`";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Flows to delete. If one does not exist, none is deleted
    #[arg(required = true, value_name = "ID")]
    ids: Vec<FlowId>,
}

pub(super) async fn run(flags: &Flags, Arguments { mut ids }: Arguments) -> Result<Answer, Failure> {
    ids.sort_unstable();
    ids.dedup();
    with_storage(flags, Purpose::Change, async |repository| {
        let changes = ids.into_iter().map(Change::delete).collect();
        let applied = match repository.apply_all(changes, stamp()).await {
            Err(RepositoryError::Conflict(violations)) => {
                violations.iter().for_each(|violation| eprint(&violation.to_string()));
                eprint("nothing was deleted");
                return Ok(Answer::No);
            }
            applied => applied?,
        };
        print_outcomes(applied)?;
        Ok(Answer::Done)
    })
    .await
}
