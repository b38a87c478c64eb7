//! A damaged schema: `/ready` and the start name the damage, nothing is written in the meantime, and the store recovers without
//! a restart.

use std::sync::Arc;

use sqlx::PgConnection;
use strom_store::FlowRepository;
use strom_store::internals::feed;
use strom_store::internals::samples::{change, create_all, everything, flow, found, id, moment, stamp};
use strom_store::postgres::{DatabaseUrl, PostgresRepository, Settings};
use strom_store::repository::{
    Change, FlowRepositoryExt as _, OpenError, Precondition, RepositoryError, Since, Status,
};

use strom_test_support::clock;
use strom_test_support::eventually::{eventually, eventually_some};
use strom_test_support::postgres::{Database, count, run};

async fn with_flows() -> (Database, Arc<dyn FlowRepository>, PgConnection) {
    let database = Database::migrated().await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "one"), flow(2, "two")]).await;
    let psql = database.connect().await;
    (database, repository, psql)
}

async fn open(database: &Database, settings: Settings) -> Result<PostgresRepository, OpenError> {
    PostgresRepository::open_with(&DatabaseUrl::parse(&database.url()).unwrap(), settings).await
}

async fn until_ready(repository: &dyn FlowRepository) {
    eventually("the repository is ready", async || repository.health().await.status == Status::Ready).await;
}

/// Returns the damage that the first completed check reports. A busy machine may not complete a check in time.
async fn damage_of(repository: &dyn FlowRepository) -> String {
    eventually_some("a check is completed", async || match repository.health().await.status {
        Status::Unavailable(reason) => Some(reason).filter(|reason| reason.contains("schema is damaged")),
        other => panic!("{other:?}"),
    })
    .await
}

/// Statements that damage the schema, and a part of the reason.
const REPAIRABLE: [(&str, &str); 9] = [
    (
        "ALTER TABLE flows DISABLE TRIGGER strom_before_write",
        "trigger strom_before_write of the table flows is disabled",
    ),
    ("ALTER TABLE flows DISABLE TRIGGER USER", "trigger strom_after_delete of the table flows is disabled"),
    ("ALTER TABLE flows DISABLE TRIGGER ALL", "trigger strom_after_delete of the table flows is disabled"),
    (
        "ALTER TABLE flows ENABLE REPLICA TRIGGER strom_record_update",
        "trigger strom_record_update of the table flows is",
    ),
    (
        "ALTER TABLE flow_changes DISABLE TRIGGER strom_notify",
        "trigger strom_notify of the table flow_changes is disabled",
    ),
    ("DROP TRIGGER strom_record ON flows", "trigger strom_record of the table flows is missing"),
    ("ALTER TABLE flows DROP CONSTRAINT flows_pkey", "no primary key on the column id"),
    ("ALTER TABLE flows DROP CONSTRAINT strom_before_write_is_enabled", "no constraint strom_before_write_is_enabled"),
    ("DELETE FROM flow_log", "the table flow_log is empty"),
];

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_reported_and_repaired_postgres() {
    let (database, repository, mut psql) = with_flows().await;
    for (index, (damage, expected)) in REPAIRABLE.into_iter().enumerate() {
        let before = moment(&*repository).await;
        let cursor = feed::end(&*repository).await;
        run(&mut psql, damage).await;
        let reported = damage_of(&*repository).await;
        assert!(reported.contains(expected), "{damage}: {reported}");
        let save = || Change::replace(flow(1, &format!("saved {index}")));
        let refused = repository.apply_all(vec![save()], stamp(2)).await;
        let is_known = matches!(refused, Err(RepositoryError::Unavailable { outcome_unknown: false, .. }));
        assert!(is_known, "{damage}: {refused:?}");
        let error = open(&database, Settings::default()).await.unwrap_err();
        assert!(error.problem.contains(expected) && error.remedy.contains("check --repair"), "{damage}: {error:?}");

        open(&database, Settings::default().with_repair(true)).await.unwrap().close().await.unwrap();
        until_ready(&*repository).await;
        assert_eq!(moment(&*repository).await, before, "{damage}");
        change(&*repository, save(), stamp(3)).await;
        // Changes may be missing in the feed, so its readers read all flows again.
        let answer = repository.changes(Since::After(cursor), 10).await;
        assert!(matches!(answer, Err(RepositoryError::Gone)), "{damage}: {answer:?}");
    }
}

