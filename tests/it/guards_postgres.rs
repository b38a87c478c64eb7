//! The triggers hold for every writer: whatever its isolation level, search_path, role, and earlier writes without triggers.

use sqlx::PgConnection;
use strom_store::internals::feed;
use strom_store::internals::samples::{change, create_all, flow, flow_with, found, id, number, stamp, stored};
use strom_store::repository::{Change, FlowRepositoryExt as _, Operation, Precondition, Since};
use strom_store::{Flow, FlowRepository};

use strom_test_support::clock;
use strom_test_support::postgres::{Database, count, run};

/// Counts the flows that contradict the history or the tombstones.
const CONTRADICTIONS: &str = "
    SELECT COUNT(*)
    FROM (SELECT DISTINCT flow_id AS id FROM flow_changes UNION SELECT id FROM flows) AS known
    LEFT JOIN flows ON flows.id = known.id
    LEFT JOIN flow_tombstones AS tombstone ON tombstone.id = known.id
    LEFT JOIN LATERAL (
        SELECT operation, revision FROM flow_changes AS change
        WHERE change.flow_id = known.id AND operation <> 'state'
        ORDER BY log DESC, horizon DESC, number DESC
        LIMIT 1
    ) AS last ON TRUE
    WHERE CASE
        WHEN flows.id IS NULL THEN last.operation <> 'delete' OR last.revision IS DISTINCT FROM tombstone.revision
        ELSE last.operation = 'delete' OR last.revision IS DISTINCT FROM flows.revision
    END";

async fn assert_consistent(psql: &mut PgConnection) {
    assert_eq!(count(psql, CONTRADICTIONS).await, 0, "flows contradict the history");
}

/// Runs statements of which the last one may fail. Returns its SQLSTATE.
async fn sqlstate(psql: &mut PgConnection, sql: &str) -> Option<String> {
    let error = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(psql).await.err()?;
    Some(error.into_database_error().expect("an error of the server").code().unwrap().into_owned())
}

fn unique(name: &str) -> String {
    format!("strom_test_{name}_{}", clock::new_id().as_uuid().simple())
}

/// Opens a store with flow 1, and a session.
async fn with_flow() -> (Database, std::sync::Arc<dyn FlowRepository>, PgConnection) {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "one")]).await;
    let psql = database.connect().await;
    (database, repository, psql)
}

