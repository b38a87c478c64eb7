//! Finds flows that an operator should examine.

use sqlx::PgConnection;

use crate::postgres::error::Result;

/// Returns the flows whose times no change can have, such as `infinity`: at most 10 per column and direction. Fails unless the
/// database answers and has the table.
///
/// Each part reads one end of an index, which takes no longer in a large table.
pub(crate) async fn faults(connection: &mut PgConnection) -> Result<Vec<String>> {
    // `!`: columns of a table that are never NULL. The times must equal `TIME_LIMITS`.
    let rows = sqlx::query!(
        r#"
        WITH limits AS MATERIALIZED (
            SELECT '0001-01-01 00:00:00+00'::TIMESTAMPTZ AS earliest,
                '9999-12-31 23:59:59.999999+00'::TIMESTAMPTZ AS latest
        )
        SELECT DISTINCT found.id AS "id!", found.name AS "name!"
        FROM limits
        CROSS JOIN LATERAL (
            (SELECT id, name FROM flows WHERE created_at <= earliest ORDER BY created_at, id LIMIT 10)
            UNION ALL
            (SELECT id, name FROM flows WHERE created_at >= latest ORDER BY created_at DESC, id DESC LIMIT 10)
            UNION ALL
            (SELECT id, name FROM flows WHERE updated_at <= earliest ORDER BY updated_at, id LIMIT 10)
            UNION ALL
            (SELECT id, name FROM flows WHERE updated_at >= latest ORDER BY updated_at DESC, id DESC LIMIT 10)
        ) AS found
        ORDER BY "id!"
        "#
    )
    .fetch_all(connection)
    .await?;
    let fault = |id, name| {
        format!(
            "flow {id} {name:?} has a time outside of the years 1 to 9999, and shows the nearest of them; set \
             `created_at` and `updated_at` by SQL, or run `strom check --repair`"
        )
    };
    Ok(rows.into_iter().map(|row| fault(row.id, row.name)).collect())
}
