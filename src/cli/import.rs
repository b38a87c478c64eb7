//! `strom import`: flows of files, directories and stdin, all or none.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use strom::clock;
use strom::transfer::{Counts, FlowReport, Import, OnConflict, Options, Outcome, Prune, Reading, Report};

use super::opening::{Purpose, stamp, with_storage};
use super::output::{Output, tell, visible};
use super::progress::Bar;
use super::{Answer, Failure, is_stdin, name_of};
use crate::config::Flags;

const POLICIES: [&str; 5] = ["fail", "skip", "replace", "newer", "clone"];
/// So many warnings are told one by one.
const WARNINGS: usize = 20;

const EXAMPLES: &str =
    "Inputs: the JSON file of a store, also of an older Strom; an array of flows; one flow; several of these one
after the other, as NDJSON or as psql prints documents. All of them are one import.

Examples:
  strom import flows.json --dry-run
  strom import --on-conflict newer exported/
  strom import flows --prune --dry-run
  psql -AtX -c 'SELECT data FROM flows' old | strom import -";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Files, directories with files *.json, or `-` for stdin
    #[arg(required = true, value_name = "FILE|DIR|-")]
    inputs: Vec<PathBuf>,

    /// What is done with a flow whose id has another content: nothing is stored, it is left out, it replaces, it replaces if
    /// it was modified later, or it gets an id of its own (as do those with the same content) [default: fail, with --prune:
    /// replace]
    #[arg(
        long,
        value_name = "POLICY",
        value_parser = PossibleValuesParser::new(POLICIES).try_map(|policy| policy.parse::<OnConflict>())
    )]
    on_conflict: Option<OnConflict>,

    /// Also delete the flows that are not in the directory, which is the only input, unless none would stay
    #[arg(long)]
    prune: bool,

    /// With --prune: also where none would stay
    #[arg(long, requires = "prune")]
    prune_all: bool,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    /// For machines, as `POST /api/flows/import` answers
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let Arguments { inputs, dry_run, json, .. } = &arguments;
    let options = options(&arguments)?;
    let bar = Bar::begin("reading");
    // The storage is not touched before everything was read.
    let import = read(inputs, options.prune == Prune::Everything, &bar).inspect_err(|_| bar.end())?;
    let purpose = if *dry_run { Purpose::Rehearse } else { Purpose::Fill };
    let done = with_storage(flags, purpose, async |repository| {
        bar.go_on("comparing");
        let report = import.run(repository, options, |_| clock::new_id(), stamp()).await;
        bar.end();
        let report = report?;
        let mut out = Output::new();
        let shown = if *json { show_as_json(&mut out, &report) } else { show(&mut out, &report) };
        shown.map_err(Failure::Output)?;
        if report.would_delete_all {
            tell(
                "no flow of the storage is in the directory, so all of them would be deleted; if this is meant, add --prune-all",
            );
        }
        if report.is_refused() {
            tell("nothing was stored");
        } else if report.counts.deleted.is_some_and(|deleted| deleted > 0) && !dry_run {
            tell("what was deleted comes back with `strom restore ID --revision N`");
        } else if *dry_run {
            tell("nothing was stored: this was a dry run");
        }
        Ok(if report.is_refused() { Answer::No } else { Answer::Done })
    });
    done.await.inspect_err(|_| bar.end())
}

fn options(arguments: &Arguments) -> Result<Options, Failure> {
    let Arguments { inputs, on_conflict, prune, prune_all, dry_run, .. } = arguments;
    let (policy, prune) = match (prune, prune_all) {
        (false, _) => (OnConflict::Fail, Prune::Nothing),
        (true, false) => (OnConflict::Replace, Prune::Rest),
        (true, true) => (OnConflict::Replace, Prune::Everything),
    };
    let on_conflict = on_conflict.unwrap_or(policy);
    if prune != Prune::Nothing {
        if !matches!(inputs.as_slice(), [input] if !is_stdin(input) && input.is_dir()) {
            return Err(Failure::NotOneDirectory);
        }
        if on_conflict != OnConflict::Replace {
            return Err(Failure::OtherPolicy);
        }
    }
    Ok(Options { on_conflict, prune, dry_run: *dry_run })
}

