//! Errors of commands: what failed, and a remedy on the next line.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use strom_server::http::KeysFileError;
use strom_server::transfer::InputError;
use strom_store::flow::{FlowId, Refusal};
use strom_store::repository::{self, OpenError, RepositoryError};

use super::backup_failure::BackupFailure;
use super::switch_failure::SwitchFailure;
use crate::config::{ConfigError, InvalidPath};
use crate::stderr;

/// An error of a command: what failed, and a remedy on the next line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Path(#[from] InvalidPath),
    #[error("{0} belongs to a JSON store, which the output would destroy\nset another path for the output")]
    StoreFile(String),
    #[error("{}", keys_with_remedy(.0))]
    Keys(#[from] KeysFileError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{}", with_remedy(.0))]
    Storage(#[from] RepositoryError),
    #[error(transparent)]
    Backup(#[from] BackupFailure),
    #[error("cannot check all of {storage}: {source}\nrepeat the check when the storage responds")]
    Check { storage: String, source: RepositoryError },
    #[error(transparent)]
    Switch(#[from] SwitchFailure),
    #[error("no database to migrate\nset --database-url or STROM_DATABASE_URL as well")]
    NoDatabase,
    #[error(
        "there are no flows at {0}\nset --flows-path or STROM_FLOWS_PATH to the file, or --database-url or \
         STROM_DATABASE_URL to a database"
    )]
    MissingFile(String),
    #[error("cannot create a temporary directory for the dry run: {0}\nset TMPDIR to another directory")]
    DryRunDirectory(io::Error),
    #[error("the cursor belongs to a list with another --sort\nuse the --sort of that list, or omit --cursor")]
    CursorOfOtherSort,
    #[error("cannot read {file}: {source}\ncheck the path and the permissions; `-` is stdin")]
    Input { file: String, source: io::Error },
    #[error(
        "the directory {0} contains no *.json files\nfor other file names, pass the files instead of the directory"
    )]
    EmptyDirectory(String),
    #[error("--prune requires one directory as the only input\npass one directory and no other input")]
    PruneWithoutDirectory,
    #[error(
        "--prune makes the storage equal to the directory, so it replaces existing flows\nomit --on-conflict, or use \
         `--on-conflict replace`"
    )]
    PruneWithOtherPolicy,
    #[error("cannot import {file}: {source}\nnothing was stored; correct the input and try again")]
    Import { file: String, source: InputError },
    #[error(
        "cannot write {file}: {source}\ncheck the directory, its permissions and the disk, or use another directory \
         with -o"
    )]
    Export { file: String, source: io::Error },
    #[error("--format dir requires an output directory\nset it with -o")]
    MissingOutput,
    #[error("{0} is a directory\nwrite one file per flow with --format dir, or set -o to a file")]
    OutputIsDirectory(String),
    #[error("stopped by a signal; {0} is unchanged")]
    Stopped(String),
    #[error("stopped by a signal; {0} may contain some new and some old versions of flows\nrepeat the export")]
    StoppedInDirectory(String),
    #[error("{file} is not a valid flow: {refusal}\nnothing was stored; correct the input and try again")]
    Refused { file: String, refusal: Refusal },
    #[error(
        "the flow {id} cannot be read: {refusal}\nan SQL client probably wrote it; `strom get --compact` shows it, \
         and `strom check` finds all such flows"
    )]
    Unreadable { id: FlowId, refusal: Refusal },
    #[error("cannot write the manual pages to {directory}: {source}\nuse another directory with --dir")]
    ManualPages { directory: String, source: io::Error },
    #[error("cannot create a temporary file for the text: {0}\nset TMPDIR to another directory")]
    Draft(io::Error),
    #[error("the editor `{editor}` {problem}\nnothing was stored; to use another editor, set VISUAL or EDITOR")]
    Editor { editor: String, problem: String },
    #[error("stopped by a signal\nnothing was stored")]
    StoppedBeforeStoring,
    #[error("the text was not corrected\nnothing was stored")]
    NotCorrected,
    #[error("stopped by a signal\nthe changes may have been made; check them before you try again")]
    StoppedWhileStoring,
    #[error(
        "the id was changed to {0}, which is another flow\nnothing was stored; restore the id, or store the text with \
         `strom put`"
    )]
    ChangedId(FlowId),
    #[error("{failure}\nyour text was saved in {file}")]
    DraftKept { failure: Box<Self>, file: String },
    #[error("cannot write the result: {0}")]
    Output(io::Error),
    #[error("cannot resolve the host `{host}`: {source}\nset --host or STROM_HOST to another host")]
    Resolve { host: String, source: io::Error },
    #[error(
        "without an API key, the server binds only loopback addresses, and {0} is not one\nset STROM_API_KEY or \
         STROM_API_KEYS_FILE, or allow access without a key with --allow-anonymous"
    )]
    NotLoopback(SocketAddr),
    #[error("cannot listen on `{host}`, port {port}: {source}\nset another address with --host and --port")]
    Listen { host: String, port: u16, source: io::Error },
    #[error("cannot use the socket of the service manager: {0}\npass one TCP socket, as packaging/strom.socket does")]
    PassedSocket(io::Error),
    #[error("cannot reach a server at {server}: {source}\nstart the server, or set its address with --server")]
    NoServer { server: String, source: Box<dyn Error + Send + Sync> },
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

