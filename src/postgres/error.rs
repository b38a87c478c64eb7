//! sqlx's errors, and what they mean to a caller.

use std::io;
use std::time::Duration;

use sqlx::error::DatabaseError;

use crate::repository::RepositoryError;

pub(super) type Result<T> = std::result::Result<T, Error>;

/// What a statement can end in. Private: SQL and the server's words stay in here, or go to the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The server is still sending; to read all of it and throw it away would take longer than to connect anew.
    #[error("nobody reads the answer any more")]
    ReaderLeft,
    /// A list of changes that is read while it is written.
    #[error("the changes cannot be read: {0}")]
    Unreadable(#[source] io::Error),
}

impl Error {
    fn code(&self) -> Option<String> {
        match self {
            Self::Sqlx(sqlx::Error::Database(error)) => error.code().map(|code| code.into_owned()),
            _ => None,
        }
    }

    /// "cached plan must not change result type": a column has changed since this connection prepared the statement. It
    /// would fail for ever on this connection and succeeds on a new one.
    pub(super) fn is_stale_plan(&self) -> bool {
        self.code().as_deref() == Some("0A000")
    }

    /// The connection is not to be used any more, and a new one may be: it broke off, the server ends its sessions, or one
    /// side does not listen.
    pub(super) fn is_lost_connection(&self) -> bool {
        match self {
            Self::Repository(RepositoryError::Unavailable { .. }) | Self::ReaderLeft => true,
            Self::Sqlx(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => true,
            _ => self.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        }
    }

    /// The user may not do it.
    pub(super) fn is_denied(&self) -> bool {
        self.code().as_deref() == Some("42501")
    }

    fn is_recorded_twice(&self) -> bool {
        matches!(self, Self::Sqlx(sqlx::Error::Database(error)) if error.constraint() == Some("flow_changes_by_revision"))
    }

    /// A write came to a server that cannot be written: a standby, perhaps the primary of a while ago.
    pub(super) fn is_read_only_server(&self) -> bool {
        self.code().as_deref() == Some("25006")
    }

    /// Serialization failure or deadlock: nothing was written, and the same again can succeed at once. A standby says so as
    /// well when it cancels a statement whose rows it has to remove:
    /// <https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT>.
    ///
    /// So does a revision that somebody else has recorded at this moment.
    pub(super) fn is_race(&self) -> bool {
        matches!(self.code().as_deref(), Some("40001" | "40P01")) || self.is_recorded_twice()
    }
}

/// How long a client had better wait for a database that is away.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Nobody was asked for anything.
pub(super) fn unavailable(reason: impl Into<String>) -> RepositoryError {
    RepositoryError::Unavailable { reason: reason.into(), retry_after: RETRY_AFTER, is_open: false }
}

/// There is no answer to what was asked, and the server may have heard it.
pub(super) fn unanswered(reason: impl Into<String>) -> RepositoryError {
    RepositoryError::Unavailable { reason: reason.into(), retry_after: RETRY_AFTER, is_open: true }
}

impl From<Error> for RepositoryError {
    fn from(error: Error) -> Self {
        match error {
            Error::Repository(error) => error,
            Error::ReaderLeft => unavailable(error.to_string()),
            Error::Unreadable(_) => Self::Failed(error.into()),
            Error::Sqlx(sqlx::Error::Database(error)) => from_database(error),
            Error::Sqlx(sqlx::Error::Io(error)) => unanswered(format!("the connection was lost: {error}")),
            // Half an answer, or none: a connection that was cut in the middle of it.
            Error::Sqlx(sqlx::Error::Protocol(error)) => unanswered(format!("the connection was lost: {error}")),
            Error::Sqlx(sqlx::Error::Tls(error)) => unavailable(format!("no secure connection: {error}")),
            Error::Sqlx(sqlx::Error::PoolClosed) => unavailable("Strom is shutting down"),
            Error::Sqlx(sqlx::Error::ColumnDecode { index, source }) => {
                Self::Corrupt(format!("column {index} of `flows`: {source}"))
            }
            Error::Sqlx(other) => Self::Failed(other.into()),
        }
    }
}

/// By error code. Source: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn from_database(error: Box<dyn DatabaseError>) -> RepositoryError {
    let code = error.code().unwrap_or_default();
    let message = error.message();
    match (&code[..code.len().min(2)], code.as_ref()) {
        (_, "25006" | "42501") => RepositoryError::ReadOnly(message.to_owned()),
        (_, "55P03" | "57014" | "53300" | "40001" | "40P01") => RepositoryError::Busy(message.to_owned()),
        // Connection lost, out of disk or memory, shutting down or starting, no access.
        ("08" | "53" | "57" | "58" | "28" | "3D", _) => unanswered(message),
        _ => RepositoryError::Failed(error.into()),
    }
}
