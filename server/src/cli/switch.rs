//! `strom switch`: moves every flow of one storage to another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use strom_server::clock;
use strom_server::transfer::switch::{Existing, History, Switch, SwitchReport};
use strom_store::repository::{self, FlowRepository};
use strom_store::storage::{Settings, Storage};

use super::answer::Answer;
use super::failure::Failure;
use super::output_path::{check_new_file, output_path};
use super::progress::Bar;
use super::receipt::Receipt;
use super::repository::{settings, stamp};
use super::signals::{Stop, unless_requested};
use super::switch_failure::SwitchFailure;
use super::switch_target::{is_same, look_at, open_read_only, open_source};
use crate::config::{Flags, resolve};

/// The names of the values of [`Existing`].
pub(super) const POLICIES: [&str; 3] = ["fail", "skip", "replace"];

const EXAMPLES: &str = "Examples:
  strom switch --from flows.json --to postgresql://strom@db/strom --dry-run
  strom switch --from postgresql://strom@db/strom --to flows.json --with-history

Stop the server first: changes to the source during the switch are not moved.

Policies of --on-conflict for a target that contains flows:
  fail     write nothing, unless these flows have the same content and versions
  skip     keep existing flows
  replace  replace existing flows as new revisions";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Source: a PostgreSQL URL or the path of a JSON file
    #[arg(long, value_name = "STORAGE")]
    from: String,

    /// Target: a PostgreSQL URL or the path of a JSON file
    #[arg(long, value_name = "STORAGE")]
    to: String,

    /// Show what the switch would do. Write nothing
    #[arg(long)]
    dry_run: bool,

    /// Policy for ids that exist in the target
    #[arg(long, value_name = "POLICY", default_value = "fail", value_parser = PossibleValuesParser::new(POLICIES).try_map(|policy| policy.parse::<Existing>()))]
    on_conflict: Existing,

    /// Also move all retained revisions and the deleted flows
    #[arg(long)]
    with_history: bool,

    /// Move all readable flows even if the source or the target has faults
    #[arg(long)]
    despite_faults: bool,

    /// New file for the receipt, or `-` for stdout [default: next to the JSON file, otherwise in the working directory]
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,

    /// Print the receipt as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: &Flags, arguments: &Arguments) -> Result<Answer, Failure> {
    let begun_at = clock::now();
    let (from, to) = (storage(&arguments.from)?, storage(&arguments.to)?);
    if is_same(&from, &to) {
        return Err(SwitchFailure::SameStorage(from.to_string()).into());
    }
    if !from.may_exist() {
        return Err(SwitchFailure::MissingSource(from.to_string()).into());
    }
    let settings = settings(flags)?;
    let receipt = receipt_output(arguments.receipt.as_deref(), &from, &to, begun_at, arguments.dry_run)?;
    let mut stop = Some(Stop::on_signal()?);
    let opening = async { Ok(if arguments.dry_run { look_at(&from).await? } else { open_source(&from).await? }) };
    let source = unless_requested(&mut stop, opening).await?;
    let result = switch(&*source, &to, settings, arguments, stop).await;
    let source_closed = source.close().await;
    let Switched { report, faults, source_has_changed, is_blocked, target_closed } = match result {
        Ok(switched) => switched,
        failed => return Failure::or_close(failed.map(|_| Answer::No), source_closed),
    };

    let record = Receipt {
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
    let is_on_stdout = receipt.is_none();
    let written = match receipt {
        Some(path) if !arguments.dry_run && !is_blocked => Some(record.write(path)?),
        _ => None,
    };
    record.print(arguments.json || is_on_stdout, is_blocked, written.as_deref())?;
    Failure::or_close(target_closed.map_err(Failure::from), source_closed)?;
    let is_complete = !is_blocked && report.is_good() && !source_has_changed;
    Ok(if is_complete { Answer::Done } else { Answer::No })
}

/// The result of a switch.
struct Switched {
    report: SwitchReport,
    faults: Vec<String>,
    source_has_changed: bool,
    /// Whether nothing was written because of faults or obstacles.
    is_blocked: bool,
    target_closed: repository::Result<()>,
}