/// The store has not verified the schema since the damage.
#[tokio::test(flavor = "multi_thread")]
async fn first_save_after_the_trigger_was_disabled_changes_nothing_postgres() {
    let (_database, repository, mut psql) = with_flows().await;
    let before = moment(&*repository).await;
    for damage in [
        "DISABLE TRIGGER strom_before_write",
        "DISABLE TRIGGER strom_record",
        "DISABLE TRIGGER strom_record_update",
        "DISABLE TRIGGER strom_after_delete",
        "ENABLE REPLICA TRIGGER strom_came_back",
        "DISABLE TRIGGER USER",
        "DISABLE TRIGGER ALL",
    ] {
        let table = "ALTER TABLE flows";
        for changes in [
            vec![Change::replace(flow(1, "saved"))],
            vec![Change::replace(flow(1, "saved")), Change::delete(id(2))],
            vec![Change::create(flow(3, "new"))],
            vec![Change::delete(id(2))],
        ] {
            run(&mut psql, &format!("{table} {damage}")).await;
            let refused = repository.apply_all(changes, stamp(2)).await;
            let is_known = matches!(
                refused,
                Err(RepositoryError::Unavailable { outcome_unknown: false, .. } | RepositoryError::ReadOnly(_))
            );
            assert!(is_known, "{damage}: {refused:?}");
            assert!(damage_of(&*repository).await.contains("disabled"), "{damage}");
            run(&mut psql, &format!("{table} ENABLE TRIGGER USER")).await;
            until_ready(&*repository).await;
            assert_eq!(moment(&*repository).await, before, "{damage}");
        }
    }
}

/// Damage that only a person can repair. The statements that repair it follow.
const MANUAL: [(&str, &str, &str); 5] = [
    (
        "ALTER TABLE flows RENAME author TO writer",
        "column author of the table flows",
        "ALTER TABLE flows RENAME writer TO author",
    ),
    ("ALTER TABLE flow_tombstones RENAME TO gone", "flow_tombstones", "ALTER TABLE gone RENAME TO flow_tombstones"),
    (
        "ALTER SEQUENCE flow_change_blocks RENAME TO gone",
        "flow_change_blocks",
        "ALTER SEQUENCE gone RENAME TO flow_change_blocks",
    ),
    (
        "ALTER FUNCTION strom_next_revision RENAME TO gone",
        "strom_next_revision",
        "ALTER FUNCTION gone RENAME TO strom_next_revision",
    ),
    ("ALTER TABLE flows RENAME TO gone", "flows", "ALTER TABLE gone RENAME TO flows"),
];

#[tokio::test(flavor = "multi_thread")]
async fn store_recovers_when_missing_objects_return_postgres() {
    let (database, repository, mut psql) = with_flows().await;
    let before = moment(&*repository).await;
    for (damage, expected, repair) in MANUAL {
        run(&mut psql, damage).await;
        let reported = damage_of(&*repository).await;
        assert!(reported.contains(expected) && reported.contains("missing"), "{damage}: {reported}");
        for settings in [Settings::default(), Settings::default().with_repair(true)] {
            let error = open(&database, settings).await.unwrap_err();
            assert!(error.problem.contains(expected) && error.remedy.contains("backup"), "{damage}: {error:?}");
        }
        run(&mut psql, repair).await;
        until_ready(&*repository).await;
        assert_eq!(moment(&*repository).await, before, "{damage}");
    }
    change(&*repository, Change::replace(flow(1, "saved")), stamp(2)).await;
}

