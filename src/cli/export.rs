//! `strom export`: all flows as of one moment, in canonical form and in an order that stays: what has not changed gives
//! the same bytes, and what has is what a comparison line by line shows.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use futures::StreamExt;
use strom::flow::Runtime;
use strom::{Flow, FlowRepository};
use tempfile::NamedTempFile;

use super::opening::{Purpose, with_storage};
use super::progress::Bar;
use super::signals::Signals;
use super::{Answer, Failure, directory};
use crate::config::Flags;

const EXAMPLES: &str = "Flows come by name, then by id; members by name; numbers without insignificant zeros. A file is replaced at
once when everything is written. A directory has a file <name>-<id>.json for each flow; files of an earlier export whose flows
are gone or renamed are removed, others are left alone.

Examples:
  strom export > flows.json
  strom export -o flows.json --without-runtime
  strom export --format ndjson | jq -r .name
  strom export --format dir -o flows && git -C flows add --all";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Where to write them [default: stdout]
    #[arg(short, long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,

    /// One file as that of a JSON store, one flow a line, or one file per flow
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,

    /// Leave out what a running engine reports: states, health, clocks
    #[arg(long)]
    without_runtime: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Ndjson,
    Dir,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let Arguments { output, format, without_runtime } = arguments;
    let runtime = if without_runtime { Runtime::Left } else { Runtime::Kept };
    match (&output, format) {
        (None, Format::Dir) => return Err(Failure::NoDirectory),
        (Some(file), Format::Json | Format::Ndjson) if file.is_dir() => {
            return Err(Failure::IsDirectory(file.display().to_string()));
        }
        _ => {}
    }
    match output {
        None => with_storage(flags, Purpose::Read, async |flows| to_stdout(flows, format, runtime).await).await,
        Some(path) => to_path(flags, &path, format, runtime).await,
    }
}

async fn to_stdout(repository: &dyn FlowRepository, format: Format, runtime: Runtime) -> Result<Answer, Failure> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout());
    match write(repository, format, runtime, &mut out, |_| {}).await {
        Err(Interrupted::Written(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Answer::Done),
        Err(Interrupted::Written(error)) => Err(Failure::Output(error)),
        Err(Interrupted::Other(failure)) => Err(failure),
        Ok(()) => Ok(Answer::Done),
    }
}

/// The storage is opened when there is a place to write to.
async fn to_path(flags: &Flags, path: &Path, format: Format, runtime: Runtime) -> Result<Answer, Failure> {
    let failed = |source| Failure::Export { file: path.display().to_string(), source };
    let bar = Bar::begin("writing");
    let to_file = async |file: &File| {
        with_storage(flags, Purpose::Read, async |repository| {
            let written = to_file(repository, file, format, runtime, |flows| bar.set(flows)).await;
            written.map(|()| Answer::Done).map_err(|error| error.at(path))
        })
        .await
    };
    let written = async {
        if format == Format::Dir {
            let writing = with_storage(flags, Purpose::Read, async |repository| {
                directory::write(repository, path, runtime, &bar).await
            });
            return unless_stopped(writing, || Failure::StoppedBetween(path.display().to_string())).await;
        }
        match Place::open(path).map_err(failed)? {
            // Whoever waits for the reader of a pipe has to be ended by a signal, not told of it.
            Place::Itself(file) => to_file(&file).await,
            Place::Beside(file, place) => {
                let stopped = || Failure::Stopped(path.display().to_string());
                let answer = unless_stopped(to_file(file.as_file()), stopped).await?;
                put_in_place(file, &place).map_err(failed)?;
                Ok(answer)
            }
        }
    };
    let written = written.await;
    bar.end();
    written
}

/// Does it, or gives up at a signal. What was written beside its place goes with the work.
pub(super) async fn unless_stopped(
    work: impl Future<Output = Result<Answer, Failure>>,
    stopped: impl FnOnce() -> Failure,
) -> Result<Answer, Failure> {
    let mut signals = Signals::listen().map_err(Failure::Signals)?;
    tokio::select! {
        done = work => done,
        () = signals.next() => Err(stopped()),
    }
}

async fn to_file(
    repository: &dyn FlowRepository,
    file: &File,
    format: Format,
    runtime: Runtime,
    tell: impl Fn(u64),
) -> Result<(), Interrupted> {
    write(repository, format, runtime, &mut BufWriter::with_capacity(1 << 16, file), tell).await
}

/// Why not everything was written.
enum Interrupted {
    Written(io::Error),
    Other(Failure),
}

impl Interrupted {
    fn at(self, path: &Path) -> Failure {
        match self {
            Self::Written(source) => Failure::Export { file: path.display().to_string(), source },
            Self::Other(failure) => failure,
        }
    }
}

impl From<io::Error> for Interrupted {
    fn from(error: io::Error) -> Self {
        Self::Written(error)
    }
}

async fn write(
    repository: &dyn FlowRepository,
    format: Format,
    runtime: Runtime,
    out: &mut dyn Write,
    tell: impl Fn(u64),
) -> Result<(), Interrupted> {
    let mut flows = repository.snapshot();
    let mut count = 0;
    if format == Format::Json {
        out.write_all(b"{\n  \"version\": 1,\n  \"flows\": [")?;
    }
    while let Some(stored) = flows.next().await {
        let flow = stored.map_err(|error| Interrupted::Other(error.into()))?.item;
        match format {
            Format::Json => {
                let text = pretty(&flow, runtime).map_err(Interrupted::Other)?;
                out.write_all(if count > 0 { b",\n    " } else { b"\n    " })?;
                // No string of the document has a line end in it.
                out.write_all(text.replace('\n', "\n    ").as_bytes())?;
            }
            _ => {
                let text = flow.canonical(runtime);
                let text =
                    text.map_err(|refusal| Interrupted::Other(Failure::Unreadable { id: flow.id(), refusal }))?;
                out.write_all(text.as_bytes())?;
                out.write_all(b"\n")?;
            }
        }
        count += 1;
        tell(count);
    }
    if format == Format::Json {
        out.write_all(if count > 0 { b"\n  ]\n}\n" } else { b"]\n}\n" })?;
    }
    Ok(out.flush()?)
}

/// The canonical text of a flow, on many lines.
pub(super) fn pretty(flow: &Flow, runtime: Runtime) -> Result<String, Failure> {
    flow.canonical_pretty(runtime).map_err(|refusal| Failure::Unreadable { id: flow.id(), refusal })
}

/// A file on its way to its place.
pub(super) enum Place {
    /// Written beside it, and renamed when it is complete.
    Beside(NamedTempFile, PathBuf),
    /// A pipe or a device, which nothing can take the place of.
    Itself(File),
}

impl Place {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(found) if found.is_file() => {
                // A symbolic link stays one; who may read the file stays so.
                let path = path.canonicalize()?;
                let beside = NamedTempFile::new_in(parent(&path))?;
                beside.as_file().set_permissions(found.permissions())?;
                Ok(Self::Beside(beside, path))
            }
            Ok(_) => Ok(Self::Itself(File::options().write(true).open(path)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Self::Beside(NamedTempFile::new_in(parent(path))?, path.to_owned()))
            }
            Err(error) => Err(error),
        }
    }
}

pub(super) fn put_in_place(file: NamedTempFile, place: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(place)?;
    File::open(parent(place))?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
