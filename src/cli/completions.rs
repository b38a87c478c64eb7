//! `strom completions`: what shells have to know to complete a command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::output::say;
use super::{Answer, Cli, Failure};

const EXAMPLES: &str = "Examples:
  strom completions bash > ~/.local/share/bash-completion/completions/strom
  strom completions zsh > ~/.zfunc/_strom
  strom completions fish > ~/.config/fish/completions/strom.fish";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// For which shell
    shell: Shell,
}

pub(super) fn run(Arguments { shell }: &Arguments) -> Result<Answer, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut Cli::command(), "strom", &mut script);
    say(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Answer::Done)
}
