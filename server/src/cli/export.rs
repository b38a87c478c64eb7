//! `strom export`: writes a snapshot of all flows in canonical form and stable order. Equal flows produce equal bytes, and
//! a line diff shows only changes.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use futures::StreamExt;
use strom_store::FlowRepository;
use strom_store::flow::Runtime;
use tokio::task::coop::consume_budget;

use super::answer::Answer;
use super::directory;
use super::failure::Failure;
use super::omitted::Omitted;
use super::output_file::{OutputFile, replace};
use super::output_path::output_path;
use super::progress::Bar;
use super::repository::{Purpose, with_storage};
use super::signals::unless_stopped;
use crate::config::Flags;

const EXAMPLES: &str = "\
Flows are sorted by name, then id. Members are sorted by name. Numbers have no insignificant
zeros. An output file is replaced atomically at the end. A directory receives one file
<name>-<id>.json per flow. Files of an earlier export whose flows were deleted or renamed are
removed. Other files remain unchanged. If a flow is invalid, the command fails and an
output file remains unchanged. With --despite-faults it omits the flow and exits with 1.

Examples:
  strom export > flows.json
  strom export -o flows.json --without-runtime
  strom export --format ndjson | jq -r .name
  strom export --format dir -o flows && git -C flows add --all";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Output file or directory, or `-` for stdout [default: stdout]
    #[arg(short, long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,

    /// Write a flows.json file, one flow per line, or one file per flow
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,

    /// Omit runtime members, such as states, health and clocks
    #[arg(long)]
    without_runtime: bool,

    /// Omit invalid flows instead of failing
    #[arg(long)]
    despite_faults: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Ndjson,
    Dir,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let Arguments { output, format, without_runtime, despite_faults } = arguments;
    let runtime = if without_runtime { Runtime::Exclude } else { Runtime::Include };
    let output = match output {
        Some(path) => output_path(&path, &[&flags.storage()?])?,
        None => None,
    };
    match (&output, format) {
        (None, Format::Dir) => return Err(Failure::MissingOutput),
        (Some(file), Format::Json | Format::Ndjson) if file.is_dir() => {
            return Err(Failure::OutputIsDirectory(file.display().to_string()));
        }
        _ => {}
    }
    match output {
        None => {
            with_storage(flags, Purpose::Read, async |flows| to_stdout(flows, format, runtime, despite_faults).await)
                .await
        }
        Some(path) => to_path(flags, &path, format, runtime, despite_faults).await,
    }
}

async fn to_stdout(
    repository: &dyn FlowRepository,
    format: Format,
    runtime: Runtime,
    despite_faults: bool,
) -> Result<Answer, Failure> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout());
    match write(repository, format, runtime, despite_faults, &mut out, |_| {}).await {
        Err(ExportError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Answer::Done),
        Err(ExportError::Write(error)) => Err(Failure::Output(error)),
        Err(ExportError::Other(failure)) => Err(failure),
        Ok(omitted) => omitted.outcome(),
    }
}

/// Exports to a file or a directory. Opens the output before the storage.
async fn to_path(
    flags: &Flags,
    path: &Path,
    format: Format,
    runtime: Runtime,
    despite_faults: bool,
) -> Result<Answer, Failure> {
    let failed = |source| Failure::Export { file: path.display().to_string(), source };
    let bar = Bar::start("writing");
    let to_file = async |file: &File| {
        with_storage(flags, Purpose::Read, async |repository| {
            let written = to_file(repository, file, format, runtime, despite_faults, |flows| bar.set(flows)).await;
            written.map_err(|error| error.in_file(path))?.outcome()
        })
        .await
    };
    let result = async {
        if format == Format::Dir {
            let writing = with_storage(flags, Purpose::Read, async |repository| {
                directory::write(repository, path, runtime, despite_faults, &bar).await
            });
            return unless_stopped(writing, || Failure::StoppedInDirectory(path.display().to_string())).await;
        }
        let writing = async {
            match OutputFile::open(path).map_err(failed)? {
                OutputFile::Direct(file) => to_file(&file).await,
                OutputFile::Temporary(file, target) => {
                    let answer = to_file(file.as_file()).await?;
                    replace(file, &target).map_err(failed)?;
                    Ok(answer)
                }
            }
        };
        match path.metadata() {
            // Writing to a pipe may block forever, so a signal has to end the process.
            Ok(metadata) if !metadata.is_file() => writing.await,
            _ => unless_stopped(writing, || Failure::Stopped(path.display().to_string())).await,
        }
    };
    let result = result.await;
    bar.finish();
    result
}

async fn to_file(
    repository: &dyn FlowRepository,
    file: &File,
    format: Format,
    runtime: Runtime,
    despite_faults: bool,
    progress: impl Fn(u64),
) -> Result<Omitted, ExportError> {
    write(repository, format, runtime, despite_faults, &mut BufWriter::with_capacity(1 << 16, file), progress).await
}

/// An error of an export.
enum ExportError {
    Write(io::Error),
    Other(Failure),
}

impl ExportError {
    fn in_file(self, path: &Path) -> Failure {
        match self {
            Self::Write(source) => Failure::Export { file: path.display().to_string(), source },
            Self::Other(failure) => failure,
        }
    }
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

async fn write(
    repository: &dyn FlowRepository,
    format: Format,
    runtime: Runtime,
    despite_faults: bool,
    out: &mut dyn Write,
    progress: impl Fn(u64),
) -> Result<Omitted, ExportError> {
    let mut omitted = Omitted::none(despite_faults);
    let mut flows = repository.snapshot();
    let mut count = 0;
    if format == Format::Json {
        out.write_all(b"{\n  \"version\": 1,\n  \"flows\": [")?;
    }
    while let Some(stored) = flows.next().await {
        let flow = stored.map_err(|error| ExportError::Other(error.into()))?.item;
        let text = match format {
            Format::Json => flow.canonical_pretty(runtime),
            _ => flow.canonical(runtime),
        };
        let text = match text {
            Ok(text) => text,
            Err(refusal) => {
                omitted.add(&flow, refusal);
                continue;
            }
        };
        match format {
            Format::Json => {
                out.write_all(if count > 0 { b",\n    " } else { b"\n    " })?;
                // JSON strings contain no line breaks, so this only indents.
                out.write_all(text.replace('\n', "\n    ").as_bytes())?;
            }
            _ => {
                out.write_all(text.as_bytes())?;
                out.write_all(b"\n")?;
            }
        }
        count += 1;
        progress(count);
        // Notices a signal also if all flows are in memory.
        consume_budget().await;
    }
    if format == Format::Json {
        out.write_all(if count > 0 { b"\n  ]\n}\n" } else { b"]\n}\n" })?;
    }
    out.flush()?;
    Ok(omitted)
}
