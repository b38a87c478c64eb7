//! The command line: one file per subcommand.

mod descriptors;
mod migrate;
mod serve;
mod signals;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use strom::http::KeysFileError;
use strom::repository::OpenError;

use crate::config::{ConfigError, Flags};

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
    /// Bring the schema of the database up to date, which a start does by itself
    Migrate(migrate::Arguments),
}

impl Cli {
    /// What the process was started with. Prints help and versions, and ends the process with 2 for what makes no sense.
    pub(crate) fn from_arguments() -> Self {
        Self::parse()
    }

    /// Does what the command says.
    pub(crate) async fn run(self) -> Result<Answer, Failure> {
        match self.command {
            None | Some(Command::Serve) => serve::run(&self.flags).await,
            Some(Command::Migrate(arguments)) => migrate::run(&self.flags, &arguments).await,
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

/// Why a command failed: what happened, and on the next line what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Keys(#[from] KeysFileError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("a database to migrate is not named\nname it with --database-url or STROM_DATABASE_URL as well")]
    NoDatabase,
    #[error("the result cannot be written: {0}")]
    Output(std::io::Error),
    #[error("the host `{host}` has no address: {source}\nname another one with --host or STROM_HOST")]
    Resolve { host: String, source: std::io::Error },
    #[error(
        "without a key only loopback addresses are served, and {0} is none\nset STROM_API_KEY or STROM_API_KEYS_FILE, or \
         give --allow-anonymous to serve everybody who can reach it"
    )]
    NotLoopback(SocketAddr),
    #[error("cannot listen on `{host}`, port {port}: {source}\nchoose others with --host and --port")]
    Listen { host: String, port: u16, source: std::io::Error },
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}
