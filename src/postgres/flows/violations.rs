//! Finds the preconditions that do not hold.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::batch::Batch;
use super::get;
use super::outcomes::Outcomes;
use crate::postgres::error::Result;
use crate::repository::{Applied, Change, Outcome, Precondition, Violation};

/// Returns the violations of the changes that no statement has made. Changes that needed no statement get their outcome
/// here.
///
/// Returns `None` if the current flow does not explain why a change failed: another writer has changed the flow since
/// then.
pub(super) async fn find_violations(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    outcomes: &mut Outcomes,
) -> Result<Option<Vec<Violation>>> {
    let not_made: Vec<_> =
        batch.changes.iter().enumerate().filter(|(_, change)| !outcomes.contains_key(&change.id().as_uuid())).collect();
    if not_made.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let ids: Vec<_> = not_made.iter().map(|(_, change)| change.id().as_uuid()).collect();
    let mut current: HashMap<_, _> =
        get::get_existing(connection, &ids).await?.into_iter().map(|flow| (flow.item.id(), flow)).collect();
    let mut violations = Vec::new();
    for (index, change) in not_made {
        let id = change.id();
        let kind = match (change, change.precondition(), current.remove(&id)) {
            // The history of a deleted flow, whose revisions this store has already.
            (Change::Inherit(chronicle), _, None) if chronicle.now().is_none() => {
                outcomes.insert(id.as_uuid(), Applied { id, outcome: Outcome::Absent, version: None });
                continue;
            }
            (Change::Delete(..), Precondition::Any | Precondition::Absent, None) => {
                outcomes.insert(id.as_uuid(), Applied { id, outcome: Outcome::Absent, version: None });
                continue;
            }
            (_, precondition, current) => match precondition.violation(current.as_ref()) {
                Some(kind) => kind,
                None => return Ok(None),
            },
        };
        violations.push(Violation { index: batch.first + index, id, kind });
    }
    Ok(Some(violations))
}
