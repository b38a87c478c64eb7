//! Errors of statements, and their meaning for a caller.

use std::io;
use std::time::Duration;

use sqlx::error::DatabaseError;

use super::sqlstate::{Meaning, is_damage, meaning_of};
use crate::repository::RepositoryError;

pub(super) type Result<T> = std::result::Result<T, Error>;

/// The error of a statement. Private: SQL and the server's messages stay inside the backend or go to the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The reader of a stream has left while the server still sends rows. Reading all of them takes longer than
    /// reconnecting.
    #[error("the reader has closed the stream")]
    ReaderLeft,
    /// A batch has waited briefly for the row of one of its flows. Each save can run alone.
    #[error("another transaction has locked a flow of the batch")]
    LockedInBatch,
    /// The caller's list of changes, which is read during the write.
    #[error("cannot read the changes: {0}")]
    Unreadable(#[source] io::Error),
}

impl Error {
    fn code(&self) -> Option<String> {
        match self {
            Self::Sqlx(sqlx::Error::Database(error)) => error.code().map(|code| code.into_owned()),
            _ => None,
        }
    }

    /// "cached plan must not change result type": a column has changed since this connection prepared the statement.
    /// The statement fails forever on this connection, and succeeds on a new one.
    pub(super) fn is_stale_plan(&self) -> bool {
        self.code().as_deref() == Some("0A000")
    }

    /// The connection is unusable, but a new one may work: it was cut, the server ends its sessions, or one side does
    /// not answer.
    pub(super) fn is_lost_connection(&self) -> bool {
        match self {
            Self::Repository(RepositoryError::Unavailable { .. }) | Self::ReaderLeft => true,
            Self::Sqlx(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => true,
            _ => self.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        }
    }

    /// Another session held a lock for longer than the lock timeout.
    pub(super) fn is_lock_timeout(&self) -> bool {
        self.code().as_deref() == Some("55P03")
    }

    /// The user lacks a privilege.
    pub(super) fn is_denied(&self) -> bool {
        self.code().as_deref() == Some("42501")
    }

    /// The history contains the revision already: another writer has recorded it at the same time. If this happens again and
    /// again, the history contradicts the flows.
    pub(super) fn is_duplicate_revision(&self) -> bool {
        matches!(self, Self::Sqlx(sqlx::Error::Database(error)) if error.constraint() == Some("flow_changes_by_revision"))
    }

    /// The schema may be damaged.
    pub(super) fn suggests_damage(&self) -> bool {
        matches!(self, Self::Sqlx(sqlx::Error::Database(error)) if is_damage(&**error)) || self.is_denied()
    }

    /// The server rejects writes: it is a standby, perhaps a former primary.
    pub(super) fn is_read_only_server(&self) -> bool {
        self.code().as_deref() == Some("25006")
    }

    /// Serialization failure, deadlock, or duplicate revision: nothing was written, and a retry can succeed at once. A
    /// standby also reports a serialization failure when it cancels a statement whose rows it has to remove:
    /// <https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT>.
    pub(super) fn is_race(&self) -> bool {
        matches!(self.code().as_deref(), Some("40001" | "40P01")) || self.is_duplicate_revision()
    }
}

/// When a client should retry during an outage.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The error of a call that sent nothing to the server.
pub(super) fn unavailable(reason: impl Into<String>) -> RepositoryError {
    RepositoryError::Unavailable { reason: reason.into(), retry_after: RETRY_AFTER, outcome_unknown: false }
}

/// The error of a call without an answer. The server may have received it.
pub(super) fn unanswered(reason: impl Into<String>) -> RepositoryError {
    RepositoryError::Unavailable { reason: reason.into(), retry_after: RETRY_AFTER, outcome_unknown: true }
}

/// The error of a read. A read without an answer has written nothing, whatever the server received.
pub(super) fn of_read(error: Error) -> RepositoryError {
    match error.into() {
        RepositoryError::Unavailable { reason, retry_after, .. } => {
            RepositoryError::Unavailable { reason, retry_after, outcome_unknown: false }
        }
        other => other,
    }
}

/// The error of a write. If the server has rejected a statement, nothing was written.
pub(super) fn of_write(error: Error) -> RepositoryError {
    match error {
        Error::Sqlx(sqlx::Error::Database(error)) if meaning_of(&*error) == Meaning::Failed => {
            RepositoryError::Rejected(error.into())
        }
        other => other.into(),
    }
}

impl From<Error> for RepositoryError {
    fn from(error: Error) -> Self {
        match error {
            Error::Repository(error) => error,
            Error::ReaderLeft => unavailable(error.to_string()),
            Error::LockedInBatch => Self::Busy(error.to_string()),
            Error::Unreadable(_) => Self::Failed(error.into()),
            Error::Sqlx(sqlx::Error::Database(error)) => from_database(error),
            Error::Sqlx(sqlx::Error::Io(error)) => unanswered(format!("the connection was lost: {error}")),
            // An incomplete answer: the connection was cut in the middle of it.
            Error::Sqlx(sqlx::Error::Protocol(error)) => unanswered(format!("the connection was lost: {error}")),
            Error::Sqlx(sqlx::Error::Tls(error)) => {
                unavailable(format!("cannot establish a secure connection: {error}"))
            }
            Error::Sqlx(sqlx::Error::PoolClosed) => unavailable("the instance is shutting down"),
            Error::Sqlx(sqlx::Error::ColumnDecode { index, source }) => {
                Self::Corrupt(format!("column {index} of `flows`: {source}"))
            }
            Error::Sqlx(other) => Self::Failed(other.into()),
        }
    }
}

fn from_database(error: Box<dyn DatabaseError>) -> RepositoryError {
    let message = error.message();
    match meaning_of(&*error) {
        Meaning::ReadOnly => RepositoryError::ReadOnly(message.to_owned()),
        Meaning::Busy => RepositoryError::Busy(message.to_owned()),
        Meaning::NotWritten => unavailable(message),
        Meaning::Unknown => unanswered(message),
        Meaning::Failed => RepositoryError::Failed(error.into()),
    }
}
