//! `strom restore`: restores a revision of a flow, also of a deleted one; or stores the flows of an archive.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use strom_server::clock;
use strom_server::transfer::Progress;
use strom_server::transfer::switch::{Existing, Origin, Switch, SwitchReport};
use strom_store::flow::FlowId;
use strom_store::repository::{self, FlowRepositoryExt as _, Outcome, Precondition, Revision};
use strom_store::storage::Storage;

use super::answer::Answer;
use super::backup_failure::BackupFailure;
use super::failure::Failure;
use super::input::{input_name, is_stdin};
use super::output::{eprint, escaped, print};
use super::progress::Bar;
use super::receipt::Receipt;
use super::repository::{Purpose, settings, stamp, with_storage};
use super::revision::{no_such_revision, parse_revision};
use super::save_report::outcome_line;
use super::signals::{Stop, unless_requested};
use super::switch::POLICIES;
use super::switch_failure::SwitchFailure;
use super::switch_target::open_read_only;
use crate::config::{Flags, resolve};

const EXAMPLES: &str = "\
Restoring a flow creates a new revision. The history remains complete.

The command verifies the whole archive first. Then it stores all flows with their histories, all
or nothing, and verifies them. Policies of --on-conflict for an archive and a storage that
contains flows:
  fail     store nothing, unless these flows have the same content and versions
  skip     keep existing flows
  replace  replace existing flows as new revisions

Examples:
  strom history 6f1d3c5e-0000-4000-8000-000000000001
  strom restore 6f1d3c5e-0000-4000-8000-000000000001 --revision 3
  strom restore strom.gz --dry-run
  strom restore strom.gz --database-url postgresql://strom@db/strom";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Flow to restore, or an archive of `strom backup`, or `-` for an archive on stdin
    #[arg(value_name = "ID|FILE")]
    what: PathBuf,

    /// Revision of the flow to restore
    #[arg(long, value_name = "NUMBER", value_parser = parse_revision)]
    revision: Option<Revision>,

    /// For an archive: policy for ids that exist
    #[arg(long, value_name = "POLICY", default_value = "fail", conflicts_with = "revision", value_parser = PossibleValuesParser::new(POLICIES).try_map(|policy| policy.parse::<Existing>()))]
    on_conflict: Existing,

    /// For an archive: show what the restore would do. Write nothing
    #[arg(long, conflicts_with = "revision")]
    dry_run: bool,

    /// For an archive: print the result as JSON
    #[arg(long, conflicts_with = "revision")]
    json: bool,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let id = arguments.what.to_str().and_then(|text| text.parse::<FlowId>().ok());
    let name = || arguments.what.display().to_string();
    match (id, arguments.revision) {
        (Some(id), Some(revision)) => restore_flow(flags, id, revision).await,
        (None, None) => restore_archive(flags, &arguments).await,
        (Some(_), None) => Err(BackupFailure::MissingRevision(name()).into()),
        (None, Some(_)) => Err(BackupFailure::NotAFlowId(name()).into()),
    }
}

async fn restore_flow(flags: &Flags, id: FlowId, revision: Revision) -> Result<Answer, Failure> {
    with_storage(flags, Purpose::Change, async |repository| {
        let Some(applied) = repository.restore(id, revision, Precondition::Any, stamp()).await? else {
            eprint(&no_such_revision(id, revision));
            return Ok(Answer::No);
        };
        let version = applied.version.map(|version| version.revision);
        let line = outcome_line(applied.outcome, id, version);
        print(&match applied.outcome {
            Outcome::Created | Outcome::Replaced => format!("{line}, as it was at {revision}"),
            _ => line,
        })?;
        Ok(Answer::Done)
    })
    .await
}

async fn restore_archive(flags: &Flags, arguments: &Arguments) -> Result<Answer, Failure> {
    let begun_at = clock::now();
    let file = resolve(&arguments.what)?;
    let to = flags.storage()?;
    let bar = Bar::start("reading");
    let result = async {
        let (switch, origin) = read(&file, Arc::new(bar.clone())).await?;
        let (report, closed) = store(flags, &to, &switch, arguments).await?;
        Ok::<_, Failure>((report, closed, origin))
    };
    let result = result.await;
    bar.finish();
    let (report, closed, origin) = result?;
    let Origin { at, from, .. } = origin;
    let receipt = Receipt {
        strom: env!("CARGO_PKG_VERSION"),
        from: format!("{}, made of {} at {}", input_name(&file), escaped(&from), at.format("%FT%TZ")),
        to: to.to_string(),
        dry_run: arguments.dry_run,
        begun_at,
        ended_at: clock::now(),
        faults: Vec::new(),
        source_has_changed: false,
        report: &report,
    };
    receipt.print(arguments.json, !report.obstacles.is_empty(), None)?;
    closed?;
    Ok(if report.is_good() { Answer::Done } else { Answer::No })
}

async fn read(path: &Path, progress: Arc<dyn Progress>) -> Result<(Switch, Origin), Failure> {
    let file = || input_name(path);
    let input: Box<dyn Read + Send> = match is_stdin(path) {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path).map_err(|source| Failure::Input { file: file(), source })?),
    };
    let reading = tokio::task::spawn_blocking(move || Switch::read_archive(input, progress));
    let read = reading.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked).into()));
    let (switch, origin, _) = read.map_err(|source| BackupFailure::Archive { file: file(), source })?;
    Ok((switch, origin))
}

/// Stores the flows. Returns the report, and whether the storage could be closed.
async fn store(
    flags: &Flags,
    to: &Storage,
    switch: &Switch,
    arguments: &Arguments,
) -> Result<(SwitchReport, repository::Result<()>), Failure> {
    let settings = settings(flags)?;
    let mut stop = Some(Stop::on_signal()?);
    let opening = async {
        Ok(match arguments.dry_run {
            true => open_read_only(to).await?,
            false => Some(to.open_with(clock::now(), settings).await?),
        })
    };
    let target = unless_requested(&mut stop, opening).await?;
    let storing = async {
        let report = match &target {
            Some(target) if !arguments.dry_run => switch.make(&**target, arguments.on_conflict, stamp()).await,
            _ => switch.plan(target.as_deref(), arguments.on_conflict).await,
        };
        Ok(report.map_err(SwitchFailure::from)?)
    };
    let report = unless_requested(&mut stop, storing).await;
    drop(stop);
    let closed = match target {
        Some(target) => target.close().await,
        None => Ok(()),
    };
    match report {
        Ok(report) => Ok((report, closed)),
        failed => Failure::or_close(failed.map(|report| (report, Ok(()))), closed),
    }
}
