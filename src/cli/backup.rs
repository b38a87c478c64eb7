//! `strom backup`: all flows and their histories in one file, read again before it takes its place.

use std::io::{self, BufReader, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use strom::FlowRepository;
use strom::clock;
use strom::transfer::Progress;
use strom::transfer::switch::{ArchiveError, Contents, History, Obstacle, Origin, Switch, SwitchError};

use super::export::{Place, put_in_place, unless_stopped};
use super::opening::{Purpose, with_storage};
use super::output::{self, say, tell, visible};
use super::progress::Bar;
use super::{Answer, Failure};
use crate::config::Flags;

const EXAMPLES: &str = "The archive has every flow and every revision that is kept, of deleted flows too, and a checksum. Either kind of storage
takes it with `strom restore FILE`. It is written beside its place, read from beginning to end, compared, and only then put
there; what was there before stays until then. It is for its owner alone: flows hold passphrases.

Examples:
  strom backup strom-$(date +%F).gz
  strom backup --database-url postgresql://strom@db/strom /backups/strom.gz
  zcat strom.gz | jq -r '.flow.name // empty'";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Where to write the archive
    file: PathBuf,

    /// Leave out what cannot be read or stored anywhere, instead of making no archive
    #[arg(long)]
    despite_faults: bool,

    /// Print what is in the archive as JSON, for machines
    #[arg(long)]
    json: bool,
}

/// Why there is no archive, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupFailure {
    #[error("{0}\nno archive was made; try again when that is mended")]
    Read(#[from] SwitchError),
    #[error("cannot write {file}: {source}\nno archive was made; check the directory, its permissions and the disk")]
    Write { file: String, source: io::Error },
    #[error("{0} is a directory, or no file\nname a file for the archive")]
    NoFile(String),
    #[error(
        "what was written is not what was read: {0}\nno archive was made; the disk or the memory of this machine may be \
         faulty, so write it elsewhere"
    )]
    NotTheSame(String),
    #[error("cannot restore {file}: {source}\nnothing was stored; take another archive")]
    Archive { file: String, source: ArchiveError },
    #[error(
        "`{0}` is the id of a flow\nsay which revision it shall be again with --revision; `strom history {0}` lists them"
    )]
    NoRevision(String),
    #[error(
        "`{0}` is not the id of a flow, and only flows have revisions\nleave --revision away to restore an archive"
    )]
    NotAFlow(String),
}

/// What was made.
#[derive(Debug, Serialize)]
struct Told<'a> {
    file: String,
    #[serde(flatten)]
    origin: &'a Origin,
    #[serde(flatten)]
    contents: &'a Contents,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    left_out: &'a [Obstacle],
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let path = arguments.file.clone();
    let bar = Bar::begin("reading");
    let made = with_storage(flags, Purpose::Read, async |repository| {
        unless_stopped(make(repository, &arguments, &bar), || Failure::Stopped(path.display().to_string())).await
    });
    let made = made.await;
    bar.end();
    made
}

async fn make(repository: &dyn FlowRepository, arguments: &Arguments, bar: &Bar) -> Result<Answer, Failure> {
    let path = &arguments.file;
    let failed = |source| BackupFailure::Write { file: path.display().to_string(), source };
    let no_file = || BackupFailure::NoFile(path.display().to_string());
    if path.exists() && !path.is_file() {
        return Err(no_file().into());
    }
    let Place::Beside(mut file, place) = Place::open(path).map_err(failed)? else { return Err(no_file().into()) };
    let at = clock::now();
    let switch =
        Switch::read(repository, History::Carried, Arc::new(bar.clone())).await.map_err(BackupFailure::from)?;
    let is_whole = switch.faults().is_empty() && !switch.is_refused();
    if !is_whole && !arguments.despite_faults {
        tell_of(&switch);
        tell("no archive was made: see the faults, or leave out what they concern with --despite-faults");
        return Ok(Answer::No);
    }
    let origin = Origin { made_by: env!("CARGO_PKG_VERSION").to_owned(), at, from: repository.health().await.location };
    let progress: Arc<dyn Progress> = Arc::new(bar.clone());
    bar.go_on("writing");
    let written = tokio::task::spawn_blocking(move || {
        let contents = switch.write_archive(&origin, file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.rewind()?;
        let read = Switch::read_archive(BufReader::new(file.as_file()), progress);
        let is_same = match &read {
            Ok((read, _, _)) => switch.is_same(read).map_or_else(Err, |()| Ok(())),
            Err(error) => Err(error.to_string()),
        };
        Ok::<_, io::Error>((switch, origin, contents, file, is_same))
    });
    let (switch, origin, contents, file, is_same) =
        written.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked))).map_err(failed)?;
    is_same.map_err(BackupFailure::NotTheSame)?;
    put_in_place(file, &place).map_err(failed)?;
    bar.end();
    if !is_whole {
        tell_of(&switch);
    }
    print(arguments.json, path, &origin, &contents, &switch)?;
    Ok(if is_whole { Answer::Done } else { Answer::No })
}

fn tell_of(switch: &Switch) {
    for fault in switch.faults() {
        tell(&format!("fault: {}", visible(fault)));
    }
    for obstacle in switch.refused() {
        let id = obstacle.id.map(|id| id.to_string()).unwrap_or_default();
        tell(&format!(
            "left out: {id} {:?}: {}",
            obstacle.name.as_deref().unwrap_or_default(),
            visible(&obstacle.reason)
        ));
    }
}

fn print(json: bool, path: &Path, origin: &Origin, contents: &Contents, switch: &Switch) -> Result<(), Failure> {
    let file = path.display().to_string();
    let Contents { flows, deleted, revisions, sha256 } = contents;
    if json {
        let faults = switch.faults().iter().map(String::as_str).collect();
        let told = Told { file, origin, contents, faults, left_out: switch.refused() };
        return say(&output::json(&told)?);
    }
    say(&format!(
        "file     {file}\nfrom     {}\nflows    {flows}\ndeleted  {deleted}\nhistory  {revisions} revisions\nsha256   {sha256}",
        origin.from
    ))
}
