//! `strom history`: lists the revisions of a flow, which may be deleted.

use anstyle::Style;
use clap::Args;
use strom_server::http::HistoryEntry;
use strom_store::flow::{FlowId, Head};
use strom_store::repository::{Record, Revision};

use super::answer::Answer;
use super::failure::Failure;
use super::output::{Output, eprint, escaped, timestamp, to_json};
use super::repository::{Purpose, with_storage};
use super::revision::parse_revision;
use crate::config::Flags;

/// Maximum number of revisions in memory.
const PAGE: u32 = 500;

const EXAMPLES: &str = "Examples:
  strom history 6f1d3c5e-0000-4000-8000-000000000001
  strom history 6f1d3c5e-0000-4000-8000-000000000001 --limit 5 --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Flow, also a deleted one
    id: FlowId,

    /// Show only revisions before REVISION
    #[arg(long, value_name = "REVISION", value_parser = parse_revision)]
    before: Option<Revision>,

    /// Show at most NUMBER revisions
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Print JSON in the format of `GET /api/flows/{id}/history`
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let Arguments { id, mut before, limit, json } = arguments;
    with_storage(flags, Purpose::Read, async |repository| {
        let mut left = limit.unwrap_or(u32::MAX);
        let mut page = repository.history(id, before, left.min(PAGE)).await?;
        // An empty page before a revision is a valid result. Without any revision, the flow never existed.
        if page.is_empty() && (before.is_none() || repository.history(id, None, 1).await?.is_empty()) {
            eprint(&format!("there is no flow {id}, and it has no history"));
            return Ok(Answer::No);
        }
        let mut out = Output::new();
        begin(&mut out, json)?;
        let mut is_first = true;
        while !page.is_empty() && out.has_reader() {
            for record in &page {
                show(&mut out, record, json, std::mem::replace(&mut is_first, false))?;
            }
            left -= page.len() as u32;
            before = page.last().map(|record| record.revision);
            page = if left > 0 { repository.history(id, before, left.min(PAGE)).await? } else { Vec::new() };
        }
        if json {
            out.line("\n]}")?;
        }
        out.finish()?;
        Ok(Answer::Done)
    })
    .await
}

fn begin(out: &mut Output, is_json: bool) -> Result<(), Failure> {
    if is_json {
        return out.text("{\"history\":[");
    }
    let titles = format!(
        "{:>8}  {:7}  {:20}  {:>8}  {:>5}  {:10}  NAME",
        "REVISION", "CHANGE", "AT", "BYTES", "NODES", "AUTHOR"
    );
    let titles = out.styled(Style::new().bold(), &titles).into_owned();
    out.line(&titles)
}

fn show(out: &mut Output, record: &Record<Head>, is_json: bool, is_first: bool) -> Result<(), Failure> {
    if is_json {
        let entry = to_json(&HistoryEntry::of(record))?;
        return out.text(&format!("{}\n{entry}", if is_first { "" } else { "," }));
    }
    let Record { item: head, .. } = record;
    out.line(&format!(
        "{:>8}  {:7}  {:20}  {:>8}  {:>5}  {:10}  {}",
        record.revision.number(),
        record.operation.as_str(),
        timestamp(record.at),
        head.size,
        head.elements + head.blocks,
        escaped(record.author.as_str()),
        escaped(&head.name)
    ))
}
