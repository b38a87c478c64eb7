//! `strom config`: what holds, and who has said so.

use clap::Args;

use super::output::{self, Output, say, visible};
use super::{Answer, Failure};
use crate::config::{Flags, Shown, ShownSetting};

const EXAMPLES: &str = "Flags win over variables, variables over .strom.toml in the working directory, and that over the user's file. Secrets
are not shown. Nothing is opened.

Examples:
  strom config
  strom config --json | jq -r .storage";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Print JSON, for machines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(flags: &Flags, arguments: &Arguments) -> Result<Answer, Failure> {
    let shown = flags.shown()?;
    if arguments.json {
        say(&output::json(&shown)?)?;
        return Ok(Answer::Done);
    }
    let Shown { storage, settings, files } = shown;
    let mut out = Output::new();
    out.line(&format!("storage  {}", visible(&storage)))?;
    for file in files {
        let found = if file.found { "" } else { " (there is none)" };
        out.line(&format!("file     {}{found}", visible(&file.path)))?;
    }
    let width = settings.iter().map(|setting| setting.value.chars().count()).max().unwrap_or(0).min(60);
    out.line("")?;
    for ShownSetting { name, value, from } in &settings {
        out.line(&format!("{name:21} {:width$}  {}", visible(value), visible(from)))?;
    }
    out.finish()?;
    Ok(Answer::Done)
}