impl Failure {
    /// Adds the result of a close to the result of the work that preceded it.
    pub(super) fn or_close<T>(result: Result<T, Self>, closed: repository::Result<()>) -> Result<T, Self> {
        match (result, closed.map_err(Self::from)) {
            (Ok(_), Err(unfinished)) => Err(unfinished),
            (Err(failure), Err(unfinished)) => {
                stderr::print(&format!("warning: {unfinished}\n"));
                Err(failure)
            }
            (result, Ok(())) => result,
        }
    }

    /// Returns a function that builds the error for a flow with an invalid document.
    pub(super) fn unreadable(id: FlowId) -> impl FnOnce(Refusal) -> Self {
        move |refusal| Self::Unreadable { id, refusal }
    }
}

/// Returns the error of a file of keys with a remedy. The error of an invalid file contains one.
fn keys_with_remedy(error: &KeysFileError) -> String {
    let text = error.to_string();
    match text.contains('\n') {
        true => text,
        false => format!("{text}\ncheck the path, and that the user that runs the server can read the file"),
    }
}

/// Returns the error with a remedy.
fn with_remedy(error: &RepositoryError) -> String {
    let remedy = match error {
        RepositoryError::Unavailable { outcome_unknown: true, .. } => {
            "the change may have been stored; read the flow before you try again"
        }
        RepositoryError::Unavailable { .. } | RepositoryError::Busy(_) => "nothing was written; try again later",
        RepositoryError::ReadOnly(_) => {
            "PostgreSQL: connect to the primary, and check the grants of the role (docs/database.md). File: make the \
             file and its directory writable"
        }
        RepositoryError::Conflict(_) => "nothing was written; read the flow again and repeat the change",
        RepositoryError::NoRoom { .. } => "nothing was written; delete ephemeral flows or store them permanently",
        RepositoryError::ReadOnlyInstance => "to change flows, run without --read-only and STROM_READ_ONLY",
        RepositoryError::Corrupt(_) => "`strom check` lists all unreadable data",
        RepositoryError::Gone => {
            return "the feed no longer retains the changes after this cursor\nlist all flows again, then continue \
                    without --since"
                .to_owned();
        }
        // The text contains the remedy.
        RepositoryError::Incomplete(text) => return text.clone(),
        RepositoryError::Rejected(source) => {
            return format!("{error}: {}\nremove the cause, then try again", chain(source.as_ref()));
        }
        RepositoryError::Failed(source) => {
            return format!("the storage failed: {}\ntry again; RUST_LOG=debug logs details", chain(source.as_ref()));
        }
        _ => "nothing was written",
    };
    format!("{error}\n{remedy}")
}

/// Returns an error and its causes. A cause that the text already contains is omitted.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
