//! Messages about a save.

use strom_store::Flow;
use strom_store::flow::{Difference, FlowId};
use strom_store::repository::{Applied, Outcome, Revision};

use super::failure::Failure;
use super::output::{eprint, escaped, print};

/// Prints the outcome of each change.
pub(super) fn print_outcomes(applied: Vec<Applied>) -> Result<(), Failure> {
    applied.into_iter().try_for_each(|applied| {
        print(&outcome_line(applied.outcome, applied.id, applied.version.map(|version| version.revision)))
    })
}

/// Returns a line with the outcome of a change.
pub(super) fn outcome_line(outcome: Outcome, id: FlowId, revision: Option<Revision>) -> String {
    let outcome = match outcome {
        Outcome::Created => "created",
        Outcome::Replaced => "replaced",
        Outcome::Unchanged => "unchanged",
        Outcome::Deleted => "deleted",
        Outcome::Absent => "absent",
    };
    let revision = revision.map(|revision| format!("  revision {revision}")).unwrap_or_default();
    format!("{outcome}  {id}{revision}")
}

/// Prints the changes that other writers made since a revision.
pub(super) fn print_changes_since(difference: &Difference) {
    for change in &difference.changes {
        eprint(&format!("since then: {}", escaped(&change.words)));
    }
    if difference.more > 0 {
        eprint(&format!("since then: and {} more", difference.more));
    }
}

/// Prints the warnings about a flow that was stored.
pub(super) fn print_warnings(flow: &Flow) {
    for warning in flow.warnings().unwrap_or_default() {
        eprint(&format!("warning: `{}`: {}", warning.path, escaped(&warning.suspicion.to_string())));
    }
    if flow.is_ephemeral() {
        eprint(
            "warning: `$.properties.ephemeral`: the flow was stored permanently; only a server keeps ephemeral \
                flows in memory",
        );
    }
}
