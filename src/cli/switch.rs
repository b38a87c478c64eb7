//! `strom switch`: every flow of one storage into another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use strom::clock;
use strom::postgres::MigrationState;
use strom::repository::{FlowRepository, OpenError};
use strom::storage::{Settings, Storage};
use strom::transfer::switch::{Existing, History, Report, Switch, SwitchError};

use super::opening::{EVERYTHING, settings, stamp};
use super::output::tell;
use super::progress::Bar;
use super::receipt::Receipt;
use super::{Answer, Failure};
use crate::config::Flags;

pub(super) const POLICIES: [&str; 3] = ["fail", "skip", "replace"];

const EXAMPLES: &str = "Examples:
  strom switch --from flows.json --to postgresql://strom@db/strom --dry-run
  strom switch --from postgresql://strom@db/strom --to flows.json --with-history

Stop the server first: what is written to the source meanwhile does not move.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The storage that has the flows: a PostgreSQL URL or the path of a JSON file
    #[arg(long, value_name = "STORAGE")]
    from: String,

    /// The storage that they are to move to
    #[arg(long, value_name = "STORAGE")]
    to: String,

    /// Say what would be done, and what stands in the way; write nothing
    #[arg(long)]
    dry_run: bool,

    /// Where the target has flows already: `fail`, unless they are the same in the same versions; `skip` those whose ids
    /// are taken; or `replace` what has their ids, as new revisions
    #[arg(long, value_name = "POLICY", default_value = "fail", value_parser = PossibleValuesParser::new(POLICIES).try_map(|policy| policy.parse::<Existing>()))]
    on_conflict: Existing,

    /// Move what flows were before as well: every revision that is kept, and the deleted flows
    #[arg(long)]
    with_history: bool,

    /// Move what can be read of a source that has faults, and into a target that has some
    #[arg(long)]
    despite_faults: bool,

    /// Write the receipt here [default: beside the JSON file of the source, else of the target, else here]
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,

    /// Print the receipt as JSON, for machines
    #[arg(long)]
    json: bool,
}

/// Why a switch failed, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SwitchFailure {
    #[error("`{0}` is the source and the target\nname two storages")]
    SameStorage(String),
    #[error("there are no flows at {0}, which is to be the source\nname the file that has them with --from")]
    NoSource(String),
    #[error("{0}\nmake the same switch again when that is mended: it finds what has moved already, or moves all of it")]
    Failed(#[from] SwitchError),
    #[error(
        "the flows have moved, but the receipt cannot be written to `{path}`: {source}\nmake the same switch again with \
         --receipt and another place: it finds the flows there and writes it"
    )]
    Receipt { path: String, source: io::Error },
}

pub(super) async fn run(flags: &Flags, arguments: &Arguments) -> Result<Answer, Failure> {
    let begun_at = clock::now();
    let (from, to) = (Storage::parse(&arguments.from)?, Storage::parse(&arguments.to)?);
    if is_same(&from, &to) {
        return Err(SwitchFailure::SameStorage(from.to_string()).into());
    }
    if !from.may_exist() {
        return Err(SwitchFailure::NoSource(from.to_string()).into());
    }
    let settings = settings(flags)?;
    let source = open_source(&from).await?;
    let done = switch(&*source, &to, settings, arguments).await;
    source.close().await;
    let Done { report, faults, source_has_changed, is_hindered } = done?;

    let receipt = Receipt {
        strom: env!("CARGO_PKG_VERSION"),
        from: from.to_string(),
        to: to.to_string(),
        dry_run: arguments.dry_run,
        begun_at,
        ended_at: clock::now(),
        faults,
        source_has_changed,
        report: &report,
    };
    let written = match arguments.dry_run || is_hindered {
        true => None,
        false => Some(receipt.write(arguments.receipt.clone().unwrap_or_else(|| place(&from, &to, begun_at)))?),
    };
    receipt.print(arguments.json, is_hindered, written.as_deref())?;
    let is_good = !is_hindered && report.is_good() && !source_has_changed;
    Ok(if is_good { Answer::Done } else { Answer::No })
}

