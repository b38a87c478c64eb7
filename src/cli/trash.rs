//! `strom trash`: the deleted flows that `strom restore` can bring back.

use anstyle::Style;
use clap::Args;
use strom::flow::Head;
use strom::http::{DeletedFlow, Trash};
use strom::repository::Record;

use super::opening::{Purpose, with_storage};
use super::output::{self, Output, at, visible};
use super::{Answer, Failure};
use crate::config::Flags;

const EXAMPLES: &str = "To restore the revision of a deletion brings back what was deleted.

Examples:
  strom trash
  strom restore 6f1d3c5e-0000-4000-8000-000000000001 --revision 4";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// For machines, as `GET /api/trash` answers
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: &Flags, Arguments { json }: Arguments) -> Result<Answer, Failure> {
    with_storage(flags, Purpose::Read, async |repository| {
        let records = repository.deleted().await?;
        let mut out = Output::new();
        if json {
            let flows = records.iter().map(DeletedFlow::of).collect();
            out.line(&output::json(&Trash { flows })?)?;
        } else {
            show(&mut out, &records)?;
        }
        out.finish()?;
        Ok(Answer::Done)
    })
    .await
}

fn show(out: &mut Output, records: &[Record<Head>]) -> Result<(), Failure> {
    let titles = format!("{:36}  {:>8}  {:20}  {:10}  NAME", "ID", "REVISION", "DELETED", "AUTHOR");
    let titles = out.painted(Style::new().bold(), &titles).into_owned();
    out.line(&titles)?;
    for Record { item: head, revision, at: time, author, .. } in records {
        out.line(&format!(
            "{:36}  {:>8}  {:20}  {:10}  {}",
            head.id.to_string(),
            revision.number(),
            at(*time),
            visible(author.as_str()),
            visible(&head.name)
        ))?;
    }
    Ok(())
}
