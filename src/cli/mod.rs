//! The command line: one file per subcommand.

mod backup;
mod check;
mod completions;
mod config;
mod delete;
mod descriptors;
mod diff;
mod directory;
mod edit;
mod editor;
mod export;
mod failure;
mod get;
mod history;
mod import;
mod list;
mod man;
mod migrate;
mod openapi;
mod opening;
mod output;
mod progress;
mod put;
mod receipt;
mod restore;
mod saving;
mod serve;
mod signals;
mod switch;
mod trash;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use strom::flow::FlowId;
use strom::repository::Revision;

pub(crate) use self::failure::Failure;
use self::output::tell;
use crate::config::Flags;

/// Strom's flow store
#[derive(Debug, Parser)]
#[command(name = "strom", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    flags: Flags,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server; what `strom` does without a command
    Serve,
    /// Show flows in a table
    List(list::Arguments),
    /// Print the document of a flow
    Get(get::Arguments),
    /// Store a flow, new or in place of what it was
    Put(put::Arguments),
    /// Open a flow in the editor, and store it if nobody was faster
    Edit(edit::Arguments),
    /// Delete flows; their history stays
    Delete(delete::Arguments),
    /// Store the flows of files, all or none
    Import(import::Arguments),
    /// Write all flows, as of one moment and in an order that stays
    Export(export::Arguments),
    /// Move every flow of one storage into another, with its id, times and revision; all or none
    Switch(switch::Arguments),
    /// Show the revisions of a flow, there or deleted
    History(history::Arguments),
    /// Show the deleted flows that can be restored
    Trash(trash::Arguments),
    /// Write all flows and their histories into one archive, and read it again
    Backup(backup::Arguments),
    /// Make a flow what it was at a revision, or store what is in an archive
    Restore(restore::Arguments),
    /// Say what has changed between two revisions, in words or as a JSON patch
    Diff(diff::Arguments),
    /// Follow the changes of all flows
    Watch(watch::Arguments),
    /// Read every flow and compare it with what stands beside it; ends with 1 when there are faults
    Check(check::Arguments),
    /// Bring the schema of the database up to date, which a start does by itself
    Migrate(migrate::Arguments),
    /// Show the effective settings, and where each comes from
    Config(config::Arguments),
    /// Print the manual page, or write those of all commands
    Man(man::Arguments),
    /// Print a script that completes command lines
    Completions(completions::Arguments),
    /// Print the OpenAPI document of the server
    Openapi,
}

impl Cli {
    /// What the process was started with. Prints help and versions, and ends the process with 2 for what makes no sense.
    pub(crate) fn from_arguments() -> Self {
        Self::parse()
    }

    /// Whether it runs for long, so that its log is what tells of it.
    pub(crate) fn is_long(&self) -> bool {
        matches!(self.command, None | Some(Command::Serve | Command::Migrate(_)))
    }

    /// Does what the command says.
    pub(crate) async fn run(mut self) -> Result<Answer, Failure> {
        if !matches!(self.command, Some(Command::Completions(_) | Command::Openapi | Command::Man(_))) {
            self.flags.look_around()?.iter().for_each(|warning| tell(&format!("warning: {warning}")));
        }
        match self.command {
            None | Some(Command::Serve) => serve::run(&self.flags).await,
            Some(Command::List(arguments)) => list::run(&self.flags, arguments).await,
            Some(Command::Get(arguments)) => get::run(&self.flags, arguments).await,
            Some(Command::Put(arguments)) => put::run(&self.flags, arguments).await,
            Some(Command::Edit(arguments)) => edit::run(&self.flags, arguments).await,
            Some(Command::Delete(arguments)) => delete::run(&self.flags, arguments).await,
            Some(Command::Import(arguments)) => import::run(&self.flags, arguments).await,
            Some(Command::Export(arguments)) => export::run(&self.flags, arguments).await,
            Some(Command::History(arguments)) => history::run(&self.flags, arguments).await,
            Some(Command::Trash(arguments)) => trash::run(&self.flags, arguments).await,
            Some(Command::Backup(arguments)) => backup::run(&self.flags, arguments).await,
            Some(Command::Restore(arguments)) => restore::run(&self.flags, arguments).await,
            Some(Command::Diff(arguments)) => diff::run(&self.flags, arguments).await,
            Some(Command::Watch(arguments)) => watch::run(&self.flags, arguments).await,
            Some(Command::Check(arguments)) => check::run(&self.flags, &arguments).await,
            Some(Command::Migrate(arguments)) => migrate::run(&self.flags, &arguments).await,
            Some(Command::Config(arguments)) => config::run(&self.flags, &arguments),
            Some(Command::Man(arguments)) => man::run(&arguments),
            Some(Command::Completions(arguments)) => completions::run(&arguments),
            Some(Command::Openapi) => openapi::run(),
            Some(Command::Switch(arguments)) => switch::run(&self.flags, &arguments).await,
        }
    }
}

/// What came of a command that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// What was asked for is not so.
    No,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Done => Self::SUCCESS,
            Answer::No => Self::from(1),
        }
    }
}

/// Reads the number of a revision.
fn revision(text: &str) -> Result<Revision, &'static str> {
    let number = text.parse().ok().filter(|number| (1..=i64::MAX as u64).contains(number));
    number.map(Revision::new).ok_or("a revision is a number from 1")
}

fn no_such_revision(id: FlowId, revision: Revision) -> String {
    format!("the flow {id} has no revision {revision}, or it is no longer kept")
}

/// Whether an input is stdin.
fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// How an input is called.
fn name_of(file: &Path) -> String {
    if is_stdin(file) { "stdin".to_owned() } else { file.display().to_string() }
}