struct Done {
    report: Report,
    faults: Vec<String>,
    source_has_changed: bool,
    /// Whether something stands in the way, so that nothing was done.
    is_hindered: bool,
}

async fn switch(
    source: &dyn FlowRepository,
    to: &Storage,
    settings: Settings,
    arguments: &Arguments,
) -> Result<Done, Failure> {
    let progress = Bar::begin("reading");
    let history = if arguments.with_history { History::Carried } else { History::Left };
    let switch = Switch::read(source, history, Arc::new(progress.clone())).await;
    let switch = switch.map_err(SwitchFailure::from).inspect_err(|_| progress.end())?;
    let mut faults: Vec<_> = switch.faults().iter().map(|fault| format!("the source: {fault}")).collect();
    // A target is opened, and by that made, when it is known that the flows can move.
    let is_hindered = switch.is_refused() || !faults.is_empty() && !arguments.despite_faults;
    let target = match arguments.dry_run || is_hindered {
        true => open_to_look(to).await,
        false => to.open_with(clock::now(), settings).await.map(Some),
    };
    let target = target.inspect_err(|_| progress.end())?;
    let done = async {
        if let Some(target) = &target {
            let found = target.health().await.faults;
            faults.extend(found.iter().map(|fault| format!("the target: {fault}")));
        }
        let mut is_hindered = switch.is_refused() || !faults.is_empty() && !arguments.despite_faults;
        let report = match &target {
            Some(target) if !arguments.dry_run && !is_hindered => {
                switch.make(&**target, arguments.on_conflict, stamp()).await?
            }
            _ => switch.plan(target.as_deref(), arguments.on_conflict).await?,
        };
        is_hindered |= !report.obstacles.is_empty();
        let source_has_changed = switch.source_has_changed(source).await?;
        Ok::<_, SwitchError>(Done { report, faults, source_has_changed, is_hindered })
    };
    let done = done.await;
    progress.end();
    if let Some(target) = target {
        target.close().await;
    }
    Ok(done.map_err(SwitchFailure::from)?)
}

/// A database is only read; a file is opened as by any Strom.
pub(super) async fn open_source(from: &Storage) -> Result<Arc<dyn FlowRepository>, OpenError> {
    let read_only = matches!(from, Storage::Postgres(_));
    from.open_with(clock::now(), Settings { retention: EVERYTHING, read_only, ..Settings::default() }).await
}

/// The target as it is; `None` where there is none yet. A schema is not made for a look.
pub(super) async fn open_to_look(to: &Storage) -> Result<Option<Arc<dyn FlowRepository>>, OpenError> {
    match to {
        Storage::Json(_) if !to.may_exist() => return Ok(None),
        Storage::Json(_) => {}
        Storage::Postgres(_) => {
            let status = to.migrations().await?;
            let mut migrations = status.iter().flat_map(|status| &status.migrations);
            if migrations.all(|migration| migration.state == MigrationState::Pending) {
                tell(&format!("note: {to} has no schema yet; flows that an older Strom has in it were not looked at"));
                return Ok(None);
            }
        }
    }
    open_source(to).await.map(Some)
}

fn is_same(from: &Storage, to: &Storage) -> bool {
    match (from, to) {
        (Storage::Json(from), Storage::Json(to)) => {
            let place = |path: &Path| fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok();
            place(from) == place(to)
        }
        _ => from.to_string() == to.to_string(),
    }
}

/// Where the receipt is written when nobody says.
fn place(from: &Storage, to: &Storage, at: DateTime<Utc>) -> PathBuf {
    let ending = format!("switch-{}.json", at.format("%Y%m%dT%H%M%S%6fZ"));
    match (from, to) {
        (Storage::Json(path), _) | (_, Storage::Json(path)) => path.with_added_extension(ending),
        _ => format!("strom-{ending}").into(),
    }
}
