//! `strom man`: prints or writes manual pages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};

use super::answer::Answer;
use super::failure::Failure;
use super::output::print;
use crate::config::resolve;

const EXAMPLES: &str = "Examples:
  strom man | man -l -
  strom man --dir ~/.local/share/man/man1 && man strom-switch";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Write the pages of all commands to this directory. `-` prints one page
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(Arguments { dir }: &Arguments, command: Command) -> Result<Answer, Failure> {
    // The pages of `strom help` would repeat the texts of all commands.
    let command = command.disable_help_subcommand(true);
    let dir = dir.as_deref().filter(|directory| directory.as_os_str() != "-").map(resolve).transpose()?;
    match dir {
        Some(directory) => write(command, &directory)
            .map_err(|source| Failure::ManualPages { directory: directory.display().to_string(), source })?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(Failure::Output)?;
            print(String::from_utf8_lossy(&page).trim_end())?;
        }
    }
    Ok(Answer::Done)
}

fn write(command: Command, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(command, directory)
}
