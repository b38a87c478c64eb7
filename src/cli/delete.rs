//! `strom delete`: takes flows away, all of those named or none.

use clap::Args;
use strom::flow::FlowId;
use strom::repository::{Change, RepositoryError};

use super::opening::{Purpose, stamp, with_storage};
use super::output::{Output, tell};
use super::put::shown;
use super::{Answer, Failure};
use crate::config::Flags;

const EXAMPLES: &str = "Examples:
  strom delete 6f1d3c5e-0000-4000-8000-000000000001
  strom history 6f1d3c5e-0000-4000-8000-000000000001    what it was, for `strom restore`";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The flows; where one is not there, none is deleted
    #[arg(required = true, value_name = "ID")]
    ids: Vec<FlowId>,
}

pub(super) async fn run(flags: &Flags, Arguments { mut ids }: Arguments) -> Result<Answer, Failure> {
    ids.sort_unstable();
    ids.dedup();
    with_storage(flags, Purpose::Change, async |repository| {
        let changes = ids.into_iter().map(Change::delete).collect();
        let applied = match repository.apply(changes, stamp()).await {
            Err(RepositoryError::Conflict(violations)) => {
                violations.iter().for_each(|violation| tell(&violation.to_string()));
                tell("nothing was deleted");
                return Ok(Answer::No);
            }
            applied => applied?,
        };
        let mut out = Output::new();
        for applied in applied {
            out.line(&shown(applied.outcome, applied.id, applied.version.map(|version| version.revision)))?;
        }
        out.finish()?;
        Ok(Answer::Done)
    })
    .await
}
