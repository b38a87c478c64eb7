//! `strom completions`: prints a completion script for a shell.

use clap::{Args, Command};
use clap_complete::Shell;

use super::answer::Answer;
use super::failure::Failure;
use super::output::print;

const EXAMPLES: &str = "Examples:
  strom completions bash > ~/.local/share/bash-completion/completions/strom
  strom completions zsh > ~/.zfunc/_strom
  strom completions fish > ~/.config/fish/completions/strom.fish";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Shell to complete for
    shell: Shell,
}

pub(super) fn run(Arguments { shell }: &Arguments, mut command: Command) -> Result<Answer, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut command, "strom", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Answer::Done)
}
