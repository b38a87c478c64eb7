//! The commands, and their dispatch.

use clap::{CommandFactory, Parser, Subcommand};

use super::answer::Answer;
use super::failure::Failure;
use super::output::eprint;
use super::{
    backup, check, completions, config, delete, diff, edit, export, get, health, history, import, list, man, migrate,
    openapi, put, restore, serve, switch, trash, undo_edit, watch,
};
use crate::config::Flags;

/// Strom's flow store
#[derive(Debug, Parser)]
#[command(name = "strom", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    flags: Flags,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (default without a command)
    Serve,
    /// List flows in a table
    List(list::Arguments),
    /// Print the document of a flow
    Get(get::Arguments),
    /// Create or replace a flow
    Put(put::Arguments),
    /// Edit a flow in $EDITOR. Fails if the flow changed in the meantime
    Edit(edit::Arguments),
    /// Delete flows. Their history remains available
    Delete(delete::Arguments),
    /// Import flows from files, all or nothing
    Import(import::Arguments),
    /// Export all flows from one snapshot, in canonical order
    Export(export::Arguments),
    /// Move all flows from one storage to another, all or nothing
    Switch(switch::Arguments),
    /// List the revisions of a flow, also of a deleted flow
    History(history::Arguments),
    /// List deleted flows that can be restored
    Trash(trash::Arguments),
    /// Back up all flows and their histories to one verified archive
    Backup(backup::Arguments),
    /// Restore a revision of a flow, or all flows of an archive
    Restore(restore::Arguments),
    /// Undo the last edit of the JSON file by another program
    UndoEdit(undo_edit::Arguments),
    /// Show what changed between two revisions, as text or as a JSON Patch
    Diff(diff::Arguments),
    /// Follow the changes of all flows
    Watch(watch::Arguments),
    /// Verify every flow and the data derived from it. Exits with 1 if there are faults
    Check(check::Arguments),
    /// Apply pending database migrations, as the server does at start
    Migrate(migrate::Arguments),
    /// Ask a running server whether it is healthy. Exits with 1 if it is not
    Health(health::Arguments),
    /// Show the effective settings and the source of each
    Config(config::Arguments),
    /// Print the manual page, or write the pages of all commands
    Man(man::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
    /// Print the OpenAPI document of the server
    Openapi,
}

impl CommandLine {
    /// Parses the arguments of the process. Prints the help or the version on request. Exits with 2 if they are invalid.
    pub(crate) fn parse_arguments() -> Self {
        Self::parse()
    }

    /// Whether the log is the main output of the command.
    pub(crate) fn is_logged(&self) -> bool {
        matches!(self.command, None | Some(Command::Serve | Command::Migrate(_)))
    }

    /// Runs the command.
    pub(crate) async fn run(mut self) -> Result<Answer, Failure> {
        if !matches!(self.command, Some(Command::Completions(_) | Command::Openapi | Command::Man(_))) {
            let mut warnings = self.flags.load_environment()?;
            // Every other command in the pod of a server would repeat them.
            if matches!(self.command, None | Some(Command::Serve | Command::Config(_))) {
                warnings.extend_from_slice(self.flags.ignored_variables());
            }
            warnings.iter().for_each(|warning| eprint(&format!("warning: {warning}")));
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
            Some(Command::UndoEdit(arguments)) => undo_edit::run(&self.flags, arguments).await,
            Some(Command::Diff(arguments)) => diff::run(&self.flags, arguments).await,
            Some(Command::Watch(arguments)) => watch::run(&self.flags, arguments).await,
            Some(Command::Check(arguments)) => check::run(&self.flags, &arguments).await,
            Some(Command::Migrate(arguments)) => migrate::run(&self.flags, &arguments).await,
            Some(Command::Health(arguments)) => health::run(&self.flags, arguments).await,
            Some(Command::Config(arguments)) => config::run(&self.flags, &arguments),
            Some(Command::Man(arguments)) => man::run(&arguments, Self::command()),
            Some(Command::Completions(arguments)) => completions::run(&arguments, Self::command()),
            Some(Command::Openapi) => openapi::run(),
            Some(Command::Switch(arguments)) => switch::run(&self.flags, &arguments).await,
        }
    }
}
