//! The violation that made a change fail.

use strom_store::flow::Flow;
use strom_store::repository::{RepositoryError, Stored, Violation, ViolationKind};

/// Reports whether the error is exactly one violation, and the violation matches.
pub(super) fn is_single_violation(error: &RepositoryError, matches: fn(&ViolationKind) -> bool) -> bool {
    let RepositoryError::Conflict(violations) = error else { return false };
    matches!(violations.as_slice(), [only] if matches(&only.kind))
}

/// Returns the current flow if the change failed only because the flow is at another revision. Otherwise returns the error.
pub(super) fn into_current_flow(error: RepositoryError) -> Result<Box<Stored<Flow>>, RepositoryError> {
    let RepositoryError::Conflict(mut violations) = error else { return Err(error) };
    match violations.pop() {
        Some(Violation { kind: ViolationKind::Stale { current, .. }, .. }) if violations.is_empty() => Ok(current),
        last => {
            violations.extend(last);
            Err(RepositoryError::Conflict(violations))
        }
    }
}
