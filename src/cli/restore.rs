//! `strom restore`: makes a flow what it was, be it there or deleted; or stores what is in an archive.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use strom::clock;
use strom::flow::FlowId;
use strom::repository::{Outcome, Precondition, Revision};
use strom::storage::Storage;
use strom::transfer::Progress;
use strom::transfer::switch::{Existing, Origin, Report, Switch};

use super::backup::BackupFailure;
use super::opening::{Purpose, settings, stamp, with_storage};
use super::output::{say, tell, visible};
use super::progress::Bar;
use super::put::shown;
use super::receipt::Receipt;
use super::switch::{POLICIES, SwitchFailure, open_to_look};
use super::{Answer, Failure};
use crate::config::Flags;

const EXAMPLES: &str = "To restore a flow is a change like any other: it makes a new revision, and nothing of the history is lost.

An archive is checked whole before anything is stored. Then its flows are stored with their histories, all or none, and read
back. Where the storage has flows already, --on-conflict says what is done.

Examples:
  strom history 6f1d3c5e-0000-4000-8000-000000000001
  strom restore 6f1d3c5e-0000-4000-8000-000000000001 --revision 3
  strom restore strom.gz --dry-run
  strom restore strom.gz --database-url postgresql://strom@db/strom";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The flow; or an archive, as `strom backup` makes it
    #[arg(value_name = "ID|FILE")]
    what: PathBuf,

    /// What the flow shall be again
    #[arg(long, value_name = "NUMBER", value_parser = super::revision)]
    revision: Option<Revision>,

    /// Of an archive, where the storage has flows already: `fail`, unless they are the same in the same versions; `skip` those
    /// whose ids are taken; or `replace` what has their ids, as new revisions
    #[arg(long, value_name = "POLICY", default_value = "fail", conflicts_with = "revision", value_parser = PossibleValuesParser::new(POLICIES).try_map(|policy| policy.parse::<Existing>()))]
    on_conflict: Existing,

    /// Of an archive, say what would be done, and what stands in the way; write nothing
    #[arg(long, conflicts_with = "revision")]
    dry_run: bool,

    /// Of an archive, print what was done as JSON, for machines
    #[arg(long, conflicts_with = "revision")]
    json: bool,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let id = arguments.what.to_str().and_then(|text| text.parse::<FlowId>().ok());
    let name = || arguments.what.display().to_string();
    match (id, arguments.revision) {
        (Some(id), Some(revision)) => flow(flags, id, revision).await,
        (None, None) => archive(flags, &arguments).await,
        (Some(_), None) => Err(BackupFailure::NoRevision(name()).into()),
        (None, Some(_)) => Err(BackupFailure::NotAFlow(name()).into()),
    }
}

async fn flow(flags: &Flags, id: FlowId, revision: Revision) -> Result<Answer, Failure> {
    with_storage(flags, Purpose::Change, async |repository| {
        let Some(applied) = repository.restore(id, revision, Precondition::Any, stamp()).await? else {
            tell(&super::no_such_revision(id, revision));
            return Ok(Answer::No);
        };
        let version = applied.version.map(|version| version.revision);
        let line = shown(applied.outcome, id, version);
        say(&match applied.outcome {
            Outcome::Created | Outcome::Replaced => format!("{line}, as it was at {revision}"),
            _ => line,
        })?;
        Ok(Answer::Done)
    })
    .await
}

async fn archive(flags: &Flags, arguments: &Arguments) -> Result<Answer, Failure> {
    let begun_at = clock::now();
    let to = flags.storage()?;
    let bar = Bar::begin("reading");
    let done = async {
        let (switch, origin) = read(&arguments.what, Arc::new(bar.clone())).await?;
        let report = store(flags, &to, &switch, arguments).await?;
        Ok::<_, Failure>((report, origin))
    };
    let done = done.await;
    bar.end();
    let (report, origin) = done?;
    let Origin { at, from, .. } = origin;
    let receipt = Receipt {
        strom: env!("CARGO_PKG_VERSION"),
        from: format!("{}, made of {} at {}", arguments.what.display(), visible(&from), at.format("%FT%TZ")),
        to: to.to_string(),
        dry_run: arguments.dry_run,
        begun_at,
        ended_at: clock::now(),
        faults: Vec::new(),
        source_has_changed: false,
        report: &report,
    };
    receipt.print(arguments.json, !report.obstacles.is_empty(), None)?;
    Ok(if report.is_good() { Answer::Done } else { Answer::No })
}

async fn read(path: &Path, progress: Arc<dyn Progress>) -> Result<(Switch, Origin), Failure> {
    let file = || path.display().to_string();
    let input = File::open(path).map_err(|source| Failure::Input { file: file(), source })?;
    let reading = tokio::task::spawn_blocking(move || Switch::read_archive(input, progress));
    let read = reading.await.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked).into()));
    let (switch, origin, _) = read.map_err(|source| BackupFailure::Archive { file: file(), source })?;
    Ok((switch, origin))
}

async fn store(flags: &Flags, to: &Storage, switch: &Switch, arguments: &Arguments) -> Result<Report, Failure> {
    let settings = settings(flags)?;
    let target = match arguments.dry_run {
        true => open_to_look(to).await?,
        false => Some(to.open_with(clock::now(), settings).await?),
    };
    let report = match &target {
        Some(target) if !arguments.dry_run => switch.make(&**target, arguments.on_conflict, stamp()).await,
        _ => switch.plan(target.as_deref(), arguments.on_conflict).await,
    };
    if let Some(target) = target {
        target.close().await;
    }
    Ok(report.map_err(SwitchFailure::from)?)
}