/// The schema or the database is dropped and created again while the store runs.
#[tokio::test(flavor = "multi_thread")]
async fn recreated_schema_is_used_without_a_restart_postgres() {
    let (database, repository, mut psql) = with_flows().await;
    let name = database.name();
    let mut administrator = sqlx::ConnectOptions::connect(
        &database.url().replace(&format!("/{name}"), "/postgres").parse::<sqlx::postgres::PgConnectOptions>().unwrap(),
    )
    .await
    .unwrap();
    for (index, is_database) in [false, true, false].into_iter().enumerate() {
        let cursor = feed::end(&*repository).await;
        if is_database {
            run(&mut administrator, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
            run(&mut administrator, &format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")).await;
            psql = database.connect().await;
        } else {
            run(&mut psql, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
        }
        eventually("the repository is ready and empty", async || {
            repository.health().await.status == Status::Ready
                && repository.get(id(1)).await.is_ok_and(|flow| flow.is_none())
        })
        .await;
        create_all(&*repository, [flow(1, "again")]).await;
        let answer = repository.changes(Since::After(cursor), 10).await;
        assert!(matches!(answer, Err(RepositoryError::Gone)), "{index}: {answer:?}");
        assert_eq!(repository.history(id(1), None, 10).await.unwrap().len(), 1);
    }
}

/// Policies must never make a list or a backup shorter.
#[tokio::test(flavor = "multi_thread")]
async fn row_level_security_is_an_error_instead_of_an_empty_list_postgres() {
    let (database, _repository, mut psql) = with_flows().await;
    let role = format!("strom_test_rls_{}", clock::new_id().as_uuid().simple());
    run(
        &mut psql,
        &format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'secret';
             GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
             GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"
        ),
    )
    .await;
    let mut url = url::Url::parse(&database.url()).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("secret")).unwrap();
    let url = DatabaseUrl::parse(url.as_str()).unwrap();
    let repository = PostgresRepository::open(&url).await.unwrap();
    for table in ["flows", "flow_changes", "flow_log", "flow_tombstones"] {
        run(&mut psql, &format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")).await;
        let reported = damage_of(&repository).await;
        assert!(reported.contains(&format!("row-level security hides rows of the table {table}")), "{reported}");
        for settings in [Settings::default(), Settings::default().with_read_only(true)] {
            let error = PostgresRepository::open_with(&url, settings).await.unwrap_err();
            assert!(error.problem.contains("row-level security") && error.remedy.contains("BYPASSRLS"), "{error:?}");
        }
        run(&mut psql, &format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")).await;
        until_ready(&repository).await;
    }
    assert_eq!(everything(&repository).await.len(), 2);
    // Before the store has noticed the policies.
    run(&mut psql, "ALTER TABLE flows ENABLE ROW LEVEL SECURITY").await;
    let answer = repository.get(id(1)).await;
    assert!(answer.is_err(), "{answer:?}");
    repository.close().await.unwrap();
    run(&mut psql, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// A commit waits for the disk, whatever the database or the role says.
#[tokio::test]
async fn commits_are_synchronous_postgres() {
    let database = Database::migrated().await;
    let mut psql = database.connect().await;
    let reject = "CREATE FUNCTION reject_asynchronous() RETURNS TRIGGER LANGUAGE plpgsql AS $$
                  BEGIN
                      IF current_setting('synchronous_commit') = 'off' THEN RAISE EXCEPTION 'asynchronous'; END IF;
                      RETURN NEW;
                  END $$;
                  CREATE TRIGGER reject_asynchronous BEFORE INSERT ON flows FOR EACH ROW EXECUTE FUNCTION reject_asynchronous()";
    run(&mut psql, reject).await;
    run(&mut psql, &format!("ALTER DATABASE {} SET synchronous_commit = off", database.name())).await;
    let repository = database.repository().await;
    create_all(&*repository, [flow(1, "one")]).await;
    create_all(&*repository, [flow(2, "two"), flow(3, "three")]).await;
}

/// Rules and triggers of other programs that swallow changes without an error.
#[tokio::test(flavor = "multi_thread")]
async fn swallowed_changes_are_errors_that_name_the_cause_postgres() {
    let (_database, repository, mut psql) = with_flows().await;
    let skip = "CREATE FUNCTION skip() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$";
    run(&mut psql, skip).await;
    let before = moment(&*repository).await;
    for (create, name, drop) in [
        (
            "CREATE TRIGGER a_skip BEFORE INSERT OR UPDATE OR DELETE ON flows FOR EACH ROW EXECUTE FUNCTION skip()",
            "the trigger a_skip",
            "DROP TRIGGER a_skip ON flows",
        ),
        (
            "CREATE TRIGGER z_skip BEFORE INSERT OR UPDATE OR DELETE ON flows FOR EACH ROW EXECUTE FUNCTION skip()",
            "the trigger z_skip",
            "DROP TRIGGER z_skip ON flows",
        ),
        ("CREATE RULE skip AS ON UPDATE TO flows DO INSTEAD NOTHING", "the rule skip", "DROP RULE skip ON flows"),
        ("CREATE RULE skip AS ON INSERT TO flows DO INSTEAD NOTHING", "the rule skip", "DROP RULE skip ON flows"),
        ("CREATE RULE skip AS ON DELETE TO flows DO INSTEAD NOTHING", "the rule skip", "DROP RULE skip ON flows"),
    ] {
        run(&mut psql, create).await;
        let mut refused = 0;
        for changes in [
            vec![Change::replace(flow(1, "saved"))],
            vec![Change::delete(id(1))],
            vec![Change::create(flow(3, "new"))],
            vec![Change::replace(flow(1, "saved")), Change::create(flow(3, "new"))],
        ] {
            match repository.apply_all(changes, stamp(2)).await {
                // A rule for another kind of change.
                Ok(_) | Err(RepositoryError::Conflict(_)) if create.starts_with("CREATE RULE") => {}
                Err(RepositoryError::ReadOnly(reason)) => {
                    assert!(reason.contains(name), "{create}: {reason}");
                    refused += 1;
                }
                other => panic!("{create}: {other:?}"),
            }
        }
        assert!(refused > 0, "{create}");
        run(&mut psql, drop).await;
        for number in [1, 3] {
            change(&*repository, Change::Delete(id(number), Precondition::Any), stamp(3)).await;
        }
        create_all(&*repository, [flow(1, "one")]).await;
    }
    assert_eq!(moment(&*repository).await.len(), before.len());
    assert!(found(&*repository, 3).await.is_none());
}

#[tokio::test]
async fn table_without_a_primary_key_is_not_adopted_postgres() {
    let database = Database::empty().await;
    let mut psql = database.connect().await;
    run(
        &mut psql,
        "CREATE TABLE flows (id UUID NOT NULL, name TEXT NOT NULL, state TEXT, auto_restart BOOLEAN, data JSONB NOT NULL,
            created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW())",
    )
    .await;
    let error = open(&database, Settings::default()).await.unwrap_err();
    assert!(error.problem.contains("no primary key") && error.remedy.contains("ADD PRIMARY KEY"), "{error:?}");
    assert_eq!(count(&mut psql, "SELECT COUNT(*) FROM pg_class WHERE relname LIKE 'flow%' AND relkind = 'r'").await, 1);
    run(&mut psql, "ALTER TABLE flows ADD PRIMARY KEY (id)").await;
    open(&database, Settings::default()).await.unwrap().close().await.unwrap();
}
