//! The meaning of the server's error codes for a caller.
//!
//! A write that the server has answered with an error was rolled back, so its outcome is known. The exceptions are codes
//! for a lost transaction, and errors that end the session: those can follow a commit whose confirmation was lost.
//! Source of the codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// The meaning of an error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The server or the user cannot write. Nothing was written.
    ReadOnly,
    /// The statement was rolled back, and a retry can succeed at once.
    Busy,
    /// The statement was rolled back or never started. A retry succeeds after the cause has ended.
    NotWritten,
    /// The statement may have been committed.
    Unknown,
    /// The statement was rolled back, and a retry fails in the same way.
    Failed,
}

/// Returns the meaning of an error of the server.
pub(super) fn meaning_of(error: &dyn DatabaseError) -> Meaning {
    let severity = error.try_downcast_ref::<PgDatabaseError>().map_or(PgSeverity::Error, PgDatabaseError::severity);
    if is_damage(error) {
        return Meaning::NotWritten;
    }
    meaning(&error.code().unwrap_or_default(), severity)
}

/// Whether an object of the schema is missing or disabled. Our own statements cause such an error in no other case. A trigger
/// of another program may: then the error has a context that names its function.
pub(super) fn is_damage(error: &dyn DatabaseError) -> bool {
    let context = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::r#where);
    let is_ours = context.is_none_or(|context| context.contains("strom_"));
    // Undefined table, column, function or schema, and no unique index for `ON CONFLICT`.
    is_ours && matches!(error.code().as_deref(), Some("42P01" | "42703" | "42883" | "3F000" | "42P10"))
        || matches!(error.constraint(), Some("strom_before_write_is_enabled" | "strom_verify"))
        // `flow_log` is empty.
        || error.code().as_deref() == Some("23502") && error.table() == Some("flow_changes")
}

fn meaning(code: &str, severity: PgSeverity) -> Meaning {
    let class = code.get(..2).unwrap_or_default();
    match (class, code) {
        // The whole server stops, perhaps while it commits: for example, the disk of the write-ahead log is full.
        _ if matches!(severity, PgSeverity::Panic) => Meaning::Unknown,
        (_, "25006" | "42501") => Meaning::ReadOnly,
        // The connection was lost, by the server or a pooler. 40003: statement_completion_unknown.
        ("08", _) | (_, "40003") => Meaning::Unknown,
        // Lock timeout, object in use, statement timeout or cancellation, too many connections.
        (_, "55P03" | "55006" | "57014" | "53300") => Meaning::Busy,
        // Serialization failure, deadlock, and other conflicts that roll the transaction back.
        ("40", _) => Meaning::Busy,
        // Starting up or shutting down, before the session began; or the session was idle for too long.
        (_, "57P03" | "57P05" | "25P03") => Meaning::NotWritten,
        // Shutdown, crash, or a dropped database: the session has ended, perhaps after a commit.
        ("57", code) if code.starts_with("57P") => Meaning::Unknown,
        // No access to the database: the session has not begun.
        ("28" | "3D", _) => Meaning::NotWritten,
        _ if matches!(severity, PgSeverity::Fatal) => Meaning::Unknown,
        // Out of disk, memory or another resource; operator intervention; system error.
        ("53" | "57" | "58", _) => Meaning::NotWritten,
        _ => Meaning::Failed,
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgSeverity::{Error, Fatal, Panic};

    use super::{Meaning, meaning};

    #[test]
    fn outcome_is_known_after_every_rollback() {
        for code in ["53000", "53100", "53200", "53400", "57000", "58000", "58030", "58P01", "28P01", "3D000", "57P03"]
        {
            assert_eq!(meaning(code, Error), Meaning::NotWritten, "{code}");
        }
        for code in ["55P03", "55006", "57014", "53300", "40000", "40001", "40002", "40P01"] {
            assert_eq!(meaning(code, Error), Meaning::Busy, "{code}");
        }
        for code in ["25006", "42501"] {
            assert_eq!(meaning(code, Error), Meaning::ReadOnly, "{code}");
        }
        for code in ["54000", "54001", "54023", "23514", "22P02", "P0001", "XX000", "XX001", "42P01", "", "5"] {
            assert_eq!(meaning(code, Error), Meaning::Failed, "{code}");
        }
    }

    #[test]
    fn outcome_is_unknown_if_the_session_ended() {
        for code in ["57P01", "57P02", "57P04", "XX000", "25P04", "08006", "08P01", "40003", "53100", "58030"] {
            assert_eq!(meaning(code, Fatal), Meaning::Unknown, "{code}");
        }
        for code in ["53100", "58030", "XX000"] {
            assert_eq!(meaning(code, Panic), Meaning::Unknown, "{code}");
        }
        for code in ["08000", "08007", "40003", "57P01"] {
            assert_eq!(meaning(code, Error), Meaning::Unknown, "{code}");
        }
        for code in ["57P03", "57P05", "25P03", "53300", "28000"] {
            assert_ne!(meaning(code, Fatal), Meaning::Unknown, "{code}: the session accepted no statement");
        }
    }
}
