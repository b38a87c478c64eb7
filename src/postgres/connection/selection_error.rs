//! The errors of server selection, and which of them may pass without an operator.

use super::target::{ServerRole, TargetSessionAttrs};
use super::{pooler, tls};

/// The reason why none of the servers is usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelectionError {
    #[error("{address} is unreachable: {source}")]
    Unreachable { address: String, source: std::io::Error },
    #[error("{address} did not accept a session within {seconds} s")]
    Timeout { address: String, seconds: u64 },
    #[error("{address} {reason}")]
    Unsuitable { address: String, reason: &'static str },
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
}

impl SelectionError {
    /// Whether the error is an outage: no server accepts the session, which may pass by itself. Every other error is an
    /// answer that requires an operator.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Unsuitable { .. } => true,
            Self::Sqlx(error) => is_outage(error),
        }
    }
}

/// As [`SelectionError::is_outage`]. Source: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(crate) fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) if tls::is_rejected_certificate(error) => false,
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) if pooler::is_rejected(&**error) => false,
        sqlx::Error::Database(error) => {
            // Connection exception, insufficient resources, shutdown or start in progress.
            let code = error.code().unwrap_or_default();
            ["08", "53", "57P"].iter().any(|class| code.starts_with(class))
        }
        _ => false,
    }
}

/// Returns why a server that does not satisfy the target is unsuitable, as the predicate of a sentence.
pub(super) fn unsuitable_reason(role: &ServerRole, target: TargetSessionAttrs) -> &'static str {
    match target {
        TargetSessionAttrs::Standby | TargetSessionAttrs::ReadOnly => {
            "is writable, but `target_session_attrs` requires a read-only server"
        }
        _ if role.is_standby => "is a standby, but `target_session_attrs` requires a writable server",
        _ => "is read-only, but `target_session_attrs` requires a writable server",
    }
}
