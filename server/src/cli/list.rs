//! `strom list`: prints flows as a table or as JSON.

use anstyle::Style;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args};
use strom_server::http::Summary;
use strom_store::FlowRepository;
use strom_store::flow::{GstState, Head};
use strom_store::repository::{Containment, Cursor, Filter, ListQuery, NamePart, Page, Sort, Stored};

use super::answer::Answer;
use super::failure::Failure;
use super::output::{Output, eprint, escaped, print, timestamp, to_json};
use super::repository::{Purpose, with_storage};
use crate::config::Flags;

const STATES: [&str; 4] = ["Null", "Ready", "Paused", "Playing"];
/// Maximum number of flows in memory. Not smaller, because every page of a JSON file scans all flows.
const PAGE: u32 = 10_000;

const EXAMPLES: &str = "Examples:
  strom list
  strom list --name studio --sort=-updated_at --limit 10
  strom list --contains '{\"elements\": [{\"element_type\": \"srtsink\"}]}'
  strom list --state Playing --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Show only flows whose name contains TEXT (case-insensitive)
    #[arg(long, value_name = "TEXT", value_parser = NamePart::parse)]
    name: Option<NamePart>,

    /// Show only flows in this state
    #[arg(long, value_parser = PossibleValuesParser::new(STATES).try_map(|state| state.parse::<GstState>()))]
    state: Option<GstState>,

    /// Show only flows with (or without) automatic restart
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    auto_restart: Option<bool>,

    /// Show only flows whose document contains JSON (semantics of PostgreSQL's `@>`)
    #[arg(long, value_name = "JSON", value_parser = Containment::parse)]
    contains: Option<Containment>,

    /// Sort by name, created_at or updated_at, comma-separated; `-` reverses a key
    #[arg(long, value_name = "KEYS", default_value = "name")]
    sort: Sort,

    /// Show at most NUMBER flows
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Continue an earlier limited list
    #[arg(long)]
    cursor: Option<Cursor>,

    /// Print only the number of flows
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    count: bool,

    /// Print JSON in the format of `GET /api/flows?view=summary`
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    if arguments.cursor.as_ref().is_some_and(|cursor| !cursor.belongs_to(&arguments.sort)) {
        return Err(Failure::CursorOfOtherSort);
    }
    with_storage(flags, Purpose::Read, async |repository| match arguments.count {
        true => count(repository, arguments).await,
        false => list(repository, arguments).await,
    })
    .await
}

async fn count(repository: &dyn FlowRepository, arguments: Arguments) -> Result<Answer, Failure> {
    let is_json = arguments.json;
    let query = ListQuery { limit: Some(1), count: true, filter: arguments.filter(), ..ListQuery::default() };
    let total = repository.summaries(&query).await?.total.unwrap_or_default();
    print(&if is_json { format!(r#"{{"total":{total}}}"#) } else { total.to_string() })?;
    Ok(Answer::Done)
}

async fn list(repository: &dyn FlowRepository, arguments: Arguments) -> Result<Answer, Failure> {
    let (mut left, is_json) = (arguments.limit, arguments.json);
    let (sort, after) = (arguments.sort.clone(), arguments.cursor.clone());
    let mut query = ListQuery { sort, after, filter: arguments.filter(), ..ListQuery::default() };
    let mut out = Output::new();
    begin(&mut out, is_json)?;
    let mut is_first = true;
    let next = loop {
        query.limit = Some(left.unwrap_or(PAGE).min(PAGE));
        let Page { items, next, .. } = repository.summaries(&query).await?;
        for stored in &items {
            show(&mut out, stored, is_json, std::mem::replace(&mut is_first, false))?;
        }
        left = left.map(|left| left.saturating_sub(items.len() as u32));
        if next.is_none() || left == Some(0) || !out.has_reader() {
            break next;
        }
        query.after = next;
    };
    if is_json {
        let next = next.map(|next| format!(r#","next_cursor":"{next}""#)).unwrap_or_default();
        out.line(&format!("\n]{next}}}"))?;
    } else if let Some(next) = next.filter(|_| out.has_reader()) {
        out.finish()?;
        eprint(&format!("more flows exist: --cursor {next}"));
    }
    out.finish()?;
    Ok(Answer::Done)
}

fn begin(out: &mut Output, is_json: bool) -> Result<(), Failure> {
    if is_json {
        return out.text("{\"flows\":[");
    }
    let titles = format!(
        "{:36}  {:7}  {:5}  {:>8}  {:20}  {:>8}  {:>5}  NAME",
        "ID", "STATE", "AUTO", "REVISION", "UPDATED", "BYTES", "NODES"
    );
    let titles = out.styled(Style::new().bold(), &titles).into_owned();
    out.line(&titles)
}

/// Prints a flow. The name is the last column because its width is unknown.
fn show(out: &mut Output, stored: &Stored<Head>, is_json: bool, is_first: bool) -> Result<(), Failure> {
    if is_json {
        let summary = to_json(&Summary::of(stored))?;
        return out.text(&format!("{}\n{summary}", if is_first { "" } else { "," }));
    }
    let Stored { item: head, version } = stored;
    out.line(&format!(
        "{:36}  {:7}  {:5}  {:>8}  {:20}  {:>8}  {:>5}  {}",
        head.id.to_string(),
        head.state.as_str(),
        if head.auto_restart { "yes" } else { "no" },
        version.revision.number(),
        timestamp(version.updated_at),
        head.size,
        head.elements + head.blocks,
        escaped(&head.name)
    ))
}

impl Arguments {
    fn filter(self) -> Filter {
        Filter { state: self.state, auto_restart: self.auto_restart, name: self.name, contains: self.contains }
    }
}
