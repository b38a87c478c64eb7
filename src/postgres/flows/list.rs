//! Lists: one statement for every filter, order and view.
//!
//! The statement names every possible condition, and each call turns off those that it does not need:
//! `$n IS NULL OR …`, `CASE $n WHEN 'name' …`. A plan for the actual values removes these and uses the index that fits. A generic plan
//! could not use any index. `strom_plan_anew()` makes the generic plan too expensive for the planner
//! (migrations/0011_plans.sql).

use chrono::DateTime;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::row::FlowRow;
use crate::flow::{Flow, Head};
use crate::postgres::error::{Error, Result};
use crate::postgres::time::Time;
use crate::repository::{Cursor, Filter, ListQuery, NamePart, Page, RepositoryError, Stored, is_beyond_limits};

/// Up to this number of matches, a page looks its flows up by id.
const MAX_IDS: i64 = 1_000;

/// Returns a page of flows with their documents.
pub(crate) async fn list(connection: &mut PgConnection, query: ListQuery) -> Result<Page<Stored<Flow>>> {
    page(connection, &query, true, |flow: &Stored<Flow>| Cursor::behind(&query.sort, flow.item.head(), &flow.version))
        .await
}

/// Returns a page of flows without their documents.
pub(crate) async fn summaries(connection: &mut PgConnection, query: ListQuery) -> Result<Page<Stored<Head>>> {
    page(connection, &query, false, |head: &Stored<Head>| Cursor::behind(&query.sort, &head.item, &head.version)).await
}

async fn page<T>(
    connection: &mut PgConnection,
    query: &ListQuery,
    documents: bool,
    cursor: impl Fn(&T) -> Cursor,
) -> Result<Page<T>>
where
    T: TryFrom<FlowRow, Error = RepositoryError>,
{
    let total = if query.count { Some(count(connection, &query.filter).await?) } else { None };
    let mut rows = rows(connection, query, documents).await?;
    let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let items = rows.into_iter().map(T::try_from).collect::<std::result::Result<Vec<_>, _>>().map_err(Error::from)?;
    let next = if more { items.last().map(cursor) } else { None };
    Ok(Page { items, next, total })
}

/// Returns the ids of the flows that contain the document of the filter, unless there are many.
///
/// PostgreSQL assumes that one flow in a hundred contains any given document. For a page it then prefers a walk through
/// all flows in their order to a sort of the matches. With a rare document, that walk reads all documents. With a
/// frequent one it ends early, and needs no ids.
async fn matching_ids(connection: &mut PgConnection, filter: &Filter) -> Result<Option<Vec<Uuid>>> {
    let Some(contained) = contained(filter) else { return Ok(None) };
    let found = sqlx::query_scalar!("SELECT id FROM flows WHERE data @> $1 LIMIT $2", contained as _, MAX_IDS + 1);
    let found = found.fetch_all(connection).await?;
    Ok((found.len() as i64 <= MAX_IDS).then_some(found))
}

