//! `strom import`: stores the flows of files, directories and stdin, all or none.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use strom_server::clock;
use strom_server::transfer::{Import, ImportReader, OnConflict, Options, Prune};

use super::answer::Answer;
use super::failure::Failure;
use super::import_report::{print_as_json, print_report};
use super::input::{input_name, is_stdin};
use super::output::{Output, eprint};
use super::progress::Bar;
use super::repository::{Purpose, stamp, with_storage};
use crate::config::{Flags, resolve};

const POLICIES: [&str; 5] = ["fail", "skip", "replace", "newer", "clone"];

const EXAMPLES: &str = "\
An input is a flows.json file (also of an older version), an array of flows, one flow, or a
sequence of these, such as NDJSON or the output of psql. All inputs form one import.

Policies of --on-conflict for a flow whose id exists with different content:
  fail     store nothing
  skip     keep the existing flow
  replace  replace the existing flow
  newer    replace the existing flow if the imported flow was modified later
  clone    import under a new id, also if the content is equal

Examples:
  strom import flows.json --dry-run
  strom import --on-conflict newer exported/
  strom import flows --prune --dry-run
  psql -AtX -c 'SELECT data FROM flows' old | strom import -";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Files, directories with *.json files, or `-` for stdin
    #[arg(required = true, value_name = "FILE|DIR|-")]
    inputs: Vec<PathBuf>,

    /// Policy for ids that exist [default: fail; with --prune: replace]
    #[arg(
        long,
        value_name = "POLICY",
        value_parser = PossibleValuesParser::new(POLICIES).try_map(|policy| policy.parse::<OnConflict>())
    )]
    on_conflict: Option<OnConflict>,

    /// Also delete flows that are not in the input, which must be one directory
    #[arg(long)]
    prune: bool,

    /// Allow --prune to delete all stored flows
    #[arg(long, requires = "prune")]
    prune_all: bool,

    /// Show what the import would do. Write nothing
    #[arg(long)]
    dry_run: bool,

    /// Print JSON in the format of `POST /api/flows/import`
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: &Flags, arguments: Arguments) -> Result<Answer, Failure> {
    let Arguments { inputs, dry_run, json, .. } = &arguments;
    let options = options(&arguments)?;
    let bar = Bar::start("reading");
    // Reads everything before it opens the storage.
    let import = read(inputs, options.prune == Prune::Everything, &bar).inspect_err(|_| bar.finish())?;
    let purpose = if *dry_run { Purpose::DryRun } else { Purpose::Create };
    let done = with_storage(flags, purpose, async |repository| {
        bar.set_phase("comparing");
        let report = import.run(repository, options, |_| clock::new_id(), stamp()).await;
        bar.finish();
        let report = report?;
        let mut out = Output::new();
        let printed = if *json { print_as_json(&mut out, &report) } else { print_report(&mut out, &report) };
        printed.map_err(Failure::Output)?;
        if report.would_delete_all {
            eprint(
                "the directory contains no flow of the storage, so --prune would delete all of them; to confirm, add \
                 --prune-all",
            );
        }
        if report.is_refused() {
            eprint("nothing was stored");
        } else if report.counts.deleted.is_some_and(|deleted| deleted > 0) && !dry_run {
            eprint("to restore a deleted flow, run `strom restore ID --revision N`");
        } else if *dry_run {
            eprint("nothing was stored: this was a dry run");
        }
        Ok(if report.is_refused() { Answer::No } else { Answer::Done })
    });
    done.await.inspect_err(|_| bar.finish())
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
            return Err(Failure::PruneWithoutDirectory);
        }
        if on_conflict != OnConflict::Replace {
            return Err(Failure::PruneWithOtherPolicy);
        }
    }
    Ok(Options { on_conflict, prune, dry_run: *dry_run })
}

fn read(inputs: &[PathBuf], may_be_empty: bool, bar: &Bar) -> Result<Import, Failure> {
    let files = files(inputs, may_be_empty)?;
    let failed = |file: &Path, source| Failure::Import { file: input_name(file), source };
    let mut reader = ImportReader::begin(Arc::new(bar.clone())).map_err(|error| failed(&inputs[0], error))?;
    for file in &files {
        let name = input_name(file);
        let input: Box<dyn Read> = match is_stdin(file) {
            true => Box::new(io::stdin()),
            false => Box::new(File::open(file).map_err(|source| Failure::Input { file: name.clone(), source })?),
        };
        // Messages name the input only if there are several.
        let label = (files.len() > 1).then_some(name.as_str());
        reader.add(label, input).map_err(|error| failed(file, error))?;
    }
    reader.finish().map_err(|error| failed(&inputs[0], error))
}

/// Replaces each directory with its files, ordered by name. Ignores hidden files.
fn files(inputs: &[PathBuf], may_be_empty: bool) -> Result<Vec<PathBuf>, Failure> {
    let mut all = Vec::new();
    for input in inputs {
        let input = &resolve(input)?;
        if is_stdin(input) || !input.is_dir() {
            all.push(input.clone());
            continue;
        }
        let listed =
            input.read_dir().and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>());
        let mut found = listed.map_err(|source| Failure::Input { file: input_name(input), source })?;
        found.retain(|path| {
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            path.extension().is_some_and(|extension| extension == "json") && !is_hidden && path.is_file()
        });
        if found.is_empty() && !may_be_empty {
            return Err(Failure::EmptyDirectory(input_name(input)));
        }
        found.sort_unstable();
        all.append(&mut found);
    }
    Ok(all)
}
