//! The kind of problem of each error. `status.rs` has the status code of each kind.

use std::error;
use std::iter;
use std::time::Duration;

use strom_store::flow::{PatchError, Reason, Refusal};
use strom_store::repository::{RepositoryError, ViolationKind};

use super::document::Problem;
use super::status::ProblemKind;

/// The advice for a client whose position in the change feed has expired. The order matters: changes that happen while the
/// client lists the flows have cursors after the new position, so the client misses nothing.
pub(crate) const RESYNC_HINT: &str = "request `/api/changes` without `since` for a new cursor, list all flows, then \
                                      continue from that cursor";

/// A document that cannot be stored is 422. Text that is not JSON is 400. A document that is too large is 413.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.reason {
            Reason::NotJson { .. } => ProblemKind::InvalidBody,
            Reason::TooLarge => ProblemKind::TooLarge,
            _ => ProblemKind::Refused,
        };
        Self::new(kind, refusal.to_string()).at(refusal.path.to_string())
    }
}

/// An invalid patch is rejected like an invalid document. A valid patch that does not apply to this flow is a conflict
/// (RFC 5789, section 2.2).
impl From<PatchError> for Problem {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::Refused(refusal) => refusal.into(),
            PatchError::Unfit { .. } => Self::new(ProblemKind::PatchConflict, error.to_string()),
            _ => Self::new(ProblemKind::Refused, error.to_string()),
        }
    }
}

/// A read-only storage is 503 without `Retry-After`: the request is valid and the client cannot change the situation.
/// 403 would suggest another key, 409 another document.
///
/// An instance with `--read-only` is 403: neither a retry nor another key helps (RFC 9110, section 15.5.4). It is not 405,
/// which describes the resource and must list the allowed methods: behind a load balancer, another instance at the same
/// address may accept the same change.
///
/// Ephemeral flows that exceed the memory limit are 507 (RFC 4918, section 11.5): a retry helps only after a client deletes
/// ephemeral flows. It is not 413, because the body may be small.
impl From<RepositoryError> for Problem {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Conflict(violations) => {
                let detail = violations.first().map_or_else(String::new, ToString::to_string);
                match violations.into_iter().next().map(|violation| violation.kind) {
                    Some(ViolationKind::AlreadyExists) => Self::new(ProblemKind::FlowExists, detail),
                    Some(ViolationKind::NotFound) => Self::new(ProblemKind::NoSuchFlow, detail),
                    Some(ViolationKind::Stale { current, .. }) => Self::stale(current),
                    None => internal(&RepositoryError::Conflict(Vec::new())),
                }
            }
            RepositoryError::Unavailable { ref reason, retry_after, outcome_unknown } => {
                tracing::warn!(reason, "the storage is not available");
                let detail = match outcome_unknown {
                    true => {
                        "no response from the storage; the change may have been stored, so read the flow before you \
                             try again"
                    }
                    false => "the storage is not available; nothing was written; try again later",
                };
                Self::unavailable(detail, retry_after)
            }
            RepositoryError::Busy(ref reason) => {
                tracing::warn!(reason, "the storage is busy");
                let detail = "nothing was written; try again";
                Self::new(ProblemKind::Busy, detail).retry_after(Duration::from_secs(1))
            }
            RepositoryError::ReadOnly(ref reason) => {
                tracing::warn!(reason, "the storage is read-only");
                Self::new(
                    ProblemKind::ReadOnly,
                    "nothing was written; ask the operator: the server log contains the reason",
                )
            }
            RepositoryError::ReadOnlyInstance => {
                let detail = "nothing was written; send changes to an instance that runs without --read-only";
                Self::new(ProblemKind::ReadOnlyInstance, detail)
            }
            RepositoryError::Gone => Self::new(
                ProblemKind::Gone,
                format!("the feed no longer retains the changes after this cursor; {RESYNC_HINT}"),
            ),
            RepositoryError::NoRoom { .. } => Self::new(
                ProblemKind::NoRoom,
                format!("{error}; nothing was written; delete ephemeral flows or store them permanently"),
            ),
            RepositoryError::Corrupt(ref reason) => {
                tracing::error!(reason, "stored data cannot be read");
                Self::new(
                    ProblemKind::Corrupt,
                    "the data was not changed; ask the operator: the server log contains the location",
                )
            }
            RepositoryError::Rejected(_) => {
                let detail = "nothing was written; ask the operator: the server log contains the reason";
                log_internal(&error);
                Self::new(ProblemKind::Internal, detail)
            }
            other => internal(&other),
        }
    }
}

/// Logs the error with its sources. The response contains none of it.
fn internal(error: &(dyn error::Error + 'static)) -> Problem {
    log_internal(error);
    Problem::new(ProblemKind::Internal, "ask the operator: the server log contains the reason")
}

fn log_internal(error: &(dyn error::Error + 'static)) {
    let chain = iter::successors(Some(error), |error| error.source());
    let chain = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    tracing::error!(error = chain, "internal error");
}
