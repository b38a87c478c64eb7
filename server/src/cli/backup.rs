//! `strom backup`: writes all flows and their histories to an archive, and verifies it before it replaces the target file.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use strom_server::clock;
use strom_server::transfer::Progress;
use strom_server::transfer::switch::{Contents, History, Obstacle, Origin, Switch};
use strom_store::FlowRepository;
use tempfile::NamedTempFile;

use super::answer::Answer;
use super::backup_failure::BackupFailure;
use super::failure::Failure;
use super::output::{eprint, escaped, print, to_json};
use super::output_file::{OutputFile, replace};
use super::output_path::output_path;
use super::progress::Bar;
use super::repository::{Purpose, with_storage};
use super::signals::unless_stopped;
use crate::config::Flags;

const EXAMPLES: &str = "\
The archive contains all flows, all retained revisions (also of deleted flows) and a checksum.
`strom restore FILE` restores it into a database or a JSON file. The archive is written to a
temporary file, verified, and then renamed to FILE. Only its owner can read it, because flows may
contain passphrases.

Examples:
  strom backup strom-$(date +%F).gz
  strom backup --database-url postgresql://strom@db/strom /backups/strom.gz
  strom backup - | ssh backup@host 'cat > strom.gz'
  zcat strom.gz | jq -r '.flow.name // empty'";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// File to write the archive to, or `-` for stdout. An existing file is replaced only if it is an archive
    file: PathBuf,

    /// Omit unreadable flows from the archive instead of failing
    #[arg(long)]
    despite_faults: bool,

    /// Print a summary of the archive as JSON
    #[arg(long)]
    json: bool,
}

/// The JSON output.
#[derive(Debug, Serialize)]
struct BackupReport<'a> {
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
    let output = output_path(&arguments.file, &[&flags.storage()?])?;
    if let Some(path) = &output {
        check_replaceable(path)?;
    }
    let name = output.as_ref().map_or("stdout".to_owned(), |path| path.display().to_string());
    let bar = Bar::start("reading");
    let backing_up = with_storage(flags, Purpose::Read, async |repository| {
        back_up(repository, output.as_deref(), &name, &arguments, &bar).await
    });
    let result = unless_stopped(backing_up, || Failure::Stopped(name.clone())).await;
    bar.finish();
    result
}

/// Checks that a backup may write this file: it does not exist, or it is an archive.
fn check_replaceable(path: &Path) -> Result<(), BackupFailure> {
    let file = || path.display().to_string();
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(metadata) if !metadata.is_file() => Err(BackupFailure::NotAFile(file())),
        _ => match File::open(path).and_then(Switch::is_archive) {
            Ok(true) => Ok(()),
            Ok(false) => Err(BackupFailure::NotAnArchive(file())),
            Err(source) => Err(BackupFailure::Write { file: file(), source }),
        },
    }
}

/// Writes the archive to a file or, without a path, to stdout.
async fn back_up(
    repository: &dyn FlowRepository,
    path: Option<&Path>,
    name: &str,
    arguments: &Arguments,
    bar: &Bar,
) -> Result<Answer, Failure> {
    let failed = |source| BackupFailure::Write { file: name.to_owned(), source };
    let (file, target) = match path.map(OutputFile::open).transpose().map_err(failed)? {
        Some(OutputFile::Temporary(file, target)) => (file, Some(target)),
        Some(OutputFile::Direct(_)) => return Err(BackupFailure::NotAFile(name.to_owned()).into()),
        None => (NamedTempFile::new().map_err(failed)?, None),
    };
    // The path stays in this future: a signal deletes the file while the thread below still writes to it.
    let (mut file, temporary) = file.into_parts();
    let at = clock::now();
    let switch =
        Switch::read(repository, History::Include, Arc::new(bar.clone())).await.map_err(BackupFailure::from)?;
    let is_complete = switch.faults().is_empty() && !switch.is_refused();
    if !is_complete && !arguments.despite_faults {
        print_problems(&switch);
        eprint("no archive was written: correct the faults, or omit the affected flows with --despite-faults");
        return Ok(Answer::No);
    }
    let origin = Origin { made_by: env!("CARGO_PKG_VERSION").to_owned(), at, from: repository.health().await.location };
    let progress: Arc<dyn Progress> = Arc::new(bar.clone());
    bar.set_phase("writing");
    let written = tokio::task::spawn_blocking(move || {
        let contents = switch.write_archive(&origin, &mut file)?;
        file.sync_all()?;
        file.rewind()?;
        let read = Switch::read_archive(BufReader::new(&file), progress);
        let comparison = match &read {
            Ok((read, _, _)) => switch.compare(read),
            Err(error) => Err(error.to_string()),
        };
        Ok::<_, io::Error>((switch, origin, contents, file, comparison))
    });
    let (switch, origin, contents, file, comparison) =
        written.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked))).map_err(failed)?;
    comparison.map_err(BackupFailure::VerificationFailed)?;
    bar.finish();
    match &target {
        Some(target) => replace(NamedTempFile::from_parts(file, temporary), target).map_err(failed)?,
        None => match copy_to_stdout(&file) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            copied => copied.map_err(Failure::Output)?,
        },
    }
    if !is_complete {
        print_problems(&switch);
    }
    // The archive is on stdout.
    let report = report(arguments.json, name, &origin, &contents, &switch)?;
    if target.is_some() {
        print(&report)?
    } else {
        eprint(&report)
    }
    Ok(if is_complete { Answer::Done } else { Answer::No })
}

fn print_problems(switch: &Switch) {
    for fault in switch.faults() {
        eprint(&format!("fault: {}", escaped(fault)));
    }
    for obstacle in switch.refused() {
        let id = obstacle.id.map(|id| id.to_string()).unwrap_or_default();
        eprint(&format!(
            "omitted: {id} {:?}: {}",
            obstacle.name.as_deref().unwrap_or_default(),
            escaped(&obstacle.reason)
        ));
    }
}

fn copy_to_stdout(mut file: &File) -> io::Result<()> {
    file.rewind()?;
    let mut stdout = io::stdout().lock();
    io::copy(&mut file, &mut stdout)?;
    stdout.flush()
}

fn report(json: bool, file: &str, origin: &Origin, contents: &Contents, switch: &Switch) -> Result<String, Failure> {
    let Contents { flows, deleted, revisions, sha256 } = contents;
    if json {
        let faults = switch.faults().iter().map(String::as_str).collect();
        let report = BackupReport { file: file.to_owned(), origin, contents, faults, left_out: switch.refused() };
        return to_json(&report);
    }
    Ok(format!(
        "file     {file}\nfrom     {}\nflows    {flows}\ndeleted  {deleted}\nhistory  {revisions} revisions\nsha256   {sha256}",
        origin.from
    ))
}