fn read(inputs: &[PathBuf], may_be_none: bool, bar: &Bar) -> Result<Import, Failure> {
    let files = files(inputs, may_be_none)?;
    let failed = |file: &Path, source| Failure::Import { file: name_of(file), source };
    let mut reading = Reading::begin(Arc::new(bar.clone())).map_err(|error| failed(&inputs[0], error))?;
    for file in &files {
        let name = name_of(file);
        let input: Box<dyn Read> = match is_stdin(file) {
            true => Box::new(io::stdin()),
            false => Box::new(File::open(file).map_err(|source| Failure::Input { file: name.clone(), source })?),
        };
        // Where there is but one, everybody knows which.
        let told = (files.len() > 1).then_some(name.as_str());
        reading.add(told, input).map_err(|error| failed(file, error))?;
    }
    reading.finish().map_err(|error| failed(&inputs[0], error))
}

/// Directories become their files, in the order of their names. What begins with a dot is nobody's flow.
fn files(inputs: &[PathBuf], may_be_none: bool) -> Result<Vec<PathBuf>, Failure> {
    let mut all = Vec::new();
    for input in inputs {
        if is_stdin(input) || !input.is_dir() {
            all.push(input.clone());
            continue;
        }
        let listed =
            input.read_dir().and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>());
        let mut found = listed.map_err(|source| Failure::Input { file: name_of(input), source })?;
        found.retain(|path| {
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            path.extension().is_some_and(|extension| extension == "json") && !is_hidden && path.is_file()
        });
        if found.is_empty() && !may_be_none {
            return Err(Failure::NoInputs(name_of(input)));
        }
        found.sort_unstable();
        all.append(&mut found);
    }
    Ok(all)
}

fn show_as_json(out: &mut Output, report: &Report) -> io::Result<()> {
    out.write_all(b"{")?;
    report.write_members(out, true)?;
    out.write_all(b"}\n")?;
    out.flush()
}

/// The flows that somebody has to know of, all of them where nothing was to be done, and how many came to what.
fn show(out: &mut Output, report: &Report) -> io::Result<()> {
    let mut warnings = 0;
    for flow in report.flows() {
        let flow = flow?;
        let is_news = matches!(flow.outcome, Outcome::Skipped | Outcome::Cloned | Outcome::Refused | Outcome::Deleted);
        if (is_news || report.dry_run) && out.is_read() {
            let row = row(out, &flow);
            out.write_all(row.as_bytes())?;
        }
        let id = flow.id.as_deref().unwrap_or("-");
        for warning in &flow.warnings {
            if warnings < WARNINGS {
                tell(&visible(&format!("warning: {id} `{}`: {}", warning.path, warning.message)));
            }
            warnings += 1;
        }
    }
    if warnings > WARNINGS {
        tell(&format!("warning: and {} more; --json has them", warnings - WARNINGS));
    }
    let Counts { created, replaced, unchanged, skipped, cloned, refused, deleted } = report.counts;
    let deleted = deleted.map(|deleted| format!(", deleted {deleted}")).unwrap_or_default();
    writeln!(
        out,
        "created {created}, replaced {replaced}, unchanged {unchanged}, skipped {skipped}, cloned {cloned}, refused {refused}{deleted}"
    )?;
    out.flush()
}

fn row(out: &Output, flow: &FlowReport) -> String {
    let (outcome, style) = match flow.outcome {
        Outcome::Created => ("created", AnsiColor::Green.on_default()),
        Outcome::Replaced => ("replaced", AnsiColor::Green.on_default()),
        Outcome::Unchanged => ("unchanged", Style::new()),
        Outcome::Skipped => ("skipped", AnsiColor::Yellow.on_default()),
        Outcome::Cloned => ("cloned", AnsiColor::Yellow.on_default()),
        Outcome::Refused => ("refused", AnsiColor::Red.on_default()),
        Outcome::Deleted => ("deleted", AnsiColor::Red.on_default()),
    };
    let outcome = format!("{outcome:9}");
    let outcome = out.painted(style, &outcome);
    let id = flow.id.as_deref().unwrap_or("-");
    let name = flow.name.as_deref().unwrap_or("-");
    let from = flow.cloned_from.map(|id| format!(", a clone of {id}")).unwrap_or_default();
    let was = flow.revision.map(|revision| format!(", revision {revision}")).unwrap_or_default();
    let why = flow.error.as_ref().or(flow.reason.as_ref()).map(|why| format!(": {why}")).unwrap_or_default();
    format!("{outcome}  {:36}  {}\n", visible(id), visible(&format!("{name}{from}{was}{why}")))
}