/// A role without rights replaces every name that a function uses by an object of its own, in its temporary schema.
#[tokio::test]
async fn temporary_objects_of_another_role_are_not_used_postgres() {
    let (database, _repository, mut psql) = with_flow().await;
    let role = unique("attacker");
    run(&mut psql, &format!("CREATE ROLE {role}; GRANT TEMPORARY ON DATABASE {} TO {role}", database.name())).await;
    let mut attacker = database.connect().await;
    run(
        &mut attacker,
        &format!(
            "SET ROLE {role};
             CREATE FUNCTION pg_temp.exploit(value ANYELEMENT) RETURNS ANYELEMENT LANGUAGE plpgsql AS $$
             BEGIN
                 IF current_user <> '{role}' THEN RAISE EXCEPTION 'exploited as %', current_user; END IF;
                 RETURN value;
             END $$;
             CREATE TEMPORARY VIEW pg_database AS
                 SELECT pg_temp.exploit(oid) AS oid, pg_temp.exploit(datname) AS datname FROM pg_catalog.pg_database;
             CREATE TEMPORARY VIEW flow_log AS SELECT pg_temp.exploit(1::BIGINT) AS log, 'x'::TEXT AS place"
        ),
    )
    .await;
    let place: String = sqlx::query_scalar("SELECT strom_place()").fetch_one(&mut attacker).await.unwrap();
    assert_eq!(place, sqlx::query_scalar::<_, String>("SELECT strom_place()").fetch_one(&mut psql).await.unwrap());
    let callable = "SELECT COUNT(*) FROM pg_proc
                    WHERE proname LIKE 'strom\\_%' AND prorettype = 'trigger'::REGTYPE AND has_function_privilege(oid, 'EXECUTE')";
    assert_eq!(count(&mut attacker, callable).await, 0, "only the owner can attach the trigger functions to tables");
    drop(attacker);
    run(&mut psql, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn functions_do_not_depend_on_the_search_path_postgres() {
    let (_database, _repository, mut psql) = with_flow().await;
    let dependent = "SELECT COUNT(*) FROM pg_proc
                     WHERE proname LIKE 'strom\\_%' AND prosqlbody IS NULL
                         AND proconfig IS DISTINCT FROM ARRAY['search_path=public, pg_temp']";
    assert_eq!(count(&mut psql, dependent).await, 0);
}

/// Tables with the names of the store come first in the search_path of a writer.
#[tokio::test]
async fn tables_of_the_same_name_do_not_divert_the_triggers_postgres() {
    let (database, repository, mut psql) = with_flow().await;
    let user = sqlx::query_scalar::<_, String>("SELECT current_user::TEXT").fetch_one(&mut psql).await.unwrap();
    for schema in [format!("\"{user}\""), "pg_temp".into()] {
        let mut writer = database.connect().await;
        if schema != "pg_temp" {
            run(&mut writer, &format!("CREATE SCHEMA {schema}")).await;
        }
        for table in ["flows", "flow_changes", "flow_log", "flow_tombstones"] {
            run(&mut writer, &format!("CREATE TABLE {schema}.{table} (LIKE public.{table} INCLUDING ALL)")).await;
        }
        run(&mut writer, "UPDATE public.flows SET data = data || '{\"x\": 1}' WHERE TRUE").await;
        run(&mut writer, "UPDATE public.flows SET data = data - 'x' WHERE TRUE").await;
        run(&mut writer, &format!("INSERT INTO public.flows (id, name, data) VALUES ('{}', 'two', '{{}}')", id(2)))
            .await;
        run(&mut writer, &format!("DELETE FROM public.flows WHERE id = '{}'", id(2))).await;
        for table in ["flows", "flow_changes", "flow_log", "flow_tombstones"] {
            assert_eq!(count(&mut writer, &format!("SELECT COUNT(*) FROM {schema}.{table}")).await, 0, "{schema}");
        }
        if schema != "pg_temp" {
            run(&mut writer, &format!("DROP SCHEMA {schema} CASCADE")).await;
        }
    }
    assert_eq!(repository.history(id(1), None, 100).await.unwrap().len(), 5);
    assert_eq!(repository.history(id(2), None, 100).await.unwrap().len(), 4);
    assert_consistent(&mut psql).await;
}

fn upsert(number: u32) -> String {
    let values = format!("('{}', 'by sql', '{{}}')", id(number));
    format!("INSERT INTO flows (id, name, data) VALUES {values} ON CONFLICT (id) DO UPDATE SET data = excluded.data")
}

fn put(flow: Flow) -> Change {
    Change::Put(flow, Precondition::Any)
}

/// A transaction whose snapshot is older than the deletion of a flow inserts the flow.
#[tokio::test]
async fn upsert_of_a_concurrently_deleted_flow_fails_at_every_isolation_level_postgres() {
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let (database, repository, mut observer) = with_flow().await;
        let mut psql = database.connect().await;
        run(&mut psql, &format!("BEGIN ISOLATION LEVEL {level}; SELECT FROM flows")).await;
        change(&*repository, Change::delete(id(1)), stamp(1)).await;
        assert_eq!(sqlstate(&mut psql, &upsert(1)).await.as_deref(), Some("40001"), "{level}");
        run(&mut psql, "ROLLBACK").await;
        run(&mut psql, &format!("BEGIN ISOLATION LEVEL {level}; {}; COMMIT", upsert(1))).await;
        assert_consistent(&mut observer).await;
        change(&*repository, Change::replace(flow(1, "saved")), stamp(2)).await;
        change(&*repository, Change::delete(id(1)), stamp(3)).await;
        assert_consistent(&mut observer).await;
    }
}

/// Instances and SQL writers change the same flows.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_agree_with_the_history_at_every_default_isolation_postgres() {
    for level in ["read committed", "repeatable read", "serializable"] {
        let database = Database::migrated().await;
        let mut psql = database.connect().await;
        let isolate = format!("ALTER DATABASE {} SET default_transaction_isolation = '{level}'", database.name());
        run(&mut psql, &isolate).await;
        let repository = database.repository().await;
        let writers = (0..4).map(|writer| {
            let repository = std::sync::Arc::clone(&repository);
            tokio::spawn(async move {
                for round in 0..40 {
                    let number = 1 + (writer + round) % 3;
                    let change = match round % 4 {
                        0 | 2 => put(flow(number, &format!("{writer} {round}"))),
                        1 => put(flow_with(number, "report", r#""gst_state":"Playing""#)),
                        _ => Change::delete(id(number)),
                    };
                    // A missing flow cannot be deleted, and locks of other writers may take long.
                    let _ = repository.apply_all(vec![change], stamp(round.into())).await;
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        let mut retries = 0;
        for round in 0..60 {
            let statement = if round % 3 == 0 { "DELETE FROM flows".into() } else { upsert(1 + round % 2) };
            match sqlstate(&mut psql, &format!("BEGIN; SELECT FROM flows; {statement}; COMMIT")).await.as_deref() {
                None => {}
                Some("40001" | "40P01") => {
                    retries += 1;
                    run(&mut psql, "ROLLBACK").await;
                }
                Some(other) => panic!("{level}: {other}"),
            }
        }
        for writer in writers {
            writer.await.unwrap();
        }
        eprintln!("{level}: {retries} of 60 transactions by SQL failed with 40001 or 40P01");
        let mut observer = database.connect().await;
        assert_consistent(&mut observer).await;
        for number in 1..=3 {
            change(&*repository, put(flow(number, "at the end")), stamp(100)).await;
        }
        assert_consistent(&mut observer).await;
    }
}

/// Statements that run without triggers, and leave a flow, its history and its tombstone in contradiction.
const DAMAGES: [&str; 9] = [
    "UPDATE flows SET revision = 1 WHERE id = $id",
    "UPDATE flows SET revision = 2, data = data || '{\"x\": 1}' WHERE id = $id",
    "UPDATE flows SET revision = 70 WHERE id = $id",
    "ALTER TABLE flows DROP CONSTRAINT strom_before_write_is_enabled;
     UPDATE flows SET revision = -5 WHERE id = $id;
     ALTER TABLE flows ADD CONSTRAINT strom_before_write_is_enabled CHECK (revision > 0) NOT VALID",
    "UPDATE flows SET revision = 9223372036854775807 WHERE id = $id",
    "DELETE FROM flows WHERE id = $id",
    "DELETE FROM flow_tombstones WHERE id = $id",
    "DELETE FROM flow_changes WHERE flow_id = $id",
    // A deletion that was recorded, although the flow exists.
    "CREATE TEMPORARY TABLE saved AS SELECT id, name, data, revision FROM flows WHERE id = $id;
     SET session_replication_role = origin; DELETE FROM flows WHERE id = $id; SET session_replication_role = replica;
     INSERT INTO flows (id, name, data, revision) SELECT * FROM saved; DROP TABLE saved",
];

/// The next change of any kind corrects a damaged flow.
#[tokio::test]
async fn flows_that_were_written_without_triggers_can_be_changed_postgres() {
    let (_database, repository, mut psql) = with_flow().await;
    let cases = DAMAGES.iter().flat_map(|damage| {
        [false, true].into_iter().flat_map(move |was_deleted| {
            ["save", "report", "delete", "upsert", "truncate"].map(move |action| (damage, was_deleted, action))
        })
    });
    for (number, (damage, was_deleted, action)) in (10..).zip(cases) {
        for name in ["one", "two", "three"] {
            change(&*repository, put(flow(number, name)), stamp(1)).await;
        }
        if was_deleted {
            change(&*repository, Change::delete(id(number)), stamp(2)).await;
            change(&*repository, put(flow(number, "three")), stamp(2)).await;
        }
        let damage = damage.replace("$id", &format!("'{}'", id(number)));
        run(&mut psql, &format!("SET session_replication_role = replica; {damage}; RESET session_replication_role"))
            .await;
        let context = format!("{damage}, deleted before: {was_deleted}, {action}");
        let is_present = found(&*repository, number).await.is_some();
        let made = match action {
            "save" => vec![put(flow(number, "saved"))],
            "report" => vec![put(flow_with(number, "three", r#""gst_state":"Paused""#))],
            "delete" if is_present => vec![Change::delete(id(number))],
            _ => Vec::new(),
        };
        match action {
            "upsert" => run(&mut psql, &upsert(number)).await,
            "truncate" if is_present => run(&mut psql, "TRUNCATE flows").await,
            _ if made.is_empty() => {}
            _ => {
                drop(repository.apply_all(made, stamp(3)).await.unwrap_or_else(|error| panic!("{context}: {error:?}")))
            }
        }
        for last in [put(flow(number, "at the end")), Change::delete(id(number)), Change::create(flow(number, "again"))]
        {
            change(&*repository, last, stamp(4)).await;
            assert_eq!(count(&mut psql, CONTRADICTIONS).await, 0, "{context}");
        }
    }
}

#[tokio::test]
async fn truncation_and_changed_ids_are_deletions_in_the_feed_postgres() {
    let (_database, repository, mut psql) = with_flow().await;
    create_all(&*repository, [flow(2, "two"), flow(3, "three")]).await;
    run(&mut psql, &format!("UPDATE flows SET id = '{}' WHERE id = '{}'", id(9), id(2))).await;
    run(&mut psql, "TRUNCATE flows").await;
    let records = feed::read(&*repository, Since::Oldest).await;
    let mut seen: Vec<_> = records
        .iter()
        .skip(3)
        .map(|record| (record.operation == Operation::Delete, number(record.item.id())))
        .collect();
    seen[2..].sort_unstable();
    assert_eq!(seen, [(true, 2), (false, 9), (true, 1), (true, 3), (true, 9)], "after three creations");
    let mut trash: Vec<_> = repository.deleted().await.unwrap().iter().map(|deleted| number(deleted.item.id)).collect();
    trash.sort_unstable();
    assert_eq!(trash, [1, 2, 3, 9]);
    assert_consistent(&mut psql).await;
    change(&*repository, Change::create(flow(2, "again")), stamp(3)).await;
    assert_eq!(stored(&*repository, 2).await.version.revision.number(), 3);
}
