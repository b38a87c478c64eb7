//! Finds rules and triggers that can prevent a change without an error.

use sqlx::PgConnection;

use crate::postgres::error::Result;

/// Returns a list of the rules of `flows`, of its triggers that run before a change and do not belong to the store, and of our own
/// trigger if it is disabled. A rule can replace a change, and a trigger can omit a row:
/// <https://www.postgresql.org/docs/current/plpgsql-trigger.html>. Our statements delete nothing without triggers.
pub(super) async fn find_obstacles(connection: &mut PgConnection) -> Result<Option<String>> {
    // NULL without any.
    let found = sqlx::query_scalar!(
        r"
        SELECT string_agg(found.name, ', ' ORDER BY found.name)
        FROM (
            SELECT 'the rule ' || rulename FROM pg_rewrite WHERE ev_class = to_regclass('flows')
            UNION ALL
            SELECT 'the trigger ' || tgname
            FROM pg_trigger
            WHERE tgrelid = to_regclass('flows') AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype::INTEGER & 2 <> 0
                AND tgname NOT LIKE 'strom\_%'
            UNION ALL
            SELECT 'the disabled trigger ' || tgname
            FROM pg_trigger
            WHERE tgrelid = to_regclass('flows') AND tgname = 'strom_verify' AND tgenabled NOT IN ('O', 'A')
        ) AS found (name)
        "
    );
    Ok(found.fetch_one(connection).await?)
}
