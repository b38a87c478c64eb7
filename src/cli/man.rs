//! `strom man`: the manual pages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};

use super::output::say;
use super::{Answer, Cli, Failure};

const EXAMPLES: &str = "Examples:
  strom man | man -l -
  strom man --dir ~/.local/share/man/man1 && man strom-switch";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Write the page of each command into this directory, instead of that of `strom` to stdout
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(Arguments { dir }: &Arguments) -> Result<Answer, Failure> {
    match dir {
        Some(directory) => {
            write(directory).map_err(|source| Failure::Pages { directory: directory.display().to_string(), source })?
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command()).render(&mut page).map_err(Failure::Output)?;
            say(String::from_utf8_lossy(&page).trim_end())?;
        }
    }
    Ok(Answer::Done)
}

fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(command(), directory)
}

fn command() -> clap::Command {
    // `strom help` has the same texts.
    Cli::command().disable_help_subcommand(true)
}
