//! `strom list`: flows in a table, or as the API shows them.

use anstyle::Style;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args};
use strom::FlowRepository;
use strom::flow::{GstState, Head};
use strom::http::Summary;
use strom::repository::{Containment, Cursor, Filter, ListQuery, NamePart, Page, Sort, Stored};

use super::opening::{Purpose, with_storage};
use super::output::{self, Output, at, say, tell, visible};
use super::{Answer, Failure};
use crate::config::Flags;

const STATES: [&str; 4] = ["Null", "Ready", "Paused", "Playing"];
/// So many flows are in memory at a time; each page of a file costs a look at all that it has.
const PAGE: u32 = 10_000;

const EXAMPLES: &str = "Examples:
  strom list
  strom list --name studio --sort=-updated_at --limit 10
  strom list --contains '{\"elements\": [{\"element_type\": \"srtsink\"}]}'
  strom list --state Playing --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Those whose name contains this, in any case
    #[arg(long, value_name = "PART", value_parser = NamePart::parse)]
    name: Option<NamePart>,

    /// Those in this state
    #[arg(long, value_parser = PossibleValuesParser::new(STATES).try_map(|state| state.parse::<GstState>()))]
    state: Option<GstState>,

    /// Those that do, or do not, start by themselves
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    auto_restart: Option<bool>,

    /// Those whose document contains this JSON, by the rules of PostgreSQL's `@>`
    #[arg(long, value_name = "JSON", value_parser = Containment::parse)]
    contains: Option<Containment>,

    /// The order: name, created_at or updated_at, several with commas between, a `-` before one turns it round
    #[arg(long, value_name = "KEYS", default_value = "name")]
    sort: Sort,

    /// At most so many
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Those behind an earlier list that was limited
    #[arg(long)]
    cursor: Option<Cursor>,

    /// Only how many there are
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    count: bool,

    /// For machines, as `GET /api/flows?view=summary` answers
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    if arguments.cursor.as_ref().is_some_and(|cursor| !cursor.belongs_to(&arguments.sort)) {
        return Err(Failure::OtherOrder);
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
    say(&if is_json { format!(r#"{{"total":{total}}}"#) } else { total.to_string() })?;
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
        if next.is_none() || left == Some(0) || !out.is_read() {
            break next;
        }
        query.after = next;
    };
    if is_json {
        let next = next.map(|next| format!(r#","next_cursor":"{next}""#)).unwrap_or_default();
        out.line(&format!("\n]{next}}}"))?;
    } else if let Some(next) = next.filter(|_| out.is_read()) {
        out.finish()?;
        tell(&format!("there are more: --cursor {next}"));
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
    let titles = out.painted(Style::new().bold(), &titles).into_owned();
    out.line(&titles)
}

/// The name comes last: how wide it is nobody has to know before.
fn show(out: &mut Output, stored: &Stored<Head>, is_json: bool, is_first: bool) -> Result<(), Failure> {
    if is_json {
        let summary = output::json(&Summary::of(stored))?;
        return out.text(&format!("{}\n{summary}", if is_first { "" } else { "," }));
    }
    let Stored { item: head, version } = stored;
    out.line(&format!(
        "{:36}  {:7}  {:5}  {:>8}  {:20}  {:>8}  {:>5}  {}",
        head.id.to_string(),
        head.state.as_str(),
        if head.auto_restart { "yes" } else { "no" },
        version.revision.number(),
        at(version.updated_at),
        head.size,
        head.elements + head.blocks,
        visible(&head.name)
    ))
}

impl Arguments {
    fn filter(self) -> Filter {
        Filter { state: self.state, auto_restart: self.auto_restart, name: self.name, contains: self.contains }
    }
}