/// Reads one row more than fits on the page, to know whether another page follows.
async fn rows(connection: &mut PgConnection, query: &ListQuery, documents: bool) -> Result<Vec<FlowRow>> {
    let filter = &query.filter;
    let ids = if query.limit.is_some() { matching_ids(connection, filter).await? } else { None };
    let key = |index: usize| query.sort.keys().get(index).map(|key| key.as_str());
    let after = query.after.as_ref();
    let (created_after, updated_after) = match after {
        Some(after) => times_of(connection, after).await?,
        None => (None, None),
    };
    Ok(sqlx::query_as!(
        FlowRow,
        r#"
        SELECT id, name, state, auto_restart, size, elements, blocks, links, revision,
            created_at AS "created_at: Time", updated_at AS "updated_at: Time", author,
            CASE WHEN $1 THEN data END AS "data: Json<Box<RawValue>>"
        FROM flows
        -- On which side of the cursor a row is in each field: 1 behind it, -1 before it, 0 beside it.
        CROSS JOIN LATERAL (
            SELECT
                (name COLLATE "C" > $10)::INT - (name COLLATE "C" < $10)::INT AS by_name,
                (created_at > $11)::INT - (created_at < $11)::INT AS by_created_at,
                (updated_at > $12)::INT - (updated_at < $12)::INT AS by_updated_at,
                (id > $9)::INT - (id < $9)::INT AS by_id
        ) AS side
        WHERE ($15 OR strom_plan_anew())
          AND ($2::TEXT IS NULL OR state = $2 OR ($2 = 'Null' AND state IS NULL))
          AND ($3::BOOLEAN IS NULL OR auto_restart = $3 OR (NOT $3 AND auto_restart IS NULL))
          AND ($4::TEXT IS NULL OR name_folded LIKE $4)
          AND ($5::JSONB IS NULL OR data @> $5)
          AND ($16::UUID[] IS NULL OR id = ANY($16))
          AND (
            $9::UUID IS NULL
            -- By one key: a comparison of rows, at which an index can begin.
            OR $7::TEXT IS NULL AND CASE $6
                WHEN 'name' THEN (name COLLATE "C", id) > ($10, $9)
                WHEN '-name' THEN (name COLLATE "C", id) < ($10, $9)
                WHEN 'created_at' THEN (created_at, id) > ($11, $9)
                WHEN '-created_at' THEN (created_at, id) < ($11, $9)
                WHEN 'updated_at' THEN (updated_at, id) > ($12, $9)
                WHEN '-updated_at' THEN (updated_at, id) < ($12, $9)
            END
            -- By several, each in its own direction: an index can begin at the first, the sides in turn decide.
            OR $7 IS NOT NULL AND CASE $6
                WHEN 'name' THEN name COLLATE "C" >= $10
                WHEN '-name' THEN name COLLATE "C" <= $10
                WHEN 'created_at' THEN created_at >= $11
                WHEN '-created_at' THEN created_at <= $11
                WHEN 'updated_at' THEN updated_at >= $12
                WHEN '-updated_at' THEN updated_at <= $12
            END AND ARRAY[
                CASE $6
                    WHEN 'name' THEN by_name
                    WHEN '-name' THEN -by_name
                    WHEN 'created_at' THEN by_created_at
                    WHEN '-created_at' THEN -by_created_at
                    WHEN 'updated_at' THEN by_updated_at
                    WHEN '-updated_at' THEN -by_updated_at
                    ELSE 0
                END,
                CASE $7
                    WHEN 'name' THEN by_name
                    WHEN '-name' THEN -by_name
                    WHEN 'created_at' THEN by_created_at
                    WHEN '-created_at' THEN -by_created_at
                    WHEN 'updated_at' THEN by_updated_at
                    WHEN '-updated_at' THEN -by_updated_at
                    ELSE 0
                END,
                CASE $8::TEXT
                    WHEN 'name' THEN by_name
                    WHEN '-name' THEN -by_name
                    WHEN 'created_at' THEN by_created_at
                    WHEN '-created_at' THEN -by_created_at
                    WHEN 'updated_at' THEN by_updated_at
                    WHEN '-updated_at' THEN -by_updated_at
                    ELSE 0
                END,
                CASE WHEN $14 THEN -by_id ELSE by_id END
            ] > '{0,0,0,0}'
          )
        ORDER BY
            CASE $6 WHEN 'name' THEN name COLLATE "C" END,
            CASE $6 WHEN '-name' THEN name COLLATE "C" END DESC,
            CASE $6 WHEN 'created_at' THEN created_at WHEN 'updated_at' THEN updated_at END,
            CASE $6 WHEN '-created_at' THEN created_at WHEN '-updated_at' THEN updated_at END DESC,
            CASE $7 WHEN 'name' THEN name COLLATE "C" END,
            CASE $7 WHEN '-name' THEN name COLLATE "C" END DESC,
            CASE $7 WHEN 'created_at' THEN created_at WHEN 'updated_at' THEN updated_at END,
            CASE $7 WHEN '-created_at' THEN created_at WHEN '-updated_at' THEN updated_at END DESC,
            CASE $8 WHEN 'name' THEN name COLLATE "C" END,
            CASE $8 WHEN '-name' THEN name COLLATE "C" END DESC,
            CASE $8 WHEN 'created_at' THEN created_at WHEN 'updated_at' THEN updated_at END,
            CASE $8 WHEN '-created_at' THEN created_at WHEN '-updated_at' THEN updated_at END DESC,
            CASE WHEN $14 THEN id END DESC,
            id
        LIMIT $13
        "#,
        documents,
        filter.state.map(|state| state.as_str()),
        filter.auto_restart,
        filter.name.as_ref().map(like_pattern),
        contained(filter) as _,
        key(0),
        key(1),
        key(2),
        after.map(|after| after.id),
        after.map(|after| after.name.as_str()),
        created_after as _,
        updated_after as _,
        query.limit.map(|limit| i64::from(limit) + 1),
        query.sort.ends_descending(),
        true,
        ids.as_deref(),
    )
    .fetch_all(connection)
    .await?)
}

/// Returns the times of a cursor as the database orders them: several rows may be beyond the limits that a cursor can
/// contain, and rows between them would be repeated or skipped.
async fn times_of(connection: &mut PgConnection, after: &Cursor) -> Result<(Option<Time>, Option<Time>)> {
    let (mut created, mut updated) = (Time::from(after.created_at), Time::from(after.updated_at));
    if [after.created_at, after.updated_at].into_iter().any(is_beyond_limits)
        && let Some(row) = sqlx::query!(
            r#"SELECT created_at AS "created_at: Time", updated_at AS "updated_at: Time" FROM flows WHERE id = $1"#,
            after.id
        )
        .fetch_optional(connection)
        .await?
    {
        let exact = |cursor: Time, row: Time| if DateTime::from(row) == DateTime::from(cursor) { row } else { cursor };
        (created, updated) = (exact(created, row.created_at), exact(updated, row.updated_at));
    }
    Ok((Some(created), Some(updated)))
}

async fn count(connection: &mut PgConnection, filter: &Filter) -> Result<u64> {
    let count = sqlx::query_scalar!(
        r#"
        SELECT COUNT(*) AS "count!" -- an aggregate, never NULL
        FROM flows
        WHERE ($5 OR strom_plan_anew())
          AND ($1::TEXT IS NULL OR state = $1 OR ($1 = 'Null' AND state IS NULL))
          AND ($2::BOOLEAN IS NULL OR auto_restart = $2 OR (NOT $2 AND auto_restart IS NULL))
          AND ($3::TEXT IS NULL OR name_folded LIKE $3)
          AND ($4::JSONB IS NULL OR data @> $4)
        "#,
        filter.state.map(|state| state.as_str()),
        filter.auto_restart,
        filter.name.as_ref().map(like_pattern),
        contained(filter) as _,
        true,
    )
    .fetch_one(connection)
    .await?;
    Ok(count.unsigned_abs())
}

fn contained(filter: &Filter) -> Option<Json<&RawValue>> {
    filter.contains.as_ref().map(|containment| Json(containment.as_raw()))
}

/// Returns the `LIKE` pattern for a part of a name. Escapes the three characters that are special in patterns.
fn like_pattern(part: &NamePart) -> String {
    let escaped = part.folded().replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    format!("%{escaped}%")
}
