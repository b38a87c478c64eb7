//! Inserts flows that come from another store.

use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::batch::Batch;
use super::outcomes::{Outcomes, WrittenRow, record_outcomes};
use super::row::revision_column;
use crate::flow::Flow;
use crate::postgres::error::Result;
use crate::postgres::time::Time;
use crate::repository::{Change, Outcome, RepositoryError, Stored};

fn current_flow(change: &Change) -> Option<&Stored<Flow>> {
    match change {
        Change::Adopt(stored) => Some(stored),
        Change::Inherit(chronicle) => chronicle.now(),
        _ => None,
    }
}

/// Inserts the adopted flows, and the current flows of inherited histories.
///
/// The statement clears the author of the transaction. The triggers then accept the author and the revision of the
/// inserted row, as for a restored dump. If the flow has a tombstone, the revisions continue from the tombstone.
pub(super) async fn insert_flows(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    outcomes: &mut Outcomes,
) -> Result<()> {
    let (mut ids, mut names, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    let (mut revisions, mut created, mut updated, mut authors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for change in batch.changes {
        if let Some(Stored { item: flow, version }) = current_flow(change) {
            let version = version.adopted(None).map_err(RepositoryError::from)?;
            ids.push(flow.id().as_uuid());
            names.push(flow.head().name.clone());
            documents.push(Json(flow.document()));
            revisions.push(revision_column(version.revision));
            created.push(version.created_at);
            updated.push(version.updated_at);
            authors.push(version.author.as_str().to_owned());
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query_as!(
        WrittenRow,
        r#"
        WITH stamp AS MATERIALIZED (SELECT set_config('strom.author', '', TRUE))
        INSERT INTO flows (id, name, data, revision, created_at, updated_at, author)
        SELECT change.id, change.name, change.data, change.revision, change.created_at, change.updated_at, change.author
        FROM stamp, UNNEST(
            $1::UUID[], $2::TEXT[], $3::JSONB[], $4::BIGINT[], $5::TIMESTAMPTZ[], $6::TIMESTAMPTZ[], $7::TEXT[]
        ) AS change (id, name, data, revision, created_at, updated_at, author)
        ORDER BY change.id
        ON CONFLICT (id) DO NOTHING
        RETURNING id, NULL::BIGINT AS before, revision,
            created_at AS "created_at: Time", updated_at AS "updated_at: Time", author
        "#,
        &ids,
        &names,
        &documents as &[Json<&RawValue>],
        &revisions,
        &created,
        &updated,
        &authors,
    )
    .fetch_all(&mut *connection)
    .await?;
    // The other changes of the transaction are recorded at its end, with the author of the call.
    sqlx::query!(r#"SELECT set_config('strom.author', $1, TRUE) AS "author!""#, batch.stamp.author.as_str())
        .fetch_one(connection)
        .await?;
    record_outcomes(outcomes, rows, |_| Outcome::Created)
}
