//! `strom trash`: lists the deleted flows that `strom restore` can restore.

use anstyle::Style;
use clap::Args;
use strom_server::http::{DeletedFlow, Trash};
use strom_store::flow::Head;
use strom_store::repository::Record;

use super::answer::Answer;
use super::failure::Failure;
use super::output::{Output, escaped, timestamp, to_json};
use super::repository::{Purpose, with_storage};
use crate::config::Flags;

const EXAMPLES: &str = "\
To restore a deleted flow, restore the revision of its deletion.

Examples:
  strom trash
  strom restore 6f1d3c5e-0000-4000-8000-000000000001 --revision 4";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Print JSON in the format of `GET /api/trash`
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: &Flags, Arguments { json }: Arguments) -> Result<Answer, Failure> {
    with_storage(flags, Purpose::Read, async |repository| {
        let records = repository.deleted().await?;
        let mut out = Output::new();
        if json {
            let flows = records.iter().map(DeletedFlow::of).collect();
            out.line(&to_json(&Trash { flows, next_cursor: None })?)?;
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
    let titles = out.styled(Style::new().bold(), &titles).into_owned();
    out.line(&titles)?;
    for Record { item: head, revision, at: time, author, .. } in records {
        out.line(&format!(
            "{:36}  {:>8}  {:20}  {:10}  {}",
            head.id.to_string(),
            revision.number(),
            timestamp(*time),
            escaped(author.as_str()),
            escaped(&head.name)
        ))?;
    }
    Ok(())
}