async fn switch(
    source: &dyn FlowRepository,
    to: &Storage,
    settings: Settings,
    arguments: &Arguments,
    mut stop: Option<Stop>,
) -> Result<Switched, Failure> {
    let progress = Bar::start("reading");
    let history = if arguments.with_history { History::Include } else { History::Exclude };
    let reading =
        async { Ok(Switch::read(source, history, Arc::new(progress.clone())).await.map_err(SwitchFailure::from)?) };
    let switch = unless_requested(&mut stop, reading).await.inspect_err(|_| progress.finish())?;
    let mut faults: Vec<_> = switch.faults().iter().map(|fault| format!("the source: {fault}")).collect();
    // Opening a target creates it. Therefore the source is checked first.
    let is_blocked = switch.is_refused() || !faults.is_empty() && !arguments.despite_faults;
    let opening = async {
        Ok(match arguments.dry_run || is_blocked {
            true => open_read_only(to).await?,
            false => Some(to.open_with(clock::now(), settings).await?),
        })
    };
    let target = unless_requested(&mut stop, opening).await.inspect_err(|_| progress.finish())?;
    let moving = async {
        if let Some(target) = &target {
            let target_faults = target.health().await.faults;
            faults.extend(target_faults.iter().map(|fault| format!("the target: {fault}")));
        }
        let mut is_blocked = switch.is_refused() || !faults.is_empty() && !arguments.despite_faults;
        let report = match &target {
            Some(target) if !arguments.dry_run && !is_blocked => {
                switch.make(&**target, arguments.on_conflict, stamp()).await
            }
            _ => switch.plan(target.as_deref(), arguments.on_conflict).await,
        };
        let report = report.map_err(SwitchFailure::from)?;
        is_blocked |= !report.obstacles.is_empty();
        let source_has_changed = switch.source_has_changed(source).await.map_err(SwitchFailure::from)?;
        Ok(Switched { report, faults, source_has_changed, is_blocked, target_closed: Ok(()) })
    };
    let result = unless_requested(&mut stop, moving).await;
    drop(stop);
    progress.finish();
    let closed = match target {
        Some(target) => target.close().await,
        None => Ok(()),
    };
    match result {
        // A target that could not be completed must not prevent the receipt.
        Ok(switched) => Ok(Switched { target_closed: closed, ..switched }),
        failed => Failure::or_close(failed, closed),
    }
}

/// Parses the name of a storage.
fn storage(text: &str) -> Result<Storage, Failure> {
    let storage = Storage::parse(text)?;
    Ok(match storage {
        Storage::Json(path) => Storage::Json(resolve(&path)?),
        other => other,
    })
}

/// Returns the path of the receipt, or `None` for stdout. Checks before any work that the receipt can be written, because a
/// switch is not undone.
fn receipt_output(
    given: Option<&Path>,
    from: &Storage,
    to: &Storage,
    at: DateTime<Utc>,
    dry_run: bool,
) -> Result<Option<PathBuf>, Failure> {
    let Some(path) = output_path(given.unwrap_or(&receipt_path(from, to, at)), &[from, to])? else { return Ok(None) };
    // The target creates its directory. A dry run writes nothing, not even this check.
    let is_checked = !dry_run && (given.is_some() || path.parent().is_none_or(Path::exists));
    if is_checked {
        let unusable = |source| SwitchFailure::UnusableReceipt { path: path.display().to_string(), source };
        check_new_file(&path).map_err(unusable)?;
    }
    Ok(Some(path))
}

/// Returns the default path of the receipt.
fn receipt_path(from: &Storage, to: &Storage, at: DateTime<Utc>) -> PathBuf {
    let ending = format!("switch-{}.json", at.format("%Y%m%dT%H%M%S%6fZ"));
    match (from, to) {
        (Storage::Json(path), _) | (_, Storage::Json(path)) => path.with_added_extension(ending),
        _ => format!("strom-{ending}").into(),
    }
}
