//! Which statements use a generic plan and which use a custom plan for each call, as counted by PostgreSQL
//! (<https://www.postgresql.org/docs/current/view-pg-prepared-statements.html>).

use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use strom_store::internals::samples::{create_all, flow, id};

use crate::direct_postgres::run_update;
use crate::sqlx_cache::statement;
use strom_test_support::postgres::Database;

const CALLS: i64 = 12;
/// PostgreSQL always uses custom plans for the first calls of a statement.
const ALWAYS_CUSTOM: i64 = 5;

/// Returns the number of calls with a custom plan.
async fn custom_plans(connection: &mut PgConnection, statement: &str) -> i64 {
    let counts = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1";
    let (generic, custom) =
        sqlx::query_as::<_, (i64, i64)>(counts).bind(statement).fetch_one(connection).await.unwrap();
    assert_eq!(generic + custom, CALLS);
    custom
}

#[tokio::test]
async fn saves_and_look_ups_use_generic_plans_and_searches_custom_plans() {
    let database = Database::migrated().await;
    create_all(&*database.repository().await, (0..200).map(|number| flow(number, "a"))).await;
    let mut connection = database.connect().await;
    sqlx::query("ANALYZE flows").execute(&mut connection).await.unwrap();

    let save = statement("FOR UPDATE OF flows SKIP LOCKED");
    for number in 0..CALLS {
        let id = id(1).as_uuid();
        let document = json!({"id": id, "name": "a", "number": number});
        assert_eq!(run_update(&mut connection, &save, document).await, 1);
    }
    assert_eq!(custom_plans(&mut connection, &save).await, ALWAYS_CUSTOM);

    let look_up = statement("FROM flows\n        WHERE id = $1\n");
    for _ in 0..CALLS {
        let found = sqlx::query(AssertSqlSafe(look_up.as_str())).bind(id(2).as_uuid());
        found.fetch_one(&mut connection).await.unwrap();
    }
    assert_eq!(custom_plans(&mut connection, &look_up).await, ALWAYS_CUSTOM);

    let search = statement("WHERE ($5 OR strom_plan_anew())");
    for _ in 0..CALLS {
        let counted = sqlx::query(AssertSqlSafe(search.as_str()))
            .bind(None::<&str>)
            .bind(None::<bool>)
            .bind(Some("a"))
            .bind(None::<Json<Value>>)
            .bind(true);
        counted.fetch_one(&mut connection).await.unwrap();
    }
    assert_eq!(custom_plans(&mut connection, &search).await, CALLS);
    connection.close().await.unwrap();
}
