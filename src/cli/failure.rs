//! Why a command failed: what happened, and on the next line what to do about it.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use strom::flow::{FlowId, Refusal};
use strom::http::KeysFileError;
use strom::repository::{OpenError, RepositoryError};
use strom::transfer::InputError;

use super::backup::BackupFailure;
use super::check::CheckFailure;
use super::switch::SwitchFailure;
use crate::config::ConfigError;

/// Why a command failed: what happened, and on the next line what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Keys(#[from] KeysFileError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{}", told(.0))]
    Storage(#[from] RepositoryError),
    #[error(transparent)]
    Backup(#[from] BackupFailure),
    #[error(transparent)]
    Check(#[from] CheckFailure),
    #[error(transparent)]
    Switch(#[from] SwitchFailure),
    #[error("a database to migrate is not named\nname it with --database-url or STROM_DATABASE_URL as well")]
    NoDatabase,
    #[error(
        "there are no flows at {0}\nname the file with --flows-path or STROM_FLOWS_PATH, or a database with --database-url \
         or STROM_DATABASE_URL"
    )]
    NoFile(String),
    #[error("there is no room for a rehearsal: {0}\nname another directory with TMPDIR")]
    NoRehearsal(io::Error),
    #[error(
        "the cursor belongs to a list with another --sort\ngive the one of that list as well, or begin without a cursor"
    )]
    OtherOrder,
    #[error("cannot read {file}: {source}\ncheck the name and the permissions; `-` is stdin")]
    Input { file: String, source: io::Error },
    #[error("the directory {0} has no files *.json\nname the files themselves where they are called something else")]
    NoInputs(String),
    #[error("what --prune deletes is told by one directory\nname it, and nothing else")]
    NotOneDirectory,
    #[error(
        "--prune makes of the storage what the directory is, so flows with another content are replaced\nleave --on-conflict \
         away, or say `replace`"
    )]
    OtherPolicy,
    #[error("cannot import {file}: {source}\nnothing was stored; correct it and try again")]
    Import { file: String, source: InputError },
    #[error(
        "cannot write {file}: {source}\ncheck the directory, its permissions and the disk, or name another one with -o"
    )]
    Export { file: String, source: io::Error },
    #[error("a directory is to be written, and none is named\nname it with -o")]
    NoDirectory,
    #[error("{0} is a directory\nwrite one file per flow with --format dir, or name a file with -o")]
    IsDirectory(String),
    #[error("stopped by a signal; nothing was put in place of {0}")]
    Stopped(String),
    #[error("stopped by a signal; {0} may have some flows as they are and others as they were\nexport again")]
    StoppedBetween(String),
    #[error("{file} holds no flow: {refusal}\nnothing was stored; correct it and try again")]
    Refused { file: String, refusal: Refusal },
    #[error(
        "the flow {id} cannot be read: {refusal}\nsomebody has written it by SQL; `strom get --compact` shows it, and `strom \
         check` finds all of these"
    )]
    Unreadable { id: FlowId, refusal: Refusal },
    #[error("cannot write the manual pages to {directory}: {source}\nname another directory with --dir")]
    Pages { directory: String, source: io::Error },
    #[error("there is no room for the text: {0}\nname another directory with TMPDIR")]
    NoDraft(io::Error),
    #[error("the editor `{editor}` {problem}\nnothing was stored; VISUAL and EDITOR name another one")]
    Editor { editor: String, problem: String },
    #[error("stopped by a signal\nnothing was stored")]
    EditStopped,
    #[error("it was not corrected\nnothing was stored")]
    NotCorrected,
    #[error("stopped by a signal\nthe flow may have been stored all the same; look, then try again")]
    StoringStopped,
    #[error(
        "the id was changed to {0}, which is another flow\nnothing was stored; leave the id as it was, or store the text with \
         `strom put`"
    )]
    OtherFlow(FlowId),
    #[error("{failure}\nwhat you wrote is kept in {file}")]
    Kept { failure: Box<Self>, file: String },
    #[error("the result cannot be written: {0}")]
    Output(io::Error),
    #[error("the host `{host}` has no address: {source}\nname another one with --host or STROM_HOST")]
    Resolve { host: String, source: io::Error },
    #[error(
        "without a key only loopback addresses are served, and {0} is none\nset STROM_API_KEY or STROM_API_KEYS_FILE, or \
         give --allow-anonymous to serve everybody who can reach it"
    )]
    NotLoopback(SocketAddr),
    #[error("cannot listen on `{host}`, port {port}: {source}\nchoose others with --host and --port")]
    Listen { host: String, port: u16, source: io::Error },
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

fn told(error: &RepositoryError) -> String {
    let remedy = match error {
        RepositoryError::Unavailable { is_open: true, .. } => {
            "what was to be changed may have been all the same; look, then try again"
        }
        RepositoryError::Unavailable { .. } | RepositoryError::Busy(_) => "nothing was changed; try again later",
        RepositoryError::ReadOnly(_) => "name the primary of the database, or a file and directory that can be written",
        RepositoryError::ReadOnlyInstance => "leave --read-only and STROM_READ_ONLY away to change something",
        RepositoryError::Corrupt(_) => "`strom check` finds what cannot be read",
        RepositoryError::Gone => {
            return "the changes behind this place are no longer kept\nlist all flows anew, then go on \
                                         without --since"
                .to_owned();
        }
        RepositoryError::Failed(source) => {
            return format!("the storage failed: {}\ntry again; RUST_LOG=debug tells more", chain(source.as_ref()));
        }
        _ => "nothing was changed",
    };
    format!("{error}\n{remedy}")
}

/// An error and its causes; those that it tells by itself are not told again.
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
