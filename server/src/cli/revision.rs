//! Revision numbers on the command line.

use strom_store::flow::FlowId;
use strom_store::repository::Revision;

/// Parses a revision number.
pub(super) fn parse_revision(text: &str) -> Result<Revision, &'static str> {
    let number = text.parse().ok().filter(|number| (1..=i64::MAX as u64).contains(number));
    number.map(Revision::new).ok_or("a revision is a number from 1")
}

/// Returns the message for a revision that does not exist.
pub(super) fn no_such_revision(id: FlowId, revision: Revision) -> String {
    format!("the flow {id} has no revision {revision}, or it is no longer retained")
}
