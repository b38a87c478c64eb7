//! `strom history`: the revisions of a flow, there or deleted.

use anstyle::Style;
use clap::Args;
use strom::flow::{FlowId, Head};
use strom::http::HistoryEntry;
use strom::repository::{Record, Revision};

use super::opening::{Purpose, with_storage};
use super::output::{self, Output, at, tell, visible};
use super::{Answer, Failure};
use crate::config::Flags;

/// So many revisions are in memory at a time.
const PAGE: u32 = 500;

const EXAMPLES: &str = "Examples:
  strom history 6f1d3c5e-0000-4000-8000-000000000001
  strom history 6f1d3c5e-0000-4000-8000-000000000001 --limit 5 --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The flow
    id: FlowId,

    /// Only those before this one
    #[arg(long, value_name = "REVISION", value_parser = super::revision)]
    before: Option<Revision>,

    /// At most so many
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// For machines, as `GET /api/flows/{id}/history` answers
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let Arguments { id, mut before, limit, json } = arguments;
    with_storage(flags, Purpose::Read, async |repository| {
        let mut left = limit.unwrap_or(u32::MAX);
        let mut page = repository.history(id, before, left.min(PAGE)).await?;
        // Nothing before a revision is an answer; nothing at all is no flow.
        if page.is_empty() && (before.is_none() || repository.history(id, None, 1).await?.is_empty()) {
            tell(&format!("there is no flow {id}, and nothing is kept of one"));
            return Ok(Answer::No);
        }
        let mut out = Output::new();
        begin(&mut out, json)?;
        let mut is_first = true;
        while !page.is_empty() && out.is_read() {
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
    let titles = out.painted(Style::new().bold(), &titles).into_owned();
    out.line(&titles)
}

fn show(out: &mut Output, record: &Record<Head>, is_json: bool, is_first: bool) -> Result<(), Failure> {
    if is_json {
        let entry = output::json(&HistoryEntry::of(record))?;
        return out.text(&format!("{}\n{entry}", if is_first { "" } else { "," }));
    }
    let Record { item: head, .. } = record;
    out.line(&format!(
        "{:>8}  {:7}  {:20}  {:>8}  {:>5}  {:10}  {}",
        record.revision.number(),
        record.operation.as_str(),
        at(record.at),
        head.size,
        head.elements + head.blocks,
        visible(record.author.as_str()),
        visible(&head.name)
    ))
}
