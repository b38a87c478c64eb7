//! `strom config`: prints the effective settings and their origins.

use clap::Args;

use super::answer::Answer;
use super::failure::Failure;
use super::output::{Output, escaped, print, to_json};
use crate::config::{ConfigReport, EffectiveSetting, Flags};

const EXAMPLES: &str = "\
Precedence: flags, environment variables, .strom.toml in the working directory, the user's
configuration file. Secrets are hidden. The command does not open the storage.

Examples:
  strom config
  strom config --json | jq -r .storage";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &Flags, arguments: &Arguments) -> Result<Answer, Failure> {
    let report = flags.report()?;
    if arguments.json {
        print(&to_json(&report)?)?;
        return Ok(Answer::Done);
    }
    let ConfigReport { storage, settings, files } = report;
    let mut out = Output::new();
    out.line(&format!("storage  {}", escaped(&storage)))?;
    for file in files {
        let found = if file.found { "" } else { " (not found)" };
        out.line(&format!("file     {}{found}", escaped(&file.path)))?;
    }
    let width = settings.iter().map(|setting| setting.value.chars().count()).max().unwrap_or(0).min(60);
    out.line("")?;
    for EffectiveSetting { name, value, from } in &settings {
        out.line(&format!("{name:21} {:width$}  {}", escaped(value), escaped(from)))?;
    }
    out.finish()?;
    Ok(Answer::Done)
}
